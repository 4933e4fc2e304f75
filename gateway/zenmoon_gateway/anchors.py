"""From a wearable's ticks to UTC: which anchor rules, and what stands in where a boot never got one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

# Between writing the clock and the wearable's journal entry lies one Bluetooth write: usually < 0.1 s, failed after 10 s.
CLOCK_BOUND_MS = 10_000
# A wearable's crystal is good to ±40 ppm, a phone's to ±20 ppm: doubled, for heat and age.
DRIFT_PPM = 120
# How long a wearable lay switched off before its next boot cannot be known; an hour covers a battery swap or a reset,
# and says plainly that the estimate is no better.
ESTIMATE_UNCERTAINTY_MS = 3_600_000


class Origin(IntEnum):
    """Where an anchor's UTC comes from; the numbers are those of wire.md."""

    GATEWAY_CLOCK = 1
    ESTIMATED = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """One point at which a boot's ticks and UTC are both known; all in milliseconds."""

    tick_ms: int
    utc_ms: int
    source: int
    uncertainty_ms: int

    def utc_at(self, tick_ms: int) -> int:
        """UTC in ms of another tick of the same boot."""
        return self.utc_ms + tick_ms - self.tick_ms


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """The wearable's tick and this gateway's UTC, taken at the same moment, of the boot that is running."""

    boot: int
    tick_ms: int
    utc_ms: int
    rate: float = 1.0
    """Speed of both clocks against real time: 1 but in a demo."""


def distance_ms(anchor: Anchor, boot: int, reference: Reference) -> int:
    """How far an anchor is from this gateway's own clock, beyond what its uncertainty, the transfer and drift explain.

    Of an earlier boot only the future can be told: its end was before now.

    Returns:
        0 when it may rule, else the unexplained distance in ms.
    """
    bound = anchor.uncertainty_ms + round(CLOCK_BOUND_MS * max(1.0, reference.rate))
    if boot != reference.boot:
        return max(0, anchor.utc_ms - reference.utc_ms - bound)
    expected = reference.utc_ms + anchor.tick_ms - reference.tick_ms
    drift = abs(reference.tick_ms - anchor.tick_ms) * DRIFT_PPM // 1_000_000
    return max(0, abs(anchor.utc_ms - expected) - bound - drift)


@dataclass(frozen=True, kw_only=True, slots=True)
class BootTime:
    """What is known of one boot: whether anything of it can still arrive, its last tick, and the anchor that rules it."""

    boot: int
    finished: bool
    last_tick_ms: int | None
    anchor: Anchor | None


def estimates(boots: Sequence[BootTime]) -> dict[int, Anchor]:
    """Anchors for the finished boots that have none, from the start of the boot after each.

    Args:
        boots: All boots of one wearable, oldest first.

    Returns:
        boot → estimated anchor: its last tick is put at the start of the next boot.
    """
    found: dict[int, Anchor] = {}
    following: Anchor | None = None
    for boot in reversed(boots):
        anchor = boot.anchor
        if anchor is None and boot.finished and boot.last_tick_ms is not None and following is not None:
            anchor = found[boot.boot] = Anchor(
                tick_ms=boot.last_tick_ms,
                utc_ms=following.utc_at(0),
                source=Origin.ESTIMATED,
                uncertainty_ms=ESTIMATE_UNCERTAINTY_MS + following.uncertainty_ms,
            )
        following = anchor
    return found
