"""A client that comes back with its cursor: what it missed, or an honest word that it was away too long."""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Literal
from uuid import UUID

from zenmoon_cloud.database import Database
from zenmoon_cloud.series import live_store
from zenmoon_cloud.series.cursor import Cursor
from zenmoon_cloud.series.live import Notice, Run, Source, read

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
        if await live_store.dropped_after(connection, after.transaction):
            return "cursor_too_old"
        if await live_store.behind(connection, families, after, start.transaction + 1, RECORDS + 1) > RECORDS:
            return "cursor_too_old"
    return after


async def missed(
    database: Database, families: Collection[UUID], sources: Sequence[Source], after: Cursor, start: Cursor
) -> AsyncIterator[Run | Notice]:
    """Everything after `after` up to `start`, in the order of commits; no transaction stays open while a client reads."""
    while after < start:
        async with database.family(families) as connection:
            news, after = await read(connection, families, sources, after, start)
        for piece in news:
            yield piece
