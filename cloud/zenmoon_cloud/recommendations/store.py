"""All SQL of what a recommendation is made from; read as the API's role for whoever asks, as the worker's for what is due."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from zenmoon_cloud.database.pool import Connection

SHORTEST, LONGEST = 2, 10
"""Minutes over which strain is averaged: as many as the child's alarm asks for, so that an alarm and a suggestion do not contradict
each other; fewer than two are noise, and more than ten are no longer now."""

THRESHOLD, MINUTES = 0.75, 10
"""Of a child without an alarm rule of its own: the rule's defaults."""

# The consent that is in force at event time, as ingest asks for it.
ALLOWED = """COALESCE((
    SELECT granted FROM consents
    WHERE consents.family_id = children.family_id AND consents.child_id = children.id AND purpose = 'insights'
      AND consents.at <= %(at)s
    ORDER BY version DESC LIMIT 1), false)"""

FIND_CHILD = f"""
SELECT family_id, id, display_name, birth_year, zone, {ALLOWED} AS allowed FROM children WHERE id = %(child_id)s
"""  # noqa: S608 - a text of our own

LIMIT_OF = """
SELECT threshold, minutes FROM alert_rules WHERE family_id = %(family_id)s AND child_id = %(child_id)s AND rule = 'strain'
"""
STRAIN = """
WITH minutes AS (
    SELECT avg(stress_level) AS mean, sum(stress_level::float8) AS total, count(*) AS records, max(time) AS newest
    FROM wellness_metrics
    WHERE family_id = %(family_id)s AND child_id = %(child_id)s AND time > %(since)s AND time <= %(at)s AND stress_level IS NOT NULL
    GROUP BY floor(extract(epoch FROM %(at)s - time) / 60))
SELECT sum(total) / sum(records)::float8 AS strain, max(newest) AS newest,
       count(*) FILTER (WHERE mean > %(threshold)s::float8) AS minutes_above
FROM minutes
"""
# The pieces of the night that ended last; the night before it ended some 24 hours earlier, so half of that tells them apart.
LAST_NIGHT = """
WITH nights AS (
    SELECT ended_at, asleep_s FROM current_sleep
    WHERE family_id = %(family_id)s AND child_id = %(child_id)s AND NOT nap
      AND time > %(at)s::timestamptz - interval '60 hours' AND ended_at > %(at)s::timestamptz - interval '36 hours'
      AND ended_at <= %(at)s::timestamptz)
SELECT sum(asleep_s) / 3600.0::float8 AS asleep_h FROM nights
WHERE ended_at > (SELECT max(ended_at) FROM nights) - interval '12 hours'
HAVING max(ended_at) > %(at)s::timestamptz - interval '24 hours'
"""
NO_SCHOOL = """
SELECT 1 FROM school_events
WHERE family_id = %(family_id)s AND child_id = %(child_id)s AND event_type ~* 'holiday|vacation|no school'
  AND event_time <= %(day_end)s AND COALESCE(ends_at, event_time) >= %(day_begin)s
LIMIT 1
"""


class Child(NamedTuple):
    """Whom a recommendation is for.

    Attributes:
        family_id: Of the child.
        id: Of the child.
        display_name: As the guardians call it.
        birth_year: None when it is not known.
        zone: IANA name of the zone that it lives in.
        allowed: Whether a guardian's consent to suggestions is in force.
    """

    family_id: UUID
    id: str
    display_name: str
    birth_year: int | None
    zone: str
    allowed: bool


class Limit(NamedTuple):
    """From when on the child's alarm counts.

    Attributes:
        threshold: Strain, 0-1.
        window: Over which strain is averaged, in minutes.
    """

    threshold: float
    window: int


class Strain(NamedTuple):
    """What the wristband said in the minutes before a moment.

    Attributes:
        mean: Mean strain of the records that have one, 0-1; None without any.
        newest: Time of the newest such record.
        minutes_above: Whole minutes back from now whose mean was above the threshold.
    """

    mean: float | None
    newest: datetime | None
    minutes_above: int


async def find_child(connection: Connection, child_id: str, at: datetime) -> Child | None:
    """Find a child of the transaction's families; None for any other."""
    row = await (await connection.execute(FIND_CHILD, {"child_id": child_id, "at": at})).fetchone()
    return Child(**row) if row else None


async def limit_of(connection: Connection, child: Child) -> Limit:
    """What the child's alarm counts by."""
    row = await (await connection.execute(LIMIT_OF, {"family_id": child.family_id, "child_id": child.id})).fetchone()
    threshold = THRESHOLD if row is None or row["threshold"] is None else float(row["threshold"])
    minutes = MINUTES if row is None or row["minutes"] is None else int(row["minutes"])
    return Limit(threshold, min(max(minutes, SHORTEST), LONGEST))


async def strain_of(connection: Connection, child: Child, at: datetime, limit: Limit) -> Strain:
    """The child's strain over the window before `at`."""
    since = at - timedelta(minutes=limit.window)
    values = {"family_id": child.family_id, "child_id": child.id, "at": at, "since": since, "threshold": limit.threshold}
    row = await (await connection.execute(STRAIN, values)).fetchone()
    assert row is not None
    return Strain(row["strain"], row["newest"], row["minutes_above"])


async def last_night(connection: Connection, child: Child, at: datetime) -> float | None:
    """Hours asleep in the night that ended within the 24 hours before `at`; None when none is known."""
    row = await (await connection.execute(LAST_NIGHT, {"family_id": child.family_id, "child_id": child.id, "at": at})).fetchone()
    return float(row["asleep_h"]) if row else None


async def is_free_of_school(connection: Connection, child: Child, day_begin: datetime, day_end: datetime) -> bool:
    """Whether a guardian has entered a holiday that touches the time between."""
    values = {"family_id": child.family_id, "child_id": child.id, "day_begin": day_begin, "day_end": day_end}
    return await (await connection.execute(NO_SCHOOL, values)).fetchone() is not None
