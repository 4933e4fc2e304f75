"""Scores on people held out, with the controls that tell physiology from a clock.

What is scored is what ships: the int8 file, stepped once per window through `zenmoon_edge.core.strain`, smoothing and
warm-up included. All rows of all held-out people count unless the model was not ready or the label is unknown.
"""

from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.strain import Strain

from zenmoon_models.tinylstm.sequences import Sequence

_THRESHOLD = 0.5
_RESAMPLES = 2000
_DIGITS = 4

Scores = NDArray[np.float64]


class Steps(NamedTuple):
    """One person through the shipped model: strain and anomaly 0–1, surprise in standard deviations, ready."""

    strain: Scores
    anomaly: Scores
    surprise: Scores
    ready: NDArray[np.bool_]


def auroc(label: NDArray[np.bool_], score: Scores) -> float:
    """Area under the ROC curve from mean ranks (ties count half); NaN with one class only."""
    positive = int(label.sum())
    negative = len(label) - positive
    if not positive or not negative:
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[label].sum() - positive * (positive + 1) / 2) / (positive * negative))


def stream(model: bytes, sequence: Sequence) -> Steps:
    """Steps the shipped runner through one session, as a wearable does."""
    strain = Strain(model)
    rows = []
    for inputs, worn in zip(sequence.inputs.tolist(), sequence.worn, strict=True):
        value, anomaly, ready = strain.step(inputs if worn else None)
        rows.append((value / 255, anomaly / 255, strain.surprise(), ready))
    columns = np.array(rows, np.float64).T
    return Steps(columns[0], columns[1], columns[2], columns[3].astype(np.bool_))


def smooth(score: Scores, gain: float) -> Scores:
    """The smoothing of `Strain`, for what is compared with it."""
    result = np.empty_like(score)
    level = score[0] if len(score) else 0.0
    for i, value in enumerate(score):
        level += gain * (value - level)
        result[i] = level
    return result


def evaluate(
    model: bytes, trained: Any, training: list[Sequence], held_out: list[Sequence], *, gain: float, seed: int
) -> dict[str, Any]:
    """The figures of the card."""
    rows = {person.person: _score(model, trained, person, gain) for person in held_out}
    label, score, plain = (np.concatenate([row[i] for row in rows.values()]) for i in range(3))
    decided = score >= _THRESHOLD
    figures = {
        "auroc_int8": auroc(label, score),
        "auroc_float": auroc(label, plain),
        "balanced_accuracy": (float(decided[label].mean()) + float((~decided[~label]).mean())) / 2,
        "f1": 2 * float((decided & label).sum()) / float(decided.sum() + label.sum()),
        "flips": float((decided != (plain >= _THRESHOLD)).mean()),
    }
    people = [{"person": name, "n": len(row[0]), "auroc": _rounded(auroc(row[0], row[1]))} for name, row in rows.items()]
    return {
        "rows": len(label),
        "task_share": _rounded(float(label.mean())),
        **{name: _rounded(value) for name, value in figures.items()},
        "auroc_mean_of_people": _rounded(float(np.mean([person["auroc"] for person in people]))),
        "ci95_auroc": _interval(list(rows.values()), seed),
        "per_person": people,
        "controls": _controls(training, held_out, gain, seed),
    }


def _score(model: bytes, trained: Any, person: Sequence, gain: float) -> tuple[NDArray[np.bool_], Scores, Scores]:
    steps = stream(model, person)
    kept = steps.ready & (person.label >= 0)
    plain = np.zeros(len(person.label))
    strain, _ = trained.predict(person.inputs[None, person.worn], verbose=0)
    plain[person.worn] = smooth(strain[0, :, 0].astype(np.float64), gain)
    return person.label[kept] == 1, steps.strain[kept], plain[kept]


def _controls(training: list[Sequence], held_out: list[Sequence], gain: float, seed: int) -> dict[str, Any]:
    """The same rows scored by logistic regression on the same inputs, and by elapsed time alone."""
    linear = import_module("sklearn.linear_model").LogisticRegression(max_iter=1000)
    clock = import_module("sklearn.ensemble").HistGradientBoostingClassifier(random_state=seed)
    known = [(s, s.worn & (s.label >= 0)) for s in training]
    label = np.concatenate([s.label[k] for s, k in known])
    linear.fit(np.concatenate([s.inputs[k] for s, k in known]), label)
    clock.fit(np.concatenate([s.elapsed_s[k, None] for s, k in known]), label)
    truth, by_inputs, by_inputs_smooth, by_clock = [], [], [], []
    for person in held_out:
        kept = person.worn & (person.label >= 0)
        probability = linear.predict_proba(person.inputs)[:, 1]
        truth.append(person.label[kept] == 1)
        by_inputs.append(probability[kept])
        by_inputs_smooth.append(smooth(probability, gain)[kept])
        by_clock.append(clock.predict_proba(person.elapsed_s[kept, None])[:, 1])
    labels = np.concatenate(truth)
    return {
        "clock_only": {"auroc": _rounded(auroc(labels, np.concatenate(by_clock)))},
        "logistic_regression": {
            "auroc": _rounded(auroc(labels, np.concatenate(by_inputs_smooth))),
            "auroc_unsmoothed": _rounded(auroc(labels, np.concatenate(by_inputs))),
        },
    }


def _interval(rows: list[tuple[NDArray[np.bool_], Scores, Scores]], seed: int) -> list[float]:
    """95 % interval by drawing people, not windows, again."""
    random = np.random.default_rng(seed)
    values = []
    for _ in range(_RESAMPLES):
        drawn = [rows[i] for i in random.integers(0, len(rows), len(rows))]
        values.append(auroc(np.concatenate([row[0] for row in drawn]), np.concatenate([row[1] for row in drawn])))
    return [_rounded(float(value)) for value in np.nanquantile(values, (0.025, 0.975))]


def _rounded(value: float) -> float:
    return round(value, _DIGITS)
