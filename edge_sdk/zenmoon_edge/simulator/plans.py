"""Days: what the child does each minute, and what strains it.

A day is laid out on the clock on the wall (school, meals, homework, sport) and then read off minute by minute, so that a clock
change or a journey takes from it or adds to it what it takes from or adds to a real day.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zenmoon_edge.simulator.calendar import Day
from zenmoon_edge.simulator.chance import Chance
from zenmoon_edge.simulator.child import Child, Event
from zenmoon_edge.simulator.nights import Night, Stage, Stages


class Activity(IntEnum):
    """What the child does."""

    SLEEP = 0
    BED = 1
    ROUTINE = 2
    MEAL = 3
    WALK = 4
    LESSON = 5
    TEST = 6
    BREAK = 7
    HOMEWORK = 8
    SPORT = 9
    PLAY = 10
    SCREEN = 11
    READING = 12
    FAMILY = 13
    JOURNEY = 14


class Manner(NamedTuple):
    """What an activity is like; all chosen. In a lesson hands write and fidget; bent over a test a child holds still.

    motion_g: of the wrist; heart_bpm: above rest; engagement: 0–1; strain: added to the usual.
    """

    motion_g: float
    heart_bpm: float
    engagement: float
    strain: float


MANNERS: dict[Activity, Manner] = {
    Activity.SLEEP: Manner(0.004, 0, 0.0, 0.0),
    Activity.BED: Manner(0.012, -4, 0.2, -0.06),
    Activity.ROUTINE: Manner(0.10, 13, 0.35, 0.02),
    Activity.MEAL: Manner(0.06, 9, 0.5, -0.04),
    Activity.WALK: Manner(0.22, 26, 0.45, 0.0),
    Activity.LESSON: Manner(0.032, 3, 0.5, 0.05),
    Activity.TEST: Manner(0.012, 3, 0.75, 0.05),
    Activity.BREAK: Manner(0.26, 36, 0.8, -0.03),
    Activity.HOMEWORK: Manner(0.020, 2, 0.4, 0.06),
    Activity.SPORT: Manner(0.42, 66, 0.85, -0.04),
    Activity.PLAY: Manner(0.15, 20, 0.85, -0.06),
    Activity.SCREEN: Manner(0.012, 1, 0.6, -0.03),
    Activity.READING: Manner(0.010, -1, 0.6, -0.07),
    Activity.FAMILY: Manner(0.06, 9, 0.55, -0.04),
    Activity.JOURNEY: Manner(0.03, 4, 0.35, 0.06),
}

_LESSON_MIN = 45
# Minutes after the first bell at which lessons begin, and the two long breaks.
_LESSONS = (0, 50, 115, 165, 230, 280)
_BREAKS = ((95, 20), (210, 20))


class Plan(NamedTuple):
    """One date.

    Attributes:
        activities: one for each minute.
        stages: of sleep, one for each minute; WAKE while up.
        events: what chance brings on that date.
    """

    activities: NDArray[np.int8]
    stages: Stages
    events: tuple[Event, ...]


def plan(child: Child, day: Day, nights: list[Night]) -> Plan:
    """Lays out a day.

    Args:
        child: whose day.
        day: which.
        nights: every episode of sleep that touches it.
    """
    chance = Chance(child.seed).of(day.key, "plan")
    clock = _school_day(chance, child) if day.school else _free_day(chance)
    activities = clock[day.wall()]
    events = _events(chance, child, day, activities)
    if day.journey is not None:
        _paint(activities, Activity.JOURNEY, day.journey - 150, day.journey + 300)
    stages = np.zeros(day.minutes, np.int8)
    for one in nights:
        _paint(activities, Activity.BED, one.lights_out - day.begin, one.onset - day.begin)
        _paint(activities, Activity.SLEEP, one.onset - day.begin, one.wake - day.begin)
        if not one.nap:
            _paint(activities, Activity.ROUTINE, one.wake - day.begin, one.wake - day.begin + 25)
        first, last = max(one.onset, day.begin), min(one.wake, day.begin + day.minutes)
        if first < last:
            stages[first - day.begin : last - day.begin] = one.stages[first - one.onset : last - one.onset]
    worries = (one.worry for one in nights if one.worry and day.begin <= one.lights_out < day.begin + day.minutes)
    return Plan(activities, stages, (*events, *worries))


def _paint(activities: NDArray[np.int8], activity: Activity, first: int, last: int) -> None:
    activities[max(0, first) : max(0, last)] = activity


def _school_day(chance: np.random.Generator, child: Child) -> NDArray[np.int8]:
    clock = np.full(1440, Activity.FAMILY, np.int8)
    bell = round(child.school_begins_h * 60)
    _lay(clock, 0, bell, Activity.ROUTINE)
    _lay(clock, bell - 60, 20, Activity.MEAL)
    _lay(clock, bell - 20, 20, Activity.WALK)
    _lay(clock, bell, 325, Activity.ROUTINE)
    sport = int(chance.integers(1, 6)) if chance.random() < 0.4 else -1
    for number, begin in enumerate(_LESSONS):
        _lay(clock, bell + begin, _LESSON_MIN, Activity.SPORT if number == sport else Activity.LESSON)
    for begin, length in _BREAKS:
        _lay(clock, bell + begin, length, Activity.BREAK)
    home = bell + 325
    _lay(clock, home, 18, Activity.WALK)
    _lay(clock, home + 20, 30, Activity.MEAL)
    _lay(clock, home + 50, 30, Activity.SCREEN if chance.random() < 0.5 else Activity.READING)
    homework = int(chance.integers(35, 80))
    _lay(clock, home + 80, homework, Activity.HOMEWORK)
    _afternoon(chance, clock, home + 80 + homework)
    return clock


def _free_day(chance: np.random.Generator) -> NDArray[np.int8]:
    clock = np.full(1440, Activity.FAMILY, np.int8)
    _lay(clock, 0, 540, Activity.READING)
    _lay(clock, 570, 30, Activity.MEAL)
    _lay(clock, 610, int(chance.integers(30, 90)), Activity.SCREEN)
    _lay(clock, 700, 60, Activity.PLAY)
    _lay(clock, 765, 40, Activity.MEAL)
    _lay(clock, 810, 45, Activity.READING)
    _afternoon(chance, clock, 860)
    return clock


def _afternoon(chance: np.random.Generator, clock: NDArray[np.int8], begin: int) -> None:
    """Play, on most days sport, supper, screen, and reading until the lights go out."""
    play = int(chance.integers(40, 90))
    _lay(clock, begin, play, Activity.PLAY)
    if chance.random() < 0.5:
        _lay(clock, begin + play + 10, int(chance.integers(35, 60)), Activity.SPORT)
    supper = round(18.5 * 60 + 15 * float(np.clip(chance.standard_normal(), -2, 2)))
    _lay(clock, supper, 30, Activity.MEAL)
    _lay(clock, supper + 30, int(chance.integers(20, 70)), Activity.SCREEN)
    _lay(clock, 20 * 60 + 15, 20, Activity.ROUTINE)
    _lay(clock, 20 * 60 + 35, 1440, Activity.READING)


def _lay(clock: NDArray[np.int8], begin: int, minutes: int, activity: Activity) -> None:
    clock[begin : begin + minutes] = activity


def _events(chance: np.random.Generator, child: Child, day: Day, activities: NDArray[np.int8]) -> list[Event]:
    """Draws tests and quarrels; a test turns its lesson into one."""
    events = []
    if day.school and chance.random() < child.tests_per_week / max(1, len(child.calendar.school_days)):
        begin = day.at_clock(child.school_begins_h + (_LESSONS[int(chance.integers(1, 5))] + 5) / 60)
        minutes, size = int(chance.integers(25, 40)), float(np.clip(0.48 + 0.09 * chance.standard_normal(), 0.2, 0.7))
        if begin is not None:
            activities[begin : begin + minutes] = Activity.TEST
            events.append(Event("test", day.begin + begin, minutes, size, rise_min=15))
    if chance.random() < child.quarrels_per_week / 7:
        begin = day.at_clock(float(chance.integers(14 * 60, 19 * 60)) / 60)
        minutes, size = int(chance.integers(6, 25)), float(np.clip(0.46 + 0.1 * chance.standard_normal(), 0.2, 0.7))
        if begin is not None:
            events.append(Event("quarrel", day.begin + begin, minutes, size, rise_min=3, fade_min=15.0))
    return events


def asleep(stages: Stages) -> NDArray[np.bool_]:
    """Whether the child sleeps."""
    return np.asarray(stages != Stage.WAKE)
