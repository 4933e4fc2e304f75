"""Nights: when the child sleeps, by its chronotype or by the alarm clock, and in which stage each minute is.

On a free day nobody wakes it: it falls asleep when its body is ready and sleeps as long as it needs. Before school it is put to
bed earlier than its body likes, lies awake longer, and is woken by the alarm clock. The mid-sleep of free days, corrected for the
sleep made up for (MSFsc, Roenneberg et al., Curr Biol 14 (2004) R1038), is the child's `chronotype_h` but for chance.
"""

from datetime import date
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zenmoon_edge.simulator.calendar import Day
from zenmoon_edge.simulator.chance import Chance
from zenmoon_edge.simulator.child import Child, Event

Stages = NDArray[np.int8]

_UNREADY = 0.2  # hours awake in bed per hour that it is put there too early; chosen
_WAITING = 0.5  # of a lag after a journey that bedtime follows, at most _LAG_H; chosen: parents keep it near the clock
_LAG_H = 3.0
_LONG_DAY_MIN = 1440 + 180  # a journey westward makes a day from which on the child naps on the way

# Cycles of about 95 min; deep sleep belongs to the first, REM to the last ones. Chosen after the textbook picture: about a fifth
# of the night each (that deep sleep is plentiful in children: Ohayon et al., Sleep 27 (2004) 1255).
_CYCLE_MIN = 95
_DEEP = (0.45, 0.35, 0.20, 0.10, 0.04)
_REM = (0.06, 0.15, 0.22, 0.27, 0.30)


class Stage(IntEnum):
    """Stage of sleep."""

    WAKE = 0
    LIGHT = 1
    DEEP = 2
    REM = 3


class Night(NamedTuple):
    """One episode of sleep; minutes in UTC since 1970.

    Attributes:
        date: on which the child wakes up.
        free: nobody wakes it.
        nap: sleep on a journey, beside the night's.
        lights_out: when it lies down.
        onset: first minute asleep.
        wake: first minute awake for good.
        stages: one for each minute from onset to wake; WAKE where it lay awake.
        worry: what kept it awake.
    """

    date: date
    free: bool
    nap: bool
    lights_out: int
    onset: int
    wake: int
    stages: Stages
    worry: Event | None = None

    @property
    def asleep_min(self) -> int:
        """Minutes asleep."""
        return int(np.count_nonzero(self.stages))

    @property
    def awakenings(self) -> int:
        """How often it woke in between."""
        return int(np.count_nonzero(np.diff(self.stages.astype(bool).astype(np.int8)) == -1))


class Rhythm(NamedTuple):
    """The usual clock hours of a week at school, relative to the midnight before waking."""

    free_onset_h: float
    school_onset_h: float
    school_sleep_h: float


def rhythm(child: Child) -> Rhythm:
    """Solves for the week in which the corrected mid-sleep of free days is the child's chronotype."""
    days = len(child.calendar.school_days)
    lights_out_h = child.lights_out_h - 24
    school_sleep_h, free_onset_h, onset_h = child.sleep_need_h, 0.0, 0.0
    # What is slept at school days depends on the body's readiness, which depends on the mean of the week: each round closes
    # a seventh of the difference or more.
    for _ in range(30):
        mean_h = (days * school_sleep_h + (7 - days) * child.sleep_need_h) / 7
        free_onset_h = child.chronotype_h - mean_h / 2
        early_h = free_onset_h - lights_out_h - child.latency_h
        onset_h = lights_out_h + child.latency_h + _UNREADY * max(0.0, early_h)
        school_sleep_h = min(child.alarm_clock_h - onset_h, child.sleep_need_h)
    return Rhythm(free_onset_h, onset_h, school_sleep_h)


def night(child: Child, day: Day) -> Night:
    """The night from which the child wakes on `day`."""
    chance = Chance(child.seed).of(day.key, "night")
    usual, free = rhythm(child), not day.school
    waits_h = float(np.clip(_WAITING * day.lag_h, -_LAG_H, _LAG_H))
    chances = chance.standard_normal(4)
    worries = chance.random() < child.worries_per_week / 7 * (0.7 if free else 1.2)
    kept_min = int(chance.integers(10, 36)) if worries else 0
    latency_h = child.latency_h * float(np.exp(0.3 * chances[0]))
    if free:
        onset_h = usual.free_onset_h + waits_h + 0.3 * float(chances[1])
        wake_h = onset_h + child.sleep_need_h + 0.25 * float(chances[2])
    else:
        onset_h = usual.school_onset_h + waits_h / 2 + 0.2 * float(chances[1])
        wake_h = min(child.alarm_clock_h + 0.04 * abs(float(chances[2])), onset_h + child.sleep_need_h + 0.2 * float(chances[3]))
    lights_out = day.begin + round((onset_h - latency_h) * 60)
    onset = day.begin + round(onset_h * 60) + kept_min
    # An alarm clock shows the time on the wall; sleep that ends by itself has lasted its hours.
    by_clock = None if free else day.at_clock(wake_h)
    wake = day.begin + (by_clock if by_clock is not None else round(wake_h * 60))
    size = float(np.clip(0.36 + 0.09 * chance.standard_normal(), 0.15, 0.6))
    worry = Event("worry", lights_out - 10, onset - lights_out + 10, size) if worries else None
    return Night(day.date, free, False, lights_out, onset, wake, stages(chance, wake - onset), worry)


def nap(child: Child, day: Day) -> Night | None:
    """Sleep on a journey that makes the day long."""
    extra_min = day.minutes - _LONG_DAY_MIN
    if extra_min <= 0:
        return None
    chance = Chance(child.seed).of(day.key, "nap")
    onset = day.begin + 13 * 60 + 30 + int(chance.integers(0, 40))
    minutes = min(240, 60 + extra_min // 3)
    return Night(day.date, True, True, onset - 15, onset, onset + minutes, stages(chance, minutes))


def stages(chance: np.random.Generator, minutes: int) -> Stages:
    """Stage of each minute of an episode of sleep."""
    result = np.full(minutes, Stage.LIGHT, np.int8)
    begin = cycle = 0
    while begin < minutes:
        length = round(_CYCLE_MIN + 9 * float(np.clip(chance.standard_normal(), -2, 2)))
        part = min(cycle, len(_DEEP) - 1)
        first = begin + length // 6
        result[first : first + round(_DEEP[part] * length)] = Stage.DEEP
        rem = round(_REM[part] * length)
        result[begin + length - rem : begin + length] = Stage.REM
        if chance.random() < 0.45:  # it wakes more easily between two cycles
            awake = begin + length + int(chance.integers(0, 4))
            result[awake : awake + int(chance.integers(2, 9))] = Stage.WAKE
        begin, cycle = begin + length, cycle + 1
    for at in chance.integers(0, minutes, chance.poisson(minutes / 90)):
        result[at] = Stage.WAKE
    result[:2] = result[-1:] = Stage.LIGHT  # an episode begins and ends asleep
    return result
