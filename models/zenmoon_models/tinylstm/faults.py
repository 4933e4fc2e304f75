"""Sensor faults of known time, put into raw seconds: what the anomaly score and the denoised heart rate are tested with.

Nothing of the original is changed: a damaged second is a copy. Sizes are chosen to be those of broken sensors, not of bodies,
except drift, which is slow on purpose. A wrist that swings hides the pulse: the heart rate then follows the swing or falls
(motion artefacts of wrist photoplethysmography: Zhang et al. 2015, IEEE TBME 62:522).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.second import Second

RATE, CONDUCTANCE = "heart_rate", "conductance"
FAULT_S = 120
_SWING_HZ = 32  # motion samples a second
_SLOWEST, _FASTEST = 30.0, 220.0

KINDS = ("flat line", "spikes", "drift", "scale", "dropout", "burst")
_CADENCE_HZ = (1.4, 2.4)  # of an arm while walking or running
LETTING_GO = np.minimum(1.0, np.arange(1, FAULT_S + 1) / 5)  # a band's own averaging lets go of the pulse over some seconds


class Change(NamedTuple):
    """value → (value + pull · (target − value)) · factor, one factor and one pull for each second of the fault."""

    factor: NDArray[np.float64]
    pull: NDArray[np.float64] = np.zeros(FAULT_S)
    target: float = 0.0

    def __call__(self, second: int, value: float) -> float:
        """The value of a second since the fault began."""
        return float((value + self.pull[second] * (self.target - value)) * self.factor[second])


def damaged(seconds: Sequence[Second], kind: str, channel: str, begins: Sequence[int], random: np.random.Generator) -> list[Second]:
    """The seconds with a fault of FAULT_S s at each of `begins`.

    Args:
        seconds: of one session, from second 0 on.
        kind: of KINDS.
        channel: RATE or CONDUCTANCE.
        begins: seconds from the beginning.
        random: decides sizes and directions.
    """
    result = list(seconds)
    for begin in begins:
        here = seconds[begin : begin + FAULT_S]
        known = [value for second in here for value in _values(second, channel)]
        if not known:
            continue
        change = _change(kind, channel, known[0], random)
        swing = _swing(random) if kind == "burst" else None
        for i, second in enumerate(here):
            one = _changed(second, channel, i, change)
            if swing is not None:
                one.acc = _moved(one.acc, i, *swing)
            result[begin + i] = one
    return result


def unpulsed(seconds: Sequence[Second], random: np.random.Generator, every_s: int = 90) -> tuple[list[Second], NDArray[np.bool_]]:
    """Seconds whose heart rate is spoilt now and then, as on a moving wrist, and which of them are [n].

    Every `every_s` s on average something happens for 4 to 60 s: the wrist swings and the heart rate follows the swing or
    falls; it swings and the heart rate stays right; the heart rate jumps for 1 to 4 s; it is missing.
    """
    result = list(seconds)
    spoilt = np.zeros(len(seconds), np.bool_)
    at = int(random.integers(20, every_s))
    while at < len(seconds):
        kind = random.choice(("locked", "fallen", "innocent", "spike", "missing"), p=(0.3, 0.2, 0.15, 0.2, 0.15))
        length = int(random.integers(1, 5) if kind == "spike" else random.integers(10, 60))
        here = seconds[at : at + length]
        cadence, amplitude = _swing(random)
        share = random.uniform(0.6, 0.85)
        jump = random.uniform(15, 60) * random.choice((-1, 1))
        for i, second in enumerate(here):
            rate = second.heart_rate_bpm
            one = _copy(second)
            if kind in ("locked", "fallen", "innocent"):
                one.acc = _moved(second.acc, i, cadence, amplitude)
            if rate is not None and kind != "innocent":
                wanted = {"locked": 60 * cadence, "fallen": rate * share, "spike": rate + jump}.get(str(kind), rate)
                pull = 1.0 if kind == "spike" else LETTING_GO[i]
                value = rate + pull * (wanted - rate) + random.normal(0, 1.5)
                one.heart_rate_bpm = None if kind == "missing" else _bpm(value)
                spoilt[at + i] = True
            result[at + i] = one
        at += length + int(random.exponential(every_s)) + 8
    return result, spoilt


def _change(kind: str, channel: str, first: float, random: np.random.Generator) -> Change:
    """What a fault does; `first` is the value at its beginning."""
    rate = channel == RATE
    sign = float(random.choice((-1, 1)))
    same, all_of_it, noise = np.ones(FAULT_S), np.ones(FAULT_S), random.normal(0, 1, FAULT_S)
    hit, signs = random.random(FAULT_S) < 0.15, random.choice((-1, 1), FAULT_S)
    cadence = 60 * float(random.uniform(*_CADENCE_HZ))
    return {
        "flat line": Change(same, all_of_it, first),
        "spikes": Change(np.where(hit, np.exp((0.35 if rate else 0.8) * signs), 1.0)),
        "drift": Change(np.exp(sign * (0.35 if rate else 1.0) * np.arange(1, FAULT_S + 1) / FAULT_S)),
        "scale": Change(same * (2.0 if rate else 10.0) ** sign),  # counted half or twice; a wrong range
        "dropout": Change(same, all_of_it, _SLOWEST if rate else 0.03),  # just above what counts as not worn
        "burst": Change(1 + 0.06 * noise, LETTING_GO, cadence) if rate else Change(np.exp(0.25 * noise)),
    }[kind]


def _values(second: Second, channel: str) -> Sequence[float]:
    if channel == CONDUCTANCE:
        return second.eda_us
    return [] if second.heart_rate_bpm is None else [second.heart_rate_bpm]


def _changed(second: Second, channel: str, i: int, change: Change) -> Second:
    one = _copy(second)
    if channel == CONDUCTANCE:
        one.eda_us = [min(99.0, max(0.0, change(i, value))) for value in second.eda_us]
    elif second.heart_rate_bpm is not None:
        one.heart_rate_bpm = _bpm(change(i, second.heart_rate_bpm))
    return one


def _copy(second: Second) -> Second:
    return Second(
        second.tick_ms, second.acc, second.bvp, second.eda_us, second.temperature_c, second.heart_rate_bpm, second.intervals_ms
    )


def _bpm(value: float) -> float:
    return round(min(_FASTEST, max(_SLOWEST, value)), 2)


def _swing(random: np.random.Generator) -> tuple[float, float]:
    """(cadence in Hz, amplitude in 1/64 g) of a swinging wrist."""
    return float(random.uniform(*_CADENCE_HZ)), float(random.uniform(10, 40))


def _moved(acc: Sequence[int], second: int, cadence: float, amplitude: float) -> list[int]:
    """Motion samples x, y, z, … with a swing added along all three axes."""
    samples = np.array(acc, np.float64).reshape(-1, 3)
    at = second + np.arange(len(samples)) / _SWING_HZ
    wave = amplitude * np.sin(2 * np.pi * cadence * at[:, None] + np.array([0.0, 1.1, 2.3]))
    return [int(value) for value in np.clip(np.rint(samples + wave), -128, 127).ravel()]
