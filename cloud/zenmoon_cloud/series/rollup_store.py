"""SQL of the rollups: records and epochs into minutes, minutes into hours."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from zenmoon_edge.core.record import CONTACT, WORN

from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.database.shard_store import SHARD
from zenmoon_cloud.series.buckets import EXTREMES, SUMMED

ROLE = "worker"

RECORD_S = 4
"""A record stands for the time of one step of the model."""

# A snapshot is taken by the first query. What comes before it must not be one: retention commits while this waits for its lock.
SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
KEEP_RETENTION_OUT = "LOCK TABLE hour_rollups IN ROW EXCLUSIVE MODE"

TAKE_TURN = "SELECT pg_try_advisory_xact_lock(hashtextextended('zenmoon rollup ' || %(shard)s::int4, 0)) AS mine"

TAKE_MARKS = f"""
DELETE FROM dirty_hours WHERE id IN (
  SELECT id FROM dirty_hours JOIN (
    SELECT DISTINCT hour, family_id, child_id FROM dirty_hours WHERE {SHARD} = %(shard)s
    ORDER BY hour DESC, family_id, child_id LIMIT %(limit)s) AS taken USING (hour, family_id, child_id)
  WHERE {SHARD} = %(shard)s)
RETURNING family_id, child_id, hour
"""  # noqa: S608 - our own expression

SEE = "SELECT set_config('app.families', %(families)s, true)"

DROPPED = """
SELECT max(dropped_before) FILTER (WHERE observations = 'wellness_metrics') AS record,
  max(dropped_before) FILTER (WHERE observations = 'epochs') AS epoch,
  max(dropped_before) FILTER (WHERE observations = 'minute_rollups') AS minute
FROM retention_marks
"""

_SECONDS = tuple(f"{name}_s" for name in SUMMED)
_ENDS = tuple(f"{name}_{end}" for name in EXTREMES for end in ("min", "max"))
_SUMS = ("covered_s", *SUMMED, *_SECONDS, *_ENDS)
_LINE = ",\n    "


def _written(columns: Sequence[str], table: str) -> str:
    """The part of an upsert that writes a row only where it changes: an hour that fills is summed up every few seconds."""
    ours, theirs = (", ".join(f"{of}.{name}" for name in columns) for of in (table, "excluded"))
    return f"SET ({', '.join(columns)}) = ({theirs}) WHERE ({ours}) IS DISTINCT FROM ({theirs})".replace("= (", "= ROW (", 1)


_OF_RECORDS = _LINE.join((
    f"least(60, {RECORD_S} * count(*) FILTER (WHERE quality & {WORN | CONTACT} = {WORN | CONTACT}))::real AS covered_s",
    *(f"avg({name}::float8) AS {name}" for name in SUMMED),
    *(f"least(60, {RECORD_S} * count({name}))::real AS {name}_s" for name in SUMMED),
    *(f"{end}({name})::float8 AS {name}_{end}" for name in EXTREMES for end in ("min", "max")),
))  # fmt: skip
_OF_EPOCH = _LINE.join((
    "(60 * coverage)::real AS covered_s",
    *SUMMED,
    # Temperature and motion stand also where the band was not worn.
    *(f"(CASE WHEN {name} IS NULL THEN 0 WHEN coverage = 0 THEN 60 ELSE 60 * coverage END)::real AS {name}_s" for name in SUMMED),
    *(f"{name} AS {name}_{end}" for name in EXTREMES for end in ("min", "max")),
))  # fmt: skip
_OF_MINUTES = _LINE.join((
    "sum(covered_s::float8)::real AS covered_s",
    *(f"sum({name} * {name}_s) / NULLIF(sum({name}_s::float8), 0) AS {name}" for name in SUMMED),
    *(f"sum({name}_s::float8)::real AS {name}_s" for name in SUMMED),
    *(f"{end}({name}_{end}) AS {name}_{end}" for name in EXTREMES for end in ("min", "max")),
))  # fmt: skip

_MINUTE = ("zone_offset_s", "source", "quality", *_SUMS)
_HOUR = ("minutes", *_SUMS)

# The begin of the local hour that a minute lies in: zones may be half an hour off, so that it is no whole hour UTC.
_LOCAL_HOUR = "date_bin('1 hour', time, timestamptz 'epoch' - zone_offset_s * interval '1 second')"

# A minute stays as it is where what it was made of has been dropped.
_KEPT = "{of}.time < CASE {of}.source WHEN 'record' THEN %(record)s::timestamptz ELSE %(epoch)s::timestamptz END"

# OFFSET 0 keeps the planner from turning many short index look-ups into a scan of every partition. It has no idea how many rows a
# part of the statement gives, so no two parts are joined: they are put under each other and sorted, whose cost is no gamble.
MINUTES = f"""
WITH dirty AS (
  SELECT * FROM unnest(%(families)s::uuid[], %(children)s::text[], %(hours)s::timestamptz[]) AS dirty (family_id, child_id, hour)
), measured AS (
  SELECT dirty.family_id, dirty.child_id, date_bin('1 minute', time, 'epoch') AS time,
    COALESCE(min(zone_offset_s), 0) AS zone_offset_s, 'record' AS source, bit_and(quality) AS quality,
    {_OF_RECORDS}
  FROM dirty CROSS JOIN LATERAL (
    SELECT * FROM wellness_metrics WHERE family_id = dirty.family_id AND child_id = dirty.child_id
      AND time >= dirty.hour AND time < dirty.hour + interval '1 hour' OFFSET 0) AS record
  GROUP BY 1, 2, 3
), newest AS (
  SELECT DISTINCT ON (family_id, child_id, time, device, boot, seq) epoch.*
  FROM dirty CROSS JOIN LATERAL (
    SELECT * FROM epochs WHERE family_id = dirty.family_id AND child_id = dirty.child_id
      AND time >= dirty.hour AND time < dirty.hour + interval '1 hour' OFFSET 0) AS epoch
  ORDER BY family_id, child_id, time, device, boot, seq, revision DESC
), best AS (
  SELECT DISTINCT ON (family_id, child_id, time) * FROM newest
  ORDER BY family_id, child_id, time, coverage DESC, revision DESC, received_at DESC, device, boot, seq
), fresh AS MATERIALIZED (
  SELECT DISTINCT ON (family_id, child_id, time) * FROM (
    SELECT * FROM measured
    UNION ALL
    SELECT family_id, child_id, time, COALESCE(zone_offset_s, 0), 'epoch', quality,
    {_OF_EPOCH}
    FROM best) AS either
  ORDER BY family_id, child_id, time, source = 'record' DESC
), before AS (
  SELECT old.family_id, old.child_id, old.time, old.zone_offset_s, {_KEPT.format(of="old")} AS kept
  FROM dirty CROSS JOIN LATERAL (
    SELECT * FROM minute_rollups WHERE family_id = dirty.family_id AND child_id = dirty.child_id
      AND time >= dirty.hour AND time < dirty.hour + interval '1 hour' OFFSET 0) AS old
), written AS (
  INSERT INTO minute_rollups (family_id, child_id, time, {", ".join(_MINUTE)})
  SELECT family_id, child_id, time, {", ".join(_MINUTE)} FROM fresh
  ON CONFLICT (family_id, child_id, time) DO UPDATE {_written(_MINUTE, "minute_rollups")}
    AND ({_KEPT.format(of="minute_rollups")}) IS NOT TRUE
), seen AS (
  SELECT family_id, child_id, time, zone_offset_s, kept IS NOT TRUE AS replaceable, false AS there FROM before
  UNION ALL SELECT family_id, child_id, time, zone_offset_s, false, true FROM fresh
)
SELECT family_id, child_id, {_LOCAL_HOUR} AS hour, zone_offset_s, NULL AS minute FROM seen GROUP BY 1, 2, 3, 4
UNION ALL
SELECT family_id, child_id, NULL, NULL, time FROM seen GROUP BY 1, 2, 5 HAVING bool_or(replaceable) AND NOT bool_or(there)
"""  # noqa: S608 - names of our own tables and columns
"""Gives the local hours that were touched and, with the time as `minute`, the minutes that have no observation any more."""

DELETE_MINUTES = """
DELETE FROM minute_rollups
USING unnest(%(families)s::uuid[], %(children)s::text[], %(hours)s::timestamptz[]) AS gone (family_id, child_id, time)
WHERE minute_rollups.family_id = gone.family_id AND minute_rollups.child_id = gone.child_id AND minute_rollups.time = gone.time
"""

HOURS = f"""
WITH touched AS (
  SELECT * FROM unnest(%(families)s::uuid[], %(children)s::text[], %(hours)s::timestamptz[], %(offsets)s::int4[])
    AS touched (family_id, child_id, time, zone_offset_s)
  WHERE %(minute)s::timestamptz IS NULL OR time >= %(minute)s
), fresh AS MATERIALIZED (
  SELECT touched.family_id, touched.child_id, touched.time, touched.zone_offset_s, summed.*
  FROM touched CROSS JOIN LATERAL (
    SELECT count(*)::int2 AS minutes,
    {_OF_MINUTES}
    FROM (SELECT * FROM minute_rollups WHERE family_id = touched.family_id AND child_id = touched.child_id
      AND time >= touched.time AND time < touched.time + interval '1 hour' AND zone_offset_s = touched.zone_offset_s
      OFFSET 0) AS minute) AS summed
), written AS (
  INSERT INTO hour_rollups (family_id, child_id, time, zone_offset_s, {", ".join(_HOUR)})
  SELECT family_id, child_id, time, zone_offset_s, {", ".join(_HOUR)} FROM fresh WHERE minutes > 0
  ON CONFLICT (family_id, child_id, time, zone_offset_s) DO UPDATE {_written(_HOUR, "hour_rollups")}
)
SELECT family_id, child_id, time AS hour, zone_offset_s FROM fresh WHERE minutes = 0
"""  # noqa: S608 - names of our own tables and columns
"""Gives the hours that have no minute any more."""

DELETE_HOURS = """
DELETE FROM hour_rollups
USING unnest(%(families)s::uuid[], %(children)s::text[], %(hours)s::timestamptz[], %(offsets)s::int4[])
  AS gone (family_id, child_id, time, zone_offset_s)
WHERE hour_rollups.family_id = gone.family_id AND hour_rollups.child_id = gone.child_id
  AND hour_rollups.time = gone.time AND hour_rollups.zone_offset_s = gone.zone_offset_s
"""


class Mark(NamedTuple):
    """An hour UTC of a child that must be summed up."""

    family: UUID
    child: str
    hour: datetime


async def begin(connection: Connection) -> None:
    """Makes everything after it in the transaction see one state of the database, and keeps retention from running beside it."""
    await connection.execute(SNAPSHOT)
    await connection.execute(KEEP_RETENTION_OUT)


async def take_turn(connection: Connection, shard: int) -> bool:
    """Whether this transaction may sum up the shard: one at a time does."""
    row = await (await connection.execute(TAKE_TURN, {"shard": shard})).fetchone()
    return row is not None and bool(row["mine"])


async def take_marks(connection: Connection, shard: int, limit: int) -> list[Mark]:
    """Takes the marks of at most `limit` hours away, the newest first, and confines the transaction to their families."""
    cursor = await connection.execute(TAKE_MARKS, {"shard": shard, "limit": limit})
    marks = {Mark(row["family_id"], row["child_id"], row["hour"]) for row in await cursor.fetchall()}
    families = {mark.family for mark in marks}
    await connection.execute(SEE, {"families": "{%s}" % ",".join(map(str, families))})
    return sorted(marks)


async def sum_up(connection: Connection, marks: Sequence[Mark]) -> None:
    """Writes the minutes of the marked hours anew, then the local hours that they touch."""
    dropped = await (await connection.execute(DROPPED)).fetchone()
    assert dropped is not None
    found = await (await connection.execute(MINUTES, dropped | _columns(marks))).fetchall()
    gone = [Mark(row["family_id"], row["child_id"], row["minute"]) for row in found if row["minute"]]
    if gone:
        await connection.execute(DELETE_MINUTES, _columns(gone))
    touched = _local([row for row in found if row["hour"]])
    empty = await (await connection.execute(HOURS, dropped | touched)).fetchall()
    if empty:
        await connection.execute(DELETE_HOURS, _local(empty))


def _local(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    columns = _columns([Mark(row["family_id"], row["child_id"], row["hour"]) for row in rows])
    return columns | {"offsets": [row["zone_offset_s"] for row in rows]}


def _columns(marks: Sequence[Mark]) -> dict[str, Any]:
    return {
        "families": [mark.family for mark in marks],
        "children": [mark.child for mark in marks],
        "hours": [mark.hour for mark in marks],
    }
