"""Validation reads columns, so that speed does not cost correctness: whatever an item holds, only that item is refused."""

import math
from datetime import UTC, datetime, timedelta

import orjson
from hypothesis import given
from hypothesis import strategies as st
from zenmoon_cloud.ingest.fields import Hexadecimal, Moment, Number, Truth, read
from zenmoon_cloud.ingest.quarantine import quarantined
from zenmoon_cloud.ingest.validate import validate
from zenmoon_edge.core.record import (
    ANCHOR,
    EVENT,
    HEALTH,
    MOTION30,
    RECORD,
    Anchor,
    Entry,
    Event,
    Health,
    Motion30,
    Record,
    pack_body,
)
from zenmoon_edge.importing import METRICS, ImportingError, Source
from zenmoon_edge.messages import Refusal, item

GOOD = {
    "kind": "record", "device": "f1b2c3d4e5f60718", "boot": 3735928559, "seq": 41, "tick_ms": 164000,
    "ts": "2026-11-20T18:03:08.000Z", "payload": "8d0c53a1e2f47b90", "firmware": "9f3c01aa", "model": "5b7712e0", "quality": 63,
    "heart_rate_bpm": 84.5, "rmssd_ms": 38,
    "eda_us": 2.41, "eda_phasic_us": 0.12, "temperature_c": 33.18, "motion_g": 0.031, "stress_level": 0.42, "anomaly": 0.07,
    "battery_pct": 81,
}  # fmt: skip

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
EPOCH = {key: value for key, value in GOOD.items() if key != "battery_pct"} | {
    "kind": "epoch", "ts": "2026-11-20T18:03:00.000Z", "revision": 0, "coverage": 0.5, "zone_offset_s": None,
}  # fmt: skip
SLEEP = {key: GOOD[key] for key in ("device", "boot", "seq", "tick_ms", "ts", "payload", "firmware", "model")} | {
    "kind": "sleep", "revision": 2, "ended_at": "2026-11-21T05:00:00.000Z", "asleep_s": 30000, "awakenings": 2, "efficiency": 0.9,
    "nap": False, "zone_offset_s": 3600,
}  # fmt: skip
ITEMS = (GOOD, EPOCH, SLEEP)
MUTATED = st.sampled_from(ITEMS).flatmap(
    lambda item: st.builds(lambda changes: item | changes, st.dictionaries(st.sampled_from(sorted(item)), JSON, max_size=3))
)
ANYTHING = JSON | MUTATED | st.sampled_from(ITEMS)


@given(st.lists(ANYTHING, max_size=12))
def test_every_item_is_either_read_or_refused_once(items):
    columns, refusals = validate(items)
    read_at = [index for kind in columns for index in kind.index]
    refused_at = [refusal.index for refusal in refusals]
    assert sorted(read_at + refused_at) == list(range(len(items)))
    assert refused_at == sorted(refused_at)
    assert {refusal.code for refusal in refusals} <= {"bad_value", "unknown_kind"}
    assert all({len(column) for column in kind.values.values()} == {len(kind)} for kind in columns)


@given(st.lists(ANYTHING, max_size=6), st.lists(ANYTHING, max_size=6))
def test_what_an_item_becomes_does_not_hang_on_its_neighbours(before, after):
    columns, _ = validate([*before, GOOD, EPOCH, SLEEP, *after])
    by_kind = {kind.kind: kind for kind in columns}
    for number, (kind, time) in enumerate(
        {"record": 1795197788000000, "epoch": 1795197780000000, "sleep": 1795197788000000}.items()
    ):
        values, at = by_kind[kind].values, by_kind[kind].index.index(len(before) + number)
        assert (values["device"][at], values["ts"][at]) == (0xF1B2C3D4E5F60718 - 2**64, time)
        if kind == "sleep":
            assert (values["ended_at"][at], values["nap"][at], values["efficiency"][at]) == (1795237200000000, False, 0.9)
        else:
            assert (values["heart_rate_bpm"][at], values["rmssd_ms"][at]) == (84.5, 38)


@given(st.lists(ANYTHING, max_size=8))
def test_what_passes_can_be_stored(items):
    for kind in validate(items)[0]:
        for name, column in kind.values.items():
            for value in column:
                assert value is None or (
                    type(value) in {int, float, bool} and math.isfinite(value) and -(2**63) <= value < 2**63
                ), name


@given(st.lists(ANYTHING, max_size=8))
def test_whatever_is_refused_can_be_kept(items):
    _, refusals = validate(items)
    rows = quarantined(items, refusals, lambda *_: True)
    assert len(rows["digest"]) == len(refusals)
    assert rows == quarantined(items, refusals, lambda *_: True)
    for text in rows["item"]:
        orjson.loads(text)
        assert "\\u0000" not in text
    for text in (*rows["detail"], *filter(None, rows["kind"])):
        assert "\0" not in text
        text.encode()
    assert all(number is None or -(2**63) <= number < 2**63 for name in ("device", "boot", "seq") for number in rows[name])


def test_consent_refusals_leave_nothing_behind():
    assert quarantined([GOOD], [Refusal(0, "consent", "")], lambda *_: True)["item"] == []


NUMBERS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3))
FIELDS = st.sampled_from([
    Number(name="a", low=0, high=255, nullable=True),
    Number(name="b", low=-40.95, high=40.95),
    Number(name="c", low=0, high=2**32 - 1, whole_numbers=True),
    Number(name="d", low=0, high=126, whole_numbers=True, nullable=True),
])  # fmt: skip


@given(FIELDS, st.lists(NUMBERS, max_size=8))
def test_column_and_single_value_readings_agree_on_numbers(field, values):
    assert whole_agrees_with_single(field, values)


@given(
    st.sampled_from([
        Hexadecimal(name="h", digits=16), Hexadecimal(name="g", digits=8), Moment(name="ts"), Moment(name="m", minute=True),
        Truth(name="t"),
    ]),
    st.lists(
        st.none() | st.booleans() | st.from_regex(r"[0-9a-fA-F]{7,17}", fullmatch=True) | st.text(max_size=16)
        | st.datetimes().map(lambda time: time.isoformat())
        | st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat())
        | st.datetimes(timezones=st.just(UTC)).map(lambda time: time.replace(second=0, microsecond=0).isoformat()),
        max_size=8,
    ),
)  # fmt: skip
def test_column_and_single_value_readings_agree_on_texts(field, values):
    assert whole_agrees_with_single(field, values)


def whole_agrees_with_single(field, values) -> bool:
    parsed, wrong = read(field, values)
    for position, value in enumerate(values):
        single, flaw = read(field, [value])
        if bool(flaw) != (position in wrong) or (not flaw and single[0] != parsed[position]):
            return False
    return True


U32 = st.integers(0, 2**32 - 1)
BODIES = st.one_of(
    st.tuples(
        st.just(RECORD),
        st.builds(
            Record, st.none() | st.integers(0, 510), st.none() | st.integers(0, 1022), st.none() | st.integers(-4095, 4095),
            st.none() | st.integers(0, 65534), st.none() | st.integers(-32767, 32767), st.none() | st.integers(0, 65534),
            st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.integers(0, 255),
        ),
    ),
    st.tuples(st.just(MOTION30), st.builds(Motion30, st.integers(0, 65535), st.integers(0, 180), st.integers(0, 255))),
    st.tuples(st.just(ANCHOR), st.builds(Anchor, st.integers(0, 253402300799999), st.integers(0, 255), U32)),
    st.tuples(st.just(EVENT), st.builds(Event, st.integers(0, 255), U32)),
    st.tuples(st.just(HEALTH), st.builds(Health, st.integers(0, 127), U32, U32, U32)),
)  # fmt: skip


KEYS = st.tuples(U32, st.integers(0, 2**48 - 1), st.integers(0, 2**64 - 1), U32)


@given(BODIES, KEYS, st.integers(0, 4102444800000))
def test_everything_that_a_gateway_can_write_passes(body, key, ts_ms):
    seq, tick_ms, device, boot = key
    entry = Entry(body[0], seq, tick_ms, pack_body(*body))
    said = orjson.loads(orjson.dumps(item(entry, device, boot, 0x9F3C01AA, 0x5B7712E0, ts_ms)))
    (columns,), refusals = validate([said])
    assert refusals == []
    assert columns.values["ts"] == [ts_ms * 1000]
    assert columns.values["device"][0] % 2**64 == device


MEASUREMENTS = st.fixed_dictionaries(
    {},
    optional={
        name: st.none() | st.floats(metric.low, metric.high).filter(lambda value: not 0 < abs(value) < 2.0**-126)
        for name, metric in METRICS.items()
    },
)
ZONES = st.none() | st.integers(-86_400, 86_400)
MINUTES = st.integers(0, 60_000_000)


@given(MEASUREMENTS, st.integers(0, 255), st.floats(0, 1), ZONES, MINUTES)
def test_an_epoch_passes_whenever_a_source_makes_it_and_only_then(values, quality, coverage, zone, minute):
    said = {"coverage": coverage, "quality": quality, "zone_offset_s": zone}
    source = Source(5, 6, firmware=7, model=8)
    try:
        made, refused = source.epoch(60_000 * minute, values, **said), False
    except ImportingError:
        # as if the source had not looked: what it refuses of an otherwise good minute, the cloud refuses too
        made = source.epoch(60_000 * minute, {}, coverage=1, quality=63, zone_offset_s=None)
        made, refused = made | dict.fromkeys(METRICS) | values | said, True
    columns, refusals = validate([orjson.loads(orjson.dumps(made))])
    assert bool(refusals) == refused
    if not refused:
        assert {name: columns[0].values[name] for name in METRICS} == {name: [values.get(name)] for name in METRICS}


@given(MINUTES, st.integers(-1000, 90_000_000), st.integers(0, 90_000), st.none() | st.floats(0, 1), st.booleans(), ZONES)
def test_a_night_passes_whenever_a_source_makes_it_and_only_then(minute, length_ms, asleep_s, efficiency, nap, zone):
    said = {"asleep_s": asleep_s, "awakenings": 0, "efficiency": efficiency, "nap": nap, "zone_offset_s": zone}
    source = Source(5, 6, firmware=7, model=8)
    onset = 60_000 * (minute + 1)
    try:
        made, refused = source.sleep(onset, onset + length_ms, **said), False
    except ImportingError:
        made = source.sleep(onset, onset + 1, **said | {"asleep_s": 0, "efficiency": None})
        end = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=onset + length_ms)).isoformat()
        made, refused = made | said | {"ended_at": end}, True
    assert bool(validate([orjson.loads(orjson.dumps(made))])[1]) == refused


def test_only_what_may_be_absent_may_be_missing():
    for good, absent in ((EPOCH, {"zone_offset_s"}), (SLEEP, {"zone_offset_s", "efficiency"}), (GOOD, set())):
        for name in good.keys() - {"kind"}:
            without = {key: value for key, value in good.items() if key != name}
            assert (validate([without])[1] == []) == (name in absent), name
