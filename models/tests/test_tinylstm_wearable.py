"""The wearable's model: how its data are made, what its controls are, and what it must hold on people held out."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import zenmoon_edge.models
from zenmoon_edge.core.features import Features
from zenmoon_edge.core.record import CONTACT
from zenmoon_edge.virtual.generated import START, write_recording
from zenmoon_models.datasets.stress_predict import Person
from zenmoon_models.errors import ModelsError
from zenmoon_models.tinylstm import anomalies, denoise, evaluation, faults, floating, scores, sequences, strain_head, wearable
from zenmoon_models.tinylstm.sequences import Sequence, Session

MODEL = Path(zenmoon_edge.models.__file__).with_name("wearable.tflite")
CARD = json.loads(MODEL.with_suffix(".json").read_text("utf-8"))
FIGURES = CARD["held_out_figures"]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = write_recording(tmp_path_factory.mktemp("e4"), 900, seed=4)
    return sequences.session(Person("S99", folder, {START + s: int(300 <= s < 600) for s in range(900)}))


@pytest.fixture(scope="module")
def sequence(session: Session) -> Sequence:
    return sequences.sequence(session)


def sound(person: Sequence) -> denoise.Case:
    return denoise.Case(person.inputs, person.rate_bpm, person.rate_bpm, np.zeros(len(person.worn), np.bool_))


# What ships


def test_the_file_is_small_and_the_people_held_out_were_not_trained_on() -> None:
    assert MODEL.stat().st_size <= 8192
    assert not set(CARD["training"]) & set(CARD["held_out"])
    assert [row["person"] for row in FIGURES["per_person"]] == CARD["held_out"] == ["S05", "S11", "S14", "S17", "S18", "S22", "S23"]
    assert any("not a diagnosis" in limit for limit in CARD["limits"])


def test_strain_holds_what_was_promised_for_people_held_out() -> None:
    assert 0.72 <= FIGURES["auroc_int8"] < 0.85, "far above what physiology gives means leakage"
    assert abs(FIGURES["auroc_int8"] - FIGURES["auroc_float"]) <= 0.005
    assert FIGURES["flips"] <= 0.005
    low, high = FIGURES["ci95_auroc"]
    assert low < FIGURES["auroc_int8"] < high
    assert {"clock_only", "logistic_regression"} <= set(FIGURES["controls"])


def test_the_head_that_ships_was_the_best_one_that_a_wearable_can_run() -> None:
    found = {row["candidate"]: row["auroc"] for row in FIGURES["candidates"]}
    assert found["logistic regression"] >= found["LSTM head"]


def test_a_window_a_call_and_a_step_a_call_are_the_same_to_the_bit() -> None:
    assert FIGURES["streaming"]["different"] == 0
    assert FIGURES["streaming"]["windows"] > 50


def test_the_denoised_heart_rate_beats_every_other_filter_on_people_held_out() -> None:
    own, *others = (row for row in FIGURES["heart_rate"]["recordings"] if row["filter"] != "the same in float")
    assert own["filter"] == "shipped (int8)"
    assert own["mae"] < min(row["mae"] for row in others)
    assert own["mae_clean"] < 0.5


def test_the_anomaly_finds_faults_better_than_its_controls_and_keeps_its_level() -> None:
    mean = FIGURES["anomaly"]["mean_of_faults"]
    assert mean["anomaly"] > max(mean["persistence"], mean["deviation"]) + 0.05
    assert mean["anomaly"] > max(mean["loud"], mean["drift"], mean["quiet"])
    low, high = FIGURES["anomaly"]["ci95_exceeded"]["above_95"]
    assert low < 0.05 < high


def test_the_page_says_what_the_card_says() -> None:
    text = wearable.page(CARD)
    assert "elapsed time alone" in text
    assert f"{FIGURES['auroc_int8']:.3f}" in text
    for row in FIGURES["anomaly"]["faults"]:
        assert f"| {row['fault']} | {row['channel']} | {row['anomaly']:.3f} |" in text


def test_the_shipped_model_tells_the_generated_episode_from_rest(sequence: Sequence) -> None:
    steps = evaluation.stream(MODEL.read_bytes(), sequence)
    assert steps.ready.sum() == len(sequence.label) - 10
    assert strain_head.pooled([(sequence.label[steps.ready] == 1, steps.strain[steps.ready])]) > 0.7


def test_int8_stays_near_its_float(sequence: Sequence) -> None:
    network = floating.load(floating.FOLDER / "wearable.npz")
    plain = strain_head.smooth(floating.forward(network, sequence.inputs)["strain"][:, 0], wearable.SMOOTHING_GAIN)
    assert np.abs(evaluation.stream(MODEL.read_bytes(), sequence).strain - plain).max() < 0.02


# How it was made


def test_smoothing_is_causal_and_keeps_a_constant() -> None:
    assert strain_head.smooth(np.full(5, 0.3), 0.1).tolist() == pytest.approx([0.3] * 5)
    step = strain_head.smooth(np.array([0.0] * 5 + [1.0] * 5), 0.5)
    assert step[:5].tolist() == [0.0] * 5
    assert step[5:].tolist() == [0.5, 0.75, 0.875, 0.9375, 0.96875]


def test_chunks_never_look_ahead_or_cross_a_gap(sequence: Sequence) -> None:
    whole = wearable.chunks([sequence], [])
    assert whole.inputs.shape[1:] == (wearable.STEPS, 8)
    np.testing.assert_array_equal(whole.targets["expectation"][0, :-1], whole.inputs[0, 1:][:, list(wearable.CHANNELS)])
    assert not whole.weights["expectation"][:, : wearable.WARM_UP].any()
    worn = sequence.worn.copy()
    worn[100] = False
    assert len(wearable.chunks([sequence._replace(worn=worn)], []).inputs) < len(whole.inputs)


def test_spoilt_sessions_teach_the_gain_and_nothing_to_expect(sequence: Sequence) -> None:
    only = wearable.chunks([sequence], [sound(sequence)])
    clean = len(wearable.chunks([sequence], []).inputs)
    assert not only.weights["expectation"][clean:].any()
    assert only.weights["gain"][clean:].any()


def made_up(sequence: Sequence, difference: float) -> list[Sequence]:
    """People whose conductance is higher in a task, and wanders."""
    random = np.random.default_rng(5)
    people = []
    for name in "ABCDEFGH":
        label = (np.arange(600) // 60 % 3 == 1).astype(np.int8)
        inputs = random.normal(0, 1, (600, 8)).astype(np.float32)
        inputs[:, 2] = difference * label + np.repeat(random.normal(0, 1, 20), 30)
        people.append(sequence._replace(person=name, inputs=inputs, label=label, worn=np.ones(600, np.bool_)))
    return people


def test_strain_is_scaled_so_that_its_levels_mean_what_the_page_says(sequence: Sequence) -> None:
    people = made_up(sequence, 0.8)
    weights = strain_head.fit(people, 0.1, seed=1)
    network = floating.Network(8, (strain_head.HEAD,), weights)
    rows = [strain_head.scored(p, strain_head.smooth(floating.forward(network, p.inputs)["strain"][:, 0], 0.1)) for p in people]
    label, score = (np.concatenate(column) for column in zip(*rows, strict=True))
    assert np.mean(score[~label] >= 0.75) == pytest.approx(0.1, abs=0.02)
    assert scores.sensitivity(label, score >= 0.5) == pytest.approx(scores.specificity(label, score >= 0.5), abs=0.05)
    assert strain_head.pooled(rows) > 0.6


def test_people_that_are_told_apart_too_well_are_no_basis_for_a_scale(sequence: Sequence) -> None:
    with pytest.raises(ModelsError, match="no level"):
        strain_head.fit(made_up(sequence, 9.0), 0.9, seed=1)


def test_the_windows_rate_is_the_measured_one_where_there_is_a_pulse(session: Session, sequence: Sequence) -> None:
    windows = [window for window in map(Features().step, session.seconds) if window is not None]
    for window, rate in zip(windows, sequence.rate_bpm, strict=True):
        assert math.isnan(rate) == (window.rate_bpm is None)
        if window.rate_bpm is not None:
            assert window.quality & CONTACT
            assert abs(window.rate_bpm - window.heart_rate / 2) <= 0.25


# Filters


def test_the_filter_follows_its_gain_and_holds_what_is_missing() -> None:
    measured = np.array([np.nan, 60.0, 70.0, np.nan, 70.0])
    assert denoise.filtered(measured, np.array([1, 1, 0.5, 1, 0.0]))[1:].tolist() == [60.0, 65.0, 65.0, 65.0]
    assert np.isnan(denoise.filtered(measured, np.ones(5))[0])
    assert denoise.held(measured)[1:].tolist() == [60.0, 70.0, 70.0, 70.0]


@pytest.mark.parametrize(
    "denoised",
    [denoise.median, lambda x: denoise.exponential(x, 0.3), lambda x: denoise.kalman(x, 0.3, 5.0)],
    ids=["median", "exponential", "Kalman"],
)
def test_the_other_filters_are_causal_and_keep_a_constant(denoised) -> None:
    assert denoised(np.full(30, 71.0)) == pytest.approx(71.0)
    random = np.random.default_rng(1).normal(70, 3, 60)
    np.testing.assert_array_equal(denoised(random)[:40], denoised(np.concatenate([random[:40], np.full(20, 200.0)]))[:40])


def test_a_kalman_filter_of_one_state_settles_on_its_known_gain() -> None:
    ratio = 0.5  # the steady variance v solves v² = ratio (v + 1); gain v / (v + 1)
    variance = (ratio + math.sqrt(ratio**2 + 4 * ratio)) / 2
    step = denoise.kalman(np.concatenate([np.full(50, 60.0), [70.0]]), ratio, math.inf)
    assert (step[-1] - 60) / 10 == pytest.approx(variance / (variance + 1))


def test_errors_are_counted_where_the_sensor_was_sound_and_where_it_was_not() -> None:
    case = denoise.Case(np.zeros((4, 8), np.float32), np.array([60, 60, 90, 60.0]), np.full(4, 60.0), np.array([0, 0, 1, 0], bool))
    assert denoise.errors([case], lambda one: one.measured) == {"mae_clean": 0.0, "mae_corrupted": 30.0, "mae": 7.5}


# Faults


@pytest.mark.parametrize("channel", [faults.RATE, faults.CONDUCTANCE])
@pytest.mark.parametrize("kind", faults.KINDS)
def test_a_fault_lasts_its_time_touches_its_channel_and_leaves_the_original_alone(
    session: Session, kind: str, channel: str
) -> None:
    before = [second.pack() for second in session.seconds]
    damaged = faults.damaged(session.seconds, kind, channel, [300], np.random.default_rng(1))
    assert [second.pack() for second in session.seconds] == before
    changed = [i for i, (a, b) in enumerate(zip(session.seconds, damaged, strict=True)) if a != b]
    assert changed
    assert 300 <= changed[0] < 330
    assert 390 < changed[-1] < 300 + faults.FAULT_S
    for one, other in zip(session.seconds, damaged, strict=True):
        assert (one.heart_rate_bpm == other.heart_rate_bpm) or channel == faults.RATE
        assert (list(one.eda_us) == list(other.eda_us)) or channel == faults.CONDUCTANCE
        assert (list(one.acc) == list(other.acc)) or kind == "burst"


def test_a_spoilt_heart_rate_is_marked_where_it_differs_and_some_swings_are_innocent(session: Session) -> None:
    seconds, spoilt = faults.unpulsed(session.seconds * 4, np.random.default_rng(3))
    pairs = list(zip(session.seconds * 4, seconds, strict=True))
    differs = np.array([a.heart_rate_bpm != b.heart_rate_bpm for a, b in pairs])
    moved = np.array([list(a.acc) != list(b.acc) for a, b in pairs])
    assert not differs[~spoilt].any()
    assert differs[spoilt].mean() > 0.9
    assert 0.05 < spoilt.mean() < 0.6
    assert (moved & ~spoilt).any()
    assert (spoilt & ~moved).any()


def test_faults_are_scored_against_the_same_steps_without_them(session: Session) -> None:
    one = anomalies.trial(session, seed=1)
    blind = anomalies.detection([one], {"blind": lambda person: np.arange(len(person.worn), dtype=float)})
    assert {row["blind"] for row in blind} == {0.5}  # a clock cannot tell a fault from the same time without it
    told = anomalies.detection([one], {"told": lambda person: np.full(len(person.worn), float(person is not one.clean))})
    assert {row["told"] for row in told} == {1.0}
