"""The whole path as somebody trying it out runs it: every record that is sent must be stored exactly once."""

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from balance import assert_balanced

Demo = Callable[..., "Run"]  # type: ignore[name-defined]  # noqa: F821 - conftest's Run


def test_without_a_recording_a_minute_is_simulated_and_stored_once(demo: Demo) -> None:
    result = demo().result()
    assert_balanced(result, records=15)
    report = result[2]
    assert report["alerts"] == 0
    assert report["insight"]["grounded"] is True
    assert report["insight"]["model_version"] == "rule-1"
    assert "Robin" in report["insight"]["text"]
    assert 0 <= report["strain_mean"] <= 1
    assert set(report["latency_ms"]) == {"p50", "p95"}
    assert "demo start" in result[1]


def test_without_micropython_the_demo_says_so_and_runs_the_same_files_under_cpython(demo: Demo) -> None:
    result = demo(environment={"ZENMOON_MICROPYTHON": "/bin/false"}).result()
    assert_balanced(result, records=15)
    assert result[2]["engine"].startswith("cpython")
    assert "no MicroPython here" in result[1]


def test_a_real_recording_is_stored_once(demo: Demo, recording: Callable[[str], Path]) -> None:
    assert_balanced(demo("--recording", str(recording("S05")), "--speed", "60", "--limit", "600").result(), records=150)


@pytest.fixture
def open_state() -> Iterator[Path]:
    """A state folder that root's PostgreSQL user can enter, unlike pytest's own: nothing is kept elsewhere for it."""
    folder = Path(tempfile.mkdtemp(prefix="zenmoon-live-"))
    folder.chmod(0o711)
    yield folder / "state"
    shutil.rmtree(folder)


def test_a_live_demo_ends_everything_on_interrupt_and_refuses_a_second_on_its_state(demo: Demo, open_state: Path) -> None:
    state = open_state
    run = demo("--state", str(state), "--port", "0", once=False)
    run.until(lambda: list(state.glob("ledger-*")) and "record " in next(iter(state.glob("ledger-*"))).read_text(), "a record")
    code, output, _ = demo("--state", str(state), once=False).result()
    assert code == 2
    assert "already running" in output
    run.process.send_signal(signal.SIGINT)
    code, output, _ = run.result()
    assert code == 0, output
    assert not (state / "processes.json").exists()
    for word in ("parent@example.org", "operator@example.org", "http://127.0.0.1", "history: "):
        assert word in output
