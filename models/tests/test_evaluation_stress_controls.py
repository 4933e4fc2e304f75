"""The controls catch what they are there for: a clock among the inputs, and windows that were split instead of people."""

import numpy as np
import pytest
from zenmoon_models.evaluation import controls
from zenmoon_models.evaluation.controls import Session
from zenmoon_models.tinylstm.scores import auroc

WINDOWS = 200


def people(*, seed: int = 0, count: int = 12) -> list[Session]:
    """Under strain in the last third, with inputs that wander about, knowing nothing of it."""
    random = np.random.default_rng(seed)
    elapsed = 4.0 * np.arange(1, WINDOWS + 1)
    label = (np.arange(WINDOWS) >= WINDOWS * 2 // 3).astype(np.int8)
    wander = [np.cumsum(random.normal(0, 0.3, (WINDOWS, 8)), axis=0) for _ in range(count)]
    inputs = [one - one.mean(0) for one in wander]
    return [Session(f"P{i}", inputs[i], elapsed, label, np.ones(WINDOWS, np.bool_)) for i in range(count)]


def pooled(sessions: list[Session], columns: list[np.ndarray] | None) -> float:
    assert columns is not None
    return auroc(np.concatenate([s.label for s in sessions]) == 1, np.concatenate(columns))


def test_the_clock_solves_a_protocol_that_is_the_same_for_everybody() -> None:
    sessions = people()
    assert pooled(sessions, controls.clock_only(sessions)) > 0.97
    moved = [s._replace(label=np.roll(s.label, i * WINDOWS // 12)) for i, s in enumerate(sessions)]
    assert pooled(moved, controls.clock_only(moved)) < 0.6


def test_an_input_that_grows_with_time_is_caught_by_the_clock_beside_it() -> None:
    sessions = people()
    honest = pooled(sessions, controls.logistic_regression(sessions, gain=1.0))
    leaking = [s._replace(inputs=np.column_stack([s.inputs, s.elapsed_s / 800])) for s in sessions]
    caught = pooled(leaking, controls.logistic_regression(leaking, gain=1.0))
    assert honest < 0.75
    assert caught > 0.9
    assert caught == pytest.approx(pooled(sessions, controls.clock_only(sessions)), abs=0.06)


def test_splitting_windows_finds_strain_where_there_is_none() -> None:
    sessions = people(seed=1)
    assert pooled(sessions, controls.leaky_split(sessions, seed=0)) > 0.9
    assert pooled(sessions, controls.logistic_regression(sessions, gain=1.0)) < 0.75


def test_nobody_is_scored_by_what_was_learnt_from_the_same_person() -> None:
    sessions = people()
    turned = [sessions[0]._replace(label=1 - sessions[0].label), *sessions[1:]]
    for control in (controls.clock_only, lambda s: controls.logistic_regression(s, gain=0.1)):
        before, after = control(sessions), control(turned)
        assert before is not None
        assert after is not None
        np.testing.assert_array_equal(before[0], after[0])
        assert not np.array_equal(before[1], after[1])


def test_two_sessions_of_a_person_are_left_out_together() -> None:
    sessions = [s._replace(person="same") for s in people()]
    assert controls.clock_only(sessions) is None
    assert controls.logistic_regression(sessions, gain=0.1) is None


def test_unworn_and_unlabelled_rows_teach_nothing() -> None:
    sessions = people()
    hidden = [s._replace(worn=np.arange(WINDOWS) >= 20) for s in sessions]
    other = [s._replace(inputs=np.where(s.worn[:, None], s.inputs, 99.0), label=np.where(s.worn, s.label, -1)) for s in hidden]
    for control in (controls.clock_only, lambda s: controls.logistic_regression(s, 0.1), lambda s: controls.leaky_split(s, seed=1)):
        for before, after in zip(control(hidden) or [], control(other) or [], strict=True):
            np.testing.assert_allclose(before[20:], after[20:])


def test_logistic_regression_finds_the_weights_that_made_the_labels() -> None:
    random = np.random.default_rng(5)
    inputs = random.normal(0, 1, (6, 2000, 2))
    truth = np.array([1.5, -0.5])
    label = random.random((6, 2000)) < 1 / (1 + np.exp(-(inputs @ truth - 0.3)))
    ones = np.ones(2000, np.bool_)
    sessions = [Session(f"P{i}", inputs[i], np.zeros(2000), label[i].astype(np.int8), ones) for i in range(6)]
    found = controls.logistic_regression(sessions, gain=1.0)
    assert found is not None
    np.testing.assert_allclose(found[0], 1 / (1 + np.exp(-(inputs[0] @ truth - 0.3))), atol=0.03)


def test_smoothing_is_causal_and_keeps_a_constant() -> None:
    assert controls.smooth(np.full(5, 0.3), 0.1).tolist() == pytest.approx([0.3] * 5)
    step = controls.smooth(np.array([0.0] * 5 + [1.0] * 5), 0.5)
    assert step.tolist() == [0.0] * 5 + [0.5, 0.75, 0.875, 0.9375, 0.96875]
