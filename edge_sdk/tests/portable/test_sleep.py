"""Sleep: only the past counts, units do not, what is missing is forgiven, and the count rules are the published ones."""

from zenmoon_edge.core.sleep import ABSENT_EPOCHS, INPUT_NAMES, INPUTS, METADATA, ColeKripke, Sadeh, Sleep, SleepFeatures
from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

MOVEMENT = INPUT_NAMES.index("heart_rate_now")  # inputs before it are of movement


def phone():
    import zenmoon_edge.core.tinylstm as module

    with open(module.__file__.rsplit("/", 2)[0] + "/models/sleep.tflite", "rb") as file:
        return file.read()


def a_night(epochs):
    """Awake and restless at first, then still with a slow pulse, and a turn every now and then: (counts, bpm) each."""
    state = 7
    night = []
    for i in range(epochs):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        chance = state / 0x7FFFFFFF
        awake = i < 40 or 150 <= i < 170
        counts = 20.0 * chance if awake else 4.0 * chance if i % 23 == 0 else 0.0
        night.append((counts, (72.0 if awake else 56.0) + 4.0 * chance))
    return night


def features(night):
    stream = SleepFeatures()
    return [stream.step(counts, rate) for counts, rate in night]


def said(night):
    sleep = Sleep(phone())
    return [sleep.step(counts, rate) for counts, rate in night]


def test_what_comes_later_changes_nothing_that_was_said():
    night = a_night(200)
    other = night[:120] + [(90.0, 120.0)] * 80
    assert features(night)[:120] == features(other)[:120]
    assert features(night)[120] != features(other)[120]
    assert said(night)[:120] == said(other)[:120]


def test_the_unit_of_the_counts_does_not_matter():
    night = a_night(150)
    for factor in (0.25, 64.0):  # powers of two: not even the last bit changes
        assert features([(factor * counts, rate) for counts, rate in night]) == features(night)
    for ours, theirs in zip(features([(37.1 * c, r) for c, r in night]), features(night)):  # noqa: B905 - MicroPython
        assert max([abs(a - b) for a, b in zip(ours, theirs)]) < 1e-3  # noqa: B905 - MicroPython


def test_what_was_long_ago_is_forgotten():
    # The same hours after another evening: the one far larger movement has lost its weight after some half-lives of 8 h.
    late, fresh = SleepFeatures(), SleepFeatures()
    for i in range(8000):
        late.step(2000.0 if i < 10 else 0.0, 60.0)
    for counts, rate in a_night(200):
        ours, theirs = late.step(counts, rate), fresh.step(counts, rate)
    for a, b in zip(ours, theirs):  # noqa: B905 - MicroPython
        assert abs(a - b) < 0.6


def test_the_same_stillness_says_the_same_however_late_it_is():
    stream = SleepFeatures()
    for i in range(3000):
        row = stream.step(9.0 if i < 3 else 0.0, 60.0)
        if i == 700:
            early = row
    for a, b in zip(early, row):  # noqa: B905 - MicroPython
        assert abs(a - b) < 1e-3  # nothing counts the epochs


def test_without_heart_rate_movement_still_speaks():
    night = a_night(120)
    silent = features([(counts, None) for counts, _ in night])
    assert [row[:MOVEMENT] for row in silent] == [row[:MOVEMENT] for row in features(night)]
    assert all(row[MOVEMENT:] == [0.0] * (INPUTS - MOVEMENT) for row in silent)
    asleep = said([(counts, None) for counts, _ in night])
    assert asleep[30][0] < asleep[110][0]


def test_an_impossible_heart_rate_is_none():
    for rate in (0.0, 24.0, 300.0, float("nan"), float("inf")):
        assert features([(1.0, 60.0), (1.0, rate)])[1] == features([(1.0, 60.0), (1.0, None)])[1]


def test_a_night_without_any_movement_is_no_error():
    assert all(row[0] < 0 for row in features([(0.0, None)] * 50))


def test_broken_counts_are_absent():
    for counts in (None, -1.0, float("nan"), float("inf")):
        assert SleepFeatures().step(counts, 60.0) is None
        assert Sleep(phone()).step(counts, 60.0) == (0, 0, False)


def test_stillness_is_sleep_and_restlessness_is_not():
    night = said(a_night(200))
    assert night[38][0] < night[140][0] - 50
    assert night[38][1] == 0
    assert night[140][1] > 0


def test_the_stage_is_awake_exactly_below_the_threshold():
    sleep = Sleep(phone())
    for counts, rate in a_night(200):
        asleep, stage, _ = sleep.step(counts, rate)
        assert (stage == 0) == (asleep < sleep.threshold)
        assert 0 <= stage <= 3


def test_nothing_may_be_shown_in_the_first_five_minutes():
    assert [ready for _, _, ready in said(a_night(15))] == [False] * 10 + [True] * 5


def test_a_short_gap_is_forgiven_and_ten_minutes_are_a_new_start():
    night = a_night(60)
    sleep, fresh = Sleep(phone()), Sleep(phone())
    for counts, rate in night:
        sleep.step(counts, rate)
    for _ in range(ABSENT_EPOCHS - 1):
        assert sleep.step(None, None) == (0, 0, False)
    assert sleep.step(*night[-1])[2]
    for _ in range(ABSENT_EPOCHS + 5):
        sleep.step(None, None)
    assert [sleep.step(*epoch) for epoch in night] == [fresh.step(*epoch) for epoch in night]


def test_reset_begins_a_night():
    night = a_night(60)
    sleep = Sleep(phone())
    first = [sleep.step(*epoch) for epoch in night]
    sleep.reset()
    assert [sleep.step(*epoch) for epoch in night] == first


def test_cole_kripke_as_published():
    # One minute of 10 counts in stillness meets each weight in turn, the later minutes' first.
    rule = ColeKripke(causal=False)
    indexes = [rule.step(counts) for counts in [5.0, 5.0] + [0.0] * 14]
    expected = [0.67, 0.74, 2.30, 0.76, 0.58, 0.54, 1.06, 0.0]
    assert len(indexes) == 2 * len(expected) and all(abs(a - b) < 1e-9 for a, b in zip(indexes[1::2], expected))  # noqa: B905 - MicroPython
    assert rule.delay == 4


def test_cole_kripke_without_the_future_scores_even_movement_alike():
    published, causal = ColeKripke(causal=False, scale=2.0), ColeKripke(causal=True, scale=2.0)
    for _ in range(20):
        a, b = published.step(3.0), causal.step(3.0)
    assert causal.delay == 0
    assert abs(a - b) < 1e-9
    assert abs(a - 0.665 * 2 * 6) < 1e-9


def test_sadeh_as_published():
    # Eleven minutes of 60 counts: mean 60, all eleven moderate, no spread.
    for rule in (Sadeh(causal=False), Sadeh(causal=True)):
        for _ in range(30):
            index = rule.step(30.0)
        assert abs(index + (7.601 - 0.065 * 60 - 1.08 * 11 - 0.703 * 4.110874)) < 1e-5
    still = Sadeh()
    assert abs(still.step(0.0) + 7.601) < 1e-9
    spread = Sadeh()
    spread.step(100.0)  # one minute of 100 counts, the last: mean 100/6, spread 100/√6
    assert abs(spread.step(0.0) + (7.601 - 0.065 * 100 / 6 - 0.056 * 40.824829 - 0.703 * 4.615121)) < 1e-5


def test_the_published_rules_know_what_comes_and_say_so_late():
    for rule, delay in ((Sadeh(causal=False), 10), (ColeKripke(causal=False), 4)):
        assert rule.delay == delay


def test_a_model_of_something_else_is_refused():
    model = phone()
    at = model.find(TinyLSTM(model).metadata(METADATA))
    for field, value in ((0, 9), (1, 3), (2, 200), (2, model[at + 3]), (3, 200), (3, model[at + 2])):
        damaged = model[: at + field] + bytes([value]) + model[at + field + 1 :]
        try:
            Sleep(damaged)
        except ModelError as error:
            assert error.reason == "metadata"
        else:
            raise AssertionError("accepted")
