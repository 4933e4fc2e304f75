"""ChaCha20-Poly1305 (RFC 8439) in Python alone: what a wearable without a native module seals with.

The ChaCha block works on local variables, since those are MicroPython's cheapest; Poly1305 works on big integers, which
beat 26-bit limbs there. Neither hides its time from somebody who can measure this processor; the tag is compared in
constant time.
"""

import struct

_PRIME = (1 << 130) - 5
_CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
_TOP = 1 << 128


def _block(k: "tuple[int, ...]", counter: int, n: "tuple[int, ...]") -> bytes:  # noqa: PLR0915 - unrolled for speed
    """64 bytes of key stream: key of 8 words, block counter, nonce of 3 words (RFC 8439, 2.3)."""
    m = 0xFFFFFFFF
    x0 = 0x61707865
    x1 = 0x3320646E
    x2 = 0x79622D32
    x3 = 0x6B206574
    x4, x5, x6, x7, x8, x9, xa, xb = k
    xc = counter
    xd, xe, xf = n
    for _ in range(10):
        x0 = x0 + x4 & m
        xc ^= x0
        xc = xc << 16 & m | xc >> 16
        x8 = x8 + xc & m
        x4 ^= x8
        x4 = x4 << 12 & m | x4 >> 20
        x0 = x0 + x4 & m
        xc ^= x0
        xc = xc << 8 & m | xc >> 24
        x8 = x8 + xc & m
        x4 ^= x8
        x4 = x4 << 7 & m | x4 >> 25
        x1 = x1 + x5 & m
        xd ^= x1
        xd = xd << 16 & m | xd >> 16
        x9 = x9 + xd & m
        x5 ^= x9
        x5 = x5 << 12 & m | x5 >> 20
        x1 = x1 + x5 & m
        xd ^= x1
        xd = xd << 8 & m | xd >> 24
        x9 = x9 + xd & m
        x5 ^= x9
        x5 = x5 << 7 & m | x5 >> 25
        x2 = x2 + x6 & m
        xe ^= x2
        xe = xe << 16 & m | xe >> 16
        xa = xa + xe & m
        x6 ^= xa
        x6 = x6 << 12 & m | x6 >> 20
        x2 = x2 + x6 & m
        xe ^= x2
        xe = xe << 8 & m | xe >> 24
        xa = xa + xe & m
        x6 ^= xa
        x6 = x6 << 7 & m | x6 >> 25
        x3 = x3 + x7 & m
        xf ^= x3
        xf = xf << 16 & m | xf >> 16
        xb = xb + xf & m
        x7 ^= xb
        x7 = x7 << 12 & m | x7 >> 20
        x3 = x3 + x7 & m
        xf ^= x3
        xf = xf << 8 & m | xf >> 24
        xb = xb + xf & m
        x7 ^= xb
        x7 = x7 << 7 & m | x7 >> 25
        x0 = x0 + x5 & m
        xf ^= x0
        xf = xf << 16 & m | xf >> 16
        xa = xa + xf & m
        x5 ^= xa
        x5 = x5 << 12 & m | x5 >> 20
        x0 = x0 + x5 & m
        xf ^= x0
        xf = xf << 8 & m | xf >> 24
        xa = xa + xf & m
        x5 ^= xa
        x5 = x5 << 7 & m | x5 >> 25
        x1 = x1 + x6 & m
        xc ^= x1
        xc = xc << 16 & m | xc >> 16
        xb = xb + xc & m
        x6 ^= xb
        x6 = x6 << 12 & m | x6 >> 20
        x1 = x1 + x6 & m
        xc ^= x1
        xc = xc << 8 & m | xc >> 24
        xb = xb + xc & m
        x6 ^= xb
        x6 = x6 << 7 & m | x6 >> 25
        x2 = x2 + x7 & m
        xd ^= x2
        xd = xd << 16 & m | xd >> 16
        x8 = x8 + xd & m
        x7 ^= x8
        x7 = x7 << 12 & m | x7 >> 20
        x2 = x2 + x7 & m
        xd ^= x2
        xd = xd << 8 & m | xd >> 24
        x8 = x8 + xd & m
        x7 ^= x8
        x7 = x7 << 7 & m | x7 >> 25
        x3 = x3 + x4 & m
        xe ^= x3
        xe = xe << 16 & m | xe >> 16
        x9 = x9 + xe & m
        x4 ^= x9
        x4 = x4 << 12 & m | x4 >> 20
        x3 = x3 + x4 & m
        xe ^= x3
        xe = xe << 8 & m | xe >> 24
        x9 = x9 + xe & m
        x4 ^= x9
        x4 = x4 << 7 & m | x4 >> 25
    return struct.pack(
        "<16I",
        x0 + 0x61707865 & m,
        x1 + 0x3320646E & m,
        x2 + 0x79622D32 & m,
        x3 + 0x6B206574 & m,
        x4 + k[0] & m,
        x5 + k[1] & m,
        x6 + k[2] & m,
        x7 + k[3] & m,
        x8 + k[4] & m,
        x9 + k[5] & m,
        xa + k[6] & m,
        xb + k[7] & m,
        xc + counter & m,
        xd + n[0] & m,
        xe + n[1] & m,
        xf + n[2] & m,
    )


def _words(key: bytes, nonce: bytes) -> "tuple[tuple[int, ...], tuple[int, ...]]":
    if len(key) != 32 or len(nonce) != 12:
        raise ValueError("a key has 32 bytes and a nonce 12, not %d and %d" % (len(key), len(nonce)))
    return struct.unpack("<8I", key), struct.unpack("<3I", nonce)


def _apply_stream(k: "tuple[int, ...]", n: "tuple[int, ...]", data: bytes) -> bytes:
    """`data` xor the key stream from block 1 on; whole blocks as big integers, one xor each."""
    parts = []
    for at in range(0, len(data), 64):
        piece = data[at : at + 64]
        stream = _block(k, 1 + at // 64, n)[: len(piece)]
        mixed = int.from_bytes(piece, "little") ^ int.from_bytes(stream, "little")
        parts.append(mixed.to_bytes(len(piece), "little"))
    return b"".join(parts)


def poly1305(one_time_key: bytes, text: bytes) -> bytes:
    """The 16-byte tag of `text` under a key of 32 bytes that is never used again (RFC 8439, 2.5)."""
    r = int.from_bytes(one_time_key[:16], "little") & _CLAMP
    whole = len(text) & -16
    total = 0
    for at in range(0, whole, 16):
        total = (total + int.from_bytes(text[at : at + 16], "little") + _TOP) * r % _PRIME
    if whole < len(text):
        total = (total + int.from_bytes(text[whole:] + b"\1", "little")) * r % _PRIME
    total += int.from_bytes(one_time_key[16:], "little")
    return (total & (_TOP - 1)).to_bytes(16, "little")


def _tag(one_time_key: bytes, aad: bytes, ciphertext: bytes) -> bytes:
    """Tag over both texts, each padded to 16 bytes, and their lengths (RFC 8439, 2.8)."""
    aad_pad = bytes(-len(aad) % 16)
    pad = bytes(-len(ciphertext) % 16)
    lengths = struct.pack("<QQ", len(aad), len(ciphertext))
    return poly1305(one_time_key, b"".join((aad, aad_pad, ciphertext, pad, lengths)))


def _equal(a: bytes, b: bytes) -> bool:
    # Of equal length. Looks at every byte whatever it finds: the time must not say where a guessed tag goes wrong.
    difference = 0
    for x, y in zip(a, b):  # noqa: B905 - MicroPython's zip has no strict
        difference |= x ^ y
    return difference == 0


def seal_bytes(key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """Ciphertext followed by its 16-byte tag; ValueError for a key that is not 32 bytes or a nonce that is not 12."""
    k, n = _words(key, nonce)
    ciphertext = _apply_stream(k, n, plaintext)
    return ciphertext + _tag(_block(k, 0, n)[:32], aad, ciphertext)


def open_bytes(key: bytes, nonce: bytes, aad: bytes, sealed: bytes) -> bytes:
    """Plaintext of `seal_bytes`; ValueError when anything was changed. Nothing is deciphered before the tag is known good."""
    k, n = _words(key, nonce)
    if len(sealed) < 16:
        raise ValueError("sealed bytes end before their tag")
    ciphertext = sealed[:-16]
    if not _equal(_tag(_block(k, 0, n)[:32], aad, ciphertext), sealed[-16:]):
        raise ValueError("the tag does not fit")
    return _apply_stream(k, n, ciphertext)
