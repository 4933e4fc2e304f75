"""Where a page of the series ended, as an opaque text. Pure."""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, get_args

import orjson

from zenmoon_cloud.problems import Problem

Summary = Literal["minute", "hour", "day"]
SUMMARIES: tuple[Summary, ...] = get_args(Summary)


class RecordPlace(NamedTuple):
    """The last record of a page: event time and key."""

    time: datetime
    device: int
    boot: int
    seq: int


class BucketPlace(NamedTuple):
    """The last bucket of a page. An hour is told from another at the same time by its offset."""

    level: Summary
    start: datetime
    zone_offset_s: int
    end: datetime


def after_record(row: Mapping[str, Any]) -> str:
    """The cursor of the page after a row of `wellness_metrics`."""
    return _write([row["time"].isoformat(), row["device"], row["boot"], row["seq"]])


def after_bucket(place: BucketPlace) -> str:
    """The cursor of the page after a bucket."""
    return _write([place.level, place.start.isoformat(), place.zone_offset_s, place.end.isoformat()])


def place(cursor: str) -> RecordPlace | BucketPlace:
    """Reads what `after_record` or `after_bucket` wrote.

    Raises:
        Problem: 400 when it is no cursor of ours.
    """
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(parts, list) and parts[0] in SUMMARIES:
            level, start, offset, end = parts
            return BucketPlace(level, _moment(start), _number(offset, 4), _moment(end))
        time, device, boot, seq = parts
        return RecordPlace(_moment(time), _number(device, 8), _number(boot, 8), _number(seq, 8))
    except (ValueError, TypeError, LookupError, OverflowError, binascii.Error):
        raise foreign() from None


def foreign() -> Problem:
    """The problem of a cursor that is not of the question asked."""
    detail = "Use `next_cursor` of the page before with the same question, or leave the cursor out."
    return Problem(400, "bad-cursor", "Bad cursor", detail)


def _write(parts: list[object]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _number(value: Any, size: int) -> int:
    number = int(value)
    number.to_bytes(size, signed=True)  # what the database would refuse is not ours
    return number
