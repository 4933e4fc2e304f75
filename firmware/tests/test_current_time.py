"""Exact Time 256 against the calendar of the standard library."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zenmoon import current_time


def encoded(moment, fractions=0):
    fields = (moment.month, moment.day, moment.hour, moment.minute, moment.second, moment.isoweekday(), fractions, 0)
    return moment.year.to_bytes(2, "little") + bytes(fields)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2099, 12, 31, 23, 59, 59)), st.integers(0, 255))  # noqa: DTZ001
def test_every_moment_of_the_century_is_read(moment, fractions):
    moment = moment.replace(tzinfo=UTC, microsecond=0)
    expected = int(moment.timestamp()) * 1000 + fractions * 1000 // 256
    assert current_time.decode(encoded(moment, fractions)) == expected


@given(st.binary(max_size=12))
def test_bytes_that_are_no_time_are_refused_and_nothing_else_happens(data):
    try:
        utc_ms = current_time.decode(data)
    except current_time.CurrentTimeError as error:
        reason = error.reason
    else:
        reason = None
        assert encoded(datetime.fromtimestamp(utc_ms // 1000, UTC))[:7] == data[:7]
    assert reason in (("range", None) if len(data) == 10 else ("length",))


@pytest.mark.parametrize("year", [2019, 2100])
def test_a_year_outside_the_century_is_refused(year):
    with pytest.raises(current_time.CurrentTimeError):
        current_time.decode(encoded(datetime(year, 6, 1, tzinfo=UTC)))
