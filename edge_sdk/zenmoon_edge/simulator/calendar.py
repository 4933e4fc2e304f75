"""Where the child is and which days are free: zones, clock changes, journeys, school days, holidays.

Everything here is a function of the date alone. Minutes are counted in UTC since 1970; clock time appears only as the offset of
each minute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from zenmoon_edge.simulator.errors import SimulatorError

_QUARTER = 15  # minutes; today every zone changes its clocks at a quarter of an hour
_FARTHEST_MIN = 12 * 60
_ADAPTING_DAYS = 16  # after so many days a body has arrived, however far it was taken
# How far a body clock moves in a day: Aschoff et al., Chronobiologia 2 (1975), 23: some 1.5 h westward, 1 h eastward.
_WESTWARD_H = 1.5
_EASTWARD_H = 1.0


class Trip(NamedTuple):
    """A journey: from noon of `day`, by the clock of the place it leaves, the child lives in `zone`."""

    day: date
    zone: str


class Day(NamedTuple):
    """One date where the child was.

    Attributes:
        date: by the child's own calendar.
        begin: the minute (UTC, since 1970) of its midnight.
        offsets_s: seconds east of UTC, one for each of the day's minutes (1440, but for clock changes and journeys).
        school: whether there is school.
        journey: index of the minute at which the child's clock becomes that of another zone; None without a journey.
        lag_h: how much the child's body clock is behind the clock on the wall (negative: ahead).
    """

    date: date
    begin: int
    offsets_s: NDArray[np.int32]
    school: bool
    journey: int | None
    lag_h: float

    @property
    def minutes(self) -> int:
        """Its length."""
        return len(self.offsets_s)

    @property
    def key(self) -> int:
        """What its chances are keyed by."""
        return self.date.toordinal()

    def at_clock(self, hour: float) -> int | None:
        """Index of the first minute with that time on the clock; None where clocks jump over it."""
        found = np.flatnonzero(self.wall() == round(hour * 60))
        return int(found[0]) if len(found) else None

    def wall(self) -> NDArray[np.int32]:
        """Minutes since midnight that the clock shows, for each minute of the day."""
        return np.asarray((np.arange(self.begin, self.begin + self.minutes) + self.offsets_s // 60) % 1440, np.int32)


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """A child's calendar.

    Attributes:
        zone: IANA name of the zone at home.
        school_days: weekdays with school, Monday = 0.
        holidays: first and last day of each, both without school.
        trips: journeys in the order of their days; the last one home names the home zone. Away from home there is no school.

    Raises:
        SimulatorError: `zone` for an unknown zone, `trip` for journeys out of order or farther than 12 hours of clock time
            (across the date line a date would be missing or come twice).
    """

    zone: str = "Europe/Berlin"
    school_days: Sequence[int] = (0, 1, 2, 3, 4)
    holidays: Sequence[tuple[date, date]] = ()
    trips: Sequence[Trip] = ()

    def __post_init__(self) -> None:
        for name in ("school_days", "holidays", "trips"):  # lists are welcome, but a calendar is a key
            object.__setattr__(self, name, tuple(getattr(self, name)))
        days = [trip.day for trip in self.trips]
        if any(later <= earlier for earlier, later in pairwise(days)):
            raise SimulatorError("trip", "journeys are listed in the order of their days, one a day: sort them")
        for name in (self.zone, *(trip.zone for trip in self.trips)):
            _zone(name)
        for trip in self.trips:
            shift_min = self._offset_min(self._noon(trip), trip.zone) - self._offset_min(self._noon(trip), self.place(trip.day))
            if abs(shift_min) > _FARTHEST_MIN:
                raise SimulatorError(
                    "trip", f"the journey to {trip.zone} crosses the date line: take a zone at most 12 hours of clock time away"
                )

    def place(self, day: date) -> str:
        """The zone in which the child wakes up on that day."""
        return next((trip.zone for trip in reversed(self.trips) if trip.day < day), self.zone)

    def day(self, day: date) -> Day:
        """That date, with the offset of each of its minutes."""
        begin, end = self.begin(day), self.begin(day + timedelta(days=1))
        trip = self.travels(day)
        journey = self._noon(trip) - begin if trip else None
        return Day(day, begin, self._offsets(day, begin, end), not self.free(day), journey, self.lag_h(day))

    def at(self, minute: int) -> date:
        """The child's date at a minute of UTC since 1970."""
        guess = datetime.fromtimestamp(minute * 60, UTC).date() - timedelta(days=1)
        while self.begin(guess + timedelta(days=1)) <= minute:
            guess += timedelta(days=1)
        return guess

    def begin(self, day: date) -> int:
        """The minute (UTC, since 1970) at which that date begins for the child."""
        return _minute(datetime(day.year, day.month, day.day, tzinfo=_zone(self.place(day))))

    def travels(self, day: date) -> Trip | None:
        """The journey of that day."""
        return next((trip for trip in self.trips if trip.day == day), None)

    def free(self, day: date) -> bool:
        """Whether there is no school."""
        return (
            day.weekday() not in self.school_days
            or any(first <= day <= last for first, last in self.holidays)
            or self.place(day) != self.zone
            or self.travels(day) is not None
        )

    def lag_h(self, day: date) -> float:
        """Hours by which the body clock is behind the wall's clock at the beginning of a day (negative: ahead)."""
        body = self._clock_h(day - timedelta(days=_ADAPTING_DAYS))
        for back in range(_ADAPTING_DAYS - 1, -1, -1):
            aim = self._clock_h(day - timedelta(days=back))
            if back:
                body += min(_EASTWARD_H, max(-_WESTWARD_H, aim - body))
        return aim - body

    def _clock_h(self, day: date) -> float:
        return _offset_s(self.begin(day), _zone(self.place(day))) / 3600

    def _noon(self, trip: Trip) -> int:
        return _minute(datetime(trip.day.year, trip.day.month, trip.day.day, 12, tzinfo=_zone(self.place(trip.day))))

    def _offset_min(self, minute: int, zone: str) -> int:
        return _offset_s(minute, _zone(zone)) // 60

    def _offsets(self, day: date, begin: int, end: int) -> NDArray[np.int32]:
        trip = self.travels(day)
        left, zone, later = (self._noon(trip), self.place(day), trip.zone) if trip else (end, self.place(day), self.zone)
        quarters = range(begin, end, _QUARTER)
        offsets = [_offset_s(at, _zone(zone if at < left else later)) for at in quarters]
        return np.repeat(np.array(offsets, np.int32), _QUARTER)[: end - begin]


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SimulatorError("zone", f"{name!r} is no IANA zone such as Europe/Berlin ({error})") from None


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


def _offset_s(minute: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(minute * 60, zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0
