"""A guardian gets a suggestion with its reason, says whether it helped, and nobody else's."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import psycopg
import pytest
from zenmoon_cloud import decisions
from zenmoon_cloud.activities import BY_ID, POLICIES
from zenmoon_cloud.recommendations.sentences import NOT_YET, OFF
from zenmoon_cloud.series.live import Hub
from zenmoon_edge.core.clock import Clock

AFTERNOON = datetime(2026, 11, 18, 14, 30, tzinfo=UTC)
"""A Wednesday, half past three in Berlin, where the children of these tests live."""

SHOWN = {
    "child_id", "recommendation_id", "recommendation", "activity", "reason", "forecast", "model_version", "grounded", "at",
    "seen_at", "helpful", "receipt", "revision",
}  # fmt: skip


class Hands:
    """A clock that stands still until it is set."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.clock = Clock(0, 0, 1, lambda: int(self.at.timestamp() * 1_000_000))


@pytest.fixture
def hands(application) -> Hands:
    """The event time of the service."""
    hands = Hands(AFTERNOON)
    application.state.clock = hands.clock
    return hands


@pytest.fixture
async def allowed(hands: Hands, make_family):
    """A family that has allowed suggestions for its child, ten years old."""
    family = await make_family()
    await family.client.patch(f"/api/children/{family.child_id}", json={"display_name": "Robin", "birth_year": 2016})
    hands.at = AFTERNOON - timedelta(days=7)
    await consent(family)
    hands.at = AFTERNOON
    return family


async def consent(family, *, granted: bool = True) -> None:
    body = {"child_id": family.child_id, "purpose": "insights", "granted": granted}
    (await family.client.post("/api/consents", json=body)).raise_for_status()


@pytest.fixture
def wear(superuser: psycopg.Connection) -> Callable[..., None]:
    """Writes ten minutes of records that end at a time."""

    def write(family, until: datetime, strain: float | None, *, seconds: int = 600) -> None:
        times = [until - timedelta(seconds=second) for second in range(0, seconds, 4)]
        values = [(family.family_id, family.child_id, time, number, strain) for number, time in enumerate(times)]
        with superuser.cursor() as cursor:
            cursor.executemany(
                """INSERT INTO wellness_metrics (family_id, child_id, time, device, boot, seq, tick_ms, payload, received_at,
                       firmware, model, quality, stress_level) VALUES (%s, %s, %s, 1, 1, %s, 0, 0, now(), 0, 0, 63, %s)""",
                values,
            )

    return write


async def ask(family) -> dict:
    answer = (await family.client.post(f"/api/recommendation/{family.child_id}")).raise_for_status()
    return answer.json()


async def last(family) -> dict:
    return (await family.client.get(f"/api/recommendation/{family.child_id}")).raise_for_status().json()


async def thumb(family, number: object, value: object, child_id: str | None = None) -> httpx.Response:
    body = {"recommendation_id": number, "child_id": child_id or family.child_id, "was_helpful": value}
    return await family.client.post("/api/feedback", json=body)


async def seen(family, number: int) -> httpx.Response:
    return await family.client.post(f"/api/deliveries/{number}/seen")


def feedback(superuser: psycopg.Connection) -> list[tuple]:
    return superuser.execute("SELECT value, source, kind, confidence, latency_s FROM feedback ORDER BY number").fetchall()


async def test_without_consent_nothing_is_suggested_looked_up_or_written(hands, make_family, wear, superuser):
    family = await make_family()
    wear(family, AFTERNOON, 0.9)
    for answer in (await last(family), await ask(family)):
        assert set(answer) == SHOWN
        assert (answer["reason"], answer["recommendation_id"], answer["recommendation"]) == (OFF, None, None)
    assert superuser.execute("SELECT count(*) FROM decision_points").fetchone() == (0,)


async def test_before_the_first_suggestion_there_is_a_reason_and_nothing_else(allowed):
    answer = await last(allowed)
    assert set(answer) == SHOWN
    assert {value for name, value in answer.items() if name not in ("child_id", "reason")} == {None}
    assert answer["reason"] == NOT_YET


async def test_a_suggestion_says_what_why_and_on_which_facts(allowed, wear):
    wear(allowed, AFTERNOON, 0.81)
    made = await ask(allowed)
    assert made == await last(allowed)
    assert set(made) == SHOWN
    assert isinstance(made["recommendation_id"], int)
    assert (made["model_version"], made["grounded"], made["forecast"], made["helpful"]) == ("rule-1", True, None, None)
    assert datetime.fromisoformat(made["at"]) == AFTERNOON
    assert "Robin's strain, against Robin's own usual, was 81 of 100" in made["recommendation"]
    receipt = made["receipt"]
    assert {fact["id"] for fact in receipt["facts"]} >= {"f1", "f2", "f3"}
    assert receipt["facts"][0] | {"at": None} == {
        "id": "f1", "kind": "observation", "metric": "strain", "value": pytest.approx(0.81), "unit": "0-1", "minutes": 10,
        "at": None, "shown": "81 of 100 over 10 minutes",
    }  # fmt: skip
    assert (receipt["policy"], receipt["grounded"]) == ("rule-1", True)
    assert 0.05 <= receipt["propensity"] < 1
    if made["activity"]:
        activity = BY_ID[made["activity"]["id"]]
        assert made["activity"] == activity.described() == receipt["activity"]
        assert activity.name in made["recommendation"]


async def test_a_suggestion_looks_back_as_far_as_the_alarm_does(allowed, wear):
    (await allowed.client.put(f"/api/children/{allowed.child_id}/alarm", json={"minutes": 3})).raise_for_status()
    wear(allowed, AFTERNOON - timedelta(minutes=4), 0.1)
    wear(allowed, AFTERNOON, 0.9, seconds=180)
    said = (await ask(allowed))["recommendation"]
    assert "Over the last 3 minutes" in said
    assert "was 90 of 100; it has reached 75" in said


async def test_what_was_decided_can_be_made_again_from_its_log(allowed, wear, hands, database):
    numbers = []
    for minutes in range(0, 60, 5):
        hands.at = AFTERNOON + timedelta(minutes=minutes)
        wear(allowed, hands.at, minutes / 60)
        numbers.append((await ask(allowed))["recommendation_id"])
    assert len(set(numbers)) == 12
    async with database.family([UUID(allowed.family_id)]) as connection:
        points = [await decisions.find(connection, number) for number in numbers]
    for point in points:
        choice = decisions.replay(point, POLICIES)
        assert (choice.options, choice.chosen) == (point.options, point.chosen)
    assert [len(point.state["features"]["recent"]) for point in points] == sorted(
        len(point.state["features"]["recent"]) for point in points
    )
    assert points[-1].state["features"]["recent"]


async def test_what_is_drawn_may_be_nothing_and_says_so_kindly(allowed, wear, hands):
    found = {}
    for minutes in range(60):
        hands.at = AFTERNOON + timedelta(minutes=minutes)
        wear(allowed, hands.at, 0.2, seconds=60)
        made = await ask(allowed)
        found[made["activity"] is None] = made["recommendation"]
        if len(found) == 2:
            break
    assert found[True].endswith("Strain is as usual, so nothing needs to be done for it just now.")
    assert "An idea for the next" in found[False]


async def test_whoever_asks_again_within_a_minute_gets_the_same(allowed, wear, hands):
    wear(allowed, AFTERNOON, 0.6)
    first = await ask(allowed)
    hands.at = AFTERNOON + timedelta(seconds=59)
    assert (await ask(allowed))["recommendation_id"] == first["recommendation_id"]
    hands.at = AFTERNOON + timedelta(seconds=60)
    assert (await ask(allowed))["recommendation_id"] > first["recommendation_id"]


async def test_two_who_ask_at_once_get_one_suggestion(allowed, wear, superuser):
    wear(allowed, AFTERNOON, 0.6)
    answers = await asyncio.gather(*(ask(allowed) for _ in range(5)))
    assert len({answer["recommendation_id"] for answer in answers}) == 1
    assert superuser.execute("SELECT count(*) FROM decision_points").fetchone() == (1,)


async def test_a_clock_that_was_set_back_does_not_stop_suggestions(allowed, wear, hands):
    wear(allowed, AFTERNOON, 0.6)
    later = await ask(allowed)
    hands.at = AFTERNOON - timedelta(days=1)
    wear(allowed, hands.at, 0.6)
    assert (await ask(allowed))["recommendation_id"] > later["recommendation_id"]
    assert datetime.fromisoformat((await last(allowed))["at"]) == hands.at


@pytest.mark.parametrize(
    ("at", "strain", "words"),
    [
        (AFTERNOON, None, "no fresh reading from Robin's wristband"),
        (AFTERNOON.replace(hour=22), 0.9, "It is night for Robin"),
    ],
)
async def test_when_nothing_can_be_suggested_the_reason_is_told(allowed, wear, hands, superuser, at, strain, words):
    hands.at = at
    wear(allowed, at, strain)
    made = await ask(allowed)
    assert words in made["recommendation"]
    assert (made["activity"], made["grounded"], made["receipt"]["propensity"], made["receipt"]["facts"]) == (None, True, 1, [])
    row = superuser.execute("SELECT available, options, chosen, randomised FROM decision_points").fetchone()
    assert row == (False, [["none", 1.0]], "none", False)


async def test_consent_withdrawn_takes_the_suggestion_away(allowed, wear):
    wear(allowed, AFTERNOON, 0.6)
    await ask(allowed)
    await consent(allowed, granted=False)
    assert (await last(allowed))["reason"] == OFF
    assert (await ask(allowed))["recommendation"] is None


async def features(allowed, superuser) -> dict:
    await ask(allowed)
    row = superuser.execute("SELECT state FROM decision_points ORDER BY id DESC LIMIT 1").fetchone()
    return row[0]["features"]


async def test_the_rule_sees_the_childs_moment(allowed, wear, superuser):
    wear(allowed, AFTERNOON - timedelta(minutes=5), 0.6, seconds=600)
    wear(allowed, AFTERNOON - timedelta(seconds=2), 0.8, seconds=120)
    found = await features(allowed, superuser)
    assert found["strain"] == pytest.approx((0.6 * 75 + 0.8 * 30) / 105, abs=1e-6)  # means of records, not of minutes
    assert found["strain_age_s"] == 2
    assert (found["hour"], found["minute"], found["weekday"], found["age"], found["school_hours"]) == (15, 30, 2, 10, False)
    assert (found["threshold"], found["minutes_above"], found["asleep_h"], found["recent"]) == (0.75, 2, None, [])


async def test_the_rule_sees_the_childs_own_threshold(allowed, wear, superuser):
    superuser.execute(
        """INSERT INTO alert_rules (family_id, child_id, rule, threshold, source, updated_at)
           VALUES (%s, %s, 'strain', 0.64, 'learned', now())""",
        [allowed.family_id, allowed.child_id],
    )
    wear(allowed, AFTERNOON, 0.65)
    found = await features(allowed, superuser)
    assert (found["threshold"], found["minutes_above"]) == (pytest.approx(0.64), 10)


def sleep(superuser, family, begin: str, end: str, hours: float, *, seq: int = 1, revision: int = 0, nap: bool = False) -> None:
    superuser.execute(
        """INSERT INTO sleep_episodes (family_id, child_id, time, ended_at, asleep_s, awakenings, nap, device, boot, seq, revision,
               tick_ms, payload, received_at, firmware, model)
           VALUES (%s, %s, %s, %s, %s, 0, %s, 1, 1, %s, %s, 0, 0, now(), 0, 0)""",
        [family.family_id, family.child_id, begin, end, hours * 3600, nap, seq, revision],
    )


async def test_last_night_is_all_its_pieces_at_their_highest_revision_and_no_nap(allowed, wear, superuser):
    sleep(superuser, allowed, "2026-11-16 20:00Z", "2026-11-17 15:00Z", 9, seq=1)  # the night before
    sleep(superuser, allowed, "2026-11-17 20:00Z", "2026-11-18 01:00Z", 5, seq=2)
    sleep(superuser, allowed, "2026-11-18 02:00Z", "2026-11-18 05:30Z", 1, seq=3)
    sleep(superuser, allowed, "2026-11-18 02:00Z", "2026-11-18 05:30Z", 3, seq=3, revision=1)
    sleep(superuser, allowed, "2026-11-18 12:00Z", "2026-11-18 13:00Z", 1, seq=4, nap=True)
    wear(allowed, AFTERNOON, 0.6)
    assert (await features(allowed, superuser))["asleep_h"] == 8
    answer = await last(allowed)
    assert {"kind": "sleep", "value": 8.0, "unit": "h"}.items() <= answer["receipt"]["facts"][3].items()
    assert "short with 8.0 hours asleep" in answer["reason"]


async def test_a_night_of_the_day_before_yesterday_is_not_the_last(allowed, wear, superuser):
    sleep(superuser, allowed, "2026-11-16 20:00Z", "2026-11-17 06:00Z", 9)
    wear(allowed, AFTERNOON, 0.6)
    assert (await features(allowed, superuser))["asleep_h"] is None


@pytest.mark.parametrize(
    ("at", "event", "school"),
    [
        (datetime(2026, 11, 18, 9, tzinfo=UTC), None, True),
        (datetime(2026, 11, 21, 9, tzinfo=UTC), None, False),  # a Saturday
        (datetime(2026, 11, 18, 9, tzinfo=UTC), ("math test", "2026-11-18T10:00Z", None), True),
        (datetime(2026, 11, 18, 9, tzinfo=UTC), ("Holiday", "2026-11-18T15:00Z", None), False),
        (datetime(2026, 11, 18, 9, tzinfo=UTC), ("autumn holidays", "2026-11-16T00:00Z", "2026-11-20T00:00Z"), False),
        (datetime(2026, 11, 18, 9, tzinfo=UTC), ("holiday", "2026-11-17T12:00Z", None), True),
    ],
)
async def test_school_time_is_a_weekday_morning_without_a_holiday(allowed, wear, hands, superuser, at, event, school):
    hands.at = at
    wear(allowed, at, 0.6)
    if event:
        superuser.execute(
            """INSERT INTO school_events (family_id, child_id, event_type, event_time, ends_at, created_by)
               VALUES (%s, %s, %s, %s, %s, %s)""",
            [allowed.family_id, allowed.child_id, *event, allowed.guardian_id],
        )
    assert (await features(allowed, superuser))["school_hours"] is school


async def test_a_thumb_stands_until_it_is_changed_or_taken_back(allowed, wear, hands, superuser):
    wear(allowed, AFTERNOON, 0.6)
    number = (await ask(allowed))["recommendation_id"]
    assert (await thumb(allowed, number, None)).json() == {"status": "feedback received"}
    assert feedback(superuser) == []  # nothing to take back
    hands.at = AFTERNOON + timedelta(seconds=30)
    for value, text in ((True, number), (True, str(number)), (False, number), (False, number), (None, number), (None, number)):
        assert (await thumb(allowed, text, value)).json() == {"status": "feedback received"}
        assert (await last(allowed))["helpful"] is value
    assert feedback(superuser) == [(value, "guardian", "thumb", 1, 30) for value in (1, -1, 0)]
    chain = superuser.execute("SELECT id, supersedes FROM feedback ORDER BY number").fetchall()
    assert [row[1] for row in chain] == [None, chain[0][0], chain[1][0]]


async def test_thumbs_given_at_once_form_one_chain(allowed, wear, superuser):
    wear(allowed, AFTERNOON, 0.6)
    number = (await ask(allowed))["recommendation_id"]
    answers = await asyncio.gather(*(thumb(allowed, number, value) for value in (True, False) * 5))
    assert {answer.status_code for answer in answers} == {200}
    links = superuser.execute("SELECT id, supersedes FROM feedback ORDER BY number").fetchall()
    assert [row[1] for row in links] == [None, *(row[0] for row in links[:-1])]


async def test_a_child_that_goes_takes_its_log_with_it(allowed, wear, superuser):
    wear(allowed, AFTERNOON, 0.6)
    number = (await ask(allowed))["recommendation_id"]
    for value in (True, False, None):
        await thumb(allowed, number, value)
    superuser.execute("DELETE FROM children WHERE id = %s", [allowed.child_id])
    for table in ("decision_points", "deliveries", "feedback"):
        assert superuser.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


async def test_each_guardian_has_a_thumb_of_their_own(allowed, wear, make_family, superuser):
    wear(allowed, AFTERNOON, 0.6)
    number = (await ask(allowed))["recommendation_id"]
    second = await make_family(device="00000000000000bb")
    superuser.execute("INSERT INTO memberships (guardian_id, family_id) VALUES (%s, %s)", [second.guardian_id, allowed.family_id])
    await thumb(allowed, number, True)
    await thumb(second, number, False, allowed.child_id)
    answer = await second.client.get(f"/api/recommendation/{allowed.child_id}")
    assert (answer.json()["helpful"], (await last(allowed))["helpful"]) == (False, True)


@pytest.mark.parametrize("number", [0, -1, 2**63, "0", "-1", "1.5", "", "9" * 30, "１", True, 1.5, None, [1]])
async def test_what_is_no_recommendation_number_is_refused(allowed, number):
    assert (await thumb(allowed, number, True)).status_code == 422


@pytest.mark.parametrize("value", ["yes", 1, 0, [], {}])
async def test_what_is_no_thumb_is_refused(allowed, value):
    assert (await thumb(allowed, 1, value)).status_code == 422


async def test_a_thumb_must_be_given_to_be_taken_back(allowed):
    answer = await allowed.client.post("/api/feedback", json={"recommendation_id": 1, "child_id": allowed.child_id})
    assert answer.status_code == 422


async def test_seen_is_noted_once(allowed, wear, hands):
    wear(allowed, AFTERNOON, 0.6)
    made = await ask(allowed)
    hands.at = AFTERNOON + timedelta(seconds=5)
    assert (await seen(allowed, made["recommendation_id"])).status_code == 204
    first = await last(allowed)
    assert datetime.fromisoformat(first["seen_at"]) == hands.at
    assert first["revision"] > made["revision"]
    hands.at = AFTERNOON + timedelta(seconds=50)
    assert (await seen(allowed, made["recommendation_id"])).status_code == 204
    assert await last(allowed) == first


async def test_another_familys_suggestions_do_not_exist(allowed, wear, make_family, superuser):
    """The answers to what is foreign and to what was never there are the same."""
    wear(allowed, AFTERNOON, 0.6)
    number = (await ask(allowed))["recommendation_id"]
    other = await make_family(device="00000000000000aa")
    await consent(other)
    for child_id, missing in ((allowed.child_id, number), ("child_0", 12345)):
        answers = [
            await other.client.get(f"/api/recommendation/{child_id}"),
            await other.client.post(f"/api/recommendation/{child_id}"),
            await thumb(other, missing, True, child_id),
            await thumb(other, missing, True),
            await seen(other, missing),
        ]
        assert {answer.status_code for answer in answers} == {404}
    assert (await thumb(allowed, number, True, other.child_id)).status_code == 404
    assert feedback(superuser) == []
    assert (await last(allowed))["seen_at"] is None


async def test_a_stranger_is_asked_to_sign_in(client):
    for answer in (
        await client.get("/api/recommendation/child_0"),
        await client.post("/api/recommendation/child_0"),
        await client.post("/api/feedback", json={}),
        await client.post("/api/deliveries/1/seen"),
    ):
        assert answer.status_code == 401


async def test_new_and_seen_suggestions_are_live_changes(allowed, wear, database, make_family):
    async def changes(family_id: str, since: int) -> list:
        async with database.family([UUID(family_id)]) as connection:
            return list(await decisions.changes(connection, [UUID(family_id)], since, 2**62))

    wear(allowed, AFTERNOON, 0.6)
    made = await ask(allowed)
    (change,) = await changes(allowed.family_id, 0)
    assert (str(change.family_id), change.child_id, change.type) == (allowed.family_id, allowed.child_id, "recommendation")
    assert change.message == made["recommendation"]
    assert change.data == {"recommendation": {name: value for name, value in made.items() if name != "helpful"}}
    assert await changes(allowed.family_id, change.transaction + 1) == []
    await seen(allowed, made["recommendation_id"])
    (again,) = await changes(allowed.family_id, change.transaction + 1)
    assert again.data["recommendation"]["recommendation_id"] == made["recommendation_id"]
    assert again.data["recommendation"]["revision"] == again.transaction > change.transaction
    other = await make_family(device="00000000000000aa")
    assert await changes(other.family_id, 0) == []


async def test_a_page_hears_of_a_suggestion_as_it_is_made_and_seen(allowed, wear, database):
    wear(allowed, AFTERNOON, 0.6)
    async with Hub(database, [decisions.changes]).running() as hub, hub.subscribe([UUID(allowed.family_id)]) as page:
        made = await ask(allowed)
        async with asyncio.timeout(10):
            (heard,) = await page.next()
        assert heard.change.message == made["recommendation"]
        await seen(allowed, made["recommendation_id"])
        async with asyncio.timeout(10):
            (heard,) = await page.next()
        assert heard.change.data["recommendation"]["seen_at"] == (await last(allowed))["seen_at"]


async def test_the_log_cannot_be_rewritten(allowed, wear, database):
    wear(allowed, AFTERNOON, 0.6)
    await ask(allowed)
    for role in ("api", "worker"):
        for statement in (
            "UPDATE decision_points SET chosen = 'none'",
            "DELETE FROM decision_points",
            "UPDATE deliveries SET text = 'x'",
            "DELETE FROM deliveries",
            "UPDATE feedback SET value = 1",
            "DELETE FROM feedback",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with database.family([UUID(allowed.family_id)], role=role) as connection:
                    await connection.execute(statement)


@pytest.mark.parametrize(
    "changes",
    [
        {"options": '[["none", 0.5], ["drawing", 0.4]]'},
        {"chosen": "'dancing'"},
        {"randomised": "false"},
        {"available": "false"},
        {"child_id": "'somebody else'"},
    ],
)
async def test_the_database_refuses_a_decision_that_contradicts_itself(allowed, superuser, changes):
    values = {
        "family_id": f"'{allowed.family_id}'", "child_id": f"'{allowed.child_id}'", "at": "now()", "slot": "'activity'",
        "available": "true", "options": '[["none", 0.5], ["drawing", 0.5]]', "chosen": "'drawing'", "randomised": "true",
        "policy": "'rule-1'", "state": "'{}'",
    } | changes  # fmt: skip
    values["options"] = f"'{values['options']}'"
    statement = f"INSERT INTO decision_points ({', '.join(values)}) VALUES ({', '.join(values.values())})"
    with pytest.raises(psycopg.errors.IntegrityError):
        superuser.execute(statement)
