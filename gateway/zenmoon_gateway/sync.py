"""What of a wearable's journal is durable here, what is still missing, and what may be acknowledged. Pure: no I/O, no clock.

One `Sync` lives as long as one connection. It starts from what the outbox holds, is told everything that the wearable says
and every commit, and answers three questions: which entries are new, which range to ask for next, what to acknowledge.
By sequence numbers only, never by time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from zenmoon_gateway.ranges import Range, RangeSet

# Reasons of a GONE answer, as wire.md numbers them. Only an overwritten entry is a loss.
OVERWRITTEN = 1
RELEASED = 2

# A wearable that serves a RESEND sends something every few connection intervals (≤ 4 s by the specification);
# silence for this long means that request or answer was lost.
SILENCE_S = 10.0
# A hole that is still open after DONE is asked for again: frames may have been refused. Each time later, because a hole that
# stays is damage on the wearable's flash, and asking costs its battery.
ASK_AGAIN_FIRST_S = 1.0
ASK_AGAIN_LONGEST_S = 60.0
# Entries that a later status tells of may still be on their way as live frames; a few connection intervals later they are not.
IN_FLIGHT_S = 2.0


@dataclass(kw_only=True, slots=True)
class BootRanges:
    """What is known of one boot's entries. `overwritten` and `released` are gone; what is in none of them has not arrived."""

    durable: RangeSet = field(default_factory=RangeSet)
    overwritten: RangeSet = field(default_factory=RangeSet)
    released: RangeSet = field(default_factory=RangeSet)

    def copy(self) -> BootRanges:
        """An independent copy."""
        return BootRanges(durable=self.durable.copy(), overwritten=self.overwritten.copy(), released=self.released.copy())

    def settled(self) -> RangeSet:
        """Everything that is either durable here or gone there."""
        settled = self.durable.copy()
        settled.update(self.overwritten)
        settled.update(self.released)
        return settled


@dataclass(frozen=True, kw_only=True, slots=True)
class Resend:
    """A range to ask for."""

    boot: int
    first: int
    last: int


@dataclass(kw_only=True, slots=True)
class _Asked:
    resend: Resend
    silent_since: float


@dataclass(kw_only=True, slots=True)
class _Patience:
    attempts: int = 0
    not_before: float = 0.0


class Sync:
    """Synchronisation of one wearable, over one connection.

    Args:
        stored: boot → what the outbox says is durable or gone.
    """

    def __init__(self, stored: Mapping[int, BootRanges]) -> None:
        self._durable = {boot: ranges.copy() for boot, ranges in stored.items()}
        self._pending: dict[int, BootRanges] = {}
        self._known: dict[int, int] = {}
        self._order: list[int] = []
        self._asked: _Asked | None = None
        self._patience: dict[int, _Patience] = {}
        self._acknowledged: dict[int, int] = {}
        self.redelivered = 0
        """Entries that came again although they were already here."""

    def status(self, holdings: Iterable[tuple[int, int, int]], now: float) -> None:
        """Takes in what the wearable holds: (boot, first held, next), oldest boot first, the current one last."""
        held = list(holdings)
        again = bool(self._order)
        self._order = [boot for boot, _, _ in held]
        for boot, _, following in held:
            grown = following > self._known.get(boot, 0)
            if again and grown and not self._missing(boot, 0, self._known.get(boot, 0) - 1):
                patience = self._patience.setdefault(boot, _Patience())
                patience.not_before = max(patience.not_before, now + IN_FLIGHT_S)
            self._reach(boot, following)

    def receive(self, boot: int, seqs: Iterable[int], now: float) -> list[int]:
        """Takes in entries that arrived.

        Returns:
            The numbers that are new and have to be committed.
        """
        durable, pending = self._durable.get(boot), self._waiting(boot)
        new = []
        for seq in seqs:
            self._reach(boot, seq + 1)
            self._heard(boot, seq, seq, now)
            if seq in pending.durable or (durable is not None and seq in durable.durable):
                self.redelivered += 1
                continue
            pending.durable.add(seq, seq)
            new.append(seq)
        return new

    def gone(self, boot: int, first: int, last: int, reason: int, now: float) -> None:
        """Takes in that the wearable no longer has `first…last`, and why."""
        self._reach(boot, last + 1)
        pending = self._waiting(boot)
        (pending.overwritten if reason == OVERWRITTEN else pending.released).add(first, last)
        self._heard(boot, first, last, now)

    def done(self, boot: int, first: int, last: int, now: float) -> None:
        """Takes in that everything still held of `first…last` has been sent."""
        asked = self._asked
        if asked is None or asked.resend != Resend(boot=boot, first=first, last=last):
            return
        self._asked = None
        patience = self._patience.setdefault(boot, _Patience())
        if self._missing(boot, first, last):
            wait = min(ASK_AGAIN_LONGEST_S, ASK_AGAIN_FIRST_S * 2 ** min(patience.attempts, 16))
            patience.attempts += 1
            patience.not_before = now + wait
        else:
            patience.attempts = 0

    def changes(self) -> dict[int, BootRanges]:
        """For each boot that something arrived of: its ranges as they will be once the waiting commit has succeeded."""
        return {boot: self._after(boot) for boot in self._pending}

    def committed(self) -> None:
        """The changes last given are durable now. Nothing may be received between `changes` and here."""
        for boot in list(self._pending):
            self._durable[boot] = self._after(boot)
        self._pending.clear()

    def next_resend(self, now: float) -> Resend | None:
        """The range to ask for now, oldest boot first and one at a time; None when nothing is missing or an answer is due."""
        if self._asked is not None:
            if now - self._asked.silent_since < SILENCE_S:
                return None
            self._asked = None
        for boot in self._order:
            if self._patience.setdefault(boot, _Patience()).not_before > now:
                continue
            holes = self._missing(boot, 0, self._known.get(boot, 0) - 1)
            if holes:
                first, last = holes[0]
                self._asked = _Asked(resend=Resend(boot=boot, first=first, last=last), silent_since=now)
                return self._asked.resend
        return None

    def next_acknowledgements(self) -> list[tuple[int, int]]:
        """(boot, seq) of every boot whose durable prefix has grown since it was last acknowledged on this connection."""
        due = []
        for boot in self._order:
            ranges = self._durable.get(boot)
            prefix = ranges.settled().prefix if ranges else -1
            # A prefix of entries that are all gone says nothing that the wearable does not know better.
            if prefix > self._acknowledged.get(boot, -1) and ranges and ranges.durable:
                due.append((boot, prefix))
        return due

    def acknowledged(self, boot: int, seq: int) -> None:
        """The acknowledgement was written."""
        self._acknowledged[boot] = max(seq, self._acknowledged.get(boot, -1))

    def missing(self) -> int:
        """How many entries the wearable holds, or may hold, that have not arrived."""
        return sum(last - first + 1 for boot in self._order for first, last in self._missing(boot, 0, self._known.get(boot, 0) - 1))

    def finished(self, boot: int) -> bool:
        """Whether nothing more of a boot can arrive: it is not the current one, and nothing of it is missing or held."""
        if self._order and boot == self._order[-1]:
            return False
        return boot not in self._order or not self._missing(boot, 0, self._known.get(boot, 0) - 1)

    def _reach(self, boot: int, following: int) -> None:
        if boot not in self._order:
            # Not named by the status: released since, so older than everything held.
            self._order.insert(0, boot)
        self._known[boot] = max(following, self._known.get(boot, 0))

    def _heard(self, boot: int, first: int, last: int, now: float) -> None:
        # Live entries do not count: they would hide that the answer to the request was lost.
        if self._asked is not None:
            resend = self._asked.resend
            if resend.boot == boot and first <= resend.last and last >= resend.first:
                self._asked.silent_since = now

    def _waiting(self, boot: int) -> BootRanges:
        return self._pending.setdefault(boot, BootRanges())

    def _after(self, boot: int) -> BootRanges:
        after = self._durable.get(boot, BootRanges()).copy()
        pending = self._pending[boot]
        after.durable.update(pending.durable)
        after.overwritten.update(pending.overwritten)
        after.released.update(pending.released)
        # What is here is not lost, whatever was said about it; and a loss is not called released afterwards.
        for gone in (after.overwritten, after.released):
            for first, last in after.durable:
                gone.remove(first, last)
        for first, last in after.overwritten:
            after.released.remove(first, last)
        return after

    def _missing(self, boot: int, first: int, last: int) -> list[Range]:
        settled = self._durable.get(boot, BootRanges()).settled()
        if boot in self._pending:
            settled.update(self._pending[boot].settled())
        return settled.missing(first, last)
