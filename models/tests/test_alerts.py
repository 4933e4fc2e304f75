"""The early hint's data, its rule of alarms, its figures, and the shipped file on children that training never saw."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import zenmoon_edge.models
from zenmoon_edge.core import early
from zenmoon_models.tinylstm import alerts, simulated_hints
from zenmoon_models.tinylstm import simulated_children as simulated
from zenmoon_models.tinylstm.simulated_alarms import HORIZON, READY_MINUTES, Alarm, alarms, read, soon, within
from zenmoon_models.tinylstm.simulated_hints import Child, average_precision, hints, threshold_at

MODEL = Path(zenmoon_edge.models.__file__).with_name("alerts.tflite")
NONE = float("nan")


@pytest.fixture(scope="module")
def child() -> simulated.Minutes:
    """Four days of a child that was held out."""
    return simulated.children(simulated.HELD_OUT, 1, 4)[0]


def test_an_alarm_is_ten_minutes_at_the_limit_or_above() -> None:
    strain = np.full(60, 0.3)
    strain[20:30] = 0.75
    assert alarms(strain, 0.75) == [Alarm(20, 29)]
    strain[29] = 0.6
    assert alarms(strain, 0.75) == []


def test_an_alarm_goes_on_a_little_below_the_limit_and_over_one_missing_minute() -> None:
    strain = np.full(60, 0.3)
    strain[20:32] = [0.8, 0.8, 0.8, 0.71, 0.8, NONE, 0.8, 0.8, 0.8, 0.72, 0.8, 0.8]
    assert alarms(strain, 0.75) == [Alarm(20, 31)]
    strain[26] = NONE  # two in a row: nobody knows what was in them
    assert alarms(strain, 0.75) == []
    strain[25:27] = 0.69  # clearly below
    assert alarms(strain, 0.75) == []


def test_what_is_ahead_ends_where_the_alarm_begins() -> None:
    ahead = soon(60, [Alarm(20, 40), Alarm(5, 6)])
    assert np.flatnonzero(ahead).tolist() == sorted({*range(5), *range(5, 20)})
    assert np.flatnonzero(within(60, [Alarm(20, 22)])).tolist() == [20, 21, 22]


def test_hints_are_counted_by_hand() -> None:
    score = np.full(1440, 0.1)
    score[[100, 105, 300, 590, 595]] = 0.9  # two minutes of one false hint, another, and one before the alarm
    found = hints([Child(score, [Alarm(600, 620), Alarm(900, 920)])], 0.5)
    assert found.false_a_day == 2
    assert found.hinted == 0.5
    assert found.lead == 10


def test_a_threshold_allows_no_more_false_hints_than_asked() -> None:
    random = np.random.default_rng(1)
    children = [Child(random.random(14 * 1440), []) for _ in range(3)]
    for wanted in (0.5, 1.0, 4.0):
        chosen = threshold_at(children, wanted)
        assert wanted / 2 < hints(children, chosen).false_a_day <= wanted


def test_average_precision_by_hand() -> None:
    label = np.array([True, False, True, False])
    assert average_precision(label, np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(label, np.full(4, 0.5)) == pytest.approx(0.5)  # ties: what chance gives
    assert np.isnan(average_precision(np.zeros(4, np.bool_), np.ones(4)))


def test_minutes_count_only_where_a_page_would_speak(child: simulated.Minutes) -> None:
    course = read(child, 0.6)
    said = simulated_hints.streamed(MODEL.read_bytes(), course)
    assert not np.isnan(said[course.counts]).any()
    strain = child.values["stress_level"][course.at]
    assert (strain[course.counts] < 0.6).all()
    # What the page would say inside an alarm, below the limit for a moment, is not scored.
    spoken = np.flatnonzero(~np.isnan(said) & ~course.counts)
    assert within(len(child.coverage), course.found)[course.at[spoken]].all()


def test_what_is_trained_on_is_what_the_shipped_runner_computes(child: simulated.Minutes) -> None:
    course = read(child, 0.75)
    runner = early.TinyLSTM(MODEL.read_bytes())
    outputs = []
    for inputs, starts in zip(course.inputs.tolist(), course.starts.tolist(), strict=True):
        if starts:
            runner.reset()
        outputs.append(runner.dequantise(runner.step(runner.quantise(inputs)))[0][0])
    said = simulated_hints.streamed(MODEL.read_bytes(), course)
    spoke = ~np.isnan(said)
    direct = 1 / (1 + np.exp(-early.LOGITS * np.array(outputs)))
    # Training keeps inputs in single precision: one in thousands rounds to the next integer.
    assert np.mean(np.abs(direct[spoke] - said[spoke]) > 0.02) < 0.001


def test_a_page_opened_an_hour_ago_says_what_one_open_for_days_says(child: simulated.Minutes) -> None:
    course = read(child, 0.6)
    always = simulated_hints.streamed(MODEL.read_bytes(), course)
    strain, heart_rate = (simulated.optional(child.values[name]) for name in ("stress_level", "heart_rate_bpm"))
    coverage = child.coverage.tolist()
    runner = early.Early(MODEL.read_bytes())
    differences = []
    for i in np.flatnonzero(~np.isnan(always))[200::40].tolist():
        last = int(course.at[i])
        runner.reset()
        said = [runner.step(strain[m], heart_rate[m], coverage[m], 0.6) for m in range(last - 59, last + 1)][-1]
        if said is not None:
            differences.append(abs(said - always[i]))
    assert len(differences) > 60
    assert np.median(differences) <= 0.02
    assert np.quantile(differences, 0.95) <= 0.05


def test_chunks_never_cross_a_reset_and_weigh_as_all_minutes_do(child: simulated.Minutes) -> None:
    course = read(child, 0.6)
    chunks = alerts.chunks([course], 1)
    assert chunks.inputs.shape[1:] == (alerts.STEPS, early.INPUTS)
    weight = chunks.weights["soon"]
    assert not weight[:, :READY_MINUTES].any()
    assert weight.mean() == pytest.approx(1, rel=1e-5)
    broken = course._replace(starts=np.ones_like(course.starts))
    with pytest.raises(ValueError, match="at least one array"):
        alerts.chunks([broken], 1)


def test_the_shipped_card_is_of_the_shipped_file_and_says_what_it_is() -> None:
    card = json.loads(MODEL.with_suffix(".json").read_text("utf-8"))
    model = MODEL.read_bytes()
    assert card["file"]["sha256"] == hashlib.sha256(model).hexdigest()
    assert len(model) <= 10_000
    assert "not validated on people" in card["limits"][0]
    assert MODEL.with_suffix(".md").read_text("utf-8") == alerts.page(card)
    assert not {*card["training"]} & {*card["held_out"]}
    runner = early.Early(model)
    assert (runner.ready_minutes, runner.horizon_minutes) == (READY_MINUTES, HORIZON)


def test_the_shipped_model_is_worth_its_bytes_beside_every_control() -> None:
    """By what decides a hint: which minutes come first. What a control does better elsewhere, the card's page says."""
    figures = json.loads(MODEL.with_suffix(".json").read_text("utf-8"))["held_out_figures"]["held_out"]
    for group in figures.values():
        for control in ("logistic_regression", "strain_only", "trend", "clock_only"):
            assert group["int8"]["average_precision"] > group[control]["average_precision"], control
        assert abs(group["int8"]["auroc"] - group["float"]["auroc"]) <= 0.005


def test_scored_again_the_shipped_model_beats_strain_alone() -> None:
    courses = [read(child, 0.6) for child in simulated.children(simulated.HELD_OUT, 4, 7)]
    label = np.concatenate([course.ahead[course.counts] for course in courses])
    said = np.concatenate([simulated_hints.streamed(MODEL.read_bytes(), course)[course.counts] for course in courses])
    strain = np.concatenate([course.child.values["stress_level"][course.at][course.counts] for course in courses])
    assert average_precision(label, said) > average_precision(label, strain) > label.mean()
