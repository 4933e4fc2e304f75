"""SQL of the worker's round: who is due. What it shares with the API is named here, so that it is prepared under both roles."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.recommendations.store import ALLOWED, FIND_CHILD, LAST_NIGHT, LIMIT_OF, NO_SCHOOL, STRAIN

ROLE = "worker"

__all__ = ["FIND_CHILD", "LAST_NIGHT", "LIMIT_OF", "NO_SCHOOL", "ROLE", "STRAIN", "Candidate", "candidates"]

WORN = timedelta(minutes=15)
"""A child without a record for this long is not wearing its band, or its phone is away."""

CANDIDATES = f"""
SELECT family_id, id AS child_id, zone,
       (SELECT max(slot_start) FROM decision_points
        WHERE decision_points.family_id = children.family_id AND decision_points.child_id = children.id AND slot = 'activity'
          AND slot_start <= %(at)s) AS decided
FROM children
WHERE family_id = ANY (%(families)s::uuid[]) AND {ALLOWED}
  AND EXISTS (
      SELECT FROM wellness_metrics
      WHERE wellness_metrics.family_id = children.family_id AND wellness_metrics.child_id = children.id
        AND time > %(since)s AND time <= %(at)s)
ORDER BY family_id, id
"""  # noqa: S608 - a text of our own


class Candidate(NamedTuple):
    """A child that wears its band and whose guardians have allowed suggestions.

    Attributes:
        family_id: Of the child.
        child_id: Of the child.
        zone: IANA name of the zone that it lives in.
        decided: Begin of the newest half hour that has a decision; None before the first.
    """

    family_id: UUID
    child_id: str
    zone: str
    decided: datetime | None


async def candidates(connection: Connection, families: Sequence[UUID], at: datetime) -> list[Candidate]:
    """Children of the families for whom a suggestion may be made at all."""
    values = {"families": list(families), "at": at, "since": at - WORN}
    return [Candidate(**row) for row in await (await connection.execute(CANDIDATES, values)).fetchall()]
