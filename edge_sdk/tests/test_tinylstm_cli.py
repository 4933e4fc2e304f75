"""Every engine gives the integers of TensorFlow Lite Micro, and the command says what it cannot do."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zenmoon_edge.models
from desk import ENGINES, MODEL, needs_tflm, run, steps, written
from zenmoon_edge import native
from zenmoon_edge.core.flashed import flashed
from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM
from zenmoon_edge.tinylstm import engines, quantise
from zenmoon_edge.tinylstm.__main__ import main


@needs_tflm
@pytest.mark.parametrize("kind", ["ordinary", "wide", "saturating"])
@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_tflms_integers(tmp_path: Path, engine: str, kind: str) -> None:
    values = steps(kind)
    expected = run(tmp_path, "tflm", values)
    assert expected.shape == (400, 3)
    assert expected.dtype == np.int8
    if kind == "ordinary":
        assert len(np.unique(expected, axis=0)) > 300, "a vector that saturates hides the state"
    np.testing.assert_array_equal(run(tmp_path, engine, values), expected)


@needs_tflm
@pytest.mark.parametrize("engine", [*ENGINES, "tflm"])
def test_each_run_starts_from_a_reset(tmp_path: Path, engine: str) -> None:
    values = np.concatenate([steps("wide", 50), steps("wide", 50)])
    whole = run(tmp_path, engine, values)
    assert (whole[:50] != whole[50:]).any(), "state carries over within a run"
    np.testing.assert_array_equal(run(tmp_path, engine, values[50:]), whole[:50])


@needs_tflm
@pytest.mark.parametrize("engine", [*ENGINES, "tflm"])
def test_a_file_of_five_steps_takes_steps_in_fives(tmp_path: Path, engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    from reshaped import window

    model = written(tmp_path, window(MODEL.read_bytes(), 5))
    values = steps("ordinary", 40)
    result = run(tmp_path, engine, values, model)
    # The heads look at the last step of each window.
    np.testing.assert_array_equal(result, run(tmp_path, "portable", values)[4::5])
    np.save(tmp_path / "in.npy", values[:38])
    assert main(["run", str(model), "--input", str(tmp_path / "in.npy"), "--output", str(tmp_path / "out.npy")]) == 2
    assert "a multiple of 5" in capsys.readouterr().err


@needs_tflm
@pytest.mark.parametrize("engine", [*ENGINES, "tflm"])
@pytest.mark.parametrize("kind", ["int8", "float32"])
def test_a_file_with_float32_borders_gives_the_integers_inside(tmp_path: Path, engine: str, kind: str) -> None:
    from reshaped import float_borders

    values = steps("ordinary", 60)
    inside = TinyLSTM(MODEL.read_bytes(), "portable").input
    given = values if kind == "int8" else np.array([inside.dequantise(row) for row in values.tolist()], np.float32)
    result = run(tmp_path, engine, given, written(tmp_path, float_borders(MODEL.read_bytes())))
    assert result.dtype == np.int8
    np.testing.assert_array_equal(result, run(tmp_path, "portable", values))


@needs_tflm
@pytest.mark.parametrize("name", ["microlite", "ml"])
def test_a_flashed_tflm_takes_a_file_with_float32_borders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The fakes of the portable suite, with real numbers at the borders as the modules hand them over."""
    import array

    import test_runner as fakes  # edge_sdk/tests/portable
    from reshaped import float_borders

    class Interpreter(fakes.FakeInterpreter):
        def getInputTensor(self, index: int) -> object:
            border = self._graph.borders.input
            taken = self._input

            class Real:
                def setValue(self, index: int, value: float) -> None:
                    assert isinstance(value, float)
                    taken[index] = border.quantise([value])[0]

            return Real()

        def getOutputTensor(self, index: int) -> object:
            return fakes.FakeTensor(self._graph.borders.outputs[index].dequantise(self._outputs[index]))

    class Model(fakes.FakeModel):
        def predict(self, inputs: list) -> list:
            borders = self._graph.borders
            buffer = bytearray(4 * borders.input.size)
            inputs[0](buffer, borders.shape, ord("f"))
            self.taken = bytes(q & 255 for q in borders.input.quantise(array.array("f", bytes(buffer)).tolist()))
            return super().predict([lambda memory, shape, kind: memory.__setitem__(slice(None), self.taken)])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, name, fakes.Firmware(interpreter=Interpreter, Model=Model))
    engine = flashed(float_borders(MODEL.read_bytes()))
    assert engine is not None
    assert engine.name == {"microlite": "microlite", "ml": "openmv"}[name]
    reference = TinyLSTM(MODEL.read_bytes(), "portable")
    for row in steps("ordinary", 20).tolist():
        assert engine.step(row) == reference.step(row)


@needs_tflm
def test_float_input_is_quantised_as_tflm_does(tmp_path: Path) -> None:
    """A file with float32 borders lets TFLM's own QUANTIZE do it."""
    from reshaped import float_borders, load, save
    from tflite_micro import runtime

    tree = load(float_borders(MODEL.read_bytes()))
    tree.subgraphs[0].tensors[0].quantization.scale = [1 / 32]  # exact, so that every quotient can be had
    model = save(tree)
    scale, zero = TinyLSTM(model).input_quantisation()
    halves = (np.arange(-140, 140, dtype=np.float64) + 0.5) * scale
    # Bits next to each other are floats next to each other: around every half, and 0.49999997 among the quotients.
    near = [(halves.astype(np.float32).view(np.int32) + ulps).view(np.float32) for ulps in range(-4, 5)]
    values = np.concatenate([*near, [1e7, -1e7, 0]]).astype(np.float32)
    assert np.float32(0.49999997) in values / np.float32(scale)
    interpreter = runtime.Interpreter.from_bytes(_only_the_input(model), arena_size=1 << 16)
    expected = []
    for chunk in np.resize(values, (-(-len(values) // 8), 8)):
        interpreter.set_input(chunk.reshape(1, 1, 8), 0)
        interpreter.invoke()
        expected.append(interpreter.get_output(0).ravel())
    given = quantise(TinyLSTM(model), np.resize(values, (len(expected), 8)))
    np.testing.assert_array_equal(given, np.array(expected))
    assert {-128, zero, 127} <= set(given.ravel().tolist())


def _only_the_input(model: bytes) -> bytes:
    """The graph cut off behind its first QUANTIZE."""
    from reshaped import load, save

    tree = load(model)
    graph = tree.subgraphs[0]
    graph.operators = graph.operators[:1]
    graph.outputs = graph.operators[0].outputs
    return save(tree)


def test_float_input_is_rounded_half_away_from_zero_and_clamped(tmp_path: Path) -> None:
    model = TinyLSTM(MODEL.read_bytes())
    scale, zero = model.input_quantisation()
    wanted = np.array([[-1000, -3, -2, -1, 0, 1, 2, 1000]])
    floats = (wanted * np.float32(scale)).astype(np.float32)
    np.testing.assert_array_equal(quantise(model, floats), np.clip(wanted + zero, -128, 127))
    halves = np.array([[0.49, 0.51, -0.49, -0.51, 1.49, 1.51, -1.49, -1.51]], np.float32) * np.float32(scale)
    np.testing.assert_array_equal(quantise(model, halves), np.array([[0, 1, 0, -1, 1, 2, -1, -2]]) + zero)
    assert run(tmp_path, None, floats).shape == (1, 3)


@pytest.mark.parametrize(
    "values",
    [np.zeros((3, 7), np.int8), np.zeros(8, np.int8), np.zeros((3, 8), np.int16), np.full((3, 8), np.nan, np.float32)],
    ids=["features", "rank", "type", "nan"],
)
def test_other_inputs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], values: np.ndarray) -> None:
    np.save(tmp_path / "in.npy", values)
    arguments = ["run", str(MODEL), "--input", str(tmp_path / "in.npy"), "--output", str(tmp_path / "out.npy")]
    assert main(arguments) == 2
    assert capsys.readouterr().err


def test_an_absent_engine_exits_2_and_names_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "in.npy", steps("wide", 2))
    arguments = ["run", str(MODEL), "--input", str(tmp_path / "in.npy"), "--output", str(tmp_path / "out.npy"), "--engine"]
    monkeypatch.setattr(engines, "_TOOLCHAIN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ZENMOON_MICROPYTHON", raising=False)
    monkeypatch.setenv("ZENMOON_TINYLSTM_LIBRARY", "")
    for engine, command in {
        "native": "zenmoon_edge.tinylstm build",
        "micropython": "tools/toolchain.py",
        "micropython-native": "tools/toolchain.py",
        "wasm": "tools/toolchain.py",
    }.items():
        assert main([*arguments, engine]) == 2
        assert command in capsys.readouterr().err


@pytest.mark.parametrize("engine", [*ENGINES, pytest.param("tflm", marks=needs_tflm)])
def test_no_steps_give_no_rows(tmp_path: Path, engine: str) -> None:
    assert run(tmp_path, engine, np.zeros((0, 8), np.int8)).shape == (0, 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (No such file or directory): give the path of a .npy file"),
        (b"", "no .npy file of numbers, or damaged: save the steps with numpy.save"),
        (b"no array", "no .npy file of numbers, or damaged: save the steps with numpy.save"),
        (b"PK\x03\x04 no archive", "no .npy file of numbers, or damaged: save the steps with numpy.save"),
    ],
    ids=["missing", "empty", "junk", "archive"],
)
def test_an_input_that_is_no_array_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "in.npy").write_bytes(content)
    assert main(["run", str(MODEL), "--input", str(tmp_path / "in.npy"), "--output", str(tmp_path / "out.npy")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "pickle" not in error
    assert error.count("\n") == 1


def test_an_output_that_cannot_be_written_and_an_input_beyond_memory_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "in.npy", steps("wide", 2))
    assert main(["run", str(MODEL), "--input", str(tmp_path / "in.npy"), "--output", str(tmp_path / "none" / "out.npy")]) == 2
    assert "cannot be written (No such file or directory): give a path" in capsys.readouterr().err
    with (tmp_path / "in.npy").open("wb") as file:
        shape = (1 << 58, 8)
        np.lib.format.write_array_header_1_0(file, {"descr": "|i1", "fortran_order": False, "shape": shape})
    assert main(["run", str(MODEL), "--input", str(tmp_path / "in.npy"), "--output", str(tmp_path / "out.npy")]) == 2
    error = capsys.readouterr().err
    assert "save the steps with numpy.save" in error
    assert error.count("\n") == 1


def test_real_numbers_become_the_same_integers_everywhere() -> None:
    wearable = TinyLSTM(Path(zenmoon_edge.models.__file__).with_name("wearable.tflite").read_bytes())
    below = -2.9960784912109375  # in double precision its quotient lies below the half that TFLM sees
    assert set(quantise(wearable, np.full((1, wearable.input_size), below, np.float32)).ravel().tolist()) == {-97}
    assert wearable.quantise([below]) == [-97]
    small = TinyLSTM(MODEL.read_bytes())
    small.input.scales = (0x3D000000,)  # 1/32: every half is exact
    for model in (wearable, small):
        scale, _ = model.input_quantisation()
        halves = ((np.arange(-120, 120) + 0.5) * scale).astype(np.float32)
        near = [(halves.view(np.int32) + ulps).view(np.float32) for ulps in range(-3, 4)]
        values = np.concatenate([*near, np.float32([1e7, -1e7, 0, 3e38, -3e38])])
        width = model.input_size
        values = np.resize(values, (-(-len(values) // width), width))
        assert quantise(model, values).tolist() == [model.quantise(row) for row in values.tolist()]


@needs_tflm
def test_shapes_that_tflm_would_take_otherwise_are_refused_alike() -> None:
    """Rows that are not the output's last axis, and a slice from behind an axis that shrinks."""
    from random_models import random_model
    from reshaped import load, save

    def files() -> Iterator[bytes]:
        tree = load(MODEL.read_bytes())
        graph = tree.subgraphs[0]
        layer = next(each for each in graph.operators if tree.operatorCodes[each.opcodeIndex].builtinCode == 9)
        target = graph.tensors[layer.outputs[0]]
        for shape in ([*target.shape, 1], []) if np.prod(target.shape) == 1 else ([*target.shape, 1],):
            target.shape = shape
            if target.shape[-1:] != [graph.tensors[layer.inputs[1]].shape[0]]:
                yield save(tree)
        for seed in range(100):
            tree = load(random_model(seed).data)
            graph = tree.subgraphs[0]
            for each in graph.operators:
                if tree.operatorCodes[each.opcodeIndex].builtinCode == 45 and each.builtinOptions.shrinkAxisMask:
                    axis = each.builtinOptions.shrinkAxisMask.bit_length() - 1
                    begins = tree.buffers[graph.tensors[each.inputs[1]].buffer]
                    values = np.array(begins.data, np.uint8).view(np.int32).copy()
                    values[axis] = graph.tensors[each.inputs[0]].shape[axis]
                    each.builtinOptions.beginMask = 0
                    begins.data = values.view(np.uint8)
                    yield save(tree)

    refused = 0
    for file in files():
        for engine in ("portable", *(["native"] if native.kernel() else [])):
            with pytest.raises(ModelError) as error:
                TinyLSTM(file, engine)
            assert error.value.reason == "shape"
            refused += 1
    assert refused > 4
