"""All of ingest's SQL. Rows go in by columns: one statement a kind, arrays in, `INSERT … SELECT FROM unnest`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.rows import tuple_row

from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.ingest.decide import BootKey, Kept, Wearers, Worn
from zenmoon_cloud.ingest.fields import microseconds
from zenmoon_cloud.ingest.kinds import KINDS, MEASURED, Kind
from zenmoon_cloud.ingest.ledger import Ranges, literal, parse

WORN = """
SELECT device, child_id, zone, lower(worn), NULLIF(upper(worn), 'infinity')
FROM wearable_assignments JOIN children ON children.family_id = wearable_assignments.family_id AND children.id = child_id
WHERE %(devices)s::int8[] IS NULL OR device = ANY (%(devices)s::int8[]) ORDER BY device, lower(worn) DESC
"""

MONITORING = """
SELECT child_id, at, granted FROM consents
WHERE purpose = 'monitoring' AND child_id = ANY (%s) ORDER BY child_id, version
"""

OPEN_BOOTS = """
INSERT INTO received (family_id, device, boot)
SELECT %(family)s, device, boot FROM unnest(%(devices)s::int8[], %(boots)s::int8[]) AS batch (device, boot)
ORDER BY device, boot
ON CONFLICT DO NOTHING
"""

LOCK_BOOTS = """
SELECT received.device, received.boot, (received.seqs * batch.seqs)::text, received.origin
FROM received
JOIN unnest(%(devices)s::int8[], %(boots)s::int8[], %(seqs)s::int8multirange[]) AS batch (device, boot, seqs)
  USING (device, boot)
WHERE received.family_id = %(family)s
ORDER BY received.device, received.boot
FOR UPDATE OF received
"""

# A withheld revision of what is stored is no key that was withheld.
EXTEND_BOOTS = """
UPDATE received SET seqs = received.seqs + batch.stored,
  withheld = received.withheld + batch.withheld - batch.stored - received.seqs
FROM unnest(%(devices)s::int8[], %(boots)s::int8[], %(stored)s::int8multirange[], %(withheld)s::int8multirange[])
  AS batch (device, boot, stored, withheld)
WHERE received.family_id = %(family)s AND received.device = batch.device AND received.boot = batch.boot
"""


def _kept(name: str, kind: Kind) -> str:
    """The look-up of one kind. OFFSET 0 keeps the planner from turning many short ones into a scan of every partition."""
    revision = "revision" if kind.revised else "0"
    time = "(extract(epoch FROM time) * 1000000)::int8" if kind.minute else "0"
    return f"""
SELECT '{name}' AS kind, kept.device, kept.boot, kept.seq, kept.revision, kept.payload, kept.time
FROM unnest(%(devices)s::int8[], %(boots)s::int8[], %(firsts)s::int8[], %(ends)s::int8[]) AS run (device, boot, first, "end")
CROSS JOIN LATERAL (
  SELECT device, boot, seq, {revision} AS revision, payload, {time} AS time FROM {kind.table} AS stored
  WHERE stored.family_id = %(family)s AND stored.device = run.device AND stored.boot = run.boot
    AND stored.seq >= run.first AND stored.seq < run."end" OFFSET 0
) AS kept"""  # noqa: S608 - names of our own tables


KEPT = " UNION ALL ".join(_kept(name, kind) for name, kind in KINDS.items())

MARK_HOURS = """
INSERT INTO dirty_hours (family_id, child_id, hour)
SELECT %(family)s, child_id, timestamptz 'epoch' + hour * interval '1 hour'
FROM unnest(%(children)s::text[], %(hours)s::int8[]) AS touched (child_id, hour)
"""

QUARANTINE = """
INSERT INTO quarantine (family_id, digest, code, detail, item, kind, device, boot, seq, batch_id, gateway_id, received_at)
SELECT %(family)s, digest, code, detail, item::jsonb, kind, device, boot, seq, %(batch)s, %(gateway)s, %(now)s
FROM unnest(%(digest)s::bytea[], %(code)s::text[], %(detail)s::text[], %(item)s::text[],
  %(kind)s::text[], %(device)s::int8[], %(boot)s::int8[], %(seq)s::int8[])
  AS refused (digest, code, detail, item, kind, device, boot, seq)
ORDER BY digest
ON CONFLICT DO NOTHING
"""

_MEASURED = tuple(field.name for field in MEASURED)
SQL_TYPES = (
    dict.fromkeys(("quality", "battery_pct", "posture_deg", "source", "code"), "int2")
    | dict.fromkeys(("counts", "zone_offset_s", "revision", "asleep_s", "awakenings"), "int4")
    | dict.fromkeys(_MEASURED, "real")
    | {"coverage": "float8", "efficiency": "float8", "nap": "boolean"}
)
"""Types of the columns that are not int8."""

EPOCH_TYPES = SQL_TYPES | dict.fromkeys(_MEASURED, "float8")
"""A mean has more digits than what it is the mean of."""

RENAMED = {
    "ts": ("time", "timestamptz 'epoch' + ts * interval '1 microsecond'"),
    "ended_at": ("ended_at", "timestamptz 'epoch' + ended_at * interval '1 microsecond'"),
    "utc_ms": ("utc", "timestamptz 'epoch' + utc_ms * interval '1 millisecond'"),
}
"""Field → column and the expression that fills it."""

RULES = """, row_number() OVER (PARTITION BY device, boot ORDER BY seq) = 1 AND NOT EXISTS (
  SELECT FROM anchors WHERE anchors.family_id = %(family)s AND anchors.device = batch.device
    AND anchors.boot = batch.boot AND anchors.rules)"""
"""The first committed anchor of a boot rules; the ledger row that is locked keeps two batches from both being first."""


def _insert(kind: str) -> str:
    """The statement that stores a kind; `child` counts from 1 within the array of children."""
    names = [field.name for field in KINDS[kind].fields]
    if KINDS[kind].zoned and "zone_offset_s" not in names:
        names.append("zone_offset_s")
    types = EPOCH_TYPES if kind == "epoch" else SQL_TYPES
    columns = ", ".join(RENAMED[name][0] if name in RENAMED else name for name in names)
    values = ", ".join(RENAMED[name][1] if name in RENAMED else name for name in names)
    arrays = ", ".join(f"%({name})s::{types.get(name, 'int8')}[]" for name in names)
    anchor = kind == "anchor"
    return f"""
INSERT INTO {KINDS[kind].table} (family_id, received_at, child_id, {columns}{", rules" if anchor else ""})
SELECT %(family)s, %(now)s, (%(children)s::text[])[child], {values}{RULES if anchor else ""}
FROM unnest(%(child)s::int4[], {arrays}) AS batch (child, {", ".join(names)})
"""  # noqa: S608 - names of our own tables and columns


INSERTS = {kind: _insert(kind) for kind in KINDS}


class Boot(NamedTuple):
    """A ledger row, locked.

    Attributes:
        held: what the ledger holds of the batch's sequence numbers.
        origin: UTC of tick 0 in microseconds where a re-anchoring has set it, else None.
    """

    held: Ranges
    origin: int | None


def array(values: Iterable[float | int | None]) -> str:
    """A column of numbers as PostgreSQL's array literal, several times faster than adapting a list value by value."""
    return "{%s}" % ",".join(["NULL" if value is None else repr(value) for value in values])


async def wearers(connection: Connection, devices: Iterable[int] | None = None) -> Wearers:
    """Who of the transaction's family wore `devices`, all of the family's when None, and what was said on monitoring."""
    cursor = connection.cursor(row_factory=tuple_row)
    worn: dict[int, list[Worn]] = {}
    zones: dict[str, str] = {}
    await cursor.execute(WORN, {"devices": None if devices is None else array(devices)})
    for device, child_id, zone, since, until in await cursor.fetchall():
        span = Worn(microseconds(since), None if until is None else microseconds(until), child_id)
        worn.setdefault(device, []).append(span)
        zones[child_id] = zone
    said: dict[str, list[tuple[int, bool]]] = {}
    if zones:
        await cursor.execute(MONITORING, [sorted(zones)])
        for child_id, at, granted in await cursor.fetchall():
            said.setdefault(child_id, []).append((microseconds(at), granted))
    return Wearers(worn, said, zones)


async def lock_boots(
    connection: Connection, family: object, seqs: Mapping[BootKey, Ranges], new: Iterable[BootKey]
) -> dict[BootKey, Boot]:
    """Locks the ledger rows of a batch in one order for everybody, so that batches wait and never deadlock.

    Args:
        connection: a transaction of the family.
        family: its id.
        seqs: for each boot in the batch its sequence numbers.
        new: boots that get a row if they have none.

    Returns:
        Every boot of `seqs` that has a row.
    """
    opened = sorted(new)
    if opened:
        arguments = {"family": family, "devices": array(d for d, _ in opened), "boots": array(b for _, b in opened)}
        await connection.execute(OPEN_BOOTS, arguments)
    boots = sorted(seqs)
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(
        LOCK_BOOTS,
        {
            "family": family,
            "devices": array(device for device, _ in boots),
            "boots": array(boot for _, boot in boots),
            "seqs": [literal(seqs[boot]) for boot in boots],
        },
    )
    return {
        (device, boot): Boot(parse(held), None if origin is None else microseconds(origin))
        for device, boot, held, origin in await cursor.fetchall()
    }


async def extend_boots(
    connection: Connection, family: object, stored: Mapping[BootKey, Ranges], withheld: Mapping[BootKey, Ranges]
) -> None:
    """Adds to the ledger what was stored, and to its count of what consent withheld."""
    boots = sorted(stored.keys() | withheld.keys())
    await connection.execute(
        EXTEND_BOOTS,
        {
            "family": family,
            "devices": array(device for device, _ in boots),
            "boots": array(boot for _, boot in boots),
            "stored": [literal(stored.get(boot, [])) for boot in boots],
            "withheld": [literal(withheld.get(boot, [])) for boot in boots],
        },
    )


async def kept(
    connection: Connection, family: object, runs: Sequence[tuple[BootKey, int, int]]
) -> dict[tuple[int, int, int], Kept]:
    """What is stored by (device, boot, seq), of several revisions the highest; a key that retention has dropped is absent.

    Args:
        connection: a transaction of the family.
        family: its id.
        runs: boot, first sequence number and the one after the last.
    """
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(
        KEPT,
        {
            "family": family,
            "devices": array(boot[0] for boot, _, _ in runs),
            "boots": array(boot[1] for boot, _, _ in runs),
            "firsts": array(first for _, first, _ in runs),
            "ends": array(end for _, _, end in runs),
        },
    )
    newest: dict[tuple[int, int, int], Kept] = {}
    for kind, device, boot, seq, revision, payload, time in await cursor.fetchall():
        found = newest.get((device, boot, seq))
        if found is None or found.revision < revision:
            newest[device, boot, seq] = Kept(kind, revision, payload, time)
    return newest


async def insert(
    connection: Connection,
    family: object,
    kind: str,
    values: Mapping[str, Sequence[Any]],
    *,
    children: Sequence[str],
    now: datetime,
) -> None:
    """Stores the rows of one kind.

    Args:
        connection: a transaction of the family.
        family: its id.
        kind: name of the kind.
        values: field → column, as `validate` reads them.
        children: for each row the child.
        now: arrival time on the cloud's clock.
    """
    distinct = sorted(set(children))
    number = {child_id: at for at, child_id in enumerate(distinct, 1)}
    arrays = {name: array(column) for name, column in values.items()}
    arguments: dict[str, Any] = arrays | {"child": array(number[child_id] for child_id in children)}
    await connection.execute(INSERTS[kind], arguments | {"family": family, "now": now, "children": distinct})


async def mark_hours(connection: Connection, family: object, hours: Iterable[tuple[str, int]]) -> None:
    """Leaves a mark for each child and hour (whole hours since 1970 UTC) that must be summed up again."""
    touched = sorted(hours)
    children = [child_id for child_id, _ in touched]
    await connection.execute(MARK_HOURS, {"family": family, "children": children, "hours": array(hour for _, hour in touched)})


async def quarantine(
    connection: Connection, family: object, rows: Mapping[str, Sequence[Any]], *, gateway: str, batch: str, now: datetime
) -> None:
    """Keeps refused items for a person to look at; one that is there already is not kept twice."""
    await connection.execute(QUARANTINE, {"family": family, "gateway": gateway, "batch": batch, "now": now} | dict(rows))
