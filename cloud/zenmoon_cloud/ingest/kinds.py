"""What an item of each kind must say, and where it is stored.

Ranges are those of the wire (`docs/wire.md`): a wearable cannot send anything outside them, so a value outside is damage.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from zenmoon_edge.core.record import BEATS, CONTACT, MODEL_READY, UNSATURATED, WORN

from zenmoon_cloud.database.catalogue import TABLES
from zenmoon_cloud.ingest.contradictions import beyond_the_night, without_coverage
from zenmoon_cloud.ingest.fields import Field, Hexadecimal, Moment, Number, Truth, Wrong

I31 = 2**31 - 1
U32 = 2**32 - 1
U48 = 2**48 - 1
YEAR_9999_MS = 253_402_300_799_999

KEY: tuple[Field, ...] = (
    Hexadecimal(name="device", digits=16),
    Number(name="boot", low=0, high=U32, whole_numbers=True),
    Number(name="seq", low=0, high=U32, whole_numbers=True),
    Number(name="tick_ms", low=0, high=U48, whole_numbers=True),
    (TIME := Moment(name="ts")),
    Hexadecimal(name="payload", digits=16),
    Hexadecimal(name="firmware", digits=8),
    Hexadecimal(name="model", digits=8),
)
"""Fields of every kind. `ts` is stored as `time`."""

QUALITY = Number(name="quality", low=0, high=255, whole_numbers=True)
"""All eight bits: a later firmware may use the two that are free today."""

BATTERY = Number(name="battery_pct", low=0, high=126, whole_numbers=True, nullable=True)

MEASURED = (
    Number(name="heart_rate_bpm", low=0, high=255, nullable=True, needs=WORN | CONTACT),
    Number(name="rmssd_ms", low=0, high=1022, nullable=True, needs=WORN | CONTACT | BEATS),
    Number(name="eda_us", low=0, high=655.34, nullable=True, needs=WORN | CONTACT | UNSATURATED),
    Number(name="eda_phasic_us", low=-40.95, high=40.95, nullable=True, needs=WORN | CONTACT | UNSATURATED),
    Number(name="temperature_c", low=-327.67, high=327.67, nullable=True),
    Number(name="motion_g", low=0, high=65.534, nullable=True),
    Number(name="stress_level", low=0, high=1, nullable=True, needs=WORN | MODEL_READY),
    Number(name="anomaly", low=0, high=1, nullable=True, needs=WORN | MODEL_READY),
)
"""What a record says of 4 s and an epoch of a minute."""

REVISION = Number(name="revision", low=0, high=I31, whole_numbers=True)
"""Of an item that a gateway or importer made: a higher one supersedes what was sent before under the same key."""

ZONE = Number(name="zone_offset_s", low=-86_400, high=86_400, whole_numbers=True, nullable=True, optional=True)
"""Seconds east of UTC where the child was; null: where it lives."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of item.

    Attributes:
        table: where it is stored.
        own: its own fields beside `KEY`, named like the table's columns.
        check: finds what an item's fields say against each other, beside its quality.
        minute: it is about one whole minute, and so is every revision of it.
        summed: what is stored of it is summed up by hours.
        zoned: its rows say how far east of UTC the child was.
        reach: how old it may be when it arrives; None: as long as its table keeps it, else as long as records are kept.
    """

    table: str
    own: tuple[Field, ...]
    check: Callable[[Mapping[str, list[Any]]], Wrong] | None = None
    minute: bool = False
    summed: bool = False
    zoned: bool = False
    reach: timedelta | None = None

    @property
    def fields(self) -> tuple[Field, ...]:
        """`KEY` and its own."""
        key = (replace(TIME, minute=True) if field is TIME else field for field in KEY) if self.minute else KEY
        return (*key, *self.own)

    @property
    def revised(self) -> bool:
        """Whether its items have revisions."""
        return REVISION in self.own


KINDS = {
    "record": Kind(
        "wellness_metrics",
        (QUALITY, *MEASURED, BATTERY),
        summed=True,
        zoned=True,
    ),
    "epoch": Kind(
        "epochs",
        (REVISION, Number(name="coverage", low=0, high=1), QUALITY, *MEASURED, ZONE),
        check=without_coverage,
        minute=True,
        summed=True,
        zoned=True,
    ),
    "sleep": Kind(
        "sleep_episodes",
        (
            REVISION,
            Moment(name="ended_at"),
            Number(name="asleep_s", low=0, high=86_400, whole_numbers=True),
            Number(name="awakenings", low=0, high=65_535, whole_numbers=True),
            Number(name="efficiency", low=0, high=1, nullable=True, optional=True),
            Truth(name="nap"),
            ZONE,
        ),
        check=beyond_the_night,
        zoned=True,
        # A night is kept as long as the family stays. What happened more than a year and a month ago is a broken clock.
        reach=timedelta(days=400),
    ),
    "motion30": Kind(
        "motion_epochs",
        (
            QUALITY,
            Number(name="counts", low=0, high=65535, whole_numbers=True),
            Number(name="posture_deg", low=0, high=180, whole_numbers=True),
        ),
    ),
    "anchor": Kind(
        "anchors",
        (
            Number(name="utc_ms", low=0, high=YEAR_9999_MS, whole_numbers=True),
            Number(name="source", low=0, high=255, whole_numbers=True),
            Number(name="uncertainty_ms", low=0, high=U32, whole_numbers=True),
        ),
    ),
    "event": Kind(
        "device_events",
        (
            Number(name="code", low=0, high=255, whole_numbers=True),
            Number(name="value", low=0, high=U32, whole_numbers=True),
        ),
    ),
    "health": Kind(
        "device_health",
        (
            BATTERY,
            Number(name="overwritten", low=0, high=U32, whole_numbers=True),
            Number(name="refused", low=0, high=U32, whole_numbers=True),
            Number(name="crash", low=0, high=U32, whole_numbers=True),
        ),
    ),
}


def oldest_taken(kind: str, now: datetime) -> datetime:
    """What of `kind` happened before this time is `too_old`: retention may have dropped its neighbours."""
    retention = KINDS[kind].reach or TABLES[KINDS[kind].table].retention or TABLES[KINDS["record"].table].retention
    if retention is None:
        raise ValueError("the catalogue gives records no retention, and without one their table grows for ever")
    return now - retention
