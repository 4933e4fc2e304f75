"""The series by minute, hour or day: which level fits a question, and a page of it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple

from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.series import store
from zenmoon_cloud.series.buckets import Bucket, ceiling, floor, missing
from zenmoon_cloud.series.days import FIRST, LAST, Calendar, Lived
from zenmoon_cloud.series.pages import BucketPlace, Summary
from zenmoon_cloud.series.weeks import oldest_kept
from zenmoon_cloud.series.zones import EPOCH, offset_s

Level = Literal["record", "minute", "hour", "day"]

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)

WIDEST: tuple[tuple[Level, timedelta, str | None], ...] = (
    ("record", timedelta(days=1), "wellness_metrics"),
    ("minute", timedelta(days=7), "minute_rollups"),
    ("hour", timedelta(days=93), None),
)
"""Up to which span a level is chosen, and the table that forgets it: some thousand points, as many as a wide screen has."""

MARGIN = timedelta(days=3)
"""Around the span: a local date is a day off UTC at most, and longer by a day on a journey."""


CHANGES_A_DAY = 10
"""Hours of a day before or after which the clock was another: a child that lives near a border has four. A source that says another
offset each minute must not cost more than that."""


class Asked(NamedTuple):
    """A question.

    Attributes:
        child: of which child.
        since: buckets that begin at this time or later.
        until: and before this one.
        limit: most buckets of a page.
        after: where the page before ended.
    """

    child: store.Child
    since: datetime
    until: datetime
    limit: int
    after: BucketPlace | None


class Page(NamedTuple):
    """An answer: buckets in the order of time, where they are missing, where the page ends if there is another."""

    buckets: list[Bucket]
    gaps: list[tuple[datetime, datetime]]
    end: BucketPlace | None


def fitting(since: datetime, until: datetime, now: datetime) -> Level:
    """The finest level that a span is readable in, and that still holds its begin."""
    for level, widest, table in WIDEST:
        if until - since <= widest and (table is None or since >= oldest_kept(now, table)):
            return level
    return "day"


async def page(connection: Connection, level: Summary, asked: Asked, now: datetime) -> Page:
    """A page of a child's minutes, hours or days.

    Args:
        connection: of the child's family.
        level: which.
        asked: of whom, from when until when.
        now: what has not ended by now is not missing.
    """
    since, until = (min(max(moment, FIRST), LAST) for moment in (asked.since, asked.until))
    asked = asked._replace(since=since, until=until)
    if level == "minute":
        return await _minutes(connection, asked, now)
    return await (_hours if level == "hour" else _days)(connection, asked, now)


async def _minutes(connection: Connection, asked: Asked, now: datetime) -> Page:
    after = asked.after.start if asked.after else asked.since - MINUTE
    rows = await store.minutes(connection, asked.child, asked.since, asked.until, after=after, limit=asked.limit + 1)
    found = [
        Bucket(row["time"], row["time"] + MINUTE, 60, row, {"source": row["source"], "quality": row["quality"]}) for row in rows
    ]
    first, last = ceiling(asked.since, MINUTE, EPOCH), min(ceiling(asked.until, MINUTE, EPOCH), floor(now, MINUTE, EPOCH))
    return _page("minute", asked, found, first, last)


async def _hours(connection: Connection, asked: Asked, now: datetime) -> Page:
    after = (asked.after.start, asked.after.zone_offset_s) if asked.after else (asked.since - HOUR, 0)
    rows = await store.hours(connection, asked.child, asked.since, asked.until, after=after, limit=asked.limit + 1)
    found = [Bucket(row["time"], row["time"] + HOUR, 3600, row, {"minutes": row["minutes"]}) for row in rows]

    # Where a local clock strikes: some zones are half or a quarter of an hour off.
    zone = asked.child.zone
    offsets = [rows[number]["zone_offset_s"] for number in (0, -1)] if rows else [offset_s(zone, asked.since), offset_s(zone, now)]
    begin, end = (EPOCH - offset * SECOND for offset in offsets)
    first, last = ceiling(asked.since, HOUR, begin), min(ceiling(asked.until, HOUR, end), floor(now, HOUR, end))
    return _page("hour", asked, found, first, last)


async def _days(connection: Connection, asked: Asked, now: datetime) -> Page:
    reached = asked.after.start if asked.after else asked.since - SECOND
    span = max(asked.since, reached) - MARGIN, asked.until + MARGIN
    rows = await store.days(connection, asked.child, *span)
    calendar = Calendar(asked.child.zone)
    if not all(calendar.at_home(row["date"], row["westmost_s"], row["eastmost_s"]) for row in rows):
        changes = await store.changes(connection, asked.child, *span, limit=CHANGES_A_DAY * len(rows))
        calendar = Calendar(asked.child.zone, (Lived(row["time"], row["zone_offset_s"], row["minutes"]) for row in changes))
    found = []
    for row in rows:
        day = calendar.day(row["date"])
        if day and asked.since <= day.start < asked.until and day.start > reached:
            offset = {"zone_offset_s": _offset_at(row["date"], day.start)}
            found.append(Bucket(*day, row | offset, {"date": row["date"].isoformat()}))
    first = calendar.first_from(asked.since)
    last = min(calendar.first_from(asked.until), calendar.last_until(now))
    return _page("day", asked, sorted(found, key=lambda bucket: bucket.start), first, last)


def _offset_at(day: date, start: datetime) -> int:
    """Seconds east of UTC of the clock by which a date began."""
    return (datetime.combine(day, time(), UTC) - start) // SECOND


def _page(level: Summary, asked: Asked, found: Sequence[Bucket], first: datetime, last: datetime) -> Page:
    """Cuts a page; gaps reach to its first bucket from the page before, and on the last page to the end of the question."""
    given, more = list(found[: asked.limit]), len(found) > asked.limit
    if asked.after:
        first = asked.after.end
    if more:
        last = given[-1].end
    end = BucketPlace(level, given[-1].start, given[-1].row["zone_offset_s"], given[-1].end) if more else None
    return Page(given, missing(given, first, last), end)
