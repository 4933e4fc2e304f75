"""The runner: state, shapes and hostile files. Equality with TFLM is tested where its wheel is (test_tinylstm_cli)."""

from zenmoon_edge.core.fixed_point import (
    GATE_TABLE,
    logistic_table,
    multiplier,
    product,
    rational,
    scaled,
    softmax,
    softmax_settings,
    tanh_table,
)
from zenmoon_edge.core.lstm import sigmoid, tanh
from zenmoon_edge.core.native import kernel
from zenmoon_edge.core.strain import Strain
from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

try:
    from math import exp
    from math import tanh as exact_tanh
except ImportError:  # a board without special functions

    def exact_tanh(x):
        return (exp(2 * x) - 1) / (exp(2 * x) + 1)


def small():
    """A model of 8 inputs, 16 units and two heads that no training changes."""
    with open(__file__.rsplit("/", 1)[0] + "/small.tflite", "rb") as file:
        return file.read()


def noise(n, seed=1):
    values = []
    for _ in range(n):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        values.append((seed >> 16) % 256 - 128)
    return values


def engines():
    return ("portable", "native") if kernel() else ("portable",)


def steps(model, n):
    return [model.step(noise(model.input_size, i + 1)) for i in range(n)]


def test_a_model_says_what_goes_in_and_comes_out():
    model = TinyLSTM(small())
    assert (model.steps, model.input_size) == (1, 8)
    assert [output.size for output in model.outputs] == [1, 2]


def test_state_carries_over_until_reset():
    for engine in engines():
        model = TinyLSTM(small(), engine)
        x = noise(8)
        first, second = model.step(x), model.step(x)
        assert first != second
        model.reset()
        assert model.step(x) == first


def test_reset_equals_a_fresh_start():
    for engine in engines():
        used, fresh = TinyLSTM(small(), engine), TinyLSTM(small(), engine)
        steps(used, 30)
        used.reset()
        assert steps(used, 30) == steps(fresh, 30)


def test_a_model_answers_as_recorded():
    # Recorded from TFLM: the same integers on every engine, every interpreter and every board.
    for engine in engines():
        assert steps(TinyLSTM(small(), engine), 6) == RECORDED


def test_a_step_of_another_length_is_refused():
    model = TinyLSTM(small())
    try:
        model.step([0] * 7)
    except ModelError as error:
        assert error.reason == "input"
    else:
        raise AssertionError("accepted")


def test_inputs_are_rounded_half_away_from_zero_and_clamped():
    model = TinyLSTM(small())
    scale, zero = model.input_quantisation()
    quantised = model.quantise([0.0, 2.5 * scale, -2.5 * scale, 1e30, -1e30, 2.4 * scale, -2.4 * scale, scale])
    assert quantised == [zero, zero + 3, zero - 3, 127, -128, zero + 2, zero - 2, zero + 1]


def test_inputs_are_quantised_in_single_precision_where_floats_are_double():
    """Scale 1/32 in the file's bytes: every half is exact, and next to it only single precision rounds to it."""
    model = TinyLSTM(small())
    model.input.scales, zero = (0x3D000000,), model.input_quantisation()[1]
    for n in range(120):
        half = (n + 0.5) / 32
        expected = [max(-128, min(127, zero + n + 1)), max(-128, min(127, zero - n - 1))]
        assert model.quantise([half, -half]) == expected
        if (1 + 1e-9) * half != half:  # a board whose floats are single precision has no number here
            assert model.quantise([half * (1 - 1e-9), -half * (1 - 1e-9)]) == expected

    model.input.scales = (0x3D008081,)  # the quotient, too: in double precision it lies just below the half
    assert model.quantise([-2.9960784912109375]) == [zero - 96]


def test_infinity_is_clamped_and_what_is_no_number_is_refused():
    model = TinyLSTM(small())
    assert model.quantise([float("inf"), -float("inf"), 1e38, -1e38]) == [127, -128, 127, -128]
    try:
        model.quantise([0.0, float("nan")])
    except ModelError as error:
        assert error.reason == "input"
    else:
        raise AssertionError("accepted")


def test_what_is_no_model_is_refused():
    for engine in engines():
        for data, reason in ((b"", "identifier"), (b"\0" * 100, "identifier"), (b"\xff\xff\xff\x7fTFL3", "truncated")):
            try:
                TinyLSTM(data, engine)
            except ModelError as error:
                assert error.reason == reason
            else:
                raise AssertionError("accepted")


def test_a_cut_off_model_is_refused_at_every_length():
    data = small()
    refused = 0
    lengths = range(0, len(data) - 1, 41)
    for engine in engines():
        for length in lengths:
            try:
                TinyLSTM(data[:length], engine)
            except ModelError:
                refused += 1
    assert refused == len(lengths) * len(engines())


def test_a_damaged_model_is_refused_or_runs_and_does_nothing_else():
    data = small()
    outcomes = [0, 0]
    for i in range(300):
        damaged = bytearray(data)
        for j in range(3):
            at = (i * 7919 + j * 104729 + i * i * 31) % len(data)
            damaged[at] = (damaged[at] + 1 + i * 37 + j) & 255
        said = [outcome(bytes(damaged), engine) for engine in engines()]
        assert said[-1] == said[0], i
        outcomes[isinstance(said[0], str)] += 1
    assert outcomes[1] > 20
    assert outcomes[0] > 20  # weights only


def outcome(data, engine):
    """What a damaged file gives: two steps' values, or the reason of its refusal."""
    try:
        model = TinyLSTM(data, engine)
        return [model.step([0] * 8), model.step(noise(8))]
    except ModelError as error:
        return error.reason


def test_numbers_of_a_model_pushed_to_their_limits_are_refused_or_run():
    # Offsets, counts, shapes and scales are 32-bit numbers on multiples of four.
    data = small()
    limits = (b"\0\0\0\0", b"\1\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\1\0", b"\0\0\xc0\x7f")
    at = 1
    refused = 0
    for i in range(400):
        at = (at * 1103515245 + 12345) & 0x7FFFFFFF
        place = (at >> 8) % (len(data) // 4) * 4
        damaged = data[:place] + limits[i % len(limits)] + data[place + 4 :]
        try:
            model = TinyLSTM(damaged)
            reals = model.dequantise(model.step(model.quantise([1.5] * model.input_size)))
            assert reals == twice(damaged)
            strain = Strain(damaged)
            for _ in range(3):
                strain.step([1.5] * 8)
        except ModelError:
            refused += 1
    assert refused > 100


def twice(data):
    """The same step on the portable engine."""
    model = TinyLSTM(data, "portable")
    return model.dequantise(model.step(model.quantise([1.5] * model.input_size)))


def test_gate_functions_are_close_to_the_real_ones():
    assert len(GATE_TABLE) == 256
    for x in range(-32768, 32768, 97):
        real = x / 4096
        assert abs(sigmoid(x) - 32768 / (1 + exp(-real))) < 3
        assert abs(tanh(x, 0) - 32768 * exact_tanh(real)) < 6


def test_int8_activations_are_the_rounded_real_ones():
    bits = 0x3D000000  # 1/32
    for q in range(-128, 128):
        x = (q - 5) / 32
        assert abs(logistic_table(bits, 5)[q + 128] - (256 / (1 + exp(-x)) - 128)) < 0.51 if q % 16 == 0 else True
        assert abs(tanh_table(bits, 5)[q + 128] - min(127, 128 * exact_tanh(x))) < 0.51 if q % 16 == 0 else True


def test_int8_softmax_sums_to_one_and_keeps_the_order():
    settings = softmax_settings(0x3D000000, 0x3F800000)
    result = softmax([10, -50, 100, 37], *settings)
    assert result[2] > result[3] > result[0] > result[1]
    assert abs(sum(q + 128 for q in result) - 256) <= 2


def test_scales_multiply_exactly_and_not_in_single_precision():
    # 0.75 (1 + 2^-13) times (1 - 2^-13) lies just below 0.75; twice that rounds to 1, rounded to a float first it would be 2.
    below = multiplier(product(rational(0x3F400600), rational(0x3F7FF800)), rational(0x3F800000))
    assert scaled(2, *below) == 1
    assert scaled(2, *multiplier(rational(0x3F400000), rational(0x3F800000))) == 2


def test_multipliers_are_exact_without_double_precision():
    # 0.75 / 2 = 0.375 = 0.75 · 2^-1
    assert multiplier(rational(0x3F400000), rational(0x40000000)) == (0x60000000, -1)


RECORDED = [[-2, 13, -14], [-29, -9, 14], [-59, -77, -6], [-38, -110, 14], [-64, -17, 12], [-36, 24, 43]]
