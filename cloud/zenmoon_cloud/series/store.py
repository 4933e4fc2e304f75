"""SQL of the series queries."""

from datetime import datetime
from typing import Any, NamedTuple

from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.series.buckets import EXTREMES, SUMMED
from zenmoon_cloud.series.record import IDENTITY, METRICS

CHILD = "SELECT id, family_id, zone FROM children WHERE id = %(child)s"

SERIES = f"""
SELECT time, {", ".join((*IDENTITY, *METRICS))} FROM wellness_metrics
WHERE family_id = %(family)s AND child_id = %(child)s AND time >= %(from)s AND time < %(to)s
  AND (time, device, boot, seq) > (%(after)s, %(device)s, %(boot)s, %(seq)s)
ORDER BY time, device, boot, seq LIMIT %(limit)s
"""  # noqa: S608 - names of our own columns

_EXTREMES = ", ".join(f"{name}_min, {name}_max" for name in EXTREMES)
_VALUES = f"covered_s, {', '.join(SUMMED)}, {_EXTREMES}"
_BETWEEN = "family_id = %(family)s AND child_id = %(child)s AND time >= %(from)s AND time < %(to)s"

MINUTES = f"""
SELECT time, zone_offset_s, source, quality, {_VALUES} FROM minute_rollups
WHERE {_BETWEEN} AND time > %(after)s
ORDER BY time LIMIT %(limit)s
"""  # noqa: S608 - names of our own columns

HOURS = f"""
SELECT time, zone_offset_s, minutes, {_VALUES} FROM hour_rollups
WHERE {_BETWEEN} AND (time, zone_offset_s) > (%(after)s, %(offset)s)
ORDER BY time, zone_offset_s LIMIT %(limit)s
"""  # noqa: S608 - names of our own columns

_MEANS = ",\n  ".join(f"sum({name} * {name}_s) / NULLIF(sum({name}_s::float8), 0) AS {name}" for name in SUMMED)
_WIDEST = ",\n  ".join(f"min({name}_min) AS {name}_min, max({name}_max) AS {name}_max" for name in EXTREMES)

DAYS = f"""
SELECT ((time AT TIME ZONE 'UTC') + zone_offset_s * interval '1 second')::date AS date,
  min(zone_offset_s) AS westmost_s, max(zone_offset_s) AS eastmost_s, sum(covered_s::float8) AS covered_s,
  {_MEANS},
  {_WIDEST}
FROM hour_rollups WHERE {_BETWEEN}
GROUP BY 1 ORDER BY 1
"""  # noqa: S608 - names of our own columns

CHANGES = f"""
SELECT time, zone_offset_s, minutes FROM (
  SELECT time, zone_offset_s, minutes, lag(zone_offset_s) OVER lived AS before, lead(zone_offset_s) OVER lived AS after
  FROM hour_rollups WHERE {_BETWEEN} WINDOW lived AS (ORDER BY time, zone_offset_s)) AS hour
WHERE before IS DISTINCT FROM zone_offset_s OR after IS DISTINCT FROM zone_offset_s
ORDER BY time, zone_offset_s LIMIT %(limit)s
"""  # noqa: S608 - names of our own columns


class Child(NamedTuple):
    """Whom a question is about; `zone` is the IANA name of where the child lives."""

    id: str
    family: object
    zone: str


async def child(connection: Connection, child_id: str) -> Child | None:
    """A child that the transaction may see; None for any other."""
    row = await (await connection.execute(CHILD, {"child": child_id})).fetchone()
    return Child(row["id"], row["family_id"], row["zone"]) if row else None


async def series(
    connection: Connection, child: Child, since: datetime, until: datetime, *, after: tuple[datetime, int, int, int], limit: int
) -> list[dict[str, Any]]:
    """Records by event time: from `since` until before `until`, after the key `after`."""
    arguments = dict(zip(("after", "device", "boot", "seq"), after, strict=True))
    cursor = await connection.execute(SERIES, _span(child, since, until) | arguments | {"limit": limit})
    return await cursor.fetchall()


async def minutes(
    connection: Connection, child: Child, since: datetime, until: datetime, *, after: datetime, limit: int
) -> list[dict[str, Any]]:
    """Minutes that begin from `since` until before `until`, and after `after`."""
    cursor = await connection.execute(MINUTES, _span(child, since, until) | {"after": after, "limit": limit})
    return await cursor.fetchall()


async def hours(
    connection: Connection, child: Child, since: datetime, until: datetime, *, after: tuple[datetime, int], limit: int
) -> list[dict[str, Any]]:
    """Local hours that begin from `since` until before `until`, after the time and offset `after`."""
    arguments = {"after": after[0], "offset": after[1], "limit": limit}
    return await (await connection.execute(HOURS, _span(child, since, until) | arguments)).fetchall()


async def days(connection: Connection, child: Child, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """The local dates of the hours from `since` until before `until`, with the least and the greatest offset of each."""
    return await (await connection.execute(DAYS, _span(child, since, until))).fetchall()


async def changes(connection: Connection, child: Child, since: datetime, until: datetime, *, limit: int) -> list[dict[str, Any]]:
    """Those of these hours before and after which the offset was another, and the first and the last; at most `limit`."""
    return await (await connection.execute(CHANGES, _span(child, since, until) | {"limit": limit})).fetchall()


def _span(child: Child, since: datetime, until: datetime) -> dict[str, Any]:
    return {"family": child.family, "child": child.id, "from": since, "to": until}
