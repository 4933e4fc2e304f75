"""The anomaly score put to its test: sensor faults of known time in recordings of people held out.

A score is a number a step, higher = more unusual. What is compared: the steps of a fault with the same steps of the same
recording without it, so that nothing but the fault can tell them apart.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.features import WINDOW_S
from zenmoon_edge.core.strain import Strain

from zenmoon_models.tinylstm import faults, scores
from zenmoon_models.tinylstm.scores import Scores
from zenmoon_models.tinylstm.sequences import Sequence, Session, sequence
from zenmoon_models.tinylstm.strain_head import smooth

AT = (0.3, 0.55, 0.8)  # where in a session the faults begin
LEVELS = (0.95, 0.99)
SETTLED = 15  # steps: what comes before is not counted

Score = Callable[[Sequence], Scores]


class Trial(NamedTuple):
    """One person's session without a fault, and with each kind of fault in each channel; `begins` are steps."""

    clean: Sequence
    faulty: dict[tuple[str, str], Sequence]
    begins: list[int]


def trial(raw: Session, seed: int) -> Trial:
    """Puts every kind of fault into a session."""
    begins = [int(len(raw.seconds) * share) // WINDOW_S for share in AT]
    seconds = [WINDOW_S * begin for begin in begins]
    faulty = {}
    for i, kind in enumerate(faults.KINDS):
        for j, channel in enumerate((faults.RATE, faults.CONDUCTANCE)):
            random = np.random.default_rng([seed, i, j])
            faulty[kind, channel] = sequence(raw, faults.damaged(raw.seconds, kind, channel, seconds, random))
    return Trial(sequence(raw), faulty, begins)


def evidence(model: bytes, person: Sequence) -> NDArray[np.float64]:
    """What the shipped runner says of each step [n, 4]: loud, drift, quiet, and the anomaly 0–1 that is made of them."""
    strain = Strain(model)
    rows = []
    for inputs, worn in zip(person.inputs.tolist(), person.worn.tolist(), strict=True):
        strain.step(inputs if worn else None)
        rows.append((*strain.surprise.evidence(), strain.surprise.anomaly()))
    return np.array(rows, np.float64)


def controls(channels: tuple[int, int], gain: float) -> dict[str, Score]:
    """What needs no network: the change since the step before, and the inputs themselves, smoothed as the model's errors are."""

    def persistence(person: Sequence) -> Scores:
        change = np.diff(person.inputs[:, list(channels)], axis=0, prepend=person.inputs[:1, list(channels)])
        return smooth(np.sqrt(np.mean(change.astype(np.float64) ** 2, axis=1)), gain)

    def deviation(person: Sequence) -> Scores:
        return np.asarray(np.sqrt(np.mean(person.inputs[:, list(channels)].astype(np.float64) ** 2, axis=1)))

    return {"persistence": persistence, "deviation": deviation}


def detection(trials: list[Trial], columns: dict[str, Score]) -> list[dict[str, Any]]:
    """AUROC of each score for each kind of fault in each channel."""
    clean = {name: [score(one.clean) for one in trials] for name, score in columns.items()}
    found = []
    for kind, channel in trials[0].faulty:
        row: dict[str, Any] = {"fault": kind, "channel": channel}
        for name, score in columns.items():
            values = [score(one.faulty[kind, channel]) for one in trials]
            faulty = np.concatenate([_during(one, value) for one, value in zip(trials, values, strict=True)])
            sound = np.concatenate([_during(one, value) for one, value in zip(trials, clean[name], strict=True)])
            label = np.repeat([True, False], [len(faulty), len(sound)])
            row[name] = scores.auroc(label, np.concatenate([faulty, sound]))
        found.append(row)
    return found


def exceeded(trials: list[Trial], anomaly: Score) -> list[dict[str, Any]]:
    """Share of each person's steps without a fault above each of LEVELS; a calibrated score has 0.05 and 0.01."""
    found = []
    for one in trials:
        values = anomaly(one.clean)[SETTLED:][one.clean.worn[SETTLED:]]
        shares = {f"above_{round(100 * level)}": float(np.mean(values >= level)) for level in LEVELS}
        found.append({"person": one.clean.person, **shares})
    return found


def _during(one: Trial, values: Scores) -> Scores:
    length = faults.FAULT_S // WINDOW_S
    # A step that begins the fault may lie before it in part; the next one does not.
    return np.concatenate([values[begin + 1 : begin + length] for begin in one.begins])
