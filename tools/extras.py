"""What the toolchain builds beside the interpreter: the kernel in all its forms, and the firmware of emulated boards."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import native
import ports
from build_store import compiler_id, content_of
from micropython_source import Log

MakeExtra = Callable[[Path, Path, Path, Log], Mapping[str, Any]]
"""(MicroPython's source, work folder, folder for the result, log) → what is to be known about the result."""


@dataclass(frozen=True, kw_only=True)
class Extra:
    """One build.

    Attributes:
        name: Its folder in the toolchain's.
        file: The result in that folder.
        published: Where a copy lies for those who look for it, in the toolchain's folder.
        absent: Why it cannot be built here and what to do about it.
        needs_source: Whether it is built with MicroPython's source.
        recipe: Everything else that decides what comes out.
        make: Builds it.
    """

    name: str
    file: str
    published: str = ""
    absent: str | None = None
    needs_source: bool = True
    recipe: object = None
    make: MakeExtra


def extras() -> Iterator[Extra]:
    """All of them; what the demo uses first."""
    kernel = content_of(*native.KERNEL)
    yield _library(kernel)
    for architecture in native.MODULES:
        yield _module(architecture, kernel)
    yield _wasm(kernel)
    for name, port in ports.EMULATED.items():
        yield _firmware(name, port)


def _library(kernel: str) -> Extra:
    compiler = compiler_id("cc")
    return Extra(
        name="native/library",
        file="libtinylstm.so",
        published="native/libtinylstm.so",
        absent=None if compiler else "cc is not on the path: `apt install build-essential`",
        needs_source=False,
        recipe=(kernel, native.LIBRARY_FLAGS, compiler),
        make=lambda _source, work, result, log: native.build_library(work, result, log),
    )


def _module(architecture: str, kernel: str) -> Extra:
    module = native.MODULES[architecture]
    return Extra(
        name=f"native/{architecture}",
        file="_tinylstm.mpy",
        absent=native.why_no_module(architecture),
        recipe=(kernel, content_of(*native.GLUE), module.settings, compiler_id(module.compiler), native.linker_id()),
        make=partial(native.build_module, architecture),
    )


def _wasm(kernel: str) -> Extra:
    compiler = native.clang()
    return Extra(
        name="native/wasm",
        file="tinylstm.wasm",
        published="native/tinylstm.wasm",
        absent=None if compiler else "no clang with wasm-ld is on the path: `apt install clang-14 lld-14`",
        needs_source=False,
        recipe=(kernel, native.WASM_FLAGS, compiler and compiler_id(compiler)),
        make=lambda _source, work, result, log: native.build_wasm(compiler or "clang", work, result, log),
    )


def _firmware(name: str, port: ports.EmulatedPort) -> Extra:
    compiler = compiler_id(port.compiler)
    absent = None
    if compiler is None or shutil.which("make") is None:
        absent = f"{port.compiler} or make is not on the path: `apt install make {port.packages}`"

    def make(source: Path, work: Path, result: Path, log: Log) -> Mapping[str, Any]:
        return ports.build_emulated(port, ports.copy_of(source, work / "source"), work, result, log)

    return Extra(
        name=name,
        file="firmware.elf",
        absent=absent,
        recipe=(port.board, ports.HEAP, port.settings, content_of(*ports.recipe_files(port)), compiler),
        make=make,
    )
