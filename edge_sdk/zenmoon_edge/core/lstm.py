"""The int8 LSTM operator: integer arithmetic of TFLM's reference kernel `UNIDIRECTIONAL_SEQUENCE_LSTM` (8x8→16).

Per step and unit: four gates, each the clamped sum of an input and a recurrent product in 1/4096; logistic and tanh by an
interpolated table; cell state int16, hidden state int8. Both states carry over until `reset`.
"""

from zenmoon_edge.core.fixed_point import GATE_TABLE, folded, multiplier, power_of_two, product, wrapped
from zenmoon_edge.core.tensor import Operator

_GATE_SCALE = power_of_two(-12)
_ACTIVATION_SCALE = power_of_two(-15)


class Matrix:
    """Weights of one gate for the input or for the hidden state, ready to multiply.

    Args:
        rows: a row of weights a unit.
        biases: a bias a unit; the zero point is folded in here.
        scale: of weights and vector together.
        zero: the vector's zero point.

    Raises:
        ScaleError: `scale` or `range`.
    """

    def __init__(self, rows: "list[tuple[int, ...]]", biases: "list[int]", scale: "tuple[int, int]", zero: int) -> None:
        self.fixed, self.shift = multiplier(scale, _GATE_SCALE)
        self.rows = rows
        self.biases = [folded(row, bias, zero) for row, bias in zip(rows, biases)]  # noqa: B905 - MicroPython

    def __call__(self, x: "list[int]") -> "list[int]":
        """int16 in 1/4096, one a unit."""
        return _rows(self.rows, self.biases, x, self.fixed, self.shift)


class Gate:
    """One gate: what the input and the hidden state give, together."""

    def __init__(self, weights: Matrix, recurrent: Matrix) -> None:
        self._weights = weights
        self._recurrent = recurrent

    def __call__(self, x: "list[int]", hidden: "list[int]") -> "list[int]":
        """Pre-activations of all units, int16 in 1/4096."""
        result = self._weights(x)
        other = self._recurrent(hidden)
        for i, value in enumerate(other):
            value += result[i]  # noqa: PLW2901
            result[i] = -32768 if value < -32768 else 32767 if value > 32767 else value
        return result


class LSTM(Operator):
    """The operator with its states.

    Args:
        gates: input, forget, cell and output gate.
        features, units, steps: values a time step, of the state, time steps a call.
        hidden_scale, hidden_zero: quantisation of the hidden state (the output).
        cell_exponent: the cell state's scale is 2^cell_exponent.

    Attributes:
        clip: bound of the cell state in its own integers; 32768 and more: none.
    """

    def __init__(  # noqa: PLR0917
        self,
        gates: "list[Gate]",
        features: int,
        units: int,
        steps: int,
        hidden_scale: "tuple[int, int]",
        hidden_zero: int,
        cell_exponent: int,
    ) -> None:
        self._input_gate, self._forget_gate, self._cell_gate, self._output_gate = gates
        self._steps = steps
        self._features = features
        self._units = units
        self._hidden_zero = hidden_zero
        cell_scale = power_of_two(cell_exponent)
        self._forget = multiplier(product(_ACTIVATION_SCALE, cell_scale), cell_scale)
        self._update = multiplier(product(_ACTIVATION_SCALE, _ACTIVATION_SCALE), cell_scale)
        self._emit = multiplier(product(_ACTIVATION_SCALE, _ACTIVATION_SCALE), hidden_scale)
        self._tanh_shift = 15 + cell_exponent - 3
        self.clip = 32768
        self.reset()

    def reset(self) -> None:
        """No memory: hidden state at its zero point, cell state 0."""
        self._hidden = [self._hidden_zero] * self._units
        self._cell = [0] * self._units

    def __call__(self, x: "list[int]") -> "list[int]":
        """steps · features int8 in, steps · units int8 out."""
        if self._steps == 1:
            self._step(x)
            return self._hidden
        result: "list[int]" = []
        for t in range(self._steps):
            self._step(x[t * self._features : (t + 1) * self._features])
            result += self._hidden
        return result

    def _step(self, x: "list[int]") -> None:
        hidden = self._hidden
        cell = self._cell
        forget = self._forget_gate(x, hidden)
        update = self._input_gate(x, hidden)
        candidate = self._cell_gate(x, hidden)
        output = self._output_gate(x, hidden)
        forget_fixed, forget_shift = self._forget
        update_fixed, update_shift = self._update
        emit_fixed, emit_shift = self._emit
        clip = self.clip
        shift = self._tanh_shift
        zero = self._hidden_zero
        fresh = []
        for i in range(self._units):
            kept = _scaled(cell[i] * sigmoid(forget[i]), forget_fixed, forget_shift)
            added = _scaled(sigmoid(update[i]) * tanh(candidate[i], 0), update_fixed, update_shift)
            state = _int16(_int16(kept) + _int16(added))
            if clip < 32768:
                state = -clip if state < -clip else clip if state > clip else state
            cell[i] = state
            emitted = _scaled(tanh(state, shift) * sigmoid(output[i]), emit_fixed, emit_shift) + zero
            if emitted > 0x7FFFFFFF:
                emitted = wrapped(emitted)
            fresh.append(-128 if emitted < -128 else 127 if emitted > 127 else emitted)
        self._hidden = fresh


def sigmoid(x: int) -> int:
    """Logistic of an int16 in 1/4096 as an int16 in 1/32768."""
    x *= 3
    size = -x if x < 0 else x
    i = size >> 9
    if i >= 255:
        result = 0x7FFF << 10
    else:
        below = GATE_TABLE[i]
        result = (below << 9) + (size & 0x1FF) * (GATE_TABLE[i + 1] - below)
    return (result + 512 if x >= 0 else (1 << 25) - result + 511) >> 10


def tanh(x: int, left_shift: int) -> int:
    """Hyperbolic tangent of an int16 in 2^(left_shift − 12) as an int16 in 1/32768."""
    if left_shift < 0:
        x = (x * 3 + (1 << (-left_shift - 1))) >> -left_shift
    else:
        x *= 3 << left_shift
    size = -x if x < 0 else x
    i = size >> 8
    if i >= 255:
        result = 0xFFFF << 8
    else:
        below = GATE_TABLE[i]
        result = (below << 8) + (size & 0xFF) * (GATE_TABLE[i + 1] - below)
    return (result - (1 << 23) + 128 if x >= 0 else (1 << 23) - result + 127) >> 8


def _rows(rows: "list[tuple[int, ...]]", biases: "list[int]", x: "list[int]", fixed: int, shift: int) -> "list[int]":
    # The wearable's hot loop: one multiplication with a row at a time, everything in locals.
    result = []
    columns = range(len(x))
    half = (1 << (-shift - 1)) if shift < 0 else 0
    left = shift if shift > 0 else 0
    right = -shift if shift < 0 else 0
    for i, row in enumerate(rows):
        total = biases[i]
        for j in columns:
            total += row[j] * x[j]
        if left:
            total = wrapped(total << left)
        total = (total * fixed + 0x40000000) >> 31
        if right:
            total = (total + half - (total < 0)) >> right
        result.append(-32768 if total < -32768 else 32767 if total > 32767 else total)
    return result


def _scaled(value: int, fixed: int, shift: int) -> int:
    if shift > 0:
        return (wrapped(value << shift) * fixed + 0x40000000) >> 31
    value = (value * fixed + 0x40000000) >> 31
    return (value + (1 << (-shift - 1)) - (value < 0)) >> -shift if shift else value


def _int16(value: int) -> int:
    return -32768 if value < -32768 else 32767 if value > 32767 else value
