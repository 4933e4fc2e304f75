"""Reads tables of Empatica E4 sessions once a second: what exam_stress and nurse_stress have in common.

`e4_1hz.parquet` holds the columns that name a session, `unix_s` (whole seconds, UTC), `hr` bpm, `eda` µS, `temp` °C,
`acc_mag_mean` and `acc_mag_std` in g (mean and standard deviation of the length of the acceleration within the second);
null or NaN = absent. Sessions are found in the table itself, so one that the accompanying lists name but whose seconds
are not there is not offered.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zenmoon_models.datasets.e4_folder import Seconds
from zenmoon_models.errors import ModelsError

TABLE = "e4_1hz.parquet"
_SIGNALS = ("hr", "eda", "temp", "acc_mag_mean", "acc_mag_std")
_BARE_US = 0.05  # skin on the wrist conducts more; the sets' own lists count off-wrist time below the same level
_LATEST = 253_402_300_800  # the year 10000, where calendars end: milliseconds are beyond it

Key = tuple[tuple[str, int | str], ...]


class Session(NamedTuple):
    """One wearing of the band.

    folder: of the data set; name: unique within it and fit for a path; key: column and value of its rows; start: UTC of the
    first second; seconds: from the first to the last, both counted; motion: share of the recorded seconds with a magnitude
    (0 = this sensor was not published); off_wrist: share of those with a conductance that have less than 0.05 µS.
    """

    folder: Path
    name: str
    key: Key
    start: datetime
    seconds: int
    motion: float
    off_wrist: float


def sessions(folder: Path, columns: Sequence[str], name: Callable[..., str]) -> list[Session]:
    """Every session of a set by name.

    Args:
        folder: of the data set.
        columns: those that name a session.
        name: makes the session's name of their values.

    Raises:
        ModelsError: `data` when the table is not there or is another one, `extra` without pyarrow.
    """
    table = read(folder / TABLE, [*columns, "unix_s", "eda", "acc_mag_mean"], needed=_SIGNALS)
    conductance, magnitude = (_floats(table, column) for column in ("eda", "acc_mag_mean"))
    counts = {"moved": np.isfinite(magnitude), "conducted": np.isfinite(conductance), "bare": conductance < _BARE_US}
    for column, flags in counts.items():
        table = table.append_column(column, [flags.astype(np.int64)])
    times = _floats(table, "unix_s")
    if not np.all((times > 0) & (times < _LATEST)):  # nor does NaN pass
        raise ModelsError("data", f"{(folder / TABLE).resolve()} has rows whose unix_s are no unix seconds: restore it")
    wanted = [("unix_s", "min"), ("unix_s", "max"), ("unix_s", "count"), *((column, "sum") for column in counts)]
    found = []
    for row in table.group_by(list(columns), use_threads=False).aggregate(wanted).to_pylist():
        values = [row[column] for column in columns]
        first, last = int(row["unix_s_min"]), int(row["unix_s_max"])
        found.append(
            Session(
                folder,
                name(*values),
                tuple(zip(columns, values, strict=True)),
                datetime.fromtimestamp(first, UTC),
                last - first + 1,
                row["moved_sum"] / row["unix_s_count"],
                row["bare_sum"] / max(1, row["conducted_sum"]),
            )
        )
    return sorted(found, key=lambda session: session.name)


def seconds(session: Session, direction: Sequence[str] = (), beats: NDArray[np.float64] | None = None) -> Seconds:
    """The rows of a session in the order of time.

    Args:
        session: from `sessions`.
        direction: the three columns of the mean vector in g, where the set has them.
        beats: see `Seconds`.

    Raises:
        ModelsError: as `sessions`, and `data` when a second stands twice or is no whole one.
    """
    path = session.folder / TABLE
    table = read(path, ["unix_s", *_SIGNALS, *direction], key=session.key)
    unix_s = _floats(table, "unix_s")
    order = np.argsort(unix_s, kind="stable")
    unix_s = unix_s[order]
    if not len(unix_s) or np.any(unix_s != np.rint(unix_s)) or np.any(np.diff(unix_s) <= 0):
        raise ModelsError("data", f"{session.name} of {path.resolve()} has no rows, or a second twice or broken: restore the file")
    signal = {column: _floats(table, column)[order] for column in (*_SIGNALS, *direction)}
    return Seconds(
        unix_s=unix_s.astype(np.int64),
        heart_rate_bpm=signal["hr"],
        eda_us=signal["eda"],
        temperature_c=signal["temp"],
        magnitude_g=signal["acc_mag_mean"],
        spread_g=signal["acc_mag_std"],
        direction=np.stack([signal[column] for column in direction], axis=1) if direction else None,
        beats=beats,
    )


def beats(session: Session, path: Path) -> NDArray[np.float64]:
    """[m, 2] of a table with `unix_s` of a beat and `ibi_s` before it, in the order of time.

    Raises:
        ModelsError: as `sessions`.
    """
    table = read(path, ["unix_s", "ibi_s"], key=session.key)
    rows = np.stack([_floats(table, "unix_s"), _floats(table, "ibi_s")], axis=1)
    rows = rows[np.isfinite(rows).all(axis=1)]
    return np.asarray(rows[np.argsort(rows[:, 0], kind="stable")])


def digest(folder: Path, names: Sequence[str]) -> str:
    """SHA-256 over names and bytes of the tables that are read: what a card cites.

    Raises:
        ModelsError: `data` when one is not there.
    """
    total = hashlib.sha256()
    for name in sorted(names):
        path = folder / name
        if not path.is_file():
            raise _missing(path)
        total.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def read(path: Path, columns: Sequence[str], *, key: Key = (), needed: Sequence[str] = ()) -> Any:
    """A pyarrow table of some columns, and of the rows that a key names.

    Raises:
        ModelsError: `data` when the file, or one of its columns or of the `needed` ones, is not there; `extra` without pyarrow.
    """
    parquet, arrow = _arrow("pyarrow.parquet"), _arrow("pyarrow")
    if not path.is_file():
        raise _missing(path)
    try:
        there = set(parquet.read_schema(path).names)
        absent = sorted({*columns, *needed, *(column for column, _ in key)} - there)
        if absent:
            raise ModelsError(
                "data", f"{path.resolve()} has no column {', '.join(absent)}: it is another table, restore the data set's own"
            )
        filters = [(column, "=", value) for column, value in key] or None
        return parquet.read_table(path, columns=list(columns), filters=filters)
    except (arrow.ArrowException, OSError) as error:
        raise ModelsError("data", f"{path.resolve()} cannot be read ({error}): restore it") from error


def _floats(table: Any, column: str) -> NDArray[np.float64]:
    try:
        return np.asarray(table[column].to_numpy(), np.float64)
    except (TypeError, ValueError) as error:
        raise ModelsError("data", f"column {column} holds something else than numbers: restore the table") from error


def _missing(path: Path) -> ModelsError:
    return ModelsError("data", f"{path} is not there: name the folder of the data set that holds {path.name}")


def _arrow(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ModelsError("extra", "pyarrow is not installed: run `pip install 'zenmoon-models[datasets]'`") from error
