"""Minutes and hours follow from what is stored, and from nothing else: not from the order, the moment or the number of sums."""

import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from zenmoon_cloud.database.queue import SHARDS, Work
from zenmoon_cloud.series import jobs, rollup, rollup_store, weeks
from zenmoon_cloud.series.rollup import roll
from zenmoon_edge.core.clock import Clock
from zenmoon_edge.importing import METRICS, Source

PRESENT = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = datetime(2026, 11, 19, 10, tzinfo=UTC)
DEVICE = "a1b2c3d4e5f60718"
BOOTS = count(1)
EXTREMES = ("heart_rate_bpm", "stress_level")


@pytest.fixture
def settings(settings):
    """The service's present is a fixed one."""
    utc_ms, monotonic_us = int(PRESENT.timestamp() * 1000), time.monotonic_ns() // 1000
    return settings.model_copy(update={"clock": f"{utc_ms}:{monotonic_us}:1"})


@pytest.fixture
async def family(make_family, superuser):
    """A family that agreed long ago."""
    made = await make_family(begin="2025-01-01T00:00:00Z")
    superuser.execute("UPDATE consents SET at = '2025-01-01T00:00:00Z'")
    return made


@pytest.fixture
def measured(records):
    """Records from a moment on, one every 4 s, of a boot of their own."""

    def write(moment: datetime, number: int = 1, **changes: object) -> list[dict[str, object]]:
        items = records(number, boot=next(BOOTS), **changes)
        for at, item in enumerate(items):
            item["ts"] = (moment + timedelta(seconds=4 * at)).isoformat()
        return items

    return write


def epoch(moment: datetime, *, made: Source | None = None, coverage: float = 1.0, **changes) -> dict[str, object]:
    """One minute of an importer; `changes` are values, or `revision`, `seq` and `zone_offset_s`."""
    said = {name: changes.pop(name) for name in ("revision", "seq", "zone_offset_s") if name in changes}
    values = {name: 0.5 for name, metric in METRICS.items() if coverage or metric.unworn} | changes
    made = made or Source(int(DEVICE, 16), next(BOOTS), firmware=3, model=4)
    ts_ms = int(moment.timestamp() * 1000)
    return made.epoch(ts_ms, values, coverage=coverage, quality=63, **({"zone_offset_s": None} | said))


async def deliver(send, family, items: list[dict[str, object]]) -> None:
    answer = (await send(family, items)).raise_for_status().json()
    assert answer["accepted"] == len(items), answer


async def roll_all(database) -> int:
    return sum([await roll(database, shard) for shard in range(SHARDS)])


def rows(superuser: psycopg.Connection, table: str) -> list[dict]:
    with superuser.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(f"SELECT * FROM {table} ORDER BY child_id, time").fetchall()


def minute_of(superuser: psycopg.Connection, moment: datetime) -> dict | None:
    (found,) = [row for row in rows(superuser, "minute_rollups") if row["time"] == moment] or [None]
    return found


def expected_minutes(superuser: psycopg.Connection) -> dict[tuple, dict]:
    """What the raw rows say, summed up in Python."""
    minutes: dict[tuple, dict] = {}
    by_minute = defaultdict(list)
    for row in rows(superuser, "wellness_metrics"):
        by_minute[row["child_id"], row["time"].replace(second=0, microsecond=0)].append(row)
    for key, records in by_minute.items():
        quality = 255
        for row in records:
            quality &= row["quality"]
        covered = 4 * sum(row["quality"] & 0b101 == 0b101 for row in records)
        said = {"zone_offset_s": records[0]["zone_offset_s"], "source": "record", "quality": quality, "covered_s": min(60, covered)}
        for name in METRICS:
            values = [row[name] for row in records if row[name] is not None]
            said |= {name: sum(values) / len(values) if values else None, f"{name}_s": min(60, 4 * len(values))}
            if name in EXTREMES:
                said |= {f"{name}_min": min(values, default=None), f"{name}_max": max(values, default=None)}
        minutes[key] = said
    newest: dict[tuple, dict] = {}
    for row in rows(superuser, "epochs"):
        key = row["child_id"], row["device"], row["boot"], row["seq"]
        if key not in newest or newest[key]["revision"] < row["revision"]:
            newest[key] = row
    best: dict[tuple, dict] = {}
    for row in newest.values():
        key, rank = (row["child_id"], row["time"]), (row["coverage"], row["revision"], row["received_at"])
        if key not in best or (best[key]["coverage"], best[key]["revision"], best[key]["received_at"]) < rank:
            best[key] = row
    for key, row in best.items():
        if key not in minutes:
            minutes[key] = of_epoch(row)
    return minutes


def of_epoch(row: dict) -> dict:
    said = {"zone_offset_s": row["zone_offset_s"], "source": "epoch", "quality": row["quality"], "covered_s": 60 * row["coverage"]}
    for name in METRICS:
        seconds = 60 * row["coverage"] or 60
        said |= {name: row[name], f"{name}_s": 0 if row[name] is None else seconds}
        if name in EXTREMES:
            said |= {f"{name}_min": row[name], f"{name}_max": row[name]}
    return said


def expected_hours(minutes: dict[tuple, dict]) -> dict[tuple, dict]:
    by_hour = defaultdict(list)
    for (child_id, moment), row in minutes.items():
        offset = timedelta(seconds=row["zone_offset_s"])
        by_hour[child_id, (moment + offset).replace(minute=0) - offset, row["zone_offset_s"]].append(row)
    hours = {}
    for key, members in by_hour.items():
        said = {"minutes": len(members), "covered_s": sum(row["covered_s"] for row in members)}
        for name in METRICS:
            weight = sum(row[f"{name}_s"] for row in members)
            total = sum(row[name] * row[f"{name}_s"] for row in members if row[f"{name}_s"])
            said |= {name: total / weight if weight else None, f"{name}_s": weight}
        for name in EXTREMES:
            lows = [row[f"{name}_min"] for row in members if row[f"{name}_min"] is not None]
            highs = [row[f"{name}_max"] for row in members if row[f"{name}_max"] is not None]
            said |= {f"{name}_min": min(lows, default=None), f"{name}_max": max(highs, default=None)}
        hours[key] = said
    return hours


def check(superuser: psycopg.Connection) -> None:
    """Every minute and every hour is what one sum over everything gives, and there is no other."""
    minutes = expected_minutes(superuser)
    found = {(row["child_id"], row["time"]): row for row in rows(superuser, "minute_rollups")}
    compare(found, minutes)
    hours = {(row["child_id"], row["time"], row["zone_offset_s"]): row for row in rows(superuser, "hour_rollups")}
    compare(hours, expected_hours(minutes))


def compare(found: dict[tuple, dict], wanted: dict[tuple, dict]) -> None:
    assert found.keys() == wanted.keys()
    for key, said in wanted.items():
        assert {name: found[key][name] for name in said} == {name: nearly(value) for name, value in said.items()}, key


def nearly(value: object) -> object:
    return pytest.approx(value, rel=1e-6, abs=1e-7) if isinstance(value, int | float) else value


# --- any order ---

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


async def test_minutes_of_records_outlive_the_records_and_late_epochs_do_not_replace_them(
    family, measured, send, database, superuser
):
    old = datetime(2026, 10, 7, 10, tzinfo=UTC)
    alone = old + timedelta(minutes=1)
    await deliver(send, family, [epoch(old), epoch(alone)])
    await roll_all(database)
    superuser.execute("UPDATE minute_rollups SET source = 'record', stress_level = 0.9")  # as if both had been measured then
    superuser.execute("DELETE FROM epochs WHERE time = %s", [alone])
    dropped = await weeks.retire(database, PRESENT)
    assert set(dropped) == {"wellness_metrics", "motion_epochs", "epochs", "minute_rollups"}
    await deliver(send, family, [epoch(old, coverage=0.99), epoch(old + timedelta(minutes=2))])
    await roll_all(database)
    assert [(minute_of(superuser, moment)["source"], minute_of(superuser, moment)["stress_level"]) for moment in (old, alone)] == [
        ("record", 0.9), ("record", 0.9),
    ]  # fmt: skip
    (hour,) = rows(superuser, "hour_rollups")
    assert (hour["minutes"], hour["stress_level"]) == (3, pytest.approx((0.9 + 0.9 + 0.5) / 3))


async def test_hours_outlive_the_minutes(family, send, database, superuser):
    superuser.execute("UPDATE children SET zone = 'Asia/Kolkata'")
    monday = datetime(2026, 8, 31, tzinfo=UTC)  # of this local hour the first half is dropped with its week
    kept = [monday + timedelta(minutes=10), HOUR]
    await deliver(send, family, [epoch(monday - timedelta(minutes=10)), *map(epoch, kept)])
    await roll_all(database)
    hours = rows(superuser, "hour_rollups")
    assert [row["minutes"] for row in hours] == [2, 1]
    await weeks.retire(database, PRESENT + timedelta(days=14))
    assert [row["time"] for row in rows(superuser, "minute_rollups")] == kept
    assert [row["time"] for row in rows(superuser, "epochs")] == kept
    superuser.execute(
        """INSERT INTO dirty_hours (family_id, child_id, hour) SELECT family_id, child_id, date_trunc('hour', time) + half
           FROM hour_rollups, unnest(ARRAY['0 hours', '1 hour']::interval[]) AS half"""
    )
    assert await roll_all(database) == 4
    assert rows(superuser, "hour_rollups") == hours


async def test_retention_drops_whole_weeks_of_each_table_by_the_catalogue(family, measured, send, database, superuser):
    kept, too_old = PRESENT - timedelta(days=29), PRESENT - timedelta(days=45)
    await deliver(send, family, [*measured(kept), epoch(kept), epoch(too_old)])
    superuser.execute("INSERT INTO wellness_metrics SELECT * FROM wellness_metrics")
    superuser.execute("UPDATE wellness_metrics SET time = %s WHERE ctid IN (SELECT min(ctid) FROM wellness_metrics)", [too_old])
    assert [row["time"] for row in rows(superuser, "wellness_metrics")] == [too_old, kept]
    await weeks.retire(database, PRESENT)
    assert [row["time"] for row in rows(superuser, "wellness_metrics")] == [kept]
    assert [row["time"] for row in rows(superuser, "epochs")] == [too_old, kept]
    marks = superuser.execute("SELECT observations, dropped_before FROM retention_marks").fetchall()
    assert dict(marks)["wellness_metrics"] == datetime(2026, 10, 19, tzinfo=UTC)
    assert dict(marks)["epochs"] == datetime(2026, 8, 17, tzinfo=UTC)


async def test_retention_reaches_the_default_partition(family, send, database, superuser):
    superuser.execute("REVOKE EXECUTE ON FUNCTION ensure_weeks_of FROM zenmoon_ingest")
    await deliver(send, family, [epoch(PRESENT - timedelta(days=89)), epoch(HOUR)])
    assert superuser.execute("SELECT count(*) FROM epochs_default").fetchone() == (2,)
    await weeks.retire(database, PRESENT + timedelta(days=14))
    assert [row["time"] for row in rows(superuser, "epochs")] == [HOUR]


async def test_no_service_drops_the_last_days(database):
    for moment in ("now()", "now() - interval '4 days'"):
        with pytest.raises(psycopg.errors.RaiseException, match="last days"):
            async with database.worker.connection() as connection:
                await connection.execute(f"SELECT drop_weeks('epochs', {moment})")


async def test_retention_waits_until_nobody_sums_up(database, superuser):
    async with database.worker.connection() as connection, connection.transaction():
        await rollup_store.begin(connection)
        superuser.execute("SET lock_timeout = '20ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            superuser.execute("SELECT drop_weeks('wellness_metrics', now() - interval '60 days')")
    superuser.execute("SELECT drop_weeks('wellness_metrics', now() - interval '60 days')")


def test_tables_with_weeks_are_those_that_the_catalogue_gives_a_retention(superuser):
    parents = superuser.execute("SELECT week_parents()").fetchall()
    assert {name for (name,) in parents} == set(weeks.WEEKLY)


async def test_jobs_of_the_worker_sum_up_and_retire(family, measured, send, database, superuser):
    await deliver(send, family, [*measured(HOUR, 20), epoch(PRESENT - timedelta(days=60))])
    work = Work(database=database, clock=Clock(int(PRESENT.timestamp() * 1000), 0, 1, lambda: 0), announce=lambda families: None)
    for shard in range(SHARDS):
        await jobs.roll(work, shard)
    check(superuser)
    await jobs.retire(work)
    assert superuser.execute("SELECT count(*) FROM retention_marks").fetchone() == (len(weeks.WEEKLY),)
    check(superuser)


async def test_what_waited_for_a_worker_is_summed_up_before_it_is_dropped(family, send, database, superuser):
    await deliver(send, family, [epoch(PRESENT - timedelta(days=85))])
    later = PRESENT + timedelta(days=14)  # no worker ran until then
    work = Work(database=database, clock=Clock(int(later.timestamp() * 1000), 0, 1, lambda: 0), announce=lambda families: None)
    await jobs.retire(work)
    assert rows(superuser, "epochs") == []
    assert [row["minutes"] for row in rows(superuser, "hour_rollups")] == [1]


async def test_parents_read_sums_and_write_none(family, database):
    for table in ("minute_rollups", "hour_rollups"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.family([UUID(family.family_id)]) as connection:
                await connection.execute(f"DELETE FROM {table}")
