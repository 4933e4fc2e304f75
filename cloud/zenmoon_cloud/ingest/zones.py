"""Seconds east of UTC where a child lives, at event time. Pure."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from zenmoon_cloud.ingest.fields import moment

QUARTER_US = 15 * 60 * 1_000_000
"""Every change of a zone's offset since 1970 falls on a whole quarter of an hour UTC."""


def offsets(children: Sequence[str], times: Sequence[int], zones: Mapping[str, str]) -> list[int | None]:
    """The offset for each child and time (microseconds since 1970 UTC); None for a zone that this machine does not know."""
    return [_offset(zones[child_id], time // QUARTER_US) for child_id, time in zip(children, times, strict=True)]


@lru_cache(maxsize=4096)
def _offset(zone: str, quarter: int) -> int | None:
    try:
        offset = moment(quarter * QUARTER_US).astimezone(ZoneInfo(zone)).utcoffset()
    except (KeyError, ValueError, OSError):
        return None
    return None if offset is None else offset // timedelta(seconds=1)
