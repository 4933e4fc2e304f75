"""A record is stored exactly once, or accounted for; whatever a gateway sends, its neighbours in the batch are not touched."""

import asyncio
from datetime import datetime, timedelta

import orjson
import psycopg
import pytest


def stored(superuser: psycopg.Connection, table: str = "wellness_metrics") -> list[tuple[int, int]]:
    """(boot, seq) of every stored row."""
    return superuser.execute(f"SELECT boot, seq FROM {table} ORDER BY boot, seq").fetchall()


def held(superuser: psycopg.Connection) -> list[tuple[object, ...]]:
    return superuser.execute("SELECT boot, seqs::text, withheld::text FROM received ORDER BY boot").fetchall()


def quarantined(superuser: psycopg.Connection) -> list[tuple[str, str]]:
    return superuser.execute("SELECT code, detail FROM quarantine ORDER BY code, detail").fetchall()


def balanced(ack: dict, items: int) -> bool:
    return ack["accepted"] + ack["duplicates"] + len(ack["refused"]) == items


async def test_batch_sent_three_times_is_stored_once(family, records, send, superuser):
    items = records(60)
    answers = [(await send(family, items)).raise_for_status().json() for _ in range(3)]
    assert [(answer["accepted"], answer["duplicates"]) for answer in answers] == [(60, 0), (0, 60), (0, 60)]
    assert all(answer["refused"] == [] for answer in answers)
    assert stored(superuser) == [(3735928559, seq) for seq in range(60)]
    assert held(superuser) == [(3735928559, "{[0,60)}", "{}")]


async def test_stored_row_says_what_was_sent(family, records, send, superuser):
    item = records(1, device=family.device)[0]
    (await send(family, [item])).raise_for_status()
    row = superuser.execute(
        "SELECT to_hex(device), to_hex(payload), to_hex(firmware), time, quality, heart_rate_bpm, eda_phasic_us, zone_offset_s,"
        " child_id FROM wellness_metrics"
    ).fetchone()
    moment = datetime.fromisoformat(item["ts"])
    assert row[:2] == ("a1b2c3d4e5f60718", item["payload"].lstrip("0"))
    assert row[2:7] == ("9f3c01aa", moment, 63, 84.5, pytest.approx(-0.12))
    assert row[7] in {3600, 7200}  # Berlin
    assert row[8] == family.child_id


async def test_moved_anchor_changes_no_stored_row(family, records, send, superuser):
    await send(family, records(10))
    answer = (await send(family, records(10, later_s=1800))).json()
    assert (answer["accepted"], answer["duplicates"], answer["refused"]) == (0, 10, [])
    assert len(stored(superuser)) == 10


async def test_known_key_is_a_duplicate_even_at_a_time_that_would_be_refused(family, records, send):
    items = records(2)
    await send(family, items)
    for time in ("2001-01-01T00:00:00Z", "2199-01-01T00:00:00+02:00"):
        answer = (await send(family, [item | {"ts": time} for item in items])).json()
        assert (answer["duplicates"], answer["refused"]) == (2, [])


async def test_same_key_with_another_payload_is_a_conflict_and_neighbours_are_stored(family, records, send, superuser):
    await send(family, records(3))
    forged = records(1, first=1, payload="00000000deadbeef", heart_rate_bpm=200)
    batch = [*records(2, first=3), *forged, *records(1, first=5)]
    for _ in range(2):
        answer = (await send(family, batch)).json()
        assert [(refusal["index"], refusal["code"]) for refusal in answer["refused"]] == [(2, "conflict")]
        assert balanced(answer, 4)
    assert [seq for _, seq in stored(superuser)] == [0, 1, 2, 3, 4, 5]
    assert superuser.execute("SELECT heart_rate_bpm FROM wellness_metrics WHERE seq = 1").fetchone() == (84.5,)
    assert [code for code, _ in quarantined(superuser)] == ["conflict"]


async def test_repeats_inside_one_batch_are_judged_like_repeats_of_a_batch(family, records, send, superuser):
    first = records(1)[0]
    answer = (await send(family, [first, first, first | {"payload": "0" * 16}])).json()
    assert (answer["accepted"], answer["duplicates"]) == (1, 1)
    assert [(refusal["index"], refusal["code"]) for refusal in answer["refused"]] == [(2, "conflict")]
    assert len(stored(superuser)) == 1


BAD = {
    "not an object": (7, "bad_value", "not an object"),
    "null": (None, "bad_value", "not an object"),
    "no kind": ({"kind": ...}, "bad_value", "kind is missing"),
    "unknown kind": ({"kind": "telepathy"}, "unknown_kind", "telepathy"),
    "missing key": ({"heart_rate_bpm": ...}, "bad_value", "heart_rate_bpm is missing"),
    "missing device": ({"device": ...}, "bad_value", "device is missing"),
    "text for a number": ({"eda_us": "2.4"}, "bad_value", "eda_us is not a number"),
    "truth for a number": ({"eda_us": True}, "bad_value", "eda_us is not a number"),
    "too high": ({"heart_rate_bpm": 300}, "bad_value", "heart_rate_bpm is outside 0 … 255"),
    "too small for the database": ({"motion_g": 1e-50}, "bad_value", "motion_g is too near 0"),
    "negative seq": ({"seq": -1}, "bad_value", "seq is outside"),
    "fraction of a seq": ({"seq": 1.5}, "bad_value", "seq is not a whole number"),
    "enormous seq": ({"seq": 2**63}, "bad_value", "seq is outside"),
    "short device": ({"device": "a1b2"}, "bad_value", "device is not 16 hexadecimal digits"),
    "list for a device": ({"device": ["a"]}, "bad_value", "device is not 16 hexadecimal digits"),
    "no zone": ({"ts": "2026-11-20T18:03:08.000"}, "bad_value", "ts has no zone"),
    "no time": ({"ts": "yesterday"}, "bad_value", "ts is not an ISO 8601 time"),
    "number for a time": ({"ts": 1}, "bad_value", "ts is not an ISO 8601 time"),
    "first year in a far zone": ({"ts": "0001-01-01T00:00:00+14:00"}, "too_old", "ts is before"),
    "too far ahead": ({"ts": "2199-01-01T00:00:00Z"}, "bad_value", "more than a day ahead"),
    "too old": ({"ts": "2001-01-01T00:00:00Z"}, "too_old", "ts is before"),
    "null where a value must be": ({"quality": None}, "bad_value", "quality is not a whole number"),
    "strain without a model": ({"quality": 31}, "bad_value", "stress_level has a value although quality 31 forbids one"),
    "pulse without contact": ({"quality": 59}, "bad_value", "heart_rate_bpm has a value although quality 59 forbids one"),
    "foreign device": ({"device": "00000000000000ff"}, "not_assigned", "no child of this family wore the device"),
    "NUL in a text": ({"ts": "2026\0"}, "bad_value", "ts is not an ISO 8601 time"),
    "NUL in a kind": ({"kind": "a\0b"}, "unknown_kind", "a\\x00b"),
    "very long": ({"ts": "9" * 100_000}, "bad_value", "ts is not an ISO 8601 time"),
    "very deep": ({"ts": orjson.loads("[" * 200 + "]" * 200)}, "bad_value", "ts is not an ISO 8601 time"),
}


@pytest.mark.parametrize("flaw", BAD)
async def test_one_bad_item_is_refused_and_its_neighbours_are_stored(flaw, family, records, send, superuser):
    changes, code, detail = BAD[flaw]
    items = records(3)
    if isinstance(changes, dict):
        items[1] = {key: value for key, value in (items[1] | changes).items() if value is not ...}
    else:
        items[1] = changes
    for accepted, duplicates in ((2, 0), (0, 2)):
        response = await send(family, items)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert (answer["accepted"], answer["duplicates"]) == (accepted, duplicates)
        (refusal,) = answer["refused"]
        assert (refusal["index"], refusal["code"]) == (1, code)
        assert detail in refusal["detail"]
    assert [seq for _, seq in stored(superuser)] == [0, 2]
    assert [found for found, _ in quarantined(superuser)] == [code]  # sent twice, kept once
    assert held(superuser)[0][1] == "{[0,1),[2,3)}"


async def test_every_item_bad_stores_nothing_and_still_answers(family, send, superuser):
    answer = (await send(family, [None, {}, [], "x"])).json()
    assert (answer["accepted"], answer["duplicates"], len(answer["refused"])) == (0, 0, 4)
    assert held(superuser) == []


async def test_empty_batch_is_answered(family, send):
    answer = (await send(family, [])).json()
    assert (answer["accepted"], answer["duplicates"], answer["refused"]) == (0, 0, [])


async def test_largest_batch_is_stored(family, records, send, superuser):
    assert (await send(family, records(5000))).json()["accepted"] == 5000
    assert held(superuser) == [(3735928559, "{[0,5000)}", "{}")]


async def test_weeks_that_cannot_be_created_refuse_nothing(family, records, send, superuser):
    superuser.execute("REVOKE EXECUTE ON FUNCTION ensure_weeks, ensure_weeks_of FROM zenmoon_ingest")
    assert (await send(family, records(3))).json()["accepted"] == 3
    assert superuser.execute("SELECT count(*) FROM wellness_metrics_default").fetchone() == (3,)


async def test_keys_beyond_the_kind_are_ignored(family, records, send):
    assert (await send(family, records(2, cadence=1, note={"a": 1}))).json()["accepted"] == 2


async def test_null_is_stored_where_quality_forbids_a_value(family, records, send, superuser):
    silent = dict.fromkeys(("heart_rate_bpm", "rmssd_ms", "eda_us", "eda_phasic_us", "stress_level", "anomaly"))
    await send(family, records(1, quality=0, battery_pct=None, **silent))
    row = superuser.execute("SELECT quality, heart_rate_bpm, stress_level, battery_pct, motion_g FROM wellness_metrics").fetchone()
    assert row == (0, None, None, None, pytest.approx(0.031))


@pytest.mark.parametrize(
    ("body", "status", "type_"),
    [
        (b"", 400, "bad-json"),
        (b"{", 400, "bad-json"),
        (b'{"items": [NaN]}', 400, "bad-json"),
        (b'{"items": [Infinity]}', 400, "bad-json"),
        (b"[]", 422, "bad-envelope"),
        (b"{}", 422, "bad-envelope"),
        (b'{"batch_id": "b\\u0000", "gateway_id": "gw_1", "sent_at": "2026-11-20T18:03:11Z", "items": []}', 422, "bad-envelope"),
        (b'{"batch_id": "b", "gateway_id": "gw_1", "sent_at": "2026-11-20T18:03:11", "items": []}', 422, "bad-envelope"),
        (b'{"batch_id": "b", "gateway_id": "gw_1", "sent_at": "2026-11-20T18:03:11Z", "items": {}}', 422, "bad-envelope"),
        (b'{"batch_id": "b", "gateway_id": "gw_1", "sent_at": "2026-11-20T18:03:11Z", "items": [%s0]}' % (b"0," * 5000), 413,
         "too-many-items"),
        (b'{"batch_id": "b", "gateway_id": "gw_1", "sent_at": "2026-11-20T18:03:11Z", "items": []}', 403, "foreign-gateway"),
    ],
)  # fmt: skip
async def test_bad_envelope_is_a_problem_and_stores_nothing(body, status, type_, family):
    answer = await family.client.post("/api/ingest/batches", content=body, headers=family.bearer)
    assert (answer.status_code, answer.json()["type"]) == (status, type_)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_revoked_and_unknown_tokens_are_refused(family, records, send, superuser):
    (await family.client.post(f"/api/gateways/{family.gateway_id}/revoke")).raise_for_status()
    answer = await send(family, records(1))
    assert (answer.status_code, answer.json()["type"]) == (401, "token-revoked")
    family.bearer = {"Authorization": "Bearer nonsense"}
    answer = await send(family, records(1))
    assert (answer.status_code, answer.json()["type"]) == (401, "token-unknown")
    family.bearer = {}
    assert (await send(family, records(1))).status_code == 401
    assert stored(superuser) == []


async def test_gateway_of_one_family_cannot_write_into_another(make_family, records, send, superuser):
    ours = await make_family(device="00000000000000aa")
    theirs = await make_family(device="00000000000000bb")
    items = [*records(2, device=theirs.device), *records(1, device=ours.device, boot=7)]
    answer = (await send(ours, items)).json()
    assert [(refusal["index"], refusal["code"]) for refusal in answer["refused"]] == [(0, "not_assigned"), (1, "not_assigned")]
    unknown = (await send(ours, records(1, device="00000000000000cc"))).json()["refused"][0]
    assert unknown["detail"] == answer["refused"][0]["detail"]  # nothing tells another family's device from none
    assert stored(superuser) == [(7, 0)]
    assert (await send(ours, [], gateway_id=theirs.gateway_id)).status_code == 403
    owners = superuser.execute("SELECT DISTINCT family_id::text FROM received").fetchall()
    assert owners == [(ours.family_id,)]
    # and the device's own family still gets them
    assert (await send(theirs, items[:2])).json()["accepted"] == 2


async def test_withdrawn_consent_is_counted_and_its_content_kept_nowhere(family, records, send, superuser):
    later = datetime.fromisoformat(records(11)[10]["ts"])
    superuser.execute(
        "INSERT INTO consents (family_id, child_id, purpose, version, granted, at, guardian_id)"
        " VALUES (%s, %s, 'monitoring', 2, false, %s, %s)",
        [family.family_id, family.child_id, later, family.guardian_id],
    )
    for _ in range(2):
        answer = (await send(family, records(15))).json()
        assert {refusal["code"] for refusal in answer["refused"]} == {"consent"}
        assert [refusal["index"] for refusal in answer["refused"]] == [10, 11, 12, 13, 14]
        assert balanced(answer, 15)
    assert held(superuser) == [(3735928559, "{[0,10)}", "{[10,15)}")]
    assert quarantined(superuser) == []
    assert len(stored(superuser)) == 10
    # a better anchor may show that a record was observed before; then it is stored, and withheld no more
    assert (await send(family, records(1, first=10, later_s=-8))).json()["accepted"] == 1
    assert held(superuser) == [(3735928559, "{[0,11)}", "{[11,15)}")]


async def test_without_any_consent_nothing_is_stored(make_family, records, send, superuser):
    family = await make_family(consent=False)
    answer = (await send(family, records(3))).json()
    assert [refusal["code"] for refusal in answer["refused"]] == ["consent"] * 3
    assert stored(superuser) == []
    assert held(superuser) == [(3735928559, "{}", "{[0,3)}")]


async def test_what_is_refused_of_a_child_without_consent_is_kept_without_its_content(make_family, records, send, superuser):
    family = await make_family(consent=False)
    refused = [
        *records(1, ts="2026-02-02T00:00:00Z"),
        *records(1, first=1, eda_us="x"),
        *records(1, first=2, kind="mood"),
        *records(1, first=3, ts="yesterday"),
        *records(1, first=4, device="x"),
    ]
    answer = (await send(family, refused)).json()
    codes = ["too_old", "bad_value", "unknown_kind", "bad_value", "bad_value"]
    assert [refusal["code"] for refusal in answer["refused"]] == codes
    kept = superuser.execute("SELECT code, item FROM quarantine").fetchall()
    assert sorted(kept) == sorted((code, {"withheld": True}) for code in codes)


async def test_conflict_after_an_opt_out_is_kept_without_its_content(family, records, send, superuser):
    await send(family, records(2))
    superuser.execute(
        "INSERT INTO consents (family_id, child_id, purpose, version, granted, at, guardian_id)"
        " VALUES (%s, %s, 'monitoring', 2, false, %s, %s)",
        [family.family_id, family.child_id, datetime.fromisoformat(records(2)[1]["ts"]), family.guardian_id],
    )
    answer = (await send(family, [item | {"payload": "0" * 16} for item in records(2)])).json()
    assert [refusal["code"] for refusal in answer["refused"]] == ["conflict", "conflict"]
    kept = superuser.execute("SELECT item ? 'withheld' FROM quarantine ORDER BY seq").fetchall()
    assert kept == [(False,), (True,)]


async def test_record_belongs_to_who_wore_the_device_at_event_time(family, records, send, superuser):
    items = records(20)
    change = datetime.fromisoformat(items[10]["ts"])
    sibling = (await family.client.post("/api/children", json={"display_name": "Sibling", "zone": "Europe/Berlin"})).json()["id"]
    await family.client.post("/api/consents", json={"child_id": sibling, "purpose": "monitoring", "granted": True})
    superuser.execute("UPDATE wearable_assignments SET worn = tstzrange(lower(worn), %s)", [change])
    superuser.execute(
        "INSERT INTO wearable_assignments (family_id, device, child_id, worn) SELECT family_id, device, %s, tstzrange(%s, NULL) "
        "FROM wearable_assignments",
        [sibling, change + timedelta(seconds=8)],
    )
    answer = (await send(family, items)).json()
    assert [refusal["index"] for refusal in answer["refused"]] == [10, 11]  # nobody wore it for 8 s
    rows = superuser.execute("SELECT child_id, array_agg(seq ORDER BY seq) FROM wellness_metrics GROUP BY 1").fetchall()
    assert dict(rows) == {family.child_id: list(range(10)), sibling: list(range(12, 20))}


async def test_all_kinds_share_one_numbering(family, records, send, superuser):
    base = {key: value for key, value in records(1)[0].items() if key in {"device", "boot", "tick_ms", "ts", "firmware", "model"}}
    items = [
        base | {"kind": "event", "seq": 0, "payload": "0" * 15 + "1", "code": 1, "value": 3},
        base | {"kind": "anchor", "seq": 1, "payload": "0" * 15 + "2", "utc_ms": 1763661788000, "source": 1, "uncertainty_ms": 20},
        base
        | {"kind": "health", "seq": 2, "payload": "0" * 15 + "3", "battery_pct": None, "overwritten": 0, "refused": 1}
        | {"crash": 0},
        base | {"kind": "motion30", "seq": 3, "payload": "0" * 15 + "4", "counts": 400, "posture_deg": 30, "quality": 63},
        *records(2, first=4),
        base | {"kind": "anchor", "seq": 6, "payload": "0" * 15 + "5", "utc_ms": 1763661799000, "source": 1, "uncertainty_ms": 5},
    ]
    assert (await send(family, items)).json()["accepted"] == 7
    assert (await send(family, items)).json()["duplicates"] == 7
    another_kind = [items[0] | {"kind": "motion30", "payload": "f" * 16, "counts": 1, "posture_deg": 1, "quality": 1}]
    assert (await send(family, another_kind)).json()["refused"][0]["code"] == "conflict"
    for table, seqs in {"device_events": [0], "device_health": [2], "motion_epochs": [3], "anchors": [1, 6]}.items():
        assert [seq for _, seq in stored(superuser, table)] == seqs
    assert held(superuser) == [(3735928559, "{[0,7)}", "{}")]
    assert superuser.execute("SELECT seq FROM anchors WHERE rules").fetchall() == [(1,)]
    assert (await send(family, [items[-1] | {"seq": 7}])).json()["accepted"] == 1
    assert superuser.execute("SELECT seq FROM anchors WHERE rules").fetchall() == [(1,)]  # the first committed one rules


async def test_concurrent_batches_with_overlapping_devices_neither_deadlock_nor_store_twice(make_family, records, send, superuser):
    family = await make_family(device="00000000000000aa")
    boots = range(6)

    def batch(turn: int) -> list[dict]:
        order = boots if turn % 2 else reversed(boots)
        return [item for boot in order for item in records(8, first=turn // 3, device=family.device, boot=boot)]

    answers = await asyncio.gather(*(send(family, batch(turn)) for turn in range(24)))
    acks = [answer.raise_for_status().json() for answer in answers]
    assert all(balanced(ack, 48) and ack["refused"] == [] for ack in acks)
    expected = sorted((boot, seq) for boot in boots for seq in range(15))
    assert stored(superuser) == expected
    assert sum(ack["accepted"] for ack in acks) == len(expected)


async def test_interrupted_transaction_leaves_nothing_in_ledger_or_table(family, records, send, superuser):
    superuser.execute(  # the connection dies at the commit
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
    )
    superuser.execute(
        "CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON received DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()"
    )
    answer = await send(family, records(5))
    assert answer.status_code == 503
    assert (stored(superuser), held(superuser)) == ([], [])
    superuser.execute("DROP TRIGGER fail ON received")
    for _ in range(10):  # the pool replaces the lost connection
        answer = await send(family, records(5))
        if answer.status_code == 200:
            break
    assert answer.json()["accepted"] + answer.json()["duplicates"] == 5
    assert len(stored(superuser)) == 5


async def test_weeks_are_created_ahead_and_rows_of_a_missing_week_are_kept(family, records, send, superuser):
    await send(family, records(3))
    assert superuser.execute("SELECT count(*) FROM wellness_metrics_default").fetchone() == (0,)
    weeks = superuser.execute("SELECT tableoid::regclass::text FROM wellness_metrics").fetchall()
    (name,) = set(weeks)
    # as if nobody had created the week: the row goes to the default partition and moves when the week comes
    superuser.execute(f"ALTER TABLE wellness_metrics DETACH PARTITION {name[0]}")
    superuser.execute(f"INSERT INTO wellness_metrics SELECT * FROM {name[0]}")
    superuser.execute(f"DROP TABLE {name[0]}")
    assert superuser.execute("SELECT count(*) FROM wellness_metrics_default").fetchone() == (3,)
    assert superuser.execute("SELECT ensure_weeks(now(), now() + interval '1 day')").fetchone()[0] >= 1
    assert superuser.execute("SELECT count(*) FROM wellness_metrics_default").fetchone() == (0,)
    assert len(stored(superuser)) == 3
    assert (await send(family, records(3))).json()["duplicates"] == 3
