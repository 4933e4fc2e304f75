"""The int8 LSTM operator: integer arithmetic of TFLM's reference kernel `UNIDIRECTIONAL_SEQUENCE_LSTM` (8x8→16).

Per step and unit: four gates, each the clamped sum of an input and a recurrent product in 1/4096; logistic and tanh by an
interpolated table; cell state int16, hidden state int8. Both states carry over until `reset`.
"""

from zenmoon_edge.core.fixed_point import GATE_TABLE, multiplier, power_of_two, product
from zenmoon_edge.core.tensor import Operator

_GATE_SCALE = power_of_two(-12)
_ACTIVATION_SCALE = power_of_two(-15)


class Gate:
    """One gate's weights, ready to multiply: rows of ints with zero points folded into the biases."""

    def __init__(  # noqa: PLR0917
        self,
        weights: "list[tuple[int, ...]]",
        biases: "list[int]",
        weight_scale: "tuple[int, int]",
        recurrent: "list[tuple[int, ...]]",
        recurrent_scale: "tuple[int, int]",
        input_scale: "tuple[int, int]",
        input_zero: int,
        hidden_scale: "tuple[int, int]",
        hidden_zero: int,
    ) -> None:
        self.weights = weights
        self.recurrent = recurrent
        self.biases = [b - input_zero * sum(row) for b, row in zip(biases, weights)]  # noqa: B905 - MicroPython
        self.recurrent_biases = [-hidden_zero * sum(row) for row in recurrent]
        self.fixed, self.shift = multiplier(product(input_scale, weight_scale), _GATE_SCALE)
        self.recurrent_fixed, self.recurrent_shift = multiplier(product(hidden_scale, recurrent_scale), _GATE_SCALE)

    def __call__(self, x: "list[int]", hidden: "list[int]") -> "list[int]":
        """Pre-activations of all units, int16 in 1/4096."""
        result = _rows(self.weights, self.biases, x, self.fixed, self.shift)
        other = _rows(self.recurrent, self.recurrent_biases, hidden, self.recurrent_fixed, self.recurrent_shift)
        for i, value in enumerate(other):
            value += result[i]  # noqa: PLW2901
            result[i] = -32768 if value < -32768 else 32767 if value > 32767 else value
        return result


class LSTM(Operator):
    """The operator with its states.

    Args:
        gates: input, forget, cell and output gate.
        steps: time steps per call.
        hidden_scale, hidden_zero: quantisation of the hidden state (the output).
        cell_exponent: the cell state's scale is 2^cell_exponent.
        cell_clip: bound of the cell state in its own integers; 0 = none.
    """

    def __init__(  # noqa: PLR0917
        self,
        gates: "list[Gate]",
        steps: int,
        hidden_scale: "tuple[int, int]",
        hidden_zero: int,
        cell_exponent: int,
        cell_clip: int,
    ) -> None:
        self._input_gate, self._forget_gate, self._cell_gate, self._output_gate = gates
        self._steps = steps
        self._features = len(gates[0].weights[0])
        self._units = len(gates[0].weights)
        self._hidden_zero = hidden_zero
        cell_scale = power_of_two(cell_exponent)
        self._forget = multiplier(product(_ACTIVATION_SCALE, cell_scale), cell_scale)
        self._update = multiplier(product(_ACTIVATION_SCALE, _ACTIVATION_SCALE), cell_scale)
        self._emit = multiplier(product(_ACTIVATION_SCALE, _ACTIVATION_SCALE), hidden_scale)
        self._tanh_shift = 15 + cell_exponent - 3
        self._clip = cell_clip
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
        clip = self._clip
        shift = self._tanh_shift
        zero = self._hidden_zero
        fresh = []
        for i in range(self._units):
            kept = _scaled(cell[i] * sigmoid(forget[i]), forget_fixed, forget_shift)
            added = _scaled(sigmoid(update[i]) * tanh(candidate[i], 0), update_fixed, update_shift)
            state = _int16(_int16(kept) + _int16(added))
            if clip:
                state = -clip if state < -clip else clip if state > clip else state
            cell[i] = state
            emitted = _scaled(tanh(state, shift) * sigmoid(output[i]), emit_fixed, emit_shift) + zero
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
        total = ((total << left) * fixed + 0x40000000) >> 31
        if right:
            total = (total + half - (total < 0)) >> right
        result.append(-32768 if total < -32768 else 32767 if total > 32767 else total)
    return result


def _scaled(value: int, fixed: int, shift: int) -> int:
    if shift > 0:
        return ((value << shift) * fixed + 0x40000000) >> 31
    value = (value * fixed + 0x40000000) >> 31
    return (value + (1 << (-shift - 1)) - (value < 0)) >> -shift if shift else value


def _int16(value: int) -> int:
    return -32768 if value < -32768 else 32767 if value > 32767 else value
