"""What the fields of one item say against each other. Pure; read by columns like the fields themselves.

Each function takes an item kind's columns and returns what is wrong at which position. A value that could not be read is None and
wrong already.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from zenmoon_cloud.ingest.fields import Field, Number, Wrong

DAY_US = 86_400_000_000

# A band measures its temperature and its motion also where nobody wears it.
WORN_ONLY = ("heart_rate_bpm", "rmssd_ms", "eda_us", "eda_phasic_us", "stress_level", "anomaly")


def without_quality(fields: Sequence[Field], values: Mapping[str, list[Any]]) -> Wrong:
    """Values that the item's own quality byte forbids."""
    quality = [known or 0 for known in values["quality"]]
    distinct = set(quality)
    wrong: Wrong = {}
    for field in fields:
        if not isinstance(field, Number) or all(bits & field.needs == field.needs for bits in distinct):
            continue
        for position, (value, bits) in enumerate(zip(values[field.name], quality, strict=True)):
            if value is not None and bits & field.needs != field.needs:
                wrong.setdefault(position, f"{field.name} has a value although quality {bits} forbids one")
    return wrong


def without_coverage(values: Mapping[str, list[Any]]) -> Wrong:
    """Epochs of which no moment was worn, and which tell of the child nevertheless."""
    unworn = [position for position, coverage in enumerate(values["coverage"]) if coverage == 0]
    wrong: Wrong = {}
    for name in WORN_ONLY:
        column = values[name]
        for position in unworn:
            if column[position] is not None:
                wrong.setdefault(position, f"{name} has a value although coverage is 0")
    return wrong


def beyond_the_night(values: Mapping[str, list[Any]]) -> Wrong:
    """Sleep that ends before it begins, lasts more than a day, or is longer than from its onset to its end."""
    wrong: Wrong = {}
    for position, (onset, end, asleep) in enumerate(zip(values["ts"], values["ended_at"], values["asleep_s"], strict=True)):
        if onset is None or end is None:
            continue
        if not onset < end <= onset + DAY_US:
            wrong[position] = "ended_at is not after ts and within 24 hours of it"
        elif asleep is not None and asleep * 1_000_000 > end - onset:
            wrong[position] = "asleep_s is longer than from ts to ended_at"
    return wrong
