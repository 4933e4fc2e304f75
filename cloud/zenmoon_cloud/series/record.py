"""A stored record as the service gives it away: the item's own names and units, identifiers in hexadecimal."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from zenmoon_cloud.series.cursor import Cursor

Metric = Literal[
    "heart_rate_bpm",
    "rmssd_ms",
    "eda_us",
    "eda_phasic_us",
    "temperature_c",
    "motion_g",
    "stress_level",
    "anomaly",
    "battery_pct",
]
METRICS: tuple[Metric, ...] = get_args(Metric)
"""What can be asked for, in physical units; null where the record's quality forbids a value."""

IDENTITY = ("device", "boot", "seq", "tick_ms", "payload", "firmware", "model", "quality", "zone_offset_s")


def record(row: Mapping[str, Any], metrics: Iterable[str] = METRICS) -> dict[str, Any]:
    """One row of `wellness_metrics` as JSON values; `ts` is event time in UTC."""
    return {
        "device": hexadecimal(row["device"], 16),
        "boot": row["boot"],
        "seq": row["seq"],
        "tick_ms": row["tick_ms"],
        "ts": iso(row["time"]),
        "payload": hexadecimal(row["payload"], 16),
        "firmware": hexadecimal(row["firmware"], 8),
        "model": hexadecimal(row["model"], 8),
        "quality": row["quality"],
        "zone_offset_s": row["zone_offset_s"],
    } | {name: row[name] for name in metrics}


def cursor_of(row: Mapping[str, Any]) -> Cursor:
    """The row's place in the order of commits."""
    return Cursor(row["transaction"], row["device"], row["boot"], row["seq"])


def hexadecimal(number: int, digits: int) -> str:
    """A database integer (two's complement) in `digits` hexadecimal digits."""
    return f"{number & (16**digits - 1):0{digits}x}"


def iso(time: datetime) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
