"""The early hint: what goes in, when it is silent and why, and that it looks at nothing but the minutes before."""

import struct

from zenmoon_edge.core.early import ABSENT_MINUTES, HEAD, INPUTS, METADATA, Early, Minutes
from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

LIMIT = 0.75


def shipped(name="alerts"):
    import zenmoon_edge.core.tinylstm as module

    with open(module.__file__.rsplit("/", 2)[0] + "/models/" + name + ".tflite", "rb") as file:
        return file.read()


def said(early, strains, heart_rate=84.0, limit=LIMIT):
    return [early.step(strain, heart_rate, 1.0, limit) for strain in strains]


def wavering(minutes, level=0.3):
    return [level + 0.02 * ((7 * i) % 5 - 2) / 2 for i in range(minutes)]


def near(a, b):
    return len(a) == len(b) and all(abs(x - y) < 1e-5 for x, y in zip(a, b))  # noqa: B905 - MicroPython


def test_the_inputs_of_the_first_minutes_are_those_worked_out_by_hand():
    minutes = Minutes()
    assert near(minutes.step(0.5, 80.0, 1.0, 0.75), [-1.25, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    # Means: fast .5 + .25 × .1 = .525, slow .505; heart: slow 80.5, fast 82.5.
    assert near(minutes.step(0.6, 90.0, 0.5, 0.75), [-0.75, 1.0, 0.75, 0.57, 0.95, 0.75, 0.5])
    assert near(minutes.step(0.6, None, 0.5, 0.75)[4:], [0.0, 0.0, 0.5])


def test_inputs_compare_with_the_limit_and_the_childs_own_minutes_only():
    one, other = Minutes(), Minutes()
    for i, strain in enumerate(wavering(40)):
        a = one.step(strain, 80.0 + i % 7, 1.0, 0.7)
        b = other.step(strain + 0.125, 105.0 + i % 7, 1.0, 0.825)
        assert len(a) == len(b) and all(abs(x - y) < 1e-3 for x, y in zip(a, b))  # noqa: B905 - MicroPython


def test_no_input_leaves_its_range():
    minutes = Minutes()
    for strain, heart_rate in ((0.0, 40.0), (1.0, 220.0), (0.0, 40.0)):
        assert all(-4.0 <= x <= 4.0 for x in minutes.step(strain, heart_rate, 1.0, 0.5))


def test_it_speaks_once_it_has_seen_enough_minutes_and_counts_them():
    early = Early(shipped())
    answers = said(early, wavering(early.ready_minutes - 1))
    assert answers == [None] * (early.ready_minutes - 1)
    assert early.silent == "minutes"
    assert early.minutes == early.ready_minutes - 1
    probability = said(early, [0.3])[0]
    assert 0 <= probability <= 1
    assert early.silent == ""


def test_a_rise_towards_the_limit_is_a_sign_and_a_level_is_none():
    level, rising = Early(shipped()), Early(shipped())
    assert said(level, wavering(60))[-1] < level.threshold
    answers = said(rising, wavering(50) + [0.5, 0.7])
    assert max(answers[50:]) >= rising.threshold


def test_at_the_limit_there_is_nothing_left_to_hint_at():
    early = Early(shipped())
    said(early, wavering(30))
    assert said(early, [LIMIT]) == [None]
    assert early.silent == "above"


def test_a_minute_without_strain_is_silent_and_a_short_gap_is_forgiven():
    early = Early(shipped())
    said(early, wavering(30))
    assert said(early, [None] * ABSENT_MINUTES) == [None] * ABSENT_MINUTES
    assert early.silent == "missing"
    assert said(early, [0.3])[0] is not None


def test_a_long_gap_is_a_new_start():
    early, fresh = Early(shipped()), Early(shipped())
    said(early, [0.3 + 0.01 * i for i in range(30)])
    said(early, [None] * (ABSENT_MINUTES + 1))
    assert said(early, wavering(40)) == said(fresh, wavering(40))


def test_reset_forgets_everything():
    early, fresh = Early(shipped()), Early(shipped())
    said(early, [0.3 + 0.01 * i for i in range(40)])
    early.reset()
    assert said(early, wavering(40)) == said(fresh, wavering(40))


def test_only_a_model_of_this_kind_is_taken():
    model = shipped()
    head = TinyLSTM(model).metadata(METADATA)
    assert struct.unpack(HEAD, head)[1] == INPUTS
    at = model.find(head)
    other = model[:at] + bytes([9]) + model[at + 1 :]
    certain = model[: at + 4] + struct.pack("<f", 1.5) + model[at + 8 :]
    for refused in (other, certain, shipped("wearable"), shipped("engagement")):
        try:
            Early(refused)
        except ModelError as error:
            assert error.reason == "metadata"
        else:
            raise AssertionError("accepted")
