"""The worker: what is due runs once, whoever fails, dies or goes away meanwhile; and it sees no more than it must."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from procrastinate import Blueprint, RetryStrategy
from pydantic import SecretStr
from zenmoon_cloud import worker
from zenmoon_cloud.database import Database, launcher, queue_schema
from zenmoon_cloud.database.launcher import EmbeddedPostgres
from zenmoon_cloud.database.migrate import migrate
from zenmoon_cloud.database.queue import SHARDS, Work, families_of, once, per_shard
from zenmoon_cloud.database.queue_app import begin_again, queue_of, require_schema
from zenmoon_cloud.database.roles import ROLES
from zenmoon_cloud.errors import CloudError
from zenmoon_cloud.settings import Settings

SECRET = "a secret for tests"
EVERY_SECOND = "* * * * * *"
EVERY_NIGHT = "15 3 * * *"


BEGUN_AGAIN_S = 120
"""A job that was cut off in the middle begins again half a minute later; a loaded machine is slower."""


async def until(condition: Callable[[], object], within_s: float = 30) -> None:
    """Waits for rows, files and other processes, which have no event to wait for."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


class Jobs:
    """Blueprints, one a worker, of which every job does the same: what a test has set."""

    def __init__(self) -> None:
        self.runs: Counter[object] = Counter()
        self.does: Callable[[Work, object], Awaitable[None]] | None = None

    async def run(self, work: Work, which: object) -> None:
        self.runs[which] += 1
        if self.does:
            await self.does(work, which)

    def sharded(self, cron: str = EVERY_SECOND, **options: RetryStrategy) -> Blueprint:
        blueprint = Blueprint()

        @per_shard(blueprint, cron=cron, **options)
        async def sweep(work: Work, shard: int) -> None:
            await self.run(work, shard)

        return blueprint

    def single(self, cron: str = EVERY_NIGHT, **options: RetryStrategy) -> Blueprint:
        blueprint = Blueprint()

        @once(blueprint, cron=cron, **options)
        async def tidy(work: Work) -> None:
            await self.run(work, "tidy")

        return blueprint

    def asked_for(self) -> Blueprint:
        """Jobs that are never due, only deferred."""
        blueprint = Blueprint()

        @blueprint.task(name="asked", pass_context=True)
        async def asked(context, which: int) -> None:
            await self.run(context.additional_context["work"], which)

        return blueprint


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


Start = Callable[..., Awaitable[asyncio.Task[None]]]


@pytest.fixture
async def start(settings: Settings, open_folder: Path) -> AsyncIterator[Start]:
    """Starts workers, each a task named as its ready file; what still runs at the end is cancelled."""
    begun: list[asyncio.Task[None]] = []

    async def start(*blueprints: Blueprint, settings: Settings = settings) -> asyncio.Task[None]:
        ready = open_folder / f"ready-{uuid4()}"
        work = worker.work(settings, ready_file=ready, blueprints=blueprints)
        begun.append(asyncio.create_task(work, name=str(ready)))
        await until(lambda: ready.exists() or begun[-1].done())
        return begun[-1]

    yield start
    for task in begun:
        task.cancel()
    await asyncio.gather(*begun, return_exceptions=True)


def left(superuser: psycopg.Connection, *statuses: str, lock: str = "%") -> int:
    row = superuser.execute(
        "SELECT count(*) FROM queue.procrastinate_jobs WHERE status::text = ANY (%s) AND COALESCE(lock, '') LIKE %s",
        [list(statuses), lock],
    ).fetchone()
    assert row is not None
    return row[0]


async def test_two_workers_run_each_deferred_job_once(start: Start, jobs: Jobs, superuser: psycopg.Connection) -> None:
    blueprints = jobs.asked_for(), jobs.asked_for()
    for blueprint in blueprints:
        await start(blueprint)
    for number in range(20):
        await blueprints[number % 2].tasks["asked"].defer_async(which=number)
    await until(lambda: len(jobs.runs) == 20 and not left(superuser, "todo", "doing"))
    assert set(jobs.runs.values()) == {1}
    assert left(superuser, "succeeded") == 0  # nothing is left of what went well


async def test_what_is_due_runs_for_every_shard_with_what_jobs_need(start: Start, jobs: Jobs) -> None:
    seen: list[Work] = []

    async def look(work: Work, _: object) -> None:
        async with work.database.family([], role="worker") as connection:
            await connection.execute("SELECT 1 FROM children")
        seen.append(work)

    jobs.does = look
    await start(jobs.sharded())
    await until(lambda: set(jobs.runs) == set(range(SHARDS)) and min(jobs.runs.values()) > 1)
    assert seen[0].clock.utc_ms() > 0


async def test_what_a_job_announces_reaches_those_who_listen(start: Start, jobs: Jobs, superuser: psycopg.Connection) -> None:
    family = uuid4()

    async def announce(work: Work, _: object) -> None:
        work.announce([family])

    jobs.does = announce
    superuser.execute("LISTEN zenmoon_live")
    await start(jobs.single())
    heard = await asyncio.to_thread(lambda: next(superuser.notifies(timeout=20, stop_after=1)))
    assert heard.payload == str(family)


async def test_a_night_without_a_worker_is_made_up_for_once(start: Start, jobs: Jobs) -> None:
    first = await start(jobs.single())
    await until(lambda: jobs.runs["tidy"])
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await start(jobs.single(), jobs.sharded())
    await until(lambda: jobs.runs[7])  # deferred after the nightly one would have been
    assert jobs.runs["tidy"] == 1


async def test_a_failing_job_is_tried_again_and_stops_no_other(
    start: Start, jobs: Jobs, superuser: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: Work, which: object) -> None:
        if which == 3 or (which == "tidy" and jobs.runs["tidy"] < 3):
            raise ValueError("the name of a child")

    jobs.does = fail
    await start(jobs.sharded(), jobs.single(retry=RetryStrategy(max_attempts=5)))
    await until(lambda: jobs.runs["tidy"] == 3 and jobs.runs[2] > 2 and jobs.runs[3] > 2)
    await until(lambda: left(superuser, "failed"))
    lines = [record for record in caplog.records if record.name.startswith(("zenmoon_cloud.worker", "procrastinate"))]
    failed = [record for record in lines if record.getMessage() == "job failed"]
    assert {getattr(record, "shard", None) for record in failed} == {3, None}
    assert not any("name of a child" in record.getMessage() + str(vars(record).get("job")) for record in lines)


async def test_jobs_of_one_shard_never_run_beside_each_other(start: Start, jobs: Jobs, superuser: psycopg.Connection) -> None:
    active: Counter[object] = Counter()
    most: Counter[object] = Counter()

    async def overlap(_: Work, shard: object) -> None:
        active[shard] += 1
        most[shard] = max(most[shard], active[shard])
        if shard == 0:  # until it would have been due twice more
            others = jobs.runs[1]
            await until(lambda: jobs.runs[1] > others + 2)
            most["waiting"] = max(most["waiting"], left(superuser, "todo", lock="% 0"))
        active[shard] -= 1

    jobs.does = overlap
    for _ in range(2):
        await start(jobs.sharded())
    await until(lambda: jobs.runs[0] == 3)
    assert most[0] == 1
    assert most["waiting"] == 1  # what waits for a slow one is not queued again


async def test_told_to_end_it_lets_jobs_end_and_cancels_what_goes_on(
    start: Start, jobs: Jobs, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "GRACE_S", 0.5)
    ended: list[object] = []

    async def take_time(_: Work, which: object) -> None:
        await asyncio.sleep(0.1 if which == 1 else 60)
        ended.append(which)

    jobs.does = take_time
    blueprint = jobs.asked_for()
    task = await start(blueprint)
    for number in (1, 2):
        await blueprint.tasks["asked"].defer_async(which=number)
    await until(lambda: len(jobs.runs) == 2)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 5)  # in order: no exception
    assert ended == [1]
    assert (left(superuser, "aborted"), left(superuser, "todo", "doing")) == (1, 0)
    assert superuser.execute("SELECT count(*) FROM queue.procrastinate_workers").fetchone() == (0,)


async def test_jobs_of_a_dead_worker_begin_again_and_its_locks_are_free(
    start: Start, jobs: Jobs, superuser: psycopg.Connection
) -> None:
    superuser.execute("SET search_path = queue")
    superuser.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour')")
    for which, attempts, waits in ((1, 0, None), (2, 5, None), (3, 0, "elsewhere")):
        superuser.execute(
            """INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status, attempts, worker_id)
               SELECT 'default', 'asked', 'lock ' || %(which)s, %(waits)s::text, jsonb_build_object('which', %(which)s::int),
                      'doing', %(attempts)s, id FROM procrastinate_workers""",
            {"which": which, "attempts": attempts, "waits": waits},
        )
    await start(jobs.asked_for())
    await until(lambda: jobs.runs and not left(superuser, "todo", "doing"))
    assert jobs.runs == {1: 1}
    assert left(superuser, "failed") == 2


async def test_its_own_jobs_go_on_however_long_its_heartbeat_was_held_up(
    database: Database, database_url: str, superuser: psycopg.Connection
) -> None:
    superuser.execute("SET search_path = queue")
    superuser.execute("INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('default', 'asked', 'doing')")
    queue = queue_of(database_url, secret=SECRET, blueprints=[], listening=lambda: None)
    async with queue.open_async():
        await begin_again(queue, database, running={1})
        assert left(superuser, "doing") == 1
        await begin_again(queue, database, running=())
        assert left(superuser, "todo") == 1


async def test_a_job_whose_end_was_never_written_does_not_hold_its_lock(
    start: Start, jobs: Jobs, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BEAT_S", 0.5)
    await start(jobs.sharded())
    await until(lambda: jobs.runs[0])
    superuser.execute("SET search_path = queue")
    lock = superuser.execute("SELECT lock FROM procrastinate_jobs WHERE lock LIKE '%% 0' LIMIT 1").fetchone()
    while lock is None:
        lock = superuser.execute("SELECT lock FROM procrastinate_jobs WHERE lock LIKE '%% 0' LIMIT 1").fetchone()
        await asyncio.sleep(0.02)
    superuser.execute("DELETE FROM procrastinate_jobs WHERE lock = %s", [lock[0]])
    superuser.execute(
        """INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status, worker_id)
           SELECT 'default', 'asked', %s, 'taken', '{"which": 0}', 'doing', id FROM procrastinate_workers""",
        [lock[0]],
    )
    before = jobs.runs[0]
    await until(lambda: jobs.runs[0] > before + 1)
    # On a busy machine another job's end may take longer than this short beat: it is put back too, which does no harm.
    assert superuser.execute("SELECT status FROM procrastinate_jobs WHERE queueing_lock = 'taken'").fetchone() == ("failed",)


def cut(superuser: psycopg.Connection) -> None:
    superuser.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'zenmoon%' AND datname = current_database()"
    )


async def test_it_goes_on_after_its_connections_were_cut(start: Start, jobs: Jobs, superuser: psycopg.Connection) -> None:
    task = await start(jobs.sharded())
    await until(lambda: jobs.runs[0])
    cut(superuser)
    before = jobs.runs[0]
    await until(lambda: jobs.runs[0] > before + 1, BEGUN_AGAIN_S)
    assert not task.done()


def settings_of(server: EmbeddedPostgres) -> Settings:
    return Settings(database_url=SecretStr(server.url), database_secret=SecretStr(SECRET))


@pytest.fixture
def own_server(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedPostgres]:
    """A migrated server that a test may kill and start again: at the same address, as one that others started would be."""
    with EmbeddedPostgres(state, settings={"fsync": "off"}) as server:
        migrate(server.url, secret=SECRET)
        monkeypatch.setattr(launcher, "_free_port", lambda port=server.port: port)
        yield server


async def kill(server: EmbeddedPostgres) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.to_thread(server.stop)


async def test_it_goes_on_after_a_crash_of_the_server(start: Start, jobs: Jobs, own_server: EmbeddedPostgres) -> None:
    task = await start(jobs.sharded(), settings=settings_of(own_server))
    ready = Path(task.get_name())
    await until(lambda: jobs.runs[0])
    await kill(own_server)
    await until(lambda: not ready.exists())
    await asyncio.to_thread(own_server.start)
    before = jobs.runs[0]
    await until(lambda: ready.exists() and jobs.runs[0] > before + 1, BEGUN_AGAIN_S)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_ends_though_the_database_is_away(start: Start, jobs: Jobs, own_server: EmbeddedPostgres) -> None:
    task = await start(jobs.sharded(), settings=settings_of(own_server))
    await kill(own_server)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 15)  # 5 s on a quiet machine; the bound only catches one that goes on


async def test_a_database_that_stays_away_ends_it_with_the_next_action(
    start: Start, jobs: Jobs, own_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PATIENCE_S", 0.0)
    task = await start(jobs.sharded(), settings=settings_of(own_server))
    await kill(own_server)
    with pytest.raises(CloudError, match="DATABASE_URL") as caught:
        await asyncio.wait_for(task, 60)
    assert caught.value.reason == "queue-lost"


@pytest.fixture
def command(database_url: str) -> Callable[..., subprocess.Popen[str]]:
    """Starts `zenmoon-cloud` with that database; `environment` replaces or, as None, removes variables."""

    def begin(*arguments: str, **environment: str | None) -> subprocess.Popen[str]:
        chosen = {**os.environ, "DATABASE_URL": database_url, "ZENMOON_DATABASE_SECRET": SECRET, **environment}
        program = [sys.executable, "-m", "zenmoon_cloud.cli", *arguments]
        kept = {name: value for name, value in chosen.items() if value is not None}
        return subprocess.Popen(program, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return begin


async def test_the_command_works_until_it_is_told_to_end(
    command: Callable[..., subprocess.Popen[str]], open_folder: Path, superuser: psycopg.Connection
) -> None:
    ready = open_folder / "ready"
    with command("worker", "--ready-file", str(ready), "--clock", "1795284000000:0:60") as process:
        await until(lambda: ready.exists() or process.poll() is not None)
        registered = superuser.execute("SELECT count(*) FROM queue.procrastinate_workers").fetchone()
        process.terminate()
        printed, logged = await asyncio.to_thread(process.communicate, timeout=10)
    assert registered == (1,)
    assert (process.returncode, printed) == (0, "")
    assert "listening" in {json.loads(line)["message"] for line in logged.splitlines()}
    assert not ready.exists()
    assert superuser.execute("SELECT count(*) FROM queue.procrastinate_workers").fetchone() == (0,)


def test_without_a_database_the_command_says_what_to_do(command: Callable[..., subprocess.Popen[str]]) -> None:
    process = command("worker", DATABASE_URL=None, ZENMOON_DATABASE_URL=None)
    printed, said = process.communicate(timeout=60)
    assert (process.returncode, printed, said.count("\n")) == (2, "", 1)
    assert "Set DATABASE_URL" in said


def test_the_service_never_imports_the_queue() -> None:
    program = """
import sys
from zenmoon_cloud import cli
from zenmoon_cloud.app import create_app
from zenmoon_cloud.settings import Settings
create_app(Settings(database_url=None)).openapi()
print(*sorted({"procrastinate", "croniter", "alembic", "zenmoon_cloud.worker"} & set(sys.modules)))
"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == ""


async def test_a_database_of_an_earlier_queue_is_brought_up_to_date(
    database: Database, database_url: str, superuser: psycopg.Connection
) -> None:
    def objects() -> list[tuple[object, ...]]:
        return superuser.execute(
            """SELECT proname::text, pg_get_function_identity_arguments(oid), prosrc FROM pg_proc
                   WHERE pronamespace = 'queue'::regnamespace
               UNION ALL SELECT relname::text, relkind::text, relacl::text FROM pg_class WHERE relnamespace = 'queue'::regnamespace
               UNION ALL SELECT tgname::text, tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
               ORDER BY 1, 2"""
        ).fetchall()

    fresh = objects()
    earlier = [name for name in queue_schema.changes() if name < "03.03"]
    superuser.execute("DROP SCHEMA queue CASCADE")
    with psycopg.connect(database_url, autocommit=True) as connection:  # as it grew, version by version
        connection.execute("CREATE SCHEMA queue AUTHORIZATION zenmoon_owner")
        connection.execute("SET ROLE zenmoon_owner")
        connection.execute("SET search_path = queue")
        for name in earlier:
            connection.execute(queue_schema.changes()[name].read_bytes())
        connection.execute(f"COMMENT ON SCHEMA queue IS 'procrastinate 3.2.0, up to {earlier[-1]}'")
    assert objects() != fresh
    with pytest.raises(CloudError, match=earlier[-1]):
        await require_schema(database)
    with psycopg.connect(database_url) as connection:
        connection.execute("SET ROLE zenmoon_owner")
        queue_schema.bring_up_to_date(connection)
    await require_schema(database)
    assert objects() == fresh


async def test_the_worker_finds_every_family_in_one_shard(database: Database, make_family) -> None:
    families = {UUID((await make_family(device=f"{number:016x}")).family_id) for number in range(5)}
    pages = [page for shard in range(SHARDS) async for page in families_of(database, shard, page=1)]
    assert sorted(family for page in pages for family in page) == sorted(families)


async def test_the_worker_sees_the_named_families_and_nobody_who_signs_in(database: Database, make_family) -> None:
    ours = UUID((await make_family()).family_id)
    await make_family(device="00000000000000aa")

    async def families(table: str, named: list[UUID]) -> set[UUID]:
        async with database.family(named, role="worker") as connection:
            rows = await (await connection.execute(f"SELECT family_id FROM {table}".encode())).fetchall()
        return {row["family_id"] for row in rows}

    for table in ("children", "consents"):
        assert await families(table, []) == set()
        assert await families(table, [ours]) == {ours}
    for statement in (
        "SELECT password_hash FROM guardians",
        "SELECT guardian_id FROM memberships",
        "SELECT token_hash FROM sessions",
        "SELECT token_hash FROM gateways",
        "UPDATE consents SET granted = true",
        "DELETE FROM children",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.family([ours], role="worker") as connection:
                await connection.execute(statement.encode())


async def test_nobody_but_the_worker_enters_the_queue(database: Database) -> None:
    for role in ROLES:
        if role == "worker":
            continue
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.family([], role=role) as connection:
                await connection.execute("SELECT FROM queue.procrastinate_jobs")
