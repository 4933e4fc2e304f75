"""What nobody can measure: strain and engagement, minute by minute.

Strain is the child's usual, plus what it does, plus what happens (rise, stay, fade), plus a short night, plus a first-order
autoregression; asleep it is low. Engagement comes from the activity, less when strain is high or the night was short.
All sizes are chosen; simulated, not validated on people.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zenmoon_edge.simulator.calendar import Day
from zenmoon_edge.simulator.chance import Chance, Flags, Signal, follow, ramp
from zenmoon_edge.simulator.child import Child, Event
from zenmoon_edge.simulator.nights import Night, Stage
from zenmoon_edge.simulator.plans import MANNERS, Activity, Plan

PREROLL_MIN = 240  # of the date before, so that what is sluggish has forgotten where it started

_ASLEEP = np.array([0.12, 0.09, 0.05, 0.14])  # strain by stage
_WAKING_MIN = 6.0  # strain changes between sleep and day with this time constant
_SETTLING_MIN = 4.0  # and with an activity with this one
_DRIFT = 0.055  # standard deviation of the autoregression
_DRIFT_MIN = 35.0  # and its time constant
_MEMORY_MIN = 240  # after which the autoregression has forgotten
_ENGAGEMENT_DRIFT = 0.11
_SHORT_NIGHT = 0.06  # strain per hour that a night was too short, at most two hours
_RHYTHM = 0.025  # strain is highest in the late morning, by the body's clock
_PEAK_H = 11.0
_OVERWHELMING = 0.5  # strain from which on engagement suffers


Codes = NDArray[np.int8]


class Latents(NamedTuple):
    """One value a minute.

    Attributes:
        strain: 0–1, against this child's usual.
        engagement: 0–1.
        stages: of sleep.
        activities: what it does.
        body_h: hours that the body's clock shows.
    """

    strain: Signal
    engagement: Signal
    stages: Codes
    activities: Codes
    body_h: Signal

    def cut(self, first: int) -> "Latents":
        """From the minute of that index on."""
        return Latents(
            self.strain[first:], self.engagement[first:], self.stages[first:], self.activities[first:], self.body_h[first:]
        )

    def after(self, before: "Latents") -> "Latents":
        """These, with the last PREROLL_MIN minutes of those before in front."""
        last = before.cut(-PREROLL_MIN)
        return Latents(
            strain=np.concatenate([last.strain, self.strain]),
            engagement=np.concatenate([last.engagement, self.engagement]),
            stages=np.concatenate([last.stages, self.stages]),
            activities=np.concatenate([last.activities, self.activities]),
            body_h=np.concatenate([last.body_h, self.body_h]),
        )


def latents(child: Child, days: tuple[Day, Day], plans: tuple[Plan, Plan], night: Night) -> Latents:
    """The latents of a date.

    Args:
        child: whose.
        days: the date before and the date.
        plans: of both.
        night: the one from which the child woke on the date.
    """
    before, day = days
    activities = np.concatenate([plans[0].activities[-PREROLL_MIN:], plans[1].activities])
    stages = np.concatenate([plans[0].stages[-PREROLL_MIN:], plans[1].stages])
    minutes = np.arange(day.begin - PREROLL_MIN, day.begin + day.minutes)
    offsets_s = np.concatenate([before.offsets_s[-PREROLL_MIN:], day.offsets_s])
    body_h = ((minutes + offsets_s / 60) / 60 - day.lag_h) % 24

    awake = follow((activities != Activity.SLEEP).astype(np.float64), _WAKING_MIN)
    short_h = float(np.clip(child.sleep_need_h - night.asleep_min / 60 - 0.5, -0.5, 2.0))
    happening = happenings((*plans[0].events, *plans[1].events, *child.events), minutes)
    up = (
        child.strain
        + follow(_manner(activities, 3), _SETTLING_MIN)
        + _RHYTHM * np.cos(2 * np.pi * (body_h - _PEAK_H) / 24)
        + _SHORT_NIGHT * short_h
        + _DRIFT * _drift(child, days, "strain")
        + happening
    )
    asleep = follow(_ASLEEP[stages], _WAKING_MIN) + 0.25 * happening
    strain = np.clip(awake * up + (1 - awake) * asleep, 0, 1)
    engaged = (
        follow(_manner(activities, 2), _SETTLING_MIN)
        + _ENGAGEMENT_DRIFT * _drift(child, days, "engagement")
        - 0.6 * np.maximum(strain - _OVERWHELMING, 0)
        - 0.5 * _SHORT_NIGHT * short_h
    )
    engagement = np.clip(awake * engaged, 0, 1) * (stages == Stage.WAKE)
    return Latents(strain, engagement, stages, activities, body_h).cut(PREROLL_MIN)


def happenings(events: Iterable[Event], minutes: NDArray[np.int64]) -> Signal:
    """The strain that events add at each of these minutes (UTC since 1970); together at most 0.8."""
    total = np.zeros(len(minutes))
    for event in events:
        since = (minutes - event.begin).astype(np.float64)
        fading = np.exp(-np.maximum(since - event.minutes, 0) / event.fade_min)
        total += event.size * ramp((since + event.rise_min) / event.rise_min) * fading
    return np.minimum(total, 0.8)


def alarm_wanted(child: Child, strain: Signal, worn: Flags) -> Flags:
    """Whether, at each minute, strain has stayed at the child's own threshold or above for its minutes, worn throughout.

    True from the last of these minutes on, as long as it stays; so it looks back only.
    """
    high = (strain >= child.alarm_strain) & worn
    lengths = np.fromiter(_runs(high.tolist()), np.int64, len(high))
    return np.asarray(lengths >= child.alarm_minutes)


def _runs(high: list[bool]) -> Iterable[int]:
    length = 0
    for one in high:
        length = length + 1 if one else 0
        yield length


def _manner(activities: Codes, column: int) -> Signal:
    return np.array([MANNERS[activity][column] for activity in Activity])[activities]


def _drift(child: Child, days: tuple[Day, Day], purpose: str) -> Signal:
    """A standard first-order autoregression over preroll and day, as the sum of its finite past."""
    chance = Chance(child.seed)
    steps = [chance.of(day.key, purpose).standard_normal(day.minutes) for day in days]
    decay = np.exp(-1 / _DRIFT_MIN)
    weights = np.sqrt(1 - decay**2) * decay ** np.arange(_MEMORY_MIN)
    past = PREROLL_MIN + _MEMORY_MIN - 1
    return np.convolve(np.concatenate([steps[0][-past:], steps[1]]), weights, "valid")
