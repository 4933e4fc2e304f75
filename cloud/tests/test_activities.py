"""What the rule may suggest to whom and when, and that it is the same rule tomorrow."""

import hashlib
import re
from dataclasses import replace

import pytest
from zenmoon_cloud.activities import BY_ID, LIBRARY, POLICIES, Features, least_sleep_h, rule
from zenmoon_cloud.decisions import FLOOR

NOON = Features(
    allowed=True, asked=True, strain=0.5, strain_age_s=4.0, hour=15, minute=30, weekday=2, asleep_h=9.5, age=10, recent=()
)
"""A Wednesday afternoon at home, with a little strain."""


def names(**changes: object) -> list[str]:
    return [name for name, _ in rule.weights(replace(NOON, **changes))]


def chances(**changes: object) -> dict[str, float]:
    return dict(rule.choose(replace(NOON, **changes), 0.5).options)


def test_ten_activities_for_children_with_words_and_evidence():
    assert len(LIBRARY) == 10
    assert len(BY_ID) == 10
    for activity in LIBRARY:
        youngest, oldest = activity.ages
        assert 3 <= youngest < oldest <= 17
        assert activity.begin < activity.end
        assert re.fullmatch(r"[A-Z][^.!?]*\.", activity.how)
        assert not re.search(r"\d", activity.name + activity.how)  # a number in a suggestion is a fact of its receipt
        said = f"{activity.name} {activity.how} {activity.evidence}".lower()
        assert not re.search(r"hiit|cold|tea\b|pomodoro|fasting|therap|cure|treat|heal", said)
        assert not re.search(r"stress|emotion|diagnos|anxi", said)


def test_every_activity_can_be_suggested_to_somebody_at_some_time():
    moments = [replace(NOON, hour=hour, school_hours=school) for hour in range(24) for school in (False, True)]
    found = {name for features in moments if rule.unavailable(features) is None for name, _ in rule.weights(features)}
    assert found == {"none", *BY_ID}


@pytest.mark.parametrize(
    ("changes", "why_not"),
    [
        ({"allowed": False}, "no-consent"),
        ({"hour": 3}, "night"),
        ({"hour": 6, "minute": 29}, "night"),
        ({"hour": 21, "minute": 30}, "night"),  # nine hours before 06:30
        ({"hour": 20, "minute": 30, "age": 5}, "night"),
        ({"strain": None, "strain_age_s": None}, "no-signal"),
        ({"strain_age_s": 601.0}, "no-signal"),
        ({"asked": False, "recent": (("dancing", 119.0),)}, "resting"),
        ({"asked": False, "recent": tuple(("dancing", 300.0 + n) for n in range(5))}, "enough"),
        ({"asked": False, "recent": (("dancing", 121.0),)}, None),
        ({"recent": (("dancing", 1.0),)}, None),  # whoever asks is answered
        ({"hour": 6, "minute": 30}, None),
        ({"hour": 21, "minute": 29}, None),
        ({"hour": 22, "minute": 29, "age": 14}, None),
    ],
)
def test_when_nothing_can_be_suggested_only_none_is_left_and_the_reason_is_named(changes, why_not):
    choice = rule.choose(replace(NOON, **changes), 0.999)
    assert (choice.why_not, choice.available) == (why_not, why_not is None)
    if why_not is not None:
        assert (choice.options, choice.chosen, choice.randomised) == ((("none", 1.0),), "none", False)


@pytest.mark.parametrize("strain", [0.0, 0.6, 0.9])
def test_none_is_always_among_the_options_and_nothing_is_below_the_floor(strain):
    for hour in range(7, 21):
        options = chances(strain=strain, hour=hour)
        assert "none" in options
        assert min(options.values()) >= FLOOR
        assert sum(options.values()) == 1


def test_at_school_only_what_can_be_done_there():
    assert set(names(hour=10, school_hours=True)) == {"none", "slow_breathing", "five_sounds", "squeeze_and_let_go", "stretching"}


def test_winding_down_belongs_to_the_evening():
    assert "screens_away" not in names(hour=17)
    assert {"screens_away", "reading_together"} <= set(names(hour=19))
    assert "walk_outside" not in names(hour=19)


def test_age_decides_and_an_unknown_age_gets_what_suits_most():
    assert "reading_together" not in names(hour=19, age=14)
    assert "squeeze_and_let_go" not in names(age=5)
    assert names(age=3) == ["none"]
    assert set(names(age=None)) == set(names(age=10))


def test_an_activity_rests_after_it_was_suggested():
    assert "dancing" not in names(recent=(("dancing", 239.0),))
    assert "dancing" in names(recent=(("dancing", 240.0),))
    assert "drawing" in names(recent=(("dancing", 1.0),))


def test_more_strain_makes_doing_nothing_less_likely_and_calming_more():
    def calming(options: dict[str, float]) -> float:
        return sum(p for name, p in options.items() if name in BY_ID and BY_ID[name].kind == "calming")

    usual, elevated, raised = (chances(strain=strain) for strain in (0.2, 0.6, 0.8))
    assert usual["none"] > elevated["none"] > raised["none"]
    assert calming(usual) < calming(elevated) < calming(raised)


def test_the_childs_own_threshold_decides_what_is_much():
    assert rule.level(replace(NOON, strain=0.7, threshold=0.65)) == "raised"
    assert rule.level(replace(NOON, strain=0.7, threshold=0.9)) == "elevated"
    assert rule.level(replace(NOON, strain=0.69, threshold=0.9)) == "usual"


def test_after_a_short_night_moving_is_less_likely():
    rested, tired = chances(asleep_h=9.5), chances(asleep_h=6.0)
    assert tired["dancing"] < rested["dancing"]
    assert chances(asleep_h=None) == rested


@pytest.mark.parametrize(("age", "hours"), [(3, 10), (5, 10), (6, 9), (12, 9), (13, 8), (17, 8), (None, 9), (-1, 10)])
def test_sleep_need_by_age(age, hours):
    assert least_sleep_h(age) == hours


def test_the_rule_answers_from_the_log_as_it_answered_then():
    features = replace(NOON, recent=(("dancing", 200.0), ("drawing", 30.0)))
    assert Features.read(features.logged()) == features
    assert POLICIES["rule-1"](features.logged(), 0.37) == rule.choose(features, 0.37)
    assert Features.read(features.logged() | {"heard_later": 1}) == features


def test_of_a_child_without_consent_the_log_holds_nothing():
    assert replace(NOON, allowed=False).logged() == {"allowed": False, "asked": True}


def test_rule_1_is_frozen():
    """A change of the rule under its old name would make the replay of old decisions fail: give it a new name instead."""
    moments = (
        replace(NOON, strain=strain, hour=hour, age=age, asleep_h=asleep_h, school_hours=school, asked=asked, recent=recent)
        for strain in (None, 0.1, 0.55, 0.6, 0.75, 1.0)
        for hour in range(24)
        for age in (None, 5, 10, 15)
        for asleep_h in (None, 6.0, 9.5)
        for school in (False, True)
        for asked in (False, True)
        for recent in ((), (("dancing", 100.0),), (("dancing", 200.0), ("slow_breathing", 300.0)))
    )
    digest = hashlib.sha256()
    for number, features in enumerate(moments):
        digest.update(repr(tuple(rule.choose(features, number % 1000 / 1000))).encode())
    assert (rule.NAME, digest.hexdigest()[:16]) == ("rule-1", "46de4f1dfe0ed807")
