"""What the demo needs of this machine is asked for before anything is started, and a failure names what to read."""

import argparse
import socket
import tempfile
from pathlib import Path

import pytest
from demo import state_folder
from machine import Unavailable, free_port, require_free
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
