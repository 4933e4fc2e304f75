"""Types that several routes of identity share."""

from datetime import UTC, datetime
from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints


def device_number(text: str) -> int:
    """Read 16 hex digits as the database keeps them: 64 bits in two's complement."""
    return int.from_bytes(bytes.fromhex(text), signed=True)


def device_text(number: int) -> str:
    """Write a device of the database as 16 hex digits."""
    return number.to_bytes(8, signed=True).hex()


def _zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("is not the IANA name of a time zone, such as Europe/Berlin")
    return name


@cache
def _zones() -> frozenset[str]:
    # This machine's own zone has a file among the others, but PostgreSQL and browsers know no such name.
    return frozenset(available_timezones()) - {"localtime"}


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the years 1 to 9999 in UTC") from None


def _text(value: object) -> object:
    # PostgreSQL keeps no NUL in a text; refused here it is a 422 that names the field.
    if isinstance(value, str) and "\0" in value:
        raise ValueError("holds a NUL character")
    return value


# The validator stands last: before the constraints it would hide from them that the value is a text.
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), BeforeValidator(_text)]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$"),
    BeforeValidator(_text),
    Field(examples=["parent@example.org"]),
]
TypedEmail = Annotated[str, StringConstraints(max_length=254), BeforeValidator(_text)]
# Long is what counts (NIST SP 800-63B); the upper bound only keeps the hash from being fed megabytes.
Password = Annotated[str, StringConstraints(min_length=10, max_length=200)]
Device = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$"), Field(examples=["a1b2c3d4e5f60718"])]
Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_zone), Field(examples=["Europe/Berlin"])]
Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
ChildId = Annotated[str, StringConstraints(min_length=1, max_length=50), BeforeValidator(_text)]
