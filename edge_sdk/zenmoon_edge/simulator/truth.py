"""The truth about a span of a simulated life: what nobody can measure, and what was sent, minute by minute."""

from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zenmoon_edge.simulator.calendar import Day
from zenmoon_edge.simulator.chance import Flags, Signal
from zenmoon_edge.simulator.child import Child, Event
from zenmoon_edge.simulator.epochs import Epochs
from zenmoon_edge.simulator.errors import SimulatorError
from zenmoon_edge.simulator.life import Life, minute
from zenmoon_edge.simulator.nights import Night

MINUTE_MS = 60_000


class Truth(NamedTuple):
    """Simulated; not validated on people. Arrays have one value for each whole minute of the span, gaps included.

    Attributes:
        child: whose; `child.chronotype_h` is the corrected mid-sleep on free days that a chronotype should come to.
        ts_ms: UTC of the minute's beginning, ms since 1970.
        zone_offset_s: seconds east of UTC where the child was.
        strain: latent, 0–1.
        engagement: latent, 0–1.
        stage: of sleep, `Stage`.
        activity: `Activity`.
        worn: whether the band had usable contact for at least a second.
        alarm_wanted: strain has been at `child.alarm_strain` or above for `child.alarm_minutes`, worn throughout.
        epochs: coverage, quality and values of each minute as they are sent; minutes whose `working` is False are not sent.
        days: every date that the span touches.
        nights: every episode of sleep that lies in the span as a whole.
        events: everything that strained the child in the span.
    """

    child: Child
    ts_ms: NDArray[np.int64]
    zone_offset_s: NDArray[np.int32]
    strain: Signal
    engagement: Signal
    stage: NDArray[np.int8]
    activity: NDArray[np.int8]
    worn: Flags
    alarm_wanted: Flags
    epochs: Epochs
    days: list[Day]
    nights: list[Night]
    events: list[Event]


def truth(child: Child, begin: datetime, end: datetime) -> Truth:
    """The truth from `begin` to before `end`.

    Raises:
        SimulatorError: `span` for a moment without a zone, or no whole minute between them.
    """
    return of(Life(child), *span(begin, end))


def span(begin: datetime, end: datetime) -> tuple[int, int]:
    """First whole minute and the one after the last (UTC since 1970) between two moments; SimulatorError `span`."""
    first, last = minute("begin", begin), minute("end", end)
    first += first * 60 < begin.timestamp()
    if last <= first:
        raise SimulatorError("span", f"no whole minute lies between {begin.isoformat()} and {end.isoformat()}: move the end")
    return first, last


def of(life: Life, begin: int, end: int) -> Truth:
    """The truth of a life from minute `begin` to before minute `end` (UTC since 1970)."""
    dates = life.dates(begin, end)
    cuts = [slice(max(0, begin - life.day(on).begin), max(0, end - life.day(on).begin)) for on in dates]
    made = [life.date(on) for on in dates]

    def joined(columns: list[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate([column[cut] for column, cut in zip(columns, cuts, strict=True)])

    nights = [night for on in dates for night in life.nights(on)[:-1]]
    events = [event for on in dates for event in life.plan(on).events] + list(life.child.events)
    coverage = joined([one.epochs.coverage for one in made])
    return Truth(
        child=life.child,
        ts_ms=np.arange(begin, end, dtype=np.int64) * MINUTE_MS,
        zone_offset_s=joined([one.day.offsets_s for one in made]),
        strain=joined([one.latents.strain for one in made]),
        engagement=joined([one.latents.engagement for one in made]),
        stage=joined([one.latents.stages for one in made]),
        activity=joined([one.latents.activities for one in made]),
        worn=coverage > 0,
        alarm_wanted=joined([one.alarm_wanted for one in made]),
        epochs=Epochs(
            coverage,
            joined([one.epochs.quality for one in made]),
            joined([one.epochs.values for one in made]),
            joined([one.epochs.working for one in made]),
        ),
        days=[one.day for one in made],
        nights=[night for night in nights if begin <= night.onset and night.wake < end],
        events=[event for event in events if begin <= event.begin < end],
    )
