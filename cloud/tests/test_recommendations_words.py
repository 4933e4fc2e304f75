"""The words for guardians: two sentences, only numbers that are facts, and nothing about what a child feels."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zenmoon_cloud.activities import BY_ID, Features, rule
from zenmoon_cloud.recommendations import sentences
from zenmoon_cloud.recommendations.sentences import NOT_YET, OFF, hundredths, words

AT = datetime(2026, 11, 18, 14, 30, tzinfo=UTC)
FORBIDDEN = re.compile(r"stress|emotion|diagnos|anxi|mood|feel|therap|patient|symptom|disorder|treat", re.IGNORECASE)

FEATURES = st.builds(
    Features,
    allowed=st.just(True),
    asked=st.just(True),
    strain=st.none() | st.floats(0, 1),
    strain_age_s=st.floats(0, 700),
    threshold=st.floats(0.6, 0.9),
    minutes_above=st.integers(0, 10),
    window_minutes=st.integers(2, 10),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    weekday=st.integers(0, 6),
    school_hours=st.booleans(),
    asleep_h=st.none() | st.floats(0, 14),
    age=st.none() | st.integers(0, 18),
    recent=st.lists(st.tuples(st.sampled_from(sorted(BY_ID)), st.floats(0, 1440)), max_size=8).map(tuple),
)
U = st.floats(0, 1, exclude_max=True)


@given(FEATURES, U)
def test_every_number_is_a_fact_and_no_word_is_about_feelings(features, u):
    choice = rule.choose(features, u)
    said = words("Robin", AT, features, choice)
    assert said.grounded
    assert not FORBIDDEN.search(said.text + said.reason)
    assert not FORBIDDEN.search(OFF + NOT_YET)
    assert len(re.findall(r"[.!?](?= |$)", said.text)) == 2
    assert len(re.findall(r"[.!?](?= |$)", re.sub(r"(\d)\.(\d)", r"\1,\2", said.reason))) == 1
    assert "Robin" in said.text
    assert [fact["id"] for fact in said.facts] == [f"f{number}" for number in range(1, len(said.facts) + 1)]
    if choice.available:
        strain = next(fact for fact in said.facts if fact["kind"] == "observation")
        assert f"{hundredths(features.strain)} of 100" in said.text
        assert strain["value"] == features.strain


@given(FEATURES, U, st.text(min_size=1, max_size=20))
def test_a_name_is_only_a_name(features, u, name):
    said = words(name, AT, features, rule.choose(features, u))
    assert said.grounded
    assert name in said.text


def test_a_number_without_a_fact_is_noticed(monkeypatch):
    features = Features(allowed=True, asked=True, strain=0.2, strain_age_s=1.0, hour=15, age=10)
    choice = rule.choose(features, 0.0)
    monkeypatch.setitem(sentences._LEVELS, "usual", "that is 42 percent of {threshold}")
    assert not words("Robin", AT, features, choice).grounded


@pytest.mark.parametrize(
    ("strain", "said"),
    [
        (0.81, "was 81 of 100; it has reached 75, from where the alarm counts"),
        (0.75, "was 75 of 100; it has reached 75"),
        (0.7499, "was 74 of 100; that is a little below 75"),
        (0.31, "was 31 of 100; that is well below 75"),
    ],
)
def test_strain_is_told_against_the_childs_own_threshold(strain, said):
    features = Features(allowed=True, asked=True, strain=strain, strain_age_s=1.0, hour=15, age=10)
    assert said in words("Robin", AT, features, rule.choose(features, 0.5)).text


def test_where_nothing_suits_the_reason_says_so():
    features = Features(allowed=True, asked=True, strain=0.6, strain_age_s=1.0, hour=15, age=2)
    choice = rule.choose(features, 0.5)
    assert (choice.available, choice.randomised) == (True, False)
    said = words("Robin", AT, features, choice)
    assert said.reason.startswith("Nothing in the library suits this moment")


@pytest.mark.parametrize(("asleep_h", "shown"), [(8.97, "8.9"), (8.0, "8.0"), (6.1, "6.1")])
def test_a_short_night_is_never_shown_as_long_enough(asleep_h, shown):
    features = Features(allowed=True, asked=True, strain=0.6, strain_age_s=1.0, hour=15, age=10, asleep_h=asleep_h)
    assert f"short with {shown} hours asleep" in words("Robin", AT, features, rule.choose(features, 0.5)).reason


def test_at_school_the_reader_is_not_taken_to_be_there():
    features = Features(allowed=True, asked=True, strain=0.6, strain_age_s=1.0, hour=10, age=10, school_hours=True)
    choice = rule.choose(features, 0.9)
    assert choice.chosen == "stretching"
    said = words("Robin", AT, features, choice)
    assert "An idea for 5 quiet minutes at school, if Robin can be told, is" in said.text
    assert "the next" not in said.text


@pytest.mark.parametrize(("strain", "asleep_h"), [(0.9, None), (0.6, None), (0.2, 5.0)])
def test_nothing_suggested_is_no_promise_that_all_is_well(strain, asleep_h):
    features = Features(allowed=True, asked=True, strain=strain, strain_age_s=1.0, hour=15, age=10, asleep_h=asleep_h)
    choice = rule.choose(features, 0.0)
    assert choice.chosen == "none"
    assert not re.search(r"\bfine\b|[Aa]ll is", words("Robin", AT, features, choice).text)
