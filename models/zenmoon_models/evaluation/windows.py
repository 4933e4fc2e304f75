"""What a wearable computes of a recording: its seconds through `Features` and `Strain`, as the firmware's sampling does."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.features import INPUTS, WINDOW_S, Features
from zenmoon_edge.core.strain import Strain
from zenmoon_edge.virtual.recording import Recording

from zenmoon_models.errors import ModelsError
from zenmoon_models.evaluation.layouts import Source

PROCESSES = 2
Flags = NDArray[np.bool_]


class Windows(NamedTuple):
    """One session, a row per window of 4 s.

    inputs [n, 8], 0 while not worn; worn, ready [n]; strain [n] 0–1, 0 while there is none; quality [n], the record's bits;
    heart_rate [n] bpm and motion [n] mg as the sensor says, NaN where absent; label [n] 1, 0, or −1 = unknown or both within
    the window; elapsed_s [n] since the session began, for the clock control only; warnings: what was tolerated.
    """

    person: str
    session: str
    inputs: NDArray[np.float64]
    worn: Flags
    ready: Flags
    strain: NDArray[np.float64]
    quality: NDArray[np.int64]
    heart_rate: NDArray[np.float64]
    motion: NDArray[np.float64]
    label: NDArray[np.int8]
    elapsed_s: NDArray[np.float64]
    warnings: list[str]

    @property
    def scored(self) -> Flags:
        """The rows that count: the model speaks and the label is known."""
        return self.ready & (self.label >= 0)


def read(source: Source, model: bytes) -> Windows:
    """Replays one recording through the features and the model.

    Raises:
        ModelsError, EdgeError: the recording or the model cannot be read.
    """
    with TemporaryDirectory() as place:
        recording = Recording.open(source.folder(Path(place) / "e4"))
        start = recording.start.timestamp()
        features, strain = Features(), Strain(model)
        rows = []
        for second in recording.seconds():
            window = features.step(second)
            if window is None:
                continue
            value, _, ready = strain.step(window.inputs, window.rate_bpm)
            end = int(start + window.tick_ms / 1000)
            seen = {source.labels[s] for s in range(end - WINDOW_S, end) if s in source.labels}
            rows.append(
                (
                    window.inputs or [0.0] * INPUTS,
                    window.inputs is not None,
                    ready,
                    value / 255,
                    window.quality,
                    np.nan if window.heart_rate is None else window.heart_rate / 2,
                    np.nan if window.motion is None else window.motion,
                    seen.pop() if len(seen) == 1 else -1,
                    window.tick_ms / 1000,
                )
            )
        warnings = list(recording.warnings)
    if not rows:
        raise ModelsError("data", f"{source.session} is shorter than one window of {WINDOW_S} s: leave it out")
    columns = list(zip(*rows, strict=True))
    return Windows(
        source.person,
        source.session,
        inputs=np.array(columns[0], np.float64),
        worn=np.array(columns[1], np.bool_),
        ready=np.array(columns[2], np.bool_),
        strain=np.array(columns[3], np.float64),
        quality=np.array(columns[4], np.int64),
        heart_rate=np.array(columns[5], np.float64),
        motion=np.array(columns[6], np.float64),
        label=np.array(columns[7], np.int8),
        elapsed_s=np.array(columns[8], np.float64),
        warnings=warnings,
    )


def read_all(sources: Sequence[Source], model: bytes, say: Callable[[str], None]) -> list[Windows]:
    """Every recording, in the order given, in two processes where there is more than one.

    Raises:
        ModelsError: `data` when one of them, or the model, cannot be read.
    """
    found = []
    for number, outcome in enumerate(_outcomes(sources, model), 1):
        if isinstance(outcome, str):
            raise ModelsError("data", outcome)
        say(f"{outcome.session}: {len(outcome.label)} windows ({number} of {len(sources)})")
        found.append(outcome)
    return found


def _outcomes(sources: Sequence[Source], model: bytes) -> Iterator[Windows | str]:
    processes = min(PROCESSES, os.cpu_count() or 1, len(sources))
    if processes < 2:
        yield from (_outcome(source, model) for source in sources)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(partial(_outcome, model=model), sources)


def _outcome(source: Source, model: bytes) -> Windows | str:
    # As text: exceptions with reasons as data do not travel between processes.
    try:
        return read(source, model)
    except (ModelsError, EdgeError) as error:
        return f"{source.session}: {error.detail}"
