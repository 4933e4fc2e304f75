"""Weekly partitions and their retention."""

import logging
from datetime import datetime, timedelta
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

_covered: WeakKeyDictionary[Database, datetime] = WeakKeyDictionary()


def oldest_kept(now: datetime) -> datetime:
    """Observations before this time may have been dropped."""
    retention = TABLES["wellness_metrics"].retention
    if retention is None:
        raise ValueError("the catalogue gives wellness_metrics no retention, and without one the table grows for ever")
    return now - retention


async def ensure_weeks(database: Database, now: datetime) -> None:
    """Creates the partitions from retention to `AHEAD`; nearly always it finds that they are there and costs nothing."""
    if _covered.get(database, now) >= now + RENEW:
        return
    try:
        async with database.ingest.connection() as connection:
            await connection.execute("SELECT ensure_weeks(%s, %s)", [oldest_kept(now), now + AHEAD])
    except psycopg.Error as error:
        logger.warning("weeks were not created, rows go to the default partition: %s", type(error).__name__)
        _covered[database] = now + RENEW + RETRY
    else:
        _covered[database] = now + AHEAD


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
