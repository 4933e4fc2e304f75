"""Arithmetic of the ledger: which sequence numbers of a boot are already kept. Pure.

PostgreSQL keeps them as an `int8multirange`; a batch of one boot is nearly always one range, so both sides stay short.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable

Ranges = list[tuple[int, int]]
"""Half-open, rising, neither touching nor overlapping: PostgreSQL's canonical form."""


def ranges(seqs: Iterable[int]) -> Ranges:
    """The ranges that hold exactly `seqs`."""
    found: Ranges = []
    for seq in sorted(set(seqs)):
        if found and found[-1][1] == seq:
            found[-1] = (found[-1][0], seq + 1)
        else:
            found.append((seq, seq + 1))
    return found


def literal(held: Ranges) -> str:
    """`held` as PostgreSQL writes an int8multirange."""
    return "{%s}" % ",".join("[%d,%d)" % pair for pair in held)


def parse(text: str) -> Ranges:
    """Reads what PostgreSQL writes for an int8multirange without infinite bounds."""
    return [(int(first), int(end)) for first, end in re.findall(r"\[(\d+),(\d+)\)", text)]


def holds(held: Ranges, seq: int) -> bool:
    """Whether `seq` is in `held`."""
    at = bisect_right(held, seq, key=lambda pair: pair[0])
    return at > 0 and seq < held[at - 1][1]
