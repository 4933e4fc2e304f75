"""What the worker does for the series: it sums up, and drops what is kept no longer."""

from zenmoon_cloud.database.queue import RETRY, SHARDS, Blueprint, Work, once, per_shard
from zenmoon_cloud.series import rollup, weeks
from zenmoon_cloud.settings import now

blueprint = Blueprint()


@per_shard(blueprint, cron="* * * * * */10")
async def roll(work: Work, shard: int) -> None:
    """Sum up the hours of a shard that have new observations. Without marks it costs one look at an index."""
    await rollup.roll(work.database, shard)


@once(blueprint, cron="15 3 * * *", retry=RETRY)
async def retire(work: Work) -> None:
    """Drop the weeks of every table that retention no longer keeps; what was not summed up yet is, before it goes."""
    for shard in range(SHARDS):  # the first worker after a long time finds both due, and in any order
        await rollup.roll(work.database, shard)
    await weeks.retire(work.database, now(work.clock))
