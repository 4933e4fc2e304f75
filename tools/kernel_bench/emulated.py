"""Builds the kernel for a bare core and runs it under QEMU, where one instruction takes exactly one nanosecond.

`-icount shift=0` ties the emulator's clock to executed instructions, so the target's own timer counts them, the same in every run.
Before each set of jobs the program times an empty loop of known length; a timer that does not count instructions is refused.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
NATIVE = HERE.parents[1] / "edge_sdk" / "native"
WITHIN_S = 300
_LOOP_INSTRUCTIONS = 2 * (101000 - 1000)
_HEAD, _JOB, _RESULT = struct.Struct("<3I"), struct.Struct("<4I"), struct.Struct("<3i4I")
_SETTINGS = ("-std=gnu99", "-ffreestanding", "-g")
LEVELS = ("module", "-Os", "-O2")
_MODULE = NATIVE / "micropython" / "Makefile"
# The program around the kernel is the same at every level of the kernel, and calls no library.
_AROUND = ("-O2", "-fno-tree-loop-distribute-patterns")


class EmulationError(Exception):
    """A build or an emulated run failed; the text names the command and what it said."""


@dataclass(frozen=True)
class Target:
    """An emulated core.

    Attributes:
        core: its name for people.
        tools: prefix of compiler, size, nm and addr2line.
        flags: what chooses the core; those of MicroPython's native modules for the same architecture.
        start: start-up and timer; the linker script has the same stem.
        emulator: QEMU and its board.
        packages: what brings compiler and emulator on Debian.
    """

    core: str
    tools: str
    flags: tuple[str, ...]
    start: str
    emulator: tuple[str, ...]
    packages: str

    def missing(self) -> str | None:
        """None, or the command that installs what is missing."""
        if shutil.which(self.tools + "gcc") and shutil.which(self.emulator[0]):
            return None
        return f"apt-get install {self.packages}"


TARGETS = {
    "armv7m": Target(
        "Cortex-M3",
        "arm-none-eabi-",
        ("-mthumb", "-mcpu=cortex-m3"),
        "cortex_m.c",
        ("qemu-system-arm", "-machine", "mps2-an385"),
        "gcc-arm-none-eabi qemu-system-arm",
    ),
    "armv7emsp": Target(
        "Cortex-M4 with DSP",
        "arm-none-eabi-",
        ("-mthumb", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
        "cortex_m.c",
        ("qemu-system-arm", "-machine", "mps2-an386"),
        "gcc-arm-none-eabi qemu-system-arm",
    ),
    "rv32imc": Target(
        "RISC-V rv32imc",
        "riscv64-unknown-elf-",
        ("-march=rv32imc_zicsr", "-mabi=ilp32"),
        "riscv.c",
        ("qemu-system-riscv32", "-machine", "virt", "-bios", "none"),
        "gcc-riscv64-unknown-elf qemu-system-misc",
    ),
}


@dataclass(frozen=True)
class Job:
    """A model and what it is given.

    Attributes:
        model: the file.
        inputs: int8 `[calls, inputs of a call]`.
        at_once: calls of each `tinylstm_run`; `calls` is a multiple of it.
    """

    model: bytes
    inputs: NDArray[np.int8]
    at_once: int = 1


@dataclass(frozen=True)
class Result:
    """What a job gave.

    Attributes:
        refusal: 0, or the kernel's negative code; everything else is 0 or empty then.
        memory: bytes the kernel asks for beyond the file.
        stack: bytes of stack below the calling function, with the frame of the loop that calls (about 40).
        strayed: bytes changed right outside the kernel's memory; anything but 0 is a defect.
        instructions: of all calls, exact to one tick of the timer.
        output: int8 `[calls, outputs of a call]`.
    """

    refusal: int
    memory: int
    stack: int
    strayed: int
    instructions: int
    output: NDArray[np.int8]


class Program:
    """The kernel, compiled for a core and linked with the bare-metal program.

    Args:
        target: key of TARGETS.
        level: "-Os", "-O2", or "module": as MicroPython's native modules are compiled, with what our Makefile adds.
        folder: where it is built and run.
        native: the folder of tinylstm.c and tinylstm.h.

    Raises:
        EmulationError: the compiler refuses.
    """

    def __init__(self, target: str, level: str, folder: Path, *, native: Path = NATIVE) -> None:
        self.target = TARGETS[target]
        self.folder = folder / f"{target}-{level}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.kernel, self.elf = self.folder / "tinylstm.o", self.folder / "kernel_bench.elf"
        script = HERE / self.target.start.replace(".c", ".ld")
        machine = () if target != "rv32imc" else ("-Wl,-melf32lriscv",)
        compiler = [self.target.tools + "gcc", *self.target.flags, *_SETTINGS, "-I", str(native)]
        _done([*compiler, *_flags(level), "-c", str(native / "tinylstm.c"), "-o", str(self.kernel)], self.folder)
        sources = [str(HERE / name) for name in (self.target.start, "main.c")]
        link = ["-nostdlib", *machine, "-Wl,--no-warn-rwx-segments", "-T", str(script), "-o", str(self.elf)]
        _done([*compiler, *_AROUND, *sources, str(self.kernel), *link], self.folder)

    def code_bytes(self) -> int:
        """Code and constants of the kernel alone.

        Raises:
            EmulationError: the kernel has static data of its own.
        """
        said = _done([self.target.tools + "size", str(self.kernel)], self.folder)
        text, data, bss = (int(figure) for figure in said.splitlines()[1].split()[:3])
        if data or bss:
            raise EmulationError(f"the kernel has {data + bss} bytes of static data")
        return text

    def library_calls(self) -> list[str]:
        """Names that the kernel expects from elsewhere."""
        said = _done([self.target.tools + "nm", "--undefined-only", str(self.kernel)], self.folder)
        return [line.split()[-1] for line in said.splitlines()]

    def run(self, jobs: Sequence[Job], *trace: str) -> list[Result]:
        """Runs the jobs, each in a freshly loaded state.

        Args:
            jobs: one or more.
            trace: further arguments of the emulator.

        Raises:
            EmulationError: the emulator fails, hangs, or its timer does not count instructions.
        """
        packed = [
            _JOB.pack(len(j.model), len(j.inputs), j.at_once, j.inputs.size) + _padded(j.model) + _padded(j.inputs.tobytes())
            for j in jobs
        ]
        (self.folder / "jobs").write_bytes(b"".join(packed))
        results = self.folder / "results"
        results.unlink(missing_ok=True)
        quiet = ["-display", "none", "-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native"]
        _done([*self.target.emulator, *quiet, "-icount", "shift=0", *trace, "-kernel", str(self.elf)], self.folder)
        data = results.read_bytes()
        scale, begin, end = _HEAD.unpack_from(data)
        if abs((end - begin) * scale - _LOOP_INSTRUCTIONS) > 2 * scale:
            raise EmulationError(
                f"{_LOOP_INSTRUCTIONS} instructions took {end - begin} ticks of {scale}: the timer does not count them"
            )
        self.calibration = {"instructions": _LOOP_INSTRUCTIONS, "ticks": end - begin, "instructions_per_tick": scale}
        at, found = _HEAD.size, []
        for job in jobs:
            memory, refusal, outputs, ticks, stack, strayed, size = _RESULT.unpack_from(data, at)
            at += _RESULT.size
            output = np.frombuffer(data, np.int8, size, at).reshape(-1, max(outputs, 1))
            at += (size + 3) // 4 * 4
            found.append(Result(refusal, max(memory, 0), stack, strayed, ticks * scale, output))
            if not refusal and len(output) != len(job.inputs):
                raise EmulationError(f"{len(output)} outputs for {len(job.inputs)} calls")
        return found


def kernel_hash(native: Path = NATIVE) -> str:
    """16 hex digits over the kernel's source."""
    return hashlib.sha256((native / "tinylstm.h").read_bytes() + (native / "tinylstm.c").read_bytes()).hexdigest()[:16]


def _flags(level: str) -> list[str]:
    if level != "module":
        return [level]
    # py/dynruntime.mk: -Os -fpic -fno-common; CFLAGS_EXTRA comes later and wins.
    extra = re.search(r"^CFLAGS_EXTRA\s*\+?=\s*(.*)$", _MODULE.read_text(), re.MULTILINE)
    return ["-Os", "-fpic", "-fno-common", *([flag for flag in extra[1].split() if not flag.startswith("-I")] if extra else [])]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _done(command: list[str], folder: Path) -> str:
    try:
        answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmulationError(str(error)) from None
    if answer.returncode:
        said = (answer.stderr or answer.stdout).strip()[-2000:]
        raise EmulationError(f"{' '.join(command)} gave {answer.returncode}: {said}")
    return answer.stdout
