"""The kernel compiled for a test, by ctypes, and its reasons by name."""

import atexit
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from zenmoon_edge.native import Kernel

SOURCE = Path(__file__).resolve().parents[1] / "native" / "tinylstm.c"
REASONS = (None, "identifier", "truncated", "schema", "operator", "type", "shape", "scale", "range", "memory")
SANITIZE = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@lru_cache
def library(*flags: str) -> Path:
    """A shared library of the kernel, once a process and set of flags."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler: apt install gcc")
    folder = mkdtemp(prefix="tinylstm-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = Path(folder) / "libtinylstm.so"
    command = [compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", "-O3", "-fPIC", "-shared", *flags, str(SOURCE), "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


class Model:
    """A loaded model in a block of exactly the size that the kernel asks for.

    Raises:
        ValueError: refused; the argument is the code.
    """

    def __init__(self, data: bytes, *flags: str) -> None:
        self.kernel = Kernel(library(*flags))
        self.data = data
        self.memory = bytearray(self.kernel.size(data))
        self.kernel.load(data, self.memory)
        self.inputs = self.kernel.inputs(self.memory)
        self.outputs = self.kernel.outputs(self.memory)

    def reset(self) -> None:
        """Forgets everything."""
        self.kernel.reset(self.memory)

    def run(self, x: np.ndarray) -> np.ndarray:
        """int8 [calls, inputs] → int8 [calls, outputs]."""
        y = bytearray(len(x) * self.outputs)
        self.kernel.run(self.data, self.memory, np.ascontiguousarray(x, np.int8).tobytes(), y)
        return np.frombuffer(bytes(y), np.int8).reshape(len(x), -1)


def refusal(data: bytes) -> str | None:
    """Why the kernel refuses a file; None where it does not."""
    try:
        Kernel(library()).size(data)
    except ValueError as error:
        return REASONS[-error.args[0]]
    return None
