"""The simulated child: the same whenever it is asked, plausible, and its truth consistent with itself."""

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from zenmoon_edge.simulator import Activity, Calendar, Child, Event, Life, SimulatorError, Stage, Truth, truth
from zenmoon_edge.simulator.nights import rhythm

BEGIN = datetime(2026, 9, 6, 22, tzinfo=UTC)  # midnight in Berlin
HEART, RMSSD, EDA, _, SKIN, MOTION, STRAIN, ANOMALY = range(8)


@pytest.fixture(scope="module")
def child() -> Child:
    return Child(seed=11)


@pytest.fixture(scope="module")
def month(child: Child) -> Truth:
    return truth(child, BEGIN, BEGIN + timedelta(days=28))


def columns(known: Truth) -> list[np.ndarray]:
    return [
        known.ts_ms,
        known.zone_offset_s,
        known.strain,
        known.engagement,
        known.stage,
        known.activity,
        known.worn,
        known.alarm_wanted,
        *known.epochs,
    ]


@pytest.mark.parametrize(("after_h", "hours"), [(0, 24), (30.5, 7), (100, 60), (21.9, 4.3)])
def test_any_span_alone_equals_the_same_span_of_a_longer_run(child: Child, month: Truth, after_h: float, hours: float) -> None:
    alone = truth(child, BEGIN + timedelta(hours=after_h), BEGIN + timedelta(hours=after_h + hours))
    first = round(after_h * 60)
    for whole, part in zip(columns(month), columns(alone), strict=True):
        np.testing.assert_array_equal(whole[first : first + round(hours * 60)], part)


def test_the_body_is_the_same_whichever_day_is_asked_first(child: Child) -> None:
    begin_s = int(BEGIN.timestamp()) + 20 * 3600
    forward = Life(child).drive(begin_s, 8 * 3600)
    life = Life(child)
    for n in range(9, -2, -1):
        life.date(date(2026, 9, 7) + timedelta(days=n))
    backward = life.drive(begin_s + 3600, 7 * 3600)
    np.testing.assert_array_equal(forward.heart_rate_bpm[3600:], backward.heart_rate_bpm)
    np.testing.assert_array_equal(forward.tonic_us[3600:], backward.tonic_us)
    np.testing.assert_array_equal(forward.cut(3600, 8 * 3600).responses[:, 1], backward.responses[:, 1])
    np.testing.assert_allclose(forward.cut(3600, 8 * 3600).responses[:, 0], backward.responses[:, 0], atol=1e-6)


def test_another_seed_is_another_life(month: Truth) -> None:
    other = truth(Child(seed=12), BEGIN, BEGIN + timedelta(days=1))
    assert not np.array_equal(other.strain, month.strain[: len(other.strain)])


def test_days_join_without_a_step(child: Child) -> None:
    life = Life(child)
    midnight = int(BEGIN.timestamp()) + 86400
    body = life.drive(midnight - 600, 1200)
    for values in (body.heart_rate_bpm, np.log(body.tonic_us), body.skin_c, np.log(body.rmssd_ms)):
        steps = np.abs(np.diff(values))
        assert steps[599] <= 1.5 * steps.max(where=np.arange(len(steps)) != 599, initial=0) + 0.02


def test_minutes_are_means_of_the_seconds_with_contact(child: Child, month: Truth) -> None:
    life = Life(child)
    body = life.drive(int(BEGIN.timestamp()), 86400)
    contact = body.contact.reshape(-1, 60)
    np.testing.assert_array_equal(contact.mean(axis=1), month.epochs.coverage[:1440])
    for minute in np.flatnonzero(~np.isnan(month.epochs.values[:1440, HEART])):
        mean = body.heart_rate_bpm.reshape(-1, 60)[minute][contact[minute]].mean()
        assert abs(mean - month.epochs.values[minute, HEART]) <= 0.25 + 1e-9


def test_strain_and_engagement_stay_in_their_range_and_are_low_asleep(month: Truth) -> None:
    asleep = month.stage != Stage.WAKE
    for values in (month.strain, month.engagement):
        assert values.min() >= 0
        assert values.max() <= 1
    assert month.strain[asleep].mean() < 0.15
    assert 0.2 < month.strain[~asleep].mean() < 0.4
    assert (month.engagement[asleep] == 0).all()


def test_what_happens_strains_the_child() -> None:
    at = BEGIN + timedelta(hours=15)
    event = Event.at("quarrel", at, 20, 0.5)
    calm, upset = (
        truth(Child(seed=11, quarrels_per_week=0, events=events), BEGIN, BEGIN + timedelta(days=1)) for events in ((), (event,))
    )
    added = upset.strain - calm.strain
    minute = 15 * 60
    assert added[minute : minute + 20].min() > 0.4
    assert added[: minute - event.rise_min].max() == 0
    assert added[minute + 120 :].max() < 0.01
    assert event in upset.events
    assert event not in calm.events


def test_an_alarm_is_wanted_after_ten_minutes_of_high_strain_while_worn(month: Truth) -> None:
    run = 0
    expected = []
    for strain, worn in zip(month.strain.tolist(), month.worn.tolist(), strict=True):
        run = run + 1 if worn and strain >= month.child.alarm_strain else 0
        expected.append(run >= month.child.alarm_minutes)
    assert month.alarm_wanted.tolist() == expected
    assert 0 < month.alarm_wanted.sum() < 0.01 * len(expected)


def test_measured_strain_follows_the_latent_one_with_errors(month: Truth) -> None:
    measured = month.epochs.values[:, STRAIN]
    there = ~np.isnan(measured)
    calm = there & np.isin(month.activity, [Activity.LESSON, Activity.TEST, Activity.READING, Activity.SCREEN, Activity.SLEEP])
    assert np.corrcoef(measured[calm], month.strain[calm])[0, 1] > 0.9
    assert 0.02 < np.std(measured[calm] - month.strain[calm]) < 0.08
    sport = there & (month.activity == Activity.SPORT)
    assert (measured[sport] - month.strain[sport]).mean() > 0.15  # effort passes for strain


def test_the_heart_is_a_childs(month: Truth) -> None:
    heart, rmssd = month.epochs.values[:, HEART], month.epochs.values[:, RMSSD]
    still = np.isin(month.activity, [Activity.READING, Activity.SCREEN, Activity.LESSON])
    asleep = month.stage == Stage.DEEP
    assert abs(np.nanmedian(heart[still]) - month.child.heart_bpm) < 6
    assert np.nanmedian(heart[asleep]) < month.child.heart_bpm - 12
    assert 130 < np.nanmean(heart[month.activity == Activity.SPORT]) < 170
    assert np.nanmin(heart) >= 45
    assert np.nanmax(heart) <= 205
    assert np.nanmedian(rmssd[asleep]) > 1.2 * np.nanmedian(rmssd[still])


def test_skin_is_warmer_asleep_and_conducts_more_in_effort(month: Truth) -> None:
    skin, eda = month.epochs.values[:, SKIN], month.epochs.values[:, EDA]
    awake = (month.stage == Stage.WAKE) & (month.epochs.coverage == 1)
    asleep = (month.stage != Stage.WAKE) & (month.epochs.coverage == 1)
    assert np.median(skin[asleep]) > np.median(skin[awake]) + 0.8
    assert np.nanmedian(eda[month.activity == Activity.SPORT]) > 1.3 * np.nanmedian(eda[month.activity == Activity.READING])
    assert np.nanmin(eda) > 0.05


def test_a_child_moves_for_an_hour_a_day(month: Truth) -> None:
    minutes = np.isin(month.activity, [Activity.SPORT, Activity.BREAK]).sum() + 0.5 * (month.activity == Activity.PLAY).sum()
    assert 45 < minutes / 28 < 110


@pytest.mark.parametrize("age", [7.0, 10.0, 14.0])
def test_children_sleep_as_children_of_their_age(age: float) -> None:
    means = []
    for seed in range(12):
        life = Life(Child.drawn(seed, age=age))
        nights = [life.night(date(2026, 9, 7) + timedelta(days=n)) for n in range(14)]
        means.append(np.mean([night.asleep_min for night in nights]) / 60)
        for night in nights:
            shares = np.bincount(night.stages, minlength=4) / len(night.stages)
            assert 0.1 < shares[Stage.DEEP] < 0.35
            assert 0.1 < shares[Stage.REM] < 0.35
            assert shares[Stage.WAKE] < 0.2
    assert abs(np.mean(means) - (9.02 - 1.04 * ((age / 10) ** 2 - 0.83))) < 0.6  # Galland et al. 2018
    assert all(6.5 < mean < 11.5 for mean in means)


@pytest.mark.parametrize("chronotype_h", [2.6, 4.0, 5.2])
def test_mid_sleep_on_free_days_recovers_the_chronotype(chronotype_h: float) -> None:
    life = Life(Child(seed=21, chronotype_h=chronotype_h, calendar=Calendar(zone="Africa/Johannesburg")))
    days = [date(2026, 1, 5) + timedelta(days=n) for n in range(26 * 7)]
    school, free = [], []
    for day in days:
        night, begin = life.night(day), life.day(day).begin
        (free if night.free else school).append(((night.onset - begin) / 60, (night.wake - night.onset) / 60))
    onset_h, free_h = (float(np.mean(column)) for column in zip(*free, strict=True))
    school_h = float(np.mean([length for _, length in school]))
    week_h = (5 * school_h + 2 * free_h) / 7
    corrected = onset_h + free_h / 2 - max(0.0, free_h - week_h) / 2  # MSFsc
    assert abs(corrected - chronotype_h) < 10 / 60
    # Before school the alarm clock ends the night, on free days the body does.
    assert school_h < free_h or chronotype_h < 3


def test_an_owl_sleeps_less_before_school_than_a_lark() -> None:
    assert rhythm(Child(seed=1, chronotype_h=5.5)).school_sleep_h < rhythm(Child(seed=1, chronotype_h=3)).school_sleep_h - 0.2


def test_drawn_children_differ_and_the_same_seed_draws_the_same() -> None:
    children = [Child.drawn(seed) for seed in range(200)]
    assert Child.drawn(3) == children[3]
    chronotypes = [child.chronotype_h for child in children]
    assert abs(np.mean(chronotypes) - 4.0) < 0.15
    assert abs(np.std(chronotypes) - 0.6) < 0.12
    assert 67 < np.percentile([child.heart_bpm for child in children], 20) < 84  # Fleming et al. 2011
    assert all(math.isfinite(child.rmssd_ms) and 15 < child.rmssd_ms < 120 for child in children)


@pytest.mark.parametrize(
    "arguments", [{"seed": -1}, {"seed": 1, "age": 3}, {"seed": 1, "chronotype_h": 9}, {"seed": 1, "alarm_minutes": 0}]
)
def test_a_child_outside_the_ranges_is_refused(arguments: dict) -> None:
    with pytest.raises(SimulatorError) as caught:
        Child(**arguments)
    assert caught.value.reason == "child"


def test_a_span_without_a_zone_or_a_minute_is_refused(child: Child) -> None:
    for begin, end in ((datetime(2026, 1, 1), BEGIN), (BEGIN, BEGIN), (BEGIN, BEGIN - timedelta(days=1))):  # noqa: DTZ001
        with pytest.raises(SimulatorError) as caught:
            truth(child, begin, end)
        assert caught.value.reason == "span"
