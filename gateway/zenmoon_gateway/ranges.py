"""Sets of sequence numbers, kept as the few ranges that they are in practice."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Self

Range = tuple[int, int]
"""First and last number, both inside."""


class RangeSet:
    """A set of numbers ≥ 0 as sorted, disjoint, never touching ranges."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._first: list[int] = []
        self._last: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote."""
        return cls((first, last) for first, last in json.loads(text))

    def to_json(self) -> str:
        """The ranges as `[[first,last],…]`."""
        return json.dumps(list(self), separators=(",", ":"))

    def __iter__(self) -> Iterator[Range]:
        return iter(list(zip(self._first, self._last, strict=True)))

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._first, number) - 1
        return at >= 0 and number <= self._last[at]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self)

    def __bool__(self) -> bool:
        return bool(self._first)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeSet) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"RangeSet({list(self)})"

    @property
    def end(self) -> int:
        """One above the highest number, 0 when empty."""
        return self._last[-1] + 1 if self._last else 0

    @property
    def prefix(self) -> int:
        """The highest number up to which nothing is missing from 0 on; −1 when 0 itself is."""
        return self._last[0] if self._first and self._first[0] == 0 else -1

    def copy(self) -> RangeSet:
        """An independent copy."""
        return RangeSet(self)

    def add(self, first: int, last: int) -> None:
        """Adds `first…last`."""
        low = bisect_left(self._last, first - 1)
        high = bisect_right(self._first, last + 1)
        if low < high:
            first, last = min(first, self._first[low]), max(last, self._last[high - 1])
        self._first[low:high] = [first]
        self._last[low:high] = [last]

    def update(self, other: RangeSet) -> None:
        """Adds all of `other`."""
        for first, last in other:
            self.add(first, last)

    def remove(self, first: int, last: int) -> None:
        """Takes `first…last` out."""
        low = bisect_left(self._last, first)
        high = bisect_right(self._first, last)
        if low >= high:
            return
        rest = [(self._first[low], first - 1), (last + 1, self._last[high - 1])]
        rest = [(start, end) for start, end in rest if start <= end]
        self._first[low:high] = [start for start, _ in rest]
        self._last[low:high] = [end for _, end in rest]

    def missing(self, first: int, last: int) -> list[Range]:
        """The parts of `first…last` that are not in the set, in order."""
        holes = RangeSet([(first, last)]) if first <= last else RangeSet()
        low, high = bisect_left(self._last, first), bisect_right(self._first, last)
        for at in range(low, high):
            holes.remove(self._first[at], self._last[at])
        return list(holes)
