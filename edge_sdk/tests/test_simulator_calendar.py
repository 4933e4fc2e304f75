"""Sixty days over a clock change and a journey: every date once, every minute once, the clock of the place at each of them."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from zenmoon_edge.simulator import Calendar, Child, Life, SimulatorError, Trip, Truth, truth

SPRING = Calendar(
    holidays=[(date(2026, 4, 3), date(2026, 4, 12))],
    trips=[Trip(date(2026, 4, 4), "America/New_York"), Trip(date(2026, 4, 11), "Europe/Berlin")],
)
AUTUMN = Calendar(
    holidays=[(date(2026, 10, 5), date(2026, 10, 17))],
    trips=[Trip(date(2026, 10, 8), "Asia/Kathmandu"), Trip(date(2026, 10, 16), "Europe/Berlin")],
)
CASES = {"spring": (SPRING, date(2026, 3, 1)), "autumn": (AUTUMN, date(2026, 9, 25))}


def moment(calendar: Calendar, day: date) -> datetime:
    return datetime.fromtimestamp(calendar.begin(day) * 60, UTC)


@pytest.fixture(scope="module", params=CASES)
def known(request: pytest.FixtureRequest) -> Truth:
    calendar, first = CASES[request.param]
    child = Child(seed=3, calendar=calendar)
    return truth(child, moment(calendar, first), moment(calendar, first + timedelta(days=60)))


def test_every_minute_is_there_once(known: Truth) -> None:
    assert set(np.diff(known.ts_ms).tolist()) == {60_000}
    columns = (known.zone_offset_s, known.strain, known.engagement, known.stage, known.activity, known.worn, known.alarm_wanted)
    assert {len(column) for column in (*columns, *known.epochs)} == {len(known.ts_ms)}


def test_every_date_is_there_once_and_has_its_own_length(known: Truth) -> None:
    local = (known.ts_ms // 1000 + known.zone_offset_s) // 86400
    runs = local[np.concatenate([[True], np.diff(local) != 0])]
    first = known.days[0].date
    expected = [first + timedelta(days=n) for n in range(60)]
    assert [date(1970, 1, 1) + timedelta(days=int(run)) for run in runs] == expected
    assert [day.date for day in known.days] == expected
    lengths = {day.date: day.minutes for day in known.days if day.minutes != 1440}
    if first.month == 3:
        # To New York clocks go back six hours, from there forward.
        assert lengths == {date(2026, 3, 29): 23 * 60, date(2026, 4, 4): 30 * 60, date(2026, 4, 11): 18 * 60}
    else:
        hours = {date(2026, 10, 8): 24 - 3.75, date(2026, 10, 16): 24 + 3.75, date(2026, 10, 25): 25}
        assert lengths == {day: int(60 * length) for day, length in hours.items()}


def test_each_minute_has_the_offset_of_the_place(known: Truth) -> None:
    calendar = known.child.calendar
    turns = []
    zone = calendar.zone
    for trip in calendar.trips:
        turns.append((datetime(trip.day.year, trip.day.month, trip.day.day, 12, tzinfo=ZoneInfo(zone)).timestamp(), trip.zone))
        zone = trip.zone
    for ts_ms, offset_s in zip(known.ts_ms.tolist()[::7], known.zone_offset_s.tolist()[::7], strict=True):
        zone = calendar.zone
        for turn_s, there in turns:
            zone = there if ts_ms / 1000 >= turn_s else zone
        offset = datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(zone)).utcoffset()
        assert offset is not None
        assert offset.total_seconds() == offset_s


def test_there_is_no_school_on_weekends_holidays_and_journeys() -> None:
    free = [day for day in range(1, 18) if AUTUMN.free(date(2026, 10, day))]
    assert free == [3, 4, *range(5, 18)]
    assert not AUTUMN.free(date(2026, 10, 19))


def test_the_body_arrives_later_than_the_child() -> None:
    lags = [SPRING.lag_h(date(2026, 4, 4) + timedelta(days=n)) for n in range(-5, 22)]
    assert lags[4] == 0  # two days' worth of adapting to summer time are over
    assert lags[6] == -6  # after a night in New York the body still lives six hours ahead …
    assert lags[6:11] == sorted(lags[6:11])
    assert lags[11] == 0  # … and has arrived within the week; back home it is late, and needs longer to advance
    assert lags[13] == 6
    assert lags[-1] == 0
    assert SPRING.lag_h(date(2026, 3, 30)) == 1


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Africa/Cairo", "America/Havana", "Asia/Beirut", "Australia/Lord_Howe"])
def test_days_join_in_zones_that_change_their_clocks_at_midnight_or_by_half_an_hour(zone: str) -> None:
    calendar = Calendar(zone=zone)
    days = [calendar.day(date(2026, 1, 1) + timedelta(days=n)) for n in range(365)]
    for day, following in pairwise(days):
        assert day.begin + day.minutes == following.begin
        assert calendar.at(day.begin) == day.date == calendar.at(following.begin - 1)
        offset = datetime.fromtimestamp(day.begin * 60, ZoneInfo(zone)).utcoffset()
        assert offset is not None
        assert day.offsets_s[0] == offset.total_seconds()


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Pacific/Auckland", "America/Los_Angeles", "Pacific/Honolulu"])
def test_nights_never_overlap_however_far_the_journey(zone: str) -> None:
    calendar = Calendar(holidays=[(date(2026, 7, 1), date(2026, 8, 1))], trips=[Trip(date(2026, 7, 8), zone)])
    life = Life(Child(seed=5, calendar=calendar))
    nights = [night for n in range(25) for night in life.nights(date(2026, 7, 1) + timedelta(days=n))[:-1]]
    for night, following in pairwise(nights):
        assert night.lights_out <= night.onset < night.wake
        assert night.wake + 90 < following.lights_out
    naps = [night for night in nights if night.nap]
    assert len(naps) == (zone in {"America/Los_Angeles", "Pacific/Honolulu"})


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"trips": [Trip(date(2026, 7, 8), "Nowhere")]}, "zone"),
        ({"trips": [Trip(date(2026, 7, 8), "Asia/Tokyo"), Trip(date(2026, 7, 8), "Europe/Rome")]}, "trip"),
        ({"zone": "Pacific/Auckland", "trips": [Trip(date(2026, 7, 8), "Pacific/Honolulu")]}, "trip"),
    ],
)
def test_a_calendar_that_cannot_be_is_refused(arguments: dict, reason: str) -> None:
    with pytest.raises(SimulatorError) as caught:
        Calendar(**arguments)
    assert caught.value.reason == reason
    assert len(caught.value.detail) > 20
