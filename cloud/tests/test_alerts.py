"""An alarm is raised once, says what the records say in whatever order they came, and stays until it ended and was seen."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from zenmoon_cloud import alerts
from zenmoon_cloud.alerts import fold_store, words
from zenmoon_cloud.alerts.fold_store import microseconds
from zenmoon_cloud.identity import audit

HIGH, MIDDLE, LOW = 0.82, 0.72, 0.42
MINUTE = 15
"""Records of a minute."""


@pytest.fixture
async def one_minute(family):
    """A family whose alarm waits one minute."""
    await choose(family, minutes=1)
    return family


@pytest.fixture
def strain(records):
    """Writes records of the given strains, one after the other; `first` numbers the first one."""

    def write(*strains: float | None, first: int = 0, **changes: object) -> list[dict[str, object]]:
        items = records(len(strains), first=first, **changes)
        return [item | {"stress_level": level} for item, level in zip(items, strains, strict=True)]

    return write


async def choose(family, **choice) -> dict:
    answer = await family.client.put(f"/api/children/{family.child_id}/alarm", json=choice)
    return answer.raise_for_status().json()


async def alarms(family, **query) -> list[dict]:
    answer = await family.client.get(f"/api/children/{family.child_id}/alerts", params=query)
    return answer.raise_for_status().json()["items"]


async def acknowledge(family, alert_id: str) -> dict:
    return (await family.client.post(f"/api/alerts/{alert_id}/ack")).raise_for_status().json()


def seconds(items: list[dict], moment: str | None) -> float | None:
    """Since the begin of the first item, which covers the 4 s before its time."""
    if moment is None:
        return None
    begin = datetime.fromisoformat(items[0]["ts"]) - timedelta(seconds=4)
    return (datetime.fromisoformat(moment) - begin).total_seconds()


async def test_ten_minutes_above_the_limit_raise_one_alarm(family, strain, send):
    items = strain(*[LOW] * 3, *[HIGH] * 150)
    await send(family, items[:-1])
    assert await alarms(family) == []  # one record less than ten minutes
    await send(family, items[-1:])
    (alarm,) = await alarms(family)
    assert alarm["child_id"] == family.child_id
    assert (alarm["rule"], alarm["state"], alarm["threshold"], alarm["minutes"]) == ("strain", "open", 0.75, 10)
    assert (alarm["peak"], alarm["episodes"], alarm["revision"]) == (HIGH, 1, 1)
    assert (seconds(items, alarm["began_at"]), alarm["ended_at"]) == (12, None)
    assert alarm["acknowledged_at"] is alarm["acknowledged_by"] is None
    await send(family, strain(*[HIGH] * 30, first=153))
    assert await alarms(family) == [alarm]  # that it goes on changes nothing
    await send(family, strain(LOW, first=183))
    (ended,) = await alarms(family)
    assert seconds(items, ended["ended_at"]) == 732
    assert (ended["state"], ended["revision"], ended["id"]) == ("open", 2, alarm["id"])


def day(rng: random.Random) -> list[float | None]:
    """Twenty minutes with episodes, interruptions and hesitation."""
    levels = [HIGH, HIGH, HIGH, MIDDLE, LOW, None]
    return [level for _ in range(14) for level in [rng.choice(levels)] * rng.randint(1, 30)]


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_and_any_portions_raise_the_same_alarms(seed, make_family, strain, send):
    rng = random.Random(seed)
    in_order, shuffled = await make_family(device="00000000000000aa"), await make_family(device="00000000000000bb")
    for family in (in_order, shuffled):
        await choose(family, minutes=1)
    strains = day(rng)
    items = strain(*strains, device=in_order.device)
    for at in range(0, len(items), 20):
        await send(in_order, items[at : at + 20])
    others = strain(*strains, device=shuffled.device)
    rng.shuffle(others)
    while others:
        size = rng.randint(1, 60)
        await send(shuffled, others[:size])
        await send(shuffled, others[:size])  # a batch that is sent again is no second time
        others = others[size:]

    def told(found: list[dict]) -> list[tuple]:
        names = ("state", "began_at", "ended_at", "peak", "episodes", "threshold", "minutes")
        return [tuple(alarm[name] for name in names) for alarm in found if alarm["episodes"]]

    expected = told(await alarms(in_order))
    assert len(expected) == 1
    assert told(await alarms(shuffled)) == expected


@pytest.mark.parametrize("known", [False, True])
async def test_two_batches_at_the_same_time_raise_one_alarm(known, one_minute, *, database, superuser):
    family, child = UUID(one_minute.family_id), one_minute.child_id
    now = datetime.now(UTC)
    begin = microseconds(now)
    if known:
        async with database.family([family], role="ingest") as connection:
            await alerts.fold(connection, family, [alerts.Sample(child, begin - 60_000_000, LOW)], now)
    samples = [alerts.Sample(child, begin + 4_000_000 * number, HIGH) for number in range(30)]
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

    async def second() -> None:
        async with database.family([family], role="ingest") as connection:
            await alerts.fold(connection, family, samples[1::2], now)

    async with database.family([family], role="ingest") as connection:
        await fold_store.lock(connection, family, [child])
        other = asyncio.create_task(second())
        async with asyncio.timeout(10):
            while superuser.execute(waiting).fetchone() != (1,):
                await asyncio.sleep(0)
        await alerts.fold(connection, family, samples[::2], now)
    await other
    (alarm,) = await alarms(one_minute)
    assert microseconds(datetime.fromisoformat(alarm["began_at"])) == begin - 4_000_000
    assert (alarm["episodes"], alarm["ended_at"]) == (1, None)


async def test_two_boots_that_arrive_at_once_raise_one_alarm(one_minute, strain, send):
    halves = [strain(*[HIGH] * 30, boot=1)[::2], strain(*[HIGH] * 30, boot=2)[1::2]]
    await asyncio.gather(*(send(one_minute, half) for half in halves))
    (alarm,) = await alarms(one_minute)
    assert alarm["episodes"] == 1
    await send(one_minute, strain(LOW, boot=3, first=30))
    (alarm,) = await alarms(one_minute)
    assert seconds(halves[0], alarm["ended_at"]) == 120


async def test_further_episodes_make_an_open_alarm_longer(one_minute, strain, send):
    first = strain(*[HIGH] * MINUTE, LOW)
    await send(one_minute, first)
    (alarm,) = await alarms(one_minute, open=True)
    assert seconds(first, alarm["ended_at"]) == 60
    await send(one_minute, strain(*[0.9] * MINUTE, first=40))
    (again,) = await alarms(one_minute)
    assert (again["id"], again["episodes"], again["ended_at"], again["peak"]) == (alarm["id"], 2, None, 0.9)
    assert again["began_at"] == alarm["began_at"]
    assert again["message"].startswith("Strain is above A child's usual limit again, twice since ")


async def test_an_alarm_is_open_until_it_ended_and_was_acknowledged(one_minute, strain, send):
    await send(one_minute, strain(*[HIGH] * MINUTE))
    (alarm,) = await alarms(one_minute)
    seen = await acknowledge(one_minute, alarm["id"])
    assert (seen["state"], seen["acknowledged_by"], seen["revision"]) == ("open", "A guardian", 2)
    await send(one_minute, strain(LOW, first=MINUTE))
    (closed,) = await alarms(one_minute, open=False)
    assert (closed["id"], closed["state"]) == (alarm["id"], "closed")
    await send(one_minute, strain(*[HIGH] * MINUTE, LOW, first=MINUTE + 1))
    (second,) = await alarms(one_minute, open=True)
    assert second["id"] != alarm["id"]
    assert second["episodes"] == 1
    assert (await acknowledge(one_minute, second["id"]))["state"] == "closed"  # it had ended before
    assert await alarms(one_minute, open=True) == []
    assert [found["id"] for found in await alarms(one_minute)] == [second["id"], alarm["id"]]


async def test_end_and_next_episode_in_one_batch_raise_a_second_alarm_after_an_acknowledgement(one_minute, strain, send):
    await send(one_minute, strain(*[HIGH] * MINUTE))
    (alarm,) = await alarms(one_minute)
    await acknowledge(one_minute, alarm["id"])
    await send(one_minute, strain(*[HIGH] * 3, *[LOW] * 20, *[HIGH] * MINUTE, first=MINUTE))
    newest, oldest = await alarms(one_minute)
    assert (oldest["id"], oldest["state"], oldest["episodes"]) == (alarm["id"], "closed", 1)
    assert (newest["state"], newest["episodes"], newest["acknowledged_at"]) == ("open", 1, None)


async def test_what_goes_on_after_a_closed_alarm_raises_another_one(one_minute, strain, send):
    items = strain(*[HIGH] * MINUTE)
    await send(one_minute, [*items, *strain(*[None] * 20, first=MINUTE)])
    (alarm,) = await alarms(one_minute)
    assert seconds(items, alarm["ended_at"]) == 60  # nothing came for over a minute
    await acknowledge(one_minute, alarm["id"])
    await send(one_minute, strain(*[HIGH] * 10, first=MINUTE, boot=2))  # another band was worn
    await send(one_minute, strain(*[HIGH] * 4, first=MINUTE + 10, boot=2))
    assert len(await alarms(one_minute)) == 1
    await send(one_minute, strain(HIGH, first=MINUTE + 14, boot=2))
    newest, _ = await alarms(one_minute)
    assert (seconds(items, newest["began_at"]), newest["state"]) == (60, "open")


async def test_late_records_that_undo_an_episode_withdraw_its_alarm(one_minute, strain, send):
    gap = [None] * 5
    await send(one_minute, strain(*[HIGH] * 8, *gap, *[HIGH] * 8))
    (alarm,) = await alarms(one_minute)
    await send(one_minute, strain(LOW, first=10, boot=2))
    (undone,) = await alarms(one_minute)
    assert (undone["id"], undone["state"], undone["episodes"]) == (alarm["id"], "closed", 0)
    assert undone["message"].startswith("This was no alarm: ")
    assert (await acknowledge(one_minute, alarm["id"]))["acknowledged_at"] is None
    await send(one_minute, strain(*[HIGH] * 7, first=21))
    newest, oldest = await alarms(one_minute)
    assert oldest == undone
    assert newest["state"] == "open"


async def test_without_consent_there_is_no_alarm(make_family, strain, send, superuser):
    family = await make_family(consent=False)
    await choose(family, minutes=1)
    await send(family, strain(*[HIGH] * 60))
    assert await alarms(family) == []
    assert superuser.execute("SELECT count(*) FROM alert_tracks").fetchone() == (0,)


async def test_siblings_have_alarms_of_their_own(one_minute, strain, send):
    family = one_minute
    sibling = (await family.client.post("/api/children", json={"display_name": "Sibling", "zone": "Asia/Tokyo"})).json()["id"]
    await family.client.post("/api/consents", json={"child_id": sibling, "purpose": "monitoring", "granted": True})
    await family.client.post("/api/wearables", json={"device": "00000000000000bb"})
    worn = {"device": "00000000000000bb", "from": "2026-01-01T00:00:00Z"}
    (await family.client.post(f"/api/children/{sibling}/wearables", json=worn)).raise_for_status()
    both = [*strain(*[HIGH] * MINUTE), *strain(*[HIGH] * 150, device="00000000000000bb", boot=2)]
    await send(family, both)
    (mine,) = await alarms(family)
    (theirs,) = (await family.client.get(f"/api/children/{sibling}/alerts")).json()["items"]
    assert (mine["child_id"], mine["minutes"]) == (family.child_id, 1)
    assert (theirs["child_id"], theirs["minutes"]) == (sibling, 10)
    assert "Sibling's usual limit" in theirs["message"]


async def test_another_limit_looks_anew_and_ends_what_went_on(one_minute, strain, send):
    items = strain(*[HIGH] * 20)
    await send(one_minute, items)
    await choose(one_minute, minutes=1, threshold=0.9)
    await send(one_minute, strain(*[HIGH] * 20, first=20))
    (alarm,) = await alarms(one_minute)
    assert (seconds(items, alarm["ended_at"]), alarm["episodes"], alarm["threshold"]) == (80, 1, 0.75)
    await choose(one_minute, minutes=1, threshold=0.8)
    await send(one_minute, strain(*[HIGH] * MINUTE, first=40))
    (alarm,) = await alarms(one_minute)
    assert (alarm["episodes"], alarm["ended_at"]) == (2, None)


async def test_a_child_whose_alarm_is_off_gets_none(one_minute, strain, send):
    items = strain(*[HIGH] * MINUTE)
    await send(one_minute, items)
    await choose(one_minute, minutes=1, enabled=False)
    await send(one_minute, strain(*[HIGH] * 30, first=MINUTE))
    (alarm,) = await alarms(one_minute)
    assert seconds(items, alarm["ended_at"]) == 60
    await acknowledge(one_minute, alarm["id"])
    await choose(one_minute, minutes=1, enabled=True)
    await send(one_minute, strain(*[HIGH] * (MINUTE - 1), first=45))
    assert await alarms(one_minute, open=True) == []
    await send(one_minute, strain(HIGH, first=59))
    assert len(await alarms(one_minute, open=True)) == 1


async def test_a_clock_far_ahead_does_not_silence_the_others(one_minute, strain, send):
    ahead = strain(HIGH, boot=2, later_s=20 * 3600)
    await send(one_minute, ahead)
    await send(one_minute, strain(*[HIGH] * MINUTE))
    (alarm,) = await alarms(one_minute)
    assert alarm["state"] == "open"


async def test_acknowledging_twice_changes_nothing_and_is_in_the_audit_log_once(one_minute, strain, send, superuser, application):
    await send(one_minute, strain(*[HIGH] * MINUTE, LOW))
    (alarm,) = await alarms(one_minute)
    first = await acknowledge(one_minute, alarm["id"])
    assert await acknowledge(one_minute, alarm["id"]) == first
    assert (await one_minute.client.get(f"/api/alerts/{alarm['id']}")).json() == first
    rows = superuser.execute("SELECT actor, subject FROM audit_log WHERE action = 'alert.acknowledged'").fetchall()
    subject = {"alert_id": alarm["id"], "child_id": one_minute.child_id}
    assert rows == [(f"guardian:{one_minute.guardian_id}", subject)]
    async with application.state.database.family([UUID(one_minute.family_id)]) as connection:
        assert await audit.broken_links(connection, UUID(one_minute.family_id)) == []


async def test_a_foreign_guardian_finds_nothing(one_minute, make_family, strain, send):
    await send(one_minute, strain(*[HIGH] * MINUTE))
    (alarm,) = await alarms(one_minute)
    stranger = await make_family(device="00000000000000bb")
    child = f"/api/children/{one_minute.child_id}"
    answers = [
        await stranger.client.get(f"/api/alerts/{alarm['id']}"),
        await stranger.client.post(f"/api/alerts/{alarm['id']}/ack"),
        await stranger.client.get(f"/api/alerts/{uuid4()}"),
        await stranger.client.get(f"{child}/alerts"),
        await stranger.client.get(f"{child}/alarm"),
        await stranger.client.put(f"{child}/alarm", json={"minutes": 5}),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert await alarms(one_minute) == [alarm]
    assert (await one_minute.client.get(f"{child}/alarm")).json()["minutes"] == 1


async def test_nobody_and_a_foreign_page_are_refused(one_minute, browsers):
    child = f"/api/children/{one_minute.child_id}"
    assert (await browsers().get(f"{child}/alerts")).status_code == 401
    assert (await one_minute.client.put(f"{child}/alarm", json={}, headers={"X-CSRF-Token": "no"})).status_code == 403
    assert (await one_minute.client.get("/api/alerts")).status_code == 404  # that address is a WebSocket's


async def test_alarms_come_in_pages_newest_first(one_minute, strain, send):
    for turn in range(5):
        await send(one_minute, strain(*[HIGH] * MINUTE, LOW, first=20 * turn))
        (alarm,) = await alarms(one_minute, open=True)
        await acknowledge(one_minute, alarm["id"])
    path, found, cursor = f"/api/children/{one_minute.child_id}/alerts", [], None
    for size in (2, 2, 1):
        page = (await one_minute.client.get(path, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        assert len(page["items"]) == size
        found += page["items"]
        cursor = page["next_cursor"]
    assert cursor is None
    assert found == await alarms(one_minute)
    assert [alarm["began_at"] for alarm in found] == sorted((alarm["began_at"] for alarm in found), reverse=True)
    for wrong in ("nonsense", "WyJhIGIiXQ", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwKzAwOjAwIl0"):
        assert (await one_minute.client.get(path, params={"cursor": wrong})).status_code == 400


async def test_what_a_guardian_chooses_is_kept(family, superuser):
    path = f"/api/children/{family.child_id}/alarm"
    before = (await family.client.get(path)).json()
    assert before == {"threshold": 0.75, "minutes": 10, "enabled": True, "source": "default"}
    assert await choose(family, **before | {"minutes": 5}) == before | {"minutes": 5}  # a default that is sent back stays one
    chosen = {"threshold": 0.8, "minutes": 5, "enabled": False, "source": "guardian"}
    assert await choose(family, threshold=0.8, minutes=5, enabled=False) == chosen
    assert (await family.client.get(path)).json() == chosen
    assert await choose(family, threshold=None) == before
    superuser.execute("UPDATE alert_rules SET threshold = 0.66, source = 'learned'")
    learned = {"threshold": 0.66, "minutes": 10, "enabled": False, "source": "learned"}
    assert await choose(family, enabled=False) == learned
    assert await choose(family, **learned | {"enabled": True}) == learned | {"enabled": True}
    for wrong in ({"threshold": 0.1}, {"threshold": 1}, {"minutes": 0}, {"minutes": 121}, {"source": "nobody"}):
        assert (await family.client.put(path, json=wrong)).status_code == 422
    assert superuser.execute("SELECT count(*) FROM audit_log WHERE action = 'alarm.chosen'").fetchone() == (5,)


AT = datetime(2026, 11, 20, 13, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "lasted_m", "episodes", "raised_m", "said"),
    [
        ("Europe/Berlin", None, 1, 10, "Strain has been above Mia's usual limit for at least 10 minutes, since 14:02."),
        ("Europe/Berlin", 18, 1, 10, "Strain was above Mia's usual limit from 14:02 to 14:20."),
        ("Nowhere/Land", 18, 1, 10, "Strain was above Mia's usual limit from 13:02 to 13:20."),
        ("Europe/Berlin", 138, 3, 10, "Strain was above Mia's usual limit 3 times between 14:02 and 16:20."),
        ("Europe/Berlin", None, 2, 10, "Strain is above Mia's usual limit again, twice since 14:02."),
        (
            "Europe/Berlin", 18, 1, 60 * 24, "Strain was above Mia's usual limit from 14:02 to 14:20 on 20 November.",
        ),
        (
            "Asia/Tokyo", 180, 1, 10,
            "Strain was above Mia's usual limit from 22:02 on 20 November to 01:02 on 21 November.",
        ),
        (
            "Asia/Tokyo", None, 1, 180,
            "Strain has been above Mia's usual limit for at least 10 minutes, since 22:02 on 20 November.",
        ),
        (
            "Asia/Tokyo", None, 0, 10,
            "This was no alarm: records that arrived late show that strain was not above Mia's usual limit for 10 minutes.",
        ),
    ],
)  # fmt: skip
def test_the_sentence_is_in_the_childs_local_time(zone, lasted_m, episodes, raised_m, said):
    ended = None if lasted_m is None else AT + timedelta(minutes=lasted_m)
    raised = AT + timedelta(minutes=raised_m)
    assert words.sentence("Mia", zone, began=AT, ended=ended, raised=raised, minutes=10, episodes=episodes) == said
