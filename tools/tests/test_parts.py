"""What the demo needs of this machine is asked for before anything is started, and a failure names what to read."""

import argparse
import socket
import tempfile
from datetime import datetime
from pathlib import Path

import pytest
from demo import state_folder
from history import DAYS
from machine import Unavailable, free_port, require_free
from parts import Parts
from supervisor import ServiceFailed

ONCE = argparse.Namespace(once=True)


def test_a_port_in_use_is_told_with_the_next_action() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Unavailable, match=r"Next: .* --port"):
        require_free(taken.getsockname()[1])
    require_free(free_port())


def test_the_logs_that_a_failure_names_outlive_the_temporary_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found: list[Path] = []

    def failing() -> None:
        with state_folder(ONCE) as folder:
            found.append(folder)
            (folder / "logs").mkdir()
            (folder / "logs" / "cloud.log").write_text("what happened")
            (folder / "wearable.key").write_text("secret")
            raise ServiceFailed("cloud", folder / "logs" / "cloud.log", "ended")

    with pytest.raises(ServiceFailed):
        failing()
    assert [path.name for path in found[0].iterdir()] == ["logs"]
    assert (found[0] / "logs" / "cloud.log").read_text() == "what happened"


def test_nothing_stays_of_a_run_without_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with state_folder(ONCE) as folder:
        (folder / "logs").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_a_failure_before_anything_was_logged_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def failing() -> None:
        with state_folder(ONCE) as folder:
            (folder / "logs").mkdir()
            raise Unavailable("port 8420 cannot be used")

    with pytest.raises(Unavailable):
        failing()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("once", "recording"), [(True, None), (False, Path("S05")), (False, None)])
async def test_whatever_is_shown_first_the_past_may_be_brought_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, once: bool, recording: Path | None
) -> None:
    monkeypatch.setenv("ZENMOON_MICROPYTHON", "/bin/false")
    asked: list[str] = []

    async def run(_: Parts, *command: str) -> str:
        asked.extend(command)
        return "{}"

    monkeypatch.setattr(Parts, "_run", run)
    options = argparse.Namespace(once=once, recording=recording, port=0, speed=1.0)
    parts = Parts(tmp_path, options, tmp_path / "replay.bin", lambda _: None)
    await parts._seed()
    assert datetime.fromisoformat(asked[asked.index("--from") + 1]) <= parts.now() - DAYS
    assert ("--importer" in asked) == (not once and recording is None)
