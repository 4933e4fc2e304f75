"""Denoised heart rate: a filter whose gain the network chooses step by step, and the filters that it has to beat.

    d[t] = d[t−1] + gain[t] · (measured[t] − d[t−1])        a step without a measurement leaves d alone

A gain of 1 takes the measurement as it is, 0 holds what was known. A Kalman filter of one state has a gain too, but one that
does not know what the wrist does. All functions take bpm [n], NaN where nothing was measured, and are causal.
"""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Rate = NDArray[np.float64]
_UNIT_BPM = 5.0  # of the loss: about what a window's heart rate differs by within a minute


def filtered(measured: Rate, gain: Rate) -> Rate:
    """The filter above; NaN until the first measurement."""
    result = np.empty_like(measured)
    level = np.nan
    for i, value in enumerate(measured.tolist()):
        if value == value:  # noqa: PLR0124 - no NaN
            level = value if np.isnan(level) else level + gain[i] * (value - level)
        result[i] = level
    return result


def loss(tensorflow: Any) -> Callable[[Any, Any], Any]:
    """For Keras: the mean absolute error of the filter's result, in units of 5 bpm, for every step.

    It takes the truth [batch, steps, 2] from `targets` and the gain [batch, steps, 1]. The filter starts from the truth.
    """

    def error(truth: Any, gain: Any) -> Any:
        level = truth[:, 0, 1]
        errors = []
        for step in range(truth.shape[1]):
            measured = truth[:, step, 0]
            level += tensorflow.where(measured > 0, gain[:, step, 0] * (measured - level), 0.0)
            errors.append(tensorflow.abs(level - truth[:, step, 1]) / _UNIT_BPM)
        return tensorflow.stack(errors, axis=1)

    return error


def targets(measured: Rate, true: Rate) -> NDArray[np.float32]:
    """[n, 2] as `loss` takes it: measured (0 = nothing was) and true, bpm."""
    return np.nan_to_num(np.stack([measured, true], axis=1)).astype(np.float32)


def held(measured: Rate) -> Rate:
    """The measurement itself, the last one where there is none."""
    return filtered(measured, np.ones_like(measured))


def median(measured: Rate, width: int = 5) -> Rate:
    """Median of the last `width` steps (those that were measured)."""
    values = held(measured)
    return np.array([np.median(values[max(0, i + 1 - width) : i + 1]) for i in range(len(values))])


def exponential(measured: Rate, gain: float) -> Rate:
    """Exponential smoothing."""
    return filtered(measured, np.full_like(measured, gain))


def kalman(measured: Rate, ratio: float, gate: float) -> Rate:
    """A Kalman filter of one state, a random walk, which trusts a surprising measurement less.

    Args:
        measured: bpm.
        ratio: variance of a step of the walk over that of the measurement.
        gate: bpm; a measurement farther than this from what was known counts as noisier in proportion to the square.
    """
    result = np.empty_like(measured)
    level, variance = np.nan, 1.0
    for i, value in enumerate(measured.tolist()):
        if value == value:  # noqa: PLR0124 - no NaN
            if np.isnan(level):
                level = value
            variance += ratio
            gain = variance / (variance + max(1.0, ((value - level) / gate) ** 2))
            level += gain * (value - level)
            variance *= 1 - gain
        else:
            variance += ratio
        result[i] = level
    return result


class Case(NamedTuple):
    """One session with a spoilt heart rate: inputs [n, 8] as computed from it; measured and true bpm [n]; spoilt [n]."""

    inputs: NDArray[np.float32]
    measured: Rate
    true: Rate
    spoilt: NDArray[np.bool_]


Filter = Callable[[Case], Rate]


def errors(cases: list[Case], denoised: Filter) -> dict[str, float]:
    """Mean absolute error in bpm over the windows in which something was measured lately and the truth is known."""
    distance, spoilt = [], []
    for case in cases:
        result = denoised(case)
        kept = ~np.isnan(result) & ~np.isnan(case.true)
        distance.append(np.abs(result - case.true)[kept])
        spoilt.append(case.spoilt[kept])
    every, bad = np.concatenate(distance), np.concatenate(spoilt)
    return {"mae_clean": float(every[~bad].mean()), "mae_corrupted": float(every[bad].mean()), "mae": float(every.mean())}


def rivals(training: list[Case]) -> dict[str, Filter]:
    """The filters to beat; those with settings have the ones that are best on the training people."""

    def best(make: Callable[..., Filter], *grid: tuple[float, ...]) -> Filter:
        return min((make(*settings) for settings in product(*grid)), key=lambda one: errors(training, one)["mae"])

    return {
        "measured": lambda case: held(case.measured),
        "median of 5": lambda case: median(case.measured),
        "exponential": best(lambda gain: lambda case: exponential(case.measured, gain), (0.1, 0.2, 0.35, 0.5, 0.7, 0.9)),
        "Kalman": best(lambda ratio: lambda case: kalman(case.measured, ratio, np.inf), (0.01, 0.1, 1.0, 3.0)),
        "Kalman, outliers trusted less": best(
            lambda ratio, gate: lambda case: kalman(case.measured, ratio, gate),
            (0.1, 0.3, 1.0, 3.0, 10.0),
            (1.0, 2.0, 3.0, 5.0, 10.0),
        ),
    }
