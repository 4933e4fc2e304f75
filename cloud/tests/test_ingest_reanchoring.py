"""Re-anchoring moves a whole boot in time: explicitly, audited, without touching the ledger, and all of it or nothing."""

from datetime import UTC, datetime, timedelta

import pytest

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

    assert answer["moved"] == {"wellness_metrics": 20, "motion_epochs": 0, "anchors": 2, "device_events": 1, "device_health": 0}
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
