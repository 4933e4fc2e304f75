"""A simulated life: every part of every date, made when it is asked for and the same whenever that is."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np

from zenmoon_edge.simulator import epochs, latents, nights, physiology, plans, wear
from zenmoon_edge.simulator.calendar import Day
from zenmoon_edge.simulator.chance import Flags, Signal
from zenmoon_edge.simulator.child import Child
from zenmoon_edge.simulator.errors import SimulatorError
from zenmoon_edge.simulator.latents import PREROLL_MIN
from zenmoon_edge.virtual.generated import Drive

_KEPT_DAYS = 6  # a day needs the one before and the one after
_WORN_SHARE = 0.5  # of a minute, from which on the skin below the band counts as covered
_ONE = timedelta(days=1)
_Made = TypeVar("_Made")


class Date(NamedTuple):
    """One date of a life; arrays have one value a minute."""

    day: Day
    latents: latents.Latents
    epochs: epochs.Epochs
    alarm_wanted: Flags


class Life:
    """A child's life. Nothing depends on what was asked before; the last days asked for are kept.

    Args:
        child: whose.
    """

    def __init__(self, child: Child) -> None:
        self.child = child
        self.day: Callable[[date], Day] = _kept(child.calendar.day)
        self.night: Callable[[date], nights.Night] = _kept(lambda on: nights.night(child, self.day(on)))
        self.plan: Callable[[date], plans.Plan] = _kept(lambda on: plans.plan(child, self.day(on), self.nights(on)))
        self.wear: Callable[[date], wear.Wear] = _kept(
            lambda on: wear.wear(child, self.day(on), self.day(on - _ONE), self.nights(on))
        )
        self.latents: Callable[[date], latents.Latents] = _kept(self._latents)
        self.body: Callable[[date], Drive] = _kept(self._body)
        self.date: Callable[[date], Date] = _kept(self._date)

    def nights(self, on: date) -> list[nights.Night]:
        """Every episode of sleep that touches a date, in order."""
        nap = nights.nap(self.child, self.day(on))
        return [self.night(on), *([nap] if nap else []), self.night(on + _ONE)]

    def dates(self, begin: int, end: int) -> list[date]:
        """The dates that a span of minutes (UTC since 1970) touches."""
        on = self.child.calendar.at(begin)
        found = []
        while self.day(on).begin < end:
            found.append(on)
            on += _ONE
        return found

    def drive(self, begin_s: int, seconds: int) -> Drive:
        """The body second by second, from unix seconds `begin_s` on."""
        parts = []
        for on in self.dates(begin_s // 60, -(-(begin_s + seconds) // 60)):
            body, origin = self.body(on), self.day(on).begin * 60
            part = body.cut(max(0, begin_s - origin), min(len(body.contact), begin_s + seconds - origin))
            parts.append(part._replace(responses=np.add(part.responses, [max(0, origin - begin_s), 0.0])))
        return Drive(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _latents(self, on: date) -> latents.Latents:
        before = on - _ONE
        return latents.latents(self.child, (self.day(before), self.day(on)), (self.plan(before), self.plan(on)), self.night(on))

    def _body(self, on: date) -> Drive:
        worn, before = self.wear(on), self.wear(on - _ONE)
        on_wrist = np.concatenate([_share(before.on_wrist)[-PREROLL_MIN:], _share(worn.on_wrist)]) >= _WORN_SHARE
        slow = physiology.body(self.child, self.latents(on).after(self.latents(on - _ONE)), on_wrist)
        return physiology.drive(self.child, self.day(on).key, slow, worn.contact, worn.on_wrist)

    def _date(self, on: date) -> Date:
        day, latent, worn, before = self.day(on), self.latents(on), self.wear(on), self.wear(on - _ONE)
        touched = np.concatenate([_share(before.contact)[-PREROLL_MIN:], _share(worn.contact)]) > 0
        strain = latent.after(self.latents(on - _ONE)).strain
        return Date(
            day=day,
            latents=latent,
            epochs=epochs.epochs(self.child, day, latent, self.body(on), worn, covered_before=bool(touched[PREROLL_MIN - 1])),
            alarm_wanted=latents.alarm_wanted(self.child, strain, touched)[PREROLL_MIN:],
        )


def minute(name: str, moment: datetime) -> int:
    """The minute (UTC since 1970) that a moment lies in.

    Raises:
        SimulatorError: `span` for a moment without a zone.
    """
    if moment.tzinfo is None:
        raise SimulatorError("span", f"{name} {moment.isoformat()} has no zone: write it like 2026-11-21T00:00:00+00:00")
    return int(moment.timestamp() // 60)


def _kept(make: Callable[[date], _Made]) -> Callable[[date], _Made]:
    return lru_cache(maxsize=_KEPT_DAYS)(make)


def _share(flags: Flags) -> Signal:
    return np.asarray(flags.reshape(-1, 60).mean(axis=1))
