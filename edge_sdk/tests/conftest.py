"""The virtual air and what runs on it, each a process of its own as in real use."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # what several tests share: random_models, kernel_library, …
ROOT = Path(__file__).resolve().parents[2]
EDGE_SDK = ROOT / "edge_sdk"
RADIO = EDGE_SDK / "zenmoon_edge" / "virtual" / "radio"
MICROPYTHON = Path(os.environ.get("ZENMOON_MICROPYTHON") or ROOT / ".toolchain" / "micropython" / "micropython")
WITHIN_S = 15.0


class Program:
    """A child process and what it says."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._more = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().strip())
            self._more.set()

    async def said(self, text: str, times: int = 1) -> None:
        """Waits until it has said a line so many times."""
        async with asyncio.timeout(WITHIN_S):
            while self.lines.count(text) < times:
                self._more.clear()
                await self._more.wait()

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Ends it with a signal and waits; gives the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(WITHIN_S):
            await self._reading
            return await self.process.wait()


class VirtualAir:
    """Starts the air and the wearables and gateways on it; ends all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: list[Program] = []
        self.radio_port = 0
        self.hci_port = 0

    @property
    def transport(self) -> str:
        return f"tcp-client:127.0.0.1:{self.hci_port}"

    async def run(self, *command: str | Path, **environment: str) -> Program:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        )
        program = Program(process)
        self.programs.append(program)
        return program

    async def start(self) -> Program:
        """Starts the air, on the ports of the last time."""
        state_file = self.folder / "air.json"
        state_file.unlink(missing_ok=True)
        ports = ["--radio-port", str(self.radio_port), "--hci-port", str(self.hci_port)]
        command = [sys.executable, "-m", "zenmoon_edge.virtual.air", "--state-file", str(state_file), *ports]
        air = await self.run(*command, PYTHONPATH=str(EDGE_SDK))
        await until(state_file.exists)
        state = json.loads(state_file.read_text())
        assert state["pid"] == air.process.pid
        self.radio_port, self.hci_port = state["radio_port"], state["hci_port"]
        return air

    async def wearable(self, interpreter: str = "cpython", name: str = "ZenMoon-0001") -> Program:
        """Starts the small firmware and waits until it runs."""
        script = Path(__file__).with_name("radio_peripheral.py")
        radio = {"ZENMOON_RADIO": f"127.0.0.1:{self.radio_port}"}
        if interpreter == "micropython":
            wearable = await self.run(MICROPYTHON, script, name, MICROPYPATH=f"{RADIO}:.frozen", **radio)
        else:
            wearable = await self.run(sys.executable, script, name, PYTHONPATH=str(RADIO), **radio)
        await wearable.said("started")
        return wearable


async def until(condition: Callable[[], bool]) -> None:
    """Waits, within a bound, for what has no event."""
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def virtual_air(tmp_path: Path) -> AsyncIterator[VirtualAir]:
    air = VirtualAir(tmp_path)
    await air.start()
    yield air
    for program in reversed(air.programs):
        await program.end(signal.SIGKILL)


@pytest.fixture(params=["cpython", "micropython"])
def interpreter(request: pytest.FixtureRequest) -> str:
    """Each of the interpreters the firmware runs on."""
    if request.param == "micropython" and not MICROPYTHON.is_file():
        pytest.skip(f"no MicroPython at {MICROPYTHON}; `python tools/toolchain.py` builds it")
    return str(request.param)
