"""TensorFlow Lite Micro where a maker has flashed a MicroPython that has it built in.

`microlite` (mocleiri/tensorflow-micropython-examples): `interpreter(model, arena bytes, input callback, output callback)`,
`invoke()`, tensors with `getValue(i)` and `setValue(i, value)`. OpenMV's `ml`: `Model(path)`, `predict([callable])`; the callable
is handed the input tensor's own memory, outputs come back as real numbers. Neither can reset a state: the model is loaded anew.

TFLM's reference kernel carries an LSTM's state from call to call; its CMSIS-NN kernel begins each call at zero. Which of them
is in a firmware cannot be asked, so it is tried: `proven`.
"""

import struct
import sys

try:
    from typing import Any
except ImportError:  # MicroPython
    pass

from zenmoon_edge.core.crc import crc16
from zenmoon_edge.core.engine import Engine
from zenmoon_edge.core.graph import Graph
from zenmoon_edge.core.tensor import Tensor

_PROOF_STEPS = 24
_ARENA_BYTES = 16384  # TFLM's own tables: 5 KB for a wearable's model on 64 bits. Too small an arena ends the process, so plenty


class Microlite(Engine):
    """One model in the firmware's `microlite`."""

    name = "microlite"

    def __init__(self, module: "Any", model: bytes, graph: Graph) -> None:
        self._module = module
        self._model = bytearray(model)  # the module reads a bytearray's memory and nothing else
        self._borders = graph.borders
        # int8 values of all computed tensors, four bytes each where the borders are float32, twice for what TFLM copies
        self._arena_bytes = _ARENA_BYTES + 8 * graph.values
        self._x: "list[int]" = []
        self._y: "list[int]" = []
        self._load()

    def _load(self) -> None:
        self._interpreter = self._module.interpreter(self._model, self._arena_bytes, self._write, self._read)
        self._used = False

    def _write(self, interpreter: "Any") -> None:
        tensor = interpreter.getInputTensor(0)
        border = self._borders.input
        values = border.dequantise(self._x) if self._borders.float_input else self._x
        for i, value in enumerate(values):
            tensor.setValue(i, value)

    def _read(self, interpreter: "Any") -> None:
        self._y = []
        for n, border in enumerate(self._borders.outputs):
            tensor = interpreter.getOutputTensor(n)
            values = [tensor.getValue(i) for i in range(border.size)]
            self._y += _int8(border, values) if self._borders.float_outputs[n] else values

    def reset(self) -> None:
        """A new interpreter; there is no other way."""
        if self._used:
            self._load()

    def step(self, x: "list[int]") -> "list[int]":
        """One call."""
        self._used = True
        self._x = x
        if self._interpreter.invoke():
            raise ValueError("microlite refused the call")
        return self._y


class OpenMV(Engine):
    """One model in OpenMV's `ml`, which wants a file: the model is written to the working folder once."""

    name = "openmv"

    def __init__(self, module: "Any", model: bytes, graph: Graph) -> None:
        self._module = module
        self._borders = graph.borders
        self._path = _saved(model)
        self._x: "list[int]" = []
        self._load()

    def _load(self) -> None:
        self._model = self._module.Model(self._path)
        self._used = False

    def _write(self, buffer: bytearray, _shape: "Any", _type: "Any") -> None:
        if self._borders.float_input:
            struct.pack_into("<%df" % len(self._x), buffer, 0, *self._borders.input.dequantise(self._x))
        else:
            struct.pack_into("<%db" % len(self._x), buffer, 0, *self._x)

    def reset(self) -> None:
        """The model loaded anew; there is no other way."""
        if self._used:
            self._load()

    def step(self, x: "list[int]") -> "list[int]":
        """One call."""
        self._used = True
        self._x = x
        result: "list[int]" = []
        for border, values in zip(self._borders.outputs, self._model.predict([self._write])):  # noqa: B905 - MicroPython
            result += _int8(border, values.flatten())
        return result


def flashed(model: bytes, wanted: "str | None" = None) -> "Engine | None":
    """The first TFLM of this firmware that runs the model as it should, or None.

    Args:
        model: a file that the portable engine runs.
        wanted: only the one of this name.
    """
    for name, kind in (("microlite", Microlite), ("ml", OpenMV)):
        # On a computer these names may belong to anybody's package, and to import is to execute.
        if (wanted or kind.name) != kind.name or not (name in sys.modules or sys.implementation.name == "micropython"):
            continue
        try:
            graph = Graph(model)
            engine: Engine = kind(__import__(name), model, graph)
            if proven(engine, graph):
                return engine
        except Exception:  # noqa: S112 - somebody's firmware: whatever goes wrong in it, it is not used
            continue
    return None


def proven(engine: Engine, portable: Graph) -> bool:
    """Whether an engine gives the portable engine's integers: with carried state, and again after a reset.

    Both are left as after a reset. A model whose outputs show nothing of its state within the sequence proves nothing: False.
    """
    inputs = portable.borders.input.size
    sequence = [_noise(inputs, i) for i in range(_PROOF_STEPS)]
    portable.reset()
    carried = [portable.step(x) for x in sequence]
    forgetful = []
    for x in sequence:
        portable.reset()
        forgetful.append(portable.step(x))
    portable.reset()
    if portable.stateful and carried == forgetful:
        return False
    for _ in range(2):
        if [engine.step(x) for x in sequence] != carried:
            return False
        engine.reset()
    return True


def _noise(n: int, seed: int) -> "list[int]":
    """Ordinary values, mostly within ±64: extreme ones saturate the gates and hide what is remembered."""
    values = []
    for i in range(n):
        seed = (seed * 1103515245 + 12345 + i) & 0x7FFFFFFF
        values.append(((seed >> 16) & 127) - 64)
    return values


def _int8(border: Tensor, values: "Any") -> "list[int]":
    """The int8 values that were turned into these real numbers."""
    return border.quantise([float(value) for value in values])


def _saved(model: bytes) -> str:
    """A file with this model in the working folder, written only where it is not there yet."""
    path = "tinylstm-%d-%04x.tflite" % (len(model), crc16(model))
    try:
        with open(path, "rb") as file:
            if file.read() == model:
                return path
    except OSError:
        pass
    with open(path, "wb") as file:
        file.write(model)
    return path
