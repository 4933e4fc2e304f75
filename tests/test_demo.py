"""The whole path as somebody trying it out runs it: every record that is sent must be stored exactly once, come what may."""

import gzip
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from zenmoon_edge.virtual.generated import write_recording

Demo = Callable[..., "Run"]  # type: ignore[name-defined]  # noqa: F821 - conftest's Run


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("e4") / "made"
    write_recording(folder, seconds=240, seed=11)
    return folder


def assert_balanced(result: tuple[int, str, dict[str, object]], records: int | None = None) -> None:
    code, output, report = result
    assert code == 0, output
    assert report["records_sent"] == report["records_stored"], report
    assert [report[name] for name in ("lost", "duplicates", "conflicts", "refused", "altered")] == [0] * 5, report
    if records is not None:
        assert report["records_sent"] == records


def copy(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to, copy_function=shutil.copyfile)
    to.chmod(0o755)
    return to


def signal_file(folder: Path, name: str) -> Path:
    return next(path for path in (folder / f"{name}.csv", folder / f"{name}.csv.gz") if path.exists())


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


def test_an_emptied_ibi_file_is_replayed_without_heart_rate_variability(demo: Demo, generated: Path, tmp_path: Path) -> None:
    folder = copy(generated, tmp_path / "no-ibi")
    signal_file(folder, "IBI").write_bytes(b"")
    result = demo("--recording", str(folder), "--speed", "120").result()
    assert_balanced(result, records=60)
    assert "IBI" in result[1]


def test_a_bvp_file_cut_in_the_middle_of_its_gzip_stream_is_replayed(demo: Demo, generated: Path, tmp_path: Path) -> None:
    folder = copy(generated, tmp_path / "cut-bvp")
    plain = signal_file(folder, "BVP")
    content = plain.read_bytes() if plain.suffix == ".csv" else gzip.decompress(plain.read_bytes())
    plain.unlink()
    packed = gzip.compress(content)
    (folder / "BVP.csv.gz").write_bytes(packed[: len(packed) * 2 // 5])
    result = demo("--recording", str(folder), "--speed", "120").result()
    assert_balanced(result, records=60)
    assert "BVP" in result[1]


@pytest.mark.parametrize("service", ["gateway", "cloud"])
def test_a_killed_service_loses_and_doubles_nothing(demo: Demo, generated: Path, service: str) -> None:
    run = demo("--recording", str(generated), "--speed", "20")
    run.until(lambda: run.records_sent() >= 12, "a dozen records")
    killed = run.kill(service)
    run.until(lambda: run.services().get(service, killed) != killed, f"new {service}")
    result = run.result()
    assert f"{service} ended" in result[1]
    assert_balanced(result, records=60)


def test_a_killed_wearable_delivers_what_it_had_before(demo: Demo, generated: Path) -> None:
    run = demo("--recording", str(generated), "--speed", "40")
    run.until(lambda: run.records_sent() >= 12, "a dozen records")
    killed = run.kill("wearable")
    run.until(lambda: run.services().get("wearable", killed) != killed, "new wearable")
    assert_balanced(run.result())


@pytest.mark.parametrize(("fault", "count"), [("loss", "lost"), ("duplicate", "duplicates")])
def test_an_injected_fault_makes_the_demo_fail(demo: Demo, fault: str, count: str) -> None:
    code, output, report = demo("--inject", fault).result()
    assert code == 1, output
    assert report[count] == 1
    assert "DOES NOT BALANCE" in output


def test_a_wrong_sampling_rate_is_refused_with_the_file_and_the_next_action(demo: Demo, generated: Path, tmp_path: Path) -> None:
    folder = copy(generated, tmp_path / "wrong-rate")
    path = signal_file(folder, "EDA")
    text = path.read_text() if path.suffix == ".csv" else gzip.decompress(path.read_bytes()).decode()
    path.unlink()
    lines = text.splitlines()
    lines[1] = "-3.0"
    (folder / "EDA.csv").write_text("\n".join(lines) + "\n")
    code, output, _ = demo("--recording", str(folder)).result()
    assert code == 2, output
    assert "EDA" in output
    assert "resample the file or restore the original" in output


def test_a_folder_that_is_not_there_is_refused(demo: Demo, tmp_path: Path) -> None:
    code, output, _ = demo("--recording", str(tmp_path / "nowhere")).result()
    assert code == 2
    assert "name the folder of an Empatica E4 session" in output


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
