"""A client that comes back with its cursor: what it missed, or an honest word that it was away too long."""

from collections.abc import AsyncIterator, Collection
from typing import Literal
from uuid import UUID

from zenmoon_cloud.database import Database
from zenmoon_cloud.series import store
from zenmoon_cloud.series.cursor import Cursor
from zenmoon_cloud.series.live import ROWS, Run, runs
from zenmoon_cloud.series.record import cursor_of

RECORDS = 5_000
"""Most records that are caught up: over five hours of one child. Beyond that the series query is the better way."""

TRANSACTIONS = 20_000
"""Most transactions, of every family, between a cursor and now: it bounds the search, whoever wrote the cursor."""

Gap = Literal["cursor_unknown", "cursor_too_old"]


async def gap(database: Database, families: Collection[UUID], cursor: str, start: Cursor) -> Cursor | Gap:
    """The place to catch up from, or why a client cannot.

    Args:
        database: the pools.
        families: whose records the client gets.
        cursor: what the client sent.
        start: from where on it gets live records.
    """
    try:
        after = Cursor.parse(cursor)
    except ValueError:
        return "cursor_unknown"
    if after > start:  # of another database, or of this one before it was restored
        return "cursor_unknown"
    if start.transaction - after.transaction > TRANSACTIONS:
        return "cursor_too_old"
    async with database.family(families) as connection:
        if await store.dropped_after(connection, after.transaction):
            return "cursor_too_old"
        if await store.behind(connection, families, after, start.transaction + 1, RECORDS + 1) > RECORDS:
            return "cursor_too_old"
    return after


async def missed(database: Database, families: Collection[UUID], after: Cursor, start: Cursor) -> AsyncIterator[Run]:
    """Everything after `after` up to `start`, in the order of commits."""
    while after < start:
        async with database.family(families) as connection:
            rows = await store.committed(connection, families, after, start.transaction + 1, ROWS)
        for run in runs(row for row in rows if cursor_of(row) <= start):
            yield run
        if len(rows) < ROWS:
            return
        after = cursor_of(rows[-1])
