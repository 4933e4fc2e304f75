"""Scores with their uncertainty: numpy alone, every one checked against values worked out by hand.

Labels are bool [n] (True = the state looked for), scores float [n] (higher = more of it). A score that a set of rows cannot
give, as an AUROC of one class, is NaN. Sources: Fawcett 2006, Pattern Recognition Letters 27:861 (ROC, ties count half);
Cohen 1960, Educational and Psychological Measurement 20:37 (kappa); Guo et al. 2017, ICML (expected calibration error).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Scores = NDArray[np.float64]
Person = TypeVar("Person")

RESAMPLES = 2000


class Bin(NamedTuple):
    """Rows whose probability lies in [low, high): their number, their mean probability, the share that is positive."""

    low: float
    high: float
    n: int
    probability: float
    share: float


def auroc(label: Flags, score: Scores) -> float:
    """Area under the ROC curve from mean ranks: a tie counts half."""
    positive = int(label.sum())
    negative = len(label) - positive
    if not positive or not negative:
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[label].sum() - positive * (positive + 1) / 2) / (positive * negative))


def sensitivity(label: Flags, decided: Flags) -> float:
    """Share of the positives that were decided positive."""
    return _share(decided[label])


def specificity(label: Flags, decided: Flags) -> float:
    """Share of the negatives that were decided negative."""
    return _share(~decided[~label])


def balanced_accuracy(label: Flags, decided: Flags) -> float:
    """Mean of sensitivity and specificity."""
    return (sensitivity(label, decided) + specificity(label, decided)) / 2


def f1(label: Flags, decided: Flags) -> float:
    """Harmonic mean of precision and sensitivity."""
    total = int(decided.sum()) + int(label.sum())
    return 2 * float((decided & label).sum()) / total if total else float("nan")


def cohen_kappa(truth: NDArray[Any], decided: NDArray[Any]) -> float:
    """Agreement beyond chance of two columns of classes [n], of any number of classes."""
    classes = np.union1d(truth, decided)
    table = np.array([[np.sum((truth == a) & (decided == b)) for b in classes] for a in classes], np.float64)
    total = float(table.sum())
    chance = float(table.sum(0) @ table.sum(1)) / total**2 if total else 1.0
    return (float(np.trace(table)) / total - chance) / (1 - chance) if chance < 1 else float("nan")


def threshold_at_sensitivity(label: Flags, score: Scores, wanted: float) -> float:
    """The highest threshold t for which `score >= t` finds at least the share `wanted` of the positives.

    Raises:
        ValueError: there are no positives.
    """
    found = np.sort(score[label])[::-1]
    if not len(found):
        raise ValueError("no positives: no threshold has a sensitivity")
    return float(found[max(0, int(np.ceil(wanted * len(found) - 1e-9)) - 1)])


def best_threshold(label: Flags, score: Scores) -> float:
    """The threshold t for which `score >= t` has the highest balanced accuracy (Youden 1950); the lowest of equals."""
    values, inverse = np.unique(score, return_inverse=True)
    positives = np.bincount(inverse, weights=label, minlength=len(values))
    negatives = np.bincount(inverse, weights=~label, minlength=len(values))
    above = np.cumsum(positives[::-1])[::-1] / max(1.0, positives.sum())
    below = 1 - np.cumsum(negatives[::-1])[::-1] / max(1.0, negatives.sum())
    return float(values[np.argmax(above + below)])


def equal_threshold(label: Flags, score: Scores) -> float:
    """The lowest threshold t for which `score >= t` is at least as specific as it is sensitive (the equal error rate).

    It moves less from sample to sample than the threshold of the highest balanced accuracy, whose top is flat.
    """
    values = np.unique(score)
    low, high = 0, len(values) - 1
    while low < high:  # a higher threshold is never more sensitive nor less specific
        middle = (low + high) // 2
        decided = score >= values[middle]
        if sensitivity(label, decided) > specificity(label, decided):
            low = middle + 1
        else:
            high = middle
    return float(values[low])


def flips(score: Scores, other: Scores, threshold: float) -> float:
    """Share of the rows that two scores decide otherwise at `threshold`."""
    return _share((score >= threshold) != (other >= threshold))


def calibration(label: Flags, probability: Scores, bins: int = 10) -> tuple[float, list[Bin]]:
    """(expected calibration error, the bins that hold rows): mean |share − probability| over bins of equal width."""
    which = np.clip((probability * bins).astype(np.intp), 0, bins - 1)
    found = [
        Bin(i / bins, (i + 1) / bins, int((which == i).sum()), float(probability[which == i].mean()), _share(label[which == i]))
        for i in np.unique(which).tolist()
    ]
    total = max(1, len(label))
    return sum(one.n * abs(one.share - one.probability) for one in found) / total, found


def interval(
    people: Sequence[Person], statistic: Callable[[list[Person]], float], *, seed: int, resamples: int = RESAMPLES
) -> list[float]:
    """95 % interval of a statistic by drawing people, never rows, again with replacement (Efron 1979)."""
    random = np.random.default_rng(seed)
    values = [statistic([people[i] for i in random.integers(0, len(people), len(people))]) for _ in range(resamples)]
    return [float(value) for value in np.nanquantile(values, (0.025, 0.975))]


def _share(flags: Flags) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
