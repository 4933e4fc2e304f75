"""What stands inside a sealed frame, by direction (docs/wire.md, "Sealed frame")."""

import struct
from collections import namedtuple

from zenmoon_edge.core.record import (
    BODY_SIZE,
    ENTRY_HEAD,
    SEQ_SPAN,
    CodecError,
    decode_entries,
    encode_entry,
)

EARLIER_BOOT = 128
GONE = 16
DONE = 17
RESEND = 1
STATUS_VERSION = 1
ACK_VERSION = 1

# Reasons of a GONE.
OVERWRITTEN = 1
RELEASED = 2

# A GATT value has at most 512 bytes: 26 of the frame, 13 of the status, 12 a holding.
STATUS_HOLDINGS = 39

Entries = namedtuple("Entries", "boot firmware model entries")
Gone = namedtuple("Gone", "boot first last reason")
Done = namedtuple("Done", "boot first last")
Ack = namedtuple("Ack", "boot seq")
Resend = namedtuple("Resend", "boot first last")
Holding = namedtuple("Holding", "boot first next")
Status = namedtuple("Status", "tick_ms battery_pct overwritten holdings")

_BASES = 18


def _exactly(size: int, data: bytes, what: str) -> None:
    if len(data) != size:
        detail = "%s of %d bytes, not %d" % (what, len(data), size)
        raise CodecError("truncated" if len(data) < size else "trailing", detail)


def entries_per_frame(payload_bytes: int, kind: int, earlier_boot: bool = False) -> int:
    """How many entries of `kind` a sealed frame of at most `payload_bytes` bytes can carry (0 when not even one)."""
    head = 26 + 1 + _BASES + (4 if earlier_boot else 0)
    return max(0, min(SEQ_SPAN + 1, (payload_bytes - head) // (ENTRY_HEAD + BODY_SIZE[kind])))


def entries_plaintext(entries: list, firmware: int, model: int, boot: "int | None" = None) -> bytes:  # type: ignore[type-arg]
    """Plaintext that carries entries of one kind.

    Args:
        entries: One or more entries of one kind, seq rising by at most 255 and ticks by at most 1 048 575 ms in all.
        firmware: 32-bit identity of the firmware that made them.
        model: 32-bit identity of its models.
        boot: Their boot when it is not the frame's own.

    Raises:
        CodecError: `truncated` (no entry), `kind` (mixed or unknown), `order`, `range`.
    """
    if not entries:
        raise CodecError("truncated", "no entry to carry")
    kind = entries[0].kind
    seq_base = entries[0].seq
    tick_base = min([entry.tick_ms for entry in entries])
    bases = struct.pack("<IIHII", seq_base, tick_base & 0xFFFFFFFF, tick_base >> 32, firmware, model)
    parts = [bytes((kind,)) if boot is None else struct.pack("<BI", kind | EARLIER_BOOT, boot), bases]
    last = -1
    for entry in entries:
        if entry.kind != kind:
            raise CodecError("kind", "kind %d among kind %d" % (entry.kind, kind))
        if entry.seq <= last:
            raise CodecError("order", "seq %d after %d" % (entry.seq, last))
        last = entry.seq
        parts.append(encode_entry(entry, seq_base, tick_base))
    return b"".join(parts)


def gone_plaintext(boot: int, first: int, last: int, reason: int) -> bytes:
    """Answer to a RESEND: these entries are not held any more (OVERWRITTEN or RELEASED)."""
    return struct.pack("<BIIIB", GONE, boot, first, last, reason)


def done_plaintext(boot: int, first: int, last: int) -> bytes:
    """Answer to a RESEND: everything still held of it has been sent."""
    return struct.pack("<BIII", DONE, boot, first, last)


def parse_plaintext(data: bytes) -> "Entries | Gone | Done":
    """What a frame of direction TELEMETRY says; `Entries.boot` is None for the frame's own boot.

    Raises:
        CodecError: `truncated`, `trailing`, `kind`, `range`, `order`.
    """
    if not data:
        raise CodecError("truncated", "empty plaintext")
    head = data[0]
    if head == GONE:
        _exactly(14, data, "GONE")
        gone = Gone(*struct.unpack("<IIIB", data[1:]))
        if gone.first > gone.last or gone.reason not in (OVERWRITTEN, RELEASED):
            raise CodecError("range", "GONE %d to %d, reason %d" % (gone.first, gone.last, gone.reason))
        return gone
    if head == DONE:
        _exactly(13, data, "DONE")
        done = Done(*struct.unpack("<III", data[1:]))
        if done.first > done.last:
            raise CodecError("range", "DONE %d to %d" % (done.first, done.last))
        return done
    kind = head & 127
    if kind not in BODY_SIZE:
        raise CodecError("kind", "no plaintext kind %d" % head)
    boot: "int | None" = None
    at = 1
    if head & EARLIER_BOOT:
        if len(data) < 5:
            raise CodecError("truncated", "plaintext of %d bytes" % len(data))
        (boot,) = struct.unpack_from("<I", data, 1)
        at = 5
    if len(data) < at + _BASES:
        raise CodecError("truncated", "plaintext of %d bytes" % len(data))
    seq_base, tick_low, tick_high, firmware, model = struct.unpack_from("<IIHII", data, at)
    entries = decode_entries(data[at + _BASES :], seq_base, tick_low | tick_high << 32)
    if not entries:
        raise CodecError("truncated", "no entry after the bases")
    for entry in entries:
        if entry.kind != kind:
            raise CodecError("kind", "kind %d among kind %d" % (entry.kind, kind))
    return Entries(boot, firmware, model, entries)


def encode_ack(boot: int, seq: int) -> bytes:
    """Plaintext of direction ACK: every entry up to `seq` of that boot is durable in this gateway."""
    return struct.pack("<BII", ACK_VERSION, boot, seq)


def decode_ack(data: bytes) -> Ack:
    """The acknowledgement; CodecError `truncated`, `trailing` or `version`."""
    if data and data[0] != ACK_VERSION:
        raise CodecError("version", "ack version %d" % data[0])
    _exactly(9, data, "ack")
    return Ack(*struct.unpack("<II", data[1:]))


def encode_resend(boot: int, first: int, last: int) -> bytes:
    """Plaintext of direction CONTROL: send these entries (again)."""
    return struct.pack("<BIII", RESEND, boot, first, last)


def decode_control(data: bytes) -> Resend:
    """The request; CodecError `truncated`, `trailing`, `kind` or `range`."""
    if data and data[0] != RESEND:
        raise CodecError("kind", "no control %d" % data[0])
    _exactly(13, data, "RESEND")
    resend = Resend(*struct.unpack("<III", data[1:]))
    if resend.first > resend.last:
        raise CodecError("range", "RESEND %d to %d" % (resend.first, resend.last))
    return resend


def encode_status(tick_ms: int, battery_pct: int, overwritten: int, holdings: list) -> bytes:  # type: ignore[type-arg]
    """Plaintext of direction STATUS.

    Args:
        tick_ms: The wearable's tick now.
        battery_pct: 0 to 100, 127 unknown.
        overwritten: Entries the journal has lost to its bound.
        holdings: `Holding`s, oldest boot first, the current boot last. When more than a GATT value can hold, the
            oldest are named and the current one; the others follow once those are acknowledged.
    """
    if len(holdings) > STATUS_HOLDINGS:
        holdings = list(holdings[: STATUS_HOLDINGS - 1]) + [holdings[-1]]
    tick = tick_ms & 0xFFFFFFFFFFFF
    head = struct.pack(
        "<BIHBIB",
        STATUS_VERSION,
        tick & 0xFFFFFFFF,
        tick >> 32,
        battery_pct,
        min(overwritten, 0xFFFFFFFF),
        len(holdings),
    )
    return head + b"".join([struct.pack("<III", held.boot, held.first, held.next) for held in holdings])


def decode_status(data: bytes) -> Status:
    """The snapshot; CodecError `truncated`, `trailing`, `version` or `range`."""
    if data and data[0] != STATUS_VERSION:
        raise CodecError("version", "status version %d" % data[0])
    if len(data) < 13:
        raise CodecError("truncated", "status of %d bytes" % len(data))
    _, tick_low, tick_high, battery_pct, overwritten, count = struct.unpack_from("<BIHBIB", data, 0)
    if count == 0:
        raise CodecError("range", "a status without the current boot")
    _exactly(13 + 12 * count, data, "status")
    holdings = [Holding(*struct.unpack_from("<III", data, 13 + 12 * at)) for at in range(count)]
    for held in holdings:
        if held.first > held.next:
            raise CodecError("range", "boot %d holds %d to %d" % (held.boot, held.first, held.next))
    return Status(tick_low | tick_high << 32, battery_pct, overwritten, holdings)
