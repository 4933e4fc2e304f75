"""Sixty days of a simulated child go in through the door for observations and come out as its truth says.

Two spans, each with a clock change and with a journey over the Atlantic and back: every date once, none missing, none double.
"""

import time
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
import pytest
from pydantic import SecretStr
from zenmoon_cloud.database.queue import SHARDS
from zenmoon_cloud.series.rollup import roll
from zenmoon_cloud.settings import Settings
from zenmoon_edge.simulator import Calendar, Child, Trip, history, source_of, truth
from zenmoon_edge.simulator.epochs import METRICS

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = 60
BATCH = 5000
SPANS = {"spring": date(2026, 3, 1), "autumn": date(2026, 10, 1)}
SECRET = "a secret for tests"


@pytest.fixture(params=sorted(SPANS))
def first(request: pytest.FixtureRequest) -> date:
    return SPANS[request.param]


@pytest.fixture
def child(first: date) -> Child:
    away, home = first + timedelta(days=40), first + timedelta(days=47)
    trips = (Trip(away, "America/New_York"), Trip(home, "Europe/Berlin"))
    return Child(seed=7, calendar=Calendar(zone="Europe/Berlin", trips=trips))


@pytest.fixture
def begin(first: date) -> datetime:
    return datetime(first.year, first.month, first.day, tzinfo=BERLIN)


@pytest.fixture
def end(first: date) -> datetime:
    last = first + timedelta(days=DAYS)
    return datetime(last.year, last.month, last.day, tzinfo=BERLIN)


@pytest.fixture
def settings(settings: Settings, end: datetime) -> Settings:
    """The service on the evening of the last day: its clock, not this machine's, says how old an observation is."""
    clock = f"{int(end.timestamp() * 1000)}:{time.monotonic_ns() // 1000}:1"
    return Settings(database_url=settings.database_url, database_secret=SecretStr(SECRET), state=settings.state, clock=clock)


@pytest.fixture
async def family(make_family, child: Child, begin: datetime, superuser: psycopg.Connection):
    """A family whose guardian agreed before the history begins."""
    made = await make_family(device=f"{source_of(child).device:016x}", begin="2026-01-01T00:00:00Z")
    superuser.execute("UPDATE consents SET at = %s", [begin])
    return made


@pytest.fixture
async def delivered(application, family, send, child: Child, begin: datetime, end: datetime) -> list[dict[str, object]]:
    """The history, delivered and summed up."""
    items = list(history(child, begin, end, source_of(child)))
    for at in range(0, len(items), BATCH):
        answer = (await send(family, items[at : at + BATCH])).raise_for_status().json()
        assert answer["refused"] == []
    for shard in range(SHARDS):
        await roll(application.state.database, shard)
    return items


class Expected:
    """What the truth's epochs come to, summed up anew with nothing but numpy."""

    def __init__(self, child: Child, begin: datetime, end: datetime) -> None:
        known = truth(child, begin, end)
        sent = known.epochs.working
        self.ts_s = known.ts_ms[sent] // 1000
        self.offset_s = known.zone_offset_s[sent].astype(np.int64)
        self.coverage = known.epochs.coverage[sent]
        self.values = known.epochs.values[sent]
        self.minutes_of_date = {day.date: len(day.offsets_s) for day in known.days}

    def hours(self) -> dict[tuple[int, int], np.ndarray]:
        """(UTC second at which the local hour begins, offset) → its minutes' places."""
        starts = (self.ts_s + self.offset_s) // 3600 * 3600 - self.offset_s
        return self._groups(zip(starts.tolist(), self.offset_s.tolist(), strict=True))

    def days(self) -> dict[date, np.ndarray]:
        """Local date → its minutes' places."""
        return self._groups(date(1970, 1, 1) + timedelta(days=int(day)) for day in (self.ts_s + self.offset_s) // 86400)

    def _groups(self, keys) -> dict:
        found: dict = {}
        for place, key in enumerate(keys):
            found.setdefault(key, []).append(place)
        return {key: np.array(places) for key, places in found.items()}

    def assert_equal(self, bucket: dict, places: np.ndarray, seconds: float) -> None:
        covered = 60 * self.coverage[places]
        assert bucket["covered_s"] == pytest.approx(covered.sum(), abs=1e-6 * max(1, len(places)))
        assert bucket["completeness"] == pytest.approx(covered.sum() / seconds, abs=1e-6)
        for column, name in enumerate(METRICS):
            values = self.values[places, column]
            there = ~np.isnan(values)
            weight = np.where(covered == 0, 60.0, covered)[there]
            if not there.any():
                assert bucket[name] is None
                continue
            assert bucket[name] == pytest.approx(float((values[there] * weight).sum() / weight.sum()), abs=1e-6), name
            if f"{name}_max" in bucket:
                assert bucket[f"{name}_max"] == pytest.approx(values[there].max(), abs=1e-6)
                assert bucket[f"{name}_min"] == pytest.approx(values[there].min(), abs=1e-6)


async def buckets(family, level: str, begin: datetime, end: datetime) -> list[dict]:
    found, cursor = [], None
    while True:
        query = {"level": level, "from": begin.isoformat(), "to": end.isoformat(), "limit": 5000}
        answer = await family.client.get(
            f"/api/children/{family.child_id}/series", params=query | ({"cursor": cursor} if cursor else {})
        )
        page = answer.raise_for_status().json()
        found += page["buckets"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def second(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


async def test_sixty_days_come_out_as_their_truth_says(delivered, family, child, begin, end):
    """One test, because delivering the sixty days is most of the work."""
    expected = Expected(child, begin, end)
    await assert_hours(expected, family, begin, end)
    await assert_days(expected, family, begin, end)
    await assert_minutes_around_each_change(expected, truth(child, begin, end), family)
    await assert_nights(delivered, family)


async def assert_hours(expected, family, begin, end) -> None:
    hours = await buckets(family, "hour", begin, end)
    by_hour = {(second(bucket["start"]), bucket["zone_offset_s"]): bucket for bucket in hours}
    assert len(by_hour) == len(hours)
    assert by_hour.keys() == expected.hours().keys()
    for key, places in expected.hours().items():
        expected.assert_equal(by_hour[key], places, 3600)


async def assert_days(expected, family, begin, end) -> None:
    days = await buckets(family, "day", begin, end)
    dates = [date.fromisoformat(bucket["date"]) for bucket in days]
    assert dates == [begin.date() + timedelta(days=number) for number in range(DAYS)]
    lengths = {second(bucket["end"]) - second(bucket["start"]) for bucket in days}
    clock_change = 23 if begin.month == 3 else 25
    assert {length // 3600 for length in lengths} == {24, clock_change, 24 + 6, 24 - 6}
    for bucket, after in pairwise(days):
        assert bucket["end"] == after["start"]
    for bucket in days:
        on = date.fromisoformat(bucket["date"])
        expected.assert_equal(bucket, expected.days()[on], expected.minutes_of_date[on] * 60)
        assert second(bucket["end"]) - second(bucket["start"]) == expected.minutes_of_date[on] * 60


async def assert_minutes_around_each_change(expected, known, family) -> None:
    changes = np.flatnonzero(np.diff(known.zone_offset_s))
    assert len(changes) == 3  # the clocks, away, and home again
    places = {int(ts): np.array([place]) for place, ts in enumerate(expected.ts_s)}
    for change in changes:
        middle = datetime.fromtimestamp(int(known.ts_ms[change]) / 1000, tz=BERLIN)
        around = (middle - timedelta(hours=30), middle + timedelta(hours=30))
        found = await buckets(family, "minute", *around)
        sent = [ts for ts in places if around[0].timestamp() <= ts < around[1].timestamp()]
        assert [second(bucket["start"]) for bucket in found] == sent
        for bucket in found:
            expected.assert_equal(bucket, places[second(bucket["start"])], 60)


async def assert_nights(delivered, family) -> None:
    items = [item for item in delivered if item["kind"] == "sleep"]
    answer = await family.client.get(f"/api/children/{family.child_id}/sleep", params={"limit": 200})
    nights = answer.raise_for_status().json()["items"]
    assert [(second(night["started_at"]), night["asleep_s"]) for night in nights] == [
        (second(str(item["ts"])), item["asleep_s"]) for item in sorted(items, key=lambda item: str(item["ts"]), reverse=True)
    ]
