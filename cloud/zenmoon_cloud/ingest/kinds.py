"""What an item of each kind must say, and where it is stored.

Ranges are those of the wire (`docs/wire.md`): a wearable cannot send anything outside them, so a value outside is damage.
"""

from dataclasses import dataclass

from zenmoon_edge.core.record import BEATS, CONTACT, MODEL_READY, UNSATURATED, WORN

from zenmoon_cloud.ingest.fields import Field, Hexadecimal, Moment, Number

U32 = 2**32 - 1
U48 = 2**48 - 1
YEAR_9999_MS = 253_402_300_799_999

KEY: tuple[Field, ...] = (
    Hexadecimal(name="device", digits=16),
    Number(name="boot", low=0, high=U32, whole_numbers=True),
    Number(name="seq", low=0, high=U32, whole_numbers=True),
    Number(name="tick_ms", low=0, high=U48, whole_numbers=True),
    Moment(name="ts"),
    Hexadecimal(name="payload", digits=16),
    Hexadecimal(name="firmware", digits=8),
    Hexadecimal(name="model", digits=8),
)
"""Fields of every kind. `ts` is stored as `time`."""

QUALITY = Number(name="quality", low=0, high=255, whole_numbers=True)
"""All eight bits: a later firmware may use the two that are free today."""

BATTERY = Number(name="battery_pct", low=0, high=126, whole_numbers=True, nullable=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of item.

    Attributes:
        table: where it is stored.
        fields: its own fields beside `KEY`, named like the table's columns.
    """

    table: str
    fields: tuple[Field, ...]


KINDS = {
    "record": Kind(
        "wellness_metrics",
        (
            QUALITY,
            Number(name="heart_rate_bpm", low=0, high=255, nullable=True, needs=WORN | CONTACT),
            Number(name="rmssd_ms", low=0, high=1022, nullable=True, needs=WORN | CONTACT | BEATS),
            Number(name="eda_us", low=0, high=655.34, nullable=True, needs=WORN | CONTACT | UNSATURATED),
            Number(name="eda_phasic_us", low=-40.95, high=40.95, nullable=True, needs=WORN | CONTACT | UNSATURATED),
            Number(name="temperature_c", low=-327.67, high=327.67, nullable=True),
            Number(name="motion_g", low=0, high=65.534, nullable=True),
            Number(name="stress_level", low=0, high=1, nullable=True, needs=WORN | MODEL_READY),
            Number(name="anomaly", low=0, high=1, nullable=True, needs=WORN | MODEL_READY),
            BATTERY,
        ),
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
