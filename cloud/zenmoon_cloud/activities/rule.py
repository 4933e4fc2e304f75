"""The policy `rule-1`: which of ten activities fits now, or none; drawn at random with recorded chances. Pure.

The weights are a start that people wrote down, not something learned. Why they are drawn from and not simply followed:
docs/decisions/rule-1.md. A change of anything here that changes an answer needs a new name, for old decisions are replayed.
"""

from collections.abc import Mapping
from datetime import time
from typing import Any, Literal

from zenmoon_cloud.activities.features import Features
from zenmoon_cloud.activities.library import LIBRARY, Activity, Kind
from zenmoon_cloud.activities.sleep_need import least_sleep_h
from zenmoon_cloud.decisions import NONE, NOTHING, Choice, draw, shares

NAME = "rule-1"

WhyNot = Literal["no-consent", "night", "no-signal", "resting", "enough"]
Level = Literal["raised", "elevated", "usual"]

FRESH_S = 600.0
"""A strain older than this says nothing about now."""

NEAR = 0.2
"""So far below the alarm's threshold strain counts as elevated."""

MORNING = time(6, 30)
"""When a night is over. Night begins as many hours before as the child's age needs sleep."""

REST_MINUTES = 240.0
"""An activity is not suggested again within this time."""

PAUSE_MINUTES = 120.0
"""Unasked, nothing is suggested this soon after a suggestion: a page that talks all day is not read."""

MOST_A_DAY = 5
"""Unasked suggestions of 24 hours."""

WEIGHTS: dict[Level, dict[Kind | Literal["none"], float]] = {
    "raised": {"none": 0.5, "calming": 4, "moving": 2, "winding_down": 3, "connecting": 2},
    "elevated": {"none": 1, "calming": 2, "moving": 2, "winding_down": 2, "connecting": 1.5},
    "usual": {"none": 4, "calming": 0.5, "moving": 1.5, "winding_down": 2, "connecting": 1.5},
}
"""Of a whole kind, shared by its eligible activities, so that a kind with many members does not win by their number."""

SHORT_NIGHT: dict[Kind, float] = {"moving": 0.5, "winding_down": 1.5}
"""After less sleep than the age needs."""


def choose(features: Features, u: float) -> Choice:
    """Choose an activity or `none`.

    Args:
        features: The child's moment.
        u: A uniform number in [0, 1), drawn for this decision and used for nothing else.
    """
    why_not = unavailable(features)
    if why_not is not None:
        return Choice(NOTHING, NONE, available=False, why_not=why_not)
    options = shares(weights(features))
    return Choice(options, draw(options, u))


def replayed(features: Mapping[str, Any], u: float) -> Choice:
    """`choose`, from the features as they stand in the log."""
    return choose(Features.read(features), u)


def unavailable(features: Features) -> WhyNot | None:
    """Return why nothing can be suggested at all; None when something can."""
    if not features.allowed:
        return "no-consent"
    if is_night(features):
        return "night"
    if features.strain is None or features.strain_age_s is None or features.strain_age_s > FRESH_S:
        return "no-signal"
    if not features.asked and features.recent:
        if min(minutes for _, minutes in features.recent) < PAUSE_MINUTES:
            return "resting"
        if len(features.recent) >= MOST_A_DAY:
            return "enough"
    return None


def weights(features: Features) -> list[tuple[str, float]]:
    """Return `none` and every eligible activity with its weight; the features must hold a strain."""
    eligible = [activity for activity in LIBRARY if is_eligible(activity, features)]
    of_kind = WEIGHTS[level(features)]
    short = SHORT_NIGHT if is_short_night(features) else {}
    found = [(NONE, of_kind["none"])]
    for activity in eligible:
        members = sum(other.kind == activity.kind for other in eligible)
        found.append((activity.id, of_kind[activity.kind] * short.get(activity.kind, 1.0) / members))
    return found


def is_eligible(activity: Activity, features: Features) -> bool:
    """Whether an activity suits age, place and time of day, and was not suggested lately; no age known: it must suit most."""
    youngest, oldest = activity.ages
    suits = youngest <= 6 and oldest >= 12 if features.age is None else youngest <= features.age <= oldest  # primary school
    place = activity.place in ("anywhere", "school" if features.school_hours else "home")
    fits = activity.begin <= time(features.hour, features.minute) <= activity.end
    rested = all(minutes >= REST_MINUTES for name, minutes in features.recent if name == activity.id)
    return suits and place and fits and rested


def is_night(features: Features) -> bool:
    """Whether a child of this age should be asleep."""
    minutes = features.hour * 60 + features.minute
    morning = MORNING.hour * 60 + MORNING.minute
    return minutes < morning or minutes >= 24 * 60 + morning - least_sleep_h(features.age) * 60


def is_short_night(features: Features) -> bool:
    """Whether the last night is known and was shorter than the age needs."""
    return features.asleep_h is not None and features.asleep_h < least_sleep_h(features.age)


def level(features: Features) -> Level:
    """How the strain of the last minutes stands to the child's own threshold."""
    strain = features.strain or 0.0
    if strain >= features.threshold:
        return "raised"
    return "elevated" if strain >= features.threshold - NEAR else "usual"
