"""What the clock says where a child lives: seconds east of UTC, and when a date begins. Pure."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

QUARTER = timedelta(minutes=15)
"""Every change of a zone's offset since 1970 falls on a whole quarter of an hour UTC."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def offset_s(zone: str, moment: datetime) -> int:
    """Seconds east of UTC in `zone`, an IANA name, at a zoned `moment`; 0 for a zone that this machine does not know."""
    return _offset_s(zone, (moment - EPOCH) // QUARTER)


def midnight(zone: str, day: date) -> datetime:
    """When `day` begins in `zone`, in UTC.

    Where the clock skips 00:00, that is the moment of the change; a date that was skipped as a whole begins when the next does.

    Raises:
        OverflowError: it lies outside the years 1 to 9999.
    """
    return datetime.combine(day, time(), _zone(zone)).astimezone(UTC)


@lru_cache(maxsize=65_536)
def _offset_s(zone: str, quarter: int) -> int:
    offset = (EPOCH + quarter * QUARTER).astimezone(_zone(zone)).utcoffset()
    return 0 if offset is None else offset // timedelta(seconds=1)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")
