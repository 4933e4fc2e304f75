"""The whole path when something is wrong: a file cut short, a service killed, a record lost. Nothing may go missing unseen."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from balance import assert_balanced
from zenmoon_edge.virtual.generated import write_recording

Demo = Callable[..., "Run"]  # type: ignore[name-defined]  # noqa: F821 - conftest's Run


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("e4") / "made"
    write_recording(folder, seconds=240, seed=11)
    return folder


def copy(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to, copy_function=shutil.copyfile)
    to.chmod(0o755)
    return to


def signal_file(folder: Path, name: str) -> Path:
    return next(path for path in (folder / f"{name}.csv", folder / f"{name}.csv.gz") if path.exists())


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
