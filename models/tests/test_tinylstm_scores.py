"""Scores against values worked out by hand or by counting, and the interval's unit: people."""

import math

import numpy as np
import pytest
from zenmoon_models.tinylstm import scores

LABEL = np.array([True, True, True, False, False, False, False, False])
SCORE = np.array([0.9, 0.8, 0.3, 0.7, 0.3, 0.2, 0.1, 0.0])


def test_auroc_agrees_with_counting_pairs() -> None:
    random = np.random.default_rng(0)
    label = random.random(200) < 0.3
    score = np.round(random.normal(0, 1, 200) + label, 1)  # rounded: ties
    pairs = [(a > b) + 0.5 * (a == b) for a in score[label] for b in score[~label]]
    assert scores.auroc(label, score) == pytest.approx(np.mean(pairs))
    assert scores.auroc(LABEL, SCORE) == pytest.approx((5 + 5 + 3.5) / 15)
    assert math.isnan(scores.auroc(np.ones(3, np.bool_), SCORE[:3]))


def test_shares_at_a_threshold_are_those_counted_by_hand() -> None:
    decided = SCORE >= 0.5  # finds 2 of 3, one of 5 wrongly
    assert scores.sensitivity(LABEL, decided) == pytest.approx(2 / 3)
    assert scores.specificity(LABEL, decided) == pytest.approx(4 / 5)
    assert scores.balanced_accuracy(LABEL, decided) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert scores.f1(LABEL, decided) == pytest.approx(2 / 3)  # precision 2/3, sensitivity 2/3
    assert math.isnan(scores.sensitivity(~LABEL[:3], decided[:3]))


def test_kappa_is_agreement_beyond_chance() -> None:
    # Both say yes 20 times, no 15 times, and differ 5 and 10 times: agreement .70, chance .5 x .6 + .5 x .4 = .50
    first = np.repeat([1, 1, 0, 0], [20, 5, 10, 15])
    second = np.repeat([1, 0, 1, 0], [20, 5, 10, 15])
    assert scores.cohen_kappa(first, second) == pytest.approx((0.70 - 0.50) / (1 - 0.50))
    assert scores.cohen_kappa(first, first) == pytest.approx(1)
    assert scores.cohen_kappa(first, np.zeros_like(first)) == pytest.approx(0)
    stages = np.array([0, 1, 2, 2, 1, 0])
    assert scores.cohen_kappa(stages, np.array([0, 1, 2, 1, 1, 0])) == pytest.approx((5 / 6 - 1 / 3) / (1 - 1 / 3))


@pytest.mark.parametrize(("wanted", "threshold"), [(1 / 3, 0.9), (0.5, 0.8), (2 / 3, 0.8), (0.9, 0.3), (1.0, 0.3)])
def test_the_highest_threshold_that_is_sensitive_enough_is_found(wanted: float, threshold: float) -> None:
    assert scores.threshold_at_sensitivity(LABEL, SCORE, wanted) == threshold
    assert scores.sensitivity(LABEL, threshold <= SCORE) >= wanted - 1e-9


def test_the_best_threshold_is_the_best_of_all_that_can_be_tried() -> None:
    random = np.random.default_rng(3)
    label = random.random(300) < 0.3
    score = np.round(random.normal(0, 1, 300) + label, 1)
    tried = {t: scores.balanced_accuracy(label, score >= t) for t in np.unique(score).tolist()}
    assert tried[scores.best_threshold(label, score)] == pytest.approx(max(tried.values()))


def test_at_the_equal_threshold_both_errors_are_as_large() -> None:
    random = np.random.default_rng(4)
    label = random.random(4000) < 0.3
    score = random.normal(0, 1, 4000) + 1.2 * label
    found = scores.equal_threshold(label, score)
    assert found == pytest.approx(0.6, abs=0.05)  # halfway between two normal distributions of equal width
    assert scores.sensitivity(label, score >= found) == pytest.approx(scores.specificity(label, score >= found), abs=0.002)
    assert scores.equal_threshold(LABEL, SCORE) == 0.7  # sensitive 2/3 and specific 4/5; at 0.3 it is 1 and 3/5


def test_flips_count_the_rows_decided_otherwise() -> None:
    assert scores.flips(SCORE, SCORE + 0.25, 0.5) == pytest.approx(2 / 8)
    assert scores.flips(SCORE, SCORE, 0.5) == 0


def test_calibration_is_the_mean_distance_of_share_and_probability() -> None:
    label = np.array([True, False, False, False, True, True, True, False])
    probability = np.array([0.25, 0.25, 0.25, 0.25, 0.95, 0.95, 0.95, 1.0])
    error, bins = scores.calibration(label, probability)
    assert [(b.n, b.share) for b in bins] == [(4, 0.25), (4, 0.75)]
    assert bins[1].probability == pytest.approx(0.9625)
    assert error == pytest.approx(0.5 * 0 + 0.5 * 0.2125)


def test_the_interval_draws_people_not_rows() -> None:
    # Two people of a hundred equal rows: whoever is drawn twice decides the mean, so it lies on one of three values.
    people = [np.zeros(100), np.ones(100)]
    assert scores.interval(people, lambda drawn: float(np.concatenate(drawn).mean()), seed=1) == [0.0, 1.0]
    many = [np.array([float(i % 2)]) for i in range(400)]
    low, high = scores.interval(many, lambda drawn: float(np.concatenate(drawn).mean()), seed=1)
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.006)
    assert scores.interval(many, lambda drawn: float(drawn[0][0]), seed=1) == scores.interval(
        many, lambda drawn: float(drawn[0][0]), seed=1
    )
