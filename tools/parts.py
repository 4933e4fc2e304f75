"""The parts of the demo, and how each is started: database, cloud, air, gateway, wearable, and the parent who watches."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from accounting import Stored
from child import SOURCE, afternoon_zone, simulated_child
from history import DAYS, History
from machine import Unavailable, free_port, require_free
from stored import Store
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
ALARM_MINUTES = 3  # a visitor does not stay for the ten of the default; the child's guardian may change it
IDENTITY_BYTES = {"device": 8, "key": 32}


def digest32(files: list[Path]) -> str:
    """The first 32 bits of a hash over names and contents: how headers name firmware and models."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:8]


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
        self._accounts: dict[str, Any] = {}
        self._wearable = self._provision()
        self._began = self.now()
        self._watching: asyncio.Task[None] | None = None

    @property
    def failed(self) -> asyncio.Future[None]:
        """Done when a process cannot be kept running; its exception says which and why."""
        return self._supervisor.failed

    def _provision(self) -> dict[str, str]:
        """The wearable's identity, as flashing would burn it: made once a state, readable by its owner only."""
        path = self.folder / "wearable-identity.json"
        identity: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        missing = {name: size for name, size in IDENTITY_BYTES.items() if name not in identity}
        if missing:
            identity |= {name: secrets.token_hex(size) for name, size in missing.items()}
            draft = path.with_suffix(".new")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(identity, file)
            draft.replace(path)
        return identity

    def now(self) -> datetime:
        """The demo's clock."""
        return datetime.fromtimestamp(self._clock.utc_ms() / 1000, UTC)

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
        self._accounts = await self._seed()
        log = self.folder / "postgres.log" if self._database else "the log of the server in DATABASE_URL"
        self.store = Store(self._url, log)
        self._say("starting cloud, worker, gateway and wearable")
        parent = self._accounts["parent"]
        self.watcher = Watcher(self.address, parent["email"], parent["password"])
        starts = (self._start_cloud, self._start_worker, self._start_radio)
        together = [asyncio.create_task(start(), name=start.__name__) for start in starts]
        try:
            await asyncio.gather(*together)
        finally:
            # Where one failed, the others must not go on starting processes while everything is being ended.
            for task in together:
                task.cancel()
            await asyncio.gather(*together, return_exceptions=True)
        self._watching = asyncio.create_task(self.watcher.run(), name="watch")
        try:
            async with asyncio.timeout(GREETED_WITHIN_S):
                await self.watcher.listening.wait()
        except TimeoutError as error:
            log = self.folder / "logs" / "cloud.log"
            raise ServiceFailed("cloud", log, f"no parent could sign in within {GREETED_WITHIN_S:.0f} s") from error
        if self._simulated:
            child = simulated_child(self._accounts["zone"])
            new = await History(child, self._say).bring(self.address, self._accounts, self.store, self.now())
            if new:
                await self.watcher.alarm_after(self._accounts["child_id"], ALARM_MINUTES)
        await self._supervisor.start(self._wearable_service())

    @property
    def _simulated(self) -> bool:
        """Whether a simulated child is shown, with its past; a recording and an account are of themselves alone."""
        return self._options.recording is None and not self._options.once

    async def _seed(self) -> dict[str, Any]:
        # Whatever is shown first: a later start on the same database may bring the past, which has to be allowed.
        begin = self.now() - DAYS - timedelta(days=1)
        command = ["seed", "--device", self._wearable["device"], "--json", "--zone", afternoon_zone(self.now())]
        command += ["--from", f"{begin:%Y-%m-%dT%H:%M:%S%z}"]
        if self._simulated:
            command += ["--importer", SOURCE]
        accounts: dict[str, Any] = json.loads(await self._run("zenmoon-cloud", *command))
        return accounts

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

    async def _start_worker(self) -> None:
        listening = self.folder / "worker.ready"
        listening.unlink(missing_ok=True)

        async def ready() -> bool:
            return listening.exists()

        command = [self._program("zenmoon-cloud"), "worker", "--ready-file", str(listening)]
        await self._supervisor.start(Service("worker", command, self._environment, ready))

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
                    "loop": self._simulated,
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
            native = str(ROOT / ".toolchain" / "native" / "x64")  # the kernel, where it could be built
            environment = {"MICROPYPATH": ":".join([*paths, native, ".frozen"])}
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
        return await self.store.records(self._wearable["device"], boots)

    async def alarms(self) -> int:
        """How many alarms this run has raised."""
        return await self.store.alarms(self._accounts["child_id"], self._began)

    async def suggestion(self) -> dict[str, Any]:
        """What a parent who asks is told now."""
        return await self.watcher.suggestion(self._accounts["child_id"])

    async def spoil(self, faults: list[str]) -> None:
        """Spoils the stored rows on purpose."""
        for fault in faults:
            self._say(f"injecting a {fault}")
            await self.store.spoil(fault, self._wearable["device"])

    async def gateway_status(self) -> dict[str, Any]:
        """The gateway's own counters."""
        status: dict[str, Any] = json.loads(await self._run("zenmoon-gateway", "status", "--json"))
        return status

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
