"""One supervisor for every process of the demo: starts them in order, restarts what dies, ends all of them by pid.

A service is a command, its environment and a question "are you ready?". What it prints goes to its own log file. The
supervisor writes `processes.json` beside the logs; a later run ends what an earlier one that was killed has left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

READY_WITHIN_S = 60.0  # a cold PostgreSQL and a loaded two-core machine included
STOP_WITHIN_S = 8.0  # an orderly end; after that the process is killed
POLL_S = 0.05
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.2, 5.0
CALM_AFTER_S = 20.0  # a service that ran this long starts again at the first back-off
MOST_RESTARTS = 20  # without a calm time between them
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class ServiceFailed(Exception):  # noqa: N818 - reads as what happened
    """A service did not become ready, or kept dying. `service` and `log` say which and where to read."""

    def __init__(self, service: str, log: Path, cause: str) -> None:
        self.service, self.log = service, log
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-12:]) if log.exists() else ""
        super().__init__(f"{service}: {cause}\n{tail}\nNext: read {log}")


@dataclass(frozen=True)
class Service:
    """One process to keep running.

    Attributes:
        name: Also the name of its log file.
        command: Program and arguments.
        environment: Added to the supervisor's own environment.
        ready: Awaited again and again until it answers true; None = ready at once.
        restart: Start it again whenever it ends by itself.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], Awaitable[bool]] | None = None
    restart: bool = True


def _end_with_parent() -> None:
    """Linux: the kernel ends the child when the supervisor is killed; elsewhere the next run cleans up by pid."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _started_at(pid: int) -> str:
    """When a process started, empty once it has ended: a pid alone may have been given to another process since."""
    if sys.platform == "linux":  # where a small image has no `ps`; fields 3 and 22 of proc(5)
        with contextlib.suppress(OSError):
            state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return "" if state == "Z" else rest[18]
        return ""
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip()


class Supervisor:
    """Keeps services running until `stop`."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._logs = folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._register = folder / "processes.json"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end_leftovers(self) -> None:
        """Ends the processes of an earlier run that could not end them itself."""
        if not self._register.exists():
            return
        left = [
            entry["pid"]
            for entry in json.loads(self._register.read_text() or "{}").values()
            if entry["started"] and _started_at(entry["pid"]) == entry["started"]
        ]
        for pid in left:
            self._say(f"ending process {pid}, left behind by an earlier run")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN_S
        while any(_started_at(pid) for pid in left) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._register.unlink()

    async def start(self, service: Service) -> None:
        """Starts a service and waits until it is ready.

        Raises:
            ServiceFailed: It ended or was not ready within READY_WITHIN_S.
        """
        self._spawn(service)
        await self._until_ready(service)
        self._keepers[service.name] = asyncio.create_task(self._keep(service), name=f"keep {service.name}")

    def pid(self, name: str) -> int:
        """The process id of a service as it runs now."""
        return self._processes[name].pid

    async def stop(self) -> None:
        """Ends every process, the last started first."""
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        self._keepers.clear()
        for process in reversed(list(self._processes.values())):
            await self._end(process)
        self._processes.clear()
        self._register.unlink(missing_ok=True)
        if self.failed.done():
            self.failed.exception()

    def _log(self, service: Service) -> Path:
        return self._logs / f"{service.name}.log"

    def _spawn(self, service: Service) -> None:
        with self._log(service).open("ab") as output:
            self._processes[service.name] = subprocess.Popen(
                list(service.command),
                env={**os.environ, **service.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal reaches the supervisor alone, which then ends the rest in order.
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - no threads run before it
            )
        self._write_register()

    def _write_register(self) -> None:
        entries = {name: {"pid": process.pid, "started": _started_at(process.pid)} for name, process in self._processes.items()}
        draft = self._register.with_suffix(".new")
        draft.write_text(json.dumps(entries, indent=1))
        draft.replace(self._register)

    async def _until_ready(self, service: Service) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        process = self._processes[service.name]
        while True:
            ready = service.ready is None or await service.ready()
            # Looked at afterwards: the answer may have come from another program, which had the port before.
            if service.ready is not None and process.poll() is not None:
                raise ServiceFailed(
                    service.name, self._log(service), f"ended with exit code {process.returncode} before it was ready"
                )
            if ready:
                return
            if time.monotonic() > deadline:
                raise ServiceFailed(service.name, self._log(service), f"not ready after {READY_WITHIN_S:.0f} s")
            await asyncio.sleep(POLL_S)

    async def _keep(self, service: Service) -> None:
        backoff, restarts = FIRST_BACKOFF_S, 0
        while True:
            process, started = self._processes[service.name], time.monotonic()
            while process.poll() is None:
                await asyncio.sleep(POLL_S)
            if time.monotonic() - started > CALM_AFTER_S:
                backoff, restarts = FIRST_BACKOFF_S, 0
            restarts += 1
            if not service.restart or restarts > MOST_RESTARTS:
                self._fail(ServiceFailed(service.name, self._log(service), f"ended with exit code {process.returncode}"))
                return
            self._say(f"{service.name} ended (exit code {process.returncode}); starting it again")
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF_S)
            self._spawn(service)

    def _fail(self, error: ServiceFailed) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    async def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN_S
        while process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
        if process.poll() is None:
            self._say(f"process {process.pid} did not end in {STOP_WITHIN_S:.0f} s: killed")
            process.kill()
            process.wait()
