"""When the band is on the wrist: charging, baths, forgetting it, wearing it too loose. Probabilities are the child's, chosen."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zenmoon_edge.simulator.calendar import Day
from zenmoon_edge.simulator.chance import Chance, Flags
from zenmoon_edge.simulator.child import Child
from zenmoon_edge.simulator.nights import Night

_BLOCK_S = 5  # contact of a loose band comes and goes in pieces of so many seconds; divides a minute


class Wear(NamedTuple):
    """One date.

    Attributes:
        contact: whether the band is worn with usable contact, one for each second.
        on_wrist: whether it is worn at all, one for each second.
        working: whether it measures at all (off while it is charged), one for each minute.
    """

    contact: Flags
    on_wrist: Flags
    working: NDArray[np.bool_]


class Evening(NamedTuple):
    """When the band comes off for charging; seconds UTC since 1970. Left off for the night: until the child is up."""

    begin: int
    end: int
    overnight: bool


def evening(child: Child, day: Day) -> Evening | None:
    """The charging of one date; it begins between 18:10 and 20:10."""
    chance = Chance(child.seed).of(day.key, "charging")
    index = day.at_clock(18 + round(60 * float(np.clip(1.15 + 0.4 * chance.standard_normal(), 0.2, 2.1))) / 60)
    begin_s, minutes = int(chance.integers(0, 60)), float(np.clip(58 + 12 * chance.standard_normal(), 30, 90))
    charges, overnight = chance.random() < child.charging, chance.random() < child.forgetting
    if not charges or index is None:
        return None
    begin = (day.begin + index) * 60 + begin_s
    return Evening(begin, begin + round(minutes * 60), overnight)


def wear(child: Child, day: Day, before: Day, nights: list[Night]) -> Wear:
    """One date.

    Args:
        child: whose band.
        day: which date.
        before: the date before, from whose evening the band may still lie on its charger.
        nights: every episode of sleep that touches the date.
    """
    chance = Chance(child.seed).of(day.key, "wear")
    seconds, origin = day.minutes * 60, day.begin * 60
    on_wrist, charger = np.ones(seconds, np.bool_), np.zeros(seconds, np.bool_)

    def lay(flags: Flags, value: bool, begin: int, end: int) -> None:
        flags[max(0, begin - origin) : max(0, end - origin)] = value

    last = None
    for one in (evening(child, before), evening(child, day)):
        if one is None:
            continue
        up = [n.wake for n in nights if not n.nap and n.lights_out * 60 > one.begin]
        # The night that follows an evening may touch this date only in part: then the band lies there to its end.
        end = one.end if not one.overnight else ((up[0] + 20) * 60 if up else origin + seconds)
        lay(on_wrist, False, one.begin, end)
        lay(charger, True, one.begin, end)
        last = one
    if chance.random() < child.bathing and last is not None and not last.overnight:
        lay(on_wrist, False, last.end, last.end + int(chance.integers(12 * 60, 25 * 60)))
    if chance.random() < child.forgetting:
        begin = origin + int(chance.integers(8 * 3600, 15 * 3600))
        lay(on_wrist, False, begin, begin + int(chance.integers(2 * 3600, 5 * 3600)))
    loose = np.ones(seconds, np.bool_)
    for begin in chance.integers(0, seconds, chance.poisson(child.loosening)).tolist():
        length = int(chance.integers(4, 40)) * 60
        share = chance.uniform(0.05, 0.85)
        first = begin // _BLOCK_S * _BLOCK_S
        part = loose[first : first + length]
        part &= np.repeat(chance.random(-(-length // _BLOCK_S)) < share, _BLOCK_S)[: len(part)]
    working = np.asarray(~charger.reshape(-1, 60).all(axis=1))
    return Wear(on_wrist & loose, on_wrist, working)
