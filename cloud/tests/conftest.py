"""A real PostgreSQL for every test: one server a session, migrated once, an exact copy of that database a test."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from psycopg import sql
from pydantic import SecretStr
from zenmoon_cloud.app import create_app
from zenmoon_cloud.database import Database
from zenmoon_cloud.database.launcher import EmbeddedPostgres
from zenmoon_cloud.database.migrate import migrate
from zenmoon_cloud.settings import Settings

SECRET = "a secret for tests"
TEMPLATE = "zenmoon_template"
NUMBERS = count(1)
ORIGIN = "http://zenmoon.test"
PASSWORD = "a long password for tests"


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter: pytest's own are private, and under root the server runs as somebody else."""
    with tempfile.TemporaryDirectory(prefix="zenmoon-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.fixture(scope="session")
def server(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """The embedded server; fsync is off because these tests never cut the power."""
    settings = {"fsync": "off", "max_connections": "100"}
    with EmbeddedPostgres(open_folder / "server", database=TEMPLATE, settings=settings) as running:
        migrate(running.url, secret=SECRET)
        yield running


@pytest.fixture
def database_url(server: EmbeddedPostgres) -> Iterator[str]:
    """The superuser's URL of a fresh, migrated, empty database."""
    name = f"test_{next(NUMBERS)}"
    identifier = sql.Identifier(name)
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(identifier, sql.Identifier(TEMPLATE)))
        yield server.url_of(name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The service's pools on that database, each with its own role."""
    async with Database(database_url, secret=SECRET) as opened:
        yield opened


@pytest.fixture
def superuser(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection that row-level security does not confine: for looking, and for breaking things on purpose."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def state(open_folder: Path) -> Path:
    """An empty state folder that every user can enter."""
    return open_folder / f"state-{next(NUMBERS)}"


@pytest.fixture
def settings(database_url: str, open_folder: Path) -> Settings:
    """Settings of a service on that database."""
    return Settings(
        database_url=SecretStr(database_url), database_secret=SecretStr(SECRET), state=open_folder / f"state-{next(NUMBERS)}"
    )


@pytest.fixture
async def application(settings: Settings) -> AsyncIterator[FastAPI]:
    """The whole service, started."""
    created = create_app(settings)
    async with created.router.lifespan_context(created):
        yield created


@pytest.fixture
async def browsers(application: FastAPI) -> AsyncIterator[Callable[[], httpx.AsyncClient]]:
    """Makes browsers: each keeps its own cookies and sends the Origin of the service's page."""
    async with AsyncExitStack() as stack:
        opened: list[httpx.AsyncClient] = []

        def browser() -> httpx.AsyncClient:
            transport = httpx.ASGITransport(application, raise_app_exceptions=False)
            opened.append(httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={"Origin": ORIGIN}))
            stack.push_async_callback(opened[-1].aclose)
            return opened[-1]

        yield browser


@pytest.fixture
def client(browsers: Callable[[], httpx.AsyncClient]) -> httpx.AsyncClient:
    """A browser that nobody has signed in with."""
    return browsers()


@dataclass
class Family:
    """A registered family as its guardian's browser sees it."""

    client: httpx.AsyncClient
    email: str
    family_id: str
    guardian_id: str
    child_id: str = ""
    device: str = ""
    gateway_id: str = ""
    token: str = ""
    bearer: dict[str, str] = field(default_factory=dict)


MakeFamily = Callable[..., Awaitable[Family]]


@pytest.fixture
def make_family(browsers: Callable[[], httpx.AsyncClient]) -> MakeFamily:
    """Registers families: a signed-in guardian, a child that is monitored, its wristband, a gateway."""

    async def make(*, device: str = "a1b2c3d4e5f60718", begin: str = "2026-01-01T00:00:00Z", consent: bool = True) -> Family:
        client = browsers()
        email = f"guardian{next(NUMBERS)}@example.org"
        body = {"email": email, "password": PASSWORD, "display_name": "A guardian"}
        answer = (await client.post("/api/auth/register", json=body)).raise_for_status().json()
        client.headers["X-CSRF-Token"] = answer["csrf_token"]
        family = Family(client, email, answer["guardian"]["family_ids"][0], answer["guardian"]["id"], device=device)

        async def post(path: str, **values: object) -> dict[str, str]:
            return (await client.post(path, json=values)).raise_for_status().json()

        family.child_id = (await post("/api/children", display_name="A child", zone="Europe/Berlin"))["id"]
        if consent:
            await post("/api/consents", child_id=family.child_id, purpose="monitoring", granted=True)
        await post("/api/wearables", device=device)
        await post(f"/api/children/{family.child_id}/wearables", device=device, **{"from": begin})
        credentials = await post("/api/gateways/enroll", name="A phone")
        family.gateway_id, family.token = credentials["gateway_id"], credentials["token"]
        family.bearer = {"Authorization": f"Bearer {family.token}"}
        return family

    return make


@pytest.fixture
async def family(make_family: MakeFamily) -> Family:
    """One such family."""
    return await make_family()


@pytest.fixture
def records() -> Callable[..., list[dict[str, object]]]:
    """Writes records as a gateway sends them; `changes` replace or add keys. They begin a minute from now, after any consent."""
    begin = datetime.now(UTC) + timedelta(minutes=1)

    def write(
        count: int,
        *,
        first: int = 0,
        device: str = "a1b2c3d4e5f60718",
        boot: int = 3735928559,
        later_s: float = 0,
        **changes: object,
    ) -> list[dict[str, object]]:
        def item(seq: int) -> dict[str, object]:
            time = begin + timedelta(seconds=4 * seq + later_s)
            return {
                "kind": "record", "device": device, "boot": boot, "seq": seq, "tick_ms": 4000 * seq,
                "ts": time.isoformat(timespec="milliseconds"), "payload": f"{(boot << 24) + seq:016x}",
                "firmware": "9f3c01aa", "model": "5b7712e0", "quality": 63, "heart_rate_bpm": 84.5, "rmssd_ms": 38,
                "eda_us": 2.41, "eda_phasic_us": -0.12, "temperature_c": 33.18, "motion_g": 0.031, "stress_level": 0.42,
                "anomaly": 0.07, "battery_pct": 81,
            } | changes  # fmt: skip

        return [item(seq) for seq in range(first, first + count)]

    return write


@pytest.fixture
def send() -> Callable[..., Awaitable[httpx.Response]]:
    """Posts items as a family's gateway; `envelope` replaces keys of the batch."""

    async def post(family: Family, items: list[object], **envelope: object) -> httpx.Response:
        batch = {"batch_id": f"batch-{next(NUMBERS)}", "gateway_id": family.gateway_id, "sent_at": "2026-11-20T18:03:11.250Z"}
        document = batch | {"items": items} | envelope
        return await family.client.post("/api/ingest/batches", json=document, headers=family.bearer)

    return post
