"""SQL of what guardians see and choose of alarms."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from zenmoon_cloud.alerts.fold_store import RULE
from zenmoon_cloud.database.pool import Connection

CHILD = "SELECT family_id FROM children WHERE id = %(child)s"

_SEEN = """
SELECT alerts.id, alerts.family_id, child_id, rule, closed, began_at, raised_at, ended_at, acknowledged_at,
  guardians.display_name AS acknowledged_by, threshold, minutes, peak, episodes, revision,
  children.display_name AS name, children.zone, transaction_id::text::int8 AS transaction
FROM alerts
JOIN children ON children.family_id = alerts.family_id AND children.id = child_id
LEFT JOIN guardians ON guardians.id = acknowledged_by
"""

ALERT = f"{_SEEN} WHERE alerts.id = %(id)s"

ALERTS = f"""
{_SEEN}
WHERE alerts.family_id = %(family)s AND child_id = %(child)s AND (%(closed)s::bool IS NULL OR closed = %(closed)s)
  AND (%(before)s::timestamptz IS NULL OR (raised_at, alerts.id) < (%(before)s::timestamptz, %(before_id)s::uuid))
ORDER BY raised_at DESC, alerts.id DESC LIMIT %(limit)s
"""

CHANGED = f"""
{_SEEN}
WHERE alerts.family_id = ANY (%(families)s::uuid[])
  AND transaction_id >= %(since)s::text::xid8 AND transaction_id < %(end)s::text::xid8
ORDER BY transaction_id, alerts.id
"""

ACKNOWLEDGE = """
UPDATE alerts SET acknowledged_at = %(now)s, acknowledged_by = %(guardian)s, revision = revision + 1,
  transaction_id = pg_current_xact_id()
WHERE id = %(id)s AND acknowledged_at IS NULL AND episodes > 0
"""

CHOSEN = """
SELECT threshold, minutes, enabled, source FROM alert_rules
WHERE family_id = %(family)s AND child_id = %(child)s AND rule = %(rule)s
"""

# Whoever gives no threshold keeps what was learned, and what a guardian chose before makes room for learning.
CHOOSE = """
INSERT INTO alert_rules AS chosen (family_id, child_id, rule, threshold, minutes, enabled, source, updated_at)
VALUES (%(family)s, %(child)s, %(rule)s, %(threshold)s::real, %(minutes)s, %(enabled)s,
  CASE WHEN %(threshold)s::real IS NULL THEN 'default' ELSE 'guardian' END, %(now)s)
ON CONFLICT (family_id, child_id, rule) DO UPDATE SET
  threshold = CASE WHEN excluded.threshold IS NULL AND chosen.source = 'learned' THEN chosen.threshold ELSE excluded.threshold END,
  source = CASE WHEN excluded.threshold IS NULL AND chosen.source = 'learned' THEN 'learned' ELSE excluded.source END,
  minutes = excluded.minutes, enabled = excluded.enabled, updated_at = excluded.updated_at
RETURNING threshold, minutes, enabled, source
"""


async def family_of(connection: Connection, child_id: str) -> UUID | None:
    """The family of a child that the transaction may see; None for any other."""
    row = await (await connection.execute(CHILD, {"child": child_id})).fetchone()
    return row["family_id"] if row else None


async def alert(connection: Connection, alert_id: UUID) -> dict[str, Any] | None:
    """An alarm that the transaction may see."""
    return await (await connection.execute(ALERT, {"id": alert_id})).fetchone()


async def alerts(
    connection: Connection, family: UUID, child_id: str, *, closed: bool | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[dict[str, Any]]:
    """Alarms of a child, newest first: raised before the time and id of `before`, which are those of the page before."""
    raised_at, alert_id = before or (None, None)
    arguments = {"family": family, "child": child_id, "closed": closed, "before": raised_at, "before_id": alert_id, "limit": limit}
    return await (await connection.execute(ALERTS, arguments)).fetchall()


async def changed(connection: Connection, families: Iterable[UUID], since: int, end: int) -> Sequence[dict[str, Any]]:
    """Alarms that transactions from `since` until before `end` changed last."""
    named = "{%s}" % ",".join(map(str, families))
    return await (await connection.execute(CHANGED, {"families": named, "since": since, "end": end})).fetchall()


async def acknowledge(connection: Connection, alert_id: UUID, guardian: UUID, now: datetime) -> bool:
    """Notes who has seen an alarm. Returns whether that is new."""
    arguments = {"id": alert_id, "guardian": guardian, "now": now}
    return (await connection.execute(ACKNOWLEDGE, arguments)).rowcount == 1


async def chosen(connection: Connection, family: UUID, child_id: str) -> dict[str, Any] | None:
    """What differs from the defaults for a child."""
    return await (await connection.execute(CHOSEN, {"family": family, "child": child_id, "rule": RULE})).fetchone()


async def choose(connection: Connection, family: UUID, child_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Keeps `threshold` (None = learn it), `minutes` and `enabled`, chosen at `now`."""
    arguments = {"family": family, "child": child_id, "rule": RULE} | dict(values)
    row = await (await connection.execute(CHOOSE, arguments)).fetchone()
    assert row is not None
    return row
