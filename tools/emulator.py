"""MicroPython as a process that runs what it is given: the desktop port, or stock firmware on a board that qemu emulates.

    with Emulator("qemu-rv32") as board:
        board.put("_tinylstm.mpy", content)
        print(board.exec("import _tinylstm; print(dir(_tinylstm))"))

Both speak MicroPython's raw REPL over the process's own standard input and output: no port is opened and no terminal needed. Files
live in the board's memory, in a file system of a few lines that is mounted through the `vfs` module.
"""

import base64
import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ports import EMULATED, ROOT

WITHIN_S = 120.0  # a bound against hanging: 10 000 times what a step needs
_CHUNK = 1536  # bytes of a file in one command; the board has to hold command and content at once

# Offers the files in `_files` read-only: what MicroPython asks of a file system to import from it. 0x8000 marks a regular file,
# 0x4000 a folder.
_FILE_SYSTEM = """
import binascii, io, sys, vfs
_files = {}
class _Memory:
    def mount(self, readonly, mkfs):
        pass
    def umount(self):
        pass
    def chdir(self, path):
        pass
    def stat(self, path):
        kind = 0x8000 if path[1:] in _files else 0
        for name in _files:
            if name.startswith(path[1:] + "/"):
                kind = 0x4000
        if not kind:
            raise OSError(2)
        return (kind, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    def open(self, path, mode):
        self.stat(path)
        return io.BytesIO(_files[path[1:]]) if "b" in mode else io.StringIO(_files[path[1:]].decode())
def _put(part):
    global _at
    part = binascii.a2b_base64(part)
    _incoming[_at : _at + len(part)] = part
    _at += len(part)
vfs.mount(_Memory(), "/memory")
sys.path.insert(0, "/memory")
"""

# What the firmware's raw REPL does, for the desktop port, which has none.
_RAW_REPL = """
import io, sys
_scope = {"__name__": "__main__"}
print("raw REPL; CTRL-B to exit\\n>", end="")
while True:
    _code = bytearray()
    while not _code.endswith(b"\\x04"):
        _byte = sys.stdin.buffer.read(1)
        if not _byte:
            sys.exit()
        _code.extend(_byte)
    print("OK", end="")
    _error = io.StringIO()
    try:
        exec(bytes(_code[:-1]).decode(), _scope)
    except Exception as _raised:
        sys.print_exception(_raised, _error)
    print("\\x04%s\\x04>" % _error.getvalue(), end="")
"""


class BoardError(Exception):
    """The process ended, or did not answer in time."""


class RemoteError(Exception):
    """What was run on the board raised an exception. The message is its traceback."""


class Board:
    """One MicroPython in a process of its own. A context manager: the process ends with it.

    It stands still between calls, because MicroPython waits for input by asking without a pause.

    Args:
        command: Starts the process.
        greeting: What is written first, to get into the raw REPL.
        environment: For the process; this one's where not given.

    Attributes:
        process: While it runs.
        within_s: How long it may take to answer.
    """

    def __init__(self, command: list[str], *, greeting: bytes = b"", environment: dict[str, str] | None = None) -> None:
        self._command = command
        self._greeting = greeting
        self.within_s = WITHIN_S
        self._environment = environment
        self.process: subprocess.Popen[bytes] | None = None
        self._said = bytearray()

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=self._environment
        )
        try:
            self._write(self._greeting)
            self._until(b"raw REPL; CTRL-B to exit", time.monotonic() + self.within_s)
            self._until(b">", time.monotonic() + self.within_s)
            self.exec(_FILE_SYSTEM)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._end()

    def exec(self, code: str, *, within_s: float | None = None) -> str:
        """Runs Python code in the board's `__main__`; gives what it printed.

        Raises:
            RemoteError: the code raised.
            BoardError: the board crashed, or took longer than `within_s`; it is ended.
        """
        if self.process is None:
            raise BoardError(f"{self._command[0]} is not running")
        text = code.encode()
        if any(byte in text for byte in (1, 2, 3, 4, 5)):
            raise ValueError("the raw REPL takes bytes 1 to 5 as commands")
        deadline = time.monotonic() + (within_s or self.within_s)
        self.process.send_signal(signal.SIGCONT)
        try:
            self._write(text + b"\x04")
            self._until(b"OK", deadline)
            printed = self._until(b"\x04", deadline)
            error = self._until(b"\x04", deadline)
            self._until(b">", deadline)
        except BoardError:
            self._end()
            raise
        self.process.send_signal(signal.SIGSTOP)
        if error:
            raise RemoteError(_text(error))
        return _text(printed)

    def put(self, name: str, content: bytes) -> None:
        """Puts a file into the board's memory, where `import` and `open("/memory/" + name)` find it."""
        self.exec(f"_at = 0; _incoming = bytearray({len(content)})")
        for at in range(0, len(content), _CHUNK):
            self.exec(f"_put({base64.b64encode(content[at : at + _CHUNK])!r})")
        self.exec(f"_files[{name!r}] = bytes(_incoming); del _incoming")

    def _write(self, text: bytes) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(text)
        except BrokenPipeError:
            raise BoardError(f"{self._command[0]} ended: {_text(bytes(self._said))!r}") from None

    def _until(self, end: bytes, deadline: float) -> bytes:
        """What is said before `end`."""
        assert self.process is not None
        assert self.process.stdout is not None
        while (at := self._said.find(end)) < 0:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise BoardError(f"{self._command[0]} did not answer in time; it said {_text(bytes(self._said))!r}")
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                raise BoardError(f"{self._command[0]} ended; it said {_text(bytes(self._said))!r}")
            self._said += part
        before = bytes(self._said[:at])
        del self._said[: at + len(end)]
        return before

    def _end(self) -> None:
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.process = None


class Emulator(Board):
    """Stock firmware on a board that qemu emulates.

    Args:
        name: A key of EMULATED: `qemu-arm` (Cortex-M3), `qemu-arm-m4` (Cortex-M4 with FPU), `qemu-rv32` (RISC-V).
        folder: The toolchain's.
    """

    def __init__(self, name: str, *, folder: Path = ROOT / ".toolchain") -> None:
        firmware = folder / name / "firmware.elf"
        quiet = ["-display", "none", "-monitor", "none", "-semihosting"]
        command = [*EMULATED[name].emulator, *quiet, "-serial", "stdio", "-kernel", str(firmware)]
        super().__init__(command, greeting=b"\r\x01")


class Desktop(Board):
    """The desktop port.

    Args:
        interpreter: Its program.
    """

    def __init__(self, interpreter: Path = ROOT / ".toolchain" / "micropython" / "micropython") -> None:
        super().__init__([str(interpreter), "-c", _RAW_REPL], environment={**os.environ, "MICROPYPATH": ".frozen"})


def why_no_emulator(name: str, *, folder: Path = ROOT / ".toolchain") -> str | None:
    """Why a board cannot be emulated here, with the next action; None where it can."""
    port = EMULATED[name]
    if shutil.which(port.emulator[0]) is None:
        return f"{port.emulator[0]} is not on the path: `apt install {port.emulator_package}`"
    if not (folder / name / "firmware.elf").is_file():
        return f"no firmware for {name}: `apt install {port.packages}`, then `python tools/toolchain.py`"
    return None


def _text(said: bytes) -> str:
    return said.decode(errors="replace").replace("\r\n", "\n")
