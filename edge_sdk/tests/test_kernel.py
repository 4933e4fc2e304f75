"""The kernel, the portable engine and TensorFlow Lite Micro give the same integers: for random models and for those that ship."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from kernel_library import Model, refusal
from mutations import shipped
from random_models import FULLY_CONNECTED, INT8, INT32, RandomModel, Writer, random_model, schema
from tflm_oracle import tflm
from zenmoon_edge.core.tinylstm import TinyLSTM

KINDS = ("ordinary", "wide", "saturating")

needs_tflm = pytest.mark.skipif(importlib.util.find_spec("tflite_micro") is None, reason="needs tflite-micro")


def portable(data: bytes, x: np.ndarray) -> np.ndarray:
    model = TinyLSTM(data, engine="portable")
    return np.frombuffer(model.run(x.astype(np.int8).tobytes()), np.int8).reshape(len(x), -1)


def as_the_file_wants(model: RandomModel, x: np.ndarray) -> np.ndarray:
    return (x.astype(np.float32) - model.input_zero) * np.float32(model.input_scale) if model.float_input else x


def as_integers(model: RandomModel, y: np.ndarray) -> np.ndarray:
    if not model.float_outputs:
        return y
    scales = np.concatenate([np.full(size, scale, np.float64) for size, scale, _ in model.outputs])
    zeros = np.concatenate([np.full(size, zero) for size, _, zero in model.outputs])
    return np.round(y / scales + zeros).astype(np.int8)


def compare(seeds: range, calls: int, *, also_portable: bool) -> int:
    """Fails on the first integer that differs; gives the number of models whose outputs move."""
    models = [random_model(seed) for seed in seeds]
    inputs = [
        np.concatenate([model.inputs(kind, calls, seed) for kind in KINDS]) for seed, model in zip(seeds, models, strict=True)
    ]
    pairs = [(model.data, as_the_file_wants(model, x)) for model, x in zip(models, inputs, strict=True)]
    moving = 0
    for model, x, answer in zip(models, inputs, tflm(pairs), strict=True):
        assert not isinstance(answer, str), f"TFLM refuses {model.words}: {answer}"
        expected = as_integers(model, answer)
        moving += len(np.unique(expected, axis=0)) > calls
        native = Model(model.data)
        np.testing.assert_array_equal(native.run(x), expected, err_msg=f"carried state, native, {model.words}")
        native.reset()
        again = native.run(x[: calls + 1])
        np.testing.assert_array_equal(again, expected[: calls + 1], err_msg=f"after a reset, native, {model.words}")
        if also_portable:
            np.testing.assert_array_equal(portable(model.data, x), expected, err_msg=f"portable, {model.words}")
    return moving


@needs_tflm
@pytest.mark.parametrize("first", range(0, 24, 6))
def test_random_models_give_tflms_integers_in_every_engine(first: int) -> None:
    assert compare(range(first, first + 6), 6, also_portable=True) >= 3, "models that do not move prove nothing"


@needs_tflm
@pytest.mark.soak
def test_many_random_models_give_tflms_integers() -> None:
    moving = sum(compare(range(first, first + 25), 40, also_portable=False) for first in range(1000, 1300, 25))
    compare(range(1300, 1360), 10, also_portable=True)
    print(f"300 random models natively, 60 in the portable engine too; {moving} of the 300 with moving outputs")
    assert moving > 200


@pytest.mark.parametrize("flag", ["-DSHORT_MULTIPLICATION", "-Os", "-fsigned-char", "-funsigned-char"])
def test_another_way_of_compiling_gives_the_same_integers(flag: str) -> None:
    for seed in range(30, 42):
        model = random_model(seed)
        x = np.concatenate([model.inputs(kind, 8, seed) for kind in KINDS])
        np.testing.assert_array_equal(Model(model.data, flag).run(x), Model(model.data).run(x), err_msg=model.words)


@needs_tflm
@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_shipped_models_give_tflms_integers(path: Path) -> None:
    data = path.read_bytes()
    native = Model(data)
    random = np.random.default_rng(7)
    shape = (300, native.inputs)
    x = np.concatenate(
        [
            np.clip(random.normal(0, 25, shape), -128, 127).astype(np.int8),
            random.integers(-128, 128, shape).astype(np.int8),
            random.choice([-128, 127], shape).astype(np.int8),
        ]
    )
    (expected,) = tflm([(data, x)])
    assert not isinstance(expected, str), expected
    np.testing.assert_array_equal(native.run(x), expected)
    np.testing.assert_array_equal(portable(data, x[:400]), expected[:400])


def matrix(
    power: int, *, by_row: bool = False, zero: int = 0, largest: int = 2**31 - 10_000, features: int = 4
) -> tuple[bytes, int]:
    """One FULLY_CONNECTED with a multiplier of about 2^power and biases of any size."""
    random = np.random.default_rng([power + 40, by_row])
    rows = 8
    writer = Writer()
    input_scale, output_scale = np.float32(random.uniform(0.01, 1)), np.float32(random.uniform(0.01, 0.1))
    scales = (random.uniform(0.5, 1, rows if by_row else 1) * 2.0**power * output_scale / input_scale).astype(np.float32)
    x = writer.tensor([1, 1, features], INT8, input_scale, 0)
    weights = writer.tensor([rows, features], INT8, scales, 0, random.integers(-3, 4, (rows, features)).astype(np.int8))
    bias = random.integers(-largest, largest, rows).astype(np.int32)
    bias_tensor = writer.tensor([rows], INT32, input_scale * scales, 0, bias)
    y = writer.tensor([1, rows], INT8, output_scale, zero)
    options = schema.FullyConnectedOptionsT()
    writer.operator(FULLY_CONNECTED, [x, weights, bias_tensor], [y], options, schema.BuiltinOptions.FullyConnectedOptions)
    writer.graph.inputs, writer.graph.outputs = [x], [y]
    return writer.file(), features


@needs_tflm
@pytest.mark.parametrize("by_row", [False, True], ids=["one scale", "by row"])
def test_large_sums_and_multipliers_wrap_as_they_do_in_tflm(by_row: bool) -> None:
    files = [matrix(power, by_row=by_row, zero=zero)[0] for power in range(-34, 20) for zero in (-128, 127)]
    x = np.random.default_rng(1).integers(-128, 128, (4, 4)).astype(np.int8)
    for data, expected in zip(files, tflm([(data, x) for data in files]), strict=True):
        if isinstance(expected, str):
            continue  # TFLM's own check of a bias's scale cannot follow the largest ones
        np.testing.assert_array_equal(Model(data).run(x), expected)
        np.testing.assert_array_equal(portable(data, x), expected)


def test_a_row_whose_sum_can_leave_32_bits_is_refused() -> None:
    data = matrix(-20, largest=2**31 - 1)[0]
    weights, bias = np.full(4, 3, np.int8), 2**31 - 1 - 4 * 3 * 127
    for more, refused in ((0, None), (1, "range")):
        writer = Writer()
        x = writer.tensor([1, 1, 4], INT8, 0.5, 0)
        matrix_tensor = writer.tensor([1, 4], INT8, 2.0**-20, 0, weights)
        biases = writer.tensor([1], INT32, 2.0**-21, 0, np.array([bias + more], np.int32))
        y = writer.tensor([1, 1], INT8, 0.5, 0)
        writer.operator(FULLY_CONNECTED, [x, matrix_tensor, biases], [y])
        writer.graph.inputs, writer.graph.outputs = [x], [y]
        data = writer.file()
        assert refusal(data) == refused
        try:
            TinyLSTM(data, engine="portable")
            reason = None
        except Exception as error:
            reason = getattr(error, "reason", error)
        assert reason == refused


@needs_tflm
def test_a_clip_below_the_cells_resolution_and_one_beyond_it() -> None:
    models = [random_model(seed, units=6, features=3, float_borders=False) for seed in range(40, 52)]
    files = []
    for i, model in enumerate(models):
        graph = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model.data, 0))
        for operator in graph.subgraphs[0].operators:
            if isinstance(operator.builtinOptions, schema.UnidirectionalSequenceLSTMOptionsT):
                operator.builtinOptions.cellClip = (1e-5, 0.3, 100.0, 0.0078125)[i % 4]
        writer = Writer()
        writer.model = graph
        files.append(writer.file())
    inputs = [model.inputs("wide", 20) for model in models]
    for data, x, expected in zip(files, inputs, tflm(list(zip(files, inputs, strict=True))), strict=True):
        assert not isinstance(expected, str), expected
        np.testing.assert_array_equal(Model(data).run(x), expected)
        np.testing.assert_array_equal(portable(data, x), expected)
