"""The kernel beside TensorFlow Lite Micro (TFLM) on this machine: same file, same inputs, same process, turn and turn about.

TFLM is its Python wheel, which holds the reference kernels; ours is called through ctypes. Three ways of calling are compared:
`call`, as a program uses them (TFLM: set_input, invoke, get_output of every output; ours: the inputs written, then the call that
`Kernel.bind` has prepared, whose outputs lie in a buffer); `invoke`, with the input left where it is on both sides (TFLM: bare
invoke; ours: bare tinylstm_run on buffers that lie ready); and both on a file that holds a window of 60 steps, where one call does
the work of 60 and Python hardly counts.
"""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.tinylstm import TinyLSTM
from zenmoon_edge.native import Kernel

Int8 = NDArray[np.int8]
ARENA_BYTES = 1 << 20  # TFLM ends the process when its arena is too small
ROUNDS = 31  # odd: the median is one that was measured
TURN_S = 0.02  # of each side in each round


class Differ(Exception):  # noqa: N818 - reads as what happened
    """Two engines gave other integers for the same inputs: there is nothing to compare."""


class Native:
    """The kernel with one model, called as a wearable's program calls it."""

    def __init__(self, kernel: Kernel, model: bytes) -> None:
        self.kernel, self.model = kernel, model
        self.memory = bytearray(kernel.size(model))
        kernel.load(model, self.memory)
        self.outputs = kernel.outputs(self.memory)

    def run(self, x: Int8) -> Int8:
        """int8 [calls, inputs] in, [calls, outputs] out."""
        y = bytearray(len(x) * self.outputs)
        self.kernel.run(self.model, self.memory, x.tobytes(), y)
        return np.frombuffer(y, np.int8).reshape(len(x), -1)

    def caller(self, x: Int8) -> Callable[[], None]:
        """One `run` over all of x, into a buffer that is there already; a single call writes its inputs first."""
        if len(x) == 1:
            values, buffer, y = x.tobytes(), bytearray(x.size), bytearray(self.outputs)
            call = self.kernel.bind(self.model, self.memory, buffer, y)

            def once() -> None:
                buffer[:] = values
                call()

            return once
        data, y, run = x.tobytes(), bytearray(len(x) * self.outputs), self.kernel.run
        return lambda: run(self.model, self.memory, data, y)

    def invoker(self, x: Int8, library: Path) -> Callable[[], None]:
        """The bare function over all of x; model, memory, input and output lie ready."""
        run = ctypes.CDLL(str(library)).tinylstm_run
        run.argtypes = (ctypes.c_void_p,) * 4 + (ctypes.c_uint32,)
        model, data = (ctypes.create_string_buffer(content, len(content)) for content in (self.model, x.tobytes()))
        memory = (ctypes.c_char * len(self.memory)).from_buffer(self.memory)
        y = ctypes.create_string_buffer(len(x) * self.outputs)
        # Pointers made once; each keeps its buffer alive.
        pointers, calls = [ctypes.cast(each, ctypes.c_void_p) for each in (model, memory, data, y)], ctypes.c_uint32(len(x))
        return lambda: _discard(run(*pointers, calls))


class Micro:
    """TFLM with one model."""

    def __init__(self, model: bytes) -> None:
        portable = TinyLSTM(model, engine="portable")  # refuses what TFLM would answer by ending the process
        self.shape, self.parts = portable.input.shape, range(len(portable.outputs))
        self.interpreter: Any = import_module("tflite_micro").runtime.Interpreter.from_bytes(model, arena_size=ARENA_BYTES)
        self.interpreter.reset()

    def run(self, x: Int8) -> Int8:
        """int8 [calls, inputs] in, [calls, outputs] out."""
        rows = []
        for row in x:
            self.interpreter.set_input(row.reshape(self.shape), 0)
            self.interpreter.invoke()
            rows.append(np.concatenate([self.interpreter.get_output(i).ravel() for i in self.parts]))
        return np.array(rows, np.int8)

    def caller(self, x: Int8) -> Callable[[], None]:
        """A whole call with the first row of x."""
        interpreter, parts, row = self.interpreter, self.parts, x[0].reshape(self.shape)

        def call() -> None:
            interpreter.set_input(row, 0)
            interpreter.invoke()
            for i in parts:
                interpreter.get_output(i)

        return call

    def invoker(self, x: Int8) -> Callable[[], None]:
        """The bare invoke; the input stays."""
        self.interpreter.set_input(x[0].reshape(self.shape), 0)
        invoke: Callable[[], None] = self.interpreter.invoke
        return invoke


def in_turn(
    ours: Callable[[], None], theirs: Callable[[], None], *, rounds: int = ROUNDS, turn_s: float = TURN_S
) -> dict[str, float]:
    """Times both, ABAB…; what disturbs the machine disturbs both.

    Returns:
        Medians over the rounds: `ours_us`, `theirs_us` of one call, `ratio` = theirs / ours of the same round, and its quartiles.
    """
    counts = [max(1, round(turn_s / _once(call, 3))) for call in (ours, theirs)]
    taken: list[tuple[float, float]] = [(_once(ours, counts[0]), _once(theirs, counts[1])) for _ in range(rounds)]
    ratios = [b / a for a, b in taken]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "ours_us": round(statistics.median(a for a, _ in taken) * 1e6, 2),
        "theirs_us": round(statistics.median(b for _, b in taken) * 1e6, 2),
        "ratio": round(middle, 2),
        "ratio_quartiles": [round(low, 2), round(high, 2)],  # type: ignore[dict-item]
    }


def beside_tflm(library: Path, streaming: bytes, window: bytes, *, rounds: int = ROUNDS, turn_s: float = TURN_S) -> dict[str, Any]:
    """Compares the kernel with TFLM.

    Args:
        library: the kernel as a shared library.
        streaming: a file of one time step a call.
        window: a file of many.

    Raises:
        Differ: the integers are not the same.
        ImportError: the wheel is not installed.
    """
    kernel, found = Kernel(library), {}
    for name, model in (("streaming", streaming), ("window", window)):
        x = inputs(model, 240)
        if (Native(kernel, model).run(x) != Micro(model).run(x)).any():
            raise Differ(f"{name}: the kernel and TFLM give other integers")
        ours, theirs = Native(kernel, model), Micro(model)
        found[f"{name}_call"] = in_turn(ours.caller(x[:1]), theirs.caller(x), rounds=rounds, turn_s=turn_s)
        found[f"{name}_invoke"] = in_turn(ours.invoker(x[:1], library), theirs.invoker(x), rounds=rounds, turn_s=turn_s)
    return found


def beside_portable(library: Path, model: bytes, *, rounds: int = 7) -> dict[str, float]:
    """Compares one step of the kernel with one of the portable engine, both through `TinyLSTM`'s arithmetic.

    Raises:
        Differ: the integers are not the same.
    """
    x = inputs(model, 60)
    portable = TinyLSTM(model, engine="portable")
    rows = np.array([portable.step(row) for row in x.tolist()], np.int8)
    native = Native(Kernel(library), model)
    if (native.run(x) != rows).any():
        raise Differ("the kernel and the portable engine give other integers")
    first = x[0].tolist()
    return in_turn(native.caller(x[:1]), lambda: _discard(portable.step(first)), rounds=rounds)


def inputs(model: bytes, calls: int, seed: int = 4) -> Int8:
    """Inputs of ordinary size, so that nothing saturates: int8 [calls, inputs of a call]."""
    width = TinyLSTM(model, engine="portable").input_size
    return np.clip(np.random.default_rng(seed).normal(0, 30, (calls, width)), -128, 127).astype(np.int8)


def _once(call: Callable[[], None], times: int) -> float:
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begin) / times


def _discard(_: object) -> None:
    return None
