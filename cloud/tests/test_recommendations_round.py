"""The worker's round: one decision a half hour and child, however many workers there are."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from zenmoon_cloud.database.queue import SHARDS, Work
from zenmoon_cloud.recommendations.half_hours import half_hour
from zenmoon_cloud.recommendations.jobs import suggest
from zenmoon_edge.core.clock import Clock

AFTERNOON = datetime(2026, 11, 18, 14, 40, tzinfo=UTC)
"""Half past three and a little in Berlin."""


class Round:
    """A worker's hands: its work, when it is, and whom it announced."""

    def __init__(self, database) -> None:
        self.at = AFTERNOON
        self.announced: list[UUID] = []
        clock = Clock(0, 0, 1, lambda: int(self.at.timestamp() * 1_000_000))
        self.work = Work(database=database, clock=clock, announce=self._announce)

    def _announce(self, families: Iterable[UUID]) -> None:
        self.announced += families

    async def go(self) -> None:
        for shard in range(SHARDS):
            await suggest(self.work, shard)


@pytest.fixture
def round_(database) -> Round:
    return Round(database)


async def child(make_family, superuser: psycopg.Connection, number: int, *, insights: bool = True):
    """A family whose child wears its band since a day."""
    family = await make_family(device=f"{number:016x}")
    if insights:
        superuser.execute(
            """INSERT INTO consents (family_id, child_id, purpose, version, granted, at, guardian_id)
               VALUES (%s, %s, 'insights', 1, true, '2026-01-01', %s)""",
            [family.family_id, family.child_id, family.guardian_id],
        )
    return family


def wear(superuser: psycopg.Connection, family, until: datetime, strain: float | None = 0.8) -> None:
    superuser.execute(
        """INSERT INTO wellness_metrics (family_id, child_id, time, device, boot, seq, tick_ms, payload, received_at, firmware,
               model, quality, stress_level)
           SELECT %s, %s, %s - n * interval '4 seconds', 1, 1, n, 0, 0, now(), 0, 0, 63, %s FROM generate_series(0, 149) AS n""",
        [family.family_id, family.child_id, until, strain],
    )


def log(superuser: psycopg.Connection) -> list[tuple]:
    return superuser.execute(
        """SELECT p.child_id, p.slot_start, p.available, p.state ->> 'why_not', d.id IS NOT NULL
           FROM decision_points p LEFT JOIN deliveries d ON d.decision_id = p.id ORDER BY p.id"""
    ).fetchall()


async def test_who_wears_the_band_and_may_get_suggestions_gets_one_a_half_hour(round_, make_family, superuser):
    worn, taken_off, not_allowed = [await child(make_family, superuser, n, insights=n < 3) for n in (1, 2, 3)]
    for family, until in ((worn, AFTERNOON), (taken_off, AFTERNOON - timedelta(minutes=16)), (not_allowed, AFTERNOON)):
        wear(superuser, family, until)
    await round_.go()
    slot = AFTERNOON - timedelta(minutes=10)
    assert log(superuser) == [(worn.child_id, slot, True, None, True)]
    assert round_.announced == [UUID(worn.family_id)]
    round_.at += timedelta(minutes=19)
    wear(superuser, worn, round_.at)
    await round_.go()
    assert len(log(superuser)) == 1
    round_.at += timedelta(minutes=1)
    await round_.go()
    assert [row[1] for row in log(superuser)] == [slot, slot + timedelta(minutes=30)]


async def test_what_nobody_asked_for_is_told_only_when_something_could_be_suggested(round_, make_family, superuser):
    family = await child(make_family, superuser, 1)
    for at, strain, why_not in (
        (AFTERNOON, None, "no-signal"),
        (AFTERNOON.replace(hour=23), 0.8, "night"),
    ):
        round_.at = at
        wear(superuser, family, at, strain)
        await round_.go()
        assert log(superuser)[-1] == (family.child_id, half_hour(at, "Europe/Berlin"), False, why_not, False)
    answer = (await family.client.get(f"/api/recommendation/{family.child_id}")).json()
    assert (answer["recommendation_id"], answer["recommendation"]) == (None, None)


async def test_after_a_suggestion_the_round_keeps_quiet_for_two_hours(round_, make_family, superuser):
    family = await child(make_family, superuser, 1)
    for _ in range(8):
        wear(superuser, family, round_.at)
        await round_.go()
        round_.at += timedelta(minutes=30)
    suggested, quiet = None, Counter()
    for chosen, at, why_not in superuser.execute("SELECT chosen, at, state ->> 'why_not' FROM decision_points ORDER BY id"):
        rests = suggested is not None and at - suggested < timedelta(hours=2)
        assert why_not == ("resting" if rests else None)
        quiet[why_not] += 1
        suggested = at if chosen != "none" else suggested
    assert quiet["resting"] >= 3


async def test_two_workers_make_one_decision(round_, make_family, superuser):
    families = [await child(make_family, superuser, number) for number in range(1, 5)]
    for family in families:
        wear(superuser, family, AFTERNOON)
    await asyncio.gather(round_.go(), round_.go(), round_.go())
    assert Counter(row[0] for row in log(superuser)) == {family.child_id: 1 for family in families}
    assert len(round_.announced) == 4


async def test_one_familys_trouble_does_not_silence_the_others(round_, make_family, superuser):
    families = [await child(make_family, superuser, number) for number in range(1, 5)]
    for family in families:
        wear(superuser, family, AFTERNOON)
    superuser.execute("UPDATE children SET zone = 'Atlantis/Nowhere' WHERE id = %s", [families[0].child_id])
    failed = 0
    for shard in range(SHARDS):
        try:
            await suggest(round_.work, shard)
        except ExceptionGroup:
            failed += 1
    assert failed == 1
    assert {row[0] for row in log(superuser)} == {family.child_id for family in families[1:]}


@pytest.mark.parametrize(
    ("at", "zone", "begin"),
    [
        ("2026-11-18T14:40:59.5+00:00", "Europe/Berlin", "2026-11-18T14:30:00+00:00"),
        ("2026-11-18T14:40:00+00:00", "Asia/Kathmandu", "2026-11-18T14:15:00+00:00"),  # 20:25 there
        ("2026-11-18T14:40:00+00:00", "Asia/Kolkata", "2026-11-18T14:30:00+00:00"),
        ("2026-11-18T14:30:00+00:00", "UTC", "2026-11-18T14:30:00+00:00"),
    ],
)
def test_half_hours_are_those_of_the_local_clock(at, zone, begin):
    assert half_hour(datetime.fromisoformat(at), zone) == datetime.fromisoformat(begin)


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
def test_at_a_clock_change_every_half_hour_comes_once(day):
    found = [half_hour(day + timedelta(minutes=minute), "Europe/Berlin") for minute in range(24 * 60)]
    assert found == [day + timedelta(minutes=minute - minute % 30) for minute in range(24 * 60)]
