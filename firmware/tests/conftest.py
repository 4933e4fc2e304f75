"""The firmware as a process of either interpreter, the virtual air, and a minimal central made of plain bleak calls."""

import asyncio
import contextlib
import json
import math
import os
import random
import shutil
import signal
import struct
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from bleak import BleakClient, BleakScanner

ROOT = Path(__file__).parents[2]
MAIN = ROOT / "firmware/boards/desktop/main.py"
PORTABLE = [ROOT / "firmware", ROOT / "edge_sdk", ROOT / "edge_sdk/zenmoon_edge/virtual/radio"]
MODEL = ROOT / "edge_sdk/zenmoon_edge/models/wearable.tflite"
sys.path[:0] = [str(ROOT / "firmware"), str(ROOT / "edge_sdk/zenmoon_edge/virtual/radio")]

from zenmoon_edge.core import frame  # noqa: E402
from zenmoon_edge.core.record import payload_hash  # noqa: E402
from zenmoon_edge.core.second import Second  # noqa: E402
from zenmoon_edge.virtual.air import Air  # noqa: E402
from zenmoon_edge.virtual.bleak_backend import adapter  # noqa: E402

KEY = bytes(range(32))
KEY_ID = 7
FIRMWARE_ID, MODEL_ID = 0x9F3C01AA, 0x5B7712E0
WITHIN_S = 40.0  # a bound, not a pause: the machine may be busy with other things


def own_uuid(number):
    return f"7a656e{number:02x}-6d6f-6f6e-8000-00805f9b34fb"


async def until(condition, what):
    """The first true value of `condition()`; fails with `what` when it does not come in time."""
    deadline = time.monotonic() + WITHIN_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {WITHIN_S} s"
        await asyncio.sleep(0.01)
    return value


class Line(NamedTuple):
    """One line of the ledger."""

    kind: str
    boot: int
    seq: int
    tick_ms: int
    payload: str


def micropython():
    """The interpreter that tools/toolchain.py builds, or one on the path."""
    if named := os.environ.get("ZENMOON_MICROPYTHON"):
        return named
    built = ROOT / ".toolchain/micropython/micropython"
    return str(built) if built.exists() else shutil.which("micropython")


@pytest.fixture(params=["micropython", "cpython"])
def interpreter(request):
    """Command line and name of the variable with its import path."""
    if request.param == "cpython":
        return [sys.executable, "-W", "error"], "PYTHONPATH"
    if micropython() is None:
        pytest.skip("micropython is not built: run tools/toolchain.py")
    return [micropython(), "-X", "heapsize=2m"], "MICROPYPATH"


def seconds_of_somebody_sitting(count, seed=1):
    """Seconds as an E4 would give them: 32 Hz motion, 64 Hz pulse, 4 Hz conductance and temperature, a beat at 75 bpm."""
    draw = random.Random(seed)
    for n in range(count):
        yield Second(
            1000 * (n + 1),
            [v for _ in range(32) for v in (draw.randint(-2, 2), draw.randint(-2, 2), 63 + draw.randint(-1, 1))],
            [int(400 * math.sin(2 * math.pi * 1.25 * (n + i / 64))) for i in range(64)],
            [struct.unpack("<f", struct.pack("<f", 1.5 + 0.1 * math.sin(n / 20) + draw.random() / 50))[0] for _ in range(4)],
            [33.0 + round(math.sin(n / 300), 2)] * 4,
            75.0,
            [800.0 + draw.randint(-30, 30)],
        )


def write_replay(path, seconds):
    """A replay file of these seconds."""
    packed = [second.pack() for second in seconds]
    path.write_bytes(b"ZMR1" + b"".join(struct.pack("<H", len(data)) + data for data in packed))


class Firmware:
    """One wearable: its settings, its files and its process."""

    def __init__(self, folder, interpreter, radio_port):
        self.command, self._variable = interpreter
        self._radio = f"127.0.0.1:{radio_port}"
        self.ledger_file = folder / "ledger.txt"
        self.stderr_file = folder / "stderr.txt"
        self._settings_file = folder / "settings.json"
        self._replay = folder / "replay.bin"
        self.settings = {
            "device": "a1b2c3d4e5f60718",
            "key": KEY.hex(),
            "key_id": KEY_ID,
            "name": "ZenMoon-0718",
            "journal": str(folder / "journal"),
            "journal_pages": 64,
            "replay": str(self._replay),
            "ledger": str(self.ledger_file),
            "model": str(MODEL),
            "firmware_id": f"{FIRMWARE_ID:08x}",
            "model_id": f"{MODEL_ID:08x}",
        }
        self.path = PORTABLE
        self.process = None
        self._starts = 0

    async def start(self, seconds=None, *, rate=60, **settings):
        """Starts it on a clock that begins now. `seconds`: a number, or seconds, of a new recording."""
        if isinstance(seconds, int):
            seconds = seconds_of_somebody_sitting(seconds)
        if seconds is not None:
            write_replay(self._replay, seconds)
        clock = f"{time.time_ns() // 1_000_000}:{time.monotonic_ns() // 1000}:{rate}"
        self._settings_file.write_text(json.dumps({**self.settings, "clock": clock, **settings}))
        await self.launch()
        return clock

    async def launch(self):
        """Starts it with the settings file as it lies there."""
        self._starts += 1
        path = [str(p) for p in self.path] + ([".frozen"] if self._variable == "MICROPYPATH" else [])
        environment = {**os.environ, self._variable: ":".join(path), "ZENMOON_RADIO": self._radio}
        with self.stderr_file.open("ab") as stderr:
            self.process = await asyncio.create_subprocess_exec(
                *self.command, str(MAIN), str(self._settings_file), env=environment, stderr=stderr
            )

    async def stop(self, number=signal.SIGTERM):
        """Ends it; the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), WITHIN_S)

    def ledger(self):
        """The whole lines so far, without the `end` lines."""
        self._ends = 0
        lines = []
        for text in self.ledger_file.read_text().splitlines(keepends=True) if self.ledger_file.exists() else []:
            words = text.split()
            if words[0] == "end":
                self._ends += 1
            elif text.endswith("\n"):
                lines.append(Line(words[0], *map(int, words[1:4]), words[4]))
        return lines

    async def finished(self):
        """The ledger once the recording is over, for as often as it was started."""
        await until(lambda: self.ledger() and self._ends == self._starts, "the end of the recording")
        return self.ledger()

    def errors(self):
        return self.stderr_file.read_text()


class Central:
    """A gateway reduced to what these tests look at. Keeps every frame that opens."""

    def __init__(self, backend):
        self._backend = backend
        self._counters = {}
        self._opener = frame.Opener(KEY, KEY_ID, frame.TELEMETRY)
        self.entries = {}  # (boot, seq) → (payload, entry)
        self.gone, self.done, self.live = [], [], 0
        self.client = None

    async def connect(self):
        found = await BleakScanner.find_device_by_filter(
            lambda _, seen: own_uuid(0) in seen.service_uuids, timeout=WITHIN_S, backend=self._backend.scanner
        )
        assert found is not None, "the wearable does not advertise"
        self.name = found.name
        self.client = BleakClient(found, backend=self._backend.client)
        await self.client.connect()
        await self.client.start_notify(own_uuid(1), lambda _, data: self._notified(bytes(data), live=True))
        await self.client.start_notify(own_uuid(2), lambda _, data: self._notified(bytes(data), live=False))
        return await self.status()

    async def status(self):
        sealed = bytes(await self.client.read_gatt_char(own_uuid(6)))
        opened = frame.Opener(KEY, KEY_ID, frame.STATUS).open(sealed)
        self.boot = opened.boot
        return frame.decode_status(opened.plaintext)

    async def status_once(self, condition):
        """The first status that fulfils the condition: a write is taken a moment after it was answered."""
        deadline = time.monotonic() + WITHIN_S
        while not condition(status := await self.status()):
            assert time.monotonic() < deadline, f"status stays {status}"
        return status

    def _notified(self, data, *, live):
        opened = self._opener.open(data)
        content = frame.parse_plaintext(opened.plaintext)
        if isinstance(content, frame.Gone):
            self.gone.append(content)
        elif isinstance(content, frame.Done):
            self.done.append(content)
        else:
            self.live += live
            boot = opened.boot if content.boot is None else content.boot
            for entry in content.entries:
                payload = payload_hash(entry, content.firmware, content.model).hex()
                self.entries[boot, entry.seq] = (payload, entry)

    def sealed(self, direction, plaintext, key=KEY, boot=None):
        self._counters[direction] = counter = self._counters.get(direction, 0) + 1
        return frame.seal(key, KEY_ID, direction, self.boot if boot is None else boot, counter, plaintext)

    async def acknowledge(self, boot, seq):
        await self.write(own_uuid(3), self.sealed(frame.ACK, frame.encode_ack(boot, seq)))

    async def resend(self, boot, first=0, last=0xFFFFFFFF):
        """Asks, and waits for DONE."""
        await self.write(own_uuid(4), self.sealed(frame.CONTROL, frame.encode_resend(boot, first, last)))
        await until(lambda: any(tuple(d) == (boot, first, last) for d in self.done), "DONE")

    async def write(self, characteristic, data):
        await self.client.write_gatt_char(characteristic, data, response=True)

    async def heard(self, boot, seq):
        """The entry of this key, once it has come."""
        await until(lambda: (boot, seq) in self.entries, f"entry {seq} over the air")
        return self.entries[boot, seq][1]

    def payloads(self, boot):
        """seq → payload of everything heard of a boot."""
        return {seq: payload for (b, seq), (payload, _) in self.entries.items() if b == boot}

    async def disconnect(self):
        await self.client.disconnect()


@pytest.fixture
def eventually():
    return until


@pytest.fixture
async def air():
    async with Air() as air:
        yield air


@pytest.fixture
async def firmware(tmp_path, interpreter, air):
    firmware = Firmware(tmp_path, interpreter, air.radio_port)
    yield firmware
    if firmware.process is not None:
        with contextlib.suppress(ProcessLookupError):
            await firmware.stop(signal.SIGKILL)


@pytest.fixture
async def backend(air):
    async with adapter(f"tcp-client:127.0.0.1:{air.hci_port}") as backend:
        yield backend


@pytest.fixture
def central(backend):
    return Central(backend)
