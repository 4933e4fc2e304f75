"""The worker: one process that does in the background what is due. It composes and keeps going, nothing else."""

import asyncio
import contextlib
import logging
import signal
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psycopg
from procrastinate import Blueprint, JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job

from zenmoon_cloud.alerts import jobs as alerts
from zenmoon_cloud.database import Database
from zenmoon_cloud.database.queue import Work
from zenmoon_cloud.database.queue_app import DEAD_AFTER_S, begin_again, put_back, queue_of, require_schema, unfinished
from zenmoon_cloud.database.roles import secret_of
from zenmoon_cloud.errors import CloudError
from zenmoon_cloud.recommendations import jobs as recommendations
from zenmoon_cloud.series import jobs as series
from zenmoon_cloud.series.live import Announcer
from zenmoon_cloud.settings import Settings, clock_of

logger = logging.getLogger(__name__)

JOBS_AT_ONCE = 2

GRACE_S = 3.0
"""How long jobs may go on when the worker is told to end; then they are cancelled, and their statements with them."""

END_S = GRACE_S + 1.0
HURRY_S = (0.5, 0.5, 0.5)
"""Where it has not ended by then, the database does not answer: each step of an orderly end is cancelled in turn."""

BEAT_S = 5.0
"""Between two looks at whether the database answers and whether another worker has died."""

AGAIN_S = 1.0
CALM_S = 20.0
"""A worker that ran for so long has found its database again."""

PATIENCE_S = 60.0
"""After so long without calm the worker ends, so that whoever keeps it running starts it anew: the database may have moved."""

UNAVAILABLE = (psycopg.Error, ConnectorException)

BLUEPRINTS = (series.blueprint, alerts.blueprint, recommendations.blueprint)


async def work(settings: Settings, *, ready_file: Path | None = None, blueprints: Iterable[Blueprint] = BLUEPRINTS) -> None:
    """Do what is due until SIGTERM, SIGINT or a cancellation, then let running jobs end.

    Args:
        settings: With `database_url` of a migrated database.
        ready_file: Exists while the worker hears of jobs; touched whenever its database has answered.
        blueprints: Whose jobs.

    Raises:
        CloudError: ``no-database``, ``no-secret``, ``no-folder``, ``queue-schema``, or ``queue-lost`` when the database stays away.
    """
    _quieten()
    worker = Worker(settings, ready_file, blueprints)
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    going = asyncio.create_task(worker.keep_going(), name="keep going")
    waiting = asyncio.create_task(told.wait(), name="wait for a signal")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    try:
        await asyncio.wait({going, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        for patience in (END_S, *HURRY_S):
            if not going.done():
                going.cancel()
                await asyncio.wait({going}, timeout=patience)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    if going.done() and not going.cancelled():
        going.result()


def url_of(settings: Settings) -> str:
    """Return the URL of the database that another process keeps; CloudError ``no-database`` without one."""
    if settings.database_url is None:
        raise CloudError(
            "no-database",
            "The worker needs the database of a running service. Set DATABASE_URL, the same for `serve` and `worker`: "
            "without it `serve` keeps a database of its own, whose address nobody else knows.",
        )
    return settings.database_url.get_secret_value()


class Worker:
    """One worker on one database; the arguments are those of `work`."""

    def __init__(self, settings: Settings, ready_file: Path | None, blueprints: Iterable[Blueprint]) -> None:
        self._url = url_of(settings)
        configured = settings.database_secret.get_secret_value() if settings.database_secret else None
        self._secret = secret_of(self._url, configured)
        self._clock = clock_of(settings)
        if ready_file and not ready_file.parent.is_dir():
            raise CloudError(
                "no-folder", f"{ready_file.parent} is no folder. Create it, or choose another place with --ready-file."
            )
        self._ready_file = ready_file
        self._listening = asyncio.Event()
        self._running: set[int | None] = set()
        self._numbers: set[int | None] = set()
        self._names: set[int] = set()  # under which the queue has known this process
        self._queue = queue_of(self._url, secret=self._secret, blueprints=blueprints, listening=self._listening.set)

    async def keep_going(self) -> None:
        """Work; where the database goes away, with new connections as soon as it answers again."""
        self._absent()  # the file of one that was killed
        calm = time.monotonic()
        while True:
            began = time.monotonic()
            try:
                await self._work()
            except UNAVAILABLE as error:
                task = asyncio.current_task()
                if task and task.cancelling():  # and the database was away when it was told to end
                    raise asyncio.CancelledError from None
                logger.warning("the queue cannot be worked on", extra={"error": type(error.__cause__ or error).__name__})
            finally:
                self._listening.clear()
                self._absent()
            # Where it ended without an error, the queue has logged which of its own tasks failed.
            if time.monotonic() - began > CALM_S:
                calm = time.monotonic()
            if time.monotonic() - calm > PATIENCE_S:
                text = "The queue could not be worked on for a minute; the log says why. Is the database of DATABASE_URL there?"
                raise CloudError("queue-lost", text)
            await asyncio.sleep(AGAIN_S)

    async def _work(self) -> None:
        async with AsyncExitStack() as stack:
            database = Database(self._url, secret=self._secret)
            for pool in (database.worker, database.ingest):  # the latter announces
                await stack.enter_async_context(pool)
            announcer = Announcer(database)
            stack.push_async_callback(announcer.close)
            await require_schema(database)
            await stack.enter_async_context(self._queue.open_async())
            for name in set(self._names):  # nothing runs here: what the lost database still believes to run begins again at once
                await self._queue.job_manager.unregister_worker(name)
                self._names.discard(name)
            beat = asyncio.create_task(self._beat(database), name="beat")
            stack.push_async_callback(_end, beat)
            await self._queue.run_worker_async(
                concurrency=JOBS_AT_ONCE,
                install_signal_handlers=False,
                shutdown_graceful_timeout=GRACE_S,
                delete_jobs="successful",
                stalled_worker_timeout=DEAD_AFTER_S,
                worker_middleware=[self._logged],
                additional_context={"work": Work(database=database, clock=self._clock, announce=announcer.mark)},
            )

    async def _beat(self, database: Database) -> None:
        await self._listening.wait()
        logger.info("listening")
        before: dict[int | None, Job] = {}
        while True:
            with contextlib.suppress(*UNAVAILABLE):  # the work itself stumbles over it
                await begin_again(self._queue, database, self._running)
                # A job ends and its end is written a moment later. If that moment lasts from one look to the next, the
                # connection was cut in it, and the job would hold its lock for as long as this worker lives.
                now = await unfinished(self._queue, self._numbers, self._running)
                await put_back(self._queue, [job for number, job in now.items() if number in before])
                before = now
                if self._ready_file:
                    self._ready_file.touch()
            await asyncio.sleep(BEAT_S)

    def _absent(self) -> None:
        if self._ready_file:
            self._ready_file.unlink(missing_ok=True)

    async def _logged(self, proceed: Callable[[], Awaitable[Any]], context: JobContext, _: object) -> Any:
        """Run a job and write one line about it, without its arguments' values or an error's text."""
        began = time.monotonic()
        job = context.job
        line: dict[str, Any] = {"job": job.task_name, "number": job.id, "attempt": job.attempts + 1}
        line |= {name: job.task_kwargs[name] for name in ("shard",) if name in job.task_kwargs}
        self._running.add(job.id)
        self._numbers.add(job.worker_id)
        if job.worker_id is not None:
            self._names.add(job.worker_id)
        if task := asyncio.current_task():
            task.add_done_callback(_ended)
        try:
            result = await proceed()
        except asyncio.CancelledError:
            logger.warning("job cancelled", extra=line | {"seconds": round(time.monotonic() - began, 3)})
            raise
        except Exception as error:
            line |= {"seconds": round(time.monotonic() - began, 3), "causes": sorted(set(_causes(error)))}
            logger.exception("job failed", extra=line)
            raise
        finally:
            self._running.discard(job.id)
        logger.info("job done", extra=line | {"seconds": round(time.monotonic() - began, 3)})
        return result


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _ended(task: asyncio.Task[Any]) -> None:
    """Look at how the queue's own task around a job ended; an error of the job itself is not among it."""
    if not task.cancelled() and (error := task.exception()):
        logger.warning("the end of a job was not noted", extra={"error": type(error.__cause__ or error).__name__})


def _causes(error: BaseException) -> list[str]:
    """Name every error of a group by its type and place: a job that serves many families collects their troubles in one."""
    if isinstance(error, BaseExceptionGroup):
        return [cause for member in error.exceptions for cause in _causes(member)]
    places = [f" {frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return [type(error).__name__ + "".join(places[-1:])]


def _quieten() -> None:
    """Leave procrastinate's warnings; of jobs it writes lines with their arguments, and this module one without."""
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    logging.getLogger("procrastinate.worker").addFilter(_is_of_no_job)


def _is_of_no_job(record: logging.LogRecord) -> bool:
    return getattr(record, "action", "") != "job_error"
