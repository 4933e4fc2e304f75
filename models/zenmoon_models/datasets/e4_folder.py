"""Writes a session that was published once a second as an Empatica E4 folder: NAME.csv for ACC, EDA, TEMP, HR and IBI.

A second holds less than an E4 measured; nothing is made up to fill it, and nothing is drawn at random:
    EDA, TEMP (4 Hz): the second's value four times. It has no slope within a second, and no faster response than that.
    HR (1 Hz): as published.
    ACC (32 Hz, 1/64 g): the magnitude alternates between its mean plus and its mean minus its standard deviation, so that
        both figures of the second come out again and no third one is claimed. The direction is that of the second's mean
        vector; where only a magnitude was published it is the z axis, because how the wrist was turned is unknown.
        Rounding, as in an E4, puts the standard deviation off by up to half a step, 8 mg; beyond ±2 g an axis is cut off.
    IBI: the beats that were published; no file where the set has none.
    BVP: never, because the pulse wave cannot be had back from one value a second. The wearable's contact bit needs it.
An absent value and every sample of a second that is missing is written as `nan`, so the samples after it keep their time.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zenmoon_models.errors import ModelsError

_ACC_HZ = 32
_SLOW_HZ = 4
_STEP_G = 1 / 64
_LONGEST_S = 60 * 3600  # an E4's memory holds 60 h (Empatica's support pages); more is a time gone wrong, and fills the disk

Signal = NDArray[np.float64]


class Seconds(NamedTuple):
    """A session, a row a second that was recorded; NaN = absent.

    unix_s [n] int64, UTC, rising; heart_rate_bpm, eda_us, temperature_c [n]; magnitude_g and spread_g [n], mean and standard
    deviation of the length of the acceleration within the second; direction [n, 3] of any length, or None where it was not
    published; beats [m, 2]: unix time of a beat in s and the interval before it in s, or None where there are none to write.
    """

    unix_s: NDArray[np.int64]
    heart_rate_bpm: Signal
    eda_us: Signal
    temperature_c: Signal
    magnitude_g: Signal
    spread_g: Signal
    direction: Signal | None
    beats: Signal | None


def write(folder: Path | str, seconds: Seconds) -> Path:
    """Writes the folder and returns it. The same seconds give the same bytes.

    Args:
        folder: created where it is absent; it must not hold anything, because files of two sessions would mix.
        seconds: at least one.

    Raises:
        ModelsError: `data` when the folder is not empty or the times do not rise within 60 h.
    """
    folder = Path(folder)
    start, length = _extent(seconds.unix_s)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ModelsError("data", f"{folder} is not empty: name a new folder for the session")
    at = seconds.unix_s - start

    def placed(values: Signal) -> Signal:
        everything = np.full((length, *values.shape[1:]), np.nan)
        everything[at] = values
        return everything

    sampled = (
        ("ACC", _ACC_HZ, placed(_acceleration(seconds)).reshape(-1, 3), "%.0f"),
        ("EDA", _SLOW_HZ, placed(seconds.eda_us).repeat(_SLOW_HZ)[:, None], "%.6f"),
        ("TEMP", _SLOW_HZ, placed(seconds.temperature_c).repeat(_SLOW_HZ)[:, None], "%.2f"),
        ("HR", 1, placed(seconds.heart_rate_bpm)[:, None], "%.2f"),
    )
    for name, rate, samples, form in sampled:
        columns = samples.shape[1]
        head = [", ".join([f"{value:.6f}"] * columns) for value in (start, rate)]
        row = ",".join([form] * columns)
        _write(folder / f"{name}.csv", head, (row % tuple(sample) for sample in samples.tolist()))
    if seconds.beats is not None:
        offsets = seconds.beats - np.array([start, 0.0])
        _write(folder / "IBI.csv", [f"{start:.6f}, IBI"], ("%.6f,%.6f" % (at, interval) for at, interval in offsets.tolist()))
    return folder


def _extent(unix_s: NDArray[np.int64]) -> tuple[int, int]:
    """The first second, and how many there are up to the last."""
    if not len(unix_s) or np.any(np.diff(unix_s) <= 0):
        raise ModelsError("data", "the session has no seconds, or they do not rise: restore the table")
    length = int(unix_s[-1] - unix_s[0]) + 1
    if length > _LONGEST_S:
        raise ModelsError("data", f"the session goes on for {length / 3600:.0f} h, an E4 for 60 at most: look at its unix_s")
    return int(unix_s[0]), length


def _acceleration(seconds: Seconds) -> Signal:
    """[n, 32, 3] in 1/64 g."""
    unit = np.tile([0.0, 0.0, 1.0], (len(seconds.unix_s), 1))
    if seconds.direction is not None:
        size = np.linalg.norm(seconds.direction, axis=1)
        known = size > 0  # not so for NaN
        unit[known] = seconds.direction[known] / size[known, None]
    swing = seconds.spread_g[:, None] * np.tile([1.0, -1.0], _ACC_HZ // 2)
    samples = (seconds.magnitude_g[:, None] + swing)[:, :, None] * unit[:, None, :] / _STEP_G
    return np.asarray(np.clip(np.rint(samples), -128, 127) + 0.0)  # + 0.0: no "-0"


def _write(path: Path, head: list[str], rows: Iterable[str]) -> None:
    with path.open("w", encoding="ascii") as file:
        file.writelines(f"{line}\n" for line in head)
        file.writelines(f"{line}\n" for line in rows)
