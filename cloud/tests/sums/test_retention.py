"""What is old goes by whole weeks as the catalogue says, and what was summed up from it stays as long as its own row says."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from recomputed import HOUR, PRESENT, check, deliver, epoch, minute_of, roll_all, rows
from zenmoon_cloud.database.queue import SHARDS, Work
from zenmoon_cloud.series import jobs, rollup_store, weeks
from zenmoon_edge.core.clock import Clock


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
