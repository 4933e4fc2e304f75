"""Engagement on the phone: a child is compared with itself, off the wrist nothing is said, and no clock goes in."""

from zenmoon_edge.core.engagement import ABSENT_MINUTES, Engagement, Minutes
from zenmoon_edge.core.tinylstm import ModelError

CALM = [80.0, 45.0, 1.5, 32.6, 0.01, 0.25]


def shipped(name="engagement"):
    import zenmoon_edge.core.tinylstm as module

    with open(module.__file__.rsplit("/", 2)[0] + "/models/" + name + ".tflite", "rb") as file:
        return file.read()


def life(minutes):
    """Hours of stillness, with forty minutes of play in every four."""
    result = []
    for i in range(minutes):
        playing = i % 240 >= 200
        result.append(
            [
                80.0 + (24.0 if playing else 0.0) + i % 5,
                45.0 - (15.0 if playing else 0.0) + i % 3,
                1.5 + 0.05 * (i % 4),
                32.6,
                0.15 + 0.01 * (i % 3) if playing else 0.01 + 0.002 * (i % 3),
                0.2 + 0.01 * (i % 4),
            ]
        )
    return result


def said(engagement, minutes):
    return [engagement.step(values, 1.0) for values in minutes]


def test_inputs_are_distances_from_the_childs_own_usual():
    one, other = Minutes(), Minutes()
    for heart_rate, rmssd, conductance, temperature, motion, strain in life(300):
        a = one.step([heart_rate, rmssd, conductance, temperature, motion, strain], 1.0)
        b = other.step([heart_rate + 16, rmssd * 2, conductance * 4, temperature + 1, motion * 1.5, strain + 0.25], 1.0)
        assert len(a) == len(b) and all(abs(x - y) < 0.02 for x, y in zip(a, b))  # noqa: B905 - MicroPython


def test_the_first_minute_is_nowhere_and_a_missing_value_is_the_usual():
    minutes = Minutes()
    assert minutes.step(CALM, 0.5) == [0.0] * 6 + [0.5]
    assert minutes.step([None] * 6, 1.0) == [0.0] * 6 + [1.0]
    assert minutes.step([92.0] + CALM[1:], 1.0)[0] > 0.5


def test_no_input_leaves_its_range():
    minutes = Minutes()
    for values in (CALM, [220.0, 1.0, 60.0, 42.0, 2.0, 1.0], [40.0, 200.0, 0.0, 20.0, 0.0, 0.0]):
        assert all(-4.0 <= x <= 4.0 for x in minutes.step(values, 1.0))


def test_it_waits_for_some_minutes_and_then_gives_a_share():
    engagement = Engagement(shipped())
    answers = said(engagement, life(60))
    assert answers[: engagement.ready_minutes - 1] == [None] * (engagement.ready_minutes - 1)
    assert all(0 <= answer <= 1 for answer in answers[engagement.ready_minutes - 1 :])


def test_play_engages_more_than_hours_of_stillness():
    answers = said(Engagement(shipped()), life(960))
    play = [answers[i] for i in range(480, 960) if i % 240 >= 205]
    still = [answers[i] for i in range(480, 960) if 60 <= i % 240 < 200]
    assert sum(play) / len(play) > sum(still) / len(still) + 0.05


def test_off_the_wrist_it_says_nothing_and_soon_goes_on():
    engagement = Engagement(shipped())
    said(engagement, life(60))
    assert [engagement.step([None] * 6, 0.0) for _ in range(ABSENT_MINUTES - 1)] == [None] * (ABSENT_MINUTES - 1)
    assert engagement.step(CALM, 1.0) is not None


def test_after_half_an_hour_off_it_waits_again_but_knows_the_childs_usual():
    engagement, fresh = Engagement(shipped()), Engagement(shipped())
    said(engagement, life(600))
    for _ in range(ABSENT_MINUTES):
        engagement.step([None] * 6, 0.0)
    again = said(engagement, life(120))
    assert again[: engagement.ready_minutes - 1] == [None] * (engagement.ready_minutes - 1)
    assert again != said(fresh, life(120))


def test_reset_forgets_the_child():
    engagement, fresh = Engagement(shipped()), Engagement(shipped())
    said(engagement, life(200))
    engagement.reset()
    assert said(engagement, life(60)) == said(fresh, life(60))


def test_only_a_model_of_this_kind_is_taken():
    for refused in ("wearable", "alerts"):
        try:
            Engagement(shipped(refused))
        except ModelError as error:
            assert error.reason == "metadata"
        else:
            raise AssertionError("accepted")
