"""Background jobs: what a domain's `jobs.py` declares them with. Only the worker imports this, and with it procrastinate.

    blueprint = Blueprint()

    @per_shard(blueprint, cron="* * * * * */10")
    async def roll(work: Work, shard: int) -> None: ...

    @once(blueprint, cron="15 3 * * *", retry=RETRY)
    async def drop_old_weeks(work: Work) -> None: ...

`cron` is real time in UTC; a sixth, last field counts seconds. What was due in the last day while no worker ran is made up for at
the next start. Rules about a child's day ask `work.clock`, which a demo runs faster.

A job may be begun again after it was killed anywhere, so it is idempotent. It computes for long in a thread or a process only:
the loop that runs it also says that this worker is alive.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from procrastinate import Blueprint, JobContext, RetryStrategy
from procrastinate.tasks import Task
from zenmoon_edge.core.clock import Clock

from zenmoon_cloud.database.pool import Database
from zenmoon_cloud.database.shard_store import SHARD, SHARDS, families_of

__all__ = ["RETRY", "SHARD", "SHARDS", "Blueprint", "Work", "families_of", "once", "per_shard", "work_of"]

RETRY = RetryStrategy(max_attempts=5, exponential_wait=4)
"""After 4, 16, 64, 256 and 1024 s: for what is due hourly or less often. A job that is due again soon needs none."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a job works with.

    Attributes:
        database: Only the pool of the role `worker` is open: `database.family([…], role="worker")`.
        clock: Event time.
        announce: Tell the pages of these families, soon, that something was committed; call it after the commit.
    """

    database: Database
    clock: Clock
    announce: Callable[[Iterable[UUID]], None]


def work_of(context: JobContext) -> Work:
    """Return what the worker handed to a job."""
    work: Work = context.additional_context["work"]
    return work


Job = Callable[[Work], Awaitable[None]]
ShardJob = Callable[[Work, int], Awaitable[None]]


def per_shard(blueprint: Blueprint, *, cron: str, retry: RetryStrategy | None = None) -> Callable[[ShardJob], ShardJob]:
    """Declare work that is due for every shard of families; two jobs of one shard never run at once.

    Args:
        blueprint: The domain's.
        cron: When it is due.
        retry: When to try again after a failure; None: when it is next due. With it, the shard's later jobs wait meanwhile.
    """

    def declare(job: ShardJob) -> ShardJob:
        async def run(context: JobContext, timestamp: int, shard: int) -> None:  # noqa: ARG001 - when it was due
            await job(work_of(context), shard)

        task = _task(blueprint, job, run, retry)
        for shard in range(SHARDS):
            _due(blueprint, task, cron, shard=shard)
        return job

    return declare


def once(blueprint: Blueprint, *, cron: str, retry: RetryStrategy | None = None) -> Callable[[Job], Job]:
    """Declare work that is due once for the whole database; two such jobs never run at once. Arguments as of `per_shard`."""

    def declare(job: Job) -> Job:
        async def run(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - when it was due
            await job(work_of(context))

        _due(blueprint, _task(blueprint, job, run, retry), cron)
        return job

    return declare


def _task(
    blueprint: Blueprint, job: Callable[..., Any], run: Callable[..., Any], retry: RetryStrategy | None
) -> Task[Any, Any, Any]:
    name = f"{job.__module__}.{job.__qualname__}"
    blueprint.task(name=name, pass_context=True, retry=retry or False)(run)
    return blueprint.tasks[name]


def _due(blueprint: Blueprint, task: Task[Any, Any, Any], cron: str, **arguments: int) -> None:
    part = " ".join(map(str, arguments.values()))
    lock = f"{task.name} {part}".strip()
    # What is due often is not queued again while it waits, or a slow job would pile up. But a failed job that goes back to
    # the queue would meet its successor there, break that rule and keep its lock for ever: so one or the other.
    queueing_lock = None if task.retry_strategy else lock
    register = blueprint.periodic(cron=cron, periodic_id=part, lock=lock, queueing_lock=queueing_lock, task_kwargs=dict(arguments))
    register(task)
