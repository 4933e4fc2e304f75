"""Entries: the bytes of docs/wire.md, and what is refused."""

# MicroPython has no star in a tuple.

from binascii import hexlify

from zenmoon_edge.core.crc import crc16
from zenmoon_edge.core.record import (
    ANCHOR,
    BODY_SIZE,
    EVENT,
    HEALTH,
    MOTION30,
    RECORD,
    Anchor,
    CodecError,
    Entry,
    Event,
    Health,
    Motion30,
    Record,
    decode_entries,
    encode_entry,
    pack_body,
    payload_hash,
    unpack_body,
)

USUAL = Record(169, 38, 12, 241, 3318, 31, 107, 18, 63, 81)
NOTHING = Record(None, None, None, None, None, None, 0, 0, 0, 127)
ALL = (
    (RECORD, USUAL),
    (RECORD, NOTHING),
    (RECORD, Record(510, 1022, -4095, 65534, -32767, 65534, 255, 255, 255, 228)),
    (RECORD, Record(0, 0, 4095, 0, 32767, 0, 0, 0, 0, 0)),
    (MOTION30, Motion30(65535, 180, 63)),
    (ANCHOR, Anchor(1795197788000, 1, 250)),
    (EVENT, Event(4, 0xFFFFFFFF)),
    (HEALTH, Health(127, 7, 8, 0xDEADBEEF)),
)


def refusal(function, *arguments):
    """The reason a call is refused for, None when it is not."""
    try:
        function(*arguments)
    except CodecError as error:
        return error.reason
    return None


def test_the_checksum_is_ccitt_false():
    assert crc16(b"123456789") == 0x29B1
    assert crc16(b"") == 0xFFFF
    assert crc16(b"6789", crc16(b"12345")) == 0x29B1


def test_a_record_has_the_bytes_of_the_wire():
    # 169 | 38 << 9 | 12 << 19, then 241, 3318, 31 and four single bytes.
    assert hexlify(pack_body(RECORD, USUAL)) == b"a94c6000" + b"f100" + b"f60c" + b"1f00" + b"6b123f51"
    assert hexlify(pack_body(RECORD, NOTHING)) == b"ffff0780" + b"ffff" + b"0080" + b"ffff" + b"0000007f"


def test_an_entry_has_the_bytes_of_the_wire():
    entry = Entry(EVENT, 41, 164000, pack_body(EVENT, Event(3, 258)))
    assert encode_entry(entry, 40, 160000) == b"\x01" + bytes((0x04, 0xFA, 0x00)) + b"\x03\x02\x01\x00\x00"


def test_the_payload_hash_is_fixed():
    entry = Entry(RECORD, 41, 164000, pack_body(RECORD, USUAL))
    assert hexlify(payload_hash(entry, 0x9F3C01AA, 0x5B7712E0)) == b"7e34f112aa24c0e8"


def test_the_payload_hash_covers_all_but_utc():
    entry = Entry(RECORD, 41, 164000, pack_body(RECORD, USUAL))
    others = {
        payload_hash(entry, 1, 2),
        payload_hash(entry, 2, 2),
        payload_hash(entry, 1, 3),
        payload_hash(Entry(RECORD, 42, 164000, entry.body), 1, 2),
        payload_hash(Entry(RECORD, 41, 164001, entry.body), 1, 2),
        payload_hash(Entry(MOTION30, 41, 164000, entry.body), 1, 2),
        payload_hash(Entry(RECORD, 41, 164000, pack_body(RECORD, NOTHING)), 1, 2),
    }
    assert len(others) == 7


def test_every_kind_comes_back_as_it_was():
    for kind, values in ALL:
        body = pack_body(kind, values)
        assert len(body) == BODY_SIZE[kind]
        assert unpack_body(kind, body) == values


def test_values_outside_their_field_become_its_last_valid_value():
    high = unpack_body(RECORD, pack_body(RECORD, Record(*([1 << 40] * 9), 101)))
    assert high == Record(510, 1022, 4095, 65534, 32767, 65534, 255, 255, 255, 100)
    low = unpack_body(RECORD, pack_body(RECORD, Record(*([-(1 << 40)] * 9), 0)))
    assert low == Record(0, 0, -4095, 0, -32767, 0, 0, 0, 0, 0)
    assert unpack_body(MOTION30, pack_body(MOTION30, Motion30(70000, 181, 256))) == Motion30(65535, 180, 255)
    assert unpack_body(ANCHOR, pack_body(ANCHOR, Anchor(1 << 70, 300, -1))) == Anchor((1 << 64) - 1, 255, 0)
    assert unpack_body(EVENT, pack_body(EVENT, Event(-1, 1 << 32))) == Event(0, 0xFFFFFFFF)
    assert unpack_body(HEALTH, pack_body(HEALTH, Health(101, -1, 1 << 32, 0))) == Health(100, 0, 0xFFFFFFFF, 0)


def test_charging_and_an_unknown_battery_survive_clamping():
    for status in (127, 128 | 127, 128 | 81, 100):
        record = Record(*tuple(NOTHING)[:9], status)
        assert unpack_body(RECORD, pack_body(RECORD, record)).status == status


def test_a_wrong_kind_is_refused():
    entry = Entry(EVENT, 0, 0, pack_body(EVENT, Event(1, 0)))
    good = encode_entry(entry, 0, 0)
    for kind in (0, 6, 15):
        assert refusal(decode_entries, bytes((good[0], good[1] & 0xF0 | kind)) + good[2:], 0, 0) == "kind"
        assert refusal(pack_body, kind, (1, 2)) == "kind"
        assert refusal(unpack_body, kind, bytes(5)) == "kind"
        assert refusal(encode_entry, Entry(kind, 0, 0, b""), 0, 0) == "kind"


def test_a_wrong_number_of_values_is_refused():
    for kind, values in ALL:
        assert refusal(pack_body, kind, tuple(values)[:-1]) == "range"
        assert refusal(pack_body, kind, tuple(values) + (0,)) == "range"


def test_a_body_of_another_length_is_refused():
    for kind, values in ALL:
        body = pack_body(kind, values)
        assert refusal(unpack_body, kind, body[:-1]) == "truncated"
        assert refusal(unpack_body, kind, body + b"\0") == "trailing"
        assert refusal(encode_entry, Entry(kind, 0, 0, body[:-1]), 0, 0) == "truncated"


def test_an_entry_past_the_end_is_refused_at_every_length():
    data = b"".join([encode_entry(Entry(kind, seq, 0, pack_body(kind, values)), 0, 0) for seq, (kind, values) in enumerate(ALL)])
    ends = {0}
    for kind, _ in ALL:
        ends.add(max(ends) + 4 + BODY_SIZE[kind])
    for size in range(len(data) + 1):
        assert refusal(decode_entries, data[:size], 0, 0) == (None if size in ends else "truncated"), size


def test_entries_whose_seq_does_not_rise_are_refused():
    event = pack_body(EVENT, Event(1, 0))
    for first, second in ((5, 5), (5, 4)):
        data = encode_entry(Entry(EVENT, first, 0, event), 0, 0) + encode_entry(Entry(EVENT, second, 0, event), 0, 0)
        assert refusal(decode_entries, data, 0, 0) == "order"


def test_a_gap_in_seq_is_no_error_between_entries_of_a_frame():
    event = pack_body(EVENT, Event(1, 0))
    data = encode_entry(Entry(EVENT, 5, 0, event), 0, 0) + encode_entry(Entry(EVENT, 255, 0, event), 0, 0)
    assert [entry.seq for entry in decode_entries(data, 0, 0)] == [5, 255]


def test_deltas_reach_exactly_as_far_as_their_fields():
    event = pack_body(EVENT, Event(1, 0))
    far = Entry(EVENT, 1255, 51048575, event)
    assert decode_entries(encode_entry(far, 1000, 50000000), 1000, 50000000) == [far]
    assert refusal(encode_entry, far, 999, 50000000) == "range"
    assert refusal(encode_entry, far, 1000, 49999999) == "range"
    assert refusal(encode_entry, far, 1256, 50000000) == "range"
    assert refusal(encode_entry, far, 1000, 51048576) == "range"


def test_a_seq_or_tick_beyond_its_bits_is_refused():
    last = Entry(EVENT, 0xFFFFFFFF, (1 << 48) - 1, pack_body(EVENT, Event(1, 0)))
    data = encode_entry(last, 0xFFFFFFFE, last.tick_ms - 1)
    assert decode_entries(data, 0xFFFFFFFE, last.tick_ms - 1) == [last]
    assert refusal(decode_entries, data, 0xFFFFFFFF, 0) == "range"
    assert refusal(decode_entries, data, 0, last.tick_ms) == "range"
    assert refusal(encode_entry, Entry(EVENT, 1 << 32, 0, last.body), 1 << 32, 0) == "range"
    assert refusal(encode_entry, Entry(EVENT, 0, 1 << 48, last.body), 0, 1 << 48) == "range"
