"""A child's moment: what the rule looks at, gathered from what was measured, slept, suggested and entered."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from zenmoon_cloud import decisions
from zenmoon_cloud.activities import Features
from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.recommendations import store
from zenmoon_cloud.recommendations.store import Child

SCHOOL = (time(8), time(14))
"""Local, Monday to Friday. Countries differ; nobody is asked for a timetable, and a wrong guess only changes what is offered."""

DAY = timedelta(hours=24)


async def gather(connection: Connection, child: Child, at: datetime, *, asked: bool) -> Features:
    """Gather the features of a child whose guardians have allowed it; of any other nothing is looked up.

    Args:
        connection: A transaction that sees the child's family.
        child: Whom it is about.
        at: Event time.
        asked: Whether somebody asked for a suggestion.
    """
    if not child.allowed:
        return Features(allowed=False, asked=asked)
    local = at.astimezone(ZoneInfo(child.zone))
    limit = await store.limit_of(connection, child)
    strain = await store.strain_of(connection, child, at, limit)
    chosen = await decisions.recent(connection, child.family_id, child.id, slot="activity", since=at - DAY, until=at)
    return Features(
        allowed=True,
        asked=asked,
        strain=strain.mean,
        strain_age_s=(at - strain.newest).total_seconds() if strain.newest else None,
        threshold=limit.threshold,
        window_minutes=limit.window,
        minutes_above=strain.minutes_above,
        hour=local.hour,
        minute=local.minute,
        weekday=local.weekday(),
        school_hours=await _at_school(connection, child, local),
        asleep_h=await store.last_night(connection, child, at),
        age=local.year - child.birth_year if child.birth_year else None,
        recent=tuple((activity, (at - when).total_seconds() / 60) for activity, when in chosen),
    )


async def _at_school(connection: Connection, child: Child, local: datetime) -> bool:
    begin, end = SCHOOL
    if local.weekday() >= 5 or not begin <= local.time() < end:  # Saturday and Sunday
        return False
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    day_end = (midnight + timedelta(days=1)).astimezone(UTC)
    return not await store.is_free_of_school(connection, child, midnight.astimezone(UTC), day_end - timedelta(microseconds=1))
