"""Local days as they really were: 23 or 25 hours at a clock change, longer or shorter on a travel day. Pure.

Hours carry the offset of the clock they were lived by. Where it is the one of the child's home, the home zone says when a date
began and ended; elsewhere the offset itself does.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, takewhile
from typing import NamedTuple

from zenmoon_cloud.series.zones import EPOCH, midnight, offset_s

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)

FIRST = EPOCH
LAST = datetime(9000, 1, 1, tzinfo=UTC)
"""Between these two every date can be computed; nothing is observed outside."""


REACH = 2 * DAY
"""No clock is further than a day from UTC, so around its noon UTC a date lies within this, half a day to spare."""


class Lived(NamedTuple):
    """An hour that was observed.

    Attributes:
        time: its begin in UTC.
        zone_offset_s: seconds east of UTC of the clock it was lived by.
        minutes: how many of its minutes were observed by that clock.
    """

    time: datetime
    zone_offset_s: int
    minutes: int


class Stay(NamedTuple):
    """A stretch of time by one clock: the home zone's where `zone_offset_s` is None."""

    begin: datetime
    end: datetime
    zone_offset_s: int | None


class Day(NamedTuple):
    """A local date: from `start` until before `end`, both UTC; `seconds` of these belonged to it."""

    start: datetime
    end: datetime
    seconds: float


class Calendar:
    """A child's dates.

    Args:
        zone: IANA name of the home zone.
        hours: observed hours. Only those before and after a change of the offset matter.
    """

    def __init__(self, zone: str, hours: Iterable[Lived] = ()) -> None:
        self._zone = zone
        self._stays = self._by_clock(hours)

    def at_home(self, day: date, *offsets_s: int) -> bool:
        """Whether all these offsets are those of the home zone on a date."""
        begin, end = midnight(self._zone, day), midnight(self._zone, day + DAY)
        return {*offsets_s} <= {offset_s(self._zone, begin), offset_s(self._zone, max(begin, end - SECOND))}

    def day(self, day: date) -> Day | None:
        """When a date was; None if the child never had it, as when it flew over the date line."""
        parts = []
        for stay in self._around_noon(datetime.combine(day, time(12), UTC)):
            begin, end = max(stay.begin, self._midnight(day, stay)), min(stay.end, self._midnight(day + DAY, stay))
            if begin < end:
                parts.append((begin, end))
        if not parts:
            return None
        seconds = sum((end - begin) / SECOND for begin, end in parts)
        return Day(min(begin for begin, _ in parts), max(end for _, end in parts), seconds)

    def first_from(self, moment: datetime) -> datetime:
        """The begin of the first day that begins at `moment` or later."""
        return min(day.start for day in self._around(moment) if day.start >= moment)

    def last_until(self, moment: datetime) -> datetime:
        """The end of the last day that has ended by `moment`."""
        return max(day.end for day in self._around(moment) if day.end <= moment)

    def _around_noon(self, noon: datetime) -> Iterator[Stay]:
        first = bisect_left(self._stays, noon - REACH, key=lambda stay: stay.end)
        return takewhile(lambda stay: stay.begin < noon + REACH, islice(self._stays, first, None))

    def _around(self, moment: datetime) -> Sequence[Day]:
        # Four days each way: local dates are up to a day off, a journey may stretch one to two, and one may be skipped.
        dates = (moment.date() + number * DAY for number in range(-4, 5))
        return [found for found in map(self.day, dates) if found]

    def _midnight(self, day: date, stay: Stay) -> datetime:
        if stay.zone_offset_s is None:
            return midnight(self._zone, day)
        return datetime.combine(day, time(), UTC) - stay.zone_offset_s * SECOND

    def _by_clock(self, hours: Iterable[Lived]) -> list[Stay]:
        begins, clocks = [FIRST - 10 * DAY], list[int | None]()
        last: Lived | None = None
        for hour in self._in_turn(hours):
            clock = self._clock(hour)
            if last is None:
                clocks.append(clock)
            elif clock != clocks[-1]:
                # Not before what was observed by the one clock has ended; where nothing is missing, then.
                begins.append(max(hour.time, last.time + last.minutes * MINUTE))
                clocks.append(clock)
            last = hour
        return [Stay(*stay) for stay in zip(begins, [*begins[1:], LAST + 10 * DAY], clocks or [None], strict=True)]

    def _in_turn(self, hours: Iterable[Lived]) -> Iterator[Lived]:
        """The hours as they were lived: of two that overlap, the one by the clock that went before is first."""
        waiting = sorted(hours)
        clock: int | None = None
        while waiting:
            overlapping = [hour for hour in waiting[:4] if hour.time < waiting[0].time + HOUR]
            turn = next((number for number, hour in enumerate(overlapping) if self._clock(hour) == clock), 0)
            yield (hour := waiting.pop(turn))
            clock = self._clock(hour)

    def _clock(self, hour: Lived) -> int | None:
        at_home = {offset_s(self._zone, hour.time), offset_s(self._zone, hour.time + HOUR - SECOND)}
        return None if hour.zone_offset_s in at_home else hour.zone_offset_s
