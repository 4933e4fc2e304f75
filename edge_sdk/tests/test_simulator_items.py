"""A simulated history as it is sent: valid for the wire, complete but for its gaps, and the same in every overlapping span."""

import json
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from zenmoon_edge.core.record import BEATS, CONTACT, MODEL_READY, WORN
from zenmoon_edge.importing import METRICS, Source
from zenmoon_edge.simulator import Calendar, Child, Trip, Truth, history, source_of, truth

CALENDAR = Calendar(trips=[Trip(date(2026, 10, 17), "America/Sao_Paulo"), Trip(date(2026, 10, 22), "Europe/Berlin")])
# Worn more carelessly than usual, so that a month has every kind of gap.
CHILD = Child(seed=4, calendar=CALENDAR, forgetting=0.15, loosening=5.0)
BEGIN = datetime(2026, 10, 8, 9, 30, tzinfo=UTC)
END = BEGIN + timedelta(days=21)
STEPS = {"heart_rate_bpm": 2, "rmssd_ms": 1, "eda_us": 100, "eda_phasic_us": 100, "temperature_c": 100, "motion_g": 1000}

Items = list[dict[str, Any]]


@pytest.fixture(scope="module")
def items() -> Items:
    return list(history(CHILD, BEGIN, END, source_of(CHILD)))


@pytest.fixture(scope="module")
def epochs(items: Items) -> Items:
    return [item for item in items if item["kind"] == "epoch"]


@pytest.fixture(scope="module")
def known() -> Truth:
    return truth(CHILD, BEGIN, END)


def test_there_is_an_epoch_for_every_minute_but_those_on_the_charger(epochs: Items, known: Truth) -> None:
    sent = known.epochs.working
    assert [item["tick_ms"] for item in epochs] == known.ts_ms[sent].tolist()
    assert [item["coverage"] for item in epochs] == known.epochs.coverage[sent].tolist()
    assert [item["zone_offset_s"] for item in epochs] == known.zone_offset_s[sent].tolist()
    assert {offset // 3600 for offset in known.zone_offset_s.tolist()} == {2, 1, -3}
    assert 0.01 < 1 - sent.mean() < 0.2


def test_values_are_those_of_the_truth_in_the_steps_of_the_wire(epochs: Items, known: Truth) -> None:
    rows = known.epochs.values[known.epochs.working]
    for column, name in enumerate(METRICS):
        said = np.array([np.nan if item[name] is None else item[name] for item in epochs])
        np.testing.assert_array_equal(said, rows[:, column])
        steps = STEPS.get(name, 255)
        off = np.abs(said * steps - np.round(said * steps))
        assert np.nanmax(off) < (0.02 if steps == 255 else 1e-6)


def test_gaps_of_every_kind_are_there_and_say_nothing_they_may_not(epochs: Items) -> None:
    off = [item for item in epochs if item["coverage"] == 0]
    partly = [item for item in epochs if 0 < item["coverage"] < 1]
    assert len(off) > 100
    assert len(partly) > 100
    for item in off:
        measured = {name for name in METRICS if item[name] is not None}
        assert measured == {"temperature_c", "motion_g"}
    unworn = [item for item in off if not item["quality"] & WORN]
    assert min(item["temperature_c"] for item in unworn) < 25  # a band on a table is as warm as the room
    assert any(item["heart_rate_bpm"] is None for item in partly)
    assert any(item["rmssd_ms"] is None and item["heart_rate_bpm"] is not None for item in epochs)
    for item in epochs:
        assert (item["stress_level"] is not None) == bool(item["coverage"] and item["quality"] & MODEL_READY)
        assert (item["heart_rate_bpm"] is not None) == bool(item["coverage"] and item["quality"] & CONTACT)
        assert item["rmssd_ms"] is None or item["quality"] & BEATS


def test_the_first_minute_back_on_the_wrist_has_no_strain(epochs: Items) -> None:
    fresh = [after for before, after in pairwise(epochs) if before["coverage"] == 0 and after["coverage"] > 0]
    assert len(fresh) > 10
    assert all(item["stress_level"] is None for item in fresh)
    joined = [pair for pair in pairwise(epochs) if pair[1]["seq"] == pair[0]["seq"] + 1]
    worn_on = [after for before, after in joined if before["coverage"] and after["coverage"]]
    assert all(item["stress_level"] is not None for item in worn_on), "midnight is a minute like any other"


def test_numbers_and_times_rise_and_every_item_is_json(items: Items, epochs: Items) -> None:
    assert all(before["seq"] < after["seq"] for before, after in pairwise(epochs))
    assert len({item["seq"] for item in items}) == len(items)
    for item in items:
        assert json.loads(json.dumps(item, allow_nan=False)) == item


def test_an_overlapping_span_gives_the_same_items(items: Items) -> None:
    part = list(history(CHILD, BEGIN + timedelta(days=2, hours=5), BEGIN + timedelta(days=4), source_of(CHILD)))
    by_seq = {item["seq"]: item for item in items}
    assert len(part) > 1500
    assert all(by_seq[item["seq"]] == item for item in part)


def test_nights_are_sent_some_minutes_beside_the_truth(items: Items, known: Truth) -> None:
    sleeps = [item for item in items if item["kind"] == "sleep"]
    missing = len(known.nights) - len(sleeps)
    assert 0 < missing < 8, "the band was left off for some nights"
    by_wake = {night.wake: night for night in known.nights}
    errors = []
    for item in sleeps:
        ended = round(datetime.fromisoformat(item["ended_at"]).timestamp() / 60)
        wake = min(by_wake, key=lambda at: abs(at - ended))
        night = by_wake[wake]
        errors.append(item["tick_ms"] // 60_000 - night.onset)
        assert abs(ended - wake) <= 8
        assert abs(item["asleep_s"] / 60 - night.asleep_min) <= 25
        assert item["asleep_s"] <= (ended * 60 - item["tick_ms"] // 1000)
        assert 0.7 < item["efficiency"] <= 1
        assert item["nap"] == night.nap
        assert item["zone_offset_s"] in {7200, 3600, -10800}
    assert max(map(abs, errors)) <= 10
    assert np.std(errors) > 1


def test_a_source_of_ones_own_can_say_it() -> None:
    source = Source(1, 2, firmware=3, model=4)
    first = next(history(CHILD, BEGIN, END, source))
    assert (first["device"], first["boot"], first["firmware"]) == ("0000000000000001", 2, "00000003")
    assert source_of(CHILD).device != source_of(Child(seed=5)).device
