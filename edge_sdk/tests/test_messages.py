"""Items, batches and acknowledgements between gateway and cloud."""

import json
import math
import re

import hypothesis.strategies as st
import pytest
from hypothesis import given
from zenmoon_edge.core.record import (
    ANCHOR,
    BEATS,
    CONTACT,
    EVENT,
    HEALTH,
    MODEL_READY,
    MOTION30,
    RECORD,
    STILL,
    UNSATURATED,
    WORN,
    CodecError,
    Entry,
    Record,
    pack_body,
)
from zenmoon_edge.messages import REFUSAL_CODES, Ack, Batch, MessageError, Refusal, item, new_batch_id

GOOD = WORN | STILL | CONTACT | UNSATURATED | BEATS | MODEL_READY
USUAL = Record(169, 38, 12, 241, 3318, 31, 107, 18, GOOD, 81)
DEVICE, BOOT, FIRMWARE, MODEL, TS = 0xA1B2C3D4E5F60718, 3735928559, 0x9F3C01AA, 0x5B7712E0, 1795197788000
NEEDS = {
    "heart_rate_bpm": WORN | CONTACT,
    "rmssd_ms": WORN | CONTACT | BEATS,
    "eda_us": WORN | CONTACT | UNSATURATED,
    "eda_phasic_us": WORN | CONTACT | UNSATURATED,
    "temperature_c": 0,
    "motion_g": 0,
    "stress_level": WORN | MODEL_READY,
    "anomaly": WORN | MODEL_READY,
    "battery_pct": 0,
}
BATCH = {"batch_id": "01JD3C8V0PZ7Q2M4N6R8T0W2Y4", "gateway_id": "gw_1", "sent_at": "2026-11-20T18:03:11.250Z", "items": []}
ANSWER = {"batch_id": "01JD3C8V0PZ7Q2M4N6R8T0W2Y4", "accepted": 1, "duplicates": 2, "refused": []}


def an_item(kind: int, values: tuple[object, ...], ts_ms: int = TS) -> dict[str, object]:
    return item(Entry(kind, 41, 164000, pack_body(kind, values)), DEVICE, BOOT, FIRMWARE, MODEL, ts_ms)


def test_a_record_reads_as_the_design_prints_it():
    assert an_item(RECORD, USUAL) == {
        "kind": "record",
        "device": "a1b2c3d4e5f60718",
        "boot": 3735928559,
        "seq": 41,
        "tick_ms": 164000,
        "ts": "2026-11-20T18:03:08.000Z",
        "payload": "7e34f112aa24c0e8",
        "firmware": "9f3c01aa",
        "model": "5b7712e0",
        "quality": 63,
        "heart_rate_bpm": 84.5,
        "rmssd_ms": 38,
        "eda_us": 2.41,
        "eda_phasic_us": 0.12,
        "temperature_c": 33.18,
        "motion_g": 0.031,
        "stress_level": 0.4196,
        "anomaly": 0.0706,
        "battery_pct": 81,
    }


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (MOTION30, (512, 90, 3), {"kind": "motion30", "counts": 512, "posture_deg": 90, "quality": 3}),
        (ANCHOR, (TS, 1, 250), {"kind": "anchor", "utc_ms": TS, "source": 1, "uncertainty_ms": 250}),
        (EVENT, (4, 7), {"kind": "event", "code": 4, "value": 7}),
        (HEALTH, (81, 1, 2, 3), {"kind": "health", "battery_pct": 81, "overwritten": 1, "refused": 2, "crash": 3}),
        (HEALTH, (127, 1, 2, 3), {"kind": "health", "battery_pct": None, "overwritten": 1, "refused": 2, "crash": 3}),
    ],
)
def test_the_other_kinds_read_by_the_names_of_their_fields(kind, values, expected):
    built = an_item(kind, values)
    key = {"kind", "device", "boot", "seq", "tick_ms", "ts", "payload", "firmware", "model"}
    assert {name: value for name, value in built.items() if name not in key - {"kind"}} == expected


@pytest.mark.parametrize("quality", range(64))
def test_a_value_is_null_unless_its_quality_allows_it(quality):
    built = an_item(RECORD, USUAL._replace(quality=quality))
    for name, needs in NEEDS.items():
        assert (built[name] is not None) == (quality & needs == needs), name


def test_what_is_absent_is_null():
    built = an_item(RECORD, Record(*[None] * 6, 0, 0, GOOD, 127))
    assert [name for name in NEEDS if built[name] is None] == [name for name in NEEDS if name not in ("stress_level", "anomaly")]


def test_a_charging_wearable_still_says_its_battery():
    assert an_item(RECORD, USUAL._replace(status=128 | 81))["battery_pct"] == 81


@given(st.integers(0, 65534), st.integers(-32767, 32767), st.integers(-4095, 4095), st.integers(0, 510))
def test_values_print_with_the_digits_of_their_resolution(eda, temperature, phasic, heart_rate):
    built = an_item(RECORD, USUAL._replace(eda=eda, temperature=temperature, phasic=phasic, heart_rate=heart_rate))
    for name in ("eda_us", "temperature_c", "eda_phasic_us"):
        assert re.fullmatch(r"-?\d+\.\d{1,2}", json.dumps(built[name]))
    assert built["heart_rate_bpm"] * 2 == heart_rate
    assert round(built["eda_us"] * 100) == eda


def test_the_smallest_ids_keep_their_length():
    built = item(Entry(EVENT, 0, 0, pack_body(EVENT, (1, 0))), 1, 0, 2, 3, 0)
    assert (built["device"], built["firmware"], built["model"]) == ("0000000000000001", "00000002", "00000003")
    assert (len(built["payload"]), built["ts"]) == (16, "1970-01-01T00:00:00.000Z")


@pytest.mark.parametrize("ts_ms", [-1, 253402300800000, 2**64])
def test_a_time_that_no_calendar_has_is_refused(ts_ms):
    with pytest.raises(MessageError) as refusal:
        an_item(EVENT, (1, 0), ts_ms)
    assert refusal.value.reason == "time"


def test_a_body_of_another_length_is_refused():
    with pytest.raises(CodecError):
        item(Entry(RECORD, 0, 0, bytes(13)), DEVICE, BOOT, FIRMWARE, MODEL, TS)


def test_an_item_of_an_unknown_kind_is_refused():
    with pytest.raises(CodecError) as refusal:
        item(Entry(9, 0, 0, bytes(13)), DEVICE, BOOT, FIRMWARE, MODEL, TS)
    assert refusal.value.reason == "kind"


def test_batch_ids_are_ulids_that_sort_by_time():
    ids = [new_batch_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch("[0-7][0-9A-HJKMNP-TV-Z]{25}", one) for one in ids)
    assert [one[:10] for one in ids] == sorted(one[:10] for one in ids)


def test_a_batch_comes_back_as_it_was_sent():
    batch = Batch(BATCH["batch_id"], "gw_1", BATCH["sent_at"], [an_item(RECORD, USUAL), an_item(EVENT, (1, 0))])
    assert Batch.from_json(batch.to_json()) == batch
    assert Batch.from_json(batch.to_json().encode()) == batch
    assert json.loads(batch.to_json())["items"][0]["eda_us"] == 2.41


def test_a_batch_with_nan_cannot_be_sent():
    with pytest.raises(ValueError, match="JSON"):
        Batch("1", "gw_1", BATCH["sent_at"], [{"eda_us": math.nan}]).to_json()


def test_items_are_left_to_their_reader_whatever_they_are():
    # One bad item must not cost its neighbours: the envelope is read, NaN and all.
    text = json.dumps(BATCH | {"items": [1, None, "x", {"kind": 7}, {"eda_us": math.nan}]})
    items = Batch.from_json(text).items
    assert items[:4] == [1, None, "x", {"kind": 7}]
    assert math.isnan(items[4]["eda_us"])


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', b"\xff\xfe\x00", "[" * 100000, '{"a": ' + "9" * 5000 + "}"])
def test_what_is_no_json_object_is_refused(text):
    for message in (Batch, Ack):
        with pytest.raises(MessageError) as refusal:
            message.from_json(text)
        assert refusal.value.reason == "json"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("batch_id", [None, "", 7, "x" * 65, "a b", "a\u0000", "é", "a\n"]),
        ("gateway_id", [None, "", 7, "x" * 65, "a/b"]),
        ("sent_at", [None, "", 7, "yesterday", "2026-11-20T18:03:11", "2026-13-20T18:03:11Z"]),
        ("items", [None, {}, "", 7]),
    ],
)
def test_a_batch_with_a_bad_field_is_refused_by_its_name(name, values):
    missing = {key: value for key, value in BATCH.items() if key != name}
    for content in [missing, *[BATCH | {name: value} for value in values]]:
        with pytest.raises(MessageError, match=name) as refusal:
            Batch.from_json(json.dumps(content))
        assert refusal.value.reason == "field"


def test_fields_that_a_newer_gateway_adds_are_ignored():
    assert Batch.from_json(json.dumps(BATCH | {"new": 1})).gateway_id == "gw_1"


def test_an_acknowledgement_comes_back_as_it_was_sent():
    refused = [Refusal(index, code, "why") for index, code in enumerate(sorted(REFUSAL_CODES))]
    ack = Ack(BATCH["batch_id"], 3, 4, refused)
    assert Ack.from_json(ack.to_json()) == ack
    assert json.loads(ack.to_json()) == {
        "batch_id": BATCH["batch_id"],
        "accepted": 3,
        "duplicates": 4,
        "refused": [{"index": one.index, "code": one.code, "detail": "why"} for one in refused],
    }


def test_a_refusal_may_have_a_code_of_a_newer_cloud_and_no_detail():
    text = json.dumps(ANSWER | {"refused": [{"index": 0, "code": "too_new"}]})
    assert Ack.from_json(text).refused == [Refusal(0, "too_new", "")]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("batch_id", [None, ""]),
        ("accepted", [None, -1, 1.0, True, "1"]),
        ("duplicates", [None, -1, 1.0, True, "1"]),
        ("refused", [None, {}, [1], [{}], [{"index": 0}], [{"index": 0, "code": "x", "detail": None}]]),
    ],
)
def test_an_acknowledgement_with_a_bad_field_is_refused_by_its_name(name, values):
    missing = {key: value for key, value in ANSWER.items() if key != name}
    for content in [missing, *[ANSWER | {name: value} for value in values]]:
        with pytest.raises(MessageError, match=name) as refusal:
            Ack.from_json(json.dumps(content))
        assert refusal.value.reason == "field"


def test_a_refusal_with_a_bad_index_is_refused():
    for index in (None, -1, True, "0", 0.0):
        with pytest.raises(MessageError, match="index"):
            Ack.from_json(json.dumps(ANSWER | {"refused": [{"index": index, "code": "conflict", "detail": ""}]}))


@given(st.text() | st.binary())
def test_any_text_is_read_or_refused_with_a_reason(text):
    for message in (Batch, Ack):
        with pytest.raises(MessageError):
            message.from_json(text)
