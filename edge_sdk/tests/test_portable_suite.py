"""The portable core means the same on CPython and on MicroPython."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PORTABLE = Path(__file__).with_name("portable")
WITHIN_S = 120


@pytest.fixture
def micropython() -> str:
    """The interpreter named by ZENMOON_MICROPYTHON, else the one the toolchain has built."""
    path = Path(os.environ.get("ZENMOON_MICROPYTHON") or ROOT / ".toolchain" / "micropython" / "micropython")
    if not path.is_file():
        pytest.skip(f"no MicroPython at {path}; `python tools/toolchain.py` builds it")
    return str(path)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)


def test_portable_suite_passes_on_micropython(micropython: str) -> None:
    # The whole suite in one process holds more than the default heap is sure to have room for; boards run it file by file.
    done = run(micropython, "-X", "heapsize=8m", PORTABLE / "run.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("micropython: ")


def test_the_runner_fails_when_a_test_fails(micropython: str, tmp_path: Path) -> None:
    # The runner is copied beside one good and two bad tests: a runner that forgave failures would make the suite worthless.
    (tmp_path / "run.py").write_text((PORTABLE / "run.py").read_text())
    (tmp_path / "test_good.py").write_text("def test_right():\n    assert True\n")
    assert run(micropython, tmp_path / "run.py").returncode == 0
    (tmp_path / "test_bad.py").write_text("def test_wrong():\n    assert False\n")
    (tmp_path / "test_broken.py").write_text("import nothing_of_that_name\n")
    done = run(micropython, tmp_path / "run.py")
    assert done.returncode == 1
    assert "FAILED test_bad.py::test_wrong" in done.stdout
    assert "FAILED test_broken.py" in done.stdout
    assert done.stdout.splitlines()[-1] == "micropython: 1 passed, 2 failed"


def test_the_runner_fails_when_it_finds_no_test(micropython: str, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text((PORTABLE / "run.py").read_text())
    assert run(micropython, tmp_path / "run.py").returncode == 2


@pytest.mark.parametrize("seed", [1, 20261121])
def test_both_interpreters_encode_random_vectors_to_the_same_bytes(micropython: str, seed: int) -> None:
    here = run(sys.executable, PORTABLE / "vectors.py", str(seed), "150")
    there = run(micropython, PORTABLE / "vectors.py", str(seed), "150")
    assert here.returncode == there.returncode == 0, here.stderr + there.stderr
    lines = here.stdout.splitlines()
    assert len(lines) > 1000
    assert there.stdout.splitlines() == lines
