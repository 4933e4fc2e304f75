"""What the compilers make of the kernel: the doors that callers rely on, and nothing of the machine it was made on."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import native
import pytest
from micropython_source import Log

DOORS = {f"tinylstm_{name}" for name in native.EXPORTS}


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    """Builds in a folder of its own; gives the result."""

    def run(name: str, make: Callable[[Path, Path, Log], object]) -> Path:
        work, result = tmp_path / name / "work", tmp_path / name / "result"
        work.mkdir(parents=True)
        result.mkdir()
        with (tmp_path / name / "log").open("w") as file:
            make(work, result, Log(file))
        return next(result.iterdir())

    return run


@pytest.mark.skipif(shutil.which("cc") is None or shutil.which("nm") is None, reason="needs cc and nm: apt install build-essential")
def test_the_library_has_six_doors_and_needs_no_other_library(build: Callable[..., Path]) -> None:
    made = build("library", native.build_library)
    listed = subprocess.check_output(["nm", "-D", "--defined-only", made], text=True).split("\n")
    assert {line.split()[-1] for line in listed if line} - {"_init", "_fini"} == DOORS
    wanted = subprocess.check_output(["nm", "-D", "--undefined-only", made], text=True).split("\n")
    assert {line.split()[-1].partition("@")[0] for line in wanted if " U " in line} <= {"memcpy", "memset", "memmove"}


@pytest.mark.skipif(native.clang() is None, reason="needs clang with wasm-ld: apt install clang-14 lld-14")
def test_the_web_module_is_the_same_wherever_it_is_built(build: Callable[..., Path]) -> None:
    def make(work: Path, result: Path, log: Log) -> object:
        return native.build_wasm(native.clang() or "", work, result, log)

    first, second = build("here", make).read_bytes(), build("there", make).read_bytes()
    assert first == second
    imports, exports = sections(first)
    assert imports == set()
    assert exports == DOORS | {"memory", "__heap_base"}


def sections(module: bytes) -> tuple[set[str], set[str]]:
    """The names that a WebAssembly module imports and exports (core specification 5.5)."""
    found: dict[int, set[str]] = {2: set(), 7: set()}
    at = 8
    while at < len(module):
        kind = module[at]
        size, at = number(module, at + 1)
        if kind == 2:
            found[2].add(f"{module[at : at + size]!r}")
        if kind == 7:
            count, place = number(module, at)
            for _ in range(count):
                length, place = number(module, place)
                found[7].add(module[place : place + length].decode())
                _, place = number(module, place + length + 1)
        at += size
    return found[2], found[7]


def number(module: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number and where it ends."""
    value = shift = 0
    while True:
        byte = module[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


@pytest.mark.parametrize("architecture", sorted(native.MODULES))
def test_a_module_that_cannot_be_built_says_what_helps(architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    why = native.why_no_module(architecture)
    assert why is not None
    assert "apt install" in why or "portable engine" in why


def test_a_clang_without_its_linker_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("clang", "clang-16", "clang-15", "wasm-ld-15"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert native.clang() == "clang-15"
