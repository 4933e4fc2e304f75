"""Families in eight shards: background work is one job a shard, never one a child."""

from collections.abc import AsyncIterator
from uuid import UUID

from zenmoon_cloud.database.pool import Database

ROLE = "worker"

SHARDS = 8
"""Jobs that may work beside each other. Migration 0004 indexes the same expression; another count needs another index."""

SHARD = "(hashtextextended(family_id::text, 0) & 7)"
"""SQL: the shard, 0 to 7, of the row's family."""

PAGE = 500

FAMILIES = f"""
SELECT DISTINCT family_id FROM memberships WHERE {SHARD} = %(shard)s AND family_id > %(after)s ORDER BY family_id LIMIT %(limit)s
"""  # noqa: S608 - our own expression


async def families_of(database: Database, shard: int, *, page: int = PAGE) -> AsyncIterator[list[UUID]]:
    """Give the families of a shard, at most `page` at a time, in the order of their ids.

    No transaction stays open between two pages; a family that registers meanwhile may be missed until the next job.
    """
    after = UUID(int=0)
    while True:
        async with database.worker.connection() as connection:
            cursor = await connection.execute(FAMILIES, {"shard": shard, "after": after, "limit": page})
            families = [row["family_id"] for row in await cursor.fetchall()]
        if families:
            yield families
        if len(families) < page:
            return
        after = families[-1]
