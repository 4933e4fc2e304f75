"""One recommendation from beginning to end: look, choose, log, tell. All in the caller's transaction."""

from datetime import datetime

from zenmoon_cloud import decisions
from zenmoon_cloud.activities import BY_ID, rule
from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.decisions import NONE, DecisionPoint, Delivery
from zenmoon_cloud.recommendations.moment import gather
from zenmoon_cloud.recommendations.sentences import words
from zenmoon_cloud.recommendations.store import Child


async def recommend(
    connection: Connection, child: Child, at: datetime, *, u: float, asked: bool, slot_start: datetime | None = None
) -> int | None:
    """Make a decision for a child and tell its guardians.

    A decision that is due but not available – at night, without a signal – is logged and not told: nobody asked.

    Args:
        connection: A transaction that sees the child's family.
        child: For whom. Without a guardian's consent nothing is looked up, decided or written.
        at: Event time.
        u: A uniform number in [0, 1), drawn for this decision.
        asked: Whether somebody asked.
        slot_start: The half hour in which it is due; None when somebody asked.

    Returns:
        The decision's number; None without consent, or when the half hour has its decision already.
    """
    if not child.allowed:
        return None
    features = await gather(connection, child, at, asked=asked)
    choice = rule.choose(features, u)
    point = DecisionPoint(
        family_id=child.family_id, child_id=child.id, at=at, slot="activity", slot_start=slot_start,
        options=choice.options, chosen=choice.chosen, available=choice.available, randomised=choice.randomised,
        policy=rule.NAME, state={"features": features.logged(), "u": u, "why_not": choice.why_not},
    )  # fmt: skip
    number = await decisions.decide(connection, point)
    if number is None or not (asked or choice.available):
        return number
    said = words(child.display_name, at, features, choice)
    receipt = {
        "policy": point.policy,
        "model_version": point.policy,
        "propensity": point.propensity,
        "grounded": said.grounded,
        "facts": said.facts,
        "activity": BY_ID[point.chosen].described() if point.chosen != NONE else None,
    }
    delivery = Delivery(
        family_id=child.family_id, decision_id=number, text=said.text, explanation=said.reason, receipt=receipt, sent_at=at
    )
    await decisions.deliver(connection, delivery)
    return number
