"""From nights to sequences of the sleep model's inputs, by the code that runs on the phone, and to chunks to train on."""

from collections.abc import Sequence as Some
from math import isnan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.sleep import ABSENT_EPOCHS, INPUTS, STAGES, SleepFeatures

from zenmoon_models.datasets.walch import Night
from zenmoon_models.tinylstm.network import Chunks

CHUNK = 160  # epochs, 80 minutes
STRIDE = 40
WARM_UP = 10  # epochs that a state begun in the middle of a night needs; they are not learnt from
HEART_RATE_INPUTS = slice(6, INPUTS)
_OF_STAGE = np.array([0, 1, 1, 2, 2, 3], np.int8)  # awake, N1, N2, N3, N4, REM → awake, light, deep, REM
_AWAKE_WEIGHT = 4.0  # against one for asleep: an epoch in twelve is awake
_STAGE_WEIGHTS = np.array([2.5, 0.6, 1.5, 1.2], np.float32)  # about one over the root of their shares


class Sequence(NamedTuple):
    """One person's night, a row per 30 s.

    inputs [n, INPUTS] float32 (0 in a gap); present [n] bool: there are counts; stage [n] int8: 0 awake, 1 light, 2 deep, 3 REM,
    −1 unknown.
    """

    person: str
    inputs: NDArray[np.float32]
    present: NDArray[np.bool_]
    stage: NDArray[np.int8]

    @property
    def known(self) -> NDArray[np.bool_]:
        """The rows that can be learnt from and scored."""
        return self.present & (self.stage >= 0)


def read(night: Night, *, heart_rate: bool = True) -> Sequence:
    """Runs a night through the features, on request as if heart rate were not there."""
    features = SleepFeatures()
    rows = [
        features.step(value_or_none(counts), value_or_none(rate) if heart_rate else None)
        for counts, rate in zip(night.counts.tolist(), night.heart_rate.tolist(), strict=True)
    ]
    return Sequence(
        night.person,
        np.array([[0.0] * INPUTS if row is None else row for row in rows], np.float32),
        np.array([row is not None for row in rows], np.bool_),
        np.where(night.stage < 0, -1, _OF_STAGE[night.stage]).astype(np.int8),
    )


def stretches(sequence: Sequence) -> list[NDArray[np.intp]]:
    """The rows with counts between one new start of the phone's model and the next; it passes over shorter gaps."""
    rows = np.flatnonzero(sequence.present)
    return np.split(rows, np.flatnonzero(np.diff(rows) > ABSENT_EPOCHS) + 1) if len(rows) else []


def chunks(sequences: Some[Sequence]) -> Chunks:
    """Overlapping pieces of nights; no piece knows where in its night it lies."""
    inputs, stages = [], []
    for sequence in sequences:
        for rows in stretches(sequence):
            for first in range(0, max(1, len(rows) - CHUNK + STRIDE), STRIDE):
                part = rows[first : first + CHUNK]
                stage, piece = np.full(CHUNK, -1, np.int8), np.zeros((CHUNK, INPUTS), np.float32)
                stage[: len(part)], piece[: len(part)] = sequence.stage[part], sequence.inputs[part]
                stage[:WARM_UP] = -1
                if (stage >= 0).any():
                    inputs.append(piece)
                    stages.append(stage)
    stage = np.stack(stages)
    learnt = stage >= 0
    asleep = (stage > 0).astype(np.float32)
    one_hot = np.eye(len(STAGES), dtype=np.float32)[np.maximum(stage, 0)]
    return Chunks(
        np.stack(inputs),
        {"asleep": asleep[..., None], "stage": one_hot},
        {
            "asleep": np.where(learnt, np.where(stage > 0, 1.0, _AWAKE_WEIGHT), 0.0).astype(np.float32),
            "stage": np.where(learnt, _STAGE_WEIGHTS[np.maximum(stage, 0)], 0.0).astype(np.float32),
        },
    )


def split(people: Some[str], held_out: int, seed: int) -> set[str]:
    """Who is held out: people, never epochs, are drawn."""
    names = sorted(people, key=lambda name: (len(name), name))  # numbers in their order
    return {names[i] for i in np.random.default_rng(seed).permutation(len(names))[:held_out]}


def value_or_none(number: float) -> float | None:
    """NaN as None, as the phone says it."""
    return None if isnan(number) else number
