"""Fields of an item, each read as a column.

A column is first judged as a whole with C-speed built-ins (types as a set, `min`, `max`); only a column that fails is read value by
value to find the offenders. A field never raises for a column: it returns the parsed values and what was wrong where.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
SMALLEST = 2.0**-126
"""Nearest to 0 that the database's `real` holds exactly: what is nearer it would refuse, with all neighbours of the item."""

MISSING = object()
"""Stands in a column where an item lacks the key; JSON `null` is `None`."""

Wrong = dict[int, str]
"""Position in the column → what is wrong with the value."""


class Field(Protocol):
    """How one key of an item is read.

    Attributes:
        name: key in the JSON item, and the column's name.
    """

    @property
    def name(self) -> str:
        """Key in the JSON item."""

    def parse(self, value: Any) -> Any:
        """Reads one value. Raises ValueError with the reason."""

    def whole(self, values: Sequence[Any]) -> list[Any] | None:
        """Reads a column without a flaw; None if it has one."""


def read(field: Field, values: Sequence[Any]) -> tuple[list[Any], Wrong]:
    """Reads a column.

    Returns:
        The parsed values (None where wrong) and the flaws by position.
    """
    parsed = field.whole(values)
    if parsed is not None:
        return parsed, {}
    wrong: Wrong = {}
    parsed = []
    for position, value in enumerate(values):
        try:
            if value is MISSING:
                raise ValueError("is missing")
            parsed.append(field.parse(value))
        except ValueError as flaw:
            wrong[position] = f"{field.name} {flaw}"
            parsed.append(None)
    return parsed, wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A measured value in physical units.

    Attributes:
        low: smallest value.
        high: largest value.
        whole_numbers: only integers.
        nullable: `null` says "not measured".
        optional: the key may be missing, which reads like `null`.
        needs: quality bits without which the value must be `null`.
    """

    name: str
    low: float
    high: float
    whole_numbers: bool = False
    nullable: bool = False
    optional: bool = False
    needs: int = 0

    def parse(self, value: Any) -> float | None:
        """Reads one value. Raises ValueError with the reason."""
        if value is None and self.nullable:
            return None
        # bool is an int to Python, but not to a sensor
        if type(value) is not int and (self.whole_numbers or type(value) is not float):
            raise ValueError("is not a whole number" if self.whole_numbers else "is not a number")
        if type(value) is float and not math.isfinite(value):
            raise ValueError("is not finite")
        if not self.low <= value <= self.high:
            raise ValueError(f"is outside {self.low:g} … {self.high:g}")
        if 0 < abs(value) < SMALLEST:
            raise ValueError("is too near 0 to be a measurement")
        number: float = value
        return number

    def whole(self, values: Sequence[Any]) -> list[Any] | None:
        """Reads a column without a flaw; None if it has one."""
        present = [value for value in values if value is not None] if self.nullable else values
        if not present:
            return list(values)
        kinds = set(map(type, present))
        if not kinds <= ({int} if self.whole_numbers else {int, float}):
            return None
        if min(present) < self.low or max(present) > self.high:
            return None
        if min(map(abs, filter(None, present)), default=1) < SMALLEST:
            return None
        # a NaN makes min and max depend on the order, but always makes the sum NaN
        return None if math.isnan(sum(present)) else list(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hexadecimal:
    """An identifier in hexadecimal digits, kept as a database int8 (two's complement for 16 digits).

    Attributes:
        digits: exact number of digits, 16 or 8.
    """

    name: str
    digits: int

    def parse(self, value: Any) -> int:
        """Reads one value. Raises ValueError with the reason."""
        if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{%d}" % self.digits, value):
            raise ValueError(f"is not {self.digits} hexadecimal digits")
        return int.from_bytes(bytes.fromhex(value), signed=self.digits == 16)

    def whole(self, values: Sequence[Any]) -> list[Any] | None:
        """Reads a column without a flaw; None if it has one."""
        try:
            distinct = {value: self.parse(value) for value in set(values)}
        except (ValueError, TypeError):
            return None
        return [distinct[value] for value in values]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """A JSON `true` or `false`."""

    name: str

    def parse(self, value: Any) -> bool:
        """Reads one value. Raises ValueError with the reason."""
        if not isinstance(value, bool):
            raise ValueError("is neither true nor false")
        return value

    def whole(self, values: Sequence[Any]) -> list[Any] | None:
        """Reads a column without a flaw; None if it has one."""
        return list(values) if set(map(type, values)) <= {bool} else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An ISO 8601 instant with a zone, kept as whole microseconds since 1970 UTC.

    Attributes:
        minute: it must be the beginning of a minute UTC.
    """

    name: str
    minute: bool = False

    def parse(self, value: Any) -> int:
        """Reads one value. Raises ValueError with the reason."""
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValueError("is not an ISO 8601 time") from None
        if moment.tzinfo is None:
            raise ValueError("has no zone")
        parsed = (moment - EPOCH) // MICROSECOND
        if self.minute and parsed % MINUTE_US:
            raise ValueError("is not the beginning of a minute")
        return parsed

    def whole(self, values: Sequence[Any]) -> list[Any] | None:
        """Reads a column without a flaw; None if it has one."""
        try:
            moments = [datetime.fromisoformat(value) for value in values]
            parsed = [(moment - EPOCH) // MICROSECOND for moment in moments]
        except (TypeError, ValueError):  # subtracting a zoned from a zoneless time is a TypeError
            return None
        return None if self.minute and any(moment % MINUTE_US for moment in parsed) else parsed


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC of a zoned `moment`."""
    return (moment - EPOCH) // MICROSECOND


def moment(microseconds_utc: int) -> datetime:
    """The inverse of `microseconds`."""
    return EPOCH + microseconds_utc * MICROSECOND
