"""Weekly partitions and their retention."""

import logging
from datetime import UTC, datetime, timedelta
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncConnection

from zenmoon_cloud.database.catalogue import TABLES
from zenmoon_cloud.database.pool import Database

logger = logging.getLogger(__name__)

AHEAD = timedelta(weeks=8)
"""How far weeks are created ahead. A row whose week is missing lies in the default partition, so nothing hangs on this."""

RENEW = timedelta(weeks=4)
"""Weeks are created again when fewer than this lie ahead."""

RETRY = timedelta(minutes=1)
"""After a failure the default partition takes the rows until this has passed."""

GRACE = timedelta(days=1)
"""What was still taken as young enough is summed up before it goes, also by a worker that was away for some hours."""

WEEKLY = tuple(name for name, table in TABLES.items() if table.owner == "series" and table.retention)
"""Tables in weekly partitions."""

_covered: WeakKeyDictionary[Database, datetime] = WeakKeyDictionary()


def oldest_kept(now: datetime, table: str = "wellness_metrics") -> datetime:
    """Observations before this time are no longer taken, and may have been dropped.

    Raises:
        ValueError: the catalogue gives the table no retention.
    """
    retention = TABLES[table].retention
    if retention is None:
        raise ValueError(f"the catalogue gives {table} no retention, and without one the table grows for ever")
    return now - retention


async def ensure_weeks(database: Database, now: datetime) -> None:
    """Creates the partitions from retention to `AHEAD`; nearly always it finds that they are there and costs nothing."""
    if _covered.get(database, now) >= now + RENEW:
        return
    try:
        async with database.ingest.connection() as connection:
            for table in WEEKLY:
                # A transaction each: locks on two tables could meet those of a writer in the other order.
                async with connection.transaction():
                    await connection.execute("SELECT ensure_weeks_of(%s, %s, %s)", [table, oldest_kept(now, table), now + AHEAD])
    except psycopg.Error as error:
        logger.warning("weeks were not created, rows go to the default partition: %s", type(error).__name__)
        _covered[database] = now + RENEW + RETRY
    else:
        _covered[database] = now + AHEAD


async def retire(database: Database, now: datetime) -> dict[str, int]:
    """Retention of every weekly table by the catalogue: drops the weeks that ended long enough ago.

    Whole weeks go, from the default partitions too, so that no minute is left in parts. The ledger keeps the keys: a record sent
    again answers `duplicate` and does not come back.

    Args:
        database: the pools; the role `worker` may have it done, but not of the last days.
        now: the cloud's clock.

    Returns:
        How many partitions of each table went.
    """
    dropped = {}
    for table in WEEKLY:
        async with database.worker.connection() as connection:
            monday = _week_of(oldest_kept(now, table) - GRACE)
            row = await (await connection.execute("SELECT drop_weeks(%s, %s) AS dropped", [table, monday])).fetchone()
            assert row is not None
            dropped[table] = int(row["dropped"])
    return dropped


def _week_of(moment: datetime) -> datetime:
    """The begin of the week UTC that `moment` lies in."""
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


async def drop_before(connection: AsyncConnection[object], oldest: datetime) -> int:
    """Retention: drops the weeks that ended before `oldest` and notes it for live cursors.

    The ledger keeps the keys, so that a record sent again answers `duplicate` and does not come back.

    Args:
        connection: of the tables' owner or a superuser; the service's own roles may not drop.
        oldest: with a zone.

    Returns:
        How many partitions went.
    """
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.execute("SET LOCAL ROLE zenmoon_owner")
        await cursor.execute("SELECT drop_before(%s) AS dropped", [oldest])
        row: object = await cursor.fetchone()
    return int(next(iter(row.values())) if isinstance(row, dict) else row[0])  # type: ignore[index]
