"""How a gateway or an importer makes items of its own: minutes that were summed up elsewhere, and nights.

Such an item has the key of every item: the source's own 64-bit id, its boot, its number. A source is no wearable: it has no clock
that starts at zero. Its tick *is* UTC in milliseconds, so the rule of every boot – time = origin + tick – holds with 1970 as the
origin, for history in any order, and a source whose clock was wrong is set right like a wearable: its whole boot is moved.

`docs/wire.md` describes the items and what their payload is a hash of.
"""

import hashlib
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.record import BEATS, CONTACT, MODEL_READY, UNSATURATED, WORN

MINUTE_MS = 60_000
DAY_MS = 86_400_000
DAY_S = 86_400

_U32 = 2**32 - 1
_U64 = 2**64 - 1
_LAST_MS = 253_402_300_799_999  # the end of year 9999, where ISO 8601's four digits end; fits the 48 bits of a tick
_LAST_REVISION = 2**31 - 1
_MOST_AWAKENINGS = 65_535
_NEAREST_TO_0 = 2.0**-126  # a cloud takes what is nearer for damage
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What a payload begins with. Apart from the kinds of a journal, so that no payload of a source is one of a wearable.
_KINDS = {"epoch": 129, "sleep": 130}


class Metric(NamedTuple):
    """A measured value of an epoch.

    Attributes:
        low: Smallest value.
        high: Largest value.
        needs: Quality bits without which it must be None.
        unworn: Whether it means something of a minute in which the band was not worn at all.
    """

    low: float
    high: float
    needs: int = 0
    unworn: bool = False


METRICS: dict[str, Metric] = {
    "heart_rate_bpm": Metric(0, 255, WORN | CONTACT),
    "rmssd_ms": Metric(0, 1022, WORN | CONTACT | BEATS),
    "eda_us": Metric(0, 655.34, WORN | CONTACT | UNSATURATED),
    "eda_phasic_us": Metric(-40.95, 40.95, WORN | CONTACT | UNSATURATED),
    "temperature_c": Metric(-327.67, 327.67, unworn=True),
    "motion_g": Metric(0, 65.534, unworn=True),
    "stress_level": Metric(0, 1, WORN | MODEL_READY),
    "anomaly": Metric(0, 1, WORN | MODEL_READY),
}
"""Values of an epoch, in the order of its payload; ranges and needs are those of a record."""


class ImportingError(EdgeError):
    """An item that a source may not make; nothing was made and no number was used.

    Reasons: `source` (id, boot, firmware or model do not fit their bits), `number` (not a number of a source, or none is left),
    `revision` (not a revision, or of no item), `time` (not a time, or not the beginning of a minute), `value` (a value that
    no cloud would take).
    """


class Source:
    """Makes the items of one source and numbers them.

    Whoever runs it stores `device`, `boot` and `seq` before it sends, so that no number is given to two items; where that cannot be
    had, it draws a new boot at each start (`secrets.randbits(32)`).

    Args:
        device: The source's own 64-bit id, registered in the cloud like a wearable.
        boot: 32 random bits, drawn once.
        firmware: 32-bit identity of the program that makes the items.
        model: 32-bit identity of the models that its values come from.
        seq: The first number to give.

    Attributes:
        seq: The number that the next item gets.

    Raises:
        ImportingError: `source` or `number`.
    """

    def __init__(self, device: int, boot: int, *, firmware: int, model: int, seq: int = 0) -> None:
        _whole("source", "device", device, _U64)
        for name, value in (("boot", boot), ("firmware", firmware), ("model", model)):
            _whole("source", name, value, _U32)
        _whole("number", "seq", seq, _U32 + 1)
        self.device, self.boot, self.firmware, self.model, self.seq = device, boot, firmware, model, seq

    def epoch(
        self,
        ts_ms: int,
        values: Mapping[str, float | None],
        *,
        coverage: float,
        quality: int,
        zone_offset_s: int | None,
        revision: int = 0,
        seq: int | None = None,
    ) -> dict[str, Any]:
        """The item of one minute.

        Args:
            ts_ms: UTC of the minute's beginning, ms since 1970.
            values: Means over the minute by the names of `METRICS`; what is missing or None was not measured.
            coverage: Share of the minute, 0–1, in which the band was worn with usable contact.
            quality: Quality byte as in a record.
            zone_offset_s: Seconds east of UTC where the child was; None: where it lives.
            revision: A higher one replaces what was sent before under the same number.
            seq: Number of the item that is revised, or any of the source's choice; None: the next.

        Raises:
            ImportingError: `time`, `value`, `revision` or `number`.
        """
        _moment("ts_ms", ts_ms)
        if ts_ms % MINUTE_MS:
            raise ImportingError("time", f"{ts_ms} ms is not the beginning of a minute; round it down to a multiple of {MINUTE_MS}")
        _whole("value", "quality", quality, 255)
        _number("coverage", coverage, 0, 1)
        _offset(zone_offset_s)
        unknown = values.keys() - METRICS
        if unknown:
            raise ImportingError("value", f"{min(unknown)!r} is no value of an epoch; those are {', '.join(METRICS)}")
        measured = {name: values.get(name) for name in METRICS}
        for name, value in measured.items():
            if value is not None:
                _measured(name, value, coverage, quality)
        present = sum(1 << at for at, value in enumerate((*measured.values(), zone_offset_s)) if value is not None)
        body = struct.pack(
            "<BdH8di", quality, coverage + 0.0, present, *((value or 0) + 0.0 for value in measured.values()), zone_offset_s or 0
        )
        said = self._said("epoch", ts_ms, body, revision, seq)
        return said | {"coverage": coverage, "quality": quality} | measured | {"zone_offset_s": zone_offset_s}

    def sleep(
        self,
        onset_ms: int,
        ended_ms: int,
        *,
        asleep_s: int,
        awakenings: int,
        efficiency: float | None,
        nap: bool,
        zone_offset_s: int | None,
        revision: int = 0,
        seq: int | None = None,
    ) -> dict[str, Any]:
        """The item of one episode of sleep.

        Args:
            onset_ms: UTC at which the child fell asleep, ms since 1970.
            ended_ms: UTC at which it was awake for good, at most 24 hours later.
            asleep_s: Seconds asleep between the two.
            awakenings: How often it woke between them.
            efficiency: Share of the time in bed that it slept, 0–1; None: not known.
            nap: A sleep beside the night's.
            zone_offset_s: Seconds east of UTC where the child was; None: where it lives.
            revision: A higher one replaces what was sent before under the same number.
            seq: Number of the item that is revised, or any of the source's choice; None: the next.

        Raises:
            ImportingError: `time`, `value`, `revision` or `number`.
        """
        _moment("onset_ms", onset_ms)
        _moment("ended_ms", ended_ms)
        length_ms = ended_ms - onset_ms
        if not 0 < length_ms <= DAY_MS:
            raise ImportingError(
                "time", "sleep ends after its onset and within 24 hours; check the two times, or make two episodes"
            )
        _whole("value", "asleep_s", asleep_s, DAY_S)
        if asleep_s * 1000 > length_ms:
            raise ImportingError("value", f"asleep_s {asleep_s} is longer than the episode; leave out the time awake")
        _whole("value", "awakenings", awakenings, _MOST_AWAKENINGS)
        if not isinstance(nap, bool):
            raise ImportingError("value", "nap is neither true nor false; say which")
        if efficiency is not None:
            _number("efficiency", efficiency, 0, 1)
        _offset(zone_offset_s)
        present = nap | (efficiency is not None) << 1 | (zone_offset_s is not None) << 2
        body = struct.pack("<IIIBdi", length_ms, asleep_s, awakenings, present, (efficiency or 0) + 0.0, zone_offset_s or 0)
        return self._said("sleep", onset_ms, body, revision, seq) | {
            "ended_at": _iso(ended_ms),
            "asleep_s": asleep_s,
            "awakenings": awakenings,
            "efficiency": efficiency,
            "nap": nap,
            "zone_offset_s": zone_offset_s,
        }

    def _said(self, kind: str, ts_ms: int, body: bytes, revision: int, seq: int | None) -> dict[str, Any]:
        """What every item says. The last that can fail, so that a number is used only by an item that is made."""
        _whole("revision", "revision", revision, _LAST_REVISION)
        if seq is None:
            if revision:
                raise ImportingError("revision", f"revision {revision} of which item? Give the `seq` that it was sent under")
            if self.seq > _U32:
                raise ImportingError("number", "every number of this boot is used; draw a new boot")
            seq = self.seq
        _whole("number", "seq", seq, _U32)
        self.seq = max(self.seq, seq + 1)
        head = struct.pack("<BIQIII", _KINDS[kind], seq, ts_ms, self.firmware, self.model, revision)
        return {
            "kind": kind,
            "device": f"{self.device:016x}",
            "boot": self.boot,
            "seq": seq,
            "tick_ms": ts_ms,
            "ts": _iso(ts_ms),
            "payload": hashlib.sha256(head + body).digest()[:8].hex(),
            "firmware": f"{self.firmware:08x}",
            "model": f"{self.model:08x}",
            "revision": revision,
        }


def _iso(ts_ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=ts_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _whole(reason: str, name: str, value: object, high: int, low: int = 0) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ImportingError(reason, f"{name} is {value!r}; give a whole number from {low} to {high}")


def _moment(name: str, value: object) -> None:
    _whole("time", name, value, _LAST_MS)


def _offset(zone_offset_s: object) -> None:
    if zone_offset_s is not None:
        _whole("value", "zone_offset_s", zone_offset_s, DAY_S, -DAY_S)


def _number(name: str, value: object, low: float, high: float) -> None:
    # a bool is an int to Python, and NaN is between no two numbers
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise ImportingError(
            "value", f"{name} is {value!r}; give a number from {low:g} to {high:g}, or None where it was not measured"
        )
    if 0 < abs(value) < _NEAREST_TO_0:
        raise ImportingError("value", f"{name} is {value!r}, too near 0 to be a measurement; give 0")


def _measured(name: str, value: float, coverage: float, quality: int) -> None:
    metric = METRICS[name]
    _number(name, value, metric.low, metric.high)
    if quality & metric.needs != metric.needs:
        raise ImportingError("value", f"quality {quality} forbids {name}; give None, or the quality under which it was measured")
    if not coverage and not metric.unworn:
        raise ImportingError("value", f"coverage is 0, so {name} was not measured; give None")
