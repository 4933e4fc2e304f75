"""The native kernel under CPython: `native/tinylstm.c` as a shared library, by ctypes.

Where ZENMOON_TINYLSTM_LIBRARY is set, only there: the file it names, which is refused if it is no kernel; empty, no kernel, and
the portable engine runs. Else, in this order: what `python -m zenmoon_edge.tinylstm build` has put into the user's cache; in a
checkout, what `tools/toolchain.py` has last built into `.toolchain/native`. A cached library is named after the source it was made
of, so that one of another source is never taken; that of the checkout is taken as it is. What cannot be loaded is passed over.
"""

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from array import array
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

from zenmoon_edge.core.errors import EdgeError

VARIABLE = "ZENMOON_TINYLSTM_LIBRARY"
BUILD_COMMAND = "python -m zenmoon_edge.tinylstm build"
_PACKAGE = Path(__file__).resolve().parent
_BUILT = _PACKAGE.parents[1] / ".toolchain" / "native" / "libtinylstm.so"  # beside an installed package there is none
_SOURCES = (_PACKAGE.parent / "native", _PACKAGE / "kernel")  # a checkout's, an installed package's
_FLAGS = ("-std=c99", "-O3", "-fPIC", "-shared")
_BUILD_TIMEOUT_S = 300

Bytes = bytes | bytearray | memoryview | array  # type: ignore[type-arg]


class KernelError(EdgeError):
    """The kernel cannot be had.

    Reasons: `library` (the file that was named is no kernel), `source` (the package has none), `compiler` (absent, or it
    failed).
    """


class Kernel:
    """The kernel's functions on bytes-like objects, as on a wearable.

    Args:
        path: the shared library.

    Raises:
        OSError: no library for this machine.
        AttributeError: a library without these functions.
    """

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        pointer, size = ctypes.c_void_p, ctypes.c_uint32
        self._size = library.tinylstm_size
        self._load = library.tinylstm_load
        self._reset = library.tinylstm_reset
        self._inputs = library.tinylstm_inputs
        self._outputs = library.tinylstm_outputs
        self._run = library.tinylstm_run
        self._size.argtypes = (pointer, size)
        self._load.argtypes = (pointer, size, pointer, size)
        self._reset.argtypes = self._inputs.argtypes = self._outputs.argtypes = (pointer,)
        self._run.argtypes = (pointer, pointer, pointer, pointer, size)
        self._reset.restype = None

    def size(self, model: Bytes) -> int:
        """Bytes of memory that the model needs beside the file.

        Raises:
            ValueError: the file is refused; the argument is the kernel's code.
        """
        return _accepted(self._size(_read(model), len(model)))

    def load(self, model: Bytes, memory: bytearray) -> None:
        """Prepares the model in `memory` and resets its state.

        Raises:
            ValueError: the file or the memory is refused; the argument is the kernel's code.
        """
        _accepted(self._load(_read(model), len(model), _written(memory), len(memory)))

    def reset(self, memory: bytearray) -> None:
        """Forgets everything: the state after loading."""
        self._reset(_written(memory))

    def inputs(self, memory: bytearray) -> int:
        """int8 values that one call takes."""
        return int(self._inputs(_written(memory)))

    def outputs(self, memory: bytearray) -> int:
        """int8 values that one call gives."""
        return int(self._outputs(_written(memory)))

    def run(self, model: Bytes, memory: bytearray, x: Bytes, y: bytearray | array) -> None:  # type: ignore[type-arg]
        """Runs as many calls as `x` holds; `y` receives their outputs.

        Raises:
            ValueError: `x` or `y` is not as long as the model wants.
        """
        block = _written(memory)
        inputs, outputs = self._inputs(block), self._outputs(block)
        calls = len(x) // inputs
        if len(x) != calls * inputs or len(y) != calls * outputs:
            raise ValueError(f"{len(x)} values in and {len(y)} out for a model with {inputs} and {outputs} a call")
        _accepted(self._run(_read(model), block, _read(x), _written(y), calls))

    def bind(self, model: Bytes, memory: bytearray, x: bytearray | array, y: bytearray | array) -> Callable[[], object]:  # type: ignore[type-arg]
        """One call on buffers that stay where they are: finding their addresses anew costs three times what the model does.

        Args:
            model: as loaded into `memory`.
            memory: as `load` left it. It cannot be resized while the result lives.
            x: the inputs of one call, which the caller fills.
            y: its outputs.

        Returns:
            A function that runs the model once, from `x` to `y`.

        Raises:
            ValueError: `x` or `y` is not as long as the model wants.
        """
        block = _written(memory)
        inputs, outputs = self._inputs(block), self._outputs(block)
        if (len(x), len(y)) != (inputs, outputs):
            raise ValueError(f"{len(x)} values in and {len(y)} out for a model with {inputs} and {outputs} a call")
        buffers = (_read(model), block, _written(x), _written(y))
        held = [ctypes.cast(each, ctypes.c_void_p) for each in buffers]  # type: ignore[arg-type]  # each keeps its buffer alive
        return partial(self._run, *held, ctypes.c_uint32(1))


def kernel() -> Kernel | None:
    """The kernel, or None where none has been built.

    Raises:
        KernelError: `library`: the file that ZENMOON_TINYLSTM_LIBRARY names cannot be used.
    """
    named = os.environ.get(VARIABLE)
    if named == "":
        return None
    if named is not None:
        try:
            return _opened(Path(named), Path(named).stat().st_mtime_ns)
        except (OSError, AttributeError) as error:
            raise KernelError(
                "library", f"{VARIABLE} names {named}, which is no kernel ({error}): run `{BUILD_COMMAND}`"
            ) from error
    source = _source()
    for path in [*([_cached(source)] if source else []), _BUILT]:
        try:
            return _opened(path, path.stat().st_mtime_ns)
        except (OSError, AttributeError):
            continue  # not built, or for another machine: the portable engine gives the same integers
    return None


def build() -> Path:
    """Compiles the kernel into the user's cache, by the command in CC (words as in a shell) or by `cc`; gives the library.

    Raises:
        KernelError: `source` or `compiler`.
    """
    try:
        compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
    except ValueError as error:
        raise KernelError("compiler", f"CC is no command ({error}): name a C compiler in it, or unset it") from error
    if shutil.which(compiler[0]) is None:
        raise KernelError(
            "compiler",
            f"there is no C compiler ({compiler[0]}): install one (Debian, Ubuntu: `apt install gcc`; Fedora: `dnf install gcc`; "
            "macOS: `xcode-select --install`) or name it in CC. Without the kernel everything runs on the portable engine",
        )
    source = _source()
    if source is None:
        raise KernelError("source", "this installation lacks tinylstm.c: install zenmoon-edge again, from its wheel")
    target = _cached(source)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder, target.name)
        command = [*compiler, *_FLAGS, "-o", str(made), str(source / "tinylstm.c")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S, check=False)
        if done.returncode:
            raise KernelError("compiler", f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-400:]}")
        try:
            Kernel(made)
        except (OSError, AttributeError) as error:
            raise KernelError("compiler", f"{shlex.join(compiler)} made a library that cannot be loaded: {error}") from error
        made.replace(target)
    return target


def _cached(source: Path) -> Path:
    """Where the library of this source lies in the user's cache."""
    digest = hashlib.sha256((source / "tinylstm.c").read_bytes() + (source / "tinylstm.h").read_bytes()).hexdigest()
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "zenmoon" / f"libtinylstm-{digest[:16]}.so"


def _source() -> Path | None:
    return next((folder for folder in _SOURCES if (folder / "tinylstm.c").is_file()), None)


@lru_cache(maxsize=4)
def _opened(path: Path, _changed_ns: int) -> Kernel:
    return Kernel(path)


def _accepted(code: int) -> int:
    if code < 0:
        raise ValueError(code)
    return code


def _read(data: Bytes) -> "bytes | ctypes.Array[ctypes.c_char]":
    """Something ctypes takes as a pointer; copied only where the bytes are another object's and cannot be written."""
    if isinstance(data, bytes):
        return data
    view = memoryview(data)
    return view.tobytes() if view.readonly else _written(data)


def _written(data: Bytes) -> "ctypes.Array[ctypes.c_char]":
    return (ctypes.c_char * memoryview(data).nbytes).from_buffer(data)
