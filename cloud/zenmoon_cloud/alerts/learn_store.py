"""SQL of learning a child's own limit from its minutes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from zenmoon_cloud.alerts.fold_store import RULE
from zenmoon_cloud.alerts.rules import LEARNED_SECONDS, USUAL_SHARE
from zenmoon_cloud.database.pool import Connection

ROLE = "worker"

# Monitoring must still be agreed to. A rule without a threshold is as good as none.
USUAL = f"""
SELECT children.family_id, children.id AS child_id, rules.threshold, minutes.quantile
FROM children
LEFT JOIN alert_rules AS rules
  ON rules.family_id = children.family_id AND rules.child_id = children.id AND rules.rule = %(rule)s
CROSS JOIN LATERAL (
  SELECT percentile_cont({USUAL_SHARE}) WITHIN GROUP (ORDER BY stress_level) AS quantile
  FROM minute_rollups
  WHERE family_id = children.family_id AND child_id = children.id AND time >= %(since)s AND time < %(now)s
    AND stress_level IS NOT NULL
  HAVING sum(stress_level_s) >= {LEARNED_SECONDS}) AS minutes
WHERE children.family_id = ANY (%(families)s::uuid[])
  AND rules.source IS DISTINCT FROM 'guardian' AND (rules.threshold IS NULL OR NOT %(first)s)
  AND (SELECT granted FROM consents
       WHERE consents.family_id = children.family_id AND consents.child_id = children.id AND purpose = 'monitoring'
       ORDER BY version DESC LIMIT 1)
ORDER BY children.family_id, children.id
"""  # noqa: S608 - our own numbers

LEARNED = """
INSERT INTO alert_rules AS known (family_id, child_id, rule, threshold, source, updated_at)
VALUES (%(family)s, %(child)s, %(rule)s, %(threshold)s, 'learned', %(now)s)
ON CONFLICT (family_id, child_id, rule) DO UPDATE
SET threshold = excluded.threshold, source = excluded.source, updated_at = excluded.updated_at
WHERE known.source <> 'guardian'
"""


async def usual(
    connection: Connection, families: Sequence[UUID], *, since: datetime, now: datetime, first: bool
) -> list[dict[str, Any]]:
    """The strain below which most of a child's minutes lie, for every child with enough of them and no limit of a guardian's.

    Args:
        connection: a transaction of the role `worker` that sees `families`.
        families: whose children.
        since: the first minute.
        now: before it lies the last.
        first: only children for whom nothing was learned yet.
    """
    arguments = {"families": "{%s}" % ",".join(map(str, families)), "since": since, "now": now, "first": first, "rule": RULE}
    return await (await connection.execute(USUAL, arguments)).fetchall()


async def keep(connection: Connection, row: Mapping[str, Any], threshold: float, now: datetime) -> None:
    """Keeps a learned limit, unless a guardian has chosen one meanwhile."""
    arguments = {"family": row["family_id"], "child": row["child_id"], "rule": RULE, "threshold": threshold, "now": now}
    await connection.execute(LEARNED, arguments)
