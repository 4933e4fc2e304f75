"""What a wristband on the simulated child would have sampled, as an Empatica E4 folder for the virtual wearable.

Everything after the samples is real: the firmware's features and its model see a simulated body and make of it what they make.
Simulated, not validated on people.
"""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zenmoon_edge.simulator import physiology
from zenmoon_edge.simulator.chance import Chance, follow
from zenmoon_edge.simulator.child import Child, Event
from zenmoon_edge.simulator.errors import SimulatorError
from zenmoon_edge.simulator.latents import PREROLL_MIN, Latents, happenings
from zenmoon_edge.simulator.life import Life, minute
from zenmoon_edge.simulator.plans import MANNERS, Activity
from zenmoon_edge.virtual.generated import HEART_RATE_DELAY_S, START, Drive, write_waveforms

_SHORTEST_S = 2 * HEART_RATE_DELAY_S
_SCENE = 1_000_000_000  # the key of a scene's chances, no date's
TEST = Event("test", 12, 24, 0.60, rise_min=2, fade_min=6.0)
"""The test of `write_lesson_with_test`, in minutes from its beginning."""


class Lesson(NamedTuple):
    """An hour outside the calendar.

    Attributes:
        latents: one value a minute of whole hours; the truth.
        drive: one value a second, as long as asked for.
    """

    latents: Latents
    drive: Drive


def write_recording(child: Child, begin: datetime, seconds: int, folder: Path | str) -> Path:
    """Writes ACC, BVP, EDA, HR, IBI and TEMP as .csv of the child's life from `begin` on, and returns the folder.

    Args:
        child: whose.
        begin: with its zone; the recording starts at that second.
        seconds: length, at least 20.
        folder: created where it is absent.

    Raises:
        SimulatorError: `span` for a moment without a zone or a length too short.
    """
    _long_enough(seconds)
    minute("begin", begin)
    begin_s = int(begin.timestamp())
    drive = Life(child).drive(begin_s, seconds)
    return write_waveforms(folder, drive, Chance(child.seed).of(begin_s, "recording"), start=begin_s)


def write_lesson_with_test(
    child: Child, folder: Path | str, *, seconds: int = 3600, begin: datetime | None = None, test_minute: int = TEST.begin
) -> Path:
    """Writes an hour at a desk: calm lessons, and in between a test that announces itself two minutes before it begins.

    It stands outside the child's calendar, so that a demonstration has it at any hour, and the same child gives the same bytes.

    Args:
        child: whose body.
        folder: created where it is absent.
        seconds: length, at least 20.
        begin: the time that the folder names as its start; default a fixed one. What replays a folder starts now.
        test_minute: when the test begins. Before the fourth minute a model has seen too little of the calm to notice.

    Raises:
        SimulatorError: `span` for a moment without a zone or a length too short.
    """
    _long_enough(seconds)
    if begin is not None:
        minute("begin", begin)
    start = int(begin.timestamp()) if begin is not None else START
    drive = lesson_with_test(child, seconds, test_minute).drive
    return write_waveforms(folder, drive, Chance(child.seed).of(_SCENE, "recording"), start=start)


def lesson_with_test(child: Child, seconds: int = 3600, test_minute: int = TEST.begin) -> Lesson:
    """What `write_lesson_with_test` is made from."""
    test = TEST._replace(begin=test_minute)
    # Whole hours are made and cut, so that a shorter recording is the beginning of a longer one.
    minutes = np.arange(-PREROLL_MIN, -(-seconds // 3600) * 60)
    activities = np.full(len(minutes), Activity.LESSON, np.int8)
    activities[(minutes >= test.begin) & (minutes < test.begin + test.minutes)] = Activity.TEST
    drift = follow(Chance(child.seed).of(_SCENE, "strain").standard_normal(len(minutes)), 12.0)
    strain = child.strain + MANNERS[Activity.LESSON].strain + 0.06 * drift + happenings([test], minutes)
    whole = Latents(
        strain=np.clip(strain, 0, 1),
        engagement=np.clip(MANNERS[Activity.LESSON].engagement + 0.3 * happenings([test], minutes), 0, 1),
        stages=np.zeros(len(minutes), np.int8),
        activities=activities,
        body_h=(10 + minutes / 60) % 24,
    )
    worn = np.ones(60 * (len(minutes) - PREROLL_MIN), np.bool_)
    slow = physiology.body(child, whole, np.ones(len(minutes), np.bool_))
    drive = physiology.drive(child, _SCENE, slow, worn, worn)
    return Lesson(whole.cut(PREROLL_MIN), drive.cut(0, seconds))


def _long_enough(seconds: int) -> None:
    if seconds < _SHORTEST_S:
        raise SimulatorError("span", f"a recording of {seconds} s is too short: take at least {_SHORTEST_S} s")
