"""MicroPython's ports that are built here: the desktop, and boards that qemu emulates.

The emulated ports are stock: no file of MicroPython is changed and no feature is added; only settings that its own Makefile offers
are given. `MPS2_AN386` is a board description of our own, because MicroPython has none for a Cortex-M4.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micropython_source import TREES, VERSION, Log

MANIFEST = 'include("$(MPY_DIR)/extmod/asyncio")\n'
SETTINGS = ("VARIANT=standard", "MICROPY_PY_SSL=0", "MICROPY_PY_BTREE=0", "MICROPY_PY_FFI=0")
BUILD_TIMEOUT_S = 1200  # 22 s on two cores; an emulated or very small machine is fifty times slower

ROOT = Path(__file__).resolve().parent.parent
OUR_BOARDS = ROOT / "edge_sdk" / "native" / "micropython" / "qemu"


@dataclass(frozen=True, kw_only=True)
class EmulatedPort:
    """One firmware for one of qemu's machines.

    Attributes:
        board: MicroPython's name of the board.
        architecture: Of the native modules that it loads.
        compiler: The cross compiler.
        packages: Debian's packages with the compiler and its C library.
        emulator: The command that runs it, but for the firmware and the serial line.
        emulator_package: Debian's package with the emulator.
        settings: For its Makefile.
        ours: Whether the board's description is in OUR_BOARDS.
    """

    board: str
    architecture: str
    compiler: str
    packages: str
    emulator: tuple[str, ...]
    emulator_package: str
    settings: tuple[str, ...] = ()
    ours: bool = False


# The heap: half of the 512 KB of SRAM of an ESP32-C6. The port's own 140 KB hold the runner and the kernel, but not the test suite
# as well.
HEAP = "MICROPY_HEAP_SIZE=262144"

# Debian's compiler maps rv32imac_zicsr, which the port asks for, to its 64-bit libgcc; the port needs nothing of it when it is
# linked for rv32imac, whose objects are the same.
_RV32_LINK = "-mabi=ilp32 -march=rv32imac -Wl,-EL --specs=picolibc.specs -nostartfiles -T mcu/rv32/virt.ld -Wl,--gc-sections"
_ARM_PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi"

EMULATED = {
    "qemu-arm": EmulatedPort(
        board="MPS2_AN385",
        architecture="armv7m",
        compiler="arm-none-eabi-gcc",
        packages=_ARM_PACKAGES,
        emulator=("qemu-system-arm", "-machine", "mps2-an385"),
        emulator_package="qemu-system-arm",
    ),
    "qemu-arm-m4": EmulatedPort(
        board="MPS2_AN386",
        architecture="armv7emsp",
        compiler="arm-none-eabi-gcc",
        packages=_ARM_PACKAGES,
        emulator=("qemu-system-arm", "-machine", "mps2-an386"),
        emulator_package="qemu-system-arm",
        ours=True,
    ),
    "qemu-rv32": EmulatedPort(
        board="VIRT_RV32",
        architecture="rv32imc",
        compiler="riscv64-unknown-elf-gcc",
        packages="gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
        emulator=("qemu-system-riscv32", "-machine", "virt", "-bios", "none"),
        emulator_package="qemu-system-misc",
        settings=(f"LDFLAGS={_RV32_LINK}",),
    ),
}


def copy_of(tree: Path, into: Path) -> Path:
    """Copies MicroPython's source, as far as it is needed; gives the copy, in which a build may write."""
    ignored = shutil.ignore_patterns("build", "build-*")
    for name in TREES:
        shutil.copytree(tree / name, into / name, symlinks=True, ignore=ignored)
    return into


def build_desktop(tree: Path, work: Path, result: Path, log: Log) -> None:
    """Compiles mpy-cross and the desktop port in `tree`; leaves both programs in `result`."""
    manifest = work / "manifest.py"
    manifest.write_text(MANIFEST)
    log.stage("compiling mpy-cross")
    _make(tree, "mpy-cross", [], log)
    log.stage("compiling the desktop port")
    _make(tree, "ports/unix", [*SETTINGS, _no_library(work), f"FROZEN_MANIFEST={manifest}"], log)
    shutil.copy2(tree / "ports/unix/build-standard/micropython", result)
    shutil.copy2(tree / "mpy-cross/build/mpy-cross", result)


def build_emulated(port: EmulatedPort, tree: Path, work: Path, result: Path, log: Log) -> Mapping[str, Any]:
    """Compiles a firmware in `tree`; leaves `firmware.elf` in `result`."""
    log.stage(f"compiling the firmware of {port.board}")
    settings = [f"BOARD={port.board}", "FROZEN_MANIFEST=", HEAP, _no_library(work), *port.settings]
    if port.ours:
        settings += [f"BOARD_DIR={OUR_BOARDS / port.board}", f"USER_C_MODULES={OUR_BOARDS}"]
    _make(tree, "ports/qemu", settings, log)
    shutil.copy2(tree / "ports/qemu" / f"build-{port.board}" / "firmware.elf", result)
    return {"file": "firmware.elf", "version": VERSION, "board": port.board, "bytes": (result / "firmware.elf").stat().st_size}


def recipe_files(port: EmulatedPort) -> list[Path]:
    """The files of this checkout that a firmware is made of."""
    return sorted(path for path in OUR_BOARDS.rglob("*") if path.is_file()) if port.ours else []


def _make(tree: Path, folder: str, settings: list[str], log: Log) -> None:
    jobs = f"-j{min(os.cpu_count() or 1, 4)}"
    log.run(["make", jobs, "-C", folder, *settings], folder=tree, timeout_s=BUILD_TIMEOUT_S)


def _no_library(work: Path) -> str:
    library = work / "library"
    library.mkdir(exist_ok=True)
    (library / "README.md").touch()  # what the Makefile looks for to believe that micropython-lib is there; nothing of it is used
    return f"MPY_LIB_DIR={library}"
