"""Runs the demo as a user does: its command line in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = ROOT.parent / "shared" / "data" / "stress_predict"
ENDS_WITHIN_S = 240


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@dataclass
class Run:
    """A demo in its own process.

    Attributes:
        temporary: The folder that it takes for the system's temporary one, so that its state can be found.
        report: Where it writes its JSON.
    """

    process: subprocess.Popen[str]
    temporary: Path
    report: Path

    def state(self) -> Path | None:
        """Its state folder, once there is one."""
        return next(iter(self.temporary.glob("zenmoon-*/processes.json")), self.temporary / "_").parent

    def until(self, condition: Callable[[], object], what: str, within_s: float = 120.0) -> None:
        """Waits for a condition; fails when the demo ends first or the time is up."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert self.process.poll() is None, f"ended before {what}:\n{self.process.communicate()[0]}"
            assert time.monotonic() < deadline, f"no {what} within {within_s} s"
            time.sleep(0.05)

    def records_sent(self) -> int:
        """Records in the wearable's ledger so far."""
        return sum(file.read_text().count("record ") for file in self.temporary.glob("zenmoon-*/ledger-*"))

    def services(self) -> dict[str, int]:
        """Process ids by service."""
        register = next(iter(self.temporary.glob("zenmoon-*/processes.json")), None)
        if register is None:
            return {}
        return {name: entry["pid"] for name, entry in json.loads(register.read_text()).items()}

    def kill(self, service: str) -> int:
        """SIGKILL to a service."""
        pid = self.services()[service]
        os.kill(pid, signal.SIGKILL)
        return pid

    def result(self) -> tuple[int, str, dict[str, object]]:
        """Exit code, what it printed, its JSON."""
        output, _ = self.process.communicate(timeout=ENDS_WITHIN_S)
        report = json.loads(self.report.read_text()) if self.report.exists() else {}
        return self.process.returncode, output, report


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts demos; whatever is left of them afterwards is an error."""
    runs: list[Run] = []

    def start(*arguments: str, once: bool = True, environment: dict[str, str] | None = None) -> Run:
        folder = tmp_path / f"run{len(runs)}"
        folder.mkdir()
        report = folder / "report.json"
        command = [sys.executable, str(ROOT / "tools" / "demo.py"), *arguments, "--json", str(report)]
        command += ["--once"] if once else []
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(environment or {}), "TMPDIR": str(folder)},
        )
        runs.append(Run(process, folder, report))
        return runs[-1]

    yield start
    left = [pid for run in runs for pid in run.services().values() if _alive(pid)]
    for run in runs:
        if run.process.poll() is None:
            run.process.terminate()
            run.process.wait(30)
        assert run.process.stdout is not None
        run.process.stdout.close()
    assert not [pid for pid in left if _alive(pid)], "the demo left processes running"


@pytest.fixture
def recording() -> Callable[[str], Path]:
    """A real recording by name; skips where the data is not there."""

    def find(name: str) -> Path:
        folder = RECORDINGS / name
        if not folder.is_dir():
            pytest.skip(f"the Stress-Predict recordings are not beside the checkout ({name})")
        return folder

    return find
