"""Each child's own limit, learned from how its strain was in the last two weeks."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from zenmoon_cloud.alerts import learn_store
from zenmoon_cloud.alerts.rules import LEARNED_DAYS, learned
from zenmoon_cloud.database import Database


async def learn(database: Database, families: Sequence[UUID], now: datetime, *, first: bool = False) -> int:
    """Learns the limits of the families' children where no guardian has chosen one.

    Args:
        database: the pools; the role `worker` learns.
        families: at most a page of them: their minutes are read at once.
        now: the cloud's clock.
        first: only children for whom nothing was learned yet.

    Returns:
        How many limits are new.
    """
    count = 0
    async with database.family(families, role="worker") as connection:
        for row in await learn_store.usual(connection, families, since=now - timedelta(days=LEARNED_DAYS), now=now, first=first):
            limit = learned(row["quantile"], row["threshold"])
            if limit is not None:
                await learn_store.keep(connection, row, limit, now)
                count += 1
    return count
