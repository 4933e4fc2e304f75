"""The parts of the demo, and how each is started: database, cloud, air, gateway, wearable, and the parent who watches."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
from accounting import Stored
from supervisor import Service, ServiceFailed, Supervisor
from toolchain import micropython
from watch import Watcher
from zenmoon_cloud.database.launcher import EmbeddedPostgres
from zenmoon_cloud.errors import CloudError
from zenmoon_edge.core.clock import Clock

ROOT = Path(__file__).resolve().parent.parent
PORT = 8420
GREETED_WITHIN_S = 20.0  # sign-in and WebSocket, on a loaded machine
PORTABLE = ("firmware", "edge_sdk", "edge_sdk/zenmoon_edge/virtual/radio")
MODEL = ROOT / "edge_sdk" / "zenmoon_edge" / "models" / "wearable.tflite"

_STORED = """
SELECT kind, boot, seq, tick_ms, payload, strain FROM (
    SELECT 'record' AS kind, device, boot, seq, tick_ms, payload, stress_level AS strain FROM wellness_metrics
    UNION ALL SELECT 'anchor', device, boot, seq, tick_ms, payload, NULL FROM anchors
    UNION ALL SELECT 'event', device, boot, seq, tick_ms, payload, NULL FROM device_events
    UNION ALL SELECT 'health', device, boot, seq, tick_ms, payload, NULL FROM device_health
    UNION ALL SELECT 'motion30', device, boot, seq, tick_ms, payload, NULL FROM motion_epochs
) AS everything WHERE device = %s AND boot = ANY(%s)
"""


class Unavailable(Exception):  # noqa: N818 - reads as what happened
    """Something that the demo needs of this machine is not to be had; the text names the cause and the next action."""


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free(port: int) -> None:
    """Raises Unavailable where the service could not listen, before anything is started for it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the service does: a port just given up is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            cause = f"port {port} cannot be used ({error.strerror})."
            raise Unavailable(f"{cause}\nNext: end the program that uses it, or choose another with --port") from error


def digest32(files: list[Path]) -> str:
    """The first 32 bits of a hash over names and contents: how headers name firmware and models."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:8]


def signed(hexadecimal: str) -> int:
    """16 hex digits as the database keeps them: a signed 64-bit integer."""
    return int.from_bytes(bytes.fromhex(hexadecimal), "big", signed=True)


class Parts:
    """Everything that runs, and what can be asked of it."""

    def __init__(self, folder: Path, options: argparse.Namespace, replay: Path, say: Callable[[str], None]) -> None:
        self.folder, self._options, self._replay, self._say = folder, options, replay, say
        self._supervisor = Supervisor(folder, say)
        self._database: EmbeddedPostgres | None = None
        self._url = os.environ.get("DATABASE_URL", "")
        self.ledger = folder / f"ledger-{datetime.now(UTC):%Y%m%dT%H%M%S}.txt"
        self._port = PORT if options.port is None and not options.once else options.port or free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self._clock = Clock.system()
        self._clock = Clock(self._clock.origin_utc_ms, self._clock.origin_monotonic_us, options.speed)
        self._interpreter = micropython()
        self.engine = f"cpython {'.'.join(map(str, sys.version_info[:3]))}"
        self._accounts: dict[str, dict[str, str]] = {}
        self._wearable = self._provision()
        self._watching: asyncio.Task[None] | None = None

    @property
    def failed(self) -> asyncio.Future[None]:
        """Done when a process cannot be kept running; its exception says which and why."""
        return self._supervisor.failed

    def _provision(self) -> dict[str, str]:
        """The wearable's identity, as flashing would burn it: made once a state, readable by its owner only."""
        path = self.folder / "wearable-identity.json"
        if not path.exists():
            draft = path.with_suffix(".new")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump({"device": secrets.token_hex(8), "key": secrets.token_hex(32)}, file)
            draft.replace(path)
        identity: dict[str, str] = json.loads(path.read_text())
        return identity

    async def start(self) -> None:
        """Starts everything, in the order in which it needs each other.

        Raises:
            ServiceFailed: A process did not start.
            Unavailable: The port or the database is not to be had.
        """
        self._supervisor.end_leftovers()
        require_free(self._port)
        if self._interpreter:
            self.engine = self._version(self._interpreter)
        else:
            self._say("no MicroPython here: the same firmware files run under CPython (see `python tools/toolchain.py`)")
        if not self._url:
            self._say("starting the database")
            await self._start_database()
        self._say("preparing schema, family and logins")
        self._accounts = json.loads(await self._run("zenmoon-cloud", "seed", "--device", self._wearable["device"], "--json"))
        self._say("starting cloud, gateway and wearable")
        parent = self._accounts["parent"]
        self.watcher = Watcher(self.address, parent["email"], parent["password"])
        both = [asyncio.create_task(self._start_cloud(), name="cloud"), asyncio.create_task(self._start_radio(), name="radio")]
        try:
            await asyncio.gather(*both)
        finally:
            # Where one failed, the other must not go on starting processes while everything is being ended.
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        self._watching = asyncio.create_task(self.watcher.run(), name="watch")
        try:
            async with asyncio.timeout(GREETED_WITHIN_S):
                await self.watcher.listening.wait()
        except TimeoutError as error:
            log = self.folder / "logs" / "cloud.log"
            raise ServiceFailed("cloud", log, f"no parent could sign in within {GREETED_WITHIN_S:.0f} s") from error
        await self._supervisor.start(self._wearable_service())

    async def _start_database(self) -> None:
        self._database = EmbeddedPostgres(self.folder, temporary=self._options.once)
        starting = asyncio.create_task(asyncio.to_thread(self._database.start), name="database")
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A thread cannot be cancelled; `stop` has to find the server that it started.
            await asyncio.gather(starting, return_exceptions=True)
            raise
        except CloudError as error:
            raise Unavailable(str(error)) from error
        self._url = self._database.url

    def _version(self, interpreter: Path) -> str:
        code = "import sys; print('micropython', '.'.join(map(str, sys.implementation.version[:3])))"
        return subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self._url,
            "ZENMOON_STATE": str(self.folder),
            "ZENMOON_CLOCK": str(self._clock),
            "ZENMOON_GATEWAY_HOME": str(self.folder / "gateway"),
            "PYTHONUNBUFFERED": "1",
        }

    def _program(self, name: str) -> str:
        return str(Path(sys.executable).parent / name)

    async def _run(self, program: str, *arguments: str) -> str:
        """Runs a command of ours to its end and gives back what it printed."""
        process = await asyncio.create_subprocess_exec(
            self._program(program),
            *arguments,
            env={**os.environ, **self._environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            printed, complained = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            log = self.folder / "logs" / f"{program}-{arguments[0]}.log"
            log.write_bytes(printed + complained)
            raise ServiceFailed(f"{program} {arguments[0]}", log, f"exit code {process.returncode}")
        return printed.decode()

    async def _start_cloud(self) -> None:
        async def healthy() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                async with httpx.AsyncClient(trust_env=False) as client:
                    return (await client.get(self.address + "/api/health")).status_code == 200
            return False

        command = [self._program("zenmoon-cloud"), "serve", "--port", str(self._port)]
        await self._supervisor.start(Service("cloud", command, self._environment, healthy))

    async def _start_radio(self) -> None:
        """The air, then the gateway on it."""
        air = self.folder / "air.json"
        air.unlink(missing_ok=True)

        async def there() -> bool:
            return air.exists()

        command = [sys.executable, "-m", "zenmoon_edge.virtual.air", "--state-file", str(air)]
        await self._supervisor.start(Service("air", command, {"PYTHONUNBUFFERED": "1"}, there, restart=False))
        ports = json.loads(air.read_text())
        self._radio = f"127.0.0.1:{ports['radio_port']}"
        key, credentials = self.folder / "wearable.key", self.folder / "gateway-credentials.json"
        for path, text in ((key, self._wearable["key"]), (credentials, json.dumps(self._accounts["gateway"]))):
            path.touch(mode=0o600)
            path.write_text(text)
        pairing = ["pair", "--device", self._wearable["device"], "--key-file", str(key), "--key-id", "1"]
        await self._run("zenmoon-gateway", *pairing)
        command = [self._program("zenmoon-gateway"), "run", "--cloud", self.address, "--credentials", str(credentials)]
        command += ["--adapter", f"tcp-client:127.0.0.1:{ports['hci_port']}", "--clock", str(self._clock)]
        await self._supervisor.start(Service("gateway", command, self._environment))

    def _wearable_service(self) -> Service:
        device = self._wearable["device"]
        settings = self.folder / "wearable.json"
        portable = [*(ROOT / "firmware" / "zenmoon").rglob("*.py"), *(ROOT / "edge_sdk" / "zenmoon_edge" / "core").glob("*.py")]
        settings.touch(mode=0o600)
        settings.write_text(
            json.dumps(
                {
                    "device": device,
                    "key": self._wearable["key"],
                    "key_id": 1,
                    "name": f"ZM-{device[-4:].upper()}",
                    "journal": str(self.folder / "journal"),
                    "journal_pages": 1024,
                    "replay": str(self._replay),
                    "loop": self._options.recording is None and not self._options.once,
                    "clock": str(self._clock),
                    "ledger": str(self.ledger),
                    "model": str(MODEL),
                    "firmware_id": digest32(portable),
                    "model_id": digest32([MODEL]),
                }
            )
        )
        paths = [str(ROOT / folder) for folder in PORTABLE]
        if self._interpreter:
            program = [str(self._interpreter), "-X", "heapsize=4m"]
            environment = {"MICROPYPATH": ":".join([*paths, ".frozen"])}
        else:
            program = [sys.executable]
            environment = {"PYTHONPATH": ":".join(paths)}
        main = str(ROOT / "firmware" / "boards" / "desktop" / "main.py")
        return Service("wearable", [*program, main, str(settings)], {**environment, "ZENMOON_RADIO": self._radio})

    def print_addresses(self) -> None:
        """What a person needs to look around."""
        print(f"\n  the parents' page   {self.address}/")
        for role in ("parent", "operator"):
            account = self._accounts[role]
            print(f"  {role:<20}{account['email']}   password {account['password']}")
        print(f"  state and logs      {self.folder}\n  engine              {self.engine}\n", flush=True)

    async def stored(self, boots: set[int]) -> list[Stored]:
        """What PostgreSQL holds of this wearable's given boots."""
        async with self._connected() as connection:
            rows = await (await connection.execute(_STORED, (signed(self._wearable["device"]), list(boots)))).fetchall()
        return [
            Stored(kind, boot, seq, tick_ms, f"{payload & (1 << 64) - 1:016x}", strain)
            for kind, boot, seq, tick_ms, payload, strain in rows
        ]

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        try:
            async with await psycopg.AsyncConnection.connect(self._url) as connection:
                yield connection
        except psycopg.OperationalError as error:
            where = self.folder / "postgres.log" if self._database else "the log of the server in DATABASE_URL"
            raise Unavailable(f"the database does not answer any more ({error}).\nNext: read {where}") from error

    async def gateway_status(self) -> dict[str, Any]:
        """The gateway's own counters."""
        status: dict[str, Any] = json.loads(await self._run("zenmoon-gateway", "status", "--json"))
        return status

    async def spoil(self, faults: list[str]) -> None:
        """Removes or doubles one stored record, for whoever wants to see that the accounting notices."""
        async with self._connected() as connection:
            for fault in faults:
                self._say(f"injecting a {fault}")
                await connection.execute(_FAULTS[fault], (signed(self._wearable["device"]),))

    async def stop(self) -> None:
        """Ends every process, the database last."""
        started = time.monotonic()
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._supervisor.stop()
        if self._database:
            await asyncio.to_thread(self._database.stop)
        self._say(f"ended everything in {time.monotonic() - started:.1f} s")


_FAULTS = {
    "loss": """
        DELETE FROM wellness_metrics USING (SELECT * FROM wellness_metrics WHERE device = %s ORDER BY time LIMIT 1) AS one
        WHERE (wellness_metrics.device, wellness_metrics.boot, wellness_metrics.seq) = (one.device, one.boot, one.seq)""",
    "duplicate": """
        INSERT INTO wellness_metrics
        SELECT (jsonb_populate_record(one, jsonb_build_object('seq', (one).seq + 1000000))).*
        FROM (SELECT m AS one FROM wellness_metrics AS m WHERE m.device = %s ORDER BY m.time LIMIT 1) AS first""",
}
