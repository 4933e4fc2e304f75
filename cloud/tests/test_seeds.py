"""The queries printed in the first seed document run as they stand there, with only their placeholder filled."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from zenmoon_cloud.database import Database
from zenmoon_cloud.series.record import METRICS

# Verbatim from "Self-Improving Wellness Companion Pipeline", sections 1 A, 1 B and 1 C.
CAUSAL_EFFECT = """
        SELECT
            w.time,
            w.stress_level,
            w.sleep_duration,
            s.event_type AS intervention,
            s.event_time
        FROM wellness_metrics w
        LEFT JOIN school_events s ON
            w.child_id = s.child_id AND
            date_trunc('day', w.time) = date_trunc('day', s.event_time)
        WHERE w.child_id = '{child_id}'
        ORDER BY w.time
    """
CHRONOTYPE = """
        SELECT
            EXTRACT(HOUR FROM time) AS hour,
            sleep_duration,
            sleep_state
        FROM wellness_metrics
        WHERE child_id = '{child_id}'
        ORDER BY time
    """
FINE_TUNING = """
        SELECT
            r.recommendation_id,
            r.text AS recommendation,
            f.was_helpful,
            w.stress_level_before,
            w.stress_level_after
        FROM recommendations r
        JOIN feedback f ON r.id = f.recommendation_id
        JOIN wellness_metrics w ON r.child_id = w.child_id
        WHERE r.child_id = '{child_id}'
        ORDER BY f.timestamp DESC
        LIMIT 100  -- Last 100 feedback items
    """
NIGHT = datetime(2026, 11, 18, 3, tzinfo=UTC)


async def rows(database: Database, family_id: str, query: str, role: str = "api") -> list[dict]:
    """What a query gives within a transaction of one family, under the search path of the seeds."""
    async with database.family([UUID(family_id)], role=role) as connection:
        await connection.execute("SET LOCAL search_path = seeds, public")
        return await (await connection.execute(query)).fetchall()


def hours(superuser: psycopg.Connection, family, begin: datetime, strains: Iterable[float | None]) -> None:
    """Writes rollups of consecutive hours."""
    seconds = {f"{name}_s": 0 for name in METRICS if name != "battery_pct"}
    columns = ["family_id", "child_id", "time", "zone_offset_s", "minutes", "covered_s", "stress_level", *seconds]
    with superuser.cursor() as cursor, cursor.copy(f"COPY hour_rollups ({', '.join(columns)}) FROM STDIN") as copy:
        for later, strain in enumerate(strains):
            time = begin + timedelta(hours=later)
            copy.write_row([family.family_id, family.child_id, time, 3600, 60, 3600, strain, *seconds.values()])


def sleep(superuser: psycopg.Connection, family, begin: datetime, end: datetime, hours: float, **changes: object) -> None:
    values = {"seq": 1, "revision": 0, "nap": False} | changes
    superuser.execute(
        """INSERT INTO sleep_episodes (family_id, child_id, time, ended_at, asleep_s, awakenings, nap, device, boot, seq, revision,
               tick_ms, payload, received_at, firmware, model)
           VALUES (%(family)s, %(child)s, %(begin)s, %(end)s, %(asleep_s)s, 0, %(nap)s, 1, 1, %(seq)s, %(revision)s, 0, 0, now(),
               0, 0)""",
        values | {"family": family.family_id, "child": family.child_id, "begin": begin, "end": end, "asleep_s": hours * 3600},
    )


def suggestion(superuser: psycopg.Connection, family, text: str) -> int:
    row = superuser.execute(
        """INSERT INTO decision_points (family_id, child_id, at, slot, available, options, chosen, randomised, policy, state)
           VALUES (%s, %s, now(), 'activity', true, '[["none", 0.5], ["drawing", 0.5]]', 'drawing', true, 'rule-1', '{}')
           RETURNING id""",
        [family.family_id, family.child_id],
    ).fetchone()
    superuser.execute(
        """INSERT INTO deliveries (family_id, id, decision_id, channel, text, explanation, receipt, sent_at)
           VALUES (%s, gen_random_uuid(), %s, 'page', %s, 'a reason', '{}', now())""",
        [family.family_id, row[0], text],
    )
    return row[0]


@pytest.fixture
async def two(make_family, superuser):
    """Two families with the same history: three hours around a waking, a night, an event, a suggestion and a thumb."""
    families = [await make_family(device=f"{number:016x}") for number in (1, 2)]
    for family in families:
        hours(superuser, family, NIGHT, (0.1, 0.2, 0.6))
        hours(superuser, family, NIGHT + timedelta(hours=9), (0.4,))
        device = {"seq": int(family.device, 16)}
        sleep(superuser, family, NIGHT - timedelta(hours=6), NIGHT + timedelta(hours=1, minutes=50), 7, **device)
        sleep(superuser, family, NIGHT - timedelta(hours=6), NIGHT + timedelta(hours=1, minutes=50), 7.5, revision=1, **device)
        superuser.execute(
            """INSERT INTO school_events (family_id, child_id, event_type, event_time, created_by)
               VALUES (%s, %s, 'math test', %s, %s)""",
            [family.family_id, family.child_id, NIGHT + timedelta(hours=6), family.guardian_id],
        )
        number = suggestion(superuser, family, f"Two sentences for {family.child_id}.")
        answer = await family.client.post(
            "/api/feedback", json={"recommendation_id": number, "child_id": family.child_id, "was_helpful": True}
        )
        assert answer.status_code == 200
    return families


async def test_the_causal_query(database, two):
    ours, theirs = two
    found = await rows(database, ours.family_id, CAUSAL_EFFECT.format(child_id=ours.child_id))
    assert [(row["time"], row["stress_level"]) for row in found] == [
        (NIGHT + timedelta(hours=later), strain) for later, strain in ((0, 0.1), (1, 0.2), (2, 0.6), (9, 0.4))
    ]
    assert [row["sleep_duration"] for row in found] == [None, 7.5, 7.5, 7.5]
    assert {(row["intervention"], row["event_time"]) for row in found} == {("math test", NIGHT + timedelta(hours=6))}
    assert await rows(database, ours.family_id, CAUSAL_EFFECT.format(child_id=theirs.child_id)) == []


async def test_the_chronotype_query(database, two):
    ours, theirs = two
    found = await rows(database, ours.family_id, CHRONOTYPE.format(child_id=ours.child_id))
    assert [(row["hour"], row["sleep_duration"], row["sleep_state"]) for row in found] == [
        (3, None, "asleep"), (4, 7.5, "asleep"), (5, 7.5, "awake"), (12, 7.5, "awake"),
    ]  # fmt: skip
    assert await rows(database, ours.family_id, CHRONOTYPE.format(child_id=theirs.child_id)) == []


async def test_the_fine_tuning_query(database, two, superuser):
    ours, theirs = two
    query = FINE_TUNING.format(child_id=ours.child_id)
    found = await rows(database, ours.family_id, query)
    assert {(row["recommendation"], row["was_helpful"]) for row in found} == {(f"Two sentences for {ours.child_id}.", True)}
    assert sorted((row["stress_level_before"] or 0, row["stress_level_after"] or 0) for row in found) == [
        (0, 0), (0, 0.2), (0.1, 0.6), (0.2, 0),  # the last hour stands alone
    ]  # fmt: skip
    assert await rows(database, ours.family_id, FINE_TUNING.format(child_id=theirs.child_id)) == []
    number = found[0]["recommendation_id"]
    body = {"recommendation_id": number, "child_id": ours.child_id, "was_helpful": False}
    await ours.client.post("/api/feedback", json=body)
    assert {row["was_helpful"] for row in await rows(database, ours.family_id, query)} == {False}
    await ours.client.post("/api/feedback", json=body | {"was_helpful": None})
    assert await rows(database, ours.family_id, query) == []  # what was taken back is no feedback
    assert superuser.execute("SELECT count(*) FROM feedback WHERE decision_id = %s", [number]).fetchone() == (3,)


@pytest.mark.parametrize("role", ["api", "worker"])
@pytest.mark.parametrize(
    "view", ["recommendations", "feedback", "recommendation_feedback", "wellness_metrics", "school_events", "children"]
)
async def test_every_view_shows_the_familys_own_rows_only(database, two, role, view):
    ours, theirs = two
    found = await rows(database, ours.family_id, f"SELECT family_id FROM {view}", role)
    assert {str(row["family_id"]) for row in found} == {ours.family_id}
    async with database.family([], role=role) as connection:
        await connection.execute("SET LOCAL search_path = seeds, public")
        assert await (await connection.execute(f"SELECT * FROM {view}")).fetchall() == []
    assert theirs.family_id != ours.family_id


@pytest.mark.parametrize(
    ("view", "columns"),
    [
        ("seeds.children", {"id", "chronotype", "preferred_interventions", "baseline_stress", "age"}),
        ("seeds.recommendation_feedback", {"id", "recommendation_id", "child_id", "was_helpful", "timestamp"}),
        ("public.recommendation_feedback", {"id", "recommendation_id", "child_id", "was_helpful", "timestamp"}),
        ("public.recommendations", {"id", "recommendation_id", "child_id", "text"}),
        ("public.children", {"id", "chronotype", "preferred_interventions", "baseline_stress"}),
        ("public.school_events", {"child_id", "event_type", "event_time"}),
    ],
)
def test_the_columns_of_the_seed_are_there(superuser, view, columns):
    schema, name = view.split(".")
    found = superuser.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s", [schema, name]
    )
    assert columns <= {row[0] for row in found}


async def test_a_childs_age_follows_from_its_year_of_birth(database, family):
    await family.client.patch(f"/api/children/{family.child_id}", json={"birth_year": datetime.now(UTC).year - 9})
    assert await rows(database, family.family_id, "SELECT age FROM children") == [{"age": 9}]


def test_the_seeds_views_see_what_their_reader_sees(superuser):
    found = superuser.execute(
        """SELECT relname, relkind, pg_get_userbyid(relowner), COALESCE(reloptions, '{}') FROM pg_class
           WHERE relnamespace = 'seeds'::regnamespace ORDER BY relname"""
    ).fetchall()
    assert [row[0] for row in found] == [
        "children", "feedback", "recommendation_feedback", "recommendations", "school_events", "wellness_metrics",
    ]  # fmt: skip
    assert {(row[1], row[2], tuple(row[3])) for row in found} == {("v", "zenmoon_owner", ("security_invoker=true",))}


async def test_sixty_days_of_hours_are_read_in_a_moment(database, family, superuser):
    """Each hour looks for its night among those near it; whoever waits at a page waits five seconds at most."""
    hours(superuser, family, datetime(2026, 1, 1, tzinfo=UTC), (0.5,) * 1440)
    for night in range(60):
        begin = datetime(2026, 1, 1, 20, tzinfo=UTC) + timedelta(days=night)
        sleep(superuser, family, begin, begin + timedelta(hours=10), 9 + night / 100, seq=night)
    superuser.execute("ANALYZE")
    found = await rows(database, family.family_id, CHRONOTYPE.format(child_id=family.child_id))
    assert len(found) == 1440
    assert [row["sleep_duration"] for row in found[:31]] == [None] * 29 + [9.0] * 2
    assert sum(row["sleep_state"] == "asleep" for row in found) == 59 * 10 + 4
