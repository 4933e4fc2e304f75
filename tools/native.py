"""The one place with the compiler command lines of the TinyLSTM kernel.

_tinylstm.mpy     MicroPython native module, one for each architecture
libtinylstm.so    shared library for this machine's Python
tinylstm.wasm     WebAssembly for browsers
"""

import importlib.util
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from micropython_source import Log, ToolchainError

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "edge_sdk" / "native"
KERNEL = (NATIVE / "tinylstm.c", NATIVE / "tinylstm.h")
GLUE = (NATIVE / "micropython" / "Makefile", NATIVE / "micropython" / "tinylstm_module.c")
TIMEOUT_S = 120

EXPORTS = ("size", "load", "reset", "inputs", "outputs", "run")

LIBRARY_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-O3", "-fPIC", "-shared")
# In WebAssembly there is no C library: no loop may become a call of memset or memcpy.
WASM_FLAGS = (
    "--target=wasm32", "-std=c99", "-Wall", "-Wextra", "-O3", "-nostdlib", "-ffreestanding", "-fno-builtin", "-mbulk-memory",
    "-Wl,--no-entry", "-Wl,--strip-all", "-Wl,--export=__heap_base", "-Wl,-z,stack-size=16384",
    *(f"-Wl,--export=tinylstm_{name}" for name in EXPORTS),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Module:
    """A MicroPython native module of one architecture.

    Attributes:
        compiler: The cross compiler, or the machine's own.
        packages: Debian's packages with it.
        settings: For the Makefile.
    """

    compiler: str
    packages: str
    settings: tuple[str, ...] = ()


_ARM = Module(compiler="arm-none-eabi-gcc", packages="gcc-arm-none-eabi libnewlib-arm-none-eabi")
MODULES = {
    "x64": Module(compiler="gcc", packages="build-essential"),
    "armv6m": _ARM,
    "armv7m": _ARM,
    "armv7emsp": _ARM,
    "rv32imc": Module(
        compiler="riscv64-unknown-elf-gcc", packages="gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"
    ),
    # Espressif's compiler; in no Debian package. Without it an ESP32-S3 runs the portable engine.
    "xtensawin": Module(compiler="xtensa-esp32s3-elf-gcc", packages="", settings=("CROSS=xtensa-esp32s3-elf-",)),
}  # fmt: skip


def clang() -> str | None:
    """The newest clang that has a linker for WebAssembly beside it."""
    for suffix in ("", *(f"-{number}" for number in range(22, 13, -1))):
        if shutil.which(f"clang{suffix}") and shutil.which(f"wasm-ld{suffix}"):
            return f"clang{suffix}"
    return None


def why_no_module(architecture: str) -> str | None:
    """Why a module cannot be built here, with the next action; None where it can."""
    module = MODULES[architecture]
    if architecture == "x64" and (platform.system(), platform.machine()) not in (("Linux", "x86_64"), ("Linux", "AMD64")):
        return f"this machine is {platform.system()} on {platform.machine()}; the desktop port runs the portable engine"
    if shutil.which(module.compiler) is None:
        if not module.packages:
            return f"{module.compiler} is not on the path; boards with this processor run the portable engine"
        return f"{module.compiler} is not on the path: `apt install {module.packages}`"
    if shutil.which("make") is None:
        return "make is not on the path: `apt install build-essential`"
    if importlib.util.find_spec("elftools") is None:
        return f"pyelftools is not installed for {sys.executable}: run `make demo`, or use `.venv/bin/python`"
    return None


def linker_id() -> str:
    """Which version of pyelftools takes part in a module."""
    try:
        return version("pyelftools")
    except PackageNotFoundError:
        return ""


def build_module(architecture: str, source: Path, work: Path, result: Path, log: Log) -> Mapping[str, Any]:
    """Makes `_tinylstm.mpy` in `result`.

    Args:
        architecture: A key of MODULES.
        source: MicroPython's source tree; nothing is written there.
    """
    log.stage(f"compiling the native module for {architecture}")
    for file in (*KERNEL, *GLUE):
        shutil.copy2(file, work)
    settings = [f"ARCH={architecture}", f"MPY_DIR={source}", f"PYTHON={sys.executable}", *MODULES[architecture].settings]
    said = log.run(["make", *settings], folder=work, timeout_s=TIMEOUT_S, environment={"PYTHONDONTWRITEBYTECODE": "1"})
    made = Path(shutil.copy2(work / "_tinylstm.mpy", result))
    sizes = {name: int(number) for name, number in re.findall(r"^(text|bss) size: +(\d+)$", said, re.MULTILINE)}
    return {"file": made.name, "bytes": made.stat().st_size, **{f"{name}_bytes": number for name, number in sizes.items()}}


def build_library(work: Path, result: Path, log: Log) -> Mapping[str, Any]:
    """Makes `libtinylstm.so` in `result`, for this machine."""
    log.stage("compiling the kernel for this machine's Python")
    made = result / "libtinylstm.so"
    log.run(["cc", *LIBRARY_FLAGS, "-o", str(made), str(KERNEL[0])], folder=work, timeout_s=TIMEOUT_S)
    return _described(made)


def build_wasm(compiler: str, work: Path, result: Path, log: Log) -> Mapping[str, Any]:
    """Makes `tinylstm.wasm` in `result`."""
    log.stage("compiling the kernel to WebAssembly")
    made = result / "tinylstm.wasm"
    for file in KERNEL:
        shutil.copy2(file, work)  # so that no path of this machine gets into the file
    log.run([compiler, *WASM_FLAGS, "-o", str(made), KERNEL[0].name], folder=work, timeout_s=TIMEOUT_S)
    return _described(made)


def _described(made: Path) -> Mapping[str, Any]:
    if not made.is_file():
        raise ToolchainError(f"the compiler left no {made.name}")
    return {"file": made.name, "bytes": made.stat().st_size}
