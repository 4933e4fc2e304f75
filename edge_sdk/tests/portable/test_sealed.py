"""ChaCha20-Poly1305 against the vectors of RFC 8439, by the portable code and by whatever this interpreter prefers."""

from binascii import unhexlify

from zenmoon_edge.core import chacha20poly1305, sealed

ENGINES = (chacha20poly1305, sealed)

SUNSCREEN = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
# RFC 8439, 2.8.2: key, nonce, associated data, plaintext, ciphertext and tag.
AEAD = (
    unhexlify("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
    unhexlify("070000004041424344454647"),
    unhexlify("50515253c0c1c2c3c4c5c6c7"),
    SUNSCREEN,
    unhexlify(
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
        "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
        "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
        "3ff4def08e4b7a9de576d26586cec64b6116"
        "1ae10b594f09e26a7e902ecbd0600691"
    ),
)
# RFC 8439, 2.3.2: the block with counter 1, which is the first a text is mixed with.
BLOCK_KEY = bytes(range(32))
BLOCK_NONCE = unhexlify("000000090000004a00000000")
BLOCK = unhexlify(
    "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
    "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
)
# RFC 8439, 2.5.2 and appendix A.3, 7 to 11: one-time key, text, tag. The latter sit on the edges of 2**130 − 5.
POLY = (
    (
        "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b",
        "43727970746f6772617068696320466f72756d2052657365617263682047726f7570",
        "a8061dc1305136c6c22b8baf0c0127a9",
    ),
    ("02" + "00" * 31, "ff" * 16, "03" + "00" * 15),
    ("02" + "00" * 15 + "ff" * 16, "02" + "00" * 15, "03" + "00" * 15),
    ("01" + "00" * 31, "ff" * 16 + "f0" + "ff" * 15 + "11" + "00" * 15, "05" + "00" * 15),
    ("01" + "00" * 31, "ff" * 16 + "fb" + "fe" * 15 + "01" * 16, "00" * 16),
    ("02" + "00" * 31, "fd" + "ff" * 15, "fa" + "ff" * 15),
)


def _refused(engine, key, nonce, aad, data):
    try:
        engine.open_bytes(key, nonce, aad, data)
    except ValueError:
        return True
    return False


def test_the_key_stream_is_that_of_the_rfc():
    for engine in ENGINES:
        assert engine.seal_bytes(BLOCK_KEY, BLOCK_NONCE, b"", bytes(64))[:64] == BLOCK


def test_poly1305_tags_are_those_of_the_rfc():
    for key, text, tag in POLY:
        assert chacha20poly1305.poly1305(unhexlify(key), unhexlify(text)) == unhexlify(tag), text


def test_sealing_gives_the_bytes_of_the_rfc():
    key, nonce, aad, plaintext, expected = AEAD
    for engine in ENGINES:
        assert engine.seal_bytes(key, nonce, aad, plaintext) == expected


def test_opening_gives_the_plaintext_back():
    key, nonce, aad, plaintext, data = AEAD
    for engine in ENGINES:
        assert engine.open_bytes(key, nonce, aad, data) == plaintext


def test_texts_of_every_length_around_a_block_come_back():
    key, nonce, aad, _, _ = AEAD
    for size in (0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 244):
        text = bytes([at & 0xFF for at in range(size)])
        data = chacha20poly1305.seal_bytes(key, nonce, aad, text)
        assert data == sealed.seal_bytes(key, nonce, aad, text)
        assert chacha20poly1305.open_bytes(key, nonce, aad, data) == text


def test_a_change_of_any_byte_is_refused():
    key, nonce, aad, _, data = AEAD
    for engine in ENGINES:
        for at in range(len(data)):
            changed = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
            assert _refused(engine, key, nonce, aad, changed), at


def test_other_associated_data_nonce_or_key_are_refused():
    key, nonce, aad, _, data = AEAD
    for engine in ENGINES:
        assert _refused(engine, key, nonce, aad + b"\0", data)
        assert _refused(engine, key, bytes(12), aad, data)
        assert _refused(engine, bytes(32), nonce, aad, data)


def test_bytes_shorter_than_a_tag_are_refused():
    key, nonce, aad, _, data = AEAD
    for engine in ENGINES:
        for size in range(16):
            assert _refused(engine, key, nonce, aad, data[:size])


def test_a_key_or_nonce_of_another_length_is_refused():
    key, nonce, aad, plaintext, data = AEAD
    for engine in ENGINES:
        assert _refused(engine, key[:16], nonce, aad, data)
        assert _refused(engine, key, nonce + b"\0", aad, data)
        try:
            engine.seal_bytes(key, nonce[:8], aad, plaintext)
            raise AssertionError("sealed with a short nonce")
        except ValueError:
            pass
