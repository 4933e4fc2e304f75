"""The half hours of a child's own clock, in each of which one suggestion is due. Pure."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

HALF_HOUR = timedelta(minutes=30)


def half_hour(at: datetime, zone: str) -> datetime:
    """Return the begin, in UTC, of the local half hour that `at` lies in; a clock change makes none go missing or come twice."""
    local = at.astimezone(ZoneInfo(zone))
    since = timedelta(minutes=local.minute % 30, seconds=local.second, microseconds=local.microsecond)
    return at.astimezone(UTC) - since
