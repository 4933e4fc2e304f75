"""Summing up: marked hours become minutes and local hours.

Whoever stores or moves an observation leaves a mark in the same transaction. A mark is taken away in the transaction that sums
its hour up, and both see one snapshot: an observation that commits meanwhile is not in it and neither is its mark, which stays
for the next time. What is written follows from the observations alone, so it does not matter how often or in which order.
"""

import logging

from psycopg.errors import DeadlockDetected, SerializationFailure

from zenmoon_cloud.database.pool import Database
from zenmoon_cloud.series import rollup_store as store

logger = logging.getLogger(__name__)

HOURS = 500
"""Hours a transaction: at most 450 000 records, a second or two."""

BATCHES = 200
"""Transactions a run. What is left then waits for the next one, so that a run ends whatever comes in."""

ATTEMPTS = 5
"""Of one transaction, when another has changed the same rows."""


async def roll(database: Database, shard: int, *, hours: int = HOURS, batches: int = BATCHES) -> int:
    """Sums up the marked hours of a shard of families.

    Args:
        database: the pools; the role `worker` sums up.
        shard: which families, 0 to 7.
        hours: most of a transaction.
        batches: most transactions.

    Returns:
        How many hours were summed up.
    """
    rolled = 0
    for _ in range(batches):
        batch = await _persist(database, shard, hours)
        rolled += batch
        if batch < hours:
            break
    return rolled


async def _persist(database: Database, shard: int, hours: int) -> int:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await _batch(database, shard, hours)
        except (SerializationFailure, DeadlockDetected) as error:
            logger.info("shard %s is summed up again: %s", shard, type(error).__name__)
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


async def _batch(database: Database, shard: int, hours: int) -> int:
    async with database.worker.connection() as connection, connection.transaction():
        await store.begin(connection)
        if not await store.take_turn(connection, shard):
            return 0
        marks = await store.take_marks(connection, shard, hours)
        if marks:
            await store.sum_up(connection, marks)
    return len(marks)
