"""A journal page: one file of entries of one boot, each followed by its checksum (docs/wire.md, "Journal page")."""

import struct
from collections import namedtuple

from zenmoon_edge.core.crc import crc16
from zenmoon_edge.core.record import CodecError, Entry, decode_entry, encode_entry

MAGIC = b"ZJ"
VERSION = 1
HEADER_SIZE = 27
CRC_SIZE = 2

PageHeader = namedtuple("PageHeader", "boot seq_base tick_base firmware model")


def encode_header(header: PageHeader) -> bytes:
    """The 27 bytes a page begins with."""
    low, high = header.tick_base & 0xFFFFFFFF, header.tick_base >> 32
    ids = (header.firmware, header.model)
    data = MAGIC + struct.pack("<BIIIHII", VERSION, header.boot, header.seq_base, low, high, *ids)
    return data + struct.pack("<H", crc16(data))


def decode_header(data: bytes) -> PageHeader:
    """The header of a page.

    Raises:
        CodecError: `truncated`, `range` (not a page of ours, or damaged), `version`.
    """
    if len(data) < HEADER_SIZE:
        raise CodecError("truncated", "page of %d bytes" % len(data))
    data = data[:HEADER_SIZE]
    if data[:2] != MAGIC or struct.unpack_from("<H", data, HEADER_SIZE - CRC_SIZE)[0] != crc16(data[:-CRC_SIZE]):
        raise CodecError("range", "no page header")
    version, boot, seq_base, low, high, firmware, model = struct.unpack_from("<BIIIHII", data, 2)
    if version != VERSION:
        raise CodecError("version", "page version %d" % version)
    return PageHeader(boot, seq_base, low | high << 32, firmware, model)


def encode_page_entry(entry: Entry, header: PageHeader) -> bytes:
    """The entry's bytes in that page with their checksum; CodecError `range` when it needs a new page."""
    data = encode_entry(entry, header.seq_base, header.tick_base)
    return data + struct.pack("<H", crc16(data))


def decode_page_entries(data: bytes, header: PageHeader) -> "list[Entry]":
    """Entries of a whole page up to the first that does not verify: torn, damaged, or out of sequence."""
    entries: "list[Entry]" = []
    at = HEADER_SIZE
    seq = header.seq_base
    while True:
        try:
            entry, end = decode_entry(data, at, header.seq_base, header.tick_base)
        except CodecError:
            return entries
        checksum = data[end : end + CRC_SIZE]
        if len(checksum) < CRC_SIZE or struct.unpack("<H", checksum)[0] != crc16(data[at:end]) or entry.seq != seq:
            return entries
        entries.append(entry)
        seq += 1
        at = end + CRC_SIZE
