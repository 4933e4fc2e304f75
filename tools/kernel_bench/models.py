"""Writes small int8 LSTM files with random weights, straight with the schema: no training, no converter.

The graph is that of the shipped wearable model: LSTM, its last step, and a FULLY_CONNECTED with an activation for each head.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOGISTIC, TANH, SOFTMAX, NONE = "LOGISTIC", "TANH", "SOFTMAX", ""
REFERENCE_HEADS = ((1, LOGISTIC), (1, LOGISTIC), (1, NONE))
# Output scale and zero point that TFLM's activations have.
_FIXED = {LOGISTIC: (1 / 256, -128), TANH: (1 / 128, 0), SOFTMAX: (1 / 256, -128)}


def macs(*, inputs: int = 8, units: int = 16, heads: Sequence[tuple[int, str]] = REFERENCE_HEADS) -> int:
    """Multiplications of weights with values in one step."""
    return 4 * units * (inputs + units) + units * sum(size for size, _ in heads)


def model(
    seed: int,
    *,
    inputs: int = 8,
    units: int = 16,
    steps: int = 1,
    heads: Sequence[tuple[int, str]] = REFERENCE_HEADS,
    cell_exponent: int = -11,
    borders: bool = False,
    head_scale: float | None = None,
) -> bytes:
    """A file.

    Args:
        seed: of weights, biases, scales and zero points; the same for every number of steps.
        inputs: features of a step.
        units: of the LSTM.
        steps: time steps of a call; the heads see the last.
        heads: size and activation of each output.
        cell_exponent: the cell state's scale is 2^cell_exponent.
        head_scale: the scale of what the heads' activations take; None: an ordinary random one.
        borders: float32 input and outputs, with QUANTIZE and DEQUANTIZE, and RESHAPE and an int8 QUANTIZE inside.
    """
    return _Writer(np.random.default_rng(seed), cell_exponent, borders=borders, head_scale=head_scale).write(
        inputs, units, steps, heads
    )


def random_model(seed: int) -> bytes:
    """A file of random shape: 4 to 40 units, 1 to 16 inputs, 1 to 4 heads, 1 to 5 steps, with and without float32 borders."""
    random = np.random.default_rng([seed, 1])
    heads = [
        (int(random.integers(1, 6)), str(random.choice([LOGISTIC, TANH, SOFTMAX, NONE]))) for _ in range(random.integers(1, 5))
    ]
    return model(
        seed,
        inputs=int(random.integers(1, 17)),
        units=int(random.integers(4, 41)),
        steps=int(random.choice([1, 1, 1, 2, 5])),
        heads=heads,
        cell_exponent=int(random.integers(-13, -7)),
        borders=bool(random.random() < 0.25),
    )


class _Writer:
    def __init__(self, random: np.random.Generator, cell_exponent: int, *, borders: bool, head_scale: float | None) -> None:
        self.random, self.cell_exponent, self.borders, self.head_scale = random, cell_exponent, borders, head_scale
        self.schema = import_module("tflite_micro.tensorflow.lite.micro.python.schema_py_generated")
        self.tree = self.schema.ModelT()
        self.graph = self.schema.SubGraphT()
        self.tree.version, self.tree.subgraphs = 3, [self.graph]
        self.tree.operatorCodes, self.tree.buffers, self.graph.tensors, self.graph.operators = [], [], [], []
        self._buffer(b"")

    def write(self, inputs: int, units: int, steps: int, heads: Sequence[tuple[int, str]]) -> bytes:
        random = self.random
        scale, zero = random.uniform(0.01, 0.05), int(random.integers(-20, 20))
        if self.borders:
            first = self._tensor((1, steps, inputs), kind="FLOAT32")
            x = self._between("QUANTIZE", self._between("QUANTIZE", first, scale=scale, zero=zero), scale=scale * 0.8, zero=3)
        else:
            first = x = self._tensor((1, steps, inputs), scale=scale, zero=zero)
        hidden_scale, hidden_zero = 1 / 128, int(random.integers(-5, 5))
        weights = [self._weights((units, inputs)) for _ in range(4)]
        recurrent = [self._weights((units, units)) for _ in range(4)]
        biases = [self._biases(units, 1500) for _ in range(4)]
        hidden = self._tensor((1, units), scale=hidden_scale, zero=hidden_zero, variable=True)
        cell = self._tensor((1, units), scale=2.0**self.cell_exponent, kind="INT16", variable=True)
        sequence = self._tensor((1, steps, units), scale=hidden_scale, zero=hidden_zero)
        options = self.schema.UnidirectionalSequenceLSTMOptionsT()
        options.fusedActivationFunction, options.cellClip = self.schema.ActivationFunctionType.TANH, 10.0
        options.projClip, options.timeMajor = 0.0, False
        operands = [x, *weights, *recurrent, -1, -1, -1, *biases, -1, -1, hidden, cell, -1, -1, -1, -1]
        self._operator("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, sequence, "UnidirectionalSequenceLSTMOptions", options)
        last = self._tensor((1, units), scale=hidden_scale, zero=hidden_zero)
        if self.borders and steps == 1:
            self._operator("RESHAPE", [sequence], last)
        else:
            self._last_step(sequence, last)
        self.graph.inputs, self.graph.outputs = [first], [self._head(last, units, size, kind) for size, kind in heads]
        if self.borders:
            self.graph.outputs = [self._between("DEQUANTIZE", each, kind="FLOAT32") for each in self.graph.outputs]
        return self._packed()

    def _between(self, operator: str, source: int, **settings: Any) -> int:
        result = self._tensor(self.graph.tensors[source].shape, **settings)
        self._operator(operator, [source], result)
        return result

    def _last_step(self, sequence: int, last: int) -> None:
        options = self.schema.StridedSliceOptionsT()
        options.beginMask, options.endMask, options.shrinkAxisMask = 0b101, 0b101, 0b010
        bounds = [self._constant(np.array(values, np.int32), "INT32") for values in ((0, -1, 0), (0, 0, 0), (1, 1, 1))]
        self._operator("STRIDED_SLICE", [sequence, *bounds], last, "StridedSliceOptions", options)

    def _head(self, last: int, units: int, size: int, kind: str) -> int:
        scale, zero = self.random.uniform(0.02, 0.08), int(self.random.integers(-20, 20))
        scale = scale if self.head_scale is None else self.head_scale
        dense = self._tensor((1, size), scale=scale, zero=zero)
        options = self.schema.FullyConnectedOptionsT()
        operands = [last, self._weights((size, units)), self._biases(size, 2000)]
        self._operator("FULLY_CONNECTED", operands, dense, "FullyConnectedOptions", options)
        if not kind:
            return dense
        result = self._tensor((1, size), scale=_FIXED[kind][0], zero=_FIXED[kind][1])
        if kind == SOFTMAX:
            beta = self.schema.SoftmaxOptionsT()
            beta.beta = 1.0
            self._operator(kind, [dense], result, "SoftmaxOptions", beta)
        else:
            self._operator(kind, [dense], result)
        return result

    def _weights(self, shape: tuple[int, int]) -> int:
        values = np.clip(self.random.normal(0, 40, shape), -127, 127).astype(np.int8)
        return self._constant(values, "INT8", scale=self.random.uniform(0.01, 0.03))

    def _biases(self, size: int, spread: float) -> int:
        return self._constant(self.random.normal(0, spread, size).astype(np.int32), "INT32")

    def _constant(self, values: NDArray[Any], kind: str, *, scale: float | None = None) -> int:
        return self._tensor(values.shape, scale=scale, kind=kind, data=values.tobytes())

    def _tensor(
        self,
        shape: Sequence[int],
        *,
        scale: float | None = None,
        zero: int = 0,
        kind: str = "INT8",
        data: bytes = b"",
        variable: bool = False,
    ) -> int:
        tensor = self.schema.TensorT()
        tensor.shape, tensor.type, tensor.isVariable = list(shape), getattr(self.schema.TensorType, kind), variable
        tensor.buffer = self._buffer(data) if data else 0
        if scale is not None:
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero]
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _buffer(self, data: bytes) -> int:
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8) if data else None
        self.tree.buffers.append(buffer)
        return len(self.tree.buffers) - 1

    def _operator(self, name: str, inputs: Sequence[int], output: int, options: str = "NONE", values: Any = None) -> None:
        number = getattr(self.schema.BuiltinOperator, name)
        codes = [code.builtinCode for code in self.tree.operatorCodes]
        if number not in codes:
            code = self.schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = number
            code.version = 1
            self.tree.operatorCodes.append(code)
            codes.append(number)
        operator = self.schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = codes.index(number), list(inputs), [output]
        operator.builtinOptionsType, operator.builtinOptions = getattr(self.schema.BuiltinOptions, options), values
        self.graph.operators.append(operator)

    def _packed(self) -> bytes:
        builder = import_module("flatbuffers").Builder(1024)
        builder.Finish(self.tree.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())
