"""Simulated children as data: minutes as a phone makes them, with the truth. Nothing here is about people.

People are held out, as everywhere: other seeds are other children. `SHIFTED` are children of another age in another season
(holidays, a clock change), whose tests, quarrels and usual strain differ: how a model fares where its world is another.
"""

import hashlib
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.simulator import Calendar, Child, Truth, truth
from zenmoon_edge.simulator.epochs import METRICS

NAME = "the simulated child (zenmoon_edge.simulator)"
LICENCE = "Apache-2.0"
CITATION = "Made up by docs/simulator.md; whoever trains on it learns how it was made up"
POPULATION = "simulated, not people"
LIMITS = [
    "Simulated; not validated on people.",
    "Trained and scored on made-up children: the figures say how well it reads the simulator, not how well it knows a child.",
    "No diagnosis, no alarm, and no judgement of a child.",
]

_ZONE = "Europe/Berlin"
_DAYS = 14


class Group(NamedTuple):
    """Which children, from when on, and how they differ from `Child.drawn` of ten years."""

    seeds: range
    begin: date
    shifted: bool = False


TRAINING = Group(range(1000, 1060), date(2026, 9, 7))
HELD_OUT = Group(range(2000, 2024), date(2026, 9, 7))
SHIFTED = Group(range(3000, 3012), date(2027, 3, 22), shifted=True)


class Minutes(NamedTuple):
    """One child's fourteen days; arrays have one value a minute, gaps included.

    Attributes:
        name: of the child.
        values: by the names of the wire, NaN where nothing was measured.
        coverage: 0–1; 0 where the band did not work.
        engagement: the truth, 0–1.
        awake: the truth.
        clock: minute of the local day [0], weekday [1], Monday = 0: for the clock control only, no model ever sees it.
    """

    name: str
    values: dict[str, NDArray[np.float64]]
    coverage: NDArray[np.float64]
    engagement: NDArray[np.float64]
    awake: NDArray[np.bool_]
    clock: NDArray[np.float64]


def children(group: Group, count: int | None = None, days: int = _DAYS) -> list[Minutes]:
    """The first `count` children of a group, all by default."""
    zone = ZoneInfo(_ZONE)
    begin = datetime(group.begin.year, group.begin.month, group.begin.day, tzinfo=zone)
    return [_minutes(truth(_child(group, seed), begin, begin + timedelta(days=days))) for seed in group.seeds[:count]]


def digest(*groups: list[Minutes]) -> str:
    """SHA-256 over everything that a training sees of them."""
    total = hashlib.sha256()
    for one in (one for group in groups for one in group):
        total.update(one.name.encode())
        for column in (*one.values.values(), one.coverage, one.engagement):
            total.update(np.ascontiguousarray(column).tobytes())
    return total.hexdigest()


def _child(group: Group, seed: int) -> Child:
    if not group.shifted:
        return Child.drawn(seed, calendar=Calendar(zone=_ZONE))
    # Easter holidays begin in the second week.
    calendar = Calendar(zone=_ZONE, holidays=[(date(2027, 3, 29), date(2027, 4, 9))])
    child = Child.drawn(seed, age=15.0, calendar=calendar)
    return replace(child, tests_per_week=2.0, quarrels_per_week=2.0, strain=child.strain + 0.06, school_begins_h=7.5, loosening=5.0)


def _minutes(known: Truth) -> Minutes:
    sent = known.epochs
    local = known.ts_ms // 60_000 + known.zone_offset_s // 60
    return Minutes(
        name=f"simulated-{known.child.seed}",
        values={name: np.where(sent.working, sent.values[:, i], np.nan) for i, name in enumerate(METRICS)},
        coverage=np.where(sent.working, sent.coverage, 0.0),
        engagement=known.engagement,
        awake=known.stage == 0,
        clock=np.column_stack([local % 1440, (local // 1440 + 3) % 7]).astype(np.float64),
    )


def optional(column: NDArray[np.float64]) -> list[float | None]:
    """A column as the portable core takes it: None for NaN."""
    return [None if value != value else value for value in column.tolist()]  # noqa: PLR0124 - NaN is not itself
