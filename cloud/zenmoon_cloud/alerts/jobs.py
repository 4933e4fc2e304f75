"""Background work of alarms: the limits are learned anew each night, and soon after a child's first days."""

from zenmoon_cloud.alerts.learning import learn
from zenmoon_cloud.database.queue import RETRY, Blueprint, Work, families_of, per_shard
from zenmoon_cloud.settings import now

FAMILIES = 50
"""Learned at once: two weeks of a hundred children are two million minutes, seconds of one query."""

blueprint = Blueprint()


@per_shard(blueprint, cron="40 1 * * *", retry=RETRY)
async def learn_limits(work: Work, shard: int) -> None:
    """Learn every child's limit anew; at night, because a rule whose limit changes begins to look anew."""
    await _learn(work, shard, first=False)


@per_shard(blueprint, cron="*/5 * * * *")
async def learn_first_limits(work: Work, shard: int) -> None:
    """Learn the limits of children whose first days have come together, or whose history has just arrived."""
    await _learn(work, shard, first=True)


async def _learn(work: Work, shard: int, *, first: bool) -> None:
    async for families in families_of(work.database, shard, page=FAMILIES):
        await learn(work.database, families, now(work.clock), first=first)
