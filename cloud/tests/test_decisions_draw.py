"""Weights become probabilities that add up to exactly 1, and a draw uses those and nothing else."""

import json
import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zenmoon_cloud.decisions import FLOOR, draw, shares
from zenmoon_cloud.decisions.draw import UNITS

WEIGHTS = st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=19).map(
    lambda values: [(f"option {number}", value) for number, value in enumerate(values)]
)


@given(WEIGHTS, st.randoms())
def test_probabilities_add_up_to_exactly_one_in_any_order_and_after_json(weights, order):
    options = list(shares(weights))
    assert [name for name, _ in options] == [name for name, _ in weights]
    assert json.loads(json.dumps(options)) == [[name, probability] for name, probability in options]
    order.shuffle(options)
    assert sum(probability for _, probability in options) == 1


@given(WEIGHTS)
def test_nobody_gets_less_than_the_floor_and_the_order_of_weights_stays(weights):
    options = dict(shares(weights))
    assert min(options.values()) >= FLOOR
    ascending = sorted(weights, key=lambda item: item[1])
    for (lighter, _), (heavier, _) in pairwise(ascending):
        assert options[lighter] <= options[heavier] + 1 / UNITS


def test_what_needs_no_floor_is_shared_in_proportion():
    options = dict(shares([("a", 1), ("b", 2), ("c", 5)]))
    assert options == {"a": 0.125, "b": 0.25, "c": 0.625}


def test_what_is_raised_to_the_floor_is_taken_from_the_others_in_proportion():
    options = dict(shares([("a", 1e-6), ("b", 1), ("c", 3)], floor=0.1))
    assert options["a"] == pytest.approx(0.1, abs=2 / UNITS)
    assert options["c"] / options["b"] == pytest.approx(3, rel=1e-5)


@pytest.mark.parametrize(
    "weights",
    [[], [("a", 1), ("a", 2)], [("a", 0)], [("a", -1)], [("a", math.nan)], [("a", math.inf)], [(f"{n}", 1) for n in range(20)]],
)
def test_weights_without_a_meaning_are_refused(weights):
    with pytest.raises(ValueError):
        shares(weights)


def test_a_draw_follows_the_listed_order_and_reaches_both_ends():
    options = (("a", 0.25), ("b", 0.5), ("c", 0.25))
    drawn = {u: draw(options, u) for u in (0.0, math.nextafter(0.25, 0), 0.25, 0.7499999, 0.75, math.nextafter(1, 0))}
    assert list(drawn.values()) == ["a", "a", "b", "b", "c", "c"]


@pytest.mark.parametrize("u", [-0.1, 1.0, math.nan])
def test_a_draw_takes_a_uniform_number_only(u):
    with pytest.raises(ValueError):
        draw((("a", 1.0),), u)


@given(WEIGHTS, st.integers(0, 2**32))
def test_a_draw_repeats(weights, seed):
    u = random.Random(seed).random()
    assert draw(shares(weights), u) == draw(shares(weights), u)
