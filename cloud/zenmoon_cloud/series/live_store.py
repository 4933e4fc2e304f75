"""SQL of the live view: how far the order of commits is settled, what lies between two cursors, announcements."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.series.cursor import Cursor
from zenmoon_cloud.series.record import IDENTITY, METRICS

CHANNEL = "zenmoon_live"

CHILDREN = "SELECT id FROM children WHERE family_id = ANY (%(families)s::uuid[]) ORDER BY id"

HORIZON = """
SELECT pg_snapshot_xmin(snapshot)::text::int8 AS horizon, pg_snapshot_xmax(snapshot)::text::int8 AS next
FROM pg_current_snapshot() AS snapshot
"""

# Named twice, as a bound for the index and as a row for the order within a transaction.
_BETWEEN = """
FROM wellness_metrics
WHERE family_id = ANY (%(families)s::uuid[])
  AND transaction_id >= %(transaction)s::text::xid8 AND transaction_id < %(end)s::text::xid8
  AND (transaction_id, device, boot, seq) > (%(transaction)s::text::xid8, %(device)s, %(boot)s, %(seq)s)
"""

COMMITTED = f"""
SELECT transaction_id::text::int8 AS transaction, family_id, child_id, time, {", ".join((*IDENTITY, *METRICS))}
{_BETWEEN} ORDER BY transaction_id, device, boot, seq LIMIT %(limit)s
"""

BEHIND = f"SELECT count(*) AS records FROM (SELECT 1 {_BETWEEN} LIMIT %(limit)s) AS missed"  # noqa: S608 - no value among it

DROPPED = "SELECT 1 FROM retention_marks WHERE transaction_id > %(transaction)s::text::xid8 LIMIT 1"

NOTIFY = f"SELECT pg_notify('{CHANNEL}', %(families)s)"


class Horizon(NamedTuple):
    """How far a reader may go.

    Attributes:
        end: every transaction before it has ended.
        settled: nothing later is still being written.
    """

    end: int
    settled: bool


async def children(connection: Connection, families: Iterable[object]) -> list[str]:
    """The children of `families`."""
    cursor = await connection.execute(CHILDREN, {"families": _array(families)})
    return [row["id"] for row in await cursor.fetchall()]


async def horizon(connection: Connection) -> Horizon:
    """How far the order of commits is settled."""
    row = await (await connection.execute(HORIZON)).fetchone()
    assert row is not None
    return Horizon(row["horizon"], row["horizon"] == row["next"])


async def committed(
    connection: Connection, families: Iterable[object], after: Cursor, end: int, limit: int
) -> Sequence[dict[str, Any]]:
    """Records of `families` in the order of commits, after `after` and before transaction `end`."""
    arguments = _between(families, after, end, limit)
    return await (await connection.execute(COMMITTED, arguments)).fetchall()


async def behind(connection: Connection, families: Iterable[object], after: Cursor, end: int, limit: int) -> int:
    """How many records lie between, counted no further than `limit`."""
    row = await (await connection.execute(BEHIND, _between(families, after, end, limit))).fetchone()
    assert row is not None
    return int(row["records"])


async def dropped_after(connection: Connection, transaction: int) -> bool:
    """Whether retention has dropped records written after `transaction`."""
    return await (await connection.execute(DROPPED, {"transaction": transaction})).fetchone() is not None


async def notify(connection: Connection, families: Sequence[object]) -> None:
    """Tells every listening process that the families have new records."""
    for at in range(0, len(families), 200):  # a payload holds 8 000 bytes
        await connection.execute(NOTIFY, {"families": ",".join(map(str, families[at : at + 200]))})


def _between(families: Iterable[object], after: Cursor, end: int, limit: int) -> dict[str, Any]:
    return after._asdict() | {"families": _array(families), "end": end, "limit": limit}


def _array(families: Iterable[object]) -> str:
    return "{%s}" % ",".join(map(str, families))
