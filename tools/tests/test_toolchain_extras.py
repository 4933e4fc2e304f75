"""The kernel and the emulated boards are built where that is possible, and never stand in the way of the interpreter."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import native
import pytest
import toolchain
from micropython_source import TREES, VERSION, Log, SourceUnavailableError
from toolchain import Toolchain

Install = Callable[..., Path]


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A kernel that a test may change."""
    for file in native.KERNEL:
        shutil.copy2(file, tmp_path)
    monkeypatch.setattr(native, "KERNEL", tuple(tmp_path / file.name for file in native.KERNEL))
    return tmp_path / native.KERNEL[0].name


def command_line(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, toolchain.__file__, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_what_has_a_compiler_is_built_and_the_rest_is_named_with_the_command_that_helps(
    tmp_path: Path, compiler: Path, install: Install, tree: Path
) -> None:
    install("gcc")
    install("arm-none-eabi-gcc")
    there, absent = Toolchain(tmp_path / "kept", source=tree).extras()
    assert {"native/library", "native/armv6m", "native/armv7m", "native/armv7emsp", "qemu-arm"} <= set(there)
    assert there["native/armv7m"]["text_bytes"] == 4321
    assert there["native/armv7m"]["bytes"] == (tmp_path / "kept/native/armv7m/_tinylstm.mpy").stat().st_size
    assert (tmp_path / "kept/native/libtinylstm.so").read_text() == "made\n"
    assert (tmp_path / "kept/qemu-arm/firmware.elf").is_file()
    assert "apt install gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf" in absent["native/rv32imc"]
    assert "apt install make gcc-riscv64-unknown-elf" in absent["qemu-rv32"]
    assert "apt install clang-14 lld-14" in absent["native/wasm"]
    assert "run the portable engine" in absent["native/xtensawin"]


def test_a_changed_kernel_builds_the_kernel_and_nothing_else(
    tmp_path: Path, compiler: Path, install: Install, tree: Path, kernel: Path
) -> None:
    install("arm-none-eabi-gcc")
    kept = Toolchain(tmp_path / "kept", source=tree)
    kept.micropython()
    kept.extras()
    before = compiler.read_text().count("run")
    kept.extras()
    assert compiler.read_text().count("run") == before
    kernel.write_text(kernel.read_text() + "/* changed */\n")
    there, _ = kept.extras()
    kept.micropython()
    modules = [name for name in there if name.startswith("native/arm") or name == "native/x64"]
    assert compiler.read_text().count("run") == before + len(modules)


def test_a_module_is_built_anew_for_another_compiler(tmp_path: Path, compiler: Path, install: Install, tree: Path) -> None:
    Toolchain(tmp_path / "kept", source=tree).extras()
    made = tmp_path / "kept/native/libtinylstm.so"
    compiler_text = (tmp_path / "bin" / "cc").read_text()
    install("cc", compiler_text.replace("made", "new") + "echo cc 2\n")
    Toolchain(tmp_path / "kept", source=tree).extras()
    assert made.read_text() == "new\n"


def test_a_kernel_that_cannot_be_compiled_stops_nothing(tmp_path: Path, compiler: Path, install: Install, tree: Path) -> None:
    install("cc", "#!/bin/sh\necho a compiler error\nexit 1\n")
    done = command_line("--folder", str(tmp_path / "kept"), "--source", str(tree))
    assert done.returncode == 0
    assert done.stdout.strip() == str(tmp_path / "kept" / "micropython" / "micropython")
    assert "native/library is not built: The build of native/library failed: cc failed with status 1" in done.stderr
    assert "a compiler error" in (tmp_path / "kept" / "toolchain.log").read_text()
    assert "Traceback" not in done.stderr


def test_what_is_missing_is_said_once(tmp_path: Path, compiler: Path, tree: Path) -> None:
    arguments = ("--folder", str(tmp_path / "kept"), "--source", str(tree))
    assert "native/wasm is not built" in command_line(*arguments).stderr
    assert command_line(*arguments).stderr == ""
    report = json.loads((tmp_path / "kept" / "extras.json").read_text())
    assert "clang" in report["absent"]["native/wasm"]
    assert report["built"]["native/library"]["bytes"] == 5


def test_the_source_is_fetched_once_for_all_that_is_built_of_it(
    tmp_path: Path, compiler: Path, install: Install, tree: Path
) -> None:
    install("arm-none-eabi-gcc")
    fetched = []

    def fetch(_work: Path, _log: Log) -> Path:
        fetched.append(tree)
        return tree

    Toolchain(tmp_path / "kept", sources=[("one", fetch)]).micropython()
    Toolchain(tmp_path / "kept", sources=[("one", fetch)]).extras()
    assert len(fetched) == 1
    assert (tmp_path / "kept" / f"source-{VERSION}" / TREES[0] / "file.c").is_file()


def test_a_source_that_cannot_be_had_is_asked_for_once_and_the_library_is_built_without_it(
    tmp_path: Path, compiler: Path, install: Install
) -> None:
    install("arm-none-eabi-gcc")
    asked = []

    def absent_source(_work: Path, _log: Log) -> Path:
        asked.append(1)
        raise SourceUnavailableError("not here")

    there, absent = Toolchain(tmp_path / "kept", sources=[("one", absent_source)]).extras()
    assert list(there) == ["native/library"]
    assert "--source" in absent["native/armv7m"]
    assert len(asked) == 1


def test_a_named_interpreter_fetches_nothing(
    tmp_path: Path, compiler: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("arm-none-eabi-gcc")
    monkeypatch.setenv("ZENMOON_MICROPYTHON", str(install("mine", f"#!/bin/sh\necho micropython {VERSION}\n")))

    def never(_work: Path, _log: Log) -> Path:
        raise AssertionError("nothing may be fetched")

    there, absent = Toolchain(tmp_path / "kept", sources=[("any", never)]).extras()
    assert list(there) == ["native/library"]
    assert "ZENMOON_MICROPYTHON" in absent["qemu-arm"]


def test_a_folder_that_cannot_be_written_stops_nothing_and_says_why(
    tmp_path: Path, install: Install, compiler: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    toolchain.build_extras(tmp_path / "file")
    assert "portable engine runs instead" in capsys.readouterr().err
