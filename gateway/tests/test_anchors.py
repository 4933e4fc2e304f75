"""A record at the wrong time is worse than none: only plausible anchors rule, and the first one stays."""

from zenmoon_gateway.anchors import (
    CLOCK_BOUND_MS,
    ESTIMATE_UNCERTAINTY_MS,
    Anchor,
    BootTime,
    Origin,
    Reference,
    distance_ms,
    estimates,
)

NOW = 1_800_000_000_000
RUNNING = Reference(boot=9, tick_ms=1_000_000, utc_ms=NOW)


def anchor(tick_ms, utc_ms, uncertainty_ms=50):
    return Anchor(tick_ms=tick_ms, utc_ms=utc_ms, source=Origin.GATEWAY_CLOCK, uncertainty_ms=uncertainty_ms)


def test_ticks_become_utc_through_the_anchor():
    assert anchor(5_000, NOW).utc_at(1_000) == NOW - 4_000
    assert anchor(5_000, NOW).utc_at(9_000) == NOW + 4_000


def test_an_anchor_that_agrees_with_this_clock_may_rule():
    assert distance_ms(anchor(999_000, NOW - 1_000 - 800), 9, RUNNING) == 0


def test_an_anchor_of_a_wrong_phone_clock_may_not():
    assert distance_ms(anchor(999_000, NOW - 1_000 - 3_600_000), 9, RUNNING) > 3_500_000
    assert distance_ms(anchor(999_000, NOW + 3_600_000), 9, RUNNING) > 3_500_000


def test_its_own_uncertainty_is_granted():
    off = anchor(999_000, NOW - 1_000 + 60_000, uncertainty_ms=60_000)
    assert distance_ms(off, 9, RUNNING) == 0


def test_a_crystal_may_have_drifted_for_days():
    late = Reference(boot=9, tick_ms=10 * 86_400_000, utc_ms=NOW)
    week_ago = anchor(3 * 86_400_000, NOW - 7 * 86_400_000 - CLOCK_BOUND_MS - 60_000)
    assert distance_ms(week_ago, 9, late) == 0


def test_an_earlier_boot_cannot_lie_in_the_future():
    assert distance_ms(anchor(0, NOW - 9_000_000), 3, RUNNING) == 0
    assert distance_ms(anchor(0, NOW + 9_000_000), 3, RUNNING) > 0


def test_a_demo_clock_stretches_the_transfer():
    fast = Reference(boot=9, tick_ms=1_000_000, utc_ms=NOW, rate=60)
    assert distance_ms(anchor(1_000_000, NOW - 5 * CLOCK_BOUND_MS), 9, fast) == 0


def test_a_boot_that_never_met_a_gateway_ends_where_the_next_one_starts():
    boots = [
        BootTime(boot=1, finished=True, last_tick_ms=40_000, anchor=None),
        BootTime(boot=2, finished=True, last_tick_ms=70_000, anchor=None),
        BootTime(boot=3, finished=False, last_tick_ms=9_000, anchor=anchor(5_000, NOW)),
    ]
    found = estimates(boots)
    assert found[2].utc_at(70_000) == NOW - 5_000
    assert found[1].utc_at(40_000) == found[2].utc_at(0)
    assert {one.source for one in found.values()} == {Origin.ESTIMATED}
    assert found[1].uncertainty_ms > found[2].uncertainty_ms >= ESTIMATE_UNCERTAINTY_MS


def test_nothing_is_estimated_while_entries_or_the_next_anchor_are_missing():
    ended = BootTime(boot=1, finished=True, last_tick_ms=40_000, anchor=None)
    arriving = BootTime(boot=1, finished=False, last_tick_ms=40_000, anchor=None)
    timeless = BootTime(boot=2, finished=False, last_tick_ms=9_000, anchor=None)
    known = BootTime(boot=2, finished=False, last_tick_ms=9_000, anchor=anchor(0, NOW))
    assert estimates([ended, timeless]) == {}
    assert estimates([arriving, known]) == {}
    assert estimates([known]) == {}
