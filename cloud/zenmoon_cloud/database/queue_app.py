"""The queue as the worker runs it: its connections, its housekeeping, and what becomes of jobs whose worker has died."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from procrastinate import App, Blueprint, JobContext, PsycopgConnector
from procrastinate.connector import Notify
from procrastinate.jobs import Job, Status
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from zenmoon_cloud.database.pool import WAIT_S, Database
from zenmoon_cloud.database.queue import RETRY
from zenmoon_cloud.database.queue_schema import DESCRIPTION, newest, recorded
from zenmoon_cloud.database.roles import login, password
from zenmoon_cloud.errors import CloudError

CONNECTIONS = 4
"""Of the queue itself, beside those of the jobs: fetching, finishing, heartbeat, what is due. Listening has one of its own."""

MADE_UP_FOR_S = 86_400.0
"""How late what is due may still be begun: a nightly job must not fall away because nothing ran at that minute."""

DEAD_AFTER_S = 30.0
"""A worker that was silent for so long has died, and its jobs begin again elsewhere."""

KEPT_H = 24 * 7
"""How long a job that failed stays to be looked at. One that succeeded goes at once: a sweep every few seconds leaves many."""

ONLY_ONE = "SELECT pg_try_advisory_xact_lock(hashtextextended('zenmoon forsaken jobs', 0)) AS mine"


class Connector(PsycopgConnector):
    """procrastinate's connections, which tell when the worker has come as far as to listen for new jobs."""

    def __init__(self, *, listening: Callable[[], None], **pool: Any) -> None:
        super().__init__(**pool)
        self._listening = listening

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Hear of new jobs until cancelled."""
        self._listening()
        await super().listen_notify(on_notification, channels)


def queue_of(url: str, *, secret: str, blueprints: Iterable[Blueprint], listening: Callable[[], None]) -> App:
    """Return the queue of a database, not opened yet.

    Args:
        url: URL of the database. User and password in it are not used.
        secret: What the passwords of the roles derive from.
        blueprints: Whose jobs it runs, beside its own housekeeping.
        listening: Called each time a worker begins to listen.
    """
    base = conninfo_to_dict(url)
    # procrastinate names none of its tables and functions with a schema.
    options = f"{base.get('options') or ''} -c search_path=queue,public".strip()
    address: dict[str, Any] = base | {"user": login("worker"), "password": password("worker", secret), "options": options}
    connector = Connector(
        listening=listening,
        conninfo=make_conninfo("", **address, application_name="zenmoon_queue", connect_timeout=5),
        min_size=1,
        max_size=CONNECTIONS,
        timeout=WAIT_S,
        name="queue",
    )
    queue = App(connector=connector, periodic_defaults={"max_delay": MADE_UP_FOR_S})
    for blueprint in (_housekeeping(), *blueprints):
        queue.add_tasks_from(blueprint, namespace="")  # tasks bear the full names of their functions
    return queue


async def require_schema(database: Database) -> None:
    """Raise CloudError ``queue-schema`` unless the queue's tables are those that the installed procrastinate works with."""
    async with database.worker.connection() as connection:
        row = await (await connection.execute(DESCRIPTION)).fetchone()
    found = recorded(row["description"]) if row else None
    if found != newest():
        raise CloudError(
            "queue-schema",
            f"The database holds procrastinate's schema of {found}, the installed procrastinate needs that of {newest()}. "
            "Install the procrastinate that this version of zenmoon-cloud was released with.",
        )


async def begin_again(queue: App, database: Database, running: Collection[int | None]) -> None:
    """Put back the jobs of workers that have died, so that their locks are free again.

    A job that comes back by itself when it is next due is only ended. One that was begun too often may be what kills workers.

    Args:
        queue: Opened.
        database: For a lock: of two workers that both saw a dead one, the second would put back what has begun again.
        running: Numbers of jobs that this process works on, however long its heartbeat was held up.
    """
    async with database.worker.connection() as connection, connection.transaction():
        row = await (await connection.execute(ONLY_ONE)).fetchone()
        if not row or not row["mine"]:
            return
        for job in await queue.job_manager.get_stalled_jobs(seconds_since_heartbeat=DEAD_AFTER_S):
            if job.id not in running:
                await _put_back(queue, job)


async def unfinished(queue: App, workers: Collection[int | None], running: Collection[int | None]) -> dict[int | None, Job]:
    """Return the jobs that the queue takes for running here and that are not: their end could not be written, or is being written.

    Args:
        queue: Opened.
        workers: Numbers under which this process has worked.
        running: Numbers of jobs that it works on.
    """
    begun = await queue.job_manager.list_jobs_async(status="doing")
    return {job.id: job for job in begun if job.worker_id in workers and job.id not in running}


async def put_back(queue: App, jobs: Iterable[Job]) -> None:
    """Let jobs whose end was never written begin again, so that their locks are free."""
    for job in jobs:
        await _put_back(queue, job)


async def _put_back(queue: App, job: Job) -> None:
    if job.queueing_lock is None and job.attempts < (RETRY.max_attempts or 0):
        await queue.job_manager.retry_job(job)
    else:
        await queue.job_manager.finish_job(job, status=Status.FAILED, delete_job=False)


def _housekeeping() -> Blueprint:
    blueprint = Blueprint()
    name = "zenmoon_cloud.database.queue_app.remove_old_jobs"

    @blueprint.periodic(cron="23 * * * *", lock=name, queueing_lock=name)
    @blueprint.task(name=name, pass_context=True)
    async def remove_old_jobs(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - when it was due
        await context.app.job_manager.delete_old_jobs(
            nb_hours=KEPT_H, include_failed=True, include_cancelled=True, include_aborted=True
        )

    return blueprint
