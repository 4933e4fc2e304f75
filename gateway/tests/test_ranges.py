"""A wrong range set would acknowledge what was never stored, so it is compared with Python's own set."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from zenmoon_gateway.ranges import RangeSet

NUMBER = st.integers(0, 60)
STEP = st.tuples(st.sampled_from(["add", "remove"]), NUMBER, NUMBER)


def played(steps):
    ranges, plain = RangeSet(), set()
    for name, one, other in steps:
        first, last = min(one, other), max(one, other)
        getattr(ranges, name)(first, last)
        (plain.update if name == "add" else plain.difference_update)(range(first, last + 1))
    return ranges, plain


@given(st.lists(STEP, max_size=30))
def test_a_range_set_holds_what_a_set_holds(steps):
    ranges, plain = played(steps)
    assert {number for first, last in ranges for number in range(first, last + 1)} == plain
    assert len(ranges) == len(plain)
    assert [number in ranges for number in range(62)] == [number in plain for number in range(62)]
    assert ranges.end == max(plain, default=-1) + 1
    assert ranges.prefix == next(number for number in range(62) if number not in plain) - 1


@given(st.lists(STEP, max_size=30))
def test_its_ranges_are_sorted_and_never_touch(steps):
    ranges = list(played(steps)[0])
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(ranges))


@given(st.lists(STEP, max_size=30), NUMBER, NUMBER)
def test_what_is_missing_is_what_the_set_lacks(steps, one, other):
    ranges, plain = played(steps)
    first, last = min(one, other), max(one, other)
    missing = {number for start, end in ranges.missing(first, last) for number in range(start, end + 1)}
    assert missing == set(range(first, last + 1)) - plain


@given(st.lists(STEP, max_size=30))
def test_it_survives_being_written_down(steps):
    ranges, _ = played(steps)
    assert RangeSet.from_json(ranges.to_json()) == ranges
    copy = ranges.copy()
    copy.add(100, 200)
    assert 100 not in ranges
