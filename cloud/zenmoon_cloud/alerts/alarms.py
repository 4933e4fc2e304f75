"""From episodes to alarms. Pure.

A child has at most one open alarm a rule. A further episode while it is open makes it longer; it closes when it has ended and
somebody has acknowledged it. What arrives late may still move, split, join or undo the episodes of the last hours, and the alarm
follows them; older ones are settled.
"""

from collections.abc import Sequence
from typing import NamedTuple

from zenmoon_cloud.alerts.episodes import Episode
from zenmoon_cloud.alerts.stretches import FOR_EVER, Stretch, Stretches


class Facts(NamedTuple):
    """What an alarm says.

    Attributes:
        began: begin of its first episode, microseconds since 1970 UTC.
        ended: end of its last one, None while that goes on.
        episodes: how many; 0 = late records showed that it was none, and it is withdrawn.
        peak: highest strain, in hundredths.
        spans: episodes that may still change and the last settled one; `FOR_EVER` ends the one that goes on.
    """

    began: int
    ended: int | None
    episodes: int
    peak: int
    spans: Stretches


class Open(NamedTuple):
    """The open alarm as it stands, and when it was acknowledged."""

    facts: Facts
    acknowledged: int | None


def settle(open_alarm: Open | None, found: Sequence[Episode], since: int) -> tuple[Facts | None, Facts | None]:
    """Makes alarms say what was found.

    Args:
        open_alarm: the open alarm, None if there is none.
        found: all episodes that no closed alarm speaks of and that did not end before `since`.
        since: what ended before is settled.

    Returns:
        The facts of the open alarm as they are now, and those of a new one to be raised; None where there is none.
    """
    if open_alarm is None:
        return None, (_facts(found) if found else None)
    facts, acknowledged = open_alarm
    mine, further = list(found), []
    if acknowledged is not None:
        # Whoever acknowledged an alarm that went on spoke of what had begun by then, not of what came after its end. A band's
        # time may be ahead of this clock, so what the alarm told of had begun in any case.
        begun = max([acknowledged, *(span.begin for span in facts.spans[-1:])])
        mine = [episode for episode in found if episode.begin <= begun]
        further = list(found[len(mine) :])
    settled = _settled(facts, since)
    now = _facts(mine, settled) if mine or settled else facts._replace(ended=None, episodes=0, spans=())
    return now, (_facts(further) if further else None)


def _settled(facts: Facts, since: int) -> Facts | None:
    """What an alarm says of its settled episodes alone."""
    spans = [span for span in facts.spans if span.end <= since]
    episodes = facts.episodes - (len(facts.spans) - len(spans))
    return facts._replace(ended=spans[-1].end, episodes=episodes, spans=spans[-1:]) if spans else None


def _facts(found: Sequence[Episode], before: Facts | None = None) -> Facts:
    spans = [Stretch(episode.begin, FOR_EVER if episode.end is None else episode.end) for episode in found]
    peaks = [episode.peak for episode in found]
    ended = found[-1].end if found else None
    if before is None:
        return Facts(found[0].begin, ended, len(found), max(peaks), spans)
    return Facts(
        before.began,
        ended if found else before.ended,
        before.episodes + len(found),
        max([before.peak, *peaks]),
        [*before.spans, *spans],
    )
