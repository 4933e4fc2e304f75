"""Entries: what a wearable observes, as raw integers, and their bytes (docs/wire.md, "Entry").

Values are raw integers in the wire's own units; physical units appear only in `zenmoon_edge.messages`.
"""

import struct
from collections import namedtuple
from hashlib import sha256

from zenmoon_edge.core.errors import EdgeError

RECORD = 1
MOTION30 = 2
ANCHOR = 3
EVENT = 4
HEALTH = 5
KIND_NAMES = {RECORD: "record", MOTION30: "motion30", ANCHOR: "anchor", EVENT: "event", HEALTH: "health"}
BODY_SIZE = {RECORD: 14, MOTION30: 4, ANCHOR: 13, EVENT: 5, HEALTH: 13}
ENTRY_HEAD = 4

# Bits of the quality byte; 1 = good.
WORN = 1
STILL = 2
CONTACT = 4
UNSATURATED = 8
BEATS = 16
MODEL_READY = 32

# Sources of an anchor and codes of an event.
GATEWAY_CLOCK = 1
ESTIMATED = 2
BOOT = 1
WEAR_CHANGE = 2
BUTTON = 3
END = 4

BATTERY_UNKNOWN = 127
CHARGING = 128

SEQ_MAX = 0xFFFFFFFF
SEQ_SPAN = 255
TICK_MAX = (1 << 48) - 1
TICK_SPAN = (1 << 20) - 1

Entry = namedtuple("Entry", "kind seq tick_ms body")
Record = namedtuple("Record", "heart_rate rmssd phasic eda temperature motion strain anomaly quality status")
Motion30 = namedtuple("Motion30", "counts posture_deg quality")
Anchor = namedtuple("Anchor", "utc_ms source uncertainty_ms")
Event = namedtuple("Event", "code value")
Health = namedtuple("Health", "battery_pct overwritten refused crash")

_RECORD = "<IHhHBBBB"
_FORMATS = {MOTION30: "<HBB", ANCHOR: "<QBI", EVENT: "<BI", HEALTH: "<BIII"}
_TYPES = {MOTION30: Motion30, ANCHOR: Anchor, EVENT: Event, HEALTH: Health}
_LIMITS = {
    MOTION30: (0xFFFF, 180, 0xFF),
    ANCHOR: ((1 << 64) - 1, 0xFF, 0xFFFFFFFF),
    EVENT: (0xFF, 0xFFFFFFFF),
    HEALTH: (BATTERY_UNKNOWN, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
}


class CodecError(EdgeError):
    """Bytes that are no entry, page or plaintext of this wire, or values that do not fit into one.

    Reasons: `truncated` (ends too early), `trailing` (goes on too long), `kind` (unknown or not the kind expected),
    `order` (seq does not rise), `range` (a number outside its field), `version` (a layout this code does not know).
    """


def _clamp(value: int, low: int, high: int) -> int:
    return low if value < low else high if value > high else value


def _battery(percent: int) -> int:
    # 101 to 126 mean nothing: the last valid percentage is 100, and 127 keeps its meaning.
    return percent if percent == BATTERY_UNKNOWN else _clamp(percent, 0, 100)


def pack_body(kind: int, values: tuple) -> bytes:  # type: ignore[type-arg]
    """Body bytes of one entry.

    Args:
        kind: RECORD … HEALTH.
        values: The kind's namedtuple, or a plain tuple in the same order. Raw integers; in a record None means absent
            for the first six. What lies outside a field's range is clamped to its last valid value.

    Raises:
        CodecError: `kind` for an unknown kind, `range` for a wrong number of values.
    """
    if kind == RECORD:
        if len(values) != 10:
            raise CodecError("range", "a record has 10 values, not %d" % len(values))
        heart_rate, rmssd, phasic, eda, temperature, motion, strain, anomaly, quality, status = values
        packed = 511 if heart_rate is None else _clamp(heart_rate, 0, 510)
        packed |= (1023 if rmssd is None else _clamp(rmssd, 0, 1022)) << 9
        packed |= ((-4096 if phasic is None else _clamp(phasic, -4095, 4095)) & 0x1FFF) << 19
        return struct.pack(
            _RECORD,
            packed,
            65535 if eda is None else _clamp(eda, 0, 65534),
            -32768 if temperature is None else _clamp(temperature, -32767, 32767),
            65535 if motion is None else _clamp(motion, 0, 65534),
            _clamp(strain, 0, 255),
            _clamp(anomaly, 0, 255),
            _clamp(quality, 0, 255),
            _battery(status & 0x7F) | status & CHARGING,
        )
    limits = _LIMITS.get(kind)
    if limits is None:
        raise CodecError("kind", "no kind %d" % kind)
    if len(values) != len(limits):
        raise CodecError("range", "%s has %d values, not %d" % (KIND_NAMES[kind], len(limits), len(values)))
    clamped = [_clamp(value, 0, high) for value, high in zip(values, limits)]  # noqa: B905 - MicroPython's zip has no strict
    if kind == HEALTH:
        clamped[0] = _battery(clamped[0])
    return struct.pack(_FORMATS[kind], *clamped)


def unpack_body(kind: int, body: bytes) -> "Record | Motion30 | Anchor | Event | Health":
    """Raw integers of a body; None where a record's value is absent.

    Raises:
        CodecError: `kind`, `truncated`, `trailing`.
    """
    size = BODY_SIZE.get(kind)
    if size is None:
        raise CodecError("kind", "no kind %d" % kind)
    if len(body) != size:
        detail = "%s body of %d bytes, not %d" % (KIND_NAMES[kind], len(body), size)
        raise CodecError("truncated" if len(body) < size else "trailing", detail)
    if kind != RECORD:
        values: "Motion30 | Anchor | Event | Health" = _TYPES[kind](*struct.unpack(_FORMATS[kind], body))
        return values
    packed, eda, temperature, motion, strain, anomaly, quality, status = struct.unpack(_RECORD, body)
    heart_rate = packed & 0x1FF
    rmssd = packed >> 9 & 0x3FF
    phasic = (packed >> 19 ^ 0x1000) - 0x1000  # sign of 13 bits
    return Record(
        None if heart_rate == 511 else heart_rate,
        None if rmssd == 1023 else rmssd,
        None if phasic == -4096 else phasic,
        None if eda == 65535 else eda,
        None if temperature == -32768 else temperature,
        None if motion == 65535 else motion,
        strain,
        anomaly,
        quality,
        status,
    )


def encode_entry(entry: Entry, seq_base: int, tick_base: int) -> bytes:
    """Bytes of one entry, relative to the bases of its page or frame.

    Raises:
        CodecError: `kind`, `range` (seq or tick out of reach of the bases), `truncated`/`trailing` (body length).
    """
    kind, seq, tick_ms, body = entry
    size = BODY_SIZE.get(kind)
    if size is None:
        raise CodecError("kind", "no kind %d" % kind)
    if len(body) != size:
        raise CodecError("truncated" if len(body) < size else "trailing", "%s body" % KIND_NAMES[kind])
    seq_delta = seq - seq_base
    tick_delta = tick_ms - tick_base
    if not 0 <= seq_delta <= SEQ_SPAN or not 0 <= seq <= SEQ_MAX:
        raise CodecError("range", "seq %d from base %d" % (seq, seq_base))
    if not 0 <= tick_delta <= TICK_SPAN or not 0 <= tick_ms <= TICK_MAX:
        raise CodecError("range", "tick %d from base %d" % (tick_ms, tick_base))
    return struct.pack("<I", seq_delta | kind << 8 | tick_delta << 12) + bytes(body)


def decode_entry(data: bytes, at: int, seq_base: int, tick_base: int) -> "tuple[Entry, int]":
    """The entry that starts at `data[at]` and the offset after it.

    Raises:
        CodecError: `truncated`, `kind`, `range`.
    """
    if at + ENTRY_HEAD > len(data):
        raise CodecError("truncated", "entry head at %d of %d bytes" % (at, len(data)))
    (head,) = struct.unpack_from("<I", data, at)
    kind = head >> 8 & 15
    size = BODY_SIZE.get(kind)
    if size is None:
        raise CodecError("kind", "no kind %d" % kind)
    end = at + ENTRY_HEAD + size
    if end > len(data):
        raise CodecError("truncated", "%s at %d needs %d bytes of %d" % (KIND_NAMES[kind], at, end, len(data)))
    seq = seq_base + (head & 0xFF)
    tick_ms = tick_base + (head >> 12)
    if seq > SEQ_MAX or tick_ms > TICK_MAX:
        raise CodecError("range", "seq %d, tick %d" % (seq, tick_ms))
    return Entry(kind, seq, tick_ms, bytes(data[at + ENTRY_HEAD : end])), end


def decode_entries(data: bytes, seq_base: int, tick_base: int) -> "list[Entry]":
    """Entries laid end to end, as in a frame; seq must rise, holes are allowed (the kinds of a boot share one seq).

    Raises:
        CodecError: `truncated`, `kind`, `range`, `order`.
    """
    entries: "list[Entry]" = []
    at = 0
    last = -1
    while at < len(data):
        entry, at = decode_entry(data, at, seq_base, tick_base)
        if entry.seq <= last:
            raise CodecError("order", "seq %d after %d" % (entry.seq, last))
        last = entry.seq
        entries.append(entry)
    return entries


def payload_hash(entry: Entry, firmware: int, model: int) -> bytes:
    """The 8 bytes that say whether two entries of one key are the same observation: no UTC in them."""
    head = struct.pack("<BIQII", entry.kind, entry.seq, entry.tick_ms, firmware, model)
    return sha256(head + entry.body).digest()[:8]
