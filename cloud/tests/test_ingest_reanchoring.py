"""Re-anchoring moves a whole boot in time: explicitly, audited, without touching the ledger, and all of it or nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from zenmoon_edge.importing import Source

BOOT = 3735928559


@pytest.fixture
async def operator(browsers, superuser):
    """A signed-in operator, who belongs to no family that is asked about."""
    client = browsers()
    body = {"email": "operator@example.org", "password": "a long password for tests", "display_name": "Operator"}
    answer = (await client.post("/api/auth/register", json=body)).raise_for_status().json()
    client.headers["X-CSRF-Token"] = answer["csrf_token"]
    superuser.execute("UPDATE guardians SET operator = true WHERE email = 'operator@example.org'")
    return client


def anchor(item: dict, seq: int, utc: datetime) -> dict:
    shared = {key: item[key] for key in ("device", "boot", "tick_ms", "ts", "firmware", "model")}
    utc_ms = int(utc.timestamp() * 1000)
    return shared | {
        "kind": "anchor", "seq": seq, "payload": f"{seq:016x}", "utc_ms": utc_ms, "source": 1, "uncertainty_ms": 20,
    }  # fmt: skip


def order(family, **changes) -> dict:
    return {"family_id": family.family_id, "device": family.device, "boot": BOOT, "reason": "wrong phone clock"} | changes


async def test_boot_moves_to_another_stored_anchor_and_is_counted_as_before(family, records, send, operator, superuser):
    items = records(20)
    moment = datetime.fromisoformat(items[0]["ts"])
    event = {key: items[0][key] for key in ("device", "boot", "tick_ms", "ts", "firmware", "model")} | {
        "kind": "event", "seq": 30, "payload": "1" * 16, "code": 1, "value": 0,
    }  # fmt: skip
    await send(family, [*items, anchor(items[0], 31, moment), anchor(items[0], 32, moment + timedelta(hours=2)), event])
    ledger = superuser.execute("SELECT seqs::text FROM received").fetchall()
    order_of_commits = superuser.execute("SELECT seq, transaction_id FROM wellness_metrics ORDER BY seq").fetchall()

    answer = (await operator.post("/api/ingest/reanchor", json=order(family, anchor_seq=32))).raise_for_status().json()

    assert answer["moved"] == {
        "wellness_metrics": 20, "motion_epochs": 0, "epochs": 0, "sleep_episodes": 0, "anchors": 2, "device_events": 1,
        "device_health": 0,
    }  # fmt: skip
    times = superuser.execute("SELECT seq, time FROM wellness_metrics ORDER BY seq").fetchall()
    assert times == [(seq, moment + timedelta(hours=2, seconds=4 * seq)) for seq in range(20)]
    assert superuser.execute("SELECT time FROM device_events").fetchone() == (moment + timedelta(hours=2),)
    assert superuser.execute("SELECT seqs::text FROM received").fetchall() == ledger
    assert superuser.execute("SELECT seq, transaction_id FROM wellness_metrics ORDER BY seq").fetchall() == order_of_commits
    assert superuser.execute("SELECT seq FROM anchors WHERE rules").fetchall() == [(31,)]  # what was first stays first
    (entry,) = superuser.execute("SELECT actor, subject FROM audit_log WHERE action = 'boot.reanchored'").fetchall()
    assert entry[0].startswith("guardian:")
    assert (entry[1]["anchor_seq"], entry[1]["moved"]["wellness_metrics"]) == (32, 20)


async def test_what_arrives_later_of_a_moved_boot_goes_where_the_boot_went(family, records, send, operator, superuser):
    items = records(10)
    await send(family, items[:5])
    origin = datetime.fromisoformat(items[0]["ts"]) + timedelta(hours=3)
    (await operator.post("/api/ingest/reanchor", json=order(family, origin=origin.isoformat()))).raise_for_status()
    answer = (await send(family, items)).json()  # the gateway still uses its first anchor
    assert (answer["accepted"], answer["duplicates"]) == (5, 5)
    times = superuser.execute("SELECT time FROM wellness_metrics ORDER BY seq").fetchall()
    assert times == [(origin + timedelta(seconds=4 * seq),) for seq in range(10)]
    await send(family, records(1, boot=5))  # another boot of the same device stays where it is
    assert superuser.execute("SELECT time FROM wellness_metrics WHERE boot = 5").fetchone()[0] < origin


async def test_boot_is_not_moved_to_where_nobody_agreed_or_wore_it(family, records, send, operator, superuser):
    items = records(10)
    await send(family, items)
    before = superuser.execute("SELECT seq, time FROM wellness_metrics ORDER BY seq").fetchall()
    moment = datetime.fromisoformat(items[0]["ts"])

    async def refusal(origin: datetime) -> str:
        answer = await operator.post("/api/ingest/reanchor", json=order(family, origin=origin.isoformat()))
        assert (answer.status_code, answer.json()["type"]) == (409, "cannot-reanchor")
        return answer.json()["detail"]

    assert "monitoring was not agreed" in await refusal(moment - timedelta(days=2))  # before consent
    assert "outside the time that is kept" in await refusal(moment - timedelta(days=60))
    assert "outside the time that is kept" in await refusal(moment + timedelta(days=3))
    for end_of_calendar in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"):
        assert "outside the time that is kept" in await refusal(datetime.fromisoformat(end_of_calendar))
    superuser.execute("UPDATE wearable_assignments SET worn = tstzrange(lower(worn), %s)", [moment + timedelta(hours=1)])
    assert "no child of the family wore the device" in await refusal(moment + timedelta(hours=2))
    assert superuser.execute("SELECT seq, time FROM wellness_metrics ORDER BY seq").fetchall() == before
    assert superuser.execute("SELECT count(*) FROM audit_log WHERE action = 'boot.reanchored'").fetchone() == (0,)
    assert superuser.execute("SELECT origin FROM received").fetchone() == (None,)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"boot": 1, "origin": "2026-11-20T18:03:08Z"}, 404),
        ({"anchor_seq": 4}, 404),
        ({}, 422),
        ({"anchor_seq": 4, "origin": "2026-11-20T18:03:08Z"}, 422),
        ({"origin": "2026-11-20T18:03:08"}, 422),
        ({"origin": "2026-11-20T18:03:08Z", "device": "A"}, 422),
    ],
)
async def test_bad_order_is_a_problem(changes, status, *, family, records, send, operator):
    await send(family, records(5))
    assert (await operator.post("/api/ingest/reanchor", json=order(family, **changes))).status_code == status


async def test_anchor_that_points_before_all_calendars_moves_nothing(family, records, send, operator):
    item = records(1)[0]
    await send(family, [item, anchor(item, 1, datetime(1970, 1, 1, tzinfo=UTC)) | {"tick_ms": 2**48 - 1}])
    answer = await operator.post("/api/ingest/reanchor", json=order(family, anchor_seq=1))
    assert (answer.status_code, answer.json()["type"]) == (409, "cannot-reanchor")


async def test_only_operators_reanchor(family, records, send):
    await send(family, records(1))
    body = order(family, origin=datetime.now(UTC).isoformat())
    answer = await family.client.post("/api/ingest/reanchor", json=body)
    assert (answer.status_code, answer.json()["type"]) == (403, "operators-only")


async def test_an_importers_boot_moves_with_its_minutes_and_nights_and_marks_where_they_were_and_are(
    make_family, send, operator, superuser
):
    """Its tick is UTC itself, so the origin of a clock that was an hour and a half slow is 01:30 of the first day of 1970."""
    family = await make_family(device="00000000000000ee", begin="2025-01-01T00:00:00Z")
    superuser.execute("UPDATE consents SET at = '2025-01-01T00:00:00Z'")
    importer = Source(0xEE, BOOT, firmware=3, model=4)
    begin = datetime.now(UTC).replace(hour=9, minute=10, second=0, microsecond=0) - timedelta(days=50)
    ms = int(begin.timestamp() * 1000)

    def epoch(minute: int, zone: int | None, **changes: int) -> dict:
        return importer.epoch(ms + 60_000 * minute, {"motion_g": 0.1}, coverage=1, quality=63, zone_offset_s=zone, **changes)

    night = {"awakenings": 1, "efficiency": 0.9, "nap": False, "zone_offset_s": None}
    items = [
        epoch(0, None), epoch(1, 19_800), epoch(0, None, revision=1, seq=0),
        importer.sleep(ms + 1, ms + 36_000_001, asleep_s=30_000, **night),
        importer.sleep(ms + 1, ms + 36_000_001, asleep_s=31_000, **night, revision=1, seq=2),
    ]  # fmt: skip
    assert (await send(family, items)).json()["accepted"] == 5
    superuser.execute("DELETE FROM dirty_hours")
    origin = datetime(1970, 1, 1, 1, 30, 45, tzinfo=UTC)

    answer = (await operator.post("/api/ingest/reanchor", json=order(family, origin=origin.isoformat()))).raise_for_status().json()

    assert (answer["moved"]["epochs"], answer["moved"]["sleep_episodes"]) == (3, 2)
    moved = begin + timedelta(minutes=90)  # an epoch stays a whole minute
    berlin = 7200 if moved < datetime(2026, 10, 25, 1, tzinfo=UTC) else 3600
    rows = superuser.execute("SELECT seq, revision, time, zone_offset_s, motion_g FROM epochs ORDER BY seq, revision").fetchall()
    assert rows == [
        (0, 0, moved, berlin, 0.1), (0, 1, moved, berlin, 0.1), (1, 0, moved + timedelta(minutes=1), 19_800, 0.1),
    ]  # fmt: skip
    nights = superuser.execute("SELECT revision, time, ended_at - time, asleep_s FROM sleep_episodes ORDER BY revision").fetchall()
    onset = begin + timedelta(hours=1, minutes=30, seconds=45, milliseconds=1)
    assert nights == [(0, onset, timedelta(hours=10), 30_000), (1, onset, timedelta(hours=10), 31_000)]
    hour = begin.replace(minute=0)
    marks = superuser.execute("SELECT child_id, hour FROM dirty_hours ORDER BY hour").fetchall()
    assert marks == [(family.child_id, hour), (family.child_id, hour + timedelta(hours=1))]

    later = [
        epoch(2, None), importer.sleep(ms + 72_000_000, ms + 75_600_000, asleep_s=60, **night), *items,
        epoch(1, 0, revision=4, seq=1),
    ]  # fmt: skip
    answer = (await send(family, later)).json()
    assert (answer["accepted"], answer["duplicates"], answer["refused"]) == (3, 5, [])
    times = superuser.execute("SELECT time FROM epochs WHERE seq = 3 OR revision = 4 ORDER BY time").fetchall()
    assert times == [(moved + timedelta(minutes=1),), (moved + timedelta(minutes=2),)]
    lengths = superuser.execute("SELECT ended_at - time FROM sleep_episodes WHERE seq = 4").fetchall()
    assert lengths == [(timedelta(hours=1),)]


async def test_records_that_move_mark_the_hours_they_leave_and_come_to(family, records, send, operator, superuser):
    items = records(10)
    await send(family, items)
    superuser.execute("DELETE FROM dirty_hours")
    moment = datetime.fromisoformat(items[0]["ts"])
    origin = moment + timedelta(hours=5)
    (await operator.post("/api/ingest/reanchor", json=order(family, origin=origin.isoformat()))).raise_for_status()

    def touched(begin: datetime) -> set[datetime]:
        times = [begin + timedelta(seconds=4 * seq) for seq in range(10)]
        return {time.replace(minute=0, second=0, microsecond=0) for time in times}

    marks = superuser.execute("SELECT hour FROM dirty_hours").fetchall()
    assert {hour for (hour,) in marks} == touched(moment) | touched(origin)


async def test_each_kind_is_moved_no_further_back_than_it_is_kept(make_family, records, send, operator, superuser):
    family = await make_family(device="00000000000000ee", begin="2025-01-01T00:00:00Z")
    superuser.execute("UPDATE consents SET at = '2025-01-01T00:00:00Z'")
    importer = Source(0xEE, BOOT, firmware=3, model=4)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    ms = int((now - timedelta(days=5)).timestamp() * 1000)
    epoch = importer.epoch(ms, {}, coverage=1, quality=63, zone_offset_s=None)
    record = records(1, first=1, device=family.device, tick_ms=ms, ts=(now - timedelta(days=5)).isoformat())[0]

    async def back(days: int) -> int:
        origin = (datetime(1970, 1, 1, tzinfo=UTC) - timedelta(days=days)).isoformat()
        return (await operator.post("/api/ingest/reanchor", json=order(family, origin=origin))).status_code

    await send(family, [epoch])
    assert (await back(60), await back(90), await back(0)) == (200, 409, 200)
    await send(family, [record])
    assert (await back(60), await back(20)) == (409, 200)
