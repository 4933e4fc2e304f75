"""Reads flatbuffers in place, every access checked against the end of the data.

Format: https://flatbuffers.dev/internals/ . A table is read by field number; a number that the file does not have
answers with its default, as the format wants it. A file that points outside itself is refused, so hostile
bytes cost an exception and never a wrong read.
"""

import struct

from zenmoon_edge.core.errors import EdgeError


class FlatbufferError(EdgeError):
    """The bytes are no such flatbuffer: `truncated` (points outside itself), `identifier` (another kind of file)."""


def root(data: bytes, identifier: bytes) -> "Table":
    """The root table of a file with this 4-byte identifier."""
    if len(data) < 8 or bytes(data[4:8]) != identifier:
        raise FlatbufferError("identifier", "not a %s file" % identifier.decode())
    return Table(data, _u32(data, 0))


class Table:
    """One table. Field numbers count from 0 in the order of the schema."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position
        self._vtable = position - _read(data, "<i", position)
        self._fields = (_read(data, "<H", self._vtable) - 4) // 2
        _check(data, self._vtable, 4 + 2 * max(0, self._fields))

    def _at(self, field: int) -> int:
        if field >= self._fields:
            return 0
        offset = _read(self._data, "<H", self._vtable + 4 + 2 * field)
        return self._position + offset if offset else 0

    def scalar(self, field: int, code: str, default: int = 0) -> int:
        """A number; `code` as in struct ("b" i8, "B" u8, "i" i32, "I" u32)."""
        at = self._at(field)
        return _read(self._data, "<" + code, at) if at else default

    def bits(self, field: int) -> int:
        """The four bytes of a float field, little-endian, as an integer: kept exact on single-precision boards."""
        at = self._at(field)
        return _u32(self._data, at) if at else 0

    def table(self, field: int) -> "Table | None":
        """A table, or None where the field is not set."""
        at = self._at(field)
        return Table(self._data, at + _u32(self._data, at)) if at else None

    def vector(self, field: int, code: str) -> "tuple[int, ...]":
        """All numbers of a vector; () where the field is not set."""
        start, count = self._vector(field, struct.calcsize("<" + code))
        return struct.unpack_from("<%d%s" % (count, code), self._data, start) if count else ()

    def tables(self, field: int) -> "list[Table]":
        """All tables of a vector of tables."""
        start, count = self._vector(field, 4)
        positions = [start + 4 * i for i in range(count)]
        return [Table(self._data, at + _u32(self._data, at)) for at in positions]

    def content(self, field: int) -> bytes:
        """A vector of bytes or a string."""
        start, count = self._vector(field, 1)
        return bytes(self._data[start : start + count])

    def _vector(self, field: int, item: int) -> "tuple[int, int]":
        at = self._at(field)
        if not at:
            return 0, 0
        at += _u32(self._data, at)
        count = _u32(self._data, at)
        _check(self._data, at + 4, count * item)
        return at + 4, count


def _check(data: bytes, position: int, size: int) -> None:
    if position < 0 or position + size > len(data):
        raise FlatbufferError("truncated", "%d bytes at %d of %d" % (size, position, len(data)))


def _read(data: bytes, code: str, position: int) -> int:
    _check(data, position, struct.calcsize(code))
    value: int = struct.unpack_from(code, data, position)[0]
    return value


def _u32(data: bytes, position: int) -> int:
    return _read(data, "<I", position)
