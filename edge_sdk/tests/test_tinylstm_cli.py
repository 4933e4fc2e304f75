"""Every engine gives the integers of TensorFlow Lite Micro, and the command says what it cannot do."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import zenmoon_edge.models
from zenmoon_edge import tinylstm

MODEL = Path(zenmoon_edge.models.__file__).with_name("wearable.tflite")
CARD = MODEL.with_suffix(".json")

needs_tflm = pytest.mark.skipif(importlib.util.find_spec("tflite_micro") is None, reason="needs tflite-micro")
needs_micropython = pytest.mark.skipif(tinylstm.micropython() is None, reason="needs MicroPython: python tools/toolchain.py")


def steps(kind: str, n: int = 400) -> np.ndarray:
    random = np.random.default_rng(5)
    if kind == "saturating":
        return random.choice([-128, 127], (n, 8)).astype(np.int8)
    if kind == "wide":
        return random.integers(-128, 128, (n, 8)).astype(np.int8)
    return np.clip(random.normal(0, 25, (n, 8)), -128, 127).astype(np.int8)


def run(tmp_path: Path, engine: str, values: np.ndarray, model: Path = MODEL) -> np.ndarray:
    source, target = tmp_path / "in.npy", tmp_path / "out.npy"
    np.save(source, values)
    assert tinylstm.main(["run", str(model), "--input", str(source), "--output", str(target), "--engine", engine]) == 0
    return np.load(target)


@needs_tflm
@pytest.mark.parametrize("kind", ["ordinary", "wide", "saturating"])
def test_the_portable_engine_gives_tflms_integers(tmp_path: Path, kind: str) -> None:
    values = steps(kind)
    expected = run(tmp_path, "tflm", values)
    assert expected.shape == (400, 3)
    assert expected.dtype == np.int8
    if kind == "ordinary":
        assert len(np.unique(expected, axis=0)) > 300, "a vector that saturates hides the state"
    np.testing.assert_array_equal(run(tmp_path, "portable", values), expected)


@needs_tflm
def test_a_reset_starts_both_again(tmp_path: Path) -> None:
    values = np.concatenate([steps("wide", 50), steps("wide", 50)])
    whole = run(tmp_path, "portable", values)
    assert (whole[:50] != whole[50:]).any(), "state carries over within a run"
    np.testing.assert_array_equal(run(tmp_path, "portable", values[50:]), whole[:50])
    np.testing.assert_array_equal(run(tmp_path, "tflm", values[50:]), whole[:50])


@needs_micropython
def test_micropython_gives_the_same_integers(tmp_path: Path) -> None:
    values = steps("wide")
    np.testing.assert_array_equal(run(tmp_path, "micropython", values), run(tmp_path, "portable", values))


def test_float_input_is_rounded_half_away_from_zero_and_clamped(tmp_path: Path) -> None:
    model = tinylstm.TinyLSTM(MODEL.read_bytes())
    scale, zero = model.input_quantisation()
    wanted = np.array([[-1000, -3, -2, -1, 0, 1, 2, 1000]])
    floats = (wanted * np.float32(scale)).astype(np.float32)
    np.testing.assert_array_equal(tinylstm.quantise(model, floats), np.clip(wanted + zero, -128, 127))
    halves = np.array([[0.49, 0.51, -0.49, -0.51, 1.49, 1.51, -1.49, -1.51]], np.float32) * np.float32(scale)
    np.testing.assert_array_equal(tinylstm.quantise(model, halves), np.array([[0, 1, 0, -1, 1, 2, -1, -2]]) + zero)
    assert run(tmp_path, "portable", floats).shape == (1, 3)


@pytest.mark.parametrize(
    "values",
    [np.zeros((3, 7), np.int8), np.zeros(8, np.int8), np.zeros((3, 8), np.int16), np.full((3, 8), np.nan, np.float32)],
    ids=["features", "rank", "type", "nan"],
)
def test_other_inputs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], values: np.ndarray) -> None:
    np.save(tmp_path / "in.npy", values)
    arguments = ["run", str(MODEL), "--input", str(tmp_path / "in.npy"), "--output", str(tmp_path / "out.npy")]
    assert tinylstm.main(arguments) == 2
    assert capsys.readouterr().err


def test_a_file_that_is_no_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "not.tflite"
    path.write_bytes(b"hello, this is no model")
    assert tinylstm.main(["verify", str(path)]) == 2
    assert "identifier" in capsys.readouterr().err


def test_an_absent_engine_exits_2_and_names_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tinylstm, "micropython", lambda: None)
    np.save(tmp_path / "in.npy", steps("wide", 2))
    arguments = ["run", str(MODEL), "--input", str(tmp_path / "in.npy"), "--output", str(tmp_path / "out.npy")]
    assert tinylstm.main([*arguments, "--engine", "micropython"]) == 2
    assert "tools/toolchain.py" in capsys.readouterr().err


def test_verify_reports_every_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert tinylstm.main(["verify", str(MODEL)]) == 0
    report = capsys.readouterr().out
    assert all(engine in report for engine in tinylstm.ENGINES)
    assert "differ" not in report


def test_verify_fails_when_an_engine_differs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_one(model: bytes, calls: np.ndarray) -> np.ndarray:
        return (tinylstm.run_portable(model, calls).astype(int) + (np.arange(len(calls)) == 7)[:, None]).astype(np.int8)

    monkeypatch.setitem(tinylstm.ENGINES, "micropython", off_by_one)
    assert tinylstm.main(["verify", str(MODEL)]) == 1
    assert "1 of 400 calls differ" in capsys.readouterr().out


def test_the_card_belongs_to_the_file_and_is_honest() -> None:
    card = json.loads(CARD.read_text("utf-8"))
    import hashlib

    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() == card["file"]["sha256"]
    assert MODEL.stat().st_size <= 10_240
    assert not set(card["training"]) & set(card["held_out"])
    figures = card["held_out_figures"]
    assert {person["person"] for person in figures["per_person"]} == set(card["held_out"])
    assert {"clock_only", "logistic_regression"} <= set(figures["controls"])
    assert 0.6 < figures["auroc_int8"] < 0.85, "far above what physiology gives means leakage"
    assert any("not a diagnosis" in limit for limit in card["limits"])
