"""Minutes and hours follow from what is stored, and from nothing else: not from the order, the moment or the number of sums."""

from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from recomputed import BOOTS, DEVICE, HOUR, check, deliver, epoch, minute_of, roll_all, rows
from zenmoon_cloud.database.queue import SHARDS
from zenmoon_cloud.series import rollup, rollup_store
from zenmoon_cloud.series.rollup import roll
from zenmoon_edge.importing import METRICS, Source

CHUNK = st.tuples(st.just("records"), st.integers(0, 170), st.integers(1, 25), st.sampled_from([63, 62, 59, 0]), st.floats(40, 200))
EPOCH = st.tuples(
    st.just("epoch"), st.integers(0, 170), st.integers(0, 2), st.sampled_from([0, 0.25, 1 / 3, 1]), st.floats(40, 200)
)
ROLL = st.tuples(st.just("roll"), st.integers(1, 3))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata"])
@hypothesis(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(CHUNK | EPOCH | EPOCH | ROLL, max_size=14))
async def test_any_interleaving_gives_what_one_sum_over_everything_gives(
    steps, zone, *, family, measured, send, database, superuser
):
    superuser.execute("TRUNCATE wellness_metrics, epochs, received, dirty_hours, minute_rollups, hour_rollups")
    superuser.execute("UPDATE children SET zone = %s", [zone])
    made = Source(int(DEVICE, 16), next(BOOTS), firmware=3, model=4)
    sent: dict[tuple, int] = {}
    for kind, *what in steps:
        if kind == "roll":
            for shard in range(SHARDS):
                await roll(database, shard, hours=what[0], batches=1)
            continue
        minute, number, share, value = what
        moment = HOUR + timedelta(minutes=minute)
        if kind == "records":
            silent = {name: None for name, metric in METRICS.items() if share & metric.needs != metric.needs}
            changes = {"heart_rate_bpm": round(value * 2) / 2, "stress_level": value / 200} | silent
            await deliver(send, family, measured(moment + timedelta(seconds=value % 60), number, quality=share, **changes))
        else:  # the same minute again and again: another key, or a higher revision of a key
            key = minute, number
            values = {"heart_rate_bpm": value, "stress_level": value / 200} if share else {"motion_g": value / 200}
            revision = {"seq": 1000 * minute + number, "revision": sent.get(key, -1) + 1}
            sent[key] = revision["revision"]
            await deliver(send, family, [epoch(moment, made=made, coverage=share, **values, **revision)])
    await roll_all(database)
    check(superuser)
    assert superuser.execute("SELECT count(*) FROM dirty_hours").fetchone() == (0,)


async def test_hours_of_a_zone_that_is_half_an_hour_off_begin_when_its_clock_strikes(family, send, database, superuser):
    superuser.execute("UPDATE children SET zone = 'Asia/Kolkata'")
    await deliver(send, family, [epoch(HOUR + timedelta(minutes=minute)) for minute in range(120)])
    await roll_all(database)
    check(superuser)
    half = timedelta(minutes=30)
    assert [(row["time"], row["minutes"]) for row in rows(superuser, "hour_rollups")] == [
        (HOUR - half, 30), (HOUR + half, 60), (HOUR + 3 * half, 30),
    ]  # fmt: skip


async def test_hour_in_which_the_child_changed_zones_has_a_part_by_each_clock(family, send, database, superuser):
    berlin = [epoch(HOUR + timedelta(minutes=minute), zone_offset_s=3600) for minute in range(20)]
    new_york = [epoch(HOUR + timedelta(minutes=minute), zone_offset_s=-18_000) for minute in range(20, 60)]
    await deliver(send, family, [*berlin, *new_york])
    await roll_all(database)
    check(superuser)
    assert {(row["zone_offset_s"], row["minutes"]) for row in rows(superuser, "hour_rollups")} == {(3600, 20), (-18_000, 40)}


# --- what wins ---


async def test_records_win_over_an_epoch_whichever_comes_first(family, measured, send, database, superuser):
    earlier, later = HOUR, HOUR + timedelta(minutes=1)
    await deliver(send, family, [*measured(earlier, 3, quality=0, **dict.fromkeys(METRICS))])
    await deliver(send, family, [epoch(earlier), epoch(later)])
    await roll_all(database)
    assert [minute_of(superuser, moment)["source"] for moment in (earlier, later)] == ["record", "epoch"]
    assert (minute_of(superuser, earlier)["covered_s"], minute_of(superuser, earlier)["stress_level"]) == (0, None)
    await deliver(send, family, measured(later, 2))
    await roll_all(database)
    assert minute_of(superuser, later)["source"] == "record"
    check(superuser)


async def test_best_covered_epoch_counts_but_never_one_that_was_replaced(family, send, database, superuser):
    made, other = (Source(int(DEVICE, 16), next(BOOTS), firmware=3, model=4) for _ in range(2))
    await deliver(
        send, family, [epoch(HOUR, made=made, coverage=0.9, motion_g=1.0), epoch(HOUR, made=other, coverage=0.5, motion_g=2.0)]
    )
    await roll_all(database)
    assert minute_of(superuser, HOUR)["motion_g"] == 1.0
    await deliver(send, family, [epoch(HOUR, made=made, seq=0, revision=1, coverage=0.1, motion_g=3.0)])
    await roll_all(database)
    assert minute_of(superuser, HOUR)["motion_g"] == 2.0
    check(superuser)


async def test_late_records_change_their_hour_and_no_other(family, measured, send, database, superuser):
    await deliver(send, family, [item for number in range(3) for item in measured(HOUR + number * timedelta(hours=1), 15)])
    assert await roll_all(database) == 3
    before = superuser.execute("SELECT time, xmin FROM minute_rollups ORDER BY time").fetchall()
    await deliver(send, family, measured(HOUR + timedelta(minutes=70), 15, stress_level=1.0))
    assert await roll_all(database) == 1
    check(superuser)
    after = dict(superuser.execute("SELECT time, xmin FROM minute_rollups ORDER BY time").fetchall())
    assert {moment: written for moment, written in after.items() if moment != HOUR + timedelta(minutes=70)} == dict(before)


async def test_moved_boot_leaves_its_old_hour_and_counts_in_the_new_one(family, measured, send, database, superuser, browsers):
    items = measured(HOUR + timedelta(minutes=59), 20)  # over the hour: nothing is left of the second one
    await deliver(send, family, [*items, epoch(HOUR + timedelta(minutes=59))])
    await roll_all(database)
    operator = browsers()
    body = {"email": "operator@example.org", "password": "a long password for tests", "display_name": "Operator"}
    operator.headers["X-CSRF-Token"] = (await operator.post("/api/auth/register", json=body)).json()["csrf_token"]
    superuser.execute("UPDATE guardians SET operator = true WHERE email = 'operator@example.org'")
    origin = (HOUR - timedelta(hours=5)).isoformat()
    order = {"family_id": family.family_id, "device": DEVICE, "boot": items[0]["boot"], "origin": origin, "reason": "clock"}
    (await operator.post("/api/ingest/reanchor", json=order)).raise_for_status()
    await roll_all(database)
    check(superuser)
    assert minute_of(superuser, HOUR + timedelta(minutes=59))["source"] == "epoch"  # what the records had hidden
    assert minute_of(superuser, HOUR + timedelta(hours=1)) is None
    assert {row["time"] for row in rows(superuser, "hour_rollups")} == {HOUR, HOUR - timedelta(hours=5)}


async def test_day_of_a_child_has_its_seconds_and_nothing_of_another_family(
    make_family, family, measured, send, database, superuser
):
    other = await make_family(device="00000000000000bb", begin="2025-01-01T00:00:00Z")
    superuser.execute("UPDATE consents SET at = '2025-01-01T00:00:00Z'")
    await deliver(send, family, measured(HOUR, 30))
    await deliver(send, other, measured(HOUR, 10, device=other.device))
    await roll_all(database)
    check(superuser)
    seconds = {row["child_id"]: row["covered_s"] for row in rows(superuser, "hour_rollups")}
    assert seconds == {family.child_id: 120, other.child_id: 40}


async def test_minute_never_has_more_than_its_seconds(family, measured, send, database, superuser):
    await deliver(send, family, [*measured(HOUR, 15), *measured(HOUR, 15)])  # two wristbands at once
    await roll_all(database)
    assert minute_of(superuser, HOUR)["covered_s"] == 60
    check(superuser)


# --- at the same time ---


async def test_record_that_commits_while_its_hour_is_summed_up_is_in_the_next_sum(family, measured, send, database, superuser):
    await deliver(send, family, measured(HOUR, 5))
    shard = superuser.execute("SELECT hashtextextended(%s, 0) & 7", [family.family_id]).fetchone()[0]
    async with database.worker.connection() as connection, connection.transaction():
        await rollup_store.begin(connection)
        assert await rollup_store.take_turn(connection, shard)
        await deliver(send, family, measured(HOUR + timedelta(seconds=20), 5))  # commits after the snapshot
        marks = await rollup_store.take_marks(connection, shard, 10)
        assert len(marks) == 1
        await rollup_store.sum_up(connection, marks)
    assert minute_of(superuser, HOUR)["covered_s"] == 20
    assert superuser.execute("SELECT count(*) FROM dirty_hours").fetchone() == (1,)
    assert await roll(database, shard) == 1
    assert minute_of(superuser, HOUR)["covered_s"] == 40
    check(superuser)


async def test_second_worker_leaves_a_shard_that_is_being_summed_up(family, measured, send, database, superuser):
    await deliver(send, family, measured(HOUR, 5))
    shard = superuser.execute("SELECT hashtextextended(%s, 0) & 7", [family.family_id]).fetchone()[0]
    async with database.worker.connection() as connection, connection.transaction():
        await rollup_store.begin(connection)
        assert await rollup_store.take_turn(connection, shard)
        assert await roll(database, shard) == 0
    assert superuser.execute("SELECT count(*) FROM dirty_hours").fetchone() == (1,)
    assert await roll(database, shard) == 1
    check(superuser)


async def test_worker_whose_snapshot_is_older_than_the_turn_before_begins_again(
    family, measured, send, database, superuser, monkeypatch
):
    await deliver(send, family, measured(HOUR, 5))
    take_turn, tries = rollup_store.take_turn, []

    async def late(connection, shard: int) -> bool:
        tries.append(shard)
        if len(tries) == 1:  # another worker's whole turn, between this one's snapshot and its lock
            await connection.execute("SELECT 1")
            await deliver(send, family, measured(HOUR + timedelta(seconds=20), 5))
            await rollup._batch(database, shard, 10)
        return await take_turn(connection, shard)

    monkeypatch.setattr(rollup_store, "take_turn", late)
    shard = superuser.execute("SELECT hashtextextended(%s, 0) & 7", [family.family_id]).fetchone()[0]
    await roll(database, shard)
    assert len(tries) == 3
    assert minute_of(superuser, HOUR)["covered_s"] == 40
    check(superuser)


async def test_sum_that_fails_keeps_its_marks(family, measured, send, database, superuser, monkeypatch):
    await deliver(send, family, measured(HOUR, 5))

    async def fail(*_: object) -> None:
        raise RuntimeError("killed in the middle")

    with monkeypatch.context() as patched:
        patched.setattr(rollup_store, "sum_up", fail)
        with pytest.raises(RuntimeError):
            await roll_all(database)
    assert superuser.execute("SELECT count(*) FROM dirty_hours").fetchone() == (1,)
    await roll_all(database)
    check(superuser)


async def test_newest_hours_come_first_and_a_run_ends(family, send, database, superuser):
    await deliver(send, family, [epoch(HOUR - timedelta(hours=number)) for number in range(6)])
    shard = superuser.execute("SELECT hashtextextended(%s, 0) & 7", [family.family_id]).fetchone()[0]
    assert await roll(database, shard, hours=2, batches=2) == 4
    assert [row["time"] for row in rows(superuser, "hour_rollups")] == [HOUR - timedelta(hours=number) for number in (3, 2, 1, 0)]


# --- retention ---


async def test_parents_read_sums_and_write_none(family, database):
    for table in ("minute_rollups", "hour_rollups"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.family([UUID(family.family_id)]) as connection:
                await connection.execute(f"DELETE FROM {table}")
