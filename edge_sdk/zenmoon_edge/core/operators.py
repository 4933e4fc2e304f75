"""The operators of an int8 graph, prepared once from the file's tensors and then called with lists of integers.

Each entry of OPERATORS takes (input tensors, output tensor, options table) and gives a callable from int8 list to int8 list.
"""

from zenmoon_edge.core import fixed_point
from zenmoon_edge.core.fixed_point import folded, multiplier, product, rational, scaled, wrapped
from zenmoon_edge.core.flatbuffer import Table
from zenmoon_edge.core.lstm import LSTM, Gate, Matrix
from zenmoon_edge.core.tensor import INT16, INT32, GraphError, Operator, Tensor

# ActivationFunctionType of schema.fbs
_TANH, _NO_ACTIVATION, _RELU = 4, 0, 1
_MOST_CLASSES = 256  # of one softmax: more would not fit its sum


class FullyConnected(Operator):
    """int8 matrix times each vector of the input, one scale for all rows of the matrix or one a row."""

    def __init__(self, inputs: "list[Tensor | None]", output: Tensor, options: "Table | None") -> None:
        x = _int8(inputs, output)
        (weights,) = _present(inputs, (1,))
        bias = inputs[2] if len(inputs) > 2 else None
        self._rows = weights.rows()
        outputs, self._columns = weights.shape
        # TFLM takes the rows from the output's last axis, whatever the weights say.
        if x.size % self._columns or output.size * self._columns != x.size * outputs or output.shape[-1:] != (outputs,):
            raise GraphError("shape", "FULLY_CONNECTED of %s with %s" % (list(x.shape), list(weights.shape)))
        biases = list(bias.values(INT32)) if bias else [0] * outputs
        if len(biases) != outputs:
            raise GraphError("shape", "%d biases for %d outputs" % (len(biases), outputs))
        activation = options.scalar(0, "b") if options else _NO_ACTIVATION
        if activation not in (_NO_ACTIVATION, _RELU):
            raise GraphError("operator", "fused activation %d" % activation)
        scales = weights.scales * outputs if len(weights.scales) == 1 else weights.scales
        self._scaling = [multiplier(product(x.scale(), rational(s)), output.scale()) for s in scales]
        if len(scales) != outputs:
            raise GraphError("scale", "%d scales for %d rows" % (len(weights.scales), outputs))
        self._biases = [folded(row, b, x.zero_point()) for b, row in zip(biases, self._rows)]  # noqa: B905 - MicroPython
        self._zero = output.zero_point()
        self._lowest = max(-128, self._zero) if activation == _RELU else -128

    def __call__(self, x: "list[int]") -> "list[int]":
        """Features int8 in, outputs int8 out."""
        result = []
        columns = range(self._columns)
        for first in range(0, len(x), self._columns):
            for i, row in enumerate(self._rows):
                total = self._biases[i]
                for j in columns:
                    total += row[j] * x[first + j]
                total = wrapped(scaled(total, *self._scaling[i]) + self._zero)
                result.append(self._lowest if total < self._lowest else 127 if total > 127 else total)
        return result


class Lookup(Operator):
    """LOGISTIC and TANH: 256 results."""

    def __init__(self, table: "list[int]") -> None:
        self._table = table

    def __call__(self, x: "list[int]") -> "list[int]":
        """int8 in, int8 out."""
        table = self._table
        return [table[q + 128] for q in x]


class Pick(Operator):
    """RESHAPE and STRIDED_SLICE: which input value goes where."""

    def __init__(self, indexes: "list[int]") -> None:
        self._indexes = indexes

    def __call__(self, x: "list[int]") -> "list[int]":
        """int8 in, int8 out."""
        return [x[i] for i in self._indexes]


class Requantise(Operator):
    """QUANTIZE from int8 to int8."""

    def __init__(self, x: Tensor, output: Tensor) -> None:
        self._scaling = multiplier(x.scale(), output.scale())
        self._from = x.zero_point()
        self._to = output.zero_point()

    def __call__(self, x: "list[int]") -> "list[int]":
        """int8 in, int8 out."""
        return [max(-128, min(127, wrapped(scaled(q - self._from, *self._scaling) + self._to))) for q in x]


class Softmax(Operator):
    """SOFTMAX over the last axis."""

    def __init__(self, x: Tensor, beta: int) -> None:
        rational(beta)
        self._columns = x.shape[-1]
        if self._columns > _MOST_CLASSES:
            raise GraphError("shape", "SOFTMAX of %d values" % self._columns)
        self._settings = fixed_point.softmax_settings(x.scales[0], beta)

    def __call__(self, x: "list[int]") -> "list[int]":
        """int8 in, int8 out."""
        result: "list[int]" = []
        for i in range(0, len(x), self._columns):
            result += fixed_point.softmax(x[i : i + self._columns], *self._settings)
        return result


def _present(inputs: "list[Tensor | None]", wanted: "range | tuple[int, ...]") -> "list[Tensor]":
    found = [inputs[i] if i < len(inputs) else None for i in wanted]
    present = [tensor for tensor in found if tensor is not None]
    if len(present) < len(found):
        raise GraphError("schema", "an operator lacks one of its inputs")
    return present


def _int8(inputs: "list[Tensor | None]", output: Tensor) -> Tensor:
    """The first input; it and the output are int8."""
    (x,) = _present(inputs, (0,))
    x.require_int8()
    output.require_int8()
    return x


def _same(inputs: "list[Tensor | None]", output: Tensor) -> Tensor:
    x = _int8(inputs, output)
    if x.size != output.size or not x.shape or not x.size:
        raise GraphError("shape", "%s becomes %s" % (list(x.shape), list(output.shape)))
    return x


def _fully_connected(inputs: "list[Tensor | None]", output: Tensor, options: "Table | None") -> Operator:
    return FullyConnected(inputs, output, options)


def _fixed_output(output: Tensor, scale_exponent: int, zero_point: int) -> None:
    if rational(output.scales[0]) != (1 << 23, scale_exponent - 23) or output.zero_points[0] != zero_point:
        raise GraphError("scale", "an activation with another output scale than TFLM's")


def _logistic(inputs: "list[Tensor | None]", output: Tensor, _: "Table | None") -> Operator:
    x = _same(inputs, output)
    _fixed_output(output, -8, -128)
    return Lookup(fixed_point.logistic_table(x.scales[0], x.zero_point()))


def _tanh(inputs: "list[Tensor | None]", output: Tensor, _: "Table | None") -> Operator:
    x = _same(inputs, output)
    _fixed_output(output, -7, 0)
    return Lookup(fixed_point.tanh_table(x.scales[0], x.zero_point()))


def _softmax(inputs: "list[Tensor | None]", output: Tensor, options: "Table | None") -> Operator:
    x = _same(inputs, output)
    _fixed_output(output, -8, -128)
    return Softmax(x, options.bits(0) if options else 0)


def _reshape(inputs: "list[Tensor | None]", output: Tensor, _: "Table | None") -> Operator:
    return Pick(list(range(_same(inputs, output).size)))


def _requantise(inputs: "list[Tensor | None]", output: Tensor, _: "Table | None") -> Operator:
    return Requantise(_same(inputs, output), output)


def _strided_slice(inputs: "list[Tensor | None]", output: Tensor, options: "Table | None") -> Operator:
    x = _int8(inputs, output)
    rank = len(x.shape)
    bounds = []
    for i in (1, 2, 3):
        (bound,) = _present(inputs, (i,))
        bounds.append(bound.values(INT32))
        if not len(bounds[-1]) == rank or not rank:
            raise GraphError("shape", "STRIDED_SLICE of rank %d" % rank)
    begins, ends, strides = bounds
    begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_mask = [
        options.scalar(field, "i") if options else 0 for field in range(5)
    ]
    if ellipsis_mask or new_axis_mask:
        raise GraphError("operator", "STRIDED_SLICE with an ellipsis or a new axis")
    indexes = [0]
    for axis in range(rank):
        length, begin, end, stride = x.shape[axis], begins[axis], ends[axis], strides[axis]
        if stride < 1 or not length:
            raise GraphError("shape", "STRIDED_SLICE with stride %d" % stride)
        bit = 1 << axis
        begin = 0 if begin_mask & bit else max(0, begin + length if begin < 0 else begin)
        if begin >= length:  # TFLM would read behind the axis where it shrinks
            raise GraphError("shape", "STRIDED_SLICE from %d of an axis of %d" % (begin, length))
        end = length if end_mask & bit else max(0, min(length, end + length if end < 0 else end))
        if shrink_mask & bit:
            end = begin + 1
        indexes = [i * length + j for i in indexes for j in range(begin, end, stride)]
    if len(indexes) != output.size:
        raise GraphError("shape", "STRIDED_SLICE gives %d values, not %d" % (len(indexes), output.size))
    return Pick(indexes)


def _lstm(inputs: "list[Tensor | None]", output: Tensor, options: "Table | None") -> Operator:
    x = _int8(inputs, output)
    if any(tensor is not None for tensor in inputs[9:12] + inputs[16:18] + inputs[20:]):
        raise GraphError("operator", "an LSTM with peepholes, projection or layer normalisation")
    hidden, cell = _present(inputs, (18, 19))
    hidden.require_int8()
    units = hidden.size
    exponent = _exponent(cell)
    if cell.type != INT16 or cell.size != units or not cell.zero_points or cell.zero_point():
        raise GraphError("type", "the cell state is not int16 with %d units" % units)
    if len(x.shape) != 3 or x.shape[0] != 1 or output.shape != x.shape[:2] + (units,) or not x.size or not units:
        raise GraphError("shape", "the LSTM makes %s of %s" % (list(output.shape), list(x.shape)))
    if options is None or options.scalar(0, "b") != _TANH or options.bits(2) or options.scalar(3, "b"):
        raise GraphError("operator", "the LSTM's settings are not those of a Keras LSTM")
    matrices = []
    for i in range(8):
        vector = x if i < 4 else hidden
        (weights,) = _present(inputs, (1 + i,))
        if weights.shape != (units, x.shape[2] if i < 4 else units):
            raise GraphError("shape", "the LSTM's gates differ in size")
        rows = weights.rows()
        biases = [0] * units
        if i < 4:
            (bias,) = _present(inputs, (12 + i,))
            biases = list(bias.values(INT32))
        if len(biases) != units:
            raise GraphError("shape", "%d biases for %d units" % (len(biases), units))
        matrices.append(Matrix(rows, biases, product(vector.scale(), weights.scale()), vector.zero_point()))
    gates = [Gate(matrices[i], matrices[i + 4]) for i in range(4)]
    state = LSTM(gates, x.shape[2], units, x.shape[1], hidden.scale(), hidden.zero_point(), exponent)
    if options.bits(1):
        mantissa, power = rational(options.bits(1))
        power -= exponent
        state.clip = min(32767, mantissa << power if power >= 0 else mantissa >> -power)
    return state


def _exponent(cell: Tensor) -> int:
    """The cell state's scale is a power of two between 2^−15 and 1."""
    mantissa, exponent = cell.scale()
    if mantissa != 1 << 23 or not -15 <= exponent + 23 <= 0:
        raise GraphError("scale", "the cell state's scale is no power of two")
    return exponent + 23


# BuiltinOperator numbers of schema.fbs
OPERATORS = {
    9: _fully_connected,
    14: _logistic,
    22: _reshape,
    25: _softmax,
    28: _tanh,
    44: _lstm,
    45: _strided_slice,
    114: _requantise,
}
