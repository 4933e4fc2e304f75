"""Fixed-point arithmetic of TensorFlow Lite for Microcontrollers' int8 reference kernels, on Python integers.

Results are the same integers that TFLM gives (the tests compare). Sources: the int8 quantisation specification of TensorFlow Lite;
Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only
inference" (rounding doubling multiplication); the table and interpolation for int16 gates follow TFLM's `logistic.h` and `tanh.h`.

Scales arrive as the 32 bits of a float and stay exact rationals `(mantissa, exponent)`, so that a board with single
precision prepares the same multipliers as a computer with doubles.
"""

import struct
from array import array

from zenmoon_edge.core.errors import EdgeError

_ONE = 0x7FFFFFFF  # 1 in the format with no integer bits
_LOWEST_SCALE, _HIGHEST_SCALE = (127 - 60) << 23, (127 + 60) << 23  # as a float's bits


class ScaleError(EdgeError):
    """A quantisation scale that is no positive number, or beyond what fixed-point arithmetic holds: `scale`."""


# Where TFLM's table of sigmoid(i/24) stands one above the correctly rounded value; bit-exactness needs its slips too.
_TABLE_SLIPS = bytes(
    (4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45, 46)
    + (49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255),
)


def _gate_table() -> array:  # type: ignore[type-arg]
    """sigmoid(i/24) in 1/65536, i = 0…255, by integers alone: exp(−1/24) in 62 bits, multiplied up."""
    one = 1 << 62
    decay = one
    term = one
    for n in range(1, 16):
        term = -term // (24 * n)
        decay += term
    table = array("H")
    power = one
    for i in range(256):
        table.append((((one << 17) // (one + power) + 1) >> 1) + (i in _TABLE_SLIPS))
        power = power * decay >> 62
    return table


GATE_TABLE = _gate_table()


def rational(bits: int) -> "tuple[int, int]":
    """(mantissa, exponent) of a float's 32 bits: value = mantissa · 2^exponent.

    Raises:
        ScaleError: no number from 2^−60 to below 2^60.
    """
    if not _LOWEST_SCALE <= bits < _HIGHEST_SCALE:
        raise ScaleError("scale", "scale bits 0x%08x" % bits)
    return (bits & 0x7FFFFF | 0x800000, (bits >> 23) - 150)


def real(bits: int) -> float:
    """The float itself."""
    value: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    return value


def power_of_two(exponent: int) -> "tuple[int, int]":
    """2^exponent as a rational."""
    return (1, exponent)


def product(a: "tuple[int, int]", b: "tuple[int, int]") -> "tuple[int, int]":
    """a · b, exactly."""
    return (a[0] * b[0], a[1] + b[1])


def multiplier(a: "tuple[int, int]", divisor: "tuple[int, int]") -> "tuple[int, int]":
    """(fixed, shift) with a / divisor ≈ fixed · 2^(shift − 31), fixed in [2^30, 2^31).

    Raises:
        ScaleError: 2^30 and more, for which TFLM's left shift is not defined.
    """
    fixed, shift = quotient(a, divisor)
    if shift > 30:
        raise ScaleError("scale", "a multiplier of 2^%d" % shift)
    return fixed, shift


def quotient(a: "tuple[int, int]", divisor: "tuple[int, int]") -> "tuple[int, int]":
    """As `multiplier`, without its bound. TFLM's quotient is a double: rounded to 53 bits, half to even, and then to 31."""
    mantissa = (a[0] << 80) // divisor[0]
    exact = mantissa * divisor[0] == a[0] << 80
    bits = _bits(mantissa)
    drop = bits - 53
    kept = mantissa >> drop
    rest = mantissa - (kept << drop)
    half = 1 << (drop - 1)
    if rest > half or (rest == half and (kept & 1 or not exact)):
        kept += 1
    fixed = (kept + (1 << 21)) >> 22
    shift = bits + a[1] - divisor[1] - 80
    if fixed >> 31:
        fixed >>= 1
        shift += 1
    return (fixed, shift) if shift >= -31 else (0, 0)


def wrapped(value: int) -> int:
    """value as 32 bits hold it: TFLM's left shifts and last additions wrap."""
    return ((value + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def scaled(value: int, fixed: int, shift: int) -> int:
    """value · fixed · 2^(shift − 31), rounded twice as the reference kernels do; a shift to the left wraps."""
    if shift > 0:
        return (wrapped(value << shift) * fixed + 0x40000000) >> 31
    value = (value * fixed + 0x40000000) >> 31
    return rounded_shift(value, -shift)


def folded(row: "tuple[int, ...]", bias: int, zero: int) -> int:
    """The bias of a row of weights with its input's zero point folded in.

    Raises:
        ScaleError: `range`: their sum could leave 32 bits for some input.
    """
    total = sum(row)
    positive = sum([w for w in row if w > 0])
    bias -= zero * total
    if bias + 127 * positive - 128 * (total - positive) > _ONE or bias - 128 * positive + 127 * (total - positive) < -_ONE - 1:
        raise ScaleError("range", "a row whose sum can leave 32 bits")
    return bias


def rounded_shift(value: int, bits: int) -> int:
    """value / 2^bits, half away from zero."""
    if bits <= 0:
        return value
    return (value + (1 << (bits - 1)) - (value < 0)) >> bits


def logistic_table(input_scale: int, zero_point: int) -> "list[int]":
    """int8 logistic for the inputs −128…127; the output scale is 1/256 with zero point −128."""
    fixed, shift, radius = _activation(input_scale)
    table = []
    for q in range(-128, 128):
        x = q - zero_point
        if x <= -radius:
            table.append(-128)
        elif x >= radius:
            table.append(127)
        else:
            y = scaled(x, fixed, shift)
            if y == 0:
                y = 1 << 30
            else:
                y = _one_over_one_plus(exp_of_negative(-abs(y), 4)) if y > 0 else _ONE - _one_over_one_plus(exp_of_negative(y, 4))
            table.append(max(-128, min(127, rounded_shift(y, 23) - 128)))
    return table


def tanh_table(input_scale: int, zero_point: int) -> "list[int]":
    """int8 hyperbolic tangent for the inputs −128…127; the output scale is 1/128 with zero point 0."""
    fixed, shift, radius = _activation(input_scale)
    table = []
    for q in range(-128, 128):
        x = q - zero_point
        if x <= -radius:
            table.append(-128)
        elif x >= radius:
            table.append(127)
        else:
            y = scaled(x, fixed, shift)
            # tanh |y| = (1 − e) / (1 + e) with e = exp(−2 |y|): doubling means one integer bit more
            t = _saturated((_newton(exp_of_negative(-abs(y), 5)) - (1 << 29)) << 2) if y else 0
            table.append(max(-128, min(127, rounded_shift(t if y > 0 else -t, 24))))
    return table


def softmax(values: "list[int]", fixed: int, shift: int, lowest_difference: int) -> "list[int]":
    """int8 softmax; the output scale is 1/256 with zero point −128. Settings from `softmax_settings`."""
    top = max(values)
    exponentials = [exp_of_negative(scaled(v - top, fixed, shift), 5) if v - top >= lowest_difference else None for v in values]
    total = 0
    for e in exponentials:
        if e is not None:
            total += rounded_shift(e, 12)
    headroom = 32 - _bits(total)
    reciprocal = _one_over_one_plus((total << headroom) - (1 << 31))
    bits = 12 - headroom + 23
    return [-128 if e is None else max(-128, min(127, rounded_shift(_times(reciprocal, e), bits) - 128)) for e in exponentials]


def softmax_settings(input_scale: int, beta: int) -> "tuple[int, int, int]":
    """(fixed, shift, lowest difference) for `softmax` from the bits of input scale and beta."""
    mantissa, exponent = product(rational(beta), rational(input_scale))
    fixed, shift = _positive(mantissa, exponent + 26)  # five integer bits
    return fixed, shift, -((31 << 26) >> shift) if shift < 31 else 0


def exp_of_negative(value: int, integer_bits: int) -> int:
    """exp(value) for value ≤ 0 with `integer_bits` integer bits; the result has none."""
    if value == 0:
        return _ONE
    fraction = 31 - integer_bits
    quarter = 1 << (fraction - 2)
    reduced = (value & (quarter - 1)) - quarter
    x = (reduced << integer_bits) + (1 << 28)  # Taylor series about −1/8
    x2 = _times(x, x)
    x3 = _times(x2, x)
    x4 = _times(x2, x2)
    series = rounded_shift(_times(rounded_shift(x4, 2) + x3, 715827883) + x2, 1)
    result = 1895147668 + _times(1895147668, x + series)  # exp(−1/8)
    remainder = reduced - value
    for i, factor in enumerate(_EXPONENTIALS):
        exponent = i - 2
        if integer_bits > exponent and remainder & 1 << (fraction + exponent):
            result = _times(result, factor)
    return result


# exp(−2^k) for k = −2…4, 31 fractional bits
_EXPONENTIALS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def _activation(input_scale: int) -> "tuple[int, int, int]":
    mantissa, exponent = rational(input_scale)
    fixed, shift = _positive(mantissa, exponent + 27)  # four integer bits
    return fixed, shift, (15 << 27) >> shift if shift < 31 else 0


def _positive(mantissa: int, exponent: int) -> "tuple[int, int]":
    fixed, shift = quotient((mantissa, exponent), (1, 0))
    if shift < 0 or not fixed:
        raise ScaleError("scale", "an activation's scale is too small")
    return fixed, shift


def _times(a: int, b: int) -> int:
    return (a * b + 0x40000000) >> 31


def _saturated(value: int) -> int:
    return max(-0x80000000, min(_ONE, value))


def _newton(x: int) -> int:
    """2 / (1 + x) for x in [0, 1] with two integer bits: three Newton-Raphson steps from 48/17 − 32/17 · d."""
    half = (x + _ONE + 1) // 2
    guess = 1515870810 + _times(half, -1010580540)
    for _ in range(3):
        guess += _saturated(_times(guess, (1 << 29) - _times(half, guess)) << 2)
    return guess


def _one_over_one_plus(x: int) -> int:
    return _saturated(_newton(x) << 1)


def _bits(value: int) -> int:
    bits = 0
    while value >> bits + 32:
        bits += 32
    while value >> bits:
        bits += 1
    return bits
