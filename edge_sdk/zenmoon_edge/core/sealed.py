"""Authenticated encryption (ChaCha20-Poly1305, RFC 8439) by the fastest code at hand.

seal_bytes(key 32, nonce 12, aad, plaintext) -> ciphertext + 16-byte tag
open_bytes(key 32, nonce 12, aad, sealed) -> plaintext; ValueError when anything was changed or has a wrong length
"""

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    def seal_bytes(key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
        """Ciphertext followed by its 16-byte tag."""
        return ChaCha20Poly1305(key).encrypt(nonce, plaintext, aad)

    def open_bytes(key: bytes, nonce: bytes, aad: bytes, sealed: bytes) -> bytes:
        """Plaintext of `seal_bytes`; ValueError when anything was changed."""
        try:
            return ChaCha20Poly1305(key).decrypt(nonce, sealed, aad)
        except InvalidTag:
            raise ValueError("the tag does not fit") from None

except ImportError:
    from zenmoon_edge.core.chacha20poly1305 import open_bytes, seal_bytes

__all__ = ["open_bytes", "seal_bytes"]
