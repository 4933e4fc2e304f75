"""A real service for a browser: PostgreSQL, `zenmoon-cloud serve` in a process of its own, and families made through its doors.

Event time is that of a clock handed to the service: a Wednesday afternoon, whenever the tests run.
"""

import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID

import httpx
from machine import free_port
from zenmoon_cloud.database import Database
from zenmoon_cloud.database.launcher import EmbeddedPostgres
from zenmoon_cloud.database.roles import secret_of
from zenmoon_cloud.identity.consents_api import set_consent
from zenmoon_cloud.identity.people import Guardian
from zenmoon_cloud.recommendations.recommend import recommend
from zenmoon_cloud.recommendations.store import find_child
from zenmoon_edge.core.clock import Clock

BEGIN = datetime(2026, 11, 18, 14, 5, 2, tzinfo=UTC)
"""Five past three in the afternoon in Berlin: no school, no night."""

WORN_SINCE = BEGIN - timedelta(days=2)
PASSWORD = "a long password for tests"
STEP = timedelta(seconds=4)
NUMBERS = itertools.count(1)
READY_WITHIN_S = 60.0
GOOD = 63  # every bit of the quality byte


class Service:
    """The service; a context manager. `restart` ends it and starts it again on the same port."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="zenmoon-browser-")
        self._postgres = EmbeddedPostgres(self._path, settings={"fsync": "off"}, temporary=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self.clock = Clock(int(BEGIN.timestamp() * 1000), time.monotonic_ns() // 1000, 1)

    def __enter__(self) -> "Service":
        self._path.chmod(0o711)  # under root the database runs as somebody else
        try:
            self._postgres.start()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        self._postgres.stop()
        self._folder.cleanup()

    @property
    def _path(self) -> Path:
        return Path(self._folder.name)

    @property
    def url(self) -> str:
        """Of the database, as its owner."""
        return self._postgres.url

    def database(self) -> Database:
        """The pools of the service's own roles, for what no door lets happen in the past."""
        return Database(self.url, secret=secret_of(self.url, None))

    def now(self) -> datetime:
        """The service's clock."""
        return datetime.fromtimestamp(self.clock.utc_ms() / 1000, UTC)

    def start(self) -> None:
        """Starts the service's process and waits until it is healthy."""
        environment = {"DATABASE_URL": self.url, "ZENMOON_STATE": str(self._path), "ZENMOON_CLOCK": str(self.clock)}
        program = str(Path(sys.executable).parent / "zenmoon-cloud")
        with (self._path / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "serve", "--port", str(self._port)],
                env={**os.environ, **environment}, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._healthy():
            said = (self._path / "service.log").read_text()[-3000:]
            assert self._process.poll() is None, f"the service ended: {said}"
            assert time.monotonic() < deadline, f"the service is not healthy: {said}"
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends the service's process."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.address}/api/health", trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


@dataclass
class Wristband:
    """What one child's wristband and phone deliver."""

    child_id: str
    device: str
    gateway: dict[str, str]
    client: httpx.Client
    boot: int = 0x1234
    seq: Iterator[int] = field(default_factory=itertools.count)

    def deliver(
        self, strains: Sequence[float | None], end: datetime, *, heart_rate: float | None = 84.0, quality: int = GOOD
    ) -> None:
        """Delivers one record a step of 4 s, the last of them at `end`; with any other quality than a good one it says nothing."""
        first = end - STEP * (len(strains) - 1)
        items = [self._record(first + STEP * index, strain, heart_rate, quality) for index, strain in enumerate(strains)]
        batch = {
            "batch_id": f"batch-{next(NUMBERS)}",
            "gateway_id": self.gateway["gateway_id"],
            "sent_at": end.isoformat(),
            "items": items,
        }
        headers = {"Authorization": f"Bearer {self.gateway['token']}"}
        answer = self.client.post("/api/ingest/batches", json=batch, headers=headers).raise_for_status().json()
        assert answer["accepted"] == len(items), answer["refused"][:1]

    def _record(self, time: datetime, strain: float | None, heart_rate: float | None, quality: int) -> dict[str, object]:
        seq = next(self.seq)
        said = {
            "heart_rate_bpm": heart_rate,
            "rmssd_ms": 38,
            "eda_us": 2.41,
            "eda_phasic_us": 0.12,
            "stress_level": strain,
            "anomaly": 0.07,
        }
        if quality != GOOD:
            said = dict.fromkeys(said)
        return said | {
            "kind": "record", "device": self.device, "boot": self.boot, "seq": seq, "tick_ms": 4000 * seq,
            "ts": time.isoformat(timespec="milliseconds"), "payload": f"{seq + 1:016x}", "firmware": "9f3c01aa",
            "model": "5b7712e0", "quality": quality, "temperature_c": 33.18, "motion_g": 0.031, "battery_pct": 81,
        }  # fmt: skip


@dataclass
class Household:
    """A registered family: its guardian's login, and a wristband for each child."""

    service: Service
    email: str
    family_id: UUID
    client: httpx.Client
    wristbands: list[Wristband]

    @property
    def first(self) -> Wristband:
        """The first child's."""
        return self.wristbands[0]

    def decide(self, u: float) -> None:
        """Makes the decision that is due for the first child, with this number for chance."""

        async def make() -> None:
            async with self.service.database() as database, database.family([self.family_id]) as connection:
                child = await find_child(connection, self.first.child_id, self.service.now())
                assert child is not None
                assert await recommend(connection, child, self.service.now(), u=u, asked=False) is not None

        _run(make())


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine to its end, in a thread of its own: this one may have the loop of a browser."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


async def _agree(service: Service, guardian: dict[str, Any], child_id: str) -> None:
    """Allows everything that the page shows, from the moment on that the band is worn: a door would allow it from now on only."""
    families = tuple(UUID(family) for family in guardian["family_ids"])
    who = Guardian(UUID(guardian["id"]), families, guardian["email"], guardian["display_name"], operator=False)
    async with service.database() as database, database.family(families) as connection:
        for purpose in ("monitoring", "insights"):
            await set_consent(connection, who, child_id, purpose, granted=True, at=WORN_SINCE)


@contextmanager
def households(service: Service) -> Iterator[Callable[..., Household]]:
    """Registers families, each with the children named."""
    clients: list[httpx.Client] = []

    def register(*names: str, zone: str = "Europe/Berlin") -> Household:
        client = httpx.Client(base_url=service.address, headers={"Origin": service.address}, trust_env=False)
        clients.append(client)
        email = f"guardian{next(NUMBERS)}@example.org"

        def post(path: str, **body: object) -> dict[str, Any]:
            answer = client.post(path, json=body)
            assert answer.is_success, answer.text
            document: dict[str, Any] = answer.json()
            return document

        signed_in = post("/api/auth/register", email=email, password=PASSWORD, display_name="A guardian")
        client.headers["X-CSRF-Token"] = signed_in["csrf_token"]
        gateway = post("/api/gateways/enroll", name="A phone")
        wristbands = []
        for name in names or ("Robin",):
            child = post("/api/children", display_name=name, zone=zone, birth_year=2016)["id"]
            _run(_agree(service, signed_in["guardian"], child))
            device = f"{next(NUMBERS):016x}"
            post("/api/wearables", device=device)
            post(f"/api/children/{child}/wearables", device=device, **{"from": WORN_SINCE.isoformat()})
            wristbands.append(Wristband(child, device, gateway, client))
        return Household(service, email, UUID(signed_in["guardian"]["family_ids"][0]), client, wristbands)

    yield register
    for client in clients:
        client.close()
