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


def test_a_sudden_change_is_an_anomaly_and_sameness_is_not():
    strain = Strain(wearable())
    same = run(strain, CALM, 60)[-1][1]
    flipping = [strain.step(STRAINED if i % 2 else CALM) for i in range(20)][-1][1]
    assert flipping > 230
    assert same < 128


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
        with_calibration(model, 7, 255),  # more quantiles than there are
        with_calibration(with_calibration(model, 14, 0xC0), 15, 0x7F),  # the first quantile is NaN
        with_calibration(with_calibration(model, 14, 0x80), 15, 0xFF),  # minus infinity, or NaN
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
