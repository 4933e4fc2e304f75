"""Moving a boot in time: the anchor that ruled was wrong, a person says so, and the whole boot moves or nothing does.

Rows of partitioned tables are deleted and inserted in one statement, because a partition key cannot be updated everywhere. The
ledger's numbers are not touched, and the role that does this could not. Moved rows keep their place in the live order: nobody gets
them again.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from zenmoon_cloud.database import Database
from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.identity import Guardian, audit
from zenmoon_cloud.ingest.decide import AHEAD_US
from zenmoon_cloud.ingest.fields import MICROSECOND
from zenmoon_cloud.problems import NotFound, Problem
from zenmoon_cloud.series.weeks import oldest_kept

MOVED_BY_INSERT = {
    "wellness_metrics": (
        "quality, heart_rate_bpm, rmssd_ms, eda_us, eda_phasic_us, temperature_c, motion_g, stress_level, anomaly, battery_pct,"
        " transaction_id"
    ),
    "motion_epochs": "quality, counts, posture_deg",
}
MOVED_BY_UPDATE = ("anchors", "device_events", "device_health")

LOCK = "SELECT origin FROM received WHERE family_id = %(family)s AND device = %(device)s AND boot = %(boot)s FOR UPDATE"

ANCHOR = """
SELECT utc - tick_ms * interval '1 millisecond' AS origin FROM anchors
WHERE family_id = %(family)s AND device = %(device)s AND boot = %(boot)s AND seq = %(seq)s
"""

BOOT = "family_id = %(family)s AND device = %(device)s AND boot = %(boot)s"

ALL_TICKS = " UNION ALL ".join(
    f"SELECT device, tick_ms FROM {table} WHERE {BOOT}"  # noqa: S608 - names of our own tables
    for table in (*MOVED_BY_INSERT, *MOVED_BY_UPDATE)
)

CHECK = f"""
SELECT min(at) AS first, max(at) AS last,
  count(*) FILTER (WHERE child_id IS NULL) AS unassigned,
  count(*) FILTER (WHERE child_id IS NOT NULL AND granted IS NOT TRUE) AS withheld
FROM (SELECT device, %(origin)s + tick_ms * interval '1 millisecond' AS at FROM ({ALL_TICKS}) AS ticks) AS moved
LEFT JOIN wearable_assignments AS worn ON worn.family_id = %(family)s AND worn.device = moved.device AND worn.worn @> at
LEFT JOIN LATERAL (
  SELECT granted FROM consents
  WHERE consents.family_id = %(family)s AND consents.child_id = worn.child_id AND purpose = 'monitoring' AND consents.at <= moved.at
  ORDER BY version DESC LIMIT 1) AS said ON true
"""  # noqa: S608 - names of our own tables

WEARER = """
JOIN LATERAL (SELECT %(origin)s + moved.tick_ms * interval '1 millisecond' AS at) AS event ON true
JOIN wearable_assignments AS worn ON worn.family_id = moved.family_id AND worn.device = moved.device AND worn.worn @> event.at
JOIN children ON children.family_id = moved.family_id AND children.id = worn.child_id
"""

OFFSET = "extract(epoch FROM (event.at AT TIME ZONE children.zone) - (event.at AT TIME ZONE 'UTC'))::int4"


def _move(table: str, values: str) -> str:
    kept = f"family_id, device, boot, seq, tick_ms, payload, received_at, firmware, model, {values}"
    taken = ", ".join(f"moved.{name.strip()}" for name in kept.split(","))
    zone, offset = (", zone_offset_s", f", {OFFSET}") if table == "wellness_metrics" else ("", "")
    return f"""
WITH moved AS (DELETE FROM {table} WHERE {BOOT} RETURNING *)
INSERT INTO {table} (child_id, time, {kept}{zone})
SELECT worn.child_id, event.at, {taken}{offset} FROM moved {WEARER}
"""  # noqa: S608 - names of our own tables and columns


def _update(table: str) -> str:
    return f"""
UPDATE {table} SET time = event.at, child_id = worn.child_id
FROM {table} AS moved {WEARER}
WHERE {table}.family_id = %(family)s AND {table}.device = %(device)s AND {table}.boot = %(boot)s
  AND (moved.family_id, moved.device, moved.boot, moved.seq) = ({table}.family_id, {table}.device, {table}.boot, {table}.seq)
"""  # noqa: S608 - names of our own tables


MOVES = {table: _move(table, values) for table, values in MOVED_BY_INSERT.items()} | {
    table: _update(table) for table in MOVED_BY_UPDATE
}

OUTSIDE = "the boot would lie outside the time that is kept"

SET_ORIGIN = f"UPDATE received SET origin = %(origin)s WHERE {BOOT}"  # noqa: S608 - no value among it


class Boot(NamedTuple):
    """Which boot is moved; `device` is the database's int8."""

    family: UUID
    device: int
    boot: int


async def reanchor(
    database: Database, who: Guardian, boot: Boot, *, anchor_seq: int | None, origin: datetime | None, reason: str, now: datetime
) -> tuple[datetime, dict[str, int]]:
    """Moves every row of a boot to `origin` + its tick, and whatever arrives of this boot later.

    Args:
        database: the pools; the role `reanchor` moves.
        who: the operator, for the audit log.
        boot: which one.
        anchor_seq: number of a stored anchor of the boot that gives the origin; else `origin` does.
        origin: UTC of tick 0.
        reason: why, for the audit log: a word, no personal data.
        now: the cloud's clock.

    Returns:
        The origin and how many rows of each table moved.

    Raises:
        NotFound: the boot or the anchor is not known.
        Problem: 409 when a row would come to lie where nobody wore the device or monitoring was not agreed to, or outside
            the time that is kept. Nothing has moved then.
    """
    arguments: dict[str, Any] = {**boot._asdict(), "seq": anchor_seq, "origin": origin}
    async with database.family([boot.family], role="reanchor") as connection:
        before = await _one(connection, LOCK, arguments)
        if before is None:
            raise NotFound("boot", "Check family, device and boot.")
        try:
            if anchor_seq is not None:
                anchor = await _one(connection, ANCHOR, arguments)
                if anchor is None:
                    raise NotFound("anchor", "Check the number: it must be a stored anchor of this boot.")
                arguments["origin"] = anchor["origin"]
            await _check(connection, arguments, now)
        except psycopg.DataError:  # a time before the year 1 or after 9999
            raise _refused(OUTSIDE) from None
        moved = {table: (await connection.execute(move, arguments)).rowcount for table, move in MOVES.items()}
        await connection.execute(SET_ORIGIN, arguments)
        subject = {
            "device": f"{boot.device & 0xFFFFFFFFFFFFFFFF:016x}",
            "boot": boot.boot,
            "anchor_seq": anchor_seq,
            "origin": arguments["origin"].isoformat(),
            "origin_before": before["origin"] and before["origin"].isoformat(),
            "moved": moved,
            "reason": reason,
        }
        await audit.record(connection, boot.family, who, "boot.reanchored", subject)
    return arguments["origin"], moved


async def _check(connection: Connection, arguments: dict[str, Any], now: datetime) -> None:
    found = await _one(connection, CHECK, arguments)
    assert found is not None
    if found["first"] is None:
        return
    if found["first"] < oldest_kept(now) or found["last"] > now + AHEAD_US * MICROSECOND:
        raise _refused(OUTSIDE)
    if found["unassigned"]:
        raise _refused(f"{found['unassigned']} rows would lie where no child of the family wore the device")
    if found["withheld"]:
        raise _refused(f"{found['withheld']} rows would lie where monitoring was not agreed to")


def _refused(why: str) -> Problem:
    return Problem(409, "cannot-reanchor", "Cannot re-anchor", f"Nothing was moved: {why}. Choose another anchor or origin.")


async def _one(connection: Connection, statement: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    return await (await connection.execute(statement, arguments)).fetchone()
