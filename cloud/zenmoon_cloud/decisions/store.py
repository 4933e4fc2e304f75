"""All of the decision log's SQL. Rows are added, never changed: but for the moment at which a delivery was first seen."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.decisions.log import NONE, DecisionPoint, Delivery, Feedback, Slot

# Two who decide for one child at the same moment would both find that nothing was suggested lately.
LOCK_CHILD = "SELECT pg_advisory_xact_lock(hashtextextended('zenmoon decide ' || %(child_id)s::text, 0))"

ADD_DECISION = """
INSERT INTO decision_points (family_id, child_id, at, slot, slot_start, parent_decision_id, available, options, chosen,
                             randomised, policy, state, arm)
VALUES (%(family_id)s, %(child_id)s, %(at)s, %(slot)s, %(slot_start)s, %(parent_decision_id)s, %(available)s, %(options)s,
        %(chosen)s, %(randomised)s, %(policy)s, %(state)s, %(arm)s)
ON CONFLICT (family_id, child_id, slot, slot_start) DO NOTHING
RETURNING id
"""
GET_DECISION = """
SELECT id, family_id, child_id, at, slot, slot_start, parent_decision_id, available, options, chosen, randomised, policy, state, arm
FROM decision_points WHERE id = %(decision_id)s
"""
# Chosen lately. A clock that was set back leaves decisions in the future; they count for nothing.
RECENT = f"""
SELECT chosen, at FROM decision_points
WHERE family_id = %(family_id)s AND child_id = %(child_id)s AND at > %(since)s AND at <= %(until)s
  AND slot = %(slot)s AND chosen <> '{NONE}'
ORDER BY at
"""  # noqa: S608 - a word of our own

ADD_DELIVERY = """
INSERT INTO deliveries (family_id, id, decision_id, channel, text, explanation, receipt, sent_at, seen_at)
VALUES (%(family_id)s, %(id)s, %(decision_id)s, %(channel)s, %(text)s, %(explanation)s, %(receipt)s, %(sent_at)s, %(seen_at)s)
"""
_SHOWN = """
p.family_id, p.child_id, p.id, p.at, d.text, d.explanation, d.receipt, d.seen_at, d.transaction_id::text::int8 AS transaction
FROM decision_points p JOIN deliveries d ON d.family_id = p.family_id AND d.decision_id = p.id
WHERE p.slot = 'activity' AND d.channel = 'page'"""

LATEST = f"""
SELECT {_SHOWN} AND p.family_id = %(family_id)s AND p.child_id = %(child_id)s ORDER BY p.id DESC LIMIT 1
"""

CHANGED = f"""
SELECT {_SHOWN} AND d.family_id = ANY (%(families)s::uuid[])
  AND d.transaction_id >= %(since)s::text::xid8 AND d.transaction_id < %(end)s::text::xid8
ORDER BY d.transaction_id, p.id
"""

SEE = """
UPDATE deliveries SET seen_at = %(at)s, transaction_id = pg_current_xact_id()
WHERE decision_id = %(decision_id)s AND channel = 'page' AND seen_at IS NULL
RETURNING family_id
"""
FIND_DELIVERY = """
SELECT p.family_id, p.child_id, d.sent_at
FROM decision_points p JOIN deliveries d ON d.family_id = p.family_id AND d.decision_id = p.id
WHERE p.id = %(decision_id)s AND d.channel = 'page'
"""

LOCK_THUMB = """
SELECT pg_advisory_xact_lock(hashtextextended('zenmoon thumb ' || %(decision_id)s::int8 || ' ' || %(guardian_id)s::uuid, 0))
"""
STANDING_THUMB = """
SELECT id, value FROM feedback
WHERE family_id = %(family_id)s AND decision_id = %(decision_id)s AND guardian_id = %(guardian_id)s AND kind = 'thumb'
ORDER BY number DESC LIMIT 1
"""
ADD_FEEDBACK = """
INSERT INTO feedback (family_id, id, decision_id, source, kind, value, latency_s, confidence, at, supersedes, guardian_id)
VALUES (%(family_id)s, %(id)s, %(decision_id)s, %(source)s, %(kind)s, %(value)s, %(latency_s)s, %(confidence)s, %(at)s,
        %(supersedes)s, %(guardian_id)s)
"""


async def lock_child(connection: Connection, child_id: str) -> None:
    """Wait until nobody else decides for the child; held until the transaction ends."""
    await connection.execute(LOCK_CHILD, {"child_id": child_id})


async def decide(connection: Connection, point: DecisionPoint) -> int | None:
    """Write a decision.

    Returns:
        Its public number; None when the half hour that it was due in has one already, and nothing was written.
    """
    values = vars(point) | {"options": Jsonb(point.options), "state": Jsonb(point.state)}
    row = await (await connection.execute(ADD_DECISION, values)).fetchone()
    return int(row["id"]) if row else None


async def find(connection: Connection, decision_id: int) -> DecisionPoint | None:
    """Read a decision as it was written; None when the transaction's families have no such one."""
    row = await (await connection.execute(GET_DECISION, {"decision_id": decision_id})).fetchone()
    if row is None:
        return None
    return DecisionPoint(**row | {"options": tuple((name, probability) for name, probability in row["options"])})


async def recent(
    connection: Connection, family_id: UUID, child_id: str, *, slot: Slot, since: datetime, until: datetime
) -> list[tuple[str, datetime]]:
    """What was chosen for a child after `since` until `until`, `none` left out: (option, when), oldest first."""
    values = {"family_id": family_id, "child_id": child_id, "slot": slot, "since": since, "until": until}
    return [(row["chosen"], row["at"]) for row in await (await connection.execute(RECENT, values)).fetchall()]


async def deliver(connection: Connection, delivery: Delivery) -> None:
    """Write how a decision was told."""
    await connection.execute(ADD_DELIVERY, vars(delivery) | {"receipt": Jsonb(delivery.receipt)})


async def latest(connection: Connection, family_id: UUID, child_id: str) -> dict[str, Any] | None:
    """The newest delivered decision about an activity, as a row for `document`."""
    return await (await connection.execute(LATEST, {"family_id": family_id, "child_id": child_id})).fetchone()


async def changed(connection: Connection, families: Iterable[UUID], since: int, end: int) -> list[dict[str, Any]]:
    """Deliveries that transactions from `since` until before `end` wrote or marked as seen, as rows for `document`."""
    values = {"families": list(families), "since": since, "end": end}
    return await (await connection.execute(CHANGED, values)).fetchall()


async def see(connection: Connection, decision_id: int, at: datetime) -> bool:
    """Note when a delivery was first seen. Returns whether this was the first time."""
    return await (await connection.execute(SEE, {"decision_id": decision_id, "at": at})).fetchone() is not None


async def find_delivery(connection: Connection, decision_id: int) -> dict[str, Any] | None:
    """Whose a delivered decision is (``family_id``, ``child_id``) and when it was sent (``sent_at``)."""
    return await (await connection.execute(FIND_DELIVERY, {"decision_id": decision_id})).fetchone()


async def lock_thumb(connection: Connection, decision_id: int, guardian_id: UUID) -> None:
    """Wait until nobody else writes this guardian's thumb; held until the transaction ends."""
    await connection.execute(LOCK_THUMB, {"decision_id": decision_id, "guardian_id": guardian_id})


async def standing_thumb(connection: Connection, family_id: UUID, decision_id: int, guardian_id: UUID) -> tuple[UUID, float] | None:
    """A guardian's newest thumb on a decision: (row, value); None before the first."""
    values = {"family_id": family_id, "decision_id": decision_id, "guardian_id": guardian_id}
    row = await (await connection.execute(STANDING_THUMB, values)).fetchone()
    return (row["id"], row["value"]) if row else None


async def receive(connection: Connection, feedback: Feedback) -> None:
    """Write what came back."""
    await connection.execute(ADD_FEEDBACK, vars(feedback))
