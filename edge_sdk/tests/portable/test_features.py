"""Features: right values from known signals, causal, honest about quality, and blind to elapsed time."""

from math import sin

from zenmoon_edge.core.features import INPUT_LIMIT, INPUTS, Features
from zenmoon_edge.core.record import BEATS, CONTACT, STILL, UNSATURATED, WORN
from zenmoon_edge.core.second import Second

ALL = WORN | STILL | CONTACT | UNSATURATED | BEATS


def second(i, **changes):
    values = {
        "acc": [0, 0, 64] * 32,
        "bvp": [500 if n % 32 < 8 else -200 for n in range(64)],
        "eda_us": [2.0] * 4,
        "temperature_c": [33.0] * 4,
        "heart_rate_bpm": 75.0,
        "intervals_ms": [800.0] if i % 4 else [800.0, 800.0],
    }
    values.update(changes)
    return Second((i + 1) * 1000, **values)


def windows(n, make=second, features=None):
    features = features or Features()
    seen = []
    for i in range(n):
        window = features.step(make(i))
        if window is not None:
            seen.append(window)
    return seen


def test_a_window_comes_with_every_fourth_second_and_carries_its_end():
    assert [w.tick_ms for w in windows(11)] == [4000, 8000]


def test_steady_signals_give_their_own_values():
    last = windows(120)[-1]
    assert (last.heart_rate, last.rmssd, last.phasic, last.eda, last.temperature, last.motion) == (150, 0, 0, 200, 3300, 0)
    assert last.quality == ALL
    assert last.inputs == [0.0] * INPUTS


def test_rmssd_is_the_root_mean_square_of_successive_differences():
    alternating = lambda i: second(i, intervals_ms=[780.0 if i % 2 else 820.0])  # noqa: E731
    assert windows(120, alternating)[-1].rmssd == 40


def test_a_gap_between_beats_is_never_a_difference():
    gaps = lambda i: second(i, intervals_ms=[0.0, 700.0 + 50 * (i % 5)])  # noqa: E731
    last = windows(120, gaps)[-1]
    assert last.rmssd is None
    assert not last.quality & BEATS


def test_an_ectopic_beat_does_not_reach_rmssd():
    ectopic = lambda i: second(i, intervals_ms=[500.0, 1100.0] if i % 20 == 10 else [800.0])  # noqa: E731
    assert windows(120, ectopic)[-1].rmssd == 0


def test_beats_need_half_of_the_last_minute():
    def thin(keep):
        return windows(120, lambda i: second(i, intervals_ms=[800.0] if i % 20 < keep else []))[-1].quality & BEATS

    assert thin(14)  # 14 of 20 s hold 0.8 s each: 56 %
    assert not thin(11)  # 44 %


def test_an_ended_pulse_takes_the_contact_bit_and_nothing_else():
    dead = windows(120, lambda i: second(i, bvp=[] if i >= 60 else [0, 400] * 32))
    assert dead[10].quality == ALL
    assert dead[-1].quality == ALL & ~CONTACT
    flat = windows(60, lambda i: second(i, bvp=[7] * 64))
    assert not flat[-1].quality & CONTACT


def test_off_the_wrist_nothing_is_learnt_and_no_input_is_given():
    def taken_off(i):
        return second(i, eda_us=[0.0] * 4, temperature_c=[22.0] * 4) if 200 <= i < 800 else second(i)

    seen = windows(1000, taken_off)
    assert not seen[100].quality & WORN
    assert seen[100].inputs is None
    # Had the baseline learnt the table's values, the wrist would now look extraordinary.
    assert max(abs(z) for z in seen[-1].inputs) < 0.1


def test_either_dry_or_cold_is_not_worn():
    assert windows(8)[-1].quality & WORN
    dry = windows(8, lambda i: second(i, eda_us=[2.0, 2.0, 2.0, 0.0] if i == 6 else [2.0] * 4))
    assert [w.quality & WORN for w in dry] == [WORN, 0]
    assert not windows(4, lambda i: second(i, temperature_c=[22.0] * 4))[-1].quality & WORN
    assert not windows(4, lambda i: second(i, temperature_c=[45.0] * 4))[-1].quality & WORN


def test_motion_is_the_deviation_of_the_magnitude_and_ends_stillness():
    shaken = windows(8, lambda i: second(i, acc=[0, 0, 96, 0, 0, 32] * 16))
    assert shaken[-1].motion == 500  # 32/64 g
    assert not shaken[-1].quality & STILL


def test_a_saturated_amplifier_is_told():
    assert not windows(8, lambda i: second(i, eda_us=[99.0] * 4))[-1].quality & UNSATURATED


def test_absent_sensors_are_absent_values():
    bare = windows(
        8,
        lambda i: Second((i + 1) * 1000, [], [], [], []),
    )[-1]
    assert bare[1:7] == (None, None, None, None, None, None)
    assert bare.quality == 0
    assert bare.inputs is None


def lively(i):
    return second(
        i,
        eda_us=[2 + 0.5 * sin(i / 37) + 0.1 * sin(i / 3)] * 4,
        temperature_c=[33 + 0.3 * sin(i / 211)] * 4,
        heart_rate_bpm=80 + 9 * sin(i / 50),
        acc=[0, 0, 64 + i % 5] * 32,
    )


def test_inputs_rise_with_the_signal_against_the_wearers_own_past_and_stay_bounded():
    calm = windows(1200, lively)[-1]
    assert max(abs(z) for z in calm.inputs) < INPUT_LIMIT
    features = Features()
    windows(1200, lively, features)
    excited = windows(4, lambda i: second(1200 + i, eda_us=[9.0] * 4, heart_rate_bpm=150.0), features)[-1]
    assert excited.inputs[0] > 3
    assert excited.inputs[2] == INPUT_LIMIT


def test_windows_do_not_depend_on_what_comes_later():
    whole = windows(400, lively)
    changed = windows(400, lambda i: lively(i) if i < 200 else second(i, eda_us=[7.0] * 4))
    assert whole[:50] == changed[:50]
    assert whole[50:] != changed[50:]


def test_a_late_session_looks_like_an_early_one():
    # Periodic signals: after the baseline has settled, hours more of the same change no input beyond rounding.
    period = 600
    features = Features()
    early, late = [], []
    for i in range(24 * period):
        kept = early if i // period == 12 else late if i // period == 23 else None
        window = features.step(second(i, eda_us=[2 + (i % period) / period] * 4, heart_rate_bpm=70.0 + (i % period) / 60))
        if window is not None and kept is not None:
            kept.append(window.inputs)
    # The memory of the baseline halves with every period: 12 and 23 periods in, it holds the same but for 2^-12.
    assert len(early) == len(late) == period // 4
    for i, inputs in enumerate(early):
        assert max(abs(a - late[i][j]) for j, a in enumerate(inputs)) < 0.02
