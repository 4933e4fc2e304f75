"""The supervisor must end what it started and start again what dies, whatever the way it dies."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from supervisor import Service, ServiceFailed, Supervisor

SLEEPER = [sys.executable, "-c", "import signal; signal.pause()"]


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    instance = Supervisor(tmp_path, lambda _text: None)
    yield instance
    await instance.stop()


async def until(condition: Callable[[], bool], within_s: float = 15.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_killed_service_is_started_again_under_another_pid(supervisor: Supervisor) -> None:
    await supervisor.start(Service("sleeper", SLEEPER))
    first = supervisor.pid("sleeper")
    os.kill(first, signal.SIGKILL)
    await until(lambda: supervisor.pid("sleeper") != first)
    assert alive(supervisor.pid("sleeper"))


async def test_stop_ends_every_process_and_the_register(supervisor: Supervisor, tmp_path: Path) -> None:
    for name in ("one", "two"):
        await supervisor.start(Service(name, SLEEPER))
    pids = [entry["pid"] for entry in json.loads((tmp_path / "processes.json").read_text()).values()]
    assert len(pids) == 2
    await supervisor.stop()
    assert not any(alive(pid) for pid in pids)
    assert not (tmp_path / "processes.json").exists()


async def test_a_service_that_ends_before_it_is_ready_fails_with_its_last_words(supervisor: Supervisor) -> None:
    async def never() -> bool:
        return False

    with pytest.raises(ServiceFailed, match="port taken") as caught:
        await supervisor.start(Service("broken", [sys.executable, "-c", "raise SystemExit('port taken')"], ready=never))
    assert caught.value.service == "broken"


async def test_readiness_that_another_program_vouched_for_does_not_count(supervisor: Supervisor, tmp_path: Path) -> None:
    """The port was taken: the one who has it answers, while the service has long ended."""

    async def answered_by_another() -> bool:
        pid = json.loads((tmp_path / "processes.json").read_text())["shadowed"]["pid"]
        await until(lambda: not Path(f"/proc/{pid}").exists() or ") Z " in Path(f"/proc/{pid}/stat").read_text())
        return True

    with pytest.raises(ServiceFailed, match="before it was ready"):
        await supervisor.start(Service("shadowed", [sys.executable, "-c", "raise SystemExit(1)"], ready=answered_by_another))


async def test_a_machine_without_ps_runs_services_and_ends_leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    earlier = Supervisor(tmp_path, lambda _text: None)
    await earlier.start(Service("sleeper", SLEEPER))
    left = earlier.pid("sleeper")
    later = Supervisor(tmp_path, lambda _text: None)
    await asyncio.to_thread(later.end_leftovers)
    await until(lambda: earlier.pid("sleeper") != left)
    await earlier.stop()


async def test_a_service_not_to_be_restarted_reports_its_end(supervisor: Supervisor) -> None:
    await supervisor.start(Service("once", [sys.executable, "-c", "raise SystemExit(3)"], restart=False))
    with pytest.raises(ServiceFailed, match="exit code 3"):
        await asyncio.wait_for(supervisor.failed, 15)


async def test_what_an_earlier_killed_run_left_is_ended(tmp_path: Path) -> None:
    earlier = Supervisor(tmp_path, lambda _text: None)
    await earlier.start(Service("sleeper", SLEEPER))
    left = earlier.pid("sleeper")
    lines: list[str] = []
    later = Supervisor(tmp_path, lines.append)
    await asyncio.to_thread(later.end_leftovers)
    await until(lambda: not (tmp_path / "processes.json").exists() or earlier.pid("sleeper") != left)
    assert str(left) in lines[0]
    await earlier.stop()


async def test_a_pid_that_now_belongs_to_another_process_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "processes.json").write_text(json.dumps({"x": {"pid": os.getpid(), "started": "long ago"}}))
    Supervisor(tmp_path, lambda _text: None).end_leftovers()
    assert not (tmp_path / "processes.json").exists()
