"""What an HTTP answer to a batch means. Pure.

Only `Accepted` says anything about single items; every other answer keeps all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from zenmoon_edge.messages import Ack

# Answers about this body, of which nothing was stored: it has to change before it is sent again.
ABOUT_THE_BODY = {400, 409, 413, 422}
# Answers that pass by themselves.
PASSING = {408, 421, 425, 429}
# A server that asks for more is not believed: a gateway that slept for hours would look broken.
LONGEST_RETRY_AFTER_S = 300.0
DETAIL_CHARACTERS = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The batch was committed, `ack` says what became of each item."""

    ack: Ack


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """The envelope is bad: nothing was stored."""

    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRefused:
    """The gateway's token is unknown, revoked or not enough."""

    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """Whatever answered is not the cloud's ingest: a wrong address, a captive portal."""

    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Unavailable:
    """Not now; `after_s` is the least wait that was asked for."""

    detail: str
    after_s: float


def read(
    status: int, headers: Mapping[str, str], body: bytes, *, batch_id: str, items: int
) -> Accepted | Refused | TokenRefused | Broken | Unavailable:
    """Reads an answer.

    Args:
        status: HTTP status.
        headers: Header names in lower case, or a case-insensitive mapping.
        body: As received.
        batch_id: The batch it should be about.
        items: How many items the batch had; the answer has to account for each.
    """
    detail = f"HTTP {status}{_problem(body)}"
    if status == 200:
        ack = _ack(body, batch_id, items)
        return (
            Unavailable(detail="the cloud's answer does not account for the batch", after_s=0.0)
            if ack is None
            else Accepted(ack=ack)
        )
    if status in (401, 403):
        return TokenRefused(detail=f"the cloud refuses this gateway's token ({detail})")
    if status in ABOUT_THE_BODY:
        return Refused(detail=detail)
    if status >= 500 or status in PASSING:
        return Unavailable(detail=f"the cloud cannot take anything now ({detail})", after_s=_retry_after(headers))
    return Broken(detail=f"this is not the cloud's ingest ({detail})")


def _ack(body: bytes, batch_id: str, items: int) -> Ack | None:
    try:
        ack = Ack.from_json(body)
    except Exception:
        return None
    indexes = {refusal.index for refusal in ack.refused}
    whole = ack.accepted >= 0 and ack.duplicates >= 0 and ack.accepted + ack.duplicates + len(ack.refused) == items
    known = len(indexes) == len(ack.refused) and all(0 <= index < items for index in indexes)
    return ack if whole and known and ack.batch_id == batch_id else None


def _problem(body: bytes) -> str:
    """The detail of an RFC 9457 problem document, if the body is one."""
    try:
        content = json.loads(body)
        text = content.get("detail") or content.get("title") or ""
    except (ValueError, AttributeError):
        return ""
    return f": {text}"[:DETAIL_CHARACTERS] if text else ""


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        seconds = float(headers.get("retry-after", "0"))
    except ValueError:  # a date; the cloud sends seconds
        return 0.0
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S) if seconds == seconds else 0.0  # noqa: PLR0124 - NaN
