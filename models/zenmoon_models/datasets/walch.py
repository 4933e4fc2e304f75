"""Walch sleep accelerometer set: one night a person, 30 s epochs with polysomnography, movement counts and heart rate.

Tables, found by their columns in the .parquet, .csv or .csv.gz files of a folder:
    subject, epoch, stage, count_feature, time_feature_h: an epoch of 30 s, `stage` 0 awake, 1–4 non-REM, 5 REM, −1 not scored;
    subject, t_s, hr_bpm: heart rate as it was measured (may be missing: then there is none);
    subject, t_s, stage: stages since the start of the polysomnography (may be missing: then heart rate cannot be placed).
Adults; ODC-By 1.0; Walch et al. 2019, Sleep 42(12):zsz180.

Two of the set's own columns look ahead and cannot be had on a phone. `hr_feature` is normalised over the whole night and smoothed
around the epoch: it is not used, heart rate is taken from the raw table. `count_feature` is smoothed around the epoch by the
publishers (a Gaussian of 50 s) and the raw counts are not part of the set: that cannot be undone here.

`time_feature_h` places epochs in the night, where a gap is and where heart rate belongs; nothing else ever sees it.
"""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zenmoon_models.datasets import one_hertz, tables
from zenmoon_models.errors import ModelsError

FOLDER = "walch_sleep_accel"  # where the data sets' folders lie
NAME = "Walch sleep accelerometer"
LICENCE = "ODC-By 1.0"
CITATION = (
    "Walch et al. 2019, Sleep stage prediction with raw acceleration and photoplethysmography heart rate, Sleep 42(12):zsz180"
)
EPOCH_S = 30
EPOCHS = ("subject", "epoch", "stage", "count_feature", "time_feature_h")
HEART_RATES = ("subject", "t_s", "hr_bpm")
STAGES = ("subject", "t_s", "stage")

_LONGEST = 2880  # epochs: a day
_AGREES = 0.99  # of an epoch table's stages with the polysomnography's, where the two are laid over each other rightly
_LATEST_START = 480  # epochs that a table may begin after the polysomnography

Column = NDArray[np.float64]
Table = dict[str, Column]


class Night(NamedTuple):
    """One person's night, a row per 30 s from the first epoch to the last, gaps included.

    stage [n] int8: 0 awake, 1–4 non-REM, 5 REM, −1 unknown; counts [n]: NaN in a gap; heart_rate [n] bpm: mean of the epoch, NaN
    without one.
    """

    person: str
    stage: NDArray[np.int8]
    counts: Column
    heart_rate: Column


def nights(folder: Path | str) -> list[Night]:
    """Everybody's night, by name.

    Raises:
        ModelsError: `data` when there is no table of epochs or it is broken; `extra` without pyarrow.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelsError("data", f"{folder} is no folder: name the one that holds the tables of the Walch set")
    epochs = _table(folder, EPOCHS)
    if epochs is None:
        raise ModelsError("data", f"{folder} holds no table with the columns {', '.join(EPOCHS)}: name the folder of the Walch set")
    rates = _table(folder, HEART_RATES)
    stages = _table(folder, STAGES, without="epoch")
    subject = epochs["subject"]
    if not len(subject) or not np.isfinite(subject).all():
        raise ModelsError("data", f"the table of epochs in {folder} is empty or has rows without a name: restore it")
    return [
        _night(f"{int(number)}", *(_of(table, number) for table in (epochs, rates, stages)))
        for number in np.unique(subject).tolist()
    ]


def digest(folder: Path | str) -> str:
    """SHA-256 over names and bytes of the tables that are read: what a card cites."""
    folder = Path(folder)
    total = hashlib.sha256()
    for path in sorted({*_paths(folder, EPOCHS), *_paths(folder, HEART_RATES), *_paths(folder, STAGES)}):
        total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _of(table: Table | None, subject: float) -> Table:
    return {name: column[table["subject"] == subject] for name, column in table.items()} if table else {}


def _night(person: str, epochs: Table, rates: Table, stages: Table) -> Night:
    hours, stage, counts = epochs["time_feature_h"], epochs["stage"], epochs["count_feature"]
    order = np.argsort(hours, kind="stable")
    hours, stage, counts = hours[order], stage[order], counts[order]
    if not np.isfinite(hours).all() or not np.isin(stage, (-1, 0, 1, 2, 3, 4, 5)).all() or np.any(counts < 0):
        raise ModelsError(
            "data", f"person {person} has epochs without a time, with an unknown stage or counts below 0: restore the table"
        )
    row = np.rint((hours - hours[0]) * 3600 / EPOCH_S).astype(int)
    if np.any(np.diff(row) == 0) or row[-1] >= _LONGEST:
        raise ModelsError("data", f"person {person} has two epochs at one time, or a night longer than a day: restore the table")
    n = int(row[-1]) + 1
    night = Night(person, np.full(n, -1, np.int8), np.full(n, np.nan), np.full(n, np.nan))
    night.stage[row] = stage.astype(np.int8)
    night.counts[row] = counts
    begin = _begin(night.stage, stages) if stages else None
    if rates and begin is not None:
        at = np.floor((rates["t_s"] - EPOCH_S * begin) / EPOCH_S)
        inside = (at >= 0) & (at < n) & np.isfinite(rates["hr_bpm"])
        at, value = at[inside].astype(int), rates["hr_bpm"][inside]
        number_of = np.bincount(at, minlength=n)
        total = np.bincount(at, value, minlength=n)
        night.heart_rate[number_of > 0] = total[number_of > 0] / number_of[number_of > 0]
    return night


def _begin(stage: NDArray[np.int8], stages: Table) -> int | None:
    """At which epoch of the polysomnography the table begins: where all its stages agree; None where it nowhere does."""
    slot = np.rint(stages["t_s"] / EPOCH_S).astype(int)
    scored = np.flatnonzero(stage >= 0)
    if not len(slot) or not len(scored) or slot.min() < 0 or slot.max() >= 2 * _LONGEST:
        return None
    truth = np.full(2 * _LONGEST + _LATEST_START, -2)
    truth[slot] = stages["stage"]
    agreement = [float(np.mean(truth[scored + begin] == stage[scored])) for begin in range(_LATEST_START)]
    best = int(np.argmax(agreement))
    return best if agreement[best] >= _AGREES else None


def _paths(folder: Path, columns: tuple[str, ...]) -> list[Path]:
    return [*tables.parquet_tables(folder, *columns), *tables.text_tables(folder, *columns)]


def _table(folder: Path, columns: tuple[str, ...], without: str | None = None) -> Table | None:
    """The rows of every table with these columns: a table for all people, or one a person."""
    paths = [path for path in _paths(folder, columns) if without is None or path not in _paths(folder, (*columns, without))]
    found = [_columns(path, columns) for path in paths]
    people = [set(table["subject"].tolist()) for table in found]
    if len(set().union(*people)) < sum(map(len, people)):
        raise ModelsError("data", f"{' and '.join(path.name for path in paths)} hold the same person: keep one")
    return {name: np.concatenate([table[name] for table in found]) for name in columns} if found else None


def _columns(path: Path, columns: tuple[str, ...]) -> Table:
    if path.suffix == ".parquet":
        table: Any = one_hertz.read(path, columns)
        return {name: _numbers(path, name, table[name].to_numpy()) for name in columns}
    found: dict[str, list[Any]] = {name: [] for name in columns}
    for row in tables.rows(path):
        for name in columns:
            found[name].append(row[name] or "nan")
    return {name: _numbers(path, name, values) for name, values in found.items()}


def _numbers(path: Path, name: str, values: Any) -> Column:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ModelsError("data", f"column {name} of {path} holds something else than numbers: restore the table") from error
