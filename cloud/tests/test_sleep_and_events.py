"""What a guardian enters and what the phone saw of the nights: each child's own, the last word on each, page by page."""

import re
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from zenmoon_cloud.series.sleep_store import LIST_SLEEP
from zenmoon_edge.importing import Source

DEVICE = "a1b2c3d4e5f60718"
BOOTS = count(1)
NIGHT = (datetime.now(UTC) - timedelta(days=40)).replace(hour=20, minute=30, second=0, microsecond=0)
EVENT = {"event_type": "math test", "event_time": "2026-11-21T10:00:00+01:00"}


@pytest.fixture
async def family(make_family, superuser):
    """A family that agreed long ago."""
    made = await make_family(begin="2025-01-01T00:00:00Z")
    superuser.execute("UPDATE consents SET at = '2025-01-01T00:00:00Z'")
    return made


def source() -> Source:
    return Source(int(DEVICE, 16), next(BOOTS), firmware=3, model=4)


def sleep(made: Source, onset: datetime, hours: float = 9, **changes) -> dict[str, object]:
    onset_ms = int(onset.timestamp() * 1000)
    said = {"asleep_s": 28_000, "awakenings": 2, "efficiency": 0.91, "nap": False, "zone_offset_s": None} | changes
    return made.sleep(onset_ms, onset_ms + int(hours * 3_600_000), **said)


async def get(family, what: str, **query) -> dict:
    answer = await family.client.get(f"/api/children/{family.child_id}/{what}", params=query)
    return answer.raise_for_status().json()


async def every_page(family, what: str, **query) -> list[dict]:
    found, cursor = [], {}
    while True:
        page = await get(family, what, **query, **cursor)
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- sleep ---


async def test_newest_sleep_comes_first_as_it_is_known_last(family, send):
    made = source()
    first, second = sleep(made, NIGHT), sleep(made, NIGHT + timedelta(days=1))
    later = timedelta(minutes=20)
    again = sleep(made, NIGHT + later, hours=8.5, awakenings=3, seq=first["seq"], revision=2)
    assert (await send(family, [first, second, again])).json()["accepted"] == 3
    newest, oldest = (await get(family, "sleep"))["items"]
    assert at(newest["started_at"]) == NIGHT + timedelta(days=1)
    assert (at(oldest["started_at"]), oldest["revision"], oldest["awakenings"]) == (NIGHT + later, 2, 3)
    assert at(oldest["ended_at"]) == NIGHT + later + timedelta(hours=8.5)
    assert {key: newest[key] for key in ("asleep_s", "awakenings", "efficiency", "nap", "revision")} == {
        "asleep_s": 28_000, "awakenings": 2, "efficiency": 0.91, "nap": False, "revision": 0,
    }  # fmt: skip


async def test_night_is_the_local_date_of_waking_where_the_child_was(family, send, superuser):
    made = source()
    evening = NIGHT.replace(hour=13)
    await send(family, [sleep(made, evening, hours=10, zone_offset_s=offset) for offset in (0, 3600, -18_000)])
    nights = {item["zone_offset_s"]: item["night"] for item in (await get(family, "sleep"))["items"]}
    waking = evening.date()
    assert nights == {0: str(waking), 3600: str(waking + timedelta(days=1)), -18_000: str(waking)}
    superuser.execute("UPDATE sleep_episodes SET zone_offset_s = NULL")
    superuser.execute("UPDATE children SET zone = 'Asia/Kolkata'")
    assert {item["zone_offset_s"] for item in (await get(family, "sleep"))["items"]} == {19_800}


async def test_revision_that_moved_a_sleep_leaves_nothing_at_the_old_time(family, send):
    made = source()
    first = sleep(made, NIGHT)
    await send(family, [first])
    await send(family, [sleep(made, NIGHT + timedelta(days=3), seq=first["seq"], revision=1)])
    span = {"from": NIGHT.isoformat(), "to": (NIGHT + timedelta(days=1)).isoformat()}
    assert (await get(family, "sleep", **span))["items"] == []
    assert len((await get(family, "sleep"))["items"]) == 1


async def test_span_gives_the_sleep_that_overlaps_it(family, send):
    made = source()
    await send(family, [sleep(made, NIGHT + timedelta(days=day)) for day in range(3)])
    morning = NIGHT + timedelta(hours=9)

    async def number(since: datetime, until: datetime) -> int:
        return len((await get(family, "sleep", **{"from": since.isoformat(), "to": until.isoformat()}))["items"])

    assert await number(NIGHT, morning) == 1
    assert await number(morning, NIGHT + timedelta(days=1)) == 0
    assert await number(morning - timedelta(seconds=1), NIGHT + timedelta(days=1, seconds=1)) == 2


async def test_span_reads_no_sleep_that_ended_long_before_it(family, send, superuser):
    made = source()
    await send(family, [sleep(made, NIGHT - timedelta(days=day)) for day in range(300)])
    superuser.execute("ANALYZE sleep_episodes")
    arguments = dict.fromkeys(("to", "after", "device", "boot", "seq")) | {"family": family.family_id, "child": family.child_id}
    arguments |= {"from": NIGHT - timedelta(days=2), "limit": 50}
    with superuser.transaction():  # a policy may keep the planner from an index
        superuser.execute("SET LOCAL ROLE zenmoon_api")
        superuser.execute("SELECT set_config('app.families', %s, true)", ["{%s}" % family.family_id])
        superuser.execute("SET LOCAL enable_seqscan = off")  # so few rows would all be read
        lines = superuser.execute(f"EXPLAIN (ANALYZE) {LIST_SLEEP}", arguments).fetchall()
    passed_over = re.findall(r"Rows Removed by Filter: (\d+)", "\n".join(line for (line,) in lines))
    assert sum(map(int, passed_over)) <= 2


@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_pages_of_sleep_give_each_once(limit, family, send):
    one, other = source(), source()
    items = [sleep(made, NIGHT + timedelta(days=day)) for day in range(4) for made in (one, other)]  # two at each time
    await send(family, items)
    found = await every_page(family, "sleep", limit=limit)
    assert len(found) == 8
    assert found == (await get(family, "sleep"))["items"]
    assert [item["started_at"] for item in found] == sorted((item["started_at"] for item in found), reverse=True)


# --- events ---


async def test_event_is_entered_changed_and_removed_and_each_is_in_the_audit_log(family, superuser):
    path = f"/api/children/{family.child_id}/events"
    answer = await family.client.post(path, json=EVENT | {"note": "chapter 4", "ends_at": "2026-11-21T11:00:00+01:00"})
    event = answer.json()
    assert answer.status_code == 201
    assert (event["event_type"], at(event["event_time"]), event["note"]) == ("math test", at(EVENT["event_time"]), "chapter 4")
    changed = (await family.client.patch(f"{path}/{event['id']}", json={"event_type": "English test", "note": None})).json()
    assert changed == event | {"event_type": "English test", "note": None}
    assert (await get(family, "events"))["items"] == [changed]
    assert (await family.client.delete(f"{path}/{event['id']}")).status_code == 204
    assert (await get(family, "events"))["items"] == []
    log = superuser.execute("SELECT action, subject FROM audit_log WHERE action LIKE 'event.%' ORDER BY number").fetchall()
    assert [action for action, _ in log] == ["event.added", "event.changed", "event.removed"]
    assert {subject["event_id"] for _, subject in log} == {event["id"]}
    assert log[1][1]["fields"] == ["event_type", "note"]
    assert "chapter" not in str(log)


async def test_span_gives_the_events_that_overlap_it(family):
    path = f"/api/children/{family.child_id}/events"
    holidays = {"event_type": "holidays", "event_time": "2026-12-23T00:00:00Z", "ends_at": "2027-01-06T00:00:00Z"}
    for event in (EVENT, holidays):
        (await family.client.post(path, json=event)).raise_for_status()

    async def named(since: str, until: str) -> list[str]:
        return [event["event_type"] for event in (await get(family, "events", **{"from": since, "to": until}))["items"]]

    assert await named("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z") == ["math test"]
    assert await named("2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z") == ["holidays"]
    assert await named("2026-11-21T09:00:01Z", "2026-12-23T00:00:00Z") == []
    assert await named("2026-01-01T00:00:00Z", "2027-12-31T00:00:00Z") == ["math test", "holidays"]


@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_pages_of_events_give_each_once(limit, family):
    path = f"/api/children/{family.child_id}/events"
    for number in range(7):
        event = {"event_type": f"event {number}", "event_time": f"2026-11-2{number // 2}T10:00:00Z"}
        (await family.client.post(path, json=event)).raise_for_status()
    found = await every_page(family, "events", limit=limit)
    assert {event["event_type"] for event in found} == {f"event {number}" for number in range(7)}
    assert len(found) == 7
    assert [event["event_time"] for event in found] == sorted(event["event_time"] for event in found)


@pytest.mark.parametrize(
    "change",
    [
        {"event_type": ""}, {"event_type": " "}, {"event_type": "x" * 61}, {"event_type": "a\0b"},
        {"note": "x" * 501}, {"note": "\0"}, {"event_time": "2026-11-21T10:00:00"}, {"event_time": "0001-01-01T00:00:00+14:00"},
        {"ends_at": "2026-11-21T08:00:00Z"},
    ],
)  # fmt: skip
async def test_event_that_cannot_be_is_refused(change, family, superuser):
    path = f"/api/children/{family.child_id}/events"
    answer = await family.client.post(path, json=EVENT | change)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    event = (await family.client.post(path, json=EVENT | {"ends_at": EVENT["event_time"]})).json()
    assert (await family.client.patch(f"{path}/{event['id']}", json=change)).status_code == 422
    assert (await get(family, "events"))["items"] == [event]
    assert superuser.execute("SELECT count(*) FROM audit_log WHERE action LIKE 'event.%'").fetchone() == (1,)


@pytest.mark.parametrize("what", ["events", "sleep"])
@pytest.mark.parametrize("cursor", ["nonsense", "WyJiYWQiXQ", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiA3Il0"])
async def test_foreign_cursor_is_a_problem(what, cursor, family):
    answer = await family.client.get(f"/api/children/{family.child_id}/{what}", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (400, "bad-cursor")


# --- whose ---


async def test_guardian_of_another_family_finds_neither_child_nor_event(family, make_family, send):
    await send(family, [sleep(source(), NIGHT)])
    path = f"/api/children/{family.child_id}/events"
    event = (await family.client.post(path, json=EVENT)).json()
    other = await make_family(device="00000000000000bb")
    mine = f"/api/children/{other.child_id}/events"
    answers = [
        await other.client.get(f"/api/children/{family.child_id}/sleep"),
        await other.client.get(path),
        await other.client.post(path, json=EVENT),
        await other.client.patch(f"{path}/{event['id']}", json={"note": "x"}),
        await other.client.delete(f"{path}/{event['id']}"),
        await other.client.patch(f"{mine}/{event['id']}", json={"note": "x"}),  # a child of theirs, an event of ours
        await other.client.delete(f"{mine}/{event['id']}"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert (await get(family, "events"))["items"] == [event]
    assert (await get(other, "events"))["items"] == []
    assert (await get(other, "sleep"))["items"] == []


async def test_signed_out_reads_and_writes_nothing(family, client):
    path = f"/api/children/{family.child_id}/events"
    answers = [
        await client.get(path),
        await client.post(path, json=EVENT),
        await client.get(f"/api/children/{family.child_id}/sleep"),
    ]
    assert {answer.status_code for answer in answers} == {401}
