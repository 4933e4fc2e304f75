"""Sampling keeps its pace whatever fails in between."""

from types import SimpleNamespace

import pytest
from zenmoon.sampling import Sampling
from zenmoon_edge.core.record import END, EVENT, MODEL_READY, RECORD, WORN
from zenmoon_edge.core.second import Second

NAN, INFINITE = float("nan"), float("inf")


class Sensor:
    def __init__(self, seconds):
        self._seconds = iter(seconds)

    async def second(self):
        return next(self._seconds, None)


class Model:
    """Ready at once; fails at the steps given."""

    def __init__(self, failing=()):
        self._failing = failing
        self._steps = 0

    def step(self, inputs, rate_bpm):
        self._steps += 1
        if self._steps in self._failing:
            raise ValueError("spoilt")
        return (0, 0, False) if inputs is None else (100, 50, True)


class Faults:
    def __init__(self):
        self.seen = []

    def fault(self, error):
        self.seen.append(error)


def second(n, **changes):
    values = {
        "acc": [0, 0, 64] * 32,
        "bvp": [0, 50] * 32,
        "eda_us": [1.5] * 4,
        "temperature_c": [33.0] * 4,
        "heart_rate_bpm": 75.0,
        "intervals_ms": [800.0],
    }
    return Second(1000 * (n + 1), **{**values, **changes})


async def sampled(seconds, model=None):
    appended, health = [], Faults()
    entries = SimpleNamespace(append=lambda *entry: appended.append(entry))
    board = SimpleNamespace(battery=lambda: 80, charging=lambda: True)
    await Sampling(Sensor(seconds), model or Model(), entries=entries, health=health, board=board).run()
    records = [(tick, values) for kind, tick, values in appended if kind == RECORD]
    return records, health.seen, [entry for entry in appended if entry[0] == EVENT]


async def test_battery_and_charging_stand_in_every_record():
    records, _, _ = await sampled(second(n) for n in range(8))
    assert [values[9] for _, values in records] == [80 | 128] * 2


async def test_a_model_step_that_fails_costs_its_strain_only():
    records, faults, _ = await sampled((second(n) for n in range(12)), Model(failing={2}))
    assert [bool(values[8] & MODEL_READY) for _, values in records] == [True, False, True]
    assert records[1][1][6:8] == (0, 0)
    assert records[1][1][3] == 150
    assert len(faults) == 1


@pytest.mark.parametrize(
    "spoilt",
    [
        {"eda_us": [NAN] * 4},
        {"eda_us": [1.5, INFINITE, 1.5, 1.5]},
        {"temperature_c": [NAN, -INFINITE]},
        {"heart_rate_bpm": NAN},
        {"intervals_ms": [NAN, 800.0]},
    ],
)
async def test_a_value_that_is_no_number_does_not_outlive_its_second(spoilt):
    records, faults, _ = await sampled(second(n, **(spoilt if n == 5 else {})) for n in range(16))
    assert [tick for tick, _ in records] == [4000, 8000, 12_000, 16_000]
    assert [values[3] for _, values in records] == [150] * 4
    assert all(values[8] & WORN for _, values in records)
    assert faults == []


async def test_features_that_fail_lose_their_window_and_no_other():
    records, faults, _ = await sampled(second(n, **({"acc": "abc"} if n == 5 else {})) for n in range(16))
    assert [tick for tick, _ in records] == [4000, 8000, 12_000, 16_000]
    assert [values[8] == 0 for _, values in records] == [False, True, False, False]
    assert records[1][1][:6] == (None,) * 6
    assert len(faults) == 1


async def test_putting_on_and_taking_off_are_events_at_the_end_of_their_window():
    off = {"eda_us": [0.0] * 4, "temperature_c": [21.0] * 4}
    _, _, events = await sampled(second(n, **(off if n >= 8 else {})) for n in range(12))
    assert events == [(EVENT, 4000, (2, 1)), (EVENT, 12_000, (2, 0)), (EVENT, 12_000, (END, 12))]
