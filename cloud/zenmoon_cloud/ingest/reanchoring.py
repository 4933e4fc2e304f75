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
from zenmoon_cloud.ingest.kinds import KINDS, MEASURED, oldest_taken
from zenmoon_cloud.problems import NotFound, Problem

_MEASURED = ", ".join(field.name for field in MEASURED)
MOVED_BY_INSERT = {
    "record": f"quality, {_MEASURED}, battery_pct, transaction_id",
    "motion30": "quality, counts, posture_deg",
    "epoch": f"revision, coverage, quality, {_MEASURED}",
    "sleep": "revision, asleep_s, awakenings, efficiency, nap",
}
MOVED_BY_UPDATE = ("anchor", "event", "health")

LOCK = "SELECT origin FROM received WHERE family_id = %(family)s AND device = %(device)s AND boot = %(boot)s FOR UPDATE"

ANCHOR = """
SELECT utc - tick_ms * interval '1 millisecond' AS origin FROM anchors
WHERE family_id = %(family)s AND device = %(device)s AND boot = %(boot)s AND seq = %(seq)s
"""

BOOT = "family_id = %(family)s AND device = %(device)s AND boot = %(boot)s"

HOURS = " UNION ".join(
    f"SELECT family_id, child_id, date_trunc('hour', time, 'UTC') FROM {kind.table} WHERE {BOOT}"  # noqa: S608 - names of our own tables
    for kind in KINDS.values()
    if kind.summed
)

MARK_HOURS = f"INSERT INTO dirty_hours (family_id, child_id, hour) {HOURS}"
"""Run before and after the move: the hours that rows leave and those that they come to."""


def _at(kind: str, row: str) -> str:
    """Where a row lies once the boot has moved; an epoch goes to the minute that it then begins in."""
    at = f"%(origin)s + {row}.tick_ms * interval '1 millisecond'"
    return f"date_trunc('minute', {at}, 'UTC')" if KINDS[kind].minute else at


ROWS = " UNION ALL ".join(
    f"SELECT device, {_at(name, kind.table)} AS at, %({name})s::timestamptz AS oldest FROM {kind.table} WHERE {BOOT}"  # noqa: S608 - names of our own tables
    for name, kind in KINDS.items()
)

CHECK = f"""
SELECT count(*) AS rows, max(at) AS last, count(*) FILTER (WHERE at < oldest) AS forgotten,
  count(*) FILTER (WHERE child_id IS NULL) AS unassigned,
  count(*) FILTER (WHERE child_id IS NOT NULL AND granted IS NOT TRUE) AS withheld
FROM ({ROWS}) AS moved
LEFT JOIN wearable_assignments AS worn ON worn.family_id = %(family)s AND worn.device = moved.device AND worn.worn @> at
LEFT JOIN LATERAL (
  SELECT granted FROM consents
  WHERE consents.family_id = %(family)s AND consents.child_id = worn.child_id AND purpose = 'monitoring' AND consents.at <= moved.at
  ORDER BY version DESC LIMIT 1) AS said ON true
"""  # noqa: S608 - names of our own tables


def _wearer(kind: str) -> str:
    return f"""
JOIN LATERAL (SELECT {_at(kind, "moved")} AS at) AS event ON true
JOIN wearable_assignments AS worn ON worn.family_id = moved.family_id AND worn.device = moved.device AND worn.worn @> event.at
JOIN children ON children.family_id = moved.family_id AND children.id = worn.child_id
"""


def _offset(time: str) -> str:
    return f"extract(epoch FROM ({time} AT TIME ZONE children.zone) - ({time} AT TIME ZONE 'UTC'))::int4"


# A source that said where the child was is believed; who did not say gets where the child lives, at the new time.
TRAVELLED = f"""CASE WHEN moved.zone_offset_s IS DISTINCT FROM {_offset("moved.time")} THEN moved.zone_offset_s
  ELSE {_offset("event.at")} END"""

MOVED_WITH = {
    "record": {"zone_offset_s": _offset("event.at")},
    "epoch": {"zone_offset_s": TRAVELLED},
    "sleep": {"zone_offset_s": TRAVELLED, "ended_at": "moved.ended_at + (event.at - moved.time)"},
}
"""Columns that the move changes beside time and child, by kind."""


def _move(kind: str) -> str:
    table, values = KINDS[kind].table, MOVED_BY_INSERT[kind]
    kept = f"family_id, device, boot, seq, tick_ms, payload, received_at, firmware, model, {values}"
    taken = ", ".join(f"moved.{name.strip()}" for name in kept.split(","))
    changed = MOVED_WITH.get(kind, {})
    names = "".join(f", {name}" for name in changed)
    return f"""
WITH moved AS (DELETE FROM {table} WHERE {BOOT} RETURNING *)
INSERT INTO {table} (child_id, time, {kept}{names})
SELECT worn.child_id, event.at, {", ".join((taken, *changed.values()))} FROM moved {_wearer(kind)}
"""  # noqa: S608 - names of our own tables and columns


def _update(kind: str) -> str:
    table = KINDS[kind].table
    return f"""
UPDATE {table} SET time = event.at, child_id = worn.child_id
FROM {table} AS moved {_wearer(kind)}
WHERE {table}.family_id = %(family)s AND {table}.device = %(device)s AND {table}.boot = %(boot)s
  AND (moved.family_id, moved.device, moved.boot, moved.seq) = ({table}.family_id, {table}.device, {table}.boot, {table}.seq)
"""  # noqa: S608 - names of our own tables


MOVES = {KINDS[kind].table: _move(kind) for kind in MOVED_BY_INSERT} | {
    KINDS[kind].table: _update(kind) for kind in MOVED_BY_UPDATE
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
        await connection.execute(MARK_HOURS, arguments)
        moved = {table: (await connection.execute(move, arguments)).rowcount for table, move in MOVES.items()}
        await connection.execute(MARK_HOURS, arguments)
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
    found = await _one(connection, CHECK, arguments | {kind: oldest_taken(kind, now) for kind in KINDS})
    assert found is not None
    if not found["rows"]:
        return
    if found["forgotten"] or found["last"] > now + AHEAD_US * MICROSECOND:
        raise _refused(OUTSIDE)
    if found["unassigned"]:
        raise _refused(f"{found['unassigned']} rows would lie where no child of the family wore the device")
    if found["withheld"]:
        raise _refused(f"{found['withheld']} rows would lie where monitoring was not agreed to")


def _refused(why: str) -> Problem:
    return Problem(409, "cannot-reanchor", "Cannot re-anchor", f"Nothing was moved: {why}. Choose another anchor or origin.")


async def _one(connection: Connection, statement: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    return await (await connection.execute(statement, arguments)).fetchone()
