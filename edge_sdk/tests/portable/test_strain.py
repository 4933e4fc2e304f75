"""Strain: smoothing, warm-up, what being taken off the wrist does, and metadata that travel with the model."""

from zenmoon_edge.core.strain import METADATA, Strain
from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

CALM = [-0.5, 0.3, -0.6, -0.2, -0.1, 0.4, 0.1, -0.4]
STRAINED = [2.5, -1.5, 2.5, 1.0, 1.5, -0.5, -0.5, 0.5]


def wearable():
    import zenmoon_edge.core.tinylstm as module

    with open(module.__file__.rsplit("/", 2)[0] + "/models/wearable.tflite", "rb") as file:
        return file.read()


def run(strain, inputs, n):
    return [strain.step(inputs) for _ in range(n)]


def test_strain_is_higher_when_arousal_is_above_the_wearers_usual():
    calm, strained = Strain(wearable()), Strain(wearable())
    assert run(strained, STRAINED, 40)[-1][0] > run(calm, CALM, 40)[-1][0] + 50


def test_nothing_may_be_shown_before_the_warm_up():
    ready = [step[2] for step in run(Strain(wearable()), CALM, 20)]
    assert ready == [False] * 10 + [True] * 10


def test_one_unusual_step_moves_strain_little():
    strain = Strain(wearable())
    before = run(strain, CALM, 40)[-1][0]
    assert abs(strain.step(STRAINED)[0] - before) < 26  # a tenth of the range


def usual(n, spread=0.15):
    """n steps of a calm wearer, whose inputs move a little as a body's do."""
    state = 1
    for _ in range(n):
        step = []
        for value in CALM:
            state = state * 1103515245 + 12345 & 0x7FFFFFFF  # a generator of one's own: MicroPython's is another one
            step.append(value + spread * (state / 0x40000000 - 1))
        yield step


def test_a_sudden_change_is_an_anomaly_and_the_usual_is_not():
    strain = Strain(wearable())
    ordinary = [strain.step(step)[1] for step in usual(90)]
    assert max(ordinary[30:]) < 230
    flipping = [strain.step(STRAINED if i % 2 else CALM)[1] for i in range(20)][-1]
    assert flipping > 250


def test_a_flat_line_is_an_anomaly_although_nothing_is_easier_to_expect():
    strain = Strain(wearable())
    for step in usual(90):
        strain.step(step)
    frozen = [strain.step(CALM)[1] for _ in range(30)]
    assert frozen[-1] > 242  # above 95 % of the training people's steps


def test_a_channel_without_a_sensor_is_no_flat_line():
    strain = Strain(wearable())
    said = []
    for step in usual(120):
        step[0] = 0.0  # the features' word for an absent heart rate
        said.append(strain.step(step)[1])
    assert max(said[30:]) < 230


def test_a_jump_of_the_heart_rate_on_a_swinging_wrist_is_hardly_taken_in():
    strain = Strain(wearable())
    for step in usual(60):
        strain.step(step, 70.0)
    before = strain.heart_rate_bpm()
    swinging = list(STRAINED)
    swinging[0], swinging[7] = 4.0, 4.0
    for _ in range(5):
        strain.step(swinging, 125.0)
    assert abs(before - 70.0) < 0.5
    assert strain.heart_rate_bpm() < 70.0 + 0.3 * 55.0


def test_a_sound_heart_rate_is_followed():
    strain = Strain(wearable())
    rates = [70.0 + i / 10 for i in range(80)]
    errors = []
    for step, rate in zip(usual(80), rates):  # noqa: B905 - MicroPython
        strain.step(step, rate)
        errors.append(abs(strain.heart_rate_bpm() - rate))
    assert sum(errors[20:]) / 60 < 1.0


def test_without_a_measurement_the_heart_rate_is_held_and_a_reset_forgets_it():
    strain = Strain(wearable())
    assert strain.heart_rate_bpm() is None
    strain.step(CALM)
    assert strain.heart_rate_bpm() is None
    strain.step(CALM, 71.5)
    assert strain.heart_rate_bpm() == 71.5
    strain.step(CALM, None)
    assert strain.heart_rate_bpm() == 71.5
    run(strain, None, 15)
    assert strain.heart_rate_bpm() is None


def test_the_heart_rate_does_not_touch_strain_and_anomaly():
    with_rate, without = Strain(wearable()), Strain(wearable())
    for i, step in enumerate(usual(40)):
        assert with_rate.step(step, 60.0 + i) == without.step(step)


def test_off_the_wrist_it_says_nothing_and_a_short_break_is_forgiven():
    strain = Strain(wearable())
    run(strain, CALM, 20)
    assert strain.step(None) == (0, 0, False)
    assert strain.step(CALM)[2]


def test_a_minute_off_the_wrist_is_a_new_start():
    strain, fresh = Strain(wearable()), Strain(wearable())
    run(strain, STRAINED, 40)
    run(strain, None, 15)
    assert run(strain, CALM, 20) == run(fresh, CALM, 20)


def test_a_model_without_calibration_is_refused():
    model = wearable()
    assert TinyLSTM(model).metadata(METADATA) is not None
    at = model.index(METADATA.encode() + b"\0") if hasattr(model, "index") else model.find(METADATA.encode() + b"\0")
    for damaged in (
        model[:at] + b"zenmoom" + model[at + 7 :],
        with_calibration(model, 0, 9),  # another version
        with_calibration(model, 3, 0),  # an expectation of one value
        with_calibration(model, 7, 255),  # more levels than there are
        with_calibration(model, 12, 9),  # a gain where there is no output
        with_calibration(with_calibration(model, 18, 0xC0), 19, 0x7F),  # the first level is NaN
        with_calibration(with_calibration(model, 18, 0x80), 19, 0xFF),  # minus infinity, or NaN
    ):
        try:
            Strain(damaged)
        except ModelError as error:
            assert error.reason == "metadata"
        else:
            raise AssertionError("accepted")


def with_calibration(model, field, value):
    at = model.find(TinyLSTM(model).metadata(METADATA))
    return model[: at + field] + bytes([value]) + model[at + field + 1 :]
