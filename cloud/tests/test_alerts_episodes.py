"""The rule alone: what is an episode, and that it does not matter in which order and portions records arrive."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zenmoon_cloud.alerts.alarms import Facts, Open, settle
from zenmoon_cloud.alerts.episodes import HORIZON_US, Episode, Rule, Track, episodes, forget, observe
from zenmoon_cloud.alerts.stretches import Stretch, join, literal, parse, without

SECOND = 1_000_000
STEP = 4 * SECOND
BEGIN = 1_790_000_000 * SECOND
RULE = Rule(0.75, 2)
LONG = 2 * 60 // 4
"""Records of two minutes."""

HIGH, MIDDLE, LOW = 0.8, 0.72, 0.3


def track(rule: Rule = RULE) -> Track:
    return Track(rule=rule, since=0, latest=0)


def samples(*strains: float | None, first: int = 1) -> list[tuple[int, float | None]]:
    """One record after the other; the first ends at 4 s times `first`."""
    return [(BEGIN + STEP * number, strain) for number, strain in enumerate(strains, first)]


def found(*strains: float | None) -> list[tuple[float, float | None, int]]:
    """Episodes in seconds since the begin of the first record."""
    seen = episodes(observe(track(), samples(*strains)))
    return [
        ((episode.begin - BEGIN) / SECOND, None if episode.end is None else (episode.end - BEGIN) / SECOND, episode.peak)
        for episode in seen
    ]


def test_two_minutes_are_an_episode_and_one_record_less_is_none() -> None:
    assert found(*[HIGH] * LONG) == [(0, None, 80)]
    assert found(*[HIGH] * (LONG - 1)) == []
    assert found(*[HIGH] * (LONG - 1), LOW, HIGH) == []


def test_at_the_limit_is_above_it() -> None:
    assert found(*[0.75] * LONG) == [(0, None, 75)]
    assert found(*[0.749] * LONG) == []


def test_strain_a_little_below_the_limit_keeps_the_state_and_clearly_below_ends_it() -> None:
    assert found(*[HIGH] * LONG, *[0.70] * 100) == [(0, None, 80)]
    assert found(*[HIGH] * LONG, *[0.70] * 10, 0.69) == [(0, 160, 80)]
    assert found(*[HIGH] * LONG, 0.69, HIGH) == [(0, 120, 80)]


def test_strain_a_little_below_neither_begins_nor_makes_long_enough() -> None:
    assert found(*[MIDDLE] * 100) == []
    assert found(HIGH, *[MIDDLE] * 100) == []
    assert found(*[MIDDLE] * 10, *[HIGH] * (LONG - 1), *[MIDDLE] * 10) == []
    assert found(HIGH, *[MIDDLE] * (LONG - 2), HIGH) == [(0, None, 80)]


def test_a_minute_without_values_is_bridged_and_a_longer_one_ends_it() -> None:
    assert found(*[HIGH] * 10, *[None] * 15, *[HIGH] * 10) == [(0, None, 80)]
    assert found(*[HIGH] * 10, *[None] * 16, *[HIGH] * 10) == []
    assert found(*[HIGH] * LONG, *[None] * 15) == [(0, None, 80)]
    assert found(*[HIGH] * LONG, *[None] * 16) == [(0, 120, 80)]


def test_the_peak_is_that_of_the_episode() -> None:
    assert found(0.99, LOW, *[HIGH] * LONG, 0.91, MIDDLE, LOW, *[0.95] * 3) == [(8, 136, 91)]


def test_a_step_that_is_milliseconds_off_keeps_the_sets_short() -> None:
    late = [(BEGIN + number * (STEP + 3_000), HIGH) for number in range(1, 1000)]
    seen = observe(track(), late)
    assert len(seen.above) == 1


def test_of_two_bands_the_higher_strain_counts() -> None:
    seen = observe(track(), [*samples(*[HIGH] * LONG), *((time + SECOND, LOW) for time, _ in samples(*[LOW] * (LONG - 1)))])
    assert [episode.end for episode in episodes(seen)] == [None]


def test_known_stretches_are_no_part_of_an_episode() -> None:
    seen = observe(track(), samples(*[HIGH] * (3 * LONG)))
    known = [Stretch(BEGIN + 100 * SECOND, BEGIN + 200 * SECOND)]
    assert episodes(seen, known) == [Episode(BEGIN + 200 * SECOND, None, 80)]
    assert episodes(seen, [Stretch(BEGIN + 130 * SECOND, BEGIN + 300 * SECOND)]) == [Episode(BEGIN, BEGIN + 130 * SECOND, 80)]


def naive(strains: Sequence[float | None], rule: Rule) -> list[Episode]:
    """The rule told record by record, in order."""
    low, needed = rule.threshold - 0.05, rule.minutes * 60 * SECOND
    done: list[Episode] = []
    begin = last_above = last = peak = 0
    going = False

    def end(open_end: int | None) -> None:
        if going and last_above - begin >= needed:
            done.append(Episode(begin, open_end, round(peak * 100)))

    for time, strain in samples(*strains):
        if going and time - STEP - last > 60 * SECOND:
            end(last)
            going = False
        if strain is None:
            if going and time - last > 60 * SECOND:
                end(last)
                going = False
        elif strain >= rule.threshold:
            if not going:
                begin, peak, going = time - STEP, 0, True
            last, last_above, peak = time, time, max(peak, strain)
        elif strain < low:
            end(last)
            going = False
        elif going:
            last = time
    end(None)
    return done


blocks = st.lists(
    st.tuples(st.sampled_from([0.9, HIGH, 0.75, MIDDLE, 0.70, 0.69, LOW, None, "absent"]), st.integers(1, 40)),
    min_size=1,
    max_size=12,
)


def spread(chosen: list[tuple[float | str | None, int]]) -> list[tuple[int, float | None]]:
    strains = [strain for strain, count in chosen for _ in range(count)]
    return [(time, strain) for time, strain in samples(*strains) if strain != "absent"]


@given(chosen=blocks)
def test_it_is_what_the_rule_says_record_by_record(chosen: list[tuple[float | str | None, int]]) -> None:
    without_absent = [(strain, count) for strain, count in chosen if strain != "absent"]
    strains = [strain for strain, count in without_absent for _ in range(count)]
    assert episodes(observe(track(), samples(*strains))) == naive(strains, RULE)


@given(chosen=blocks, data=st.data())
def test_any_order_and_any_portions_give_the_same_episodes_and_alarms(
    chosen: list[tuple[float | str | None, int]], data: st.DataObject
) -> None:
    whole = spread(chosen)
    shuffled = data.draw(st.permutations(whole))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=8)) | {0, len(whole)})
    portions = [shuffled[first:last] for first, last in pairwise(cuts)]
    expected_track, expected_alarm = live(track(), [whole])
    for order in (portions, [sorted(portion) for portion in portions], [[sample] for sample in shuffled]):
        got, alarm = live(track(), order)
        assert got == expected_track
        assert alarm == expected_alarm


def live(seen: Track, portions: Sequence[Sequence[tuple[int, float | None]]]) -> tuple[Track, Facts | None]:
    """What ingest does batch by batch, without a database, while nobody acknowledges."""
    alarm: Facts | None = None
    for portion in portions:
        seen = observe(seen, portion)
        changed, raised = settle(Open(alarm, None) if alarm else None, episodes(seen), seen.since)
        alarm = raised or changed
        if alarm is not None and not alarm.episodes:
            alarm = None
        seen = forget(seen, seen.latest - HORIZON_US)
    return seen, alarm


@given(chosen=blocks)
def test_what_is_forgotten_leaves_the_begin_of_what_goes_on(chosen: list[tuple[float | str | None, int]]) -> None:
    whole = spread([*chosen, (HIGH, LONG), (LOW, 1)])
    seen = observe(track(), whole)
    for horizon in range(BEGIN, BEGIN + STEP * len(whole), 7 * STEP + 1):
        kept = forget(seen, horizon)
        assert episodes(kept) == [episode for episode in episodes(seen) if episode.end is None or episode.end > horizon]
        assert observe(kept, [sample for sample in whole if sample[0] <= horizon]) == kept


def test_samples_before_the_horizon_change_nothing() -> None:
    seen = forget(observe(track(), samples(*[LOW] * LONG)), BEGIN + 60 * SECOND)
    assert observe(seen, samples(*[HIGH] * 15)) == seen


def facts(*spans: tuple[int, int | None], peak: int = 80) -> Facts:
    _, raised = settle(None, [Episode(*span, peak) for span in spans], 0)
    assert raised is not None
    return raised


def test_a_further_episode_makes_an_open_alarm_longer() -> None:
    first = facts((10, 20))
    changed, raised = settle(Open(first, None), [Episode(10, 20, 80), Episode(30, None, 85)], 0)
    assert raised is None
    assert changed is not None
    assert changed[:4] == (10, None, 2, 85)


def test_late_records_that_undo_an_episode_withdraw_its_alarm() -> None:
    changed, raised = settle(Open(facts((10, 20)), None), [], 0)
    assert raised is None
    assert changed is not None
    assert (changed.episodes, changed.ended) == (0, None)


def test_settled_episodes_stay_and_are_counted_once() -> None:
    first = facts((10, 20), (30, 40), (50, None))
    changed, _ = settle(Open(first, None), [Episode(50, 60, 70)], 45)
    assert changed is not None
    assert changed[:4] == (10, 60, 3, 80)
    again, _ = settle(Open(changed, None), [Episode(70, None, 90)], 65)
    assert again is not None
    assert again[:4] == (10, None, 4, 90)
    undone, _ = settle(Open(again, None), [], 65)
    assert undone is not None
    assert undone[:3] == (10, 60, 3)


def test_an_acknowledgement_speaks_of_what_had_begun_by_then() -> None:
    going = facts((10, None))
    changed, raised = settle(Open(going, 15), [Episode(10, 20, 80), Episode(30, None, 85)], 0)
    assert changed is not None
    assert changed[:3] == (10, 20, 1)
    assert raised is not None
    assert raised[:4] == (30, None, 1, 85)


@given(held=st.lists(st.integers(0, 60), max_size=20), taken=st.lists(st.integers(0, 60), max_size=20))
def test_sets_of_time(held: list[int], taken: list[int]) -> None:
    one, other = (join([], [(number * STEP, 0) for number in numbers]) for numbers in (held, taken))

    def steps(stretches: Sequence[Stretch]) -> set[int]:
        return {time // STEP for stretch in stretches for time in range(stretch.begin, stretch.end, STEP)}

    assert steps(without(one, other)) == {number - 1 for number in held} - {number - 1 for number in taken}
    assert parse(literal(one)) == one


@pytest.mark.parametrize("text", ["{}", "{[1,2)}", "{[-4,2),[7,)}"])
def test_sets_are_written_as_they_were_read(text: str) -> None:
    assert literal(parse(text)) == text
