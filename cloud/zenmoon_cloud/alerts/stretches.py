"""Stretches of time, as sets of whole microseconds since 1970 UTC. Pure.

A set is a list of half-open stretches, rising and apart. Joining samples to a set gives the same set in whatever order and in
however many portions they come.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

COVERED_US = 4_000_000
"""A record says how the last 4 s were: one step of the model."""

JOIN_US = COVERED_US // 2
"""Stretches no further apart are one. A band's step is a few milliseconds off, and a stretch a record would be thousands."""

FOR_EVER = 2**63 - 1


class Stretch(NamedTuple):
    """From `begin` until before `end`; `peak` is the highest strain in it, in hundredths."""

    begin: int
    end: int
    peak: int = 0


Stretches = Sequence[Stretch]


def join(known: Stretches, samples: Iterable[tuple[int, int]]) -> list[Stretch]:
    """Adds samples, each (time, strain in hundredths), to a set."""
    return together([*known, *(Stretch(time - COVERED_US, time, peak) for time, peak in samples)], JOIN_US)


def together(stretches: Iterable[Stretch], apart: int) -> list[Stretch]:
    """The set that holds all stretches; what is at most `apart` microseconds apart becomes one."""
    found: list[Stretch] = []
    for stretch in sorted(stretches):
        if found and stretch.begin - found[-1].end <= apart:
            last = found[-1]
            found[-1] = Stretch(last.begin, max(last.end, stretch.end), max(last.peak, stretch.peak))
        else:
            found.append(stretch)
    return found


def without(held: Stretches, taken: Stretches) -> list[Stretch]:
    """What of `held` is not in `taken`."""
    if not taken:
        return list(held)
    found: list[Stretch] = []
    at = 0
    for stretch in held:
        begin, end, peak = stretch
        while at < len(taken) and taken[at].end <= begin:
            at += 1
        cut = at
        while cut < len(taken) and taken[cut].begin < end:
            if begin < taken[cut].begin:
                found.append(Stretch(begin, taken[cut].begin, peak))
            begin = max(begin, taken[cut].end)
            cut += 1
        if begin < end:
            found.append(Stretch(begin, end, peak))
    return found


def after(held: Stretches, time: int) -> list[Stretch]:
    """What of `held` lies after `time`."""
    return [Stretch(max(begin, time), end, peak) for begin, end, peak in held if end > time]


def literal(held: Iterable[tuple[int, ...]]) -> str:
    """A set as PostgreSQL writes an int8multirange; `FOR_EVER` is its open end."""
    return "{%s}" % ",".join("[%d,%s)" % (begin, "" if end == FOR_EVER else end) for begin, end, *_ in held)


def parse(text: str, peaks: Sequence[int] = ()) -> list[Stretch]:
    """Reads what PostgreSQL writes for such a set."""
    pairs = re.findall(r"\[(-?\d+),(-?\d*)\)", text)
    tops = peaks or [0] * len(pairs)
    return [Stretch(int(begin), int(end or FOR_EVER), peak) for (begin, end), peak in zip(pairs, tops, strict=True)]
