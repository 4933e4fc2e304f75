"""History arrives as minutes of an importer, in any order and more than once; each is stored once, each revision beside it."""

import random
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zenmoon_edge.importing import METRICS, Source

IMPORTER = "00000000000000ee"
VALUES = {
    "heart_rate_bpm": 84.123456789, "rmssd_ms": 38, "eda_us": 2.41, "eda_phasic_us": -0.12, "temperature_c": 33.18,
    "motion_g": 0.031, "stress_level": 0.42, "anomaly": 0.07,
}  # fmt: skip
SAID = {"coverage": 0.75, "quality": 63, "zone_offset_s": None}
NOW = datetime.now(UTC).replace(second=0, microsecond=0)


@pytest.fixture
async def family(make_family, superuser):
    """A family whose phone is an importer, and that agreed to monitoring long ago."""
    made = await make_family(device=IMPORTER, begin="2025-01-01T00:00:00Z")
    superuser.execute("UPDATE consents SET at = '2025-01-01T00:00:00Z'")
    return made


def source(boot: int = 77, **changes: int) -> Source:
    return Source(int(IMPORTER, 16), boot, firmware=3, model=4, **changes)


def minutes_ago(minutes: float) -> int:
    return int((NOW - timedelta(minutes=minutes)).timestamp() * 1000)


def epochs(number: int, *, oldest: int, every: int = 1, made: Source | None = None) -> list[dict[str, object]]:
    """Items of `number` minutes, `every` so many, the first `oldest` minutes ago."""
    made = made or source()
    return [made.epoch(minutes_ago(oldest - at * every), VALUES, **SAID) for at in range(number)]


def keys(superuser: psycopg.Connection) -> list[tuple[int, int]]:
    return superuser.execute("SELECT seq, revision FROM epochs ORDER BY seq, revision").fetchall()


def marks(superuser: psycopg.Connection) -> list[tuple[str, datetime]]:
    return superuser.execute("SELECT child_id, hour FROM dirty_hours ORDER BY child_id, hour").fetchall()


def hours(items: list[dict[str, object]]) -> list[datetime]:
    """The hours that the items lie in, each once."""
    return sorted({datetime.fromisoformat(str(item["ts"])).replace(minute=0, second=0, microsecond=0) for item in items})


def codes(answer: dict) -> list[tuple[int, str]]:
    return [(refusal["index"], refusal["code"]) for refusal in answer["refused"]]


async def test_stored_row_says_what_was_sent(family, send, superuser):
    made = source()
    here = made.epoch(minutes_ago(70_000), VALUES, **SAID)
    there = made.epoch(minutes_ago(69_999), {"motion_g": 0.5}, coverage=0, quality=0, zone_offset_s=-18_000)
    unsaid = {key: value for key, value in made.epoch(minutes_ago(69_998), VALUES, **SAID).items() if key != "zone_offset_s"}
    assert (await send(family, [here, there, unsaid])).json()["accepted"] == 3
    columns = ", ".join(METRICS)
    rows = superuser.execute(
        f"SELECT time, coverage, quality, zone_offset_s, child_id, tick_ms, revision, {columns} FROM epochs ORDER BY seq"
    ).fetchall()
    moment = datetime.fromisoformat(here["ts"])
    berlin = 7200 if moment < datetime(2026, 10, 25, 1, tzinfo=UTC) else 3600
    assert rows[0] == (moment, 0.75, 63, berlin, family.child_id, here["tick_ms"], 0, *VALUES.values())  # no digit is lost
    assert rows[1][1:4] == (0, 0, -18_000)
    assert rows[1][7:] == (None, None, None, None, None, 0.5, None, None)
    assert rows[2][3] == berlin


async def test_sixty_days_in_shuffled_batches_and_twice_are_stored_once(family, send, superuser):
    items = epochs(60 * 144, oldest=60 * 1440, every=10)
    shuffled = random.Random(3).sample(items, len(items))
    batches = [shuffled[at : at + 2000] for at in range(0, len(shuffled), 2000)]
    first = [(await send(family, batch)).json() for batch in batches]
    assert sum(answer["accepted"] for answer in first) == len(items)
    assert all(answer["refused"] == [] and answer["duplicates"] == 0 for answer in first)
    assert sorted({hour for _, hour in marks(superuser)}) == hours(items)
    superuser.execute("DELETE FROM dirty_hours")
    random.Random(4).shuffle(shuffled)
    for at in range(0, len(shuffled), 3000):
        answer = (await send(family, shuffled[at : at + 3000])).json()
        assert (answer["accepted"], answer["duplicates"], answer["refused"]) == (0, len(shuffled[at : at + 3000]), [])
    assert keys(superuser) == [(seq, 0) for seq in range(len(items))]
    times = superuser.execute("SELECT time FROM epochs ORDER BY time").fetchall()
    assert times == [(datetime.fromisoformat(item["ts"]),) for item in items]
    assert superuser.execute("SELECT seqs::text FROM received").fetchall() == [(f"{{[0,{len(items)})}}",)]
    assert marks(superuser) == []  # what was there already touches no hour


async def test_higher_revision_is_stored_beside_the_lower_one_and_lower_ones_come_too_late(family, send, superuser):
    made = source()
    at = minutes_ago(100)
    first, second, third = (
        made.epoch(at, VALUES | {"stress_level": 0.1 * revision}, **SAID, revision=revision, seq=0) for revision in (0, 1, 2)
    )
    assert (await send(family, [first])).json()["accepted"] == 1
    assert (await send(family, [third])).json()["accepted"] == 1
    for _ in range(2):
        answer = (await send(family, [second, first, third])).json()
        assert (answer["accepted"], answer["duplicates"], answer["refused"]) == (0, 3, [])
    assert keys(superuser) == [(0, 0), (0, 2)]
    newest = superuser.execute("SELECT stress_level FROM epochs ORDER BY revision DESC LIMIT 1").fetchone()
    assert newest == (pytest.approx(0.2),)
    assert superuser.execute("SELECT seqs::text FROM received").fetchone() == ("{[0,1)}",)


async def test_revisions_of_one_key_inside_one_batch_are_judged_in_its_order(family, send, superuser):
    made = source()
    at = minutes_ago(100)
    zero, one, two = (made.epoch(at, {"motion_g": revision}, **SAID, revision=revision, seq=0) for revision in (0, 1, 2))
    other = made.epoch(at, {"motion_g": 9}, **SAID, revision=2, seq=0)
    neighbour = made.epoch(at + 60_000, VALUES, **SAID, seq=1)
    answer = (await send(family, [one, zero, two, other, two, neighbour])).json()
    assert (answer["accepted"], answer["duplicates"], codes(answer)) == (3, 2, [(3, "conflict")])
    assert keys(superuser) == [(0, 1), (0, 2), (1, 0)]


async def test_equal_revision_with_another_content_is_a_conflict(family, send, superuser):
    made = source()
    at = minutes_ago(100)
    await send(family, [made.epoch(at, VALUES, **SAID), made.epoch(at, VALUES, **SAID, revision=3, seq=0)])
    forged = made.epoch(at, VALUES | {"heart_rate_bpm": 200}, **SAID, revision=3, seq=0)
    for _ in range(2):
        answer = (await send(family, [forged, made.epoch(at + 60_000, VALUES, **SAID, seq=1)])).json()
        assert codes(answer) == [(0, "conflict")]
    assert keys(superuser) == [(0, 0), (0, 3), (1, 0)]
    assert superuser.execute("SELECT count(*) FROM epochs WHERE heart_rate_bpm = 200").fetchone() == (0,)
    assert superuser.execute("SELECT code, item->>'heart_rate_bpm' FROM quarantine").fetchall() == [("conflict", "200")]


async def test_revision_stays_in_its_minute(family, send, superuser):
    made = source()
    await send(family, [made.epoch(minutes_ago(100), VALUES, **SAID)])
    answer = (await send(family, [made.epoch(minutes_ago(99), VALUES, **SAID, revision=1, seq=0)])).json()
    assert codes(answer) == [(0, "conflict")]
    assert "another minute" in answer["refused"][0]["detail"]
    assert keys(superuser) == [(0, 0)]


async def test_key_of_another_kind_is_a_conflict_whatever_its_revision(family, records, send, superuser):
    await send(family, records(1, device=IMPORTER, boot=77))
    answer = (await send(family, [source().epoch(minutes_ago(100), VALUES, **SAID, revision=5, seq=0)])).json()
    assert codes(answer) == [(0, "conflict")]
    assert keys(superuser) == []


BOOTS = count(1000)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=10), min_size=1, max_size=4))
async def test_random_batches_of_revisions_end_with_the_highest_of_each(batches, family, send, superuser):
    boot = next(BOOTS)
    made, sent = source(boot), {}
    for batch in [*batches, *batches]:
        items = [
            made.epoch(minutes_ago(500 + seq), VALUES | {"motion_g": revision}, **SAID, revision=revision, seq=seq)
            for seq, revision in batch
        ]
        answer = (await send(family, items)).json()
        assert (answer["accepted"] + answer["duplicates"], answer["refused"]) == (len(items), [])
        for seq, revision in batch:
            sent[seq] = max(sent.get(seq, 0), revision)
        highest = "SELECT DISTINCT ON (seq) seq, motion_g FROM epochs WHERE boot = %s ORDER BY seq, revision DESC"
        assert dict(superuser.execute(highest, [boot]).fetchall()) == sent
        twice = "SELECT seq FROM epochs WHERE boot = %s GROUP BY seq, revision HAVING count(*) > 1"
        assert superuser.execute(twice, [boot]).fetchall() == []


BAD = {
    "not a whole minute": ({"ts": "2026-11-20T18:03:08.000Z"}, "ts is not the beginning of a minute"),
    "a microsecond beside it": ({"ts": "2026-11-20T18:03:00.000001Z"}, "ts is not the beginning of a minute"),
    "a minute of a zone with seconds": ({"ts": "2026-11-20T18:03:00+00:00:30"}, "ts is not the beginning of a minute"),
    "strain without coverage": ({"coverage": 0}, "heart_rate_bpm has a value although coverage is 0"),
    "coverage beyond the minute": ({"coverage": 1.5}, "coverage is outside 0 … 1"),
    "no coverage": ({"coverage": ...}, "coverage is missing"),
    "null for coverage": ({"coverage": None}, "coverage is not a number"),
    "no revision": ({"revision": ...}, "revision is missing"),
    "negative revision": ({"revision": -1}, "revision is outside"),
    "enormous revision": ({"revision": 2**31}, "revision is outside"),
    "missing value": ({"eda_us": ...}, "eda_us is missing"),
    "strain without a model": ({"quality": 31}, "stress_level has a value although quality 31 forbids one"),
    "zone beyond a day": ({"zone_offset_s": 86_401}, "zone_offset_s is outside"),
    "truth for a zone": ({"zone_offset_s": True}, "zone_offset_s is not a whole number"),
}


@pytest.mark.parametrize("flaw", BAD)
async def test_one_bad_epoch_is_refused_and_its_neighbours_are_stored(flaw, family, records, send, superuser):
    changes, detail = BAD[flaw]
    items = [*epochs(3, oldest=500), *records(1, device=IMPORTER, boot=1)]
    items[1] = {key: value for key, value in (items[1] | changes).items() if value is not ...}
    answer = (await send(family, items)).json()
    assert (answer["accepted"], codes(answer)) == (3, [(1, "bad_value")])
    assert detail in answer["refused"][0]["detail"]
    assert keys(superuser) == [(0, 0), (2, 0)]


async def test_coverage_zero_leaves_room_for_what_a_band_measures_unworn(family, send):
    item = source().epoch(minutes_ago(10), {"temperature_c": 21.0, "motion_g": 0.0}, coverage=0, quality=0, zone_offset_s=None)
    assert (await send(family, [item])).json()["accepted"] == 1


async def test_kinds_are_too_old_by_how_long_each_is_kept(family, records, send):
    day = 1440
    made = source()
    night = {"asleep_s": 3600, "awakenings": 0, "efficiency": None, "nap": True, "zone_offset_s": None}

    def slept(days: int) -> dict[str, object]:
        return made.sleep(minutes_ago(days * day), minutes_ago(days * day - 60), **night)

    old = (NOW - timedelta(days=60)).isoformat()
    items = [
        *records(1, device=IMPORTER, boot=1, ts=old), made.epoch(minutes_ago(60 * day), VALUES, **SAID),
        made.epoch(minutes_ago(100 * day), VALUES, **SAID), slept(100), slept(399), slept(401),
    ]  # fmt: skip
    answer = (await send(family, items)).json()
    assert codes(answer) == [(0, "too_old"), (2, "too_old"), (5, "too_old")]


async def test_withheld_revision_of_a_stored_minute_is_no_withheld_key(family, send, superuser):
    made = source()
    stored = made.epoch(minutes_ago(100), VALUES, **SAID)
    await send(family, [stored])
    superuser.execute("UPDATE consents SET at = %s", [NOW])
    revised = made.epoch(minutes_ago(100), VALUES, **SAID, revision=1, seq=0)
    answer = (await send(family, [stored, revised, *epochs(1, oldest=50, made=source(seq=1))])).json()
    assert (answer["duplicates"], codes(answer)) == (1, [(1, "consent"), (2, "consent")])
    assert keys(superuser) == [(0, 0)]
    assert superuser.execute("SELECT seqs::text, withheld::text FROM received").fetchall() == [("{[0,1)}", "{[1,2)}")]


async def test_touched_hours_are_marked_once_a_batch_and_no_others(family, records, send, superuser):
    items = epochs(200, oldest=900)
    made = records(30, device=IMPORTER, boot=1, later_s=3600)
    refused = epochs(1, oldest=5000, made=source(seq=900))[0] | {"quality": None}
    anchor = {key: made[0][key] for key in ("device", "boot", "tick_ms", "firmware", "model")} | {
        "kind": "anchor", "seq": 99, "ts": NOW.isoformat(), "payload": "1" * 16, "utc_ms": 0, "source": 1, "uncertainty_ms": 1,
    }  # fmt: skip
    assert (await send(family, [*items, *made, refused, anchor])).json()["accepted"] == 231
    assert marks(superuser) == [(family.child_id, hour) for hour in hours([*items, *made])]
    superuser.execute("DELETE FROM dirty_hours")
    revised = source().epoch(minutes_ago(900), VALUES, **SAID, revision=1, seq=0)
    await send(family, [*items, revised])
    assert marks(superuser) == [(family.child_id, hour) for hour in hours([revised])]


async def test_marks_tell_children_apart(family, send, superuser):
    items = epochs(60, oldest=2000)
    sibling = (await family.client.post("/api/children", json={"display_name": "Sibling", "zone": "Europe/Berlin"})).json()["id"]
    superuser.execute(
        "INSERT INTO consents SELECT family_id, %s, purpose, version, granted, at, guardian_id FROM consents", [sibling]
    )
    change = datetime.fromisoformat(items[30]["ts"])
    superuser.execute("UPDATE wearable_assignments SET worn = tstzrange(lower(worn), %s)", [change])
    superuser.execute(
        "INSERT INTO wearable_assignments (family_id, device, child_id, worn) SELECT family_id, device, %s, tstzrange(%s, NULL)"
        " FROM wearable_assignments",
        [sibling, change],
    )
    assert (await send(family, items)).json()["accepted"] == 60
    expected = [(family.child_id, hour) for hour in hours(items[:30])] + [(sibling, hour) for hour in hours(items[30:])]
    assert marks(superuser) == sorted(expected)


async def test_mark_of_a_concurrent_transaction_is_not_lost(family, send, superuser, database):
    """Somebody sums an hour up while more of it arrives: what he could not see is marked after he has finished."""
    first, second = epochs(2, oldest=3000)
    await send(family, [first])
    async with database.worker.connection() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await connection.execute("SELECT set_config('app.families', %s, true)", [f"{{{family.family_id}}}"])
        taken = await (await connection.execute("DELETE FROM dirty_hours RETURNING hour")).fetchall()
        assert [row["hour"] for row in taken] == hours([first])
        assert (await send(family, [second])).json()["accepted"] == 1  # neither waits for the other
        seen = await (await connection.execute("SELECT count(*) AS epochs FROM epochs")).fetchone()
        assert seen == {"epochs": 1}
    assert marks(superuser) == [(family.child_id, hour) for hour in hours([second])]


async def test_what_cannot_be_marked_is_not_stored(family, send, superuser):
    superuser.execute("ALTER TABLE dirty_hours ADD CONSTRAINT never CHECK (false)")
    items = epochs(2, oldest=3000)
    assert (await send(family, items)).status_code >= 500
    assert (keys(superuser), superuser.execute("SELECT count(*) FROM received").fetchone()) == ([], (0,))
    superuser.execute("ALTER TABLE dirty_hours DROP CONSTRAINT never")
    assert (await send(family, items)).json()["accepted"] == 2


async def test_who_stores_epochs_cannot_read_them_and_no_family_reads_anothers(family, make_family, send, database):
    await send(family, epochs(1, oldest=10))
    stranger = await make_family(device="00000000000000aa")
    for role, query in (("ingest", "SELECT stress_level FROM epochs"), ("ingest", "SELECT nap FROM sleep_episodes"),
                        ("api", "SELECT hour FROM dirty_hours"), ("worker", "UPDATE dirty_hours SET hour = now()")):  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.family([UUID(family.family_id)], role=role) as connection:
                await connection.execute(query)
    for role in ("api", "worker"):
        for who, visible in ((family, 1), (stranger, 0)):
            async with database.family([UUID(who.family_id)], role=role) as connection:
                found = await (await connection.execute("SELECT count(*) AS epochs FROM epochs")).fetchone()
            assert found == {"epochs": visible}


async def test_old_weeks_of_epochs_go_by_themselves_and_do_not_come_back(family, records, send, superuser, database):
    made = source()
    old, older = epochs(3, oldest=40 * 1440, made=made), epochs(2, oldest=80 * 1440, made=made)
    superuser.execute("REVOKE EXECUTE ON FUNCTION ensure_weeks_of FROM zenmoon_ingest")  # the older ones lie in no week
    superuser.execute("SELECT ensure_weeks_of('epochs', %s, %s)", [NOW - timedelta(days=50), NOW + timedelta(days=8)])
    await send(family, [*old, *older, *records(1, device=IMPORTER, boot=1, ts=(NOW - timedelta(days=25)).isoformat())])
    assert superuser.execute("SELECT count(*) FROM epochs_default").fetchone() == (2,)

    async def drop(days: int) -> int:
        async with database.worker.connection() as connection:
            statement = "SELECT drop_weeks('epochs', %s) AS weeks"
            row = await (await connection.execute(statement, [NOW - timedelta(days=days)])).fetchone()
            return row["weeks"]

    assert await drop(60) == 0
    assert keys(superuser) == [(seq, 0) for seq in range(3)]
    assert await drop(15) > 0
    assert keys(superuser) == []
    assert superuser.execute("SELECT count(*) FROM wellness_metrics").fetchone() == (1,)  # another table keeps its own
    lost = "SELECT count(*) FROM retention_marks WHERE transaction_id IS NOT NULL"
    assert superuser.execute(lost).fetchone() == (0,)  # no live cursor hangs on epochs
    again = [*old, *older, made.epoch(minutes_ago(40 * 1440), VALUES, **SAID, revision=1, seq=0)]
    assert (await send(family, again)).json()["duplicates"] == 6
    assert keys(superuser) == []


async def test_retention_is_the_workers_and_of_tables_with_weeks_only(database):
    for role in ("api", "ingest", "reanchor"):
        for call in ("drop_weeks('epochs', now())", "drop_before(now())"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with database.family([], role=role) as connection:
                    await connection.execute(f"SELECT {call}")
    for call in ("drop_weeks('children', now())", "ensure_weeks_of('children', now(), now())"):
        with pytest.raises(psycopg.errors.RaiseException, match="children has no weeks"):
            async with database.worker.connection() as connection:
                await connection.execute(f"SELECT {call}")


async def test_stored_records_raise_an_alarm_once_and_minutes_of_the_past_none(family, records, send, superuser):
    made = source()
    strained = [made.epoch(minutes_ago(40 - at), {"stress_level": 0.95}, **SAID) for at in range(30)]
    await send(family, strained)
    assert superuser.execute("SELECT count(*) FROM alerts").fetchone() == (0,)
    for _ in range(2):
        await send(family, records(225, device=IMPORTER, boot=1, stress_level=0.95))  # a quarter of an hour
        assert superuser.execute("SELECT child_id FROM alerts").fetchall() == [(family.child_id,)]
