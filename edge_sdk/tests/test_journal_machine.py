"""The journal under any sequence of appends, power cuts, acknowledgements and overflows.

The model is a promise per entry: it is readable, or was acknowledged, or is counted as overwritten, or was in a tail that
a power cut tore off the page being written.
"""

import os
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from zenmoon_edge.core.frame import OVERWRITTEN, RELEASED
from zenmoon_edge.core.journal import Journal
from zenmoon_edge.core.record import ANCHOR, EVENT, HEALTH, MOTION30, RECORD, Entry, Record

VALUES = {
    RECORD: Record(169, 38, 12, 241, 3318, 31, 107, 18, 63, 81),
    MOTION30: (5, 90, 1),
    ANCHOR: (1795197788000, 1, 250),
    EVENT: (3, 7),
    HEALTH: (81, 0, 1, 2),
}
# A soak names more.
EXAMPLES = int(os.environ.get("ZENMOON_JOURNAL_EXAMPLES", "120"))
IDENTITY = (0x9F3C01AA, 0x5B7712E0)
# Memory where there is some: a disk would spend the time on flushes.
SHM = Path("/dev/shm")


class JournalMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=SHM if SHM.is_dir() else None))
        self.journal: Journal | None = None
        self.entries: dict[int, list[Entry]] = {}  # boot → what was appended, by seq
        self.acknowledged: dict[int, int] = {}  # boot → highest seq any gateway acknowledged
        self.torn: dict[int, int] = {}  # boot → first seq that a power cut took
        self.boot = -1
        self.tick = 0
        self.overwritten = 0

    def teardown(self) -> None:
        if self.journal:
            self.journal.close()
        shutil.rmtree(self.folder)

    @initialize(pages=st.integers(2, 6), page_bytes=st.sampled_from([47, 71, 120, 300]))
    def start(self, pages: int, page_bytes: int) -> None:
        self.pages, self.page_bytes = pages, page_bytes
        self.power_returns()

    def power_returns(self) -> None:
        if self.journal:
            self.journal.close()
        self.journal = Journal(str(self.folder), pages=self.pages, page_bytes=self.page_bytes)
        self.boot += 1
        self.tick = 0
        self.journal.begin(self.boot, *IDENTITY)
        self.entries[self.boot] = []

    @rule(kinds=st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=12), step=st.sampled_from([0, 4000, 1 << 20]))
    def append(self, kinds: list[int], step: int) -> None:
        for kind in kinds:
            self.tick += step
            entry = self.journal.append(kind, self.tick, VALUES[kind])
            assert (entry.kind, entry.seq, entry.tick_ms) == (kind, len(self.entries[self.boot]), self.tick)
            self.entries[self.boot].append(entry)

    @rule()
    def power_fails_between_two_writes(self) -> None:
        self.power_returns()

    @precondition(lambda self: self.entries.get(self.boot))
    @rule(data=st.data())
    def power_fails_in_a_write(self, data: st.DataObject) -> None:
        self.journal.close()
        last = max(path for path in self.folder.iterdir() if len(path.name) == 8)
        whole = last.read_bytes()
        cut = data.draw(st.integers(0, len(whole)), label="bytes left")
        last.write_bytes(whole[:cut])
        # What of the page is whole is the codec's matter, tested elsewhere; here a reader of the format's sizes counts it.
        first = int.from_bytes(whole[7:11], "little")
        at, seq = 27, first
        for entry in self.entries[self.boot][first:]:
            at += 4 + len(entry.body) + 2
            seq += at <= cut
        if seq < len(self.entries[self.boot]):
            self.torn[self.boot] = seq
        self.power_returns()

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        boot = data.draw(st.sampled_from(sorted(self.entries)), label="boot")
        # Also what is not there yet: it must not count for later entries.
        seq = data.draw(st.integers(0, len(self.entries[boot]) + 2), label="seq")
        self.journal.acknowledge(boot, seq)
        if seq < len(self.entries[boot]) or boot != self.boot:
            self.acknowledged[boot] = max(seq, self.acknowledged.get(boot, -1))
        else:
            self.acknowledged[boot] = len(self.entries[boot]) - 1

    @invariant()
    def every_entry_is_readable_or_accounted_for(self) -> None:
        if self.journal is None:
            return
        lost = 0
        for boot, entries in self.entries.items():
            found = list(self.journal.read(boot, 0, 0xFFFFFFFF))
            assert all((firmware, model) == IDENTITY for _, firmware, model in found)
            held = {entry.seq: entry for entry, _, _ in found}
            assert list(held) == sorted(held)
            assert all(entries[seq] == entry for seq, entry in held.items())
            why = {
                seq: reason
                for first, last, reason in self.journal.gone(boot, 0, max(len(entries) - 1, 0))
                for seq in range(first, last + 1)
            }
            torn = self.torn.get(boot, len(entries))
            for seq in range(len(entries)):
                if seq in held:
                    assert seq not in why
                elif why[seq] == RELEASED:
                    assert seq <= self.acknowledged[boot]
                else:
                    assert why[seq] == OVERWRITTEN
                    lost += seq < torn
            assert not any(seq >= torn for seq in held)
        # Counted exactly, never less than before, and over all restarts.
        assert self.journal.overwritten == lost
        assert lost >= self.overwritten
        self.overwritten = lost

    @invariant()
    def the_journal_stays_within_its_bound(self) -> None:
        if self.journal is None:
            return
        sizes = [path.stat().st_size for path in self.folder.iterdir() if len(path.name) == 8]
        assert len(sizes) <= self.pages
        assert max(sizes) <= self.page_bytes

    @invariant()
    def holdings_name_what_can_be_read(self) -> None:
        if self.journal is None:
            return
        holdings = self.journal.holdings()
        assert holdings[-1].boot == self.boot
        assert holdings[-1].next == len(self.entries[self.boot])
        assert [holding.boot for holding in holdings] == sorted({holding.boot for holding in holdings})
        for holding in holdings:
            found = [entry.seq for entry, _, _ in self.journal.read(holding.boot, 0, 0xFFFFFFFF)]
            if found:
                assert (holding.first, holding.next) == (found[0], found[-1] + 1)
            else:
                assert (holding.boot, holding.first) == (self.boot, holding.next)


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None, derandomize=EXAMPLES == 120)
