"""A child's own limit comes from how its strain was of late, and never over what a guardian chose."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from zenmoon_cloud.alerts import learn_store
from zenmoon_cloud.alerts.fold_store import RULE
from zenmoon_cloud.alerts.learning import learn
from zenmoon_cloud.alerts.rules import learned

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
DAY = 1440

UNMEASURED = ("heart_rate_bpm_s", "rmssd_ms_s", "eda_us_s", "eda_phasic_us_s", "temperature_c_s", "motion_g_s", "anomaly_s")

MINUTES = f"""
INSERT INTO minute_rollups (family_id, child_id, time, zone_offset_s, source, covered_s, quality, stress_level, stress_level_s,
  {", ".join(UNMEASURED)})
SELECT %(family)s, %(child)s, %(now)s - minute * interval '1 minute', 0, 'epoch', 60, 63,
  %(low)s + (%(high)s::float8 - %(low)s) * ((minute * 7919) %% 1000) / 999.0, %(measured)s, {", ".join("0" for _ in UNMEASURED)}
FROM generate_series(%(first)s::int, %(last)s::int) AS minute
"""


@pytest.fixture
def minutes(family, superuser):
    """Stores minutes of strain spread evenly between two values, `first` to `last` minutes ago."""

    def store(first: int, last: int, low: float = 0.2, high: float = 0.8, measured: float = 60) -> None:
        values = {"first": first, "last": last, "low": low, "high": high, "measured": measured, "now": NOW}
        superuser.execute(MINUTES, values | {"family": family.family_id, "child": family.child_id})

    return store


@pytest.fixture
def limit(family, database):
    """Learns, and says what came of it."""

    async def learn_and_read(*, first: bool = False) -> dict:
        await learn(database, [UUID(family.family_id)], NOW, first=first)
        return (await family.client.get(f"/api/children/{family.child_id}/alarm")).json()

    return learn_and_read


async def test_the_limit_is_the_strain_of_the_highest_twentieth(minutes, limit):
    minutes(1, 5 * DAY)
    assert await limit() == {"threshold": 0.77, "minutes": 10, "enabled": True, "source": "learned"}


async def test_three_days_must_have_been_measured(minutes, limit):
    minutes(1, 3 * DAY - 1)
    assert (await limit())["source"] == "default"
    minutes(3 * DAY, 3 * DAY, measured=30)
    assert (await limit())["source"] == "default"
    minutes(3 * DAY + 1, 3 * DAY + 1, measured=30)
    assert (await limit())["source"] == "learned"


async def test_what_is_older_than_two_weeks_or_not_yet_is_not_looked_at(minutes, limit):
    minutes(1, 4 * DAY, low=0.2, high=0.7)
    minutes(14 * DAY + 1, 20 * DAY, low=0.9, high=1)
    minutes(-DAY, 0, low=0.9, high=1)
    assert (await limit())["threshold"] == 0.67


@pytest.mark.parametrize(("low", "high", "threshold"), [(0, 0.1, 0.6), (0.9, 1, 0.9)])
async def test_the_limit_stays_where_it_makes_sense(low, high, threshold, minutes, limit):
    minutes(1, 4 * DAY, low=low, high=high)
    assert (await limit())["threshold"] == threshold


async def test_what_a_guardian_chose_is_not_learned_over(family, minutes, limit):
    minutes(1, 4 * DAY)
    choice = {"threshold": 0.9, "minutes": 4, "enabled": False, "source": "guardian"}
    await family.client.put(f"/api/children/{family.child_id}/alarm", json=choice)
    assert await limit() == choice
    await family.client.put(f"/api/children/{family.child_id}/alarm", json=choice | {"source": "learned"})
    assert await limit() == {"threshold": 0.77, "minutes": 4, "enabled": False, "source": "learned"}


async def test_nothing_is_learned_of_a_child_that_is_no_longer_monitored(family, minutes, limit):
    minutes(1, 4 * DAY)
    await family.client.post("/api/consents", json={"child_id": family.child_id, "purpose": "monitoring", "granted": False})
    assert (await limit())["source"] == "default"


async def test_the_first_limit_is_learned_once(family, minutes, limit):
    minutes(1, 4 * DAY, low=0.2, high=0.7)
    assert (await limit(first=True))["threshold"] == 0.67
    minutes(4 * DAY + 1, 8 * DAY, low=0.8, high=0.9)
    assert (await limit(first=True))["threshold"] == 0.67
    assert (await limit())["threshold"] == 0.89


def nodes(plan: dict) -> Iterator[dict]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


async def test_looking_for_first_limits_reads_no_minute_of_a_child_that_has_one(family, minutes, limit, superuser):
    minutes(1, 4 * DAY)
    arguments = {"families": [UUID(family.family_id)], "since": NOW - timedelta(days=14), "now": NOW, "first": True, "rule": RULE}

    def read() -> float:
        superuser.execute("ANALYZE")
        explained = superuser.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {learn_store.USUAL}", arguments).fetchone()
        assert explained
        found = [node for node in nodes(explained[0][0]["Plan"]) if node.get("Relation Name", "").startswith("minute_rollups")]
        return sum(node["Actual Rows"] * node["Actual Loops"] for node in found)

    assert read() >= 4 * DAY - 1
    assert (await limit(first=True))["source"] == "learned"
    assert read() == 0


async def test_only_the_named_families_are_learned(family, make_family, minutes, database):
    minutes(1, 4 * DAY)
    other = await make_family(device="00000000000000bb")
    assert await learn(database, [UUID(other.family_id)], NOW) == 0
    assert await learn(database, [UUID(family.family_id)], NOW) == 1


def test_a_hair_more_or_less_changes_no_limit():
    assert learned(0.771, None) == 0.77
    assert learned(0.784, 0.77) is None
    assert learned(0.786, 0.77) == 0.79
