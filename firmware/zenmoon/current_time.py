# Exact Time 256 of the Current Time characteristic (0x2A2B): what a central writes to tell the time.

import struct

from zenmoon.errors import FirmwareError

_DAYS_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
# Outside these years a clock is wrong rather than surprising.
_FIRST_YEAR = 2020
_LAST_YEAR = 2099


# reason: "length" or "range".
class CurrentTimeError(FirmwareError):
    pass


# UTC in ms since 1970 of the 10 bytes u16 year | u8 month | u8 day | u8 hours | u8 minutes | u8 seconds | u8 day of week
# | u8 1/256 s | u8 adjust reason. The day of week is implied by the date and not looked at. Raises CurrentTimeError.
# Own arithmetic, because mktime counts from 2000 on some ports and from 1970 on others.
def decode(data):
    if len(data) != 10:
        raise CurrentTimeError("length", "Current Time has 10 bytes, not %d" % len(data))
    year, month, day, hours, minutes, seconds, _, fractions, _ = struct.unpack("<H8B", data)
    leap = year % 4 == 0  # holds for 2000 and up to 2099
    if (
        not _FIRST_YEAR <= year <= _LAST_YEAR
        or not 1 <= month <= 12
        or not 1 <= day <= _days(month, leap)
        or hours > 23
        or minutes > 59
        or seconds > 59
    ):
        raise CurrentTimeError("range", "Current Time is no moment from %d to %d" % (_FIRST_YEAR, _LAST_YEAR))
    days = 365 * (year - 1970) + (year - 1969) // 4 + _DAYS_BEFORE_MONTH[month - 1] + day - 1
    if leap and month > 2:
        days += 1
    return ((days * 24 + hours) * 60 + minutes) * 60_000 + seconds * 1000 + fractions * 1000 // 256


def _days(month, leap):
    if month == 2:
        return 29 if leap else 28
    return 30 if month in (4, 6, 9, 11) else 31
