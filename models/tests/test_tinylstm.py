"""Scoring, controls and the card. Training itself needs TensorFlow and runs with `make train`."""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import zenmoon_edge.models
from zenmoon_edge.virtual.generated import START, write_recording
from zenmoon_models.datasets.stress_predict import Person
from zenmoon_models.errors import ModelsError
from zenmoon_models.tinylstm import network
from zenmoon_models.tinylstm.card import page
from zenmoon_models.tinylstm.evaluation import auroc, smooth, stream
from zenmoon_models.tinylstm.sequences import Sequence, read

MODEL = Path(zenmoon_edge.models.__file__).with_name("wearable.tflite")


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Sequence:
    folder = write_recording(tmp_path_factory.mktemp("e4"), 900, seed=4)
    return read(Person("S99", folder, {START + s: int(300 <= s < 600) for s in range(900)}))


def test_auroc_agrees_with_counting_pairs() -> None:
    random = np.random.default_rng(0)
    label = random.random(200) < 0.3
    score = np.round(random.normal(0, 1, 200) + label, 1)  # rounded: ties
    pairs = [(a > b) + 0.5 * (a == b) for a in score[label] for b in score[~label]]
    assert auroc(label, score) == pytest.approx(np.mean(pairs))
    assert math.isnan(auroc(np.ones(3, np.bool_), score[:3]))


def test_the_shipped_model_tells_the_generated_episode_from_rest(sequence: Sequence) -> None:
    steps = stream(MODEL.read_bytes(), sequence)
    assert steps.ready.sum() == len(sequence.label) - 10
    assert auroc(sequence.label[steps.ready] == 1, steps.strain[steps.ready]) > 0.7


def test_smoothing_is_causal_and_keeps_a_constant() -> None:
    assert smooth(np.full(5, 0.3), 0.1).tolist() == pytest.approx([0.3] * 5)
    step = smooth(np.array([0.0] * 5 + [1.0] * 5), 0.5)
    assert step[:5].tolist() == [0.0] * 5
    assert step[5:].tolist() == [0.5, 0.75, 0.875, 0.9375, 0.96875]


def test_chunks_never_look_ahead_or_cross_a_gap(sequence: Sequence) -> None:
    whole = network.chunks([sequence])
    assert whole.inputs.shape[1:] == (network.STEPS, 8)
    np.testing.assert_array_equal(whole.expectation[0, :-1], whole.inputs[0, 1:][:, list(network.EXPECTED)])
    assert not whole.strain_weight[:, : network.WARM_UP].any()
    worn = sequence.worn.copy()
    worn[100] = False
    broken = network.chunks([sequence._replace(worn=worn)])
    assert len(broken.inputs) < len(whole.inputs)


def test_without_tensorflow_the_command_to_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name=name)

    monkeypatch.setattr(network, "import_module", absent)
    for name in ("TF_USE_LEGACY_KERAS", "TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "1")  # set and taken back by the test, not by the code under test
    with pytest.raises(ModelsError, match="pip install") as caught:
        network.keras(1)
    assert caught.value.reason == "extra"


def test_the_shipped_card_is_of_the_shipped_file() -> None:
    card = json.loads(MODEL.with_suffix(".json").read_text("utf-8"))
    assert card["file"]["sha256"] == hashlib.sha256(MODEL.read_bytes()).hexdigest()


def test_the_shipped_page_is_made_from_the_shipped_card() -> None:
    card = json.loads(MODEL.with_suffix(".json").read_text("utf-8"))
    assert MODEL.with_suffix(".md").read_text("utf-8") == page(card)
    assert "not a diagnosis" in page(card)
    assert "elapsed time alone" in page(card)
