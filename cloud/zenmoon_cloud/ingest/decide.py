"""What becomes of each valid item: stored, a duplicate, or refused. Pure.

The order of the questions matters. A key that is already kept answers `duplicate` (or `conflict`) whatever its time says, because
an anchor may have moved since; only an unknown key is asked who wore the device, for consent and for its age.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from zenmoon_edge.messages import Refusal

from zenmoon_cloud.ingest.fields import moment
from zenmoon_cloud.ingest.kinds import KINDS
from zenmoon_cloud.ingest.ledger import Ranges, holds

BootKey = tuple[int, int]
"""(device, boot)"""

AHEAD_US = 86_400_000_000
"""One day. A phone's clock may be wrong by hours in a wrong zone; more is a broken clock, not the child's time."""


class Key(NamedTuple):
    """What is known of the item at `position` before any row is written.

    Attributes:
        time: microseconds since 1970 UTC.
        revision: 0 of a kind without revisions.
    """

    position: int
    device: int
    boot: int
    seq: int
    time: int
    payload: int
    kind: str
    revision: int


class Kept(NamedTuple):
    """What is stored under a key: its row, of several revisions the highest.

    Attributes:
        time: microseconds since 1970 UTC where the kind is about one minute, else whatever.
    """

    kind: str
    revision: int
    payload: int
    time: int


class Worn(NamedTuple):
    """A child wore a device from `since` until before `until` (microseconds; None = still)."""

    since: int
    until: int | None
    child_id: str


@dataclass(slots=True)
class Wearers:
    """Who wore what and who agreed, as far as one family may know.

    Attributes:
        worn: device → spans without overlap.
        monitoring: child → (microseconds, granted), rising: what guardians said on the purpose `monitoring`.
        zones: child → IANA name of the zone it lives in.
    """

    worn: Mapping[int, Sequence[Worn]]
    monitoring: Mapping[str, Sequence[tuple[int, bool]]]
    zones: Mapping[str, str]

    def child(self, device: int, time: int) -> str | None:
        """The child that wore `device` at `time`."""
        for since, until, child_id in self.worn.get(device, ()):
            if since <= time and (until is None or time < until):
                return child_id
        return None

    def agreed(self, child_id: str, time: int) -> bool:
        """Whether monitoring of the child was agreed to at `time`; silence is no."""
        said = self.monitoring.get(child_id, ())
        at = bisect_right(said, time, key=lambda statement: statement[0])
        return at > 0 and said[at - 1][1]

    def content_may_stay(self, device: int | None, time: int | None, now: int) -> bool:
        """Whether every child that an item may be about had agreed. An unreadable device is any, an unreadable time the present."""
        spans = chain.from_iterable(self.worn.values()) if device is None else self.worn.get(device, ())
        return all(
            self.agreed(span.child_id, now if time is None else time)
            for span in spans
            if time is None or (span.since <= time and (span.until is None or time < span.until))
        )


@dataclass(slots=True)
class Verdict:
    """What becomes of a batch's valid items.

    Attributes:
        stored: item index → child that wore the device.
        duplicates: how many were kept before.
        refusals: the others, by rising index.
    """

    stored: dict[int, str] = field(default_factory=dict)
    duplicates: int = 0
    refusals: list[Refusal] = field(default_factory=list)


def place(key: Key, wearers: Wearers, now: int, oldest: int) -> str | Refusal:
    """The child an unknown key belongs to, or why it is not taken.

    Args:
        key: the item's key and time.
        wearers: who wore what.
        now: the cloud's clock, microseconds.
        oldest: what is older has been dropped by retention, microseconds.
    """
    if key.time > now + AHEAD_US:
        return Refusal(key.position, "bad_value", "ts is more than a day ahead of the cloud's clock")
    if key.time < oldest:
        return Refusal(key.position, "too_old", f"ts is before {moment(oldest):%Y-%m-%d}, where this cloud's memory begins")
    child_id = wearers.child(key.device, key.time)
    if child_id is None:
        return Refusal(key.position, "not_assigned", "no child of this family wore the device at that time")
    if not wearers.agreed(child_id, key.time):
        return Refusal(key.position, "consent", "monitoring was not agreed to at that time")
    return child_id


def known(keys: Sequence[Key], held: Mapping[BootKey, Ranges]) -> list[Key]:
    """The keys that the ledger holds."""
    return [key for key in keys if (ranges := held.get(key[1:3])) and holds(ranges, key.seq)]


def decide(
    keys: Sequence[Key],
    placed: Sequence[str | Refusal],
    kept: Mapping[tuple[int, int, int], Kept | None],
) -> Verdict:
    """Judges each key once, in the order of the batch.

    Args:
        keys: the valid items' keys.
        placed: for each key, what `place` says.
        kept: (device, boot, seq) that the ledger holds → what is stored, None where retention has dropped it.
    """
    verdict = Verdict()
    newest = dict(kept)
    for key, where in zip(keys, placed, strict=True):
        identity = key[1:4]
        judged = _again(key, newest[identity], where) if identity in newest else where
        if judged is None:
            verdict.duplicates += 1
        elif isinstance(judged, Refusal):
            verdict.refusals.append(judged)
        else:
            verdict.stored[key.position] = judged
            newest[identity] = Kept(key.kind, key.revision, key.payload, key.time)
    return verdict


def _again(key: Key, kept: Kept | None, where: str | Refusal) -> str | Refusal | None:
    """Judges an item whose key is stored: the child of a higher revision that is stored too, a refusal, or None for a duplicate."""
    if kept is None:
        return None
    if key.kind != kept.kind or key.revision == kept.revision:
        same = key.payload == kept.payload
        return None if same else Refusal(key.position, "conflict", "this key is stored with another payload")
    if key.revision < kept.revision:
        return None
    if KINDS[key.kind].minute and key.time != kept.time:
        return Refusal(key.position, "conflict", "this key is stored for another minute, and a revision is of the same one")
    return where
