"""Random tokens. The service keeps only their hashes; 256 random bits need no salt and no slow hash."""

import hashlib
import hmac
import secrets


def new_token() -> str:
    """Return 256 random bits as text that fits a cookie and a header."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """Return what is stored of a token (32 bytes)."""
    return hashlib.sha256(token.encode()).digest()


def csrf_token(session_token: str) -> str:
    """Return the text that a write must repeat in a header.

    It derives from the cookie, which a page of another site can neither read nor compute, so nothing is stored.
    """
    return hmac.new(session_token.encode(), b"zenmoon csrf", hashlib.sha256).hexdigest()
