"""The command that scores what ships: its exit codes, what it writes, and that it writes the same twice."""

import json
import subprocess
import sys
from pathlib import Path

import evaluate
import pytest
from zenmoon_edge.virtual.generated import START, write_recording

SCRIPT = Path(evaluate.__file__)
SECONDS = 240


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rows = ["Participant,HR,respr,Time(sec),Label"]
    for participant in (41, 42):
        write_recording(folder / f"S{participant}", SECONDS, seed=participant)
        rows += [f"{participant},80,12,{START + s},{int(80 <= s < 160)}" for s in range(SECONDS)]
    (folder / "labels_hr_rsp_binary.csv").write_text("\n".join(rows) + "\n")
    return folder


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_two_runs_write_the_same_bytes_and_the_table_goes_to_standard_output(folder: Path, tmp_path: Path) -> None:
    first, second = (run("stress", "--data", folder, "--json", tmp_path / name) for name in ("a.json", "b.json"))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert first.stdout == second.stdout
    assert "elapsed time alone (clock)" in first.stdout
    assert "LEAKY" in first.stdout
    assert first.stderr.splitlines() == ["S41: 60 windows (1 of 2)", "S42: 60 windows (2 of 2)"]
    result = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert result["dataset"] == "stress_predict"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_bad_data_exits_with_2_and_names_the_cause_and_writes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["stress", "--data", str(tmp_path / "absent"), "--json", str(tmp_path / "a.json")]) == 2
    assert evaluate.main(["stress", "--data", str(folder), "--json", str(tmp_path / "no" / "a.json")]) == 2
    assert not list(tmp_path.iterdir())
    found = capsys.readouterr()
    assert not found.out
    assert "absent is no folder: name the one that holds the recordings" in found.err
    assert "its folder is not there" in found.err


def test_a_task_that_is_not_there_yet_is_absent(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        evaluate.main(["fortune", "--data", "."])
    assert caught.value.code == 2
    assert "invalid choice: 'fortune'" in capsys.readouterr().err


def test_without_its_packages_the_command_that_installs_them_is_named(folder: Path) -> None:
    code = f"""
import sys
sys.modules["zenmoon_models"] = None
sys.path.insert(0, {str(SCRIPT.parent)!r})
import evaluate
sys.exit(evaluate.main(["stress", "--data", {str(folder)!r}]))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "run `make test`" in found.stderr


def test_tensorflow_is_never_needed(folder: Path) -> None:
    code = f"""
import sys
for name in ("tensorflow", "tf_keras", "sklearn"):
    sys.modules[name] = None
sys.path.insert(0, {str(SCRIPT.parent)!r})
import evaluate
sys.exit(evaluate.main(["stress", "--data", {str(folder)!r}]))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).returncode == 0
