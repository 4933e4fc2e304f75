"""Sealed frames and what stands in them: the bytes of docs/wire.md, and what is refused."""

from binascii import hexlify

from zenmoon_edge.core import frame
from zenmoon_edge.core.frame import (
    ACK,
    CONTROL,
    OVERHEAD,
    OVERWRITTEN,
    RELEASED,
    STATUS,
    STATUS_HOLDINGS,
    TELEMETRY,
    Ack,
    Done,
    Entries,
    FrameError,
    Gone,
    Holding,
    Opener,
    Resend,
    Status,
    seal,
)
from zenmoon_edge.core.record import (
    BODY_SIZE,
    EVENT,
    KIND_NAMES,
    RECORD,
    CodecError,
    Entry,
    Event,
    Record,
    pack_body,
)

KEY = bytes(range(32))
BOOT = 3735928559
FIRMWARE = 0x9F3C01AA
MODEL = 0x5B7712E0


def events(*seqs):
    return [Entry(EVENT, seq, seq * 4000, pack_body(EVENT, Event(3, seq))) for seq in seqs]


def records(count):
    body = pack_body(RECORD, Record(169, 38, 12, 241, 3318, 31, 107, 18, 63, 81))
    return [Entry(RECORD, seq, seq * 4000, body) for seq in range(count)]


def refusal(function, *arguments):
    """The reason a call is refused for, None when it is not."""
    try:
        function(*arguments)
    except (CodecError, FrameError) as error:
        return error.reason
    return None


def test_a_frame_has_the_bytes_of_the_wire():
    sealed = seal(KEY, 7, ACK, BOOT, 258, frame.encode_ack(BOOT, 41))
    assert hexlify(sealed[:10]) == b"0107efbeadde02010000"
    assert len(sealed) == 9 + OVERHEAD == 35
    assert hexlify(sealed[10:]) == hexlify(
        frame.seal_bytes(KEY, b"\x01\0\0\0\xef\xbe\xad\xde\x02\x01\0\0", sealed[:10], b"\x01\xef\xbe\xad\xde\x29\0\0\0")
    )


def test_an_opened_frame_says_what_was_sealed():
    for text in (b"", b"x", bytes(200)):
        opened = Opener(KEY, 7, CONTROL).open(seal(KEY, 7, CONTROL, BOOT, 0, text))
        assert (opened.boot, opened.counter, opened.plaintext) == (BOOT, 0, text)


def test_a_bytearray_or_memoryview_can_be_opened():
    sealed = seal(KEY, 7, CONTROL, BOOT, 0, b"text")
    assert Opener(KEY, 7, CONTROL).open(bytearray(sealed)).plaintext == b"text"
    assert Opener(KEY, 7, CONTROL).open(memoryview(sealed)).plaintext == b"text"


def test_a_truncated_frame_is_refused_at_every_length():
    sealed = seal(KEY, 7, TELEMETRY, BOOT, 0, b"text")
    opener = Opener(KEY, 7, TELEMETRY)
    for size in range(len(sealed)):
        assert refusal(opener.open, sealed[:size]) == ("truncated" if size < OVERHEAD else "forged"), size
    assert opener.refused == len(sealed)
    assert opener.open(sealed).plaintext == b"text"


def test_a_wrong_key_is_refused():
    assert refusal(Opener(bytes(32), 7, TELEMETRY).open, seal(KEY, 7, TELEMETRY, BOOT, 0, b"text")) == "forged"


def test_a_frame_for_another_key_id_is_refused():
    assert refusal(Opener(KEY, 8, TELEMETRY).open, seal(KEY, 7, TELEMETRY, BOOT, 0, b"text")) == "key_id"


def test_an_unknown_version_is_refused():
    sealed = seal(KEY, 7, TELEMETRY, BOOT, 0, b"text")
    assert refusal(Opener(KEY, 7, TELEMETRY).open, b"\x02" + sealed[1:]) == "version"


def test_a_frame_of_another_direction_is_refused():
    # An acknowledgement must never be taken for a control, nor a wearable's own frame for its gateway's.
    sealed = seal(KEY, 7, ACK, BOOT, 0, b"text")
    for direction in (TELEMETRY, CONTROL, frame.UPDATE, STATUS):
        assert refusal(Opener(KEY, 7, direction).open, sealed) == "forged"


def test_a_change_of_any_byte_is_refused():
    sealed = seal(KEY, 7, TELEMETRY, BOOT, 5, b"text")
    for at in range(len(sealed)):
        opener = Opener(KEY, 7, TELEMETRY)
        changed = sealed[:at] + bytes((sealed[at] ^ 0x80,)) + sealed[at + 1 :]
        assert refusal(opener.open, changed) in ("version", "key_id", "forged")
        assert (opener.highest, opener.refused) == ({}, 1)


def test_a_replayed_frame_is_refused():
    opener = Opener(KEY, 7, TELEMETRY)
    frames = [seal(KEY, 7, TELEMETRY, BOOT, counter, b"text") for counter in range(3)]
    opener.open(frames[0])
    opener.open(frames[2])
    for old in frames:
        assert refusal(opener.open, old) == "replayed"
    assert opener.refused == 3
    assert opener.highest == {BOOT: 2}


def test_a_replayed_frame_is_refused_after_a_restart_that_kept_the_counters():
    opener = Opener(KEY, 7, TELEMETRY)
    sealed = seal(KEY, 7, TELEMETRY, BOOT, 9, b"text")
    opener.open(sealed)
    restarted = Opener(KEY, 7, TELEMETRY, dict(opener.highest))
    assert refusal(restarted.open, sealed) == "replayed"
    assert restarted.open(seal(KEY, 7, TELEMETRY, BOOT, 10, b"next")).plaintext == b"next"


def test_each_boot_counts_for_itself():
    opener = Opener(KEY, 7, TELEMETRY)
    opener.open(seal(KEY, 7, TELEMETRY, BOOT, 100, b"old boot"))
    assert opener.open(seal(KEY, 7, TELEMETRY, 1, 0, b"new boot")).plaintext == b"new boot"
    assert opener.highest == {BOOT: 100, 1: 0}


def test_a_wearable_refuses_frames_made_for_its_earlier_boots():
    opener = Opener(KEY, 7, ACK, None, BOOT)
    assert refusal(opener.open, seal(KEY, 7, ACK, BOOT - 1, 500, b"text")) == "replayed"
    assert opener.open(seal(KEY, 7, ACK, BOOT, 0, b"text")).plaintext == b"text"


def test_a_forged_frame_with_a_high_counter_does_not_shut_the_door():
    opener = Opener(KEY, 7, TELEMETRY)
    assert refusal(opener.open, seal(bytes(32), 7, TELEMETRY, BOOT, 0xFFFFFFFF, b"text")) == "forged"
    assert opener.open(seal(KEY, 7, TELEMETRY, BOOT, 0, b"text")).plaintext == b"text"


def test_a_status_may_be_read_twice_but_not_out_of_order():
    opener = Opener(KEY, 7, STATUS)
    first, second = [seal(KEY, 7, STATUS, BOOT, counter, b"text") for counter in (0, 1)]
    for sealed in (first, first, second, second):
        opener.open(sealed)
    assert refusal(opener.open, first) == "replayed"


def test_a_counter_is_never_used_beyond_its_bits():
    seal(KEY, 7, TELEMETRY, BOOT, 0xFFFFFFFF, b"")
    for counter in (-1, 1 << 32):
        try:
            seal(KEY, 7, TELEMETRY, BOOT, counter, b"")
        except ValueError:
            continue
        raise AssertionError(counter)


def test_entries_have_the_bytes_of_the_wire():
    one = Entry(EVENT, 41, 0x010203040506, pack_body(EVENT, Event(3, 258)))
    expected = b"04" + b"29000000" + b"060504030201" + b"aa013c9f" + b"e012775b" + b"00040000" + b"0302010000"
    assert hexlify(frame.entries_plaintext([one], FIRMWARE, MODEL)) == expected
    assert hexlify(frame.entries_plaintext([one], FIRMWARE, MODEL, BOOT)) == b"84efbeadde" + expected[2:]


def test_entries_come_back_with_their_identities():
    for boot in (None, 0, BOOT):
        for entries in (events(41), events(0, 1, 2), events(7, 9, 262), records(11)):
            data = frame.entries_plaintext(entries, FIRMWARE, MODEL, boot)
            assert frame.parse_plaintext(data) == Entries(boot, FIRMWARE, MODEL, entries)


def test_ticks_need_not_rise_with_seq():
    first, second = events(1, 2)
    turned = [Entry(EVENT, 1, second.tick_ms, first.body), Entry(EVENT, 2, first.tick_ms, second.body)]
    assert frame.parse_plaintext(frame.entries_plaintext(turned, 1, 2)).entries == turned


def test_entries_that_do_not_belong_into_one_frame_are_refused():
    assert refusal(frame.entries_plaintext, [], 1, 2) == "truncated"
    assert refusal(frame.entries_plaintext, events(1) + records(3)[2:], 1, 2) == "kind"
    assert refusal(frame.entries_plaintext, events(2, 1), 1, 2) == "order"
    assert refusal(frame.entries_plaintext, events(1, 1), 1, 2) == "order"
    assert refusal(frame.entries_plaintext, events(1, 257), 1, 2) == "range"
    far = [events(1)[0], Entry(EVENT, 2, 4000 + (1 << 20), events(2)[0].body)]
    assert refusal(frame.entries_plaintext, far, 1, 2) == "range"


def test_a_frame_is_filled_to_the_last_entry_that_fits():
    for kind in KIND_NAMES:
        for earlier in (False, True):
            for payload in (0, 20, 60, 182, 244, 512, 10000):
                count = frame.entries_per_frame(payload, kind, earlier)
                entries = [Entry(kind, seq, 0, bytes(BODY_SIZE[kind])) for seq in range(count + 1)]
                boot = BOOT if earlier else None
                if count:
                    assert len(frame.entries_plaintext(entries[:-1], 1, 2, boot)) + OVERHEAD <= payload
                if count < 256:
                    assert len(frame.entries_plaintext(entries, 1, 2, boot)) + OVERHEAD > payload
    assert frame.entries_per_frame(244, RECORD) == 11


def test_gone_and_done_have_the_bytes_of_the_wire():
    gone = frame.gone_plaintext(BOOT, 1, 258, RELEASED)
    assert hexlify(gone) == b"10efbeadde010000000201000002"
    assert frame.parse_plaintext(gone) == Gone(BOOT, 1, 258, RELEASED)
    done = frame.done_plaintext(BOOT, 1, 258)
    assert hexlify(done) == b"11efbeadde0100000002010000"
    assert frame.parse_plaintext(done) == Done(BOOT, 1, 258)


def test_a_plaintext_cut_anywhere_is_refused():
    plaintexts = [
        frame.entries_plaintext(events(1), 1, 2),
        frame.entries_plaintext(events(1), 1, 2, BOOT),
        frame.gone_plaintext(BOOT, 1, 2, OVERWRITTEN),
        frame.done_plaintext(BOOT, 1, 2),
    ]
    for data in plaintexts:
        for size in range(len(data)):
            assert refusal(frame.parse_plaintext, data[:size]) == "truncated", (data[0], size)


def test_a_plaintext_of_a_wrong_kind_is_refused():
    data = frame.entries_plaintext(events(1), 1, 2)
    for kind in (0, 6, 15, 18, 127, 128, 134, 144, 255):
        assert refusal(frame.parse_plaintext, bytes((kind,)) + data[1:]) == "kind", kind
    # The frame says record, the entry says event.
    assert refusal(frame.parse_plaintext, bytes((RECORD,)) + data[1:]) == "kind"


def test_bytes_after_the_end_are_refused():
    assert refusal(frame.parse_plaintext, frame.gone_plaintext(BOOT, 1, 2, OVERWRITTEN) + b"\0") == "trailing"
    assert refusal(frame.parse_plaintext, frame.done_plaintext(BOOT, 1, 2) + b"\0") == "trailing"
    assert refusal(frame.decode_ack, frame.encode_ack(BOOT, 1) + b"\0") == "trailing"
    assert refusal(frame.decode_control, frame.encode_resend(BOOT, 1, 2) + b"\0") == "trailing"
    assert refusal(frame.decode_status, frame.encode_status(1, 2, 3, [Holding(1, 2, 3)]) + b"\0") == "trailing"


def test_ranges_that_end_before_they_begin_are_refused():
    assert refusal(frame.parse_plaintext, frame.gone_plaintext(BOOT, 3, 2, OVERWRITTEN)) == "range"
    assert refusal(frame.parse_plaintext, frame.gone_plaintext(BOOT, 1, 2, 3)) == "range"
    assert refusal(frame.parse_plaintext, frame.done_plaintext(BOOT, 3, 2)) == "range"
    assert refusal(frame.decode_control, frame.encode_resend(BOOT, 3, 2)) == "range"
    assert refusal(frame.decode_status, frame.encode_status(1, 2, 3, [Holding(1, 3, 2)])) == "range"


def test_ack_and_resend_have_the_bytes_of_the_wire():
    assert hexlify(frame.encode_ack(BOOT, 258)) == b"01efbeadde02010000"
    assert frame.decode_ack(frame.encode_ack(BOOT, 258)) == Ack(BOOT, 258)
    assert hexlify(frame.encode_resend(BOOT, 1, 258)) == b"01efbeadde0100000002010000"
    assert frame.decode_control(frame.encode_resend(BOOT, 1, 258)) == Resend(BOOT, 1, 258)


def test_acks_controls_and_statuses_of_another_layout_are_refused():
    assert refusal(frame.decode_ack, b"\x02" + frame.encode_ack(BOOT, 1)[1:]) == "version"
    assert refusal(frame.decode_control, b"\x02" + frame.encode_resend(BOOT, 1, 2)[1:]) == "kind"
    assert refusal(frame.decode_status, b"\x02" + frame.encode_status(1, 2, 3, [Holding(1, 2, 3)])[1:]) == "version"


def test_acks_controls_and_statuses_cut_anywhere_are_refused():
    cases = (
        (frame.decode_ack, frame.encode_ack(BOOT, 1)),
        (frame.decode_control, frame.encode_resend(BOOT, 1, 2)),
        (frame.decode_status, frame.encode_status(1, 2, 3, [Holding(1, 2, 3), Holding(4, 5, 6)])),
    )
    for decode, data in cases:
        for size in range(len(data)):
            assert refusal(decode, data[:size]) == "truncated"


def test_a_status_has_the_bytes_of_the_wire():
    holdings = [Holding(7, 3, 9), Holding(BOOT, 0, 258)]
    data = frame.encode_status(0x010203040506, 81, 258, holdings)
    head = b"01" + b"060504030201" + b"51" + b"02010000" + b"02"
    assert hexlify(data) == head + b"070000000300000009000000" + b"efbeadde0000000002010000"
    assert frame.decode_status(data) == Status(0x010203040506, 81, 258, holdings)


def test_a_status_without_the_current_boot_is_refused():
    assert refusal(frame.decode_status, frame.encode_status(1, 2, 3, [])) == "range"


def test_a_status_always_fits_into_a_gatt_value():
    holdings = [Holding(boot, 0, 1) for boot in range(STATUS_HOLDINGS + 20)]
    data = frame.encode_status(1, 2, 3, holdings)
    assert len(data) + OVERHEAD <= 512
    named = frame.decode_status(data).holdings
    assert named == holdings[: STATUS_HOLDINGS - 1] + holdings[-1:]
