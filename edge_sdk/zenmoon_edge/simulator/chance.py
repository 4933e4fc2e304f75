"""Chance that can be asked for any day alone: every draw is keyed by seed, day and purpose, never by what was drawn before.

Streams are those of numpy's PCG64 and stay the same for a version of numpy; across versions numpy does not promise it (NEP 19).
"""

import zlib
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Chance(NamedTuple):
    """Everything random about one child.

    Attributes:
        seed: not negative; another seed is another life of the same child.
    """

    seed: int

    def of(self, key: int, purpose: str) -> np.random.Generator:
        """The generator of a day (any whole number not negative) for one purpose."""
        return np.random.default_rng([self.seed, key, zlib.crc32(purpose.encode())])

    def wander(self, key: int, purpose: str, seconds: int, every_s: int) -> Signal:
        """A standard normal wandering, one value a second: knots every so many seconds, straight lines between them.

        It ends where the one of `key + 1` begins, so that days join without a step.

        Args:
            key: the day.
            purpose: what wanders.
            seconds: length of the day, a multiple of `every_s`.
            every_s: time between two knots.
        """
        knots = np.append(self.of(key, purpose).standard_normal(seconds // every_s), self.of(key + 1, purpose).standard_normal())
        share = np.arange(every_s) / every_s
        return np.asarray((knots[:-1, None] + np.diff(knots)[:, None] * share).reshape(-1))


def follow(target: Signal, constant: float) -> Signal:
    """`target` as something sluggish follows it: a first-order lag, `constant` in samples; starts at the first value."""
    gain = float(-np.expm1(-1 / constant))
    return np.fromiter(accumulate(target.tolist(), lambda level, aim: level + gain * (aim - level)), np.float64, len(target))


def ramp(x: Signal) -> Signal:
    """0 below 0, 1 above 1, smooth between."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(x, 0, 1)))
