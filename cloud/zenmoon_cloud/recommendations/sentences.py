"""A choice in words for the guardians: two sentences, a reason, and the facts behind every number. Pure.

The words speak of strain against the child's own usual. What a child feels, and whether it is well, no wristband knows.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from zenmoon_cloud.activities import BY_ID, Activity, Features, rule
from zenmoon_cloud.decisions import NONE, Choice
from zenmoon_cloud.series.record import iso

OFF = "Suggestions are off: no guardian has allowed them."
NOT_YET = "Nothing has been suggested yet: the first suggestion comes with fresh readings, or when you ask for one."

_NUMBER = re.compile(r"\d+(?:\.\d+)?")

_LEVELS = {
    "raised": "it has reached {threshold}, from where the alarm counts",
    "elevated": "that is a little below {threshold}, from where the alarm counts",
    "usual": "that is well below {threshold}, from where the alarm counts",
}
_BECAUSE = {"raised": "strain is raised", "elevated": "strain is somewhat up", "usual": "strain is as usual"}
_SILENT: Mapping[str | None, tuple[str, str]] = {
    "night": (
        "It is night for {name}, so nothing is suggested now. Suggestions come back in the morning.",
        "At night a child should sleep, whatever the wristband says.",
    ),
    "no-signal": (
        "There is no fresh reading from {name}'s wristband. As soon as one arrives, you can ask again.",
        "Without a fresh reading there is nothing that a suggestion could rest on.",
    ),
}


class Words(NamedTuple):
    """What the guardians read.

    Attributes:
        text: Two sentences.
        reason: Why this, why now: one sentence.
        facts: What the numbers in both rest on: `id, kind`, value and unit, and `shown`, the value as the text writes it.
        grounded: Whether every number in both is the shown value of a fact.
    """

    text: str
    reason: str
    facts: list[dict[str, Any]]
    grounded: bool


def words(name: str, at: datetime, features: Features, choice: Choice) -> Words:
    """Say what was chosen and why.

    Args:
        name: How the guardians call the child.
        at: Event time of the decision.
        features: What the rule looked at.
        choice: Of the rule; one that is not available must be so for the night or for want of a signal.
    """
    facts = _facts(at, features, choice)
    shown = {number for fact in facts for number in _NUMBER.findall(fact["shown"])}
    text, reason = _compose(name, facts, features, choice)
    # A name may hold digits of its own: what is checked is the text without it.
    nameless = " ".join(_compose("", facts, features, choice))
    return Words(text, reason, facts, set(_NUMBER.findall(nameless)) <= shown)


def _facts(at: datetime, features: Features, choice: Choice) -> list[dict[str, Any]]:
    if not choice.available:
        return []
    strain = features.strain or 0.0
    found: list[dict[str, Any]] = [
        {
            "kind": "observation", "metric": "strain", "value": strain, "unit": "0-1", "minutes": features.window_minutes,
            "at": iso(at),
            "shown": f"{hundredths(strain)} of 100 over {features.window_minutes} minutes",
        },
        {
            "kind": "limit", "metric": "strain", "value": features.threshold, "unit": "0-1",
            "shown": f"{hundredths(features.threshold)}",
        },
        {"kind": "options", "value": len(choice.options), "unit": "options", "shown": str(len(choice.options))},
    ]  # fmt: skip
    if rule.is_short_night(features):
        hours = features.asleep_h or 0.0
        shown = math.floor(10 * hours + 1e-9) / 10  # cut off too: a short night is never shown as one that was long enough
        found.append({"kind": "sleep", "metric": "duration", "value": hours, "unit": "h", "shown": f"{shown:.1f}"})
    if choice.chosen != NONE:
        activity = BY_ID[choice.chosen]
        found.append({"kind": "activity", "name": activity.name, "minutes": activity.minutes, "shown": str(activity.minutes)})
    return [{"id": f"f{number}"} | fact for number, fact in enumerate(found, 1)]


def hundredths(strain: float) -> int:
    """Strain as the page writes it, 0 to 100; cut off, so that what is below a limit is never shown as the limit.

    Records hold strain in four bytes: 0.9 comes back a hair below.
    """
    return math.floor(100 * strain + 1e-5)


def _compose(name: str, facts: list[dict[str, Any]], features: Features, choice: Choice) -> tuple[str, str]:
    if not choice.available:
        text, reason = _SILENT[choice.why_not]
        return text.format(name=name), reason
    shown = {fact["kind"]: fact["shown"] for fact in facts}
    level = rule.level(features)
    stands = _LEVELS[level].format(threshold=shown["limit"])
    value, _, window = shown["observation"].partition(" over ")
    first = f"Over the last {window} {name}'s strain, against {name}'s own usual, was {value}; {stands}."
    return f"{first} {_second(name, level, features, choice)}", _reason(name, shown, features, choice)


def _second(name: str, level: str, features: Features, choice: Choice) -> str:
    if choice.chosen != NONE:
        return _idea(name, BY_ID[choice.chosen], at_school=features.school_hours)
    if level == "usual":
        return "Strain is as usual, so nothing needs to be done for it just now."
    return f"No activity is suggested this time: whether {name} needs something now, you can tell best."


def _idea(name: str, activity: Activity, *, at_school: bool) -> str:
    # Who reads this is not there: the child does it alone or with whoever is.
    moment = (
        f"{activity.minutes} quiet minutes at school, if {name} can be told,"
        if at_school
        else f"the next {activity.minutes} minutes"
    )
    return f"An idea for {moment} is “{activity.name}”: {activity.how[0].lower()}{activity.how[1:]}"


def _reason(name: str, shown: Mapping[str, str], features: Features, choice: Choice) -> str:
    if not choice.randomised:
        return "Nothing in the library suits this moment: age, place, time of day and what was suggested lately leave nothing over."
    because = [_BECAUSE[rule.level(features)], _time_of_day(features)]
    if "sleep" in shown:
        because.append(f"the last night was short with {shown['sleep']} hours asleep")
    causes = f"{', '.join(because[:-1])} and {because[-1]}"
    return (
        f"Drawn from {shown['options']} possibilities, doing nothing among them, that suit this moment because {causes}; "
        f"chance has a say so that we learn what really helps {name}."
    )


def _time_of_day(features: Features) -> str:
    if features.school_hours:
        return "it is school time"
    return "it is morning" if features.hour < 12 else "it is afternoon" if features.hour < 18 else "it is evening"
