"""From recordings to sequences: the same features that run on the wearable, joined with the labels."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.features import INPUTS, WINDOW_S, Features
from zenmoon_edge.virtual.recording import Recording

from zenmoon_models.datasets.stress_predict import Person


class Sequence(NamedTuple):
    """One person's session, a row per window of 4 s.

    inputs [n, 8] float32 (0 while not worn), worn [n] bool, label [n] int8 (1 task, 0 rest, −1 unknown),
    elapsed_s [n] seconds since the start: for the clock control only, no model ever sees it.
    """

    person: str
    inputs: NDArray[np.float32]
    worn: NDArray[np.bool_]
    label: NDArray[np.int8]
    elapsed_s: NDArray[np.float32]


def read(person: Person) -> Sequence:
    """Replays a session through the features. A window counts as task or rest when all its labelled seconds agree."""
    recording = Recording.open(person.folder)
    start = recording.start.timestamp()
    features = Features()
    inputs, worn, label, elapsed = [], [], [], []
    for second in recording.seconds():
        window = features.step(second)
        if window is None:
            continue
        end = start + window.tick_ms / 1000
        seen = {person.labels[s] for s in range(int(end) - WINDOW_S, int(end)) if s in person.labels}
        inputs.append(window.inputs or [0.0] * INPUTS)
        worn.append(window.inputs is not None)
        label.append(seen.pop() if len(seen) == 1 else -1)
        elapsed.append(window.tick_ms / 1000)
    return Sequence(
        person.name,
        np.array(inputs, np.float32),
        np.array(worn, np.bool_),
        np.array(label, np.int8),
        np.array(elapsed, np.float32),
    )


def split(people: list[Person], held_out: int, seed: int) -> tuple[list[Person], list[Person]]:
    """(training, held out): people, never windows, are drawn, so no window of a held-out person is ever trained on."""
    order = np.random.default_rng(seed).permutation(len(people))
    chosen = {people[i].name for i in order[:held_out]}
    return [p for p in people if p.name not in chosen], [p for p in people if p.name in chosen]
