"""A local date is as long as it was lived, wherever the child was: checked minute by minute against a counter."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zenmoon_cloud.series.days import Calendar, Day, Lived
from zenmoon_cloud.series.zones import midnight, offset_s

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Pacific/Auckland",
    "Pacific/Honolulu",
    "Africa/Cairo",
]
WINDOW = timedelta(days=12)


def lived(begin: datetime, moves: dict[datetime, str]) -> tuple[list[Lived], Counter[date]]:
    """Hours and minutes a date of a child that is observed all the time, and moves to another zone now and then."""
    zone, hours, dates = "", Counter(), Counter()
    for number in range(WINDOW // MINUTE):
        moment = begin + number * MINUTE
        zone = moves.get(moment, zone)
        offset = timedelta(seconds=offset_s(zone, moment))
        local = moment + offset
        hours[local.replace(minute=0) - offset, offset] += 1
        dates[local.date()] += 1
    return [Lived(time, int(offset.total_seconds()), minutes) for (time, offset), minutes in sorted(hours.items())], dates


def whole(dates: Counter[date]) -> list[date]:
    """Dates that the window holds from their begin to their end, with a journey's margin."""
    return sorted(dates)[2:-2]


@settings(deadline=None, max_examples=30)
@given(
    home=st.sampled_from(ZONES),
    begin=st.integers(0, 330 * 24 * 60).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + minutes * MINUTE),
    journeys=st.lists(st.tuples(st.integers(4 * 24 * 60, 8 * 24 * 60), st.sampled_from(ZONES)), max_size=2),
)
def test_every_date_has_the_minutes_that_were_lived_in_it(home, begin, journeys):
    hours, dates = lived(begin, {begin: home} | {begin + minute * MINUTE: zone for minute, zone in journeys})
    calendar = Calendar(home, hours)
    for day in whole(dates):
        found = calendar.day(day)
        assert found is not None
        assert found.seconds == 60 * dates[day], day
        assert found.seconds <= (found.end - found.start).total_seconds()


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Europe/Berlin", date(2026, 10, 26), 24),
        ("Africa/Cairo", date(2026, 4, 24), 23),  # the clock skips midnight itself
        ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
        ("Asia/Kolkata", date(2026, 3, 29), 24),
    ],
)
def test_day_at_home_is_as_long_as_the_zone_says(zone, day, hours):
    found = Calendar(zone).day(day)
    assert found is not None
    assert (found.end - found.start, found.seconds) == (hours * HOUR, hours * 3600)


def test_days_at_home_follow_each_other_without_a_seam():
    calendar = Calendar("Europe/Berlin")
    days = [calendar.day(date(2026, 1, 1) + timedelta(days=number)) for number in range(365)]
    assert all(before.end == after.start for before, after in pairwise(days))


def journey(*, home: str, away: str, at: datetime) -> Calendar:
    hours, _ = lived(at - WINDOW / 2, {at - WINDOW / 2: home, at: away})
    return Calendar(home, hours)


def test_flight_to_the_west_makes_the_day_longer_and_the_one_to_the_east_shorter():
    noon = datetime(2026, 5, 14, 12, tzinfo=UTC)
    west = journey(home="Europe/Berlin", away="America/New_York", at=noon).day(noon.date())
    assert west == Day(datetime(2026, 5, 13, 22, tzinfo=UTC), datetime(2026, 5, 15, 4, tzinfo=UTC), 30 * 3600)
    east = journey(home="America/New_York", away="Europe/Berlin", at=noon).day(noon.date())
    assert east == Day(datetime(2026, 5, 14, 4, tzinfo=UTC), datetime(2026, 5, 14, 22, tzinfo=UTC), 18 * 3600)


def test_date_that_was_flown_over_was_never_there():
    # Honolulu, the evening of the 13th: eleven hours on, in Auckland, it is the 15th.
    at = datetime(2026, 5, 14, 9, 30, tzinfo=UTC)
    calendar = journey(home="Pacific/Honolulu", away="Pacific/Kiritimati", at=datetime(2026, 5, 14, 10, tzinfo=UTC))
    assert calendar.day(date(2026, 5, 14)) is None
    assert calendar.first_from(at) == datetime(2026, 5, 14, 10, tzinfo=UTC)
    before, after = calendar.day(date(2026, 5, 13)), calendar.day(date(2026, 5, 15))
    assert before.end == after.start


def test_date_of_a_child_that_moves_every_minute_costs_no_more_than_its_neighbourhood(monkeypatch):
    begin = datetime(2026, 5, 1, tzinfo=UTC)
    calendar = Calendar("Europe/Berlin", [Lived(begin + number * HOUR, 900 * (number % 40), 60) for number in range(90 * 24)])
    midnights = []
    monkeypatch.setattr(Calendar, "_midnight", lambda _, day, stay: midnights.append(stay) or stay.begin)
    calendar.day(date(2026, 6, 15))
    assert 24 <= len(set(midnights)) <= 5 * 24


def test_first_and_last_whole_day_around_a_moment():
    calendar = Calendar("Europe/Berlin")
    assert calendar.first_from(datetime(2026, 3, 28, 23, tzinfo=UTC)) == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert calendar.first_from(datetime(2026, 3, 28, 23, 1, tzinfo=UTC)) == datetime(2026, 3, 29, 22, tzinfo=UTC)
    assert calendar.last_until(datetime(2026, 3, 29, 21, 59, tzinfo=UTC)) == datetime(2026, 3, 28, 23, tzinfo=UTC)


def test_zone_that_this_machine_does_not_know_is_taken_for_utc():
    assert offset_s("Atlantis/Capital", datetime(2026, 5, 1, tzinfo=UTC)) == 0
    assert midnight("Atlantis/Capital", date(2026, 5, 1)) == datetime(2026, 5, 1, tzinfo=UTC)
