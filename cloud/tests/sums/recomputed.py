"""What minutes and hours must be, summed up in Python from the raw rows, and the epochs that are brought to find out."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import count

import psycopg
import pytest
from zenmoon_cloud.database.queue import SHARDS
from zenmoon_cloud.series.rollup import roll
from zenmoon_edge.importing import METRICS, Source

PRESENT = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = datetime(2026, 11, 19, 10, tzinfo=UTC)
DEVICE = "a1b2c3d4e5f60718"
BOOTS = count(1)
EXTREMES = ("heart_rate_bpm", "stress_level")


def epoch(moment: datetime, *, made: Source | None = None, coverage: float = 1.0, **changes) -> dict[str, object]:
    """One minute of an importer; `changes` are values, or `revision`, `seq` and `zone_offset_s`."""
    said = {name: changes.pop(name) for name in ("revision", "seq", "zone_offset_s") if name in changes}
    values = {name: 0.5 for name, metric in METRICS.items() if coverage or metric.unworn} | changes
    made = made or Source(int(DEVICE, 16), next(BOOTS), firmware=3, model=4)
    ts_ms = int(moment.timestamp() * 1000)
    return made.epoch(ts_ms, values, coverage=coverage, quality=63, **({"zone_offset_s": None} | said))


async def deliver(send, family, items: list[dict[str, object]]) -> None:
    answer = (await send(family, items)).raise_for_status().json()
    assert answer["accepted"] == len(items), answer


async def roll_all(database) -> int:
    return sum([await roll(database, shard) for shard in range(SHARDS)])


def rows(superuser: psycopg.Connection, table: str) -> list[dict]:
    with superuser.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(f"SELECT * FROM {table} ORDER BY child_id, time").fetchall()


def minute_of(superuser: psycopg.Connection, moment: datetime) -> dict | None:
    (found,) = [row for row in rows(superuser, "minute_rollups") if row["time"] == moment] or [None]
    return found


def expected_minutes(superuser: psycopg.Connection) -> dict[tuple, dict]:
    """What the raw rows say, summed up in Python."""
    minutes: dict[tuple, dict] = {}
    by_minute = defaultdict(list)
    for row in rows(superuser, "wellness_metrics"):
        by_minute[row["child_id"], row["time"].replace(second=0, microsecond=0)].append(row)
    for key, records in by_minute.items():
        quality = 255
        for row in records:
            quality &= row["quality"]
        covered = 4 * sum(row["quality"] & 0b101 == 0b101 for row in records)
        said = {"zone_offset_s": records[0]["zone_offset_s"], "source": "record", "quality": quality, "covered_s": min(60, covered)}
        for name in METRICS:
            values = [row[name] for row in records if row[name] is not None]
            said |= {name: sum(values) / len(values) if values else None, f"{name}_s": min(60, 4 * len(values))}
            if name in EXTREMES:
                said |= {f"{name}_min": min(values, default=None), f"{name}_max": max(values, default=None)}
        minutes[key] = said
    newest: dict[tuple, dict] = {}
    for row in rows(superuser, "epochs"):
        key = row["child_id"], row["device"], row["boot"], row["seq"]
        if key not in newest or newest[key]["revision"] < row["revision"]:
            newest[key] = row
    best: dict[tuple, dict] = {}
    for row in newest.values():
        key, rank = (row["child_id"], row["time"]), (row["coverage"], row["revision"], row["received_at"])
        if key not in best or (best[key]["coverage"], best[key]["revision"], best[key]["received_at"]) < rank:
            best[key] = row
    for key, row in best.items():
        if key not in minutes:
            minutes[key] = of_epoch(row)
    return minutes


def of_epoch(row: dict) -> dict:
    said = {"zone_offset_s": row["zone_offset_s"], "source": "epoch", "quality": row["quality"], "covered_s": 60 * row["coverage"]}
    for name in METRICS:
        seconds = 60 * row["coverage"] or 60
        said |= {name: row[name], f"{name}_s": 0 if row[name] is None else seconds}
        if name in EXTREMES:
            said |= {f"{name}_min": row[name], f"{name}_max": row[name]}
    return said


def expected_hours(minutes: dict[tuple, dict]) -> dict[tuple, dict]:
    by_hour = defaultdict(list)
    for (child_id, moment), row in minutes.items():
        offset = timedelta(seconds=row["zone_offset_s"])
        by_hour[child_id, (moment + offset).replace(minute=0) - offset, row["zone_offset_s"]].append(row)
    hours = {}
    for key, members in by_hour.items():
        said = {"minutes": len(members), "covered_s": sum(row["covered_s"] for row in members)}
        for name in METRICS:
            weight = sum(row[f"{name}_s"] for row in members)
            total = sum(row[name] * row[f"{name}_s"] for row in members if row[f"{name}_s"])
            said |= {name: total / weight if weight else None, f"{name}_s": weight}
        for name in EXTREMES:
            lows = [row[f"{name}_min"] for row in members if row[f"{name}_min"] is not None]
            highs = [row[f"{name}_max"] for row in members if row[f"{name}_max"] is not None]
            said |= {f"{name}_min": min(lows, default=None), f"{name}_max": max(highs, default=None)}
        hours[key] = said
    return hours


def check(superuser: psycopg.Connection) -> None:
    """Every minute and every hour is what one sum over everything gives, and there is no other."""
    minutes = expected_minutes(superuser)
    found = {(row["child_id"], row["time"]): row for row in rows(superuser, "minute_rollups")}
    compare(found, minutes)
    hours = {(row["child_id"], row["time"], row["zone_offset_s"]): row for row in rows(superuser, "hour_rollups")}
    compare(hours, expected_hours(minutes))


def compare(found: dict[tuple, dict], wanted: dict[tuple, dict]) -> None:
    assert found.keys() == wanted.keys()
    for key, said in wanted.items():
        assert {name: found[key][name] for name in said} == {name: nearly(value) for name, value in said.items()}, key


def nearly(value: object) -> object:
    return pytest.approx(value, rel=1e-6, abs=1e-7) if isinstance(value, int | float) else value


# --- any order ---
