"""The files that fuzzing has kept, offered again: to the kernel under its sanitizers, and to the portable engine.

Both accept and refuse the same files, for the same reason, and an accepted file gives the same integers. `make fuzz` finds more.
"""

import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

NATIVE = Path(__file__).resolve().parents[1] / "native"
CORPUS = NATIVE / "fuzz" / "corpus.zip"
REASONS = ("", "identifier", "truncated", "schema", "operator", "type", "shape", "scale", "range", "memory")
CALLS, FEW = 3, 256  # as in replay.c
SLOW = 200_000  # values of a call times units: beyond it a step of the portable engine takes seconds
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")


def corpus() -> dict[str, bytes]:
    """The kept files by their names."""
    with zipfile.ZipFile(CORPUS) as archive:
        return {name: archive.read(name) for name in sorted(archive.namelist())}


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that offers files to the kernel; with the sanitizers where the compiler has them."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler on this machine (`apt install gcc`)")
    program = tmp_path_factory.mktemp("replay") / "replay"
    sources = [NATIVE / "fuzz" / "replay.c", NATIVE / "fuzz" / "target.c", NATIVE / "tinylstm.c"]
    command = [compiler, "-g", "-O1", "-I", NATIVE, *sources, "-o", program]
    if subprocess.run([*command, *SANITIZED], capture_output=True, check=False).returncode:
        subprocess.run(command, check=True)
    return program


def by_kernel(replay: Path, files: list[bytes]) -> list[tuple[str, list[int]]]:
    """Of each file: the reason it is refused for, "" where it is accepted, and the results of three calls."""
    offered = b"".join(struct.pack("<I", len(file)) + file for file in files)
    done = subprocess.run([replay], input=offered, capture_output=True, timeout=600, check=False)
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    assert done.returncode == 0, f"file {len(lines)} of {len(files)}: {done.stderr.decode()[:3000]}"
    return [(REASONS[-int(code)], [int(value) for value in values]) for code, *values in lines]


def by_portable(file: bytes) -> tuple[str, TinyLSTM | None]:
    """The reason, and the runner of an accepted file."""
    try:
        return "", TinyLSTM(file, engine="portable")
    except ModelError as error:
        return error.reason, None


def test_every_kept_file_is_refused_or_run_alike_by_both_engines(replay: Path) -> None:
    kept = corpus()
    assert len(kept) > 50
    answers = by_kernel(replay, list(kept.values()))
    reasons = set()
    for (name, file), (reason, values) in zip(kept.items(), answers, strict=True):
        expected, runner = by_portable(file)
        reasons.add(reason)
        assert reason == expected, f"{name}: the kernel says {reason or 'accepted'}, the portable engine {expected or 'accepted'}"
        if runner is not None and values and runner.input_size < FEW and len(file) * runner.steps < SLOW:
            x = [(i * 7 + 128) % 256 - 128 for i in range(CALLS * runner.input_size)]
            steps = [runner.step(x[at : at + runner.input_size]) for at in range(0, len(x), runner.input_size)]
            assert values == [value for step in steps for value in step], name
    assert {"", "identifier", "truncated", "schema", "operator", "type", "shape", "scale"} <= reasons


@pytest.mark.skipif(sys.platform != "linux", reason="the sanitizers are only relied on under Linux")
def test_the_sanitizers_watch_the_replay(replay: Path, tmp_path: Path) -> None:
    """A kernel that reads one byte too far is caught: else green would mean nothing."""
    broken = tmp_path / "tinylstm.c"
    source = (NATIVE / "tinylstm.c").read_text()
    door = "int32_t tinylstm_size(const void *model, uint32_t model_bytes) {"
    assert source.count(door) == 1
    beyond = door + "\n    if (model_bytes > 8 && ((const volatile uint8_t *)model)[model_bytes] == 1) return TINYLSTM_SCHEMA;"
    broken.write_text(source.replace(door, beyond))
    program = tmp_path / "replay"
    sources = [NATIVE / "fuzz" / "replay.c", NATIVE / "fuzz" / "target.c", broken]
    command = ["cc", "-g", "-O1", *SANITIZED, "-I", NATIVE, *sources, "-o", program]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this compiler has no sanitizers (`apt install gcc` brings them on Debian)")
    done = subprocess.run([program], input=struct.pack("<I", 64) + bytes(64), capture_output=True, check=False)
    assert done.returncode != 0
    assert b"heap-buffer-overflow" in done.stderr
