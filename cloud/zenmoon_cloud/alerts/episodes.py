"""The rule: strain at or above a child's limit for some minutes. Pure, and in event time.

What a rule has seen of a child is kept as three sets of time: where strain was above the limit, a little below it, clearly below
it. Episodes are read off those sets. So they depend on what was measured and not on the order in which it arrived, and nothing that
was stored before has to be read again when more arrives.

- A sample at or above the limit begins or goes on with a run. One clearly below the limit (`HYSTERESIS`) ends it. One between the
  two changes nothing: a run goes on, but neither begins nor grows long enough by it.
- A stretch of at most `BRIDGED_US` without a value is bridged; a longer one ends a run where the values ended. Nobody knows what
  was in it, and an alarm must not rest on that.
- A run whose samples above the limit span the rule's minutes is an episode.
- Where two bands of one child speak at once, the higher strain counts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from zenmoon_cloud.alerts.stretches import Stretch, Stretches, after, join, together, without

MINUTE_US = 60_000_000

BRIDGED_US = MINUTE_US
"""Moving the wrist or pulling at the band costs a quarter to half a minute of values; a minute is more than that and less than a
change of what the child does."""

HYSTERESIS = 0.05
"""Strain comes in steps of 1/255 and wavers by two or three of them from one step of the model to the next; twelve are a change."""

HORIZON_US = 6 * 60 * MINUTE_US
"""How far behind the latest sample another may come and still count. A second phone or band that stays away for a school day is
back by then; what is older is history, which the charts show."""


class Sample(NamedTuple):
    """A newly stored record of a child.

    Attributes:
        child_id: who wore the band.
        time_us: end of its 4 s, microseconds since 1970 UTC.
        strain: 0-1, None where its quality forbids a value.
    """

    child_id: str
    time_us: int
    strain: float | None


class Rule(NamedTuple):
    """When to raise an alarm.

    Attributes:
        threshold: strain, 0-1; at it is above it.
        minutes: how long.
    """

    threshold: float
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What a rule has seen of a child.

    Attributes:
        rule: which one; the sets below are made by its threshold.
        since: samples at or before it are not looked at any more, and whatever ended before it is settled. Microseconds.
        latest: the latest sample, with or without a value.
        above: at or above the limit, with the highest strain.
        middle: below the limit by less than `HYSTERESIS`.
        below: by more.
    """

    rule: Rule
    since: int
    latest: int
    above: Stretches = ()
    middle: Stretches = ()
    below: Stretches = ()


class Episode(NamedTuple):
    """Strain was above the limit long enough.

    Attributes:
        begin: where its first record above the limit began, microseconds.
        end: the end of its last record, None while it goes on.
        peak: highest strain in it, in hundredths.
    """

    begin: int
    end: int | None
    peak: int


class Run(NamedTuple):
    """An episode, or what may become one: `lasted` until the end of the last stretch above the limit."""

    begin: int
    lasted: int
    end: int
    going: bool
    peak: int


def observe(track: Track, samples: Iterable[tuple[int, float | None]]) -> Track:
    """Adds samples, each (time, strain), in any order."""
    limit = track.rule.threshold
    low = round(limit - HYSTERESIS, 9)
    above: list[tuple[int, int]] = []
    middle: list[tuple[int, int]] = []
    below: list[tuple[int, int]] = []
    latest = track.latest
    for time, strain in samples:
        if time <= track.since:
            continue
        latest = max(latest, time)
        if strain is None:
            continue
        if strain >= limit:
            above.append((time, round(strain * 100)))
        elif strain < low:
            below.append((time, 0))
        else:
            middle.append((time, 0))
    return replace(
        track,
        latest=latest,
        above=join(track.above, above) if above else track.above,
        middle=join(track.middle, middle) if middle else track.middle,
        below=join(track.below, below) if below else track.below,
    )


def episodes(track: Track, known: Stretches = ()) -> list[Episode]:
    """What the rule finds, in the order of time.

    Args:
        track: what was seen.
        known: stretches that earlier, closed alarms spoke of; an episode neither reaches into them nor over them.
    """
    needed = track.rule.minutes * MINUTE_US
    return [
        Episode(run.begin, None if run.going else run.end, run.peak)
        for run in _runs(track, known)
        if run.lasted - run.begin >= needed
    ]


def forget(track: Track, horizon: int) -> Track:
    """Drops what lies before `horizon`. Of a run that reaches over it the beginning stays, as one stretch."""
    if horizon <= track.since:
        return track
    above, middle = after(track.above, horizon), after(track.middle, horizon)
    for run in _runs(track):
        if run.begin < horizon < run.end:
            past = [stretch for stretch in track.above if run.begin <= stretch.begin < horizon]
            lasted = min(past[-1].end, horizon)
            above.append(Stretch(run.begin, lasted, max(stretch.peak for stretch in past)))
            middle.append(Stretch(lasted, horizon))  # what followed was below the limit, or bridged
    return replace(
        track,
        since=horizon,
        above=together(above, 0),
        middle=together((stretch for stretch in middle if stretch.begin < stretch.end), 0),
        below=after(track.below, horizon),
    )


def _runs(track: Track, known: Stretches = ()) -> list[Run]:
    if not track.above:
        return []
    above = without(track.above, known)
    below = together([*without(track.below, above), *known], 0)
    middle = without(without(track.middle, above), below)
    found: list[Run] = []
    going = False
    for (begin, end, peak), kind in _in_order(above, middle, below):
        near = going and begin - found[-1].end <= BRIDGED_US
        going = near if kind == "middle" else kind == "above"
        if kind == "above":
            if near:
                run = found.pop()
                found.append(Run(run.begin, end, end, going=False, peak=max(run.peak, peak)))
            else:
                found.append(Run(begin, end, end, going=False, peak=peak))
        elif going:
            found[-1] = found[-1]._replace(end=end)
    if going and track.latest - found[-1].end <= BRIDGED_US:
        found[-1] = found[-1]._replace(going=True)
    return found


def _in_order(above: Stretches, middle: Stretches, below: Stretches) -> Sequence[tuple[Stretch, str]]:
    kinds = {"above": above, "middle": middle, "below": below}
    return sorted((stretch, kind) for kind, stretches in kinds.items() for stretch in stretches)
