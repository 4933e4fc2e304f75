"""From when on an alarm is raised: what holds before anything is known, what guardians may choose, what is learned. Pure."""

from typing import Literal

from zenmoon_cloud.alerts.episodes import Rule

Origin = Literal["default", "learned", "guardian"]

DEFAULT = Rule(0.75, 10)
"""Strain is relative to a child's own usual at 0.5; three quarters is half of the way from there to the most there is. Ten minutes
are longer than a run for the bus or a quarrel, and short enough for an adult to be of help."""

LOWEST, HIGHEST = 0.5, 0.95
"""What guardians may choose: below the usual it would alarm all day, at the very top never."""

LONGEST_MINUTES = 120

LEARNED_LOWEST, LEARNED_HIGHEST = 0.6, 0.9
"""What is learned stays between: a calm child's limit must not come so low that play alarms, nor one who is often strained go
unheard because that is usual."""

USUAL_SHARE = 0.95
"""Of a child's minutes that lie below its limit: the highest twentieth, about three quarters of an hour a waking day."""

LEARNED_DAYS = 14
"""Two school weeks with their weekends, so that neither a test nor a holiday makes the limit."""

LEARNED_SECONDS = 3 * 86_400
"""Strain measured in them, at least: fewer than three days tell little of what is usual."""

STEP = 0.02
"""A smaller change of a learned limit is not worth that the rule begins to look anew."""


def rule_of(threshold: float | None, minutes: int | None) -> Rule:
    """The rule in force, with defaults for what nobody has chosen."""
    return Rule(DEFAULT.threshold if threshold is None else threshold, DEFAULT.minutes if minutes is None else minutes)


def learned(quantile: float, before: float | None) -> float | None:
    """The limit that follows from a child's own strain.

    Args:
        quantile: the strain below which `USUAL_SHARE` of the child's minutes lie.
        before: what was learned before.

    Returns:
        The limit in steps of 0.01, None where the one from before may stay.
    """
    limit = round(min(max(quantile, LEARNED_LOWEST), LEARNED_HIGHEST), 2)
    return None if before is not None and abs(limit - before) < STEP else limit
