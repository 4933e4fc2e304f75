"""Which pages may act for a signed-in guardian: the service's own, and those an operator names."""

from collections.abc import Sequence
from urllib.parse import urlsplit


def trusted(origin: str | None, host: str | None, allowed: Sequence[str]) -> bool:
    """Tell whether a browser's Origin header names a trusted page.

    The scheme is left out of the comparison with the Host header because TLS may end before the service.

    Args:
        origin: The Origin header. Absent is not trusted: every browser sends it with a write and with a WebSocket.
        host: The Host header, which a page cannot choose.
        allowed: Further origins, from the settings.
    """
    if origin is None:
        return False
    if origin in allowed:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:  # half an IPv6 address
        return False
    return parts.scheme in ("http", "https") and bool(host) and parts.netloc.lower() == (host or "").lower()
