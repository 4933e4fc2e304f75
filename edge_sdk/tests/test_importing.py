"""Items of a source that is no wearable: each can be stored, has a number of its own, and a payload that tells contents apart."""

import hashlib
import json
import math
import re
import struct
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zenmoon_edge.importing import METRICS, ImportingError, Source

DEVICE, BOOT, FIRMWARE, MODEL = 0xF1B2C3D4E5F60718, 3735928559, 0x9F3C01AA, 0x5B7712E0
MINUTE = 1795197780000
VALUES = {
    "heart_rate_bpm": 84.5, "rmssd_ms": 38, "eda_us": 2.41, "eda_phasic_us": -0.12, "temperature_c": 33.18, "motion_g": 0.031,
    "stress_level": 0.42, "anomaly": 0.07,
}  # fmt: skip
SAID = {"coverage": 0.75, "quality": 63, "zone_offset_s": 3600}
NIGHT = {"asleep_s": 30000, "awakenings": 3, "efficiency": 0.92, "nap": False, "zone_offset_s": 3600}


def source(**changes: int) -> Source:
    return Source(**{"device": DEVICE, "boot": BOOT, "firmware": FIRMWARE, "model": MODEL} | changes)


def test_an_epoch_reads_as_the_wire_describes_it():
    head = struct.pack("<BIQIII", 129, 0, MINUTE, FIRMWARE, MODEL, 0)
    body = struct.pack("<BdH8di", 63, 0.75, 0b1_1111_1111, *VALUES.values(), 3600)
    assert source().epoch(MINUTE, VALUES, **SAID) == {
        "kind": "epoch", "device": "f1b2c3d4e5f60718", "boot": BOOT, "seq": 0, "tick_ms": MINUTE, "ts": "2026-11-20T18:03:00.000Z",
        "payload": hashlib.sha256(head + body).hexdigest()[:16], "firmware": "9f3c01aa", "model": "5b7712e0", "revision": 0,
        "coverage": 0.75, "quality": 63, **VALUES, "zone_offset_s": 3600,
    }  # fmt: skip


def test_a_night_reads_as_the_wire_describes_it():
    head = struct.pack("<BIQIII", 130, 7, MINUTE + 1, FIRMWARE, MODEL, 2)
    body = struct.pack("<IIIBdi", 36_000_000, 30000, 3, 0b110, 0.92, 3600)
    assert source().sleep(MINUTE + 1, MINUTE + 36_000_001, **NIGHT, revision=2, seq=7) == {
        "kind": "sleep", "device": "f1b2c3d4e5f60718", "boot": BOOT, "seq": 7, "tick_ms": MINUTE + 1,
        "ts": "2026-11-20T18:03:00.001Z", "payload": hashlib.sha256(head + body).hexdigest()[:16], "firmware": "9f3c01aa",
        "model": "5b7712e0", "revision": 2, "ended_at": "2026-11-21T04:03:00.001Z", **NIGHT,
    }  # fmt: skip


def test_what_was_not_measured_is_said_to_be_absent():
    item = source().epoch(MINUTE, {"temperature_c": 33.0}, coverage=0, quality=0, zone_offset_s=None)
    assert item["temperature_c"] == 33.0
    assert {name for name in (*METRICS, "zone_offset_s") if item[name] is None} == {*METRICS, "zone_offset_s"} - {"temperature_c"}
    night = source().sleep(MINUTE, MINUTE + 60_000, **NIGHT | {"asleep_s": 0, "efficiency": None, "zone_offset_s": None})
    assert (night["efficiency"], night["zone_offset_s"]) == (None, None)


def test_each_item_gets_a_number_of_its_own_also_after_one_that_was_chosen():
    made = source(seq=5)
    seqs = [made.epoch(MINUTE, {}, **SAID, seq=chosen)["seq"] for chosen in (None, 9, None, 2, None)]
    assert seqs == [5, 9, 10, 2, 11]
    assert made.sleep(MINUTE, MINUTE + 60_000, **NIGHT | {"asleep_s": 1})["seq"] == 12
    assert made.seq == 13


def test_a_refused_item_uses_no_number():
    made = source()
    with pytest.raises(ImportingError):
        made.epoch(MINUTE + 1, {}, **SAID)
    with pytest.raises(ImportingError):
        made.sleep(MINUTE, MINUTE, **NIGHT)
    assert made.seq == 0


def test_the_last_number_is_given_once():
    made = source(seq=2**32 - 1)
    assert made.epoch(MINUTE, {}, **SAID)["seq"] == 2**32 - 1
    with pytest.raises(ImportingError, match="draw a new boot") as refusal:
        made.epoch(MINUTE, {}, **SAID)
    assert refusal.value.reason == "number"


CHANGES = [
    ({}, {"quality": 127}),
    ({}, {"coverage": 0.5}),
    ({}, {"zone_offset_s": 7200}),
    ({}, {"zone_offset_s": None}),
    ({}, {"revision": 1}),
    ({}, {"seq": 2}),
    *(({name: value + 0.001}, {}) for name, value in VALUES.items()),
    *(({name: None}, {}) for name in VALUES),
]


def test_payloads_of_different_epochs_differ_and_of_equal_ones_are_equal():
    def payload(values: dict, said: dict, **made: int) -> str:
        return source(**made).epoch(MINUTE, VALUES | values, **{"seq": 1} | SAID | said)["payload"]

    payloads = [payload({}, {}), *(payload(*change) for change in CHANGES), payload({}, {}, model=1), payload({}, {}, firmware=1)]
    payloads.append(source().epoch(MINUTE + 60_000, VALUES, **SAID, seq=1)["payload"])
    assert len(set(payloads)) == len(payloads)
    assert payload({}, {}) == payload({"rmssd_ms": 38.0}, {}, boot=1, device=2)  # the key says who; 38 and 38.0 are one number
    absent, zero = payload({"motion_g": None}, {}), payload({"motion_g": 0}, {})
    assert absent != zero == payload({"motion_g": -0.0}, {})


@pytest.mark.parametrize("change", [{"asleep_s": 1}, {"awakenings": 4}, {"efficiency": None}, {"efficiency": 0.5}, {"nap": True},
                                    {"zone_offset_s": 0}, {"zone_offset_s": None}, {"seq": 2}, {"revision": 1}])  # fmt: skip
def test_payloads_of_different_nights_differ(change):
    usual = source().sleep(MINUTE, MINUTE + 36_000_000, **{"seq": 1} | NIGHT)
    changed = source().sleep(MINUTE, MINUTE + 36_000_000, **{"seq": 1} | NIGHT | change)
    assert usual["payload"] != changed["payload"]
    assert usual["payload"] != source().sleep(MINUTE, MINUTE + 36_000_001, **NIGHT, seq=1)["payload"]


@pytest.mark.parametrize(
    ("values", "said", "reason", "words"),
    [
        ({}, {"ts_ms": MINUTE + 1}, "time", "round it down"),
        ({}, {"ts_ms": -60_000}, "time", "ts_ms is -60000"),
        ({}, {"ts_ms": 60_000 * 2**45}, "time", "ts_ms is"),
        ({}, {"ts_ms": float(MINUTE)}, "time", "whole number"),
        ({}, {"coverage": 1.01}, "value", "coverage is 1.01"),
        ({}, {"coverage": None}, "value", "coverage is None"),
        ({}, {"quality": 256}, "value", "quality is 256"),
        ({}, {"quality": 31}, "value", "quality 31 forbids stress_level"),
        ({}, {"quality": 59}, "value", "quality 59 forbids heart_rate_bpm"),
        ({}, {"coverage": 0}, "value", "coverage is 0, so heart_rate_bpm was not measured"),
        ({}, {"zone_offset_s": 86_401}, "value", "zone_offset_s is 86401"),
        ({"mood": 1}, {}, "value", "'mood' is no value of an epoch"),
        ({"heart_rate_bpm": math.nan}, {}, "value", "heart_rate_bpm is nan"),
        ({"motion_g": math.inf}, {}, "value", "motion_g is inf"),
        ({"motion_g": 1e-40}, {}, "value", "too near 0"),
        ({"motion_g": True}, {}, "value", "motion_g is True"),
        ({"eda_us": "2"}, {}, "value", "eda_us is '2'"),
        ({}, {"revision": -1}, "revision", "revision is -1"),
        ({}, {"revision": 2**31, "seq": 1}, "revision", "revision is"),
        ({}, {"revision": 1}, "revision", "of which item"),
        ({}, {"seq": 2**32}, "number", "seq is"),
    ],
)
def test_an_epoch_that_no_cloud_would_take_is_not_made(values, said, reason, words):
    with pytest.raises(ImportingError, match=words) as refusal:
        source().epoch(**{"ts_ms": MINUTE, "values": VALUES | values} | SAID | said)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"ended_ms": MINUTE}, "time", "ends after its onset"),
        ({"ended_ms": MINUTE + 86_400_001}, "time", "within 24 hours"),
        ({"asleep_s": 36_001}, "value", "longer than the episode"),
        ({"asleep_s": 1.5}, "value", "asleep_s is 1.5"),
        ({"awakenings": -1}, "value", "awakenings is -1"),
        ({"efficiency": 92}, "value", "efficiency is 92"),
        ({"nap": 0}, "value", "nap is neither"),
        ({"zone_offset_s": 1.0}, "value", "zone_offset_s is 1.0"),
    ],
)
def test_a_night_that_no_cloud_would_take_is_not_made(changes, reason, words):
    with pytest.raises(ImportingError, match=words) as refusal:
        source().sleep(**{"onset_ms": MINUTE, "ended_ms": MINUTE + 36_000_000} | NIGHT | changes)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"device": 2**64}, "source"), ({"boot": -1}, "source"), ({"firmware": 2**32}, "source"), ({"model": 1.0}, "source"),
     ({"seq": 2**32 + 1}, "number")],
)  # fmt: skip
def test_a_source_fits_its_bits(changes, reason):
    with pytest.raises(ImportingError) as refusal:
        source(**changes)
    assert refusal.value.reason == reason


@given(
    st.integers(0, 4_223_371_679),
    st.fixed_dictionaries({}, optional={
        name: st.none() | st.floats(metric.low, metric.high).filter(lambda value: not 0 < abs(value) < 2.0**-126)
        for name, metric in METRICS.items()
    }),
)  # fmt: skip
def test_an_epoch_survives_json_and_keeps_its_payload(minute, values):
    first = source().epoch(60_000 * minute, values, **SAID)
    again = json.loads(json.dumps(first, allow_nan=False))
    assert again == first
    assert source().epoch(60_000 * minute, {name: again[name] for name in METRICS}, **SAID) == first


def test_the_items_that_the_documentation_prints_are_those_that_a_source_makes():
    text = (Path(__file__).parents[2] / "docs" / "wire.md").read_text(encoding="utf-8")
    epoch, night = (
        json.loads(block) for block in re.findall(r"```json\n(\{\"kind\": \"(?:epoch|sleep)\".*?)\n```", text, re.DOTALL)
    )
    made = Source(
        int(epoch["device"], 16), epoch["boot"], firmware=int(epoch["firmware"], 16), model=int(epoch["model"], 16), seq=7
    )
    said = {name: epoch[name] for name in ("coverage", "quality", "zone_offset_s")}
    assert made.epoch(epoch["tick_ms"], {name: epoch[name] for name in METRICS}, **said) == epoch
    said = {name: night[name] for name in (*NIGHT, "revision", "seq")}
    ended_ms = int(datetime.fromisoformat(night["ended_at"]).timestamp() * 1000)
    assert made.sleep(night["tick_ms"], ended_ms, **said) == night
