"""What the log says of chance is what chance did: 10 000 decisions, and draws that are a little wrong do not pass."""

import json
import math
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from psycopg.types.json import Jsonb
from zenmoon_cloud.activities import BY_ID, POLICIES, Features, rule
from zenmoon_cloud.decisions import NONE, DecisionPoint, Options, draw, replay
from zenmoon_cloud.decisions.store import ADD_DECISION
from zenmoon_cloud.errors import CloudError

SEED = 20261121
COUNT = 10_000
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def moment(chance: random.Random) -> Features:
    """Some child at some time of the day; now and then one to whom nothing can be suggested."""
    return Features(
        allowed=chance.random() < 0.98,
        asked=chance.random() < 0.5,
        strain=chance.choice([None, *(chance.random() for _ in range(9))]),
        strain_age_s=chance.uniform(0, 700),
        threshold=chance.uniform(0.6, 0.9),
        minutes_above=chance.randrange(11),
        hour=chance.randrange(6, 22),
        minute=chance.randrange(60),
        weekday=chance.randrange(7),
        school_hours=chance.random() < 0.3,
        asleep_h=chance.choice([None, chance.uniform(5, 11)]),
        age=chance.choice([None, *range(4, 18)]),
        recent=tuple((chance.choice(list(BY_ID)), chance.uniform(0, 1440)) for _ in range(chance.randrange(4))),
    )


def decisions(chance: random.Random, family_id: UUID, child_id: str) -> Iterable[DecisionPoint]:
    """Decisions until `COUNT` of them were drawn; those that left nothing to draw come on top."""
    number = drawn = 0
    while drawn < COUNT:
        features, u = moment(chance), chance.random()
        choice = rule.choose(features, u)
        number, drawn = number + 1, drawn + choice.randomised
        yield DecisionPoint(
            family_id=family_id, child_id=child_id, at=BEGIN + timedelta(minutes=number), slot="activity",
            options=choice.options, chosen=choice.chosen, available=choice.available, randomised=choice.randomised,
            policy=rule.NAME, state={"features": features.logged(), "u": u, "why_not": choice.why_not},
        )  # fmt: skip


def p_value(log: Iterable[tuple[str, Options, str]]) -> float:
    """How likely choices this far from their recorded probabilities are.

    In each stratum, D = Σ (1[chosen] - p) over its decisions has mean 0 and covariance V = Σ (diag p - p pᵀ), whatever the
    probabilities of each decision are; D V⁻¹ D without one option is the multinomial score statistic, χ² with as many degrees of
    freedom as there are options but one. The strata's statistics add up.

    Args:
        log: (stratum, options, chosen) of each decision.
    """
    names = [NONE, *BY_ID]
    strata: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for stratum, options, chosen in log:
        difference, covariance = strata.setdefault(stratum, (np.zeros(len(names)), np.zeros((len(names), len(names)))))
        p = np.array([dict(options).get(name, 0.0) for name in names])
        difference += np.array([name == chosen for name in names]) - p
        covariance += np.diag(p) - np.outer(p, p)
    statistic, freedom = 0.0, 0
    for difference, covariance in strata.values():
        there = covariance.diagonal() > 0
        there[0] = False  # what one option gains the others lose
        statistic += float(difference[there] @ np.linalg.solve(covariance[np.ix_(there, there)], difference[there]))
        freedom += int(there.sum())
    return chi_squared_survival(statistic, freedom)


def chi_squared_survival(x: float, freedom: int) -> float:
    """P(χ² > x): the regularised upper incomplete gamma function Q(freedom / 2, x / 2).

    From Q(1/2, y) = erfc √y or Q(1, y) = e^-y up by Q(a + 1, y) = Q(a, y) + y^a e^-y / Γ(a + 1); NIST Digital Library of
    Mathematical Functions, 8.4.6, 8.4.8 and 8.8.6.
    """
    y, a = x / 2, 0.5 if freedom % 2 else 1.0
    found = math.erfc(math.sqrt(y)) if freedom % 2 else math.exp(-y)
    while a < freedom / 2:
        found += math.exp(a * math.log(y) - y - math.lgamma(a + 1)) if y else 0.0
        a += 1
    return found


@pytest.mark.parametrize(("x", "freedom", "expected"), [(3.841459, 1, 0.05), (18.307038, 10, 0.05), (59.703064, 30, 0.001)])
def test_the_survival_function_gives_the_values_of_the_tables(x, freedom, expected):
    assert chi_squared_survival(x, freedom) == pytest.approx(expected, rel=1e-5)


async def test_ten_thousand_recorded_decisions_agree_with_their_propensities_and_replay(database, family):
    family_id = UUID(family.family_id)
    written = list(decisions(random.Random(SEED), family_id, family.child_id))
    async with database.family([family_id]) as connection, connection.cursor() as cursor:
        values = [vars(point) | {"options": Jsonb(point.options), "state": Jsonb(point.state)} for point in written]
        await cursor.executemany(ADD_DECISION, values)
        await cursor.execute(
            """SELECT family_id, child_id, at, slot, slot_start, parent_decision_id, available, options, chosen, randomised, policy,
                      state, arm, id FROM decision_points ORDER BY at"""
        )
        rows = await cursor.fetchall()
    read = [DecisionPoint(**row | {"options": tuple(map(tuple, row["options"]))}) for row in rows]
    assert [vars(point) | {"id": None, "state": None} for point in read] == [vars(point) | {"state": None} for point in written]
    for point in read:
        replay(point, POLICIES)
    drawn = [(stratum_of(point), point.options, point.chosen) for point in read if point.randomised]
    p = p_value(drawn)
    print(f"{len(read)} decisions, {len(drawn)} of them drawn: p = {p:.3f}")
    assert len(drawn) == COUNT < len(read)
    assert p > 0.001


def stratum_of(point: DecisionPoint) -> str:
    return rule.level(Features.read(point.state["features"]))


def squeezed(options: Options, u: float) -> str:
    """The draw of a generator whose numbers are a little too small."""
    return draw(options, u**1.1)


def unclipped(options: Options, u: float) -> str:
    """A draw as if there had been no floor."""
    without = tuple((name, p if p > 0.0501 else 0.02) for name, p in options)
    return draw(without, u * sum(p for _, p in without))


def anxious(options: Options, u: float) -> str:
    """A draw that is sometimes repeated until something is suggested."""
    drawn = draw(options, u)
    return draw(options, (u * 997) % 1) if drawn == NONE and u * 31 % 1 < 0.2 else drawn


@pytest.mark.parametrize("biased", [squeezed, unclipped, anxious])
def test_a_biased_draw_does_not_pass(biased: Callable[[Options, float], str]):
    made = [point for point in decisions(random.Random(SEED), UUID(int=1), "a child") if point.randomised]
    assert p_value((stratum_of(point), point.options, biased(point.options, point.state["u"])) for point in made) < 0.001


def one(**changes: object) -> DecisionPoint:
    features = Features(allowed=True, asked=True, strain=0.6, strain_age_s=4.0, hour=15, minute=30, age=10)
    choice = rule.choose(features, 0.5)
    values = {
        "family_id": UUID(int=1), "child_id": "a child", "at": BEGIN, "slot": "activity", "options": choice.options,
        "chosen": choice.chosen, "available": True, "randomised": True, "policy": rule.NAME,
        "state": json.loads(json.dumps({"features": features.logged(), "u": 0.5, "why_not": None})),
    }  # fmt: skip
    return DecisionPoint(**values | changes)


def test_a_replay_notices_a_changed_log_and_an_unknown_policy():
    point = one()
    assert replay(point, POLICIES).chosen == point.chosen
    other = next(name for name, _ in point.options if name != point.chosen)
    for changed in (one(chosen=other), one(state=point.state | {"u": 0.01}), one(options=point.options[::-1])):
        with pytest.raises(CloudError) as refusal:
            replay(changed, POLICIES)
        assert refusal.value.reason == "replay-differs"
    with pytest.raises(CloudError) as refusal:
        replay(one(policy="rule-0"), POLICIES)
    assert refusal.value.reason == "unknown-policy"


@pytest.mark.parametrize(
    "changes",
    [
        {"chosen": "something else"},
        {"options": (("drawing", 1.0),), "chosen": "drawing", "randomised": False},  # without `none`
        {"options": (("none", 0.5), ("drawing", 0.6)), "chosen": "none"},
        {"options": (("none", 0.5), ("none", 0.5)), "chosen": "none"},
        {"options": (("none", 1.0), ("drawing", 0.0)), "chosen": "none"},
        {"randomised": False},
        {"available": False},
    ],
)
def test_a_decision_that_contradicts_itself_cannot_be_made(changes):
    with pytest.raises(ValueError):
        one(**changes)
