"""Strain of the shipped file on people held out, with the controls that tell physiology from a clock.

What is scored is what ships: the int8 file, stepped once per window through `zenmoon_edge.core.strain`, smoothing and
warm-up included. All rows of all held-out people count unless the model was not ready or the label is unknown.
"""

from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.features import INPUT_NAMES
from zenmoon_edge.core.strain import Strain

from zenmoon_models.tinylstm import scores
from zenmoon_models.tinylstm.floating import Network, forward
from zenmoon_models.tinylstm.scores import Scores
from zenmoon_models.tinylstm.sequences import Sequence
from zenmoon_models.tinylstm.strain_head import logistic, pooled, scored, smooth

THRESHOLD = 0.5

Columns = list[tuple[NDArray[np.bool_], Scores]]


class Steps(NamedTuple):
    """One person through the shipped model: strain and anomaly 0–1, denoised heart rate in bpm (NaN = none yet), ready."""

    strain: Scores
    anomaly: Scores
    rate_bpm: Scores
    ready: NDArray[np.bool_]


def stream(model: bytes, person: Sequence) -> Steps:
    """Steps the shipped runner through one session, as a wearable does."""
    strain = Strain(model)
    rows = []
    for inputs, worn, rate in zip(person.inputs.tolist(), person.worn.tolist(), person.rate_bpm.tolist(), strict=True):
        value, anomaly, ready = strain.step(inputs if worn else None, None if np.isnan(rate) else rate)
        known = strain.heart_rate_bpm()
        rows.append((value / 255, anomaly / 255, np.nan if known is None else known, ready))
    columns = np.array(rows, np.float64).T
    return Steps(columns[0], columns[1], columns[2], columns[3].astype(np.bool_))


def strain_figures(
    model: bytes, network: Network, training: list[Sequence], held_out: list[Sequence], *, gain: float, seed: int
) -> dict[str, Any]:
    """AUROC with its interval over people, decisions at 0.5, int8 beside float, controls, and each person's own."""
    int8, plain = [], []
    for person in held_out:
        steps = stream(model, person)
        kept = steps.ready & (person.label >= 0)
        label = person.label[kept] == 1
        int8.append((label, steps.strain[kept]))
        plain.append((label, _float(network, person, gain)[kept]))
    label, score = (np.concatenate(column) for column in zip(*int8, strict=True))
    decided = score >= THRESHOLD
    error, bins = scores.calibration(label, score)
    return {
        "rows": len(label),
        "task_share": float(label.mean()),
        "auroc_int8": pooled(int8),
        "auroc_float": pooled(plain),
        "ci95_auroc": scores.interval(int8, pooled, seed=seed),
        "auroc_mean_of_people": float(np.mean([scores.auroc(*row) for row in int8])),
        "balanced_accuracy": scores.balanced_accuracy(label, decided),
        "sensitivity": scores.sensitivity(label, decided),
        "specificity": scores.specificity(label, decided),
        "f1": scores.f1(label, decided),
        "flips": scores.flips(score, np.concatenate([row for _, row in plain]), THRESHOLD),
        "ece": error,
        "calibration": [{"from": one.low, "to": one.high, "n": one.n, "share": one.share} for one in bins],
        "per_person": [
            {"person": person.person, "n": len(row[0]), "auroc": scores.auroc(*row)}
            for person, row in zip(held_out, int8, strict=True)
        ],
        "controls": _controls(training, held_out, gain, seed),
    }


def _float(network: Network, person: Sequence, gain: float) -> Scores:
    result = np.zeros(len(person.label))
    result[person.worn] = smooth(forward(network, person.inputs[person.worn])["strain"][:, 0], gain)
    return result


def _controls(training: list[Sequence], held_out: list[Sequence], gain: float, seed: int) -> dict[str, Any]:
    """The same people scored by regressions without a network, and by elapsed time alone."""
    clock = import_module("sklearn.ensemble").HistGradientBoostingClassifier(random_state=seed)
    clock.fit(np.concatenate([s.elapsed_s[s.known, None] for s in training]), np.concatenate([s.label[s.known] for s in training]))
    by_inputs, by_one = logistic(training), logistic(training, [INPUT_NAMES.index("conductance")])

    def score(column: Any) -> dict[str, float]:
        return {"auroc": pooled([scored(person, column(person)) for person in held_out])}

    return {
        "clock_only": score(lambda person: clock.predict_proba(person.elapsed_s[:, None])[:, 1]),
        "logistic_regression": score(lambda person: smooth(1 / (1 + np.exp(-by_inputs(person))), gain)),
        "conductance_alone": score(lambda person: smooth(1 / (1 + np.exp(-by_one(person))), gain)),
    }
