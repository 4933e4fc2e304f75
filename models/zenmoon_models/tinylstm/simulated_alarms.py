"""Alarms in simulated minutes by the product's rule, and the minutes before them as the page's model sees them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core import early as core

from zenmoon_models.tinylstm import simulated_children as simulated
from zenmoon_models.tinylstm.simulated_children import Minutes

ALARM_MINUTES = 10  # the product's default
HYSTERESIS = 0.05  # as zenmoon_cloud.alerts.episodes
BRIDGED_MINUTES = 1
HORIZON = 15
READY_MINUTES = 20  # with strain, before anything is said

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Alarm(NamedTuple):
    """First and last minute at or above the limit."""

    begin: int
    last: int


def alarms(strain: Values, limit: float, minutes: int = ALARM_MINUTES) -> list[Alarm]:
    """The episodes of one child: at or above the limit for so many minutes, with the product's hysteresis and bridging.

    Args:
        strain: one value a minute, NaN where there is none.
        limit: strain from which on it counts.
        minutes: how long, at least.
    """
    found = []
    begin = last = absent = -1
    for i, value in enumerate(strain.tolist()):
        missing = value != value  # noqa: PLR0124 - NaN is not itself
        absent = absent + 1 if missing else 0
        if begin >= 0 and (absent > BRIDGED_MINUTES or value < limit - HYSTERESIS):
            found.append(Alarm(begin, last))
            begin = -1
        if not missing and value >= limit:
            begin, last = begin if begin >= 0 else i, i
    if begin >= 0:
        found.append(Alarm(begin, last))
    return [alarm for alarm in found if alarm.last - alarm.begin + 1 >= minutes]


def soon(length: int, found: Sequence[Alarm]) -> Flags:
    """Whether an alarm begins within the next `HORIZON` minutes."""
    result = np.zeros(length, np.bool_)
    for alarm in found:
        result[max(0, alarm.begin - HORIZON) : alarm.begin] = True
    return result


def within(length: int, found: Sequence[Alarm]) -> Flags:
    """Whether a minute lies in an alarm: there is nothing left to hint at."""
    result = np.zeros(length, np.bool_)
    for alarm in found:
        result[alarm.begin : alarm.last + 1] = True
    return result


class Course(NamedTuple):
    """One child's minutes with strain, under one limit.

    Attributes:
        child: whose.
        limit: strain from which on the alarm counts.
        found: alarms by the product's rule.
        at: which of the child's minutes.
        inputs: [n, core.INPUTS].
        starts: where the model is reset before the minute.
        counts: whether the minute is scored: enough minutes before it, below the limit, outside of every alarm.
    """

    child: Minutes
    limit: float
    found: list[Alarm]
    at: NDArray[np.intp]
    inputs: NDArray[np.float32]
    starts: Flags
    counts: Flags

    @property
    def ahead(self) -> Flags:
        """Whether an alarm begins within the horizon, for each minute of the course."""
        return soon(len(self.child.coverage), self.found)[self.at]


def read(child: Minutes, limit: float) -> Course:
    """The inputs that the page computes, by the portable code that the page is tested against."""
    strain = child.values["stress_level"]
    found = alarms(strain, limit)
    minutes = core.Minutes()
    at: list[int] = []
    inputs: list[list[float]] = []
    starts: list[bool] = []
    seen: list[int] = []
    absent = core.ABSENT_MINUTES + 1
    columns = zip(
        simulated.optional(strain), simulated.optional(child.values["heart_rate_bpm"]), child.coverage.tolist(), strict=True
    )
    for i, (value, heart_rate, coverage) in enumerate(columns):
        if value is None:
            absent += 1
            continue
        starts.append(absent > core.ABSENT_MINUTES)
        if starts[-1]:
            minutes.reset()
        seen.append(1 if starts[-1] else seen[-1] + 1)
        absent = 0
        at.append(i)
        inputs.append(minutes.step(value, heart_rate, coverage, limit))
    kept = np.array(at, np.intp)
    inside = within(len(strain), found)[kept]
    counts = (np.array(seen) >= READY_MINUTES) & (strain[kept] < limit) & ~inside
    return Course(child, limit, found, kept, np.array(inputs, np.float32), np.array(starts, np.bool_), counts)
