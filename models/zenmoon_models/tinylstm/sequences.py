"""From recordings to sequences: the same features that run on the wearable, joined with the labels."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.features import INPUTS, WINDOW_S, Features
from zenmoon_edge.core.second import Second
from zenmoon_edge.virtual.recording import Recording

from zenmoon_models.datasets.stress_predict import Person


class Sequence(NamedTuple):
    """One person's session, a row per window of 4 s.

    inputs [n, 8] float32 (0 while not worn), worn [n] bool, label [n] int8 (1 task, 0 rest, −1 unknown), rate_bpm [n] measured
    heart rate (NaN = none), elapsed_s [n] seconds since the start: for the clock control only, no model ever sees it.
    """

    person: str
    inputs: NDArray[np.float32]
    worn: NDArray[np.bool_]
    label: NDArray[np.int8]
    rate_bpm: NDArray[np.float64]
    elapsed_s: NDArray[np.float32]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Worn and labelled."""
        return self.worn & (self.label >= 0)


class Session(NamedTuple):
    """Raw: labels maps a unix second to 1 (task) or 0 (rest), start is the unix second of the first one."""

    person: str
    seconds: list[Second]
    start: float
    labels: Mapping[int, int]


def session(person: Person) -> Session:
    """The raw seconds of a person."""
    recording = Recording.open(person.folder)
    return Session(person.name, list(recording.seconds()), recording.start.timestamp(), person.labels)


def read(person: Person) -> Sequence:
    """Replays a person's session through the features."""
    return sequence(session(person))


def sequence(raw: Session, seconds: Iterable[Second] | None = None) -> Sequence:
    """The session through the features, or other seconds in its place. A window counts as task or rest when all its labelled
    seconds agree."""
    features = Features()
    inputs, worn, label, rate, elapsed = [], [], [], [], []
    for second in raw.seconds if seconds is None else seconds:
        window = features.step(second)
        if window is None:
            continue
        end = int(raw.start + window.tick_ms / 1000)
        seen = {raw.labels[s] for s in range(end - WINDOW_S, end) if s in raw.labels}
        inputs.append(window.inputs or [0.0] * INPUTS)
        worn.append(window.inputs is not None)
        label.append(seen.pop() if len(seen) == 1 else -1)
        rate.append(np.nan if window.rate_bpm is None else window.rate_bpm)
        elapsed.append(window.tick_ms / 1000)
    return Sequence(
        raw.person,
        np.array(inputs, np.float32),
        np.array(worn, np.bool_),
        np.array(label, np.int8),
        np.array(rate, np.float64),
        np.array(elapsed, np.float32),
    )


def windows(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which windows hold a flagged second."""
    whole = len(flags) // WINDOW_S
    return np.asarray(flags[: whole * WINDOW_S].reshape(whole, WINDOW_S).any(axis=1))


def split(people: list[Person], held_out: int, seed: int) -> tuple[list[Person], list[Person]]:
    """(training, held out): people, never windows, are drawn, so no window of a held-out person is ever trained on."""
    order = np.random.default_rng(seed).permutation(len(people))
    chosen = {people[i].name for i in order[:held_out]}
    return [p for p in people if p.name not in chosen], [p for p in people if p.name in chosen]
