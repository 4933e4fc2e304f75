"""A machine with nothing on it but stand-ins for the programs that the toolchain calls."""

from collections.abc import Callable
from pathlib import Path

import micropython_source as source
import pytest

INTERPRETER = f"#!/bin/sh\necho micropython {source.VERSION}\n"
# A compiler: leaves something where -o says.
COMPILER = '#!/bin/sh\nwhile [ $# -gt 0 ]; do if [ "$1" = -o ]; then echo made >"$2"; fi; shift; done\n'

Install = Callable[..., Path]


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH that holds a shell's basics and what a test puts there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "mkdir", "cat", "cp", "chmod"):
        (folder / name).symlink_to(next(path for path in (Path("/bin", name), Path("/usr/bin", name)) if path.exists()))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("ZENMOON_MICROPYTHON", raising=False)
    monkeypatch.delenv("ZENMOON_MICROPYTHON_SOURCE", raising=False)
    return folder


@pytest.fixture
def install(bare: Path) -> Install:
    """Puts a program on that PATH; a compiler where no text is given."""

    def put(name: str, text: str = COMPILER) -> Path:
        path = bare / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    return put


@pytest.fixture
def compiler(install: Install, tmp_path: Path) -> Path:
    """A C compiler, and a make that leaves what it is asked for and counts its runs; gives the count's file."""
    runs = tmp_path / "runs"
    runs.touch()
    stand_in = install("stand-in", INTERPRETER)
    made = ["mpy-cross/build/mpy-cross", "ports/unix/build-standard/micropython", "_tinylstm.mpy"]
    made += [f"ports/qemu/build-{board}/firmware.elf" for board in ("MPS2_AN385", "MPS2_AN386", "VIRT_RV32")]
    lines = [f"mkdir -p {file.rpartition('/')[0] or '.'}; cp {stand_in} {file}" for file in made]
    install("make", "\n".join(["#!/bin/sh", f"echo run >>{runs}", *lines, "echo 'text size:    4321'"]) + "\n")
    install("cc")
    return runs


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What looks like MicroPython's source."""
    folder = tmp_path / "tree"
    for name in source.TREES:
        (folder / name).mkdir(parents=True)
        (folder / name / "file.c").write_text(name)
    return folder
