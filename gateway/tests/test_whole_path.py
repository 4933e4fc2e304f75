"""The real firmware, the virtual air and the gateway as processes, and a cloud on loopback: every entry arrives exactly once,
also when the gateway is killed in the middle, the cloud goes away, or the adapter does."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI, Request
from zenmoon_edge.virtual.generated import write_recording
from zenmoon_edge.virtual.recording import Recording

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(os.environ.get("ZENMOON_MICROPYTHON") or ROOT / ".toolchain" / "micropython" / "micropython")
MODEL = Path(os.environ.get("ZENMOON_TEST_MODEL") or ROOT / "edge_sdk" / "zenmoon_edge" / "models" / "wearable.tflite")
HAS_MICROPYTHON, HAS_MODEL = MICROPYTHON.exists(), MODEL.exists()
PORTABLE = [ROOT / "firmware", ROOT / "edge_sdk", ROOT / "edge_sdk" / "zenmoon_edge" / "virtual" / "radio"]
DEVICE, KEY, RATE = "a1b2c3d4e5f60718", "00112233445566778899aabbccddeeff" * 2, 60
WITHIN_S = 60.0


async def until(condition, what):
    try:
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"{what} did not happen within {WITHIN_S} s")


class Cloud:
    """Stores each key once and remembers how often each was sent."""

    def __init__(self, listener):
        self.stored, self.sent, self.arrived = {}, Counter(), {}
        self._listener = listener
        self._server = None
        self.app = FastAPI()
        self.app.post("/api/ingest/batches")(self.ingest)

    async def ingest(self, request: Request):
        batch = json.loads(await request.body())
        now, accepted = time.monotonic_ns() // 1000, 0
        for item in batch["items"]:
            key = item["boot"], item["seq"]
            self.sent[key] += 1
            if key not in self.stored:
                self.stored[key] = item
                self.arrived[key] = now
                accepted += 1
        return {"batch_id": batch["batch_id"], "accepted": accepted, "duplicates": len(batch["items"]) - accepted, "refused": []}

    async def start(self):
        self._server = uvicorn.Server(
            uvicorn.Config(self.app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1, timeout_keep_alive=1)
        )
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener.dup()]))

    async def stop(self):
        if self._server is not None:
            self._server.should_exit = True
            await self._task
            self._server = None


class World:
    """Everything around the gateway, each part a process, ended by its id."""

    def __init__(self, folder, cloud):
        self.folder, self.cloud = folder, cloud
        self.ledger, self.air_file = folder / "ledger.txt", folder / "air.json"
        self.clock = f"{time.time_ns() // 1_000_000}:{time.monotonic_ns() // 1000}:{RATE}"
        self.home = folder / "home"
        self.processes = []

    async def process(self, name, *command, **environment):
        with (self.folder / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *map(str, command), env={**os.environ, "PYTHONUNBUFFERED": "1", **environment}, stderr=log, stdout=log
            )
        self.processes.append(process)
        return process

    async def air(self, radio_port=0, hci_port=0):
        self.air_file.unlink(missing_ok=True)
        ports = ["--radio-port", radio_port, "--hci-port", hci_port]
        air = await self.process("air", sys.executable, "-m", "zenmoon_edge.virtual.air", "--state-file", self.air_file, *ports)
        await until(self.air_file.exists, "the air's start")
        self.ports = json.loads(self.air_file.read_text())
        return air

    async def wearable(self, seconds):
        recording = write_recording(self.folder / "recording", seconds=seconds, seed=7)
        Recording.open(recording).write_replay(self.folder / "replay.bin")
        settings = {
            "device": DEVICE,
            "key": KEY,
            "key_id": 1,
            "name": "ZenMoon-0718",
            "journal": str(self.folder / "journal"),
            "journal_pages": 1024,
            "replay": str(self.folder / "replay.bin"),
            "loop": False,
            "clock": self.clock,
            "ledger": str(self.ledger),
            "model": str(MODEL),
            "firmware_id": "9f3c01aa",
            "model_id": "5b7712e0",
        }
        (self.folder / "wearable.json").write_text(json.dumps(settings))
        return await self.power_on()

    async def power_on(self):
        path = ":".join(map(str, PORTABLE))
        if HAS_MICROPYTHON:
            command, environment = [MICROPYTHON, "-X", "heapsize=8M"], {"MICROPYPATH": path + ":.frozen"}
        else:
            command, environment = [sys.executable], {"PYTHONPATH": path}
        radio = f"127.0.0.1:{self.ports['radio_port']}"
        main = ROOT / "firmware" / "boards" / "desktop" / "main.py"
        return await self.process("wearable", *command, main, self.folder / "wearable.json", ZENMOON_RADIO=radio, **environment)

    async def gateway_command(self, *words):
        """Runs a command to its end; exit status and standard output."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "zenmoon_gateway.cli", *map(str, words)),
            env={**os.environ, "ZENMOON_GATEWAY_HOME": str(self.home)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        return process.returncode, output.decode(), errors.decode()

    def run_words(self):
        return [
            *("run", "--cloud", self.cloud_url, "--credentials", self.folder / "credentials.json"),
            *("--adapter", f"tcp-client:127.0.0.1:{self.ports['hci_port']}", "--clock", self.clock),
        ]

    async def gateway(self):
        if not self.home.exists():
            (self.folder / "key").write_text(KEY)
            (self.folder / "credentials.json").write_text(json.dumps({"gateway_id": "gw_1", "token": "t"}))
            status, _, errors = await self.gateway_command("pair", "--device", DEVICE, "--key-file", self.folder / "key")
            assert status == 0, errors
        return await self.process(
            "gateway", sys.executable, "-m", "zenmoon_gateway.cli", *self.run_words(), ZENMOON_GATEWAY_HOME=str(self.home)
        )

    async def status(self):
        status, output, errors = await self.gateway_command("status", "--json")
        assert status == 0, errors
        return json.loads(output)

    def entries(self):
        """key → (payload, monotonic µs of the append), and whether the recording is over."""
        text = self.ledger.read_text() if self.ledger.exists() else ""
        lines = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
        entries = {(int(words[1]), int(words[2])): (words[4], int(words[5])) for words in lines if words[0] != "end"}
        return entries, any(words[0] == "end" for words in lines)

    async def delivered(self):
        """Waits for the end of the recording and until everything journalled is stored; compares to the byte."""

        entries = {}

        def complete():
            nonlocal entries
            entries, ended = self.entries()
            return ended and entries.keys() <= self.cloud.stored.keys()

        await until(complete, "the delivery of everything")
        assert {key: item["payload"] for key, item in self.cloud.stored.items() if key in entries} == {
            key: payload for key, (payload, _) in entries.items()
        }
        return entries

    async def end(self):
        for process in reversed(self.processes):
            if process.returncode is None:
                process.kill()
                await process.wait()


@asynccontextmanager
async def whole(folder):
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        cloud = Cloud(listener)
        world = World(folder, cloud)
        world.cloud_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        stack.push_async_callback(cloud.stop)
        stack.push_async_callback(world.end)
        await cloud.start()
        await world.air()
        yield world


@pytest.fixture
async def world(tmp_path):
    if not HAS_MODEL:
        pytest.skip("the wearable's model is not there: run `make train`")
    async with whole(tmp_path) as made:
        yield made


async def test_every_entry_of_a_recording_is_delivered_exactly_once(world):
    await world.gateway()
    await world.wearable(240)
    await world.delivered()
    records = [item for item in world.cloud.stored.values() if item["kind"] == "record"]
    assert len(records) == 60
    assert all(count == 1 for count in world.cloud.sent.values())
    assert world.cloud.stored.keys() <= world.entries()[0].keys()
    status = await world.status()
    link = status["links"][DEVICE]
    assert (link["state"], status["running"], status["refused"], status["overwritten"]) == ("live", True, 0, 0)
    assert status["last_acknowledgement"] is not None


async def test_event_times_run_with_the_wearables_ticks(world):
    await world.gateway()
    await world.wearable(120)
    await world.delivered()
    from datetime import datetime

    offsets = {
        (item["boot"], round(datetime.fromisoformat(item["ts"]).timestamp() * 1000) - item["tick_ms"])
        for item in world.cloud.stored.values()
    }
    assert len(offsets) == 1
    origin_ms = next(iter(offsets))[1]
    started_ms = int(world.clock.split(":")[0])
    assert 0 <= origin_ms - started_ms < 30_000 * RATE


async def test_a_gateway_killed_in_mid_replay_loses_nothing(world):
    gateway = await world.gateway()
    await world.wearable(600)
    for stored in (20, 60, 100):
        await until(lambda stored=stored: len(world.cloud.stored) >= stored, f"{stored} stored entries")
        gateway.kill()
        await gateway.wait()
        gateway = await world.gateway()
    await world.delivered()
    assert len([item for item in world.cloud.stored.values() if item["kind"] == "record"]) == 150


async def test_a_cloud_that_was_away_gets_everything_afterwards(world):
    await world.gateway()
    await world.wearable(360)
    await until(lambda: len(world.cloud.stored) >= 20, "20 stored entries")
    await world.cloud.stop()
    gap = len(world.cloud.stored)
    await until(lambda: len(world.entries()[0]) >= gap + 30, "30 more entries")
    await world.cloud.start()
    await world.delivered()


async def test_an_air_that_was_switched_off_is_found_again(world):
    await world.gateway()
    await world.wearable(360)
    await until(lambda: len(world.cloud.stored) >= 20, "20 stored entries")
    air = world.processes[0]
    air.kill()
    await air.wait()
    await world.air(world.ports["radio_port"], world.ports["hci_port"])
    await world.delivered()


async def test_a_wearable_switched_off_and_on_keeps_both_boots(world):
    await world.gateway()
    wearable = await world.wearable(240)
    await until(lambda: len(world.cloud.stored) >= 20, "20 stored entries")
    wearable.kill()
    await wearable.wait()
    await world.power_on()
    await world.delivered()
    assert len({boot for boot, _ in world.cloud.stored}) == 2


async def test_scan_lists_a_wearable_and_whether_it_is_paired(world):
    await world.wearable(60)
    words = ["scan", "--adapter", f"tcp-client:127.0.0.1:{world.ports['hci_port']}", "--seconds", "2"]
    await until(lambda: world.entries()[0], "the wearable's start")
    status, output, errors = await world.gateway_command(*words)
    assert status == 0, errors
    assert "ZenMoon-0718" in output
    assert "no" in output.split("dBm")[1]
    (world.folder / "key").write_text(KEY)
    await world.gateway_command("pair", "--device", DEVICE, "--key-file", world.folder / "key")
    assert "yes" in (await world.gateway_command(*words))[1].split("dBm")[1]


async def test_scan_without_an_adapter_names_the_next_action(world):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    status, _, errors = await world.gateway_command("scan", "--adapter", f"tcp-client:127.0.0.1:{port}")
    assert status == 1
    assert "Next: switch Bluetooth on" in errors


async def test_it_ends_within_two_seconds_and_a_second_one_is_refused(world):
    gateway = await world.gateway()
    await world.wearable(60)
    await until(lambda: len(world.cloud.stored) >= 3, "the first entries")
    status, _, errors = await world.gateway_command(*world.run_words())
    assert status == 3
    assert "already running" in errors
    started = time.monotonic()
    gateway.send_signal(signal.SIGTERM)
    assert await gateway.wait() == 0
    assert time.monotonic() - started < 2.0
    assert (await world.status())["running"] is False
