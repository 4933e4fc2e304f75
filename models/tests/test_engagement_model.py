"""The engagement model's data, its figures, and the shipped file on children that training never saw."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import zenmoon_edge.models
from zenmoon_edge.core.tinylstm import TinyLSTM
from zenmoon_models.tinylstm import engagement
from zenmoon_models.tinylstm import simulated_children as simulated

MODEL = Path(zenmoon_edge.models.__file__).with_name("engagement.tflite")


@pytest.fixture(scope="module")
def sequences() -> list[engagement.Sequence]:
    """Three days each of four children that were held out."""
    return [engagement.read(child) for child in simulated.children(simulated.HELD_OUT, 4, 3)]


def test_children_are_the_same_each_time_and_others_by_their_seeds() -> None:
    once, again = simulated.children(simulated.HELD_OUT, 1, 2), simulated.children(simulated.HELD_OUT, 1, 2)
    assert simulated.digest(once) == simulated.digest(again)
    assert simulated.digest(once) != simulated.digest(simulated.children(simulated.TRAINING, 1, 2))
    groups = [{*group.seeds} for group in (simulated.TRAINING, simulated.HELD_OUT, simulated.SHIFTED)]
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_a_minute_on_the_charger_has_no_value() -> None:
    child = simulated.children(simulated.HELD_OUT, 1, 3)[0]
    off = child.coverage == 0
    assert off.any()
    assert np.isnan(child.values["heart_rate_bpm"][off]).all()


def test_what_is_trained_on_is_what_the_shipped_runner_computes(sequences: list[engagement.Sequence]) -> None:
    sequence = sequences[0]
    runner = TinyLSTM(MODEL.read_bytes())
    direct = []
    for inputs, starts in zip(sequence.inputs.tolist(), sequence.starts.tolist(), strict=True):
        if starts:
            runner.reset()
        direct.append(runner.dequantise(runner.step(runner.quantise(inputs)))[0][0])
    said, _ = engagement.scored(MODEL.read_bytes(), sequence)
    spoke = ~np.isnan(said)
    assert spoke.mean() > 0.9
    assert np.mean(np.abs(np.array(direct)[spoke] - said[spoke]) > 0.02) < 0.001


def test_only_waking_minutes_on_the_wrist_are_scored(sequences: list[engagement.Sequence]) -> None:
    for sequence in sequences:
        _, counts = engagement.scored(MODEL.read_bytes(), sequence)
        at = sequence.at[counts]
        assert sequence.child.awake[at].all()
        assert (sequence.child.coverage[at] >= 0.5).all()


def test_chunks_never_cross_a_reset_and_begin_silently(sequences: list[engagement.Sequence]) -> None:
    chunks = engagement.chunks(sequences)
    assert chunks.inputs.shape[1:] == (engagement.STEPS, 7)
    assert not chunks.weights["engagement"][:, : engagement.WARM_UP].any()
    broken = [sequence._replace(starts=np.arange(len(sequence.starts)) % 60 == 0) for sequence in sequences]
    with pytest.raises(ValueError, match="at least one array"):
        engagement.chunks(broken)


def test_scored_again_the_shipped_model_follows_the_truth_closer_than_motion(sequences: list[engagement.Sequence]) -> None:
    truth, said, motion = [], [], []
    for sequence in sequences:
        values, counts = engagement.scored(MODEL.read_bytes(), sequence)
        truth.append(sequence.child.engagement[sequence.at][counts])
        said.append(values[counts])
        motion.append(sequence.inputs[counts, 4])
    whole = np.concatenate(truth)
    assert np.corrcoef(whole, np.concatenate(said))[0, 1] > np.corrcoef(whole, np.concatenate(motion))[0, 1] + 0.2


def test_the_shipped_card_is_of_the_shipped_file_and_says_what_it_is() -> None:
    card = json.loads(MODEL.with_suffix(".json").read_text("utf-8"))
    model = MODEL.read_bytes()
    assert card["file"]["sha256"] == hashlib.sha256(model).hexdigest()
    assert len(model) <= 10_000
    assert "not validated on people" in card["limits"][0]
    assert MODEL.with_suffix(".md").read_text("utf-8") == engagement.page(card)
    assert not {*card["training"]} & {*card["held_out"]}


def test_the_shipped_model_beats_the_clock_by_a_margin_and_every_other_control() -> None:
    figures = json.loads(MODEL.with_suffix(".json").read_text("utf-8"))["held_out_figures"]
    for group in (figures["held_out"], figures["shifted"]):
        for control in ("clock_only", "linear_regression", "motion_only"):
            assert group["int8"]["correlation"] > group[control]["correlation"] + 0.03, control
            assert group["int8"]["auroc"] > group[control]["auroc"] + 0.01, control
            assert group["int8"]["mae"] < group[control]["mae"], control
        assert abs(group["int8"]["auroc"] - group["float"]["auroc"]) <= 0.005
