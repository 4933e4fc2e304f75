"""What gateway and cloud say to each other: items, the batch that carries them, and its acknowledgement.

The JSON of an HTTP body and of an MQTT payload is the same. An item is a plain dict, so that a cloud can read a batch by
columns; its values are in physical units and null where the record's own quality forbids one.
"""

import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.record import (
    BATTERY_UNKNOWN,
    BEATS,
    CONTACT,
    HEALTH,
    KIND_NAMES,
    MODEL_READY,
    MOTION30,
    RECORD,
    UNSATURATED,
    WORN,
    Entry,
    payload_hash,
    unpack_body,
)

REFUSAL_CODES = frozenset({"not_assigned", "unknown_kind", "bad_value", "conflict", "too_old", "consent"})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999  # the end of year 9999, where ISO 8601's four digits end
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class MessageError(EdgeError):
    """A message that cannot be read or written; nothing of it has been used.

    Reasons: `json` (not JSON), `field` (a field of the envelope is missing or not what it should be), `time` (a time
    that no calendar has).
    """


def item(  # noqa: PLR0917 - the key first, then who made it, then when
    entry: Entry, device: int, boot: int, firmware: int, model: int, ts_ms: int
) -> dict[str, Any]:
    """The JSON item of one entry.

    Args:
        entry: As the wearable journalled it.
        device: 64-bit id of the wearable.
        boot: Its boot.
        firmware: 32-bit identity of the firmware that made the entry.
        model: 32-bit identity of its models.
        ts_ms: UTC of the entry, ms since 1970, derived from an anchor.

    Raises:
        MessageError: `time` when no calendar has `ts_ms`.
        CodecError: The body is none of its kind.
    """
    if not 0 <= ts_ms <= _LAST_MS:
        raise MessageError("time", f"{ts_ms} ms is outside 1970 to 9999; the anchor is wrong")
    ts = (_EPOCH + timedelta(milliseconds=ts_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said: dict[str, Any] = {
        "kind": KIND_NAMES.get(entry.kind),
        "device": f"{device:016x}",
        "boot": boot,
        "seq": entry.seq,
        "tick_ms": entry.tick_ms,
        "ts": ts,
        "payload": payload_hash(entry, firmware, model).hex(),
        "firmware": f"{firmware:08x}",
        "model": f"{model:08x}",
    }
    values = unpack_body(entry.kind, entry.body)
    if entry.kind == RECORD:
        return said | _record(values)
    return said | _named(entry.kind, values._asdict())


def _named(kind: int, values: dict[str, Any]) -> dict[str, Any]:
    if kind == MOTION30:
        return {"quality": values["quality"], "counts": values["counts"], "posture_deg": values["posture_deg"]}
    if kind == HEALTH:
        return values | {"battery_pct": _battery(values["battery_pct"])}
    return values


def _record(raw: Any) -> dict[str, Any]:
    quality = raw.quality

    def when(value: int | None, unit: float, needs: int = 0) -> float | None:
        # Dividing by a whole number, unlike multiplying by 0.01, gives the float that prints as the wire's own digits.
        return None if value is None or quality & needs != needs else value / unit

    strain = quality & (WORN | MODEL_READY) == WORN | MODEL_READY
    return {
        "quality": quality,
        "heart_rate_bpm": when(raw.heart_rate, 2, WORN | CONTACT),
        "rmssd_ms": raw.rmssd if quality & (WORN | CONTACT | BEATS) == WORN | CONTACT | BEATS else None,
        "eda_us": when(raw.eda, 100, WORN | CONTACT | UNSATURATED),
        "eda_phasic_us": when(raw.phasic, 100, WORN | CONTACT | UNSATURATED),
        "temperature_c": when(raw.temperature, 100),
        "motion_g": when(raw.motion, 1000),
        "stress_level": round(raw.strain / 255, 4) if strain else None,
        "anomaly": round(raw.anomaly / 255, 4) if strain else None,
        "battery_pct": _battery(raw.status & BATTERY_UNKNOWN),
    }


def _battery(percent: int) -> int | None:
    return percent if percent <= 100 else None


def new_batch_id() -> str:
    """A ULID: 26 characters that sort by the millisecond of their making, 80 of their 128 bits random."""
    number = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


@dataclass(frozen=True, slots=True)
class Batch:
    """Items on their way from a gateway to the cloud.

    Attributes:
        batch_id: ULID; a repetition carries the same one.
        gateway_id: Who sends.
        sent_at: UTC of sending, ISO 8601 with its zone.
        items: As `item` makes them. A received batch holds whatever was sent: one bad item must not cost its
            neighbours, so items are for their reader to validate, and may hold NaN.
    """

    batch_id: str
    gateway_id: str
    sent_at: str
    items: Sequence[Any]

    def to_json(self) -> str:
        """The message; ValueError for a NaN, which JSON cannot say."""
        envelope = {"batch_id": self.batch_id, "gateway_id": self.gateway_id, "sent_at": self.sent_at}
        return json.dumps(envelope | {"items": list(self.items)}, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Reads the envelope and leaves the items as they are; MessageError `json` or `field`."""
        envelope = _envelope(text)
        return cls(
            batch_id=_name(envelope, "batch_id"),
            gateway_id=_name(envelope, "gateway_id"),
            sent_at=_moment(envelope, "sent_at"),
            items=_list(envelope, "items"),
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """An item that the cloud did not store and never will as it is.

    Attributes:
        index: Its position in the batch.
        code: One of REFUSAL_CODES; a newer cloud may know more.
        detail: A sentence for people.
    """

    index: int
    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ack:
    """The cloud's answer after its commit.

    Attributes:
        batch_id: Which batch.
        accepted: Items stored by it.
        duplicates: Items that were stored before.
        refused: The others.
    """

    batch_id: str
    accepted: int
    duplicates: int
    refused: list[Refusal] = field(default_factory=list)

    def to_json(self) -> str:
        """The message."""
        refused = [{"index": one.index, "code": one.code, "detail": one.detail} for one in self.refused]
        answer = {"batch_id": self.batch_id, "accepted": self.accepted, "duplicates": self.duplicates, "refused": refused}
        return json.dumps(answer, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Reads the answer; MessageError `json` or `field`."""
        envelope = _envelope(text)
        refused = [_refusal(one) for one in _list(envelope, "refused")]
        return cls(
            batch_id=_name(envelope, "batch_id"),
            accepted=_count(envelope, "accepted"),
            duplicates=_count(envelope, "duplicates"),
            refused=refused,
        )


def _envelope(text: str | bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessageError("json", f"the message is not JSON ({error})") from None
    if not isinstance(content, dict):
        raise MessageError("json", "the message is no JSON object")
    return content


def _wrong(name: str, should: str) -> MessageError:
    return MessageError("field", f"{name} is missing or not {should}")


def _name(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise _wrong(name, "1 to 64 of the characters A–Z a–z 0–9 _ . : -")
    return value


def _moment(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    try:
        if isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None:
            return value
    except ValueError:
        pass
    raise _wrong(name, "a time in ISO 8601 with its zone")


def _list(content: Mapping[str, Any], name: str) -> list[Any]:
    value = content.get(name)
    if not isinstance(value, list):
        raise _wrong(name, "a list")
    return value


def _count(content: Mapping[str, Any], name: str) -> int:
    value = content.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _wrong(name, "a count")
    return value


def _refusal(content: Any) -> Refusal:
    if not isinstance(content, dict):
        raise _wrong("refused", "a list of objects")
    code, detail = content.get("code"), content.get("detail", "")
    if not isinstance(code, str) or not isinstance(detail, str):
        raise _wrong("refused", "a list of index, code and detail")
    return Refusal(_count(content, "index"), code, detail)
