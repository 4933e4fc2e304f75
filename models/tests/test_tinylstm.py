"""The pipeline's steps that need no TensorFlow: networks as numbers, cutting units, what belongs to a file, cards.

Training itself runs with `make train`, and there holds Keras against `floating` and every engine against TFLM.
"""

import hashlib
import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import zenmoon_edge.models
from zenmoon_edge.core.tinylstm import TinyLSTM
from zenmoon_models.errors import ModelsError
from zenmoon_models.tinylstm import MODELS, conversion, floating, network, wearable
from zenmoon_models.tinylstm import __main__ as command
from zenmoon_models.tinylstm import card as cards
from zenmoon_models.tinylstm.floating import Head, Network

SHIPPED = Path(zenmoon_edge.models.__file__).parent
HEADS = (Head("strain", 1, "sigmoid", "input"), Head("stage", 3, "softmax"), Head("next", 2))


@pytest.fixture
def small() -> Network:
    return floating.initial(4, 6, HEADS, seed=3)


def cell_by_hand(one: Network, inputs: np.ndarray) -> np.ndarray:
    """The LSTM a unit at a time, as it stands in the literature."""
    kernel, recurrent, bias = (one.weights[f"lstm/{name}"].astype(float) for name in ("kernel", "recurrent", "bias"))
    units, hidden, cell, rows = one.units, [0.0] * one.units, [0.0] * one.units, []
    for x in inputs.astype(float):
        sums = [x @ kernel[:, k] + np.dot(hidden, recurrent[:, k]) + bias[k] for k in range(4 * units)]
        sigmoid = [1 / (1 + np.exp(-value)) for value in sums]
        for j in range(units):
            cell[j] = sigmoid[units + j] * cell[j] + sigmoid[j] * np.tanh(sums[2 * units + j])
        hidden = [sigmoid[3 * units + j] * np.tanh(cell[j]) for j in range(units)]
        rows.append(hidden)
    return np.array(rows)


def test_the_float_reference_is_the_cell_of_the_literature(small: Network) -> None:
    inputs = np.random.default_rng(1).normal(0, 1, (12, 4))
    hidden = cell_by_hand(small, inputs)
    np.testing.assert_allclose(floating.states(small, inputs), hidden, atol=1e-12)
    outputs = floating.forward(small, inputs)
    weights = {name: value.astype(float) for name, value in small.weights.items()}
    np.testing.assert_allclose(outputs["next"], hidden @ weights["next/kernel"], atol=1e-12)
    np.testing.assert_allclose(outputs["strain"], 1 / (1 + np.exp(-inputs @ weights["strain/kernel"])), atol=1e-12)
    e = np.exp(hidden @ weights["stage/kernel"])
    np.testing.assert_allclose(outputs["stage"], e / e.sum(1, keepdims=True), atol=1e-12)


def test_sequences_side_by_side_are_computed_as_each_alone(small: Network) -> None:
    inputs = np.random.default_rng(1).normal(0, 1, (3, 9, 4))
    together = floating.forward(small, inputs)
    for i in range(3):
        alone = floating.forward(small, inputs[i])
        for name, value in together.items():
            np.testing.assert_allclose(value[i], alone[name], atol=1e-12)


def test_a_network_comes_back_from_its_file_and_the_file_is_the_same_each_time(small: Network, tmp_path: Path) -> None:
    for name in ("a", "b"):
        floating.save(small, tmp_path / name / "net.npz")
    assert (tmp_path / "a/net.npz").read_bytes() == (tmp_path / "b/net.npz").read_bytes()
    back = floating.load(tmp_path / "a/net.npz")
    assert (back.features, back.heads, back.units) == (4, HEADS, 6)
    for name, value in small.weights.items():
        np.testing.assert_array_equal(back.weights[name], value)


def test_cutting_a_unit_is_silencing_it(small: Network) -> None:
    inputs = np.random.default_rng(1).normal(0, 1, (20, 4))
    silent = dict(small.weights)
    for name in ("lstm/recurrent", "stage/kernel", "next/kernel"):
        silent[name] = silent[name].copy()
        silent[name][[1, 4]] = 0
    expected = floating.forward(small._replace(weights=silent), inputs)
    cut = floating.without(small, [1, 4])
    assert cut.units == 4
    for name, value in floating.forward(cut, inputs).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-12)


def test_a_unit_that_nothing_reads_is_the_least_salient(small: Network) -> None:
    weights = {name: value.copy() for name, value in small.weights.items()}
    for name in ("lstm/recurrent", "stage/kernel", "next/kernel"):
        weights[name][2] *= 0.01
    inputs = np.random.default_rng(1).normal(0, 1, (5, 20, 4))
    assert np.argmin(floating.saliency(small._replace(weights=weights), inputs)) == 2


def test_a_network_without_an_lstm_has_no_units() -> None:
    one = floating.initial(4, 0, (HEADS[0],), seed=1)
    assert one.units == 0
    assert floating.forward(one, np.ones((2, 4)))["strain"].shape == (2, 1)


def test_outputs_are_found_by_what_they_compute() -> None:
    model, one = (SHIPPED / "wearable.tflite").read_bytes(), floating.load(floating.FOLDER / "wearable.npz")
    inputs = np.random.default_rng(2).normal(0, 1, (60, one.features)).astype(np.float32)
    found = conversion.outputs(model, one, inputs)
    sizes = [output.size for output in TinyLSTM(model).outputs]
    assert sorted(found.values()) == list(range(len(one.heads)))
    assert [sizes[found[head.name]] for head in one.heads] == [head.size for head in one.heads]
    assert conversion.outputs(model, one._replace(heads=one.heads[::-1]), inputs) == found


def test_heads_that_compute_the_same_cannot_be_told_apart() -> None:
    model, one = (SHIPPED / "wearable.tflite").read_bytes(), floating.load(floating.FOLDER / "wearable.npz")
    weights = {**one.weights, "twin/kernel": one.weights["expectation/kernel"], "twin/bias": one.weights["expectation/bias"]}
    twins = Network(one.features, (*one.heads, Head("twin", 2)), weights)
    with pytest.raises(ModelsError, match="told apart"):
        conversion.outputs(model, twins, np.random.default_rng(2).normal(0, 1, (60, 8)).astype(np.float32))


def test_what_is_attached_is_read_by_the_runner_and_replaces_what_was_there() -> None:
    model = (SHIPPED / "wearable.tflite").read_bytes()
    once = conversion.attach(model, "note", b"first")
    twice = conversion.attach(once, "note", b"second")
    assert TinyLSTM(twice).metadata("note") == b"second"
    assert TinyLSTM(twice).metadata("zenmoon") == TinyLSTM(model).metadata("zenmoon")
    inputs = np.random.default_rng(2).integers(-128, 128, (20, 8)).tolist()
    runners = TinyLSTM(model), TinyLSTM(twice)
    assert [runners[0].step(row) for row in inputs] == [runners[1].step(row) for row in inputs]


def test_without_tensorflow_the_command_to_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name=name)

    monkeypatch.setattr(network, "import_module", absent)
    for name in ("TF_USE_LEGACY_KERAS", "TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "1")  # set and taken back by the test, not by the code under test
    with pytest.raises(ModelsError, match="pip install") as caught:
        network.keras(1)
    assert caught.value.reason == "extra"


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_card_is_of_the_shipped_file_and_of_todays_sources(name: str) -> None:
    card = json.loads((SHIPPED / f"{name}.json").read_text("utf-8"))
    data = (SHIPPED / f"{name}.tflite").read_bytes()
    model = import_module(f"zenmoon_models.tinylstm.{name}")
    assert card["file"] == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "licence": cards.LICENCE}
    assert card["name"] == f"{name}-{card['file']['sha256'][:4]}"
    assert cards.code_digest(model.SOURCES) == card["code_sha256"], f"the sources of {name} have changed: run `make train`"
    assert (SHIPPED / f"{name}.md").read_text("utf-8") == model.page(card)


def test_the_digest_of_sources_depends_on_every_byte_and_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "digested"
    package.mkdir()
    for name, text in {"__init__": "", "a": "x = 1\n", "b": "x = 1\n"}.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    first = cards.code_digest(["digested.a"])
    assert cards.code_digest(["digested.b"]) != first
    (package / "a.py").write_text("x = 2\n")
    assert cards.code_digest(["digested.a"]) != first


def test_a_page_has_the_limits_before_the_figures_and_its_tables() -> None:
    facts = cards.card(
        "toy",
        b"model",
        purpose="a toy",
        limits=["Not a diagnosis."],
        data={"name": "Made up", "licence": "none", "citation": "nobody", "population": "nobody", "sha256": "00"},
        training=["A"],
        held_out=[],
        settings={"seed": 1},
        sources=["zenmoon_models.errors"],
        figures={},
    )
    text = cards.page(
        facts, [cards.Section("Scores", "Two of them.", ("who", "auroc"), [("all", 0.75), ("one", None)])], command="toy"
    )
    assert text.index("Not a diagnosis.") < text.index("## Scores")
    assert "| all | 0.750 |\n| one | – |\n" in text
    assert text.startswith(f"# toy-{hashlib.sha256(b'model').hexdigest()[:4]}\n\nA toy.")


def test_a_model_that_there_is_not_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["train", "train", "wearable", "wareable", "--shared", "."])
    with pytest.raises(SystemExit) as caught:
        command.main()
    assert caught.value.code == 2
    assert "no model wareable: choose of wearable, sleep, engagement, alerts" in capsys.readouterr().err


def test_training_that_cannot_begin_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*_: object, seed: int) -> Path:
        raise ModelsError("data", f"no data for seed {seed}: name the folder")

    monkeypatch.setattr(wearable, "train", refuse)
    monkeypatch.setattr("sys.argv", ["train", "train", "wearable", "--shared", ".", "--seed", "5"])
    assert command.main() == 2
    assert capsys.readouterr().err == "no data for seed 5: name the folder\n"
