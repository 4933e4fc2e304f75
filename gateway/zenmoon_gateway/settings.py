"""What `run` is told: where the cloud is, which adapter, which clock."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from zenmoon_edge.core.clock import Clock

from zenmoon_gateway.errors import GatewayError, Reason

DEFAULT_HOME = Path("~/.zenmoon-gateway")  # expanded where it is used
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """What the cloud gave this gateway when it was enrolled."""

    gateway_id: str
    token: str

    def __repr__(self) -> str:
        return f"Credentials(gateway_id={self.gateway_id!r})"  # a token never reaches a log


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The settings of one `run`.

    Attributes:
        home: Folder with pairings, outbox and state.
        cloud: Base URL, without a trailing slash.
        adapter: None for the platform's Bluetooth, or a transport such as `tcp-client:127.0.0.1:9000` to a virtual one.
        clock: UTC of this gateway.
    """

    home: Path
    cloud: str
    credentials: Credentials
    adapter: str | None
    clock: Clock


def read_credentials(path: Path) -> Credentials:
    """Reads `{"gateway_id": …, "token": …}`.

    Raises:
        GatewayError: `settings`.
    """
    again = "Next: enroll this gateway again and give the file that results"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        gateway_id, token = content["gateway_id"], content["token"]
    except OSError as error:
        raise GatewayError(
            Reason.SETTINGS, f"the credentials cannot be read ({error.strerror}: {path}). Next: check --credentials"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise GatewayError(Reason.SETTINGS, f"{path} holds no gateway_id and token. {again}") from error
    # A header takes printable ASCII only; anything else would fail at every request.
    if not (
        isinstance(gateway_id, str) and isinstance(token, str) and gateway_id and token and token.isascii() and token.isprintable()
    ):
        raise GatewayError(Reason.SETTINGS, f"gateway_id or token in {path} cannot be used. {again}")
    return Credentials(gateway_id=gateway_id, token=token)


def check_cloud(url: str) -> str:
    """The cloud's base URL; plain HTTP only to this machine.

    Raises:
        GatewayError: `settings`.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port out of range, half an IPv6 address
        usable = False
    if not usable or any(sign in url for sign in "?# "):
        raise GatewayError(Reason.SETTINGS, f"{url!r} is no cloud address. Next: give --cloud https://…")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise GatewayError(Reason.SETTINGS, f"{url!r} would send a child's data unencrypted. Next: give --cloud https://…")
    return url.rstrip("/")


def parse_clock(text: str | None) -> Clock:
    """The system's clock, or the one that `utc_ms:monotonic_us:rate` describes.

    Raises:
        GatewayError: `settings`.
    """
    if text is None:
        # Not Clock.system(), which never looks again: a laptop sleeps, and a Raspberry Pi is told the time after its start.
        return Clock(0, 0, 1, lambda: time.time_ns() // 1000)
    try:
        return Clock.parse(text)
    except ValueError as error:
        raise GatewayError(Reason.SETTINGS, f"{text!r} is no clock. Next: give --clock utc_ms:monotonic_us:rate") from error
