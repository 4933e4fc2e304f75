"""Random int8 LSTM models written with the schema classes of the tflite-micro wheel: what converters make and what they would not.

`random_model(seed)` is the same file for the same seed. A model is [FLOAT32 → QUANTIZE →] input → LSTM → RESHAPE or STRIDED_SLICE
→ one to four heads of FULLY_CONNECTED [→ LOGISTIC, TANH, SOFTMAX] [→ DEQUANTIZE], sometimes with a requantised hidden state, a
branch from the input, a head whose logits are an output too, one scale for each row of weights, and a clipped cell state.
Multipliers lie between 2^-12 and 2^4: some models saturate or hardly move beside those that behave. Every sum stays in 32 bits.
"""

from dataclasses import dataclass

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

FLOAT32, INT32, INT16, INT8 = 0, 2, 7, 9
DEQUANTIZE, FULLY_CONNECTED, LOGISTIC, RESHAPE, SOFTMAX, TANH, LSTM, STRIDED_SLICE, QUANTIZE = 6, 9, 14, 22, 25, 28, 44, 45, 114


@dataclass(frozen=True)
class RandomModel:
    """A file and what it holds.

    Attributes:
        data: the .tflite file.
        steps, features, units: of its LSTM.
        input_scale, input_zero: of the int8 input.
        outputs: (size, scale, zero point) of each int8 output, in the file's order.
        float_input, float_outputs: whether the file has float32 at that border.
        words: what is in it, for a test's message.
    """

    data: bytes
    steps: int
    features: int
    units: int
    input_scale: float
    input_zero: int
    outputs: list[tuple[int, float, int]]
    float_input: bool
    float_outputs: bool
    words: str

    def inputs(self, kind: str, calls: int, seed: int = 0) -> np.ndarray:
        """int8 [calls, steps · features]; `kind`: ordinary (around the zero point), wide or saturating (the two ends)."""
        random = np.random.default_rng([seed, calls])
        shape = (calls, self.steps * self.features)
        if kind == "saturating":
            return random.choice([-128, 127], shape).astype(np.int8)
        if kind == "wide":
            return random.integers(-128, 128, shape).astype(np.int8)
        return np.clip(random.normal(self.input_zero, 20, shape), -128, 127).astype(np.int8)


class Writer:
    """A .tflite file with one graph, built tensor by tensor."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators, self.graph.inputs, self.graph.outputs = [], [], [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, shape, kind=INT8, scale=None, zero=0, data=None, variable=False) -> int:
        """Adds a tensor; `scale`: one, or one a row. Gives its index."""
        tensor = schema.TensorT()
        tensor.name = f"t{len(self.graph.tensors)}"
        tensor.shape, tensor.type, tensor.isVariable = [int(n) for n in shape], kind, variable
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            tensor.quantization.scale = [float(s) for s in scales]
            tensor.quantization.zeroPoint = [int(zero)] * len(scales)
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, code: int, inputs, outputs, options=None, options_type: int = 0) -> None:
        """Adds an operator."""
        known = [c.builtinCode for c in self.model.operatorCodes]
        if code not in known:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, code, 1
            self.model.operatorCodes.append(entry)
            known.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = known.index(code)
        operator.inputs, operator.outputs = [int(i) for i in inputs], [int(i) for i in outputs]
        operator.builtinOptions, operator.builtinOptionsType = options, options_type
        self.graph.operators.append(operator)

    def file(self) -> bytes:
        """The file."""
        builder = flatbuffers.Builder(0)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def random_model(
    seed: int, *, units: int | None = None, features: int | None = None, float_borders: bool | None = None
) -> RandomModel:
    """The model of this seed; what is given is not drawn."""
    random = np.random.default_rng(seed)
    writer = Writer()
    steps = int(random.choice([1, 1, 2, 5]))
    features = features or int(random.integers(1, 17))
    units = units or int(random.integers(4, 65))
    floating = bool(random.random() < 0.2) if float_borders is None else float_borders
    words = [f"seed {seed}: {features} inputs, {units} units, {steps} steps"]

    input_scale, input_zero = _scale(random, -9, 1), _zero(random)
    x = writer.tensor([1, steps, features], INT8, input_scale, input_zero)
    source = x
    if floating:
        source = writer.tensor([1, steps, features], FLOAT32)
        writer.operator(QUANTIZE, [source], [x])
        words.append("float32 borders")
    writer.graph.inputs = [source]

    hidden_scale, hidden_zero = _scale(random, -9, -5), _zero(random)
    sequence = _lstm(writer, random, x, (steps, features, units), (input_scale, input_zero), (hidden_scale, hidden_zero), words)
    shape, scale, zero = [1, units], hidden_scale, hidden_zero
    if random.random() < 0.5:
        shape = [steps, units]
        state = writer.tensor(shape, INT8, scale, zero)
        _reshape(writer, sequence, state, shape)
    else:
        state = writer.tensor(shape, INT8, scale, zero)
        _slice(writer, random, sequence, state, steps, units)
        words.append("slice")
    if random.random() < 0.2:
        wanted, to = _scale(random, -8, -4), _zero(random)
        requantised = writer.tensor(shape, INT8, wanted, to)
        writer.operator(QUANTIZE, [state], [requantised])
        state, scale, zero = requantised, wanted, to
        words.append("requantised")

    sources = [(state, shape, scale)] * int(random.integers(1, 5))
    if random.random() < 0.3:
        flat = writer.tensor([1, steps * features], INT8, input_scale, input_zero)
        _reshape(writer, x, flat, [1, steps * features])
        sources[-1] = (flat, [1, steps * features], input_scale)
        words.append("branch from the input")
    outputs = []
    for tensor, of_shape, of_scale in sources:
        outputs += _head(writer, random, tensor, of_shape, of_scale, words)
    outputs = [outputs[i] for i in random.permutation(len(outputs))]
    described = []
    for index in outputs:
        made = writer.graph.tensors[index]
        described.append((int(np.prod(made.shape)), made.quantization.scale[0], made.quantization.zeroPoint[0]))
        if floating:
            outside = writer.tensor(made.shape, FLOAT32)
            writer.operator(DEQUANTIZE, [index], [outside])
            index = outside  # noqa: PLW2901
        writer.graph.outputs.append(index)
    return RandomModel(
        writer.file(), steps, features, units, input_scale, input_zero, described, floating, floating, ", ".join(words)
    )


def _scale(random: np.random.Generator, low: float, high: float) -> float:
    """A float32 between 2^low and 2^high, its logarithm uniform."""
    return float(np.float32(2 ** random.uniform(low, high)))


def _zero(random: np.random.Generator) -> int:
    return int(random.choice([0, -128, 127, random.integers(-128, 128), random.integers(-40, 40)]))


def _weights(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    spread = random.choice([20, 50, 127])
    weights = np.clip(random.normal(0, spread, (rows, columns)), -127, 127).astype(np.int8)
    if random.random() < 0.1:
        weights[random.integers(rows)] = random.choice([-128, 127])
    return weights


def _gate_scale(random: np.random.Generator, of: float, columns: int) -> float:
    """A weight scale whose multiplier into 1/4096 is mostly useful and now and then far too small, or above 1."""
    useful = 32768 / (60 * 40 * np.sqrt(columns))
    wanted = useful * 2 ** random.uniform(-4, 1)
    if random.random() < 0.15:
        wanted = 2 ** random.uniform(-11, 3)
    return float(np.float32(wanted / 4096 / of))


def _lstm(writer, random, x, sizes, quantised_input, quantised_hidden, words) -> int:
    steps, features, units = sizes
    input_scale, (hidden_scale, hidden_zero) = quantised_input[0], quantised_hidden
    exponent = int(
        random.choice([-15, -14, -13, -12, -11, -10, -9, -8, -5, 0], p=[0.05, 0.05, 0.1, 0.2, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])
    )
    words.append(f"cell 2^{exponent}")
    weights, recurrent, biases = [], [], []
    for gate in range(4):
        scale = _gate_scale(random, input_scale, features)
        weights.append(writer.tensor([units, features], INT8, scale, 0, _weights(random, units, features)))
        spread = 2.0 / (input_scale * scale)  # up to about 2 in the gate's own unit
        bias = np.clip(random.normal(1 if gate == 1 else 0, 1, units) * spread, -(2**30), 2**30).astype(np.int32)
        biases.append(writer.tensor([units], INT32, np.float32(input_scale) * np.float32(scale), 0, bias))
    for _ in range(4):
        scale = _gate_scale(random, hidden_scale, units)
        recurrent.append(writer.tensor([units, units], INT8, scale, 0, _weights(random, units, units)))
    hidden = writer.tensor([1, units], INT8, hidden_scale, hidden_zero, variable=True)
    cell = writer.tensor([1, units], INT16, 2.0**exponent, 0, variable=True)
    sequence = writer.tensor([1, steps, units], INT8, hidden_scale, hidden_zero)
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction = 4
    options.cellClip = 0.0
    if random.random() < 0.3:
        options.cellClip = float(np.float32(random.choice([10.0, random.uniform(0.05, 4)])))
        words.append(f"clip {options.cellClip:.3g}")
    inputs = [x, *weights, *recurrent, -1, -1, -1, *biases, -1, -1, hidden, cell, -1, -1, -1, -1]
    writer.operator(LSTM, inputs, [sequence], options, schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions)
    return sequence


def _reshape(writer: Writer, source: int, target: int, shape: list[int]) -> None:
    options = schema.ReshapeOptionsT()
    options.newShape = shape
    wanted = writer.tensor([len(shape)], INT32, data=np.array(shape, np.int32))
    writer.operator(RESHAPE, [source, wanted], [target], options, schema.BuiltinOptions.ReshapeOptions)


def _slice(writer: Writer, random: np.random.Generator, source: int, target: int, steps: int, units: int) -> None:
    """One step of the sequence, usually the last: [:, step, :]."""
    step = -1 if random.random() < 0.7 else int(random.integers(steps))
    options = schema.StridedSliceOptionsT()
    options.beginMask = options.endMask = 0b101
    options.shrinkAxisMask = 0b010
    options.ellipsisMask = options.newAxisMask = 0
    bounds = [[0, step, 0], [0, step + 1, 0], [1, 1, 1]]
    if random.random() < 0.3:
        options.endMask = options.beginMask = 0
        bounds = [[0, step, 0], [1, step + 1, units], [1, 1, 1]]
    tensors = [writer.tensor([3], INT32, data=np.array(values, np.int32)) for values in bounds]
    writer.operator(STRIDED_SLICE, [source, *tensors], [target], options, schema.BuiltinOptions.StridedSliceOptions)


def _head(writer, random, source, shape, scale, words) -> list[int]:
    """FULLY_CONNECTED and perhaps an activation; gives the tensors that become outputs."""
    vectors, columns = shape
    rows = int(random.integers(1, 9))
    kind = str(random.choice(["plain", "relu", "logistic", "tanh", "softmax"]))
    output_scale, output_zero = _scale(random, -8, -1), _zero(random)
    by_row = bool(random.random() < 0.3) and rows > 1
    wanted = 128 / (60 * 40 * np.sqrt(columns)) * 2 ** random.uniform(-3, 2, rows if by_row else 1)
    if random.random() < 0.1:
        wanted = 2 ** random.uniform(-12, 4, len(wanted))
    scales = (wanted * output_scale / scale).astype(np.float32)
    weights = writer.tensor([rows, columns], INT8, scales, 0, _weights(random, rows, columns))
    inputs = [source, weights]
    bias_scale = np.float32(scale) * scales
    bias = np.clip(random.normal(0, 40, rows) / wanted, -(2**30), 2**30).astype(np.int32)
    inputs.append(writer.tensor([rows], INT32, bias_scale, 0, bias) if random.random() < 0.9 else -1)
    logits = writer.tensor([vectors, rows], INT8, output_scale, output_zero)
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = 1 if kind == "relu" else 0
    writer.operator(FULLY_CONNECTED, inputs, [logits], options, schema.BuiltinOptions.FullyConnectedOptions)
    words.append(f"{kind} {rows}" + (" by row" if by_row else ""))
    if kind in {"plain", "relu"}:
        return [logits]
    if kind == "softmax":
        made = writer.tensor([vectors, rows], INT8, 1 / 256, -128)
        settings = schema.SoftmaxOptionsT()
        settings.beta = 1.0
        writer.operator(SOFTMAX, [logits], [made], settings, schema.BuiltinOptions.SoftmaxOptions)
    elif kind == "logistic":
        made = writer.tensor([vectors, rows], INT8, 1 / 256, -128)
        writer.operator(LOGISTIC, [logits], [made])
    else:
        made = writer.tensor([vectors, rows], INT8, 1 / 128, 0)
        writer.operator(TANH, [logits], [made])
    return [logits, made] if random.random() < 0.3 else [made]
