"""Files looked into and engines compared: what agrees, what differs, what is refused and by whom."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import zenmoon_edge.models
from desk import MODEL, SHIPPED, needs_tflm, steps, written
from zenmoon_edge import native
from zenmoon_edge.tinylstm import engines
from zenmoon_edge.tinylstm.__main__ import main
from zenmoon_edge.tinylstm.verification import verify


@pytest.mark.parametrize("command", ["verify", "inspect"])
def test_a_file_that_is_no_model_is_refused_with_the_next_action(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    path = written(tmp_path, b"hello, this is no model")
    assert main([command, str(path)]) == 2
    said = capsys.readouterr().err
    assert "identifier" in said
    assert "Next: give a .tflite file" in said
    assert main([command, str(tmp_path / "nowhere.tflite")]) == 2
    assert "nowhere.tflite cannot be read" in capsys.readouterr().err


def test_verify_reports_every_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(MODEL)]) == 0
    report = capsys.readouterr().out
    assert all(engine in report for engine in engines.ENGINES)
    assert "differ" not in report


def refused_by_tflm() -> bytes:
    """A bias whose scale is not that of its products: TFLM alone looks at it, where one scale serves all rows."""
    from reshaped import load, save

    tree = load(MODEL.read_bytes())
    graph = tree.subgraphs[0]
    layer = next(each for each in graph.operators if tree.operatorCodes[each.opcodeIndex].builtinCode == 9)
    weights = graph.tensors[layer.inputs[1]].quantization
    weights.scale, weights.zeroPoint = weights.scale[:1], weights.zeroPoint[:1]
    bias = graph.tensors[layer.inputs[2]].quantization
    bias.scale, bias.zeroPoint = [1.0], [0]
    return save(tree)


@needs_tflm
def test_what_tflm_alone_refuses_is_said_and_the_others_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, refused_by_tflm())
    assert main(["verify", str(path)]) == 0
    report = capsys.readouterr().out
    assert "tflm                refuses it: TFLM refuses this file" in report
    assert "portable            equal" in report
    np.save(tmp_path / "in.npy", steps("wide", 2))
    arguments = ["run", str(path), "--input", str(tmp_path / "in.npy"), "--output", str(tmp_path / "out.npy"), "--engine", "tflm"]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "TFLM refuses this file" in said
    assert "next: run it on another engine" in said
    with pytest.raises(engines.EngineError, match="TFLM refuses this file"):
        verify(path.read_bytes())


def test_a_refusal_by_an_engine_of_ours_is_no_success(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(model: bytes, calls: np.ndarray) -> np.ndarray:
        raise engines.EngineError("failed", "it ended")

    monkeypatch.setitem(engines.ENGINES, "micropython", ended)
    assert main(["verify", str(MODEL)]) == 2
    assert "micropython         refuses it: it ended" in capsys.readouterr().out


def test_a_micropython_that_is_none_is_absent_and_verify_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZENMOON_MICROPYTHON", str(tmp_path / "nothing"))
    assert main(["verify", str(MODEL)]) == 0
    report = capsys.readouterr().out
    assert f"micropython         not here: {tmp_path / 'nothing'} is no program" in report
    assert "portable            equal" in report


def test_verify_fails_when_an_engine_differs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_one(model: bytes, calls: np.ndarray) -> np.ndarray:
        return (engines.run_portable(model, calls).astype(int) + (np.arange(len(calls)) == 7)[:, None]).astype(np.int8)

    monkeypatch.setitem(engines.ENGINES, "micropython", off_by_one)
    assert main(["verify", str(MODEL)]) == 1
    assert "1 calls differ" in capsys.readouterr().out


def test_inspect_tells_what_is_in_a_file_and_what_it_costs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(MODEL), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["steps"], found["features"], found["outputs"], found["refused"]) == (1, 8, [1, 2], None)
    lstm = next(operator for operator in found["operators"] if operator["name"] == "UNIDIRECTIONAL_SEQUENCE_LSTM")
    assert lstm["macs"] == 4 * 16 * (8 + 16)
    assert found["macs_per_step"] == lstm["macs"] + 16 * 3
    hidden, cell = found["state"]
    assert (hidden["type"], hidden["values"], cell["type"], cell["values"], cell["reset"]) == ("int8", 16, "int16", 16, 0)
    assert found["file"]["bytes"] == MODEL.stat().st_size
    assert found["metadata"]["zenmoon"] > 12
    if (kernel := native.kernel()) is not None:
        assert found["kernel"]["memory_bytes"] == kernel.size(MODEL.read_bytes())
    assert main(["inspect", str(MODEL)]) == 0
    shown = capsys.readouterr().out
    assert all(operator["name"] in shown for operator in found["operators"])
    assert all(tensor["name"] in shown for tensor in found["tensors"])


@needs_tflm
def test_inspect_shows_a_file_that_no_engine_runs_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from reshaped import without_operator

    path = written(tmp_path, without_operator(MODEL.read_bytes(), "LOGISTIC"))
    assert main(["inspect", str(path)]) == 0
    assert "refused: operator: operator code 3" in capsys.readouterr().out
    assert main(["verify", str(path)]) == 2
    assert "docs/tinylstm.md" in capsys.readouterr().err


@needs_tflm
def test_macs_are_counted_per_step_in_a_window(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from reshaped import window

    assert main(["inspect", str(written(tmp_path, window(MODEL.read_bytes(), 5))), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["operators"][0]["macs"] == 5 * 4 * 16 * (8 + 16)
    assert found["macs_per_step"] == (found["operators"][0]["macs"] + 16 * 3) // 5


@needs_tflm
@pytest.mark.parametrize("model", SHIPPED, ids=lambda path: path.stem)
def test_every_engine_runs_every_shipped_model_alike(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(model)]) == 0, capsys.readouterr()
    assert "tflm                equal" in capsys.readouterr().out


@pytest.mark.parametrize("model", SHIPPED, ids=lambda path: path.stem)
def test_the_card_belongs_to_the_file(model: Path) -> None:
    card = json.loads(model.with_suffix(".json").read_text("utf-8"))
    assert hashlib.sha256(model.read_bytes()).hexdigest() == card["file"]["sha256"]
    assert model.stat().st_size <= 8192


def test_the_wearables_card_is_honest() -> None:
    card = json.loads(Path(zenmoon_edge.models.__file__).with_name("wearable.json").read_text("utf-8"))
    assert not set(card["training"]) & set(card["held_out"])
    figures = card["held_out_figures"]
    assert {person["person"] for person in figures["per_person"]} == set(card["held_out"])
    assert {"clock_only", "logistic_regression"} <= set(figures["controls"])
    assert 0.6 < figures["auroc_int8"] < 0.85, "far above what physiology gives means leakage"
    assert any("not a diagnosis" in limit for limit in card["limits"])
