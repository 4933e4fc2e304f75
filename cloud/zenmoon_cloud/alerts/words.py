"""What an alarm says, in a sentence for a parent. Pure."""

from datetime import datetime
from zoneinfo import ZoneInfo


def sentence(
    name: str, zone: str, *, began: datetime, ended: datetime | None, raised: datetime, minutes: int, episodes: int
) -> str:
    """Says when strain was above a child's usual limit, in the child's local time; with the day unless it all is of one day.

    Args:
        name: the child's.
        zone: IANA name of where it lives; UTC where this machine does not know it.
        began: begin of the first episode.
        ended: end of the last one, None while it goes on.
        raised: when the service knew.
        minutes: how long the rule waits.
        episodes: how many; 0 = there was none after all.
    """
    whose = f"{name}'s usual limit"
    lasting = f"{minutes} minute{'' if minutes == 1 else 's'}"
    if not episodes:
        return f"This was no alarm: records that arrived late show that strain was not above {whose} for {lasting}."
    began, raised = _local(began, zone), _local(raised, zone)
    if ended is None:
        since = _clock(began, dated=began.date() != raised.date())
        if episodes == 1:
            return f"Strain has been above {whose} for at least {lasting}, since {since}."
        return f"Strain is above {whose} again, {_times(episodes)} since {since}."
    ended = _local(ended, zone)
    first = _clock(began, dated=began.date() != ended.date())
    last = _clock(ended, dated=not began.date() == ended.date() == raised.date())
    if episodes == 1:
        return f"Strain was above {whose} from {first} to {last}."
    return f"Strain was above {whose} {_times(episodes)} between {first} and {last}."


def _times(episodes: int) -> str:
    return "twice" if episodes == 2 else f"{episodes} times"


def _clock(moment: datetime, *, dated: bool) -> str:
    return f"{moment:%H:%M} on {moment.day} {moment:%B}" if dated else f"{moment:%H:%M}"


def _local(moment: datetime, zone: str) -> datetime:
    try:
        return moment.astimezone(ZoneInfo(zone))
    except (KeyError, ValueError, OSError):
        return moment
