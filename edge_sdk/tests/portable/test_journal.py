"""The journal: nothing acknowledged is kept for ever, nothing unacknowledged goes uncounted, whatever power does."""

# MicroPython has no pathlib, and no star in a list.

import os
from binascii import hexlify

from zenmoon_edge.core.crc import crc16
from zenmoon_edge.core.frame import OVERWRITTEN, RELEASED, Holding
from zenmoon_edge.core.journal import Journal, JournalError
from zenmoon_edge.core.record import ANCHOR, EVENT, HEALTH, MOTION30, RECORD, CodecError, Record, unpack_body

BOOT = 3735928559
RECORD_VALUES = Record(169, 38, 12, 241, 3318, 31, 107, 18, 63, 81)
# Pages of 27 + 4 × 11 bytes: four events each.
FOUR_EVENTS = 71


try:
    os.stat("/dev/shm")
    # Memory: hundreds of flushes to a disk would be most of what these tests take.
    BASE = "/dev/shm"
except OSError:
    BASE = "/tmp"


class Folder:
    """A fresh folder that goes with its content."""

    def __enter__(self):
        self.path = BASE + "/zenmoon-journal-" + hexlify(os.urandom(8)).decode()
        self._journals = []
        return self

    def __exit__(self, *_):
        for journal in self._journals:
            journal.close()
        for name in self.files():
            os.remove(self.path + "/" + name)
        os.rmdir(self.path)

    def open(self, **settings):
        """The journal as it is found after power came back."""
        for journal in self._journals:
            journal.close()
        journal = Journal(self.path, **settings)
        self._journals = [journal]
        return journal

    def files(self):
        return sorted(os.listdir(self.path))

    def pages(self):
        return [name for name in self.files() if len(name) == 8]

    def bytes_of(self, name):
        with open(self.path + "/" + name, "rb") as file:
            return file.read()

    def put(self, name, data):
        with open(self.path + "/" + name, "wb") as file:
            file.write(data)


def append_events(journal, count, start=0):
    for at in range(start, start + count):
        journal.append(EVENT, at * 1000, (3, at))


def seqs(journal, boot=BOOT, first=0, last=0xFFFFFFFF):
    return [entry.seq for entry, _, _ in journal.read(boot, first, last)]


def refusal(function, *arguments, **named):
    """The reason a call is refused for, None when it is not."""
    try:
        function(*arguments, **named)
    except JournalError as error:
        return error.reason
    return None


def test_a_page_has_the_bytes_of_the_wire():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 0x9F3C01AA, 0x5B7712E0)
        journal.append(EVENT, 5, (1, 258))
        journal.append(EVENT, 7, (3, 0))
        header = b"ZJ\x01" + b"\xef\xbe\xad\xde" + bytes(4) + bytes(6) + b"\xaa\x01\x3c\x9f" + b"\xe0\x12\x77\x5b"
        expected = b""
        for part in (header, b"\x00\x54\x00\x00\x01\x02\x01\x00\x00", b"\x01\x74\x00\x00\x03\x00\x00\x00\x00"):
            expected += part + bytes((crc16(part) & 0xFF, crc16(part) >> 8))
        assert folder.pages() == ["00000000"]
        assert folder.bytes_of("00000000") == expected


def test_marks_have_the_bytes_of_the_wire():
    with Folder() as folder:
        journal = folder.open(pages=2, page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 1)
        journal.acknowledge(BOOT, 0)
        append_events(journal, 8, 1)
        expected = b""
        for part in (b"\x01\xef\xbe\xad\xde" + bytes(8), b"\x02\xef\xbe\xad\xde\x01\0\0\0\x03\0\0\0"):
            expected += part + bytes((crc16(part) & 0xFF, crc16(part) >> 8))
        assert folder.bytes_of("marks") == expected


def test_a_record_takes_twenty_bytes():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        before = len(folder.bytes_of("00000000"))
        journal.append(RECORD, 4000, RECORD_VALUES)
        assert (before, len(folder.bytes_of("00000000"))) == (27, 47)


def test_entries_come_back_with_their_identities():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 0x9F3C01AA, 0x5B7712E0)
        values = (
            (RECORD, RECORD_VALUES),
            (MOTION30, (5, 90, 1)),
            (ANCHOR, (1795197788000, 1, 250)),
            (EVENT, (4, 0)),
            (HEALTH, (81, 0, 1, 2)),
        )
        appended = [journal.append(kind, at * 4000, value) for at, (kind, value) in enumerate(values)]
        assert [entry.seq for entry in appended] == [0, 1, 2, 3, 4]
        for again in (journal, folder.open()):
            assert list(again.read(BOOT, 0, 4)) == [(entry, 0x9F3C01AA, 0x5B7712E0) for entry in appended]
            assert unpack_body(RECORD, next(again.read(BOOT, 0, 0))[0].body) == RECORD_VALUES


def test_a_range_is_read_exactly():
    with Folder() as folder:
        journal = folder.open(page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 11)
        for first in range(12):
            for last in range(first, 12):
                assert seqs(journal, BOOT, first, last) == list(range(first, min(last, 10) + 1))
        assert seqs(journal, BOOT + 1) == []


def test_appending_before_a_boot_has_begun_is_refused():
    with Folder() as folder:
        journal = folder.open()
        assert refusal(journal.append, EVENT, 0, (1, 0)) == "not_begun"
        journal.begin(BOOT, 1, 2)
        journal.append(EVENT, 0, (1, 0))
        journal = folder.open()
        assert refusal(journal.append, EVENT, 0, (1, 0)) == "not_begun"


def test_the_boot_is_on_flash_before_the_first_entry():
    with Folder() as folder:
        folder.open().begin(BOOT, 1, 2)
        assert folder.bytes_of(folder.pages()[0])[3:7] == b"\xef\xbe\xad\xde"


def test_a_boot_that_is_held_cannot_begin_again():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        append_events(journal, 2)
        assert refusal(journal.begin, BOOT, 1, 2) == "boot_held"
        journal = folder.open()
        assert refusal(journal.begin, BOOT, 1, 2) == "boot_held"
        journal.begin(BOOT + 1, 1, 2)
        assert seqs(journal) == [0, 1]


def test_a_boot_that_was_all_acknowledged_cannot_begin_again_either():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        append_events(journal, 2)
        journal = folder.open()
        journal.acknowledge(BOOT, 1)
        assert journal.holdings() == []
        assert refusal(journal.begin, BOOT, 1, 2) == "boot_held"


def test_an_impossible_tick_is_refused_and_costs_nothing():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        for tick in (-1, 1 << 48):
            try:
                journal.append(EVENT, tick, (1, 0))
                raise AssertionError(tick)
            except CodecError as error:
                assert error.reason == "range"
        assert len(folder.pages()) == 1
        assert journal.append(EVENT, 0, (1, 0)).seq == 0


def test_a_page_turns_when_full_when_the_tick_leaves_and_after_256_entries():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        journal.append(EVENT, 0, (1, 0))
        for tick in (1 << 20, 5, 1 << 47):
            journal.append(EVENT, tick, (1, 0))
        assert len(folder.pages()) == 4
        for _ in range(300):
            journal.append(MOTION30, 1 << 47, (1, 0, 0))
        assert len(folder.pages()) == 5
        assert seqs(folder.open()) == list(range(304))
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        for _ in range(204):
            journal.append(RECORD, 0, RECORD_VALUES)
        assert len(folder.pages()) == 2
        assert len(folder.bytes_of("00000000")) <= 4096


def test_a_torn_tail_costs_only_the_torn_entry_wherever_it_is_cut():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        journal.append(RECORD, 4000, RECORD_VALUES)
        append_events(journal, 2, 1)
        whole = folder.bytes_of("00000000")
        ends = (27, 47, 58, 69)
        for size in range(len(whole) + 1):
            folder.put("00000000", whole[:size])
            journal = folder.open()
            kept = len([end for end in ends[1:] if end <= size])
            assert seqs(journal) == list(range(kept)), size
            assert journal.overwritten == 0
            assert folder.pages() == (["00000000"] if kept else []), size


def test_appending_after_a_torn_tail_starts_a_new_page():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        append_events(journal, 3)
        torn = folder.bytes_of("00000000")[:-1]
        folder.put("00000000", torn)
        journal = folder.open()
        journal.begin(7, 1, 2)
        append_events(journal, 2)
        assert folder.bytes_of("00000000") == torn
        journal = folder.open()
        assert journal.holdings() == [Holding(BOOT, 0, 2), Holding(7, 0, 2)]
        assert (seqs(journal), seqs(journal, 7)) == ([0, 1], [0, 1])


def test_a_gap_in_seq_ends_the_page():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        append_events(journal, 3)
        whole = folder.bytes_of("00000000")
        folder.put("00000000", whole[:38] + whole[49:])
        assert seqs(folder.open()) == [0]


def test_an_entry_of_a_wrong_kind_ends_the_page():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        append_events(journal, 2)
        whole = folder.bytes_of("00000000")
        entry = whole[38:39] + bytes((whole[39] & 0xF0 | 9,)) + whole[40:47]
        folder.put("00000000", whole[:38] + entry + bytes((crc16(entry) & 0xFF, crc16(entry) >> 8)))
        assert seqs(folder.open()) == [0]


def test_pages_go_whole_once_acknowledged():
    with Folder() as folder:
        journal = folder.open(page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 10)
        for seq, left in ((2, 3), (3, 2), (6, 2), (9, 1)):
            journal.acknowledge(BOOT, seq)
            assert len(folder.pages()) == left
        assert journal.holdings() == [Holding(BOOT, 8, 10)]
        append_events(journal, 3, 10)
        assert journal.holdings() == [Holding(BOOT, 8, 13)]
        assert journal.overwritten == 0


def test_an_acknowledgement_ahead_of_the_current_boot_does_not_eat_later_entries():
    with Folder() as folder:
        journal = folder.open(page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 4)
        journal.acknowledge(BOOT, 1000)
        append_events(journal, 6, 4)
        assert seqs(folder.open(page_bytes=FOUR_EVENTS)) == [4, 5, 6, 7, 8, 9]


def test_an_acknowledgement_of_an_unknown_boot_changes_nothing():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        append_events(journal, 2)
        journal.acknowledge(BOOT + 1, 5)
        assert (journal.holdings(), folder.files()) == ([Holding(BOOT, 0, 2)], ["00000000"])


def test_old_boots_stay_until_they_are_acknowledged():
    with Folder() as folder:
        for boot in (1, 2, 3):
            journal = folder.open(page_bytes=FOUR_EVENTS)
            journal.begin(boot, 1, 2)
            append_events(journal, 5)
        assert journal.holdings() == [Holding(1, 0, 5), Holding(2, 0, 5), Holding(3, 0, 5)]
        journal.acknowledge(2, 4)
        journal.acknowledge(1, 3)
        journal.acknowledge(3, 4)
        assert journal.holdings() == [Holding(1, 4, 5), Holding(3, 4, 5)]
        journal = folder.open(page_bytes=FOUR_EVENTS)
        journal.begin(4, 1, 2)
        assert journal.holdings() == [Holding(1, 4, 5), Holding(4, 0, 0)]


def test_a_boot_that_ends_without_a_restart_keeps_only_what_is_owed():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(1, 1, 2)
        append_events(journal, 3)
        journal.acknowledge(1, 2)
        journal.begin(2, 1, 2)
        append_events(journal, 3)
        journal.acknowledge(2, 1)
        journal.begin(3, 1, 2)
        journal.begin(4, 1, 2)
        assert journal.holdings() == [Holding(2, 0, 3), Holding(4, 0, 0)]
        assert len(folder.pages()) == 2


def test_acknowledgements_survive_a_restart():
    with Folder() as folder:
        journal = folder.open(page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 6)
        journal.acknowledge(BOOT, 4)
        journal = folder.open(page_bytes=FOUR_EVENTS)
        assert journal.gone(BOOT, 0, 5) == [(0, 3, RELEASED)]
        journal.acknowledge(BOOT, 5)
        assert journal.gone(BOOT, 0, 5) == [(0, 5, RELEASED)]


def test_the_bound_drops_the_oldest_page_and_counts_it_first():
    with Folder() as folder:
        journal = folder.open(pages=3, page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 30)
        assert len(folder.pages()) == 3
        assert journal.overwritten == 20
        assert journal.holdings() == [Holding(BOOT, 20, 30)]
        assert journal.gone(BOOT, 0, 29) == [(0, 19, OVERWRITTEN)]
        journal = folder.open(pages=3, page_bytes=FOUR_EVENTS)
        assert (journal.overwritten, journal.gone(BOOT, 5, 29)) == (20, [(5, 19, OVERWRITTEN)])


def test_only_unacknowledged_entries_are_counted_as_overwritten():
    with Folder() as folder:
        journal = folder.open(pages=2, page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 2)
        journal.acknowledge(BOOT, 1)
        append_events(journal, 8, 2)
        assert journal.overwritten == 2
        assert journal.gone(BOOT, 0, 9) == [(0, 1, RELEASED), (2, 3, OVERWRITTEN)]


def test_the_bound_takes_the_oldest_boot_first():
    with Folder() as folder:
        journal = folder.open(pages=3, page_bytes=FOUR_EVENTS)
        journal.begin(1, 1, 2)
        append_events(journal, 6)
        journal = folder.open(pages=3, page_bytes=FOUR_EVENTS)
        journal.begin(2, 1, 2)
        append_events(journal, 9)
        assert journal.holdings() == [Holding(2, 0, 9)]
        assert journal.gone(1, 0, 5) == [(0, 5, OVERWRITTEN)]
        assert journal.overwritten == 6


def test_a_loss_is_marked_before_its_page_goes():
    with Folder() as folder:
        journal = folder.open(pages=2, page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 8)
        dropped = folder.bytes_of("00000000")
        append_events(journal, 1, 8)
        # Power fails between the mark and the removal: the page is there again, but counted as lost already.
        folder.put("00000000", dropped)
        journal = folder.open(pages=2, page_bytes=FOUR_EVENTS)
        assert (journal.overwritten, seqs(journal)) == (4, [4, 5, 6, 7, 8])


def test_a_release_that_power_interrupted_is_finished_at_opening():
    with Folder() as folder:
        journal = folder.open(page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 5)
        page = folder.bytes_of("00000000")
        journal.acknowledge(BOOT, 3)
        folder.put("00000000", page)
        journal = folder.open(page_bytes=FOUR_EVENTS)
        assert (folder.pages(), journal.overwritten) == (["00000001"], 0)


def test_a_missing_page_is_counted_as_lost():
    with Folder() as folder:
        journal = folder.open(page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 12)
        os.remove(folder.path + "/00000001")
        journal = folder.open(page_bytes=FOUR_EVENTS)
        assert (journal.overwritten, journal.gone(BOOT, 0, 11)) == (4, [(4, 7, OVERWRITTEN)])
        assert seqs(journal) == [0, 1, 2, 3, 8, 9, 10, 11]


def test_damage_in_the_middle_is_counted_and_costs_no_other_page():
    with Folder() as folder:
        journal = folder.open(page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 12)
        page = folder.bytes_of("00000001")
        folder.put("00000001", page[:45] + bytes((page[45] ^ 4,)) + page[46:])
        for _ in range(2):
            journal = folder.open(page_bytes=FOUR_EVENTS)
            assert seqs(journal) == [0, 1, 2, 3, 4, 8, 9, 10, 11]
            assert (journal.overwritten, journal.gone(BOOT, 0, 11)) == (3, [(5, 7, OVERWRITTEN)])


def test_damage_to_the_page_being_written_does_not_turn_seq_back():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        append_events(journal, 3)
        page = folder.bytes_of("00000000")
        folder.put("00000000", page[:-1] + bytes((page[-1] ^ 1,)))
        assert seqs(journal) == [0, 1]
        assert journal.append(EVENT, 9, (1, 0)).seq == 3
        for again in (journal, folder.open()):
            assert seqs(again) == [0, 1, 3]
            assert again.gone(BOOT, 0, 3) == [(2, 2, OVERWRITTEN)]


def test_a_journal_can_be_read_while_its_pages_go():
    with Folder() as folder:
        journal = folder.open(page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 12)
        reading = journal.read(BOOT, 0, 100)
        found = [next(reading)[0].seq, next(reading)[0].seq]
        journal.acknowledge(BOOT, 8)
        found += [entry.seq for entry, _, _ in reading]
        assert found == [0, 1, 2, 3, 8, 9, 10, 11]
        assert journal.overwritten == 0


def test_a_journal_can_be_read_while_it_grows_beyond_its_bound():
    with Folder() as folder:
        journal = folder.open(pages=3, page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 10)
        reading = journal.read(BOOT, 0, 100)
        found = [next(reading)[0].seq]
        append_events(journal, 10, 10)
        found += [entry.seq for entry, _, _ in reading]
        assert found == [0, 1, 2, 3] + list(range(8, 20))
        assert journal.overwritten == 8


def test_what_the_current_boot_has_not_written_is_not_gone():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        append_events(journal, 3)
        assert journal.gone(BOOT, 0, 100) == []
        assert journal.gone(BOOT, 50, 100) == []


def test_what_a_torn_tail_or_an_unknown_boot_held_is_never_called_released():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        append_events(journal, 3)
        folder.put("00000000", folder.bytes_of("00000000")[:-1])
        journal = folder.open()
        journal.begin(7, 1, 2)
        assert journal.gone(BOOT, 0, 2) == [(2, 2, OVERWRITTEN)]
        assert journal.gone(99, 5, 6) == [(5, 6, OVERWRITTEN)]
        # A gateway may have what the tear took.
        journal.acknowledge(BOOT, 2)
        assert journal.gone(BOOT, 0, 2) == [(0, 2, RELEASED)]


def test_foreign_files_are_left_alone():
    with Folder() as folder:
        journal = folder.open()
        foreign = {"README": b"text", "0000000G": b"ZJ", "0000000A": b"ZJ", "000000001": b"", "1": b"", "x.tmp": b""}
        for name, data in foreign.items():
            folder.put(name, data)
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        append_events(journal, 2)
        journal = folder.open()
        assert seqs(journal) == [0, 1]
        for name, data in foreign.items():
            assert folder.bytes_of(name) == data


def test_a_page_that_is_not_readable_is_set_aside_and_its_number_not_used_again():
    for bad in (b"\0" * 4096, b"ZJ\x02" + bytes(24), b"ZJ\x01" + bytes(60)):
        with Folder() as folder:
            journal = folder.open()
            folder.put("00000009", bad)
            journal = folder.open()
            journal.begin(BOOT, 1, 2)
            append_events(journal, 2)
            assert folder.files() == ["0000000a", "aside"]
            assert folder.bytes_of("aside") == bad


def test_a_page_that_repeats_what_another_holds_is_set_aside():
    with Folder() as folder:
        journal = folder.open(page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 8)
        folder.put("00000007", folder.bytes_of("00000001"))
        journal = folder.open(page_bytes=FOUR_EVENTS)
        assert (seqs(journal), "aside" in folder.files()) == (list(range(8)), True)


def test_torn_or_damaged_marks_cost_no_entry():
    with Folder() as folder:
        journal = folder.open(pages=3, page_bytes=FOUR_EVENTS)
        journal.begin(BOOT, 1, 2)
        append_events(journal, 14)
        journal.acknowledge(BOOT, 8)
        marks = folder.bytes_of("marks")
        held = {name: folder.bytes_of(name) for name in folder.pages()}
        for size in range(len(marks) + 1):
            for name, data in held.items():
                folder.put(name, data)
            folder.put("marks", marks[:size])
            journal = folder.open(pages=3, page_bytes=FOUR_EVENTS)
            assert seqs(journal)[-6:] == list(range(8, 14)), size
            # Every entry that is not held is explained, and never as safe unless it was.
            for _, last, reason in journal.gone(BOOT, 0, 13):
                assert reason == OVERWRITTEN or last <= 8
            assert journal.overwritten in (4, 8)
            assert len(folder.bytes_of("marks")) % 15 == 0


def test_marks_stay_short():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        for at in range(600):
            journal.append(EVENT, at, (3, 0))
            journal.acknowledge(BOOT, at)
        assert len(folder.bytes_of("marks")) < 4200
        assert "marks.new" not in folder.files()
        journal = folder.open()
        assert journal.gone(BOOT, 0, 599)[0] == (0, 599, RELEASED)


def test_a_renewal_of_the_marks_that_power_interrupted_changes_nothing():
    with Folder() as folder:
        journal = folder.open()
        journal.begin(BOOT, 1, 2)
        append_events(journal, 3)
        journal.acknowledge(BOOT, 1)
        folder.put("marks.new", b"\x01\xef\xbe")
        journal = folder.open()
        journal.acknowledge(BOOT, 2)
        assert journal.gone(BOOT, 0, 2) == [(0, 2, RELEASED)]


def test_a_reboot_loop_keeps_the_count_of_lost_entries_and_short_marks():
    with Folder() as folder:
        for boot in range(600):
            journal = folder.open(pages=2, page_bytes=FOUR_EVENTS)
            journal.begin(boot, 1, 2)
            append_events(journal, 2)
        assert len(folder.bytes_of("marks")) < 6000
        for again in (journal, folder.open(pages=2, page_bytes=FOUR_EVENTS)):
            assert [held.boot for held in again.holdings()] == [598, 599]
            assert again.overwritten == 2 * 598
            for boot in range(598):
                assert again.gone(boot, 0, 1) == [(0, 1, OVERWRITTEN)]


def test_settings_that_make_no_journal_are_refused():
    with Folder() as folder:
        folder.open()
        assert refusal(Journal, folder.path, pages=1) == "settings"
        assert refusal(Journal, folder.path, page_bytes=40) == "settings"
        assert refusal(Journal, folder.path, page_bytes=5000) == "settings"


def test_a_folder_that_cannot_be_made_is_refused_with_its_cause():
    assert refusal(Journal, "/dev/null/journal") == "storage"
