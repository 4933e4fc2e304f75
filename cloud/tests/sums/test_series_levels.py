"""A series by minute, hour and local day: what a parent sees adds up, over clock changes and journeys, and says what is missing."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from recomputed import BOOTS, DEVICE, HOUR, PRESENT
from zenmoon_cloud.series import levels, store
from zenmoon_cloud.series.levels import fitting
from zenmoon_cloud.series.rollup import roll
from zenmoon_edge.importing import METRICS, Source

SIXTY = timedelta(days=60)


@pytest.fixture
def history(send, database):
    """Brings epochs of one source, and has them summed up."""

    async def bring(family, moments, *, zone_offset_s=None, coverage=1.0, **values) -> None:
        made = Source(int(DEVICE, 16), next(BOOTS), firmware=3, model=4)
        said = dict.fromkeys(METRICS, 0.5) | values
        offset = zone_offset_s if callable(zone_offset_s) else lambda moment: zone_offset_s
        items = [
            made.epoch(int(moment.timestamp() * 1000), said, coverage=coverage, quality=63, zone_offset_s=offset(moment))
            for moment in moments
        ]
        answer = (await send(family, items)).raise_for_status().json()
        assert answer["accepted"] == len(items), answer["refused"][:3]
        for shard in range(8):
            await roll(database, shard)

    return bring


async def ask(family, **query) -> dict:
    query = {{"since": "from", "until": "to"}.get(key, key): str(value) for key, value in query.items()}
    answer = await family.client.get(f"/api/children/{family.child_id}/series", params=query)
    return answer.raise_for_status().json()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def starts(series: dict) -> list[datetime]:
    return [at(bucket["start"]) for bucket in series["buckets"]]


def gaps(series: dict) -> list[tuple[datetime, datetime]]:
    return [(at(gap["after"]), at(gap["before"])) for gap in series["gaps"]]


def every(step: timedelta, begin: datetime, end: datetime) -> list[datetime]:
    return [begin + number * step for number in range((end - begin) // step)]


# --- which level ---


@pytest.mark.parametrize(
    ("span", "level"),
    [
        (timedelta(hours=24), "record"),
        (timedelta(hours=24, seconds=1), "minute"),
        (timedelta(days=7), "minute"),
        (timedelta(days=7, seconds=1), "hour"),
        (timedelta(days=93), "hour"),
        (timedelta(days=93, seconds=1), "day"),
        (timedelta(days=4000), "day"),
    ],
)
async def test_span_chooses_the_level(span, level, family):
    series = await ask(family, since=(PRESENT - span).isoformat(), until=PRESENT.isoformat())
    assert series["level"] == level
    assert (await ask(family, level="minute", since=(PRESENT - span).isoformat(), until=PRESENT.isoformat()))["level"] == "minute"


def test_level_that_has_been_forgotten_is_not_chosen():
    day = timedelta(days=1)
    assert fitting(PRESENT - 40 * day, PRESENT - 39 * day, PRESENT) == "minute"
    assert fitting(PRESENT - 100 * day, PRESENT - 99 * day, PRESENT) == "hour"


# --- buckets ---


async def test_minutes_carry_means_completeness_and_what_they_are_made_of(family, history):
    await history(family, [HOUR], coverage=0.25, heart_rate_bpm=84.123456789, stress_level=0.75)
    series = await ask(family, level="minute", since=HOUR.isoformat(), until=(HOUR + timedelta(hours=1)).isoformat())
    (bucket,) = series["buckets"]
    assert (bucket["start"], bucket["end"]) == ("2026-11-19T10:00:00.000Z", "2026-11-19T10:01:00.000Z")
    assert (bucket["completeness"], bucket["covered_s"], bucket["source"], bucket["quality"]) == (0.25, 15, "epoch", 63)
    assert (bucket["heart_rate_bpm"], bucket["heart_rate_bpm_min"], bucket["heart_rate_bpm_max"]) == (84.123456789,) * 3
    assert (bucket["zone_offset_s"], bucket["stress_level"], series["records"]) == (3600, 0.75, [])
    assert "battery_pct" not in bucket


async def test_hours_and_days_weigh_by_seconds_and_keep_extremes(family, history):
    await history(family, [HOUR], coverage=1, stress_level=0.2)
    await history(family, [HOUR + timedelta(minutes=1)], coverage=0.5, stress_level=0.8)
    await history(family, [HOUR + timedelta(hours=3)], coverage=0.5, stress_level=0.5)
    span = {"since": "2026-11-19T00:00:00+01:00", "until": "2026-11-20T00:00:00+01:00"}
    first, second = (await ask(family, level="hour", **span))["buckets"]
    assert (first["stress_level"], first["minutes"]) == (pytest.approx(0.4), 2)
    assert (first["completeness"], second["completeness"]) == (90 / 3600, 30 / 3600)
    (day,) = (await ask(family, level="day", **span))["buckets"]
    assert day["stress_level"] == pytest.approx((0.2 * 60 + 0.8 * 30 + 0.5 * 30) / 120)
    assert (day["stress_level_min"], day["stress_level_max"]) == (0.2, 0.8)
    assert (day["date"], day["start"], day["completeness"]) == ("2026-11-19", "2026-11-18T23:00:00.000Z", 120 / 86_400)


async def test_only_the_metrics_asked_for_are_given(family, history):
    await history(family, [HOUR])
    answer = await family.client.get(
        f"/api/children/{family.child_id}/series",
        params={"level": "hour", "from": HOUR.isoformat(), "metric": ["stress_level", "motion_g"]},
    )
    (bucket,) = answer.json()["buckets"]
    assert {"stress_level", "stress_level_min", "motion_g"} <= set(bucket)
    assert not {"eda_us", "heart_rate_bpm_min", "motion_g_min"} & set(bucket)


# --- what is missing ---


async def test_completeness_and_gaps_say_the_same_at_every_level(family, history):
    worn = [moment for moment in every(timedelta(minutes=1), HOUR, HOUR + timedelta(hours=5)) if moment.hour not in {11, 12}]
    worn = [moment for moment in worn if not (moment.hour == 13 and moment.minute < 30)]
    await history(family, worn)
    span = {"since": HOUR.isoformat(), "until": (HOUR + timedelta(hours=6)).isoformat()}
    minutes = await ask(family, level="minute", **span)
    off = (HOUR + timedelta(hours=1), HOUR + timedelta(hours=3, minutes=30))
    end = (HOUR + timedelta(hours=5), HOUR + timedelta(hours=6))
    assert gaps(minutes) == [off, end]
    assert len(minutes["buckets"]) == len(worn)
    hours = await ask(family, level="hour", **span)
    assert gaps(hours) == [(HOUR + timedelta(hours=1), HOUR + timedelta(hours=3)), end]
    assert [bucket["completeness"] for bucket in hours["buckets"]] == [1, 0.5, 1]
    days = await ask(family, level="day", since="2026-11-17T00:00:00+01:00", until="2026-11-20T00:00:00+01:00")
    assert gaps(days) == [(at("2026-11-16T23:00:00Z"), at("2026-11-18T23:00:00Z"))]
    assert [bucket["completeness"] for bucket in days["buckets"]] == [len(worn) / 1440]


@pytest.mark.parametrize("level", ["minute", "hour", "day"])
async def test_future_is_not_missing_and_nothing_at_all_is_one_gap(level, family):
    midnight = datetime(2026, 11, 16, 23, tzinfo=UTC)
    series = await ask(family, level=level, since=midnight.isoformat(), until=(PRESENT + timedelta(days=3)).isoformat())
    end = datetime(2026, 11, 19, 23, tzinfo=UTC) if level == "day" else PRESENT  # today is not over
    assert (series["buckets"], gaps(series)) == ([], [(midnight, end)])
    ahead = await ask(family, level=level, since=(PRESENT + timedelta(days=2)).isoformat())
    assert (ahead["buckets"], ahead["gaps"]) == ([], [])


@pytest.mark.parametrize("level", ["minute", "hour", "day"])
async def test_window_that_begins_within_a_bucket_begins_with_the_next_one(level, family, history):
    await history(family, every(timedelta(hours=1), HOUR - timedelta(days=3), HOUR))
    step = {"minute": timedelta(hours=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}[level]
    begin = {"day": datetime(2026, 11, 16, 23, tzinfo=UTC)}.get(level, HOUR - timedelta(days=2))
    windows = [(begin, begin + step), (begin + timedelta(seconds=1), begin + step), (begin, begin + step + timedelta(seconds=1))]
    found = [starts(await ask(family, level=level, since=a.isoformat(), until=b.isoformat())) for a, b in windows]
    assert found == [[begin], [], [begin, begin + step]]


# --- pages ---


@pytest.mark.parametrize("limit", [1, 7, 50])
@pytest.mark.parametrize("level", ["minute", "hour", "day"])
async def test_pages_give_every_bucket_and_every_gap_once(level, limit, family, history):
    moments = every(timedelta(hours=5), HOUR - timedelta(days=5), HOUR)
    half = len(moments) // 2
    await history(family, moments[:half], zone_offset_s=3600)
    await history(family, [moments[half] + timedelta(minutes=1), *moments[half:]], zone_offset_s=-18_000)
    await history(family, [moments[half] + timedelta(minutes=2)], zone_offset_s=3600)  # two hours at one time
    span = {"since": (HOUR - timedelta(days=6)).isoformat(), "until": PRESENT.isoformat()}
    whole = await ask(family, level=level, limit=5000, **span)
    assert whole["next_cursor"] is None
    found, missing, cursor = [], [], {}
    while True:
        # the cursor knows its level, whatever the span would choose
        page = await ask(family, limit=limit, **span, **(cursor or {"level": level}))
        assert len(page["buckets"]) <= limit
        found += page["buckets"]
        missing += gaps(page)
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == whole["buckets"]
    assert missing == gaps(whole)
    assert len({(bucket["start"], bucket["zone_offset_s"]) for bucket in found}) == len(found) > 1


# --- local days ---


def berlin(moment: datetime) -> int:
    return int(moment.astimezone(ZoneInfo("Europe/Berlin")).utcoffset().total_seconds())


def away(moment: datetime, leave: datetime, come: datetime) -> int:
    """A child of Berlin that is in New York for a while."""
    if not leave <= moment < come:
        return berlin(moment)
    return int(moment.astimezone(ZoneInfo("America/New_York")).utcoffset().total_seconds())


SPRING, AUTUMN = datetime(2026, 4, 25, 12, tzinfo=UTC), datetime(2026, 11, 20, 12, tzinfo=UTC)
JOURNEY = timedelta(days=20, hours=3), timedelta(days=6, hours=7)  # this long before the present it begins, and ends
ODD = {
    "spring": (SPRING, None, {date(2026, 3, 29): 23}),
    "autumn": (AUTUMN, None, {date(2026, 10, 25): 25}),
    "spring, a journey": (SPRING, JOURNEY, {date(2026, 3, 29): 23, date(2026, 4, 5): 30, date(2026, 4, 19): 18}),
    # New York sets its clock back a week later than Berlin, while the child is there
    "autumn, a journey": (
        AUTUMN, JOURNEY, {date(2026, 10, 25): 25, date(2026, 10, 31): 29, date(2026, 11, 1): 25, date(2026, 11, 14): 18},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("present", "journey", "odd"), ODD.values(), ids=ODD)
async def test_sixty_days_have_neither_a_missing_nor_a_double_day(present, journey, odd, *, family, history):
    leave, come = (present - before for before in journey) if journey else (present, present)

    def offset(moment: datetime) -> int:
        return away(moment, leave, come)

    moments = every(timedelta(hours=1), present - SIXTY, present)
    await history(family, moments, zone_offset_s=offset)
    series = await ask(family, since=(present - SIXTY).isoformat(), until=present.isoformat(), level="day")

    lived = Counter((moment + timedelta(seconds=offset(moment))).date() for moment in moments)
    first, last = min(lived), max(lived)  # the first began before `from`, the last is not over
    dates = [date.fromisoformat(bucket["date"]) for bucket in series["buckets"]]
    assert dates == [first + timedelta(days=number) for number in range(1, (last - first).days + 1)]
    assert gaps(series) == []
    assert all(before["end"] == after["start"] for before, after in pairwise(series["buckets"]))
    length = {}
    for bucket, day in zip(series["buckets"][:-1], dates[:-1], strict=True):
        seconds = (at(bucket["end"]) - at(bucket["start"])).total_seconds()
        # an epoch of 60 s an hour: a day with an hour too many or too few would show
        assert (bucket["covered_s"], seconds) == (60 * lived[day], 3600 * lived[day]), day
        assert bucket["completeness"] == pytest.approx(1 / 60), day
        length[day] = lived[day]
    assert {day: hours for day, hours in length.items() if hours != 24} == odd


async def test_day_of_a_zone_half_an_hour_off_begins_at_its_midnight(family, history, superuser):
    superuser.execute("UPDATE children SET zone = 'Asia/Kolkata'")
    begin = datetime(2026, 11, 16, 18, 30, tzinfo=UTC)
    await history(family, every(timedelta(minutes=1), begin, begin + timedelta(days=2)))
    series = await ask(family, level="day", since=begin.isoformat(), until=(begin + timedelta(days=2)).isoformat())
    assert starts(series) == [begin, begin + timedelta(days=1)]
    assert [bucket["completeness"] for bucket in series["buckets"]] == [1, 1]
    assert {bucket["zone_offset_s"] for bucket in series["buckets"]} == {19_800}
    hours = await ask(family, level="hour", since=begin.isoformat(), until=(begin + timedelta(hours=3)).isoformat())
    assert (hours["buckets"][0]["start"], hours["buckets"][0]["completeness"]) == ("2026-11-16T18:30:00.000Z", 1)


# --- who may ask what ---

A_DAY = "WyJkYXkiLCAiMjAyNi0wMS0wMVQwMDowMDowMFoiLCAwLCAiMjAyNi0wMS0wMVQwMDowMDowMFoiXQ"  # a cursor of level day


@pytest.mark.parametrize("level", ["record", "minute", "hour", "day"])
async def test_guardian_of_another_family_sees_no_level(level, family, make_family, history):
    await history(family, [HOUR])
    other = await make_family(device="00000000000000bb")
    answers = [
        await other.client.get(f"/api/children/{child}/series", params={"level": level}) for child in (family.child_id, "nobody")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize(
    ("query", "status", "type_"),
    [
        ({"level": "week"}, 422, "invalid-request"),
        ({"level": "day", "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, 422, "bad-range"),
        ({"level": "day", "from": "0001-01-01T00:00:00+14:00"}, 422, "bad-range"),
        ({"level": "hour", "metric": "battery_pct"}, 422, "no-mean"),
        (
            {"level": "hour", "cursor": A_DAY},
            400,
            "bad-cursor",
        ),
        ({"level": "day", "cursor": "WyJkYXkiLCAiMjAyNi0wMS0wMVQwMDowMDowMFoiXQ"}, 400, "bad-cursor"),
        ({"level": "day", "cursor": "W10"}, 400, "bad-cursor"),
        (
            {"level": "record", "cursor": A_DAY},
            400,
            "bad-cursor",
        ),
    ],
)
async def test_bad_question_is_a_problem(query, status, type_, family):
    answer = await family.client.get(f"/api/children/{family.child_id}/series", params=query)
    assert (answer.status_code, answer.json()["type"]) == (status, type_)


@pytest.mark.parametrize("level", ["minute", "hour", "day"])
@pytest.mark.parametrize(
    "span",
    [
        {"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59Z"},
        {"since": "9999-12-31T00:00:00Z", "until": "9999-12-31T23:59:59Z"},
        {"since": "0001-01-01T00:00:00Z", "until": "0001-01-01T00:00:00Z"},
    ],
)
async def test_widest_question_is_answered(level, span, family, history):
    await history(family, [HOUR])
    series = await ask(family, level=level, **span)
    assert len(series["buckets"]) == (span["since"] < "2" and span["until"] > "2")


async def test_source_that_says_another_offset_every_minute_costs_no_more_than_a_journey(family, history, monkeypatch):
    read, counted = store.changes, []

    async def counting(*arguments, **options):
        found = await read(*arguments, **options)
        counted.append(len(found))
        return found

    monkeypatch.setattr(store, "changes", counting)
    moments = every(timedelta(minutes=1), HOUR - timedelta(hours=20), HOUR)
    await history(family, moments, zone_offset_s=lambda moment: 900 * moment.minute)
    series = await ask(family, level="day", since="2026-11-01T00:00:00Z", until=PRESENT.isoformat())
    days = len({(moment + timedelta(minutes=15 * moment.minute)).date() for moment in moments})
    assert counted == [levels.CHANGES_A_DAY * days]
    assert series["buckets"]
