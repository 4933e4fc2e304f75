"""Minutes, hours and days as the service gives them away, and where they are missing. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from zenmoon_cloud.series.record import METRICS, Metric, iso

SUMMED: tuple[Metric, ...] = tuple(name for name in METRICS if name != "battery_pct")
"""Metrics that have a mean. A battery says nothing about a child."""

EXTREMES: tuple[Metric, ...] = ("heart_rate_bpm", "stress_level")
"""Metrics whose lowest and highest value are kept beside the mean: a peak would vanish in it."""


class Bucket(NamedTuple):
    """A minute, hour or day with data.

    Attributes:
        start: included.
        end: excluded.
        seconds: how many it has; of a travel day not always those between `start` and `end`.
        row: its columns: `zone_offset_s`, `covered_s`, the metrics.
        more: what only this level has.
    """

    start: datetime
    end: datetime
    seconds: float
    row: Mapping[str, Any]
    more: Mapping[str, Any]


def bucket(found: Bucket, metrics: Iterable[Metric] = SUMMED) -> dict[str, Any]:
    """A bucket as JSON values."""
    row = found.row
    values: dict[str, Any] = {}
    for name in metrics:
        values[name] = row[name]
        if name in EXTREMES:
            values |= {f"{name}_min": row[f"{name}_min"], f"{name}_max": row[f"{name}_max"]}
    return {
        "start": iso(found.start),
        "end": iso(found.end),
        **found.more,
        "zone_offset_s": row["zone_offset_s"],
        "completeness": min(1.0, row["covered_s"] / found.seconds),
        "covered_s": row["covered_s"],
        **values,
    }


def missing(found: Sequence[Bucket], first: datetime, last: datetime) -> list[tuple[datetime, datetime]]:
    """Where there is no bucket: runs of missing ones as (begin, end).

    Args:
        found: in the order of time.
        first: where the first bucket would begin.
        last: where the last would end.
    """
    runs = []
    reached = first
    for present in found:
        if present.start > reached:
            runs.append((reached, present.start))
        reached = max(reached, present.end)
    if last > reached:
        runs.append((reached, last))
    return runs


def floor(moment: datetime, step: timedelta, origin: datetime) -> datetime:
    """The last whole `step` from `origin` on that is not after `moment`."""
    return moment - (moment - origin) % step


def ceiling(moment: datetime, step: timedelta, origin: datetime) -> datetime:
    """The first whole `step` from `origin` on that is not before `moment`."""
    return moment + (origin - moment) % step
