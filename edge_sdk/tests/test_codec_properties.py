"""Any bytes are refused with a reason or read; what is read can be written back. No other exception ever leaves the codec."""

import hypothesis.strategies as st
import pytest
from hypothesis import example, given
from zenmoon_edge.core import chacha20poly1305, frame
from zenmoon_edge.core.page import HEADER_SIZE, PageHeader, decode_header, decode_page_entries, encode_header, encode_page_entry
from zenmoon_edge.core.record import (
    BODY_SIZE,
    CodecError,
    Entry,
    decode_entries,
    encode_entry,
    pack_body,
    unpack_body,
)

U8, U32, U48 = (st.integers(0, 2**bits - 1) for bits in (8, 32, 48))
KINDS = st.sampled_from(sorted(BODY_SIZE))
REASONS = {"truncated", "trailing", "kind", "order", "range", "version"}
INTEGERS = st.integers(-(2**70), 2**70)
ABSENT = st.none() | INTEGERS
VALUES = {
    1: st.tuples(*[ABSENT] * 6, *[INTEGERS] * 4),
    2: st.tuples(*[INTEGERS] * 3),
    3: st.tuples(*[INTEGERS] * 3),
    4: st.tuples(*[INTEGERS] * 2),
    5: st.tuples(*[INTEGERS] * 4),
}


@st.composite
def frames_entries(draw: st.DrawFn) -> list[Entry]:
    """Entries of one kind that belong into one frame."""
    kind = draw(KINDS)
    seq_base, tick_base = draw(st.integers(0, 2**32 - 256)), draw(st.integers(0, 2**48 - 2**20))
    seqs = [0, *sorted(draw(st.sets(st.integers(1, 255), max_size=20)))]
    size = BODY_SIZE[kind]
    ticks = st.integers(0, 2**20 - 1)
    return [Entry(kind, seq_base + seq, tick_base + draw(ticks), draw(st.binary(min_size=size, max_size=size))) for seq in seqs]


def reason_or_value(function, *arguments):
    """The function's value, or None after a refusal with a known reason and a sentence."""
    try:
        return function(*arguments)
    except CodecError as error:
        refusal = error
    assert refusal.reason in REASONS
    assert refusal.detail
    return None


@given(KINDS.flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind])))
def test_packing_again_what_was_unpacked_changes_nothing(case):
    kind, values = case
    body = pack_body(kind, values)
    assert len(body) == BODY_SIZE[kind]
    assert pack_body(kind, unpack_body(kind, body)) == body


@given(KINDS, st.binary(max_size=20))
def test_any_bytes_as_a_body_are_read_or_refused(kind, body):
    values = reason_or_value(unpack_body, kind, body)
    assert (values is None) == (len(body) != BODY_SIZE[kind])


@given(st.binary(max_size=300), U32, U48)
def test_any_bytes_as_entries_are_read_or_refused(data, seq_base, tick_base):
    entries = reason_or_value(decode_entries, data, seq_base, tick_base)
    if entries is not None:
        assert b"".join(encode_entry(entry, seq_base, tick_base) for entry in entries) == data


@given(frames_entries(), U32, U32, st.none() | U32)
def test_entries_survive_a_frame(entries, firmware, model, boot):
    assert frame.parse_plaintext(frame.entries_plaintext(entries, firmware, model, boot)) == (boot, firmware, model, entries)


@given(st.binary(max_size=300))
@example(b"\x01")
@example(b"\x81" + bytes(21))
@example(bytes(19))
def test_any_bytes_as_a_plaintext_are_read_or_refused(data):
    reason_or_value(frame.parse_plaintext, data)


@given(frames_entries(), st.data())
def test_a_plaintext_with_a_changed_byte_is_read_or_refused(entries, data):
    plaintext = bytearray(frame.entries_plaintext(entries, 1, 2))
    plaintext[data.draw(st.integers(0, len(plaintext) - 1))] = data.draw(U8)
    reason_or_value(frame.parse_plaintext, bytes(plaintext))


@pytest.mark.parametrize("decode", [frame.decode_ack, frame.decode_control, frame.decode_status])
@given(data=st.binary(max_size=80) | st.binary(max_size=80).map(lambda data: b"\x01" + data))
def test_any_bytes_as_ack_control_or_status_are_read_or_refused(decode, data):
    reason_or_value(decode, data)


@given(U48, U8, U32, st.lists(st.tuples(U32, U32, U32).map(lambda t: (t[0], *sorted(t[1:]))), min_size=1, max_size=39))
def test_a_status_comes_back(tick_ms, battery, overwritten, holdings):
    held = [frame.Holding(*one) for one in holdings]
    data = frame.encode_status(tick_ms, battery, overwritten, held)
    assert frame.decode_status(data) == (tick_ms, battery, overwritten, held)


@given(st.binary(max_size=300))
def test_any_bytes_as_a_frame_are_refused(data):
    opener = frame.Opener(bytes(32), 1, frame.TELEMETRY)
    with pytest.raises(frame.FrameError) as refusal:
        opener.open(data)
    assert refusal.value.reason in {"truncated", "version", "key_id", "forged"}
    assert (opener.refused, opener.highest) == (1, {})


@given(st.binary(max_size=200), U32, U48, U32, U32, U32)
def test_any_bytes_in_a_page_end_it_without_an_error(data, seq_base, tick_base, boot, firmware, model):
    header = PageHeader(boot, seq_base, tick_base, firmware, model)
    page = encode_header(header) + data
    assert decode_header(page) == header
    entries = decode_page_entries(page, header)
    assert page.startswith(encode_header(header) + b"".join(encode_page_entry(entry, header) for entry in entries))
    reason_or_value(decode_header, data)
    if len(data) >= HEADER_SIZE:
        decode_page_entries(data, header)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=12, max_size=12), st.binary(max_size=40), st.binary(max_size=300))
def test_the_portable_cipher_equals_the_reference(key, nonce, aad, text):
    aead = pytest.importorskip("cryptography.hazmat.primitives.ciphers.aead", reason="cryptography is not installed")
    sealed = chacha20poly1305.seal_bytes(key, nonce, aad, text)
    assert sealed == aead.ChaCha20Poly1305(key).encrypt(nonce, text, aad)
    assert chacha20poly1305.open_bytes(key, nonce, aad, sealed) == text


def test_without_cryptography_the_portable_cipher_is_used(monkeypatch):
    import importlib
    import sys

    from zenmoon_edge.core import sealed

    for name in list(sys.modules):
        if name.split(".")[0] == "cryptography":
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    spec = importlib.util.spec_from_file_location("sealed_alone", sealed.__file__)
    alone = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(alone)
    assert alone.seal_bytes is chacha20poly1305.seal_bytes
    assert alone.open_bytes is chacha20poly1305.open_bytes
