"""What the journal has to give up is counted first: the bound, damage, foreign files, marks. Nothing goes uncounted."""

# MicroPython has no pathlib, and no star in a list.

import os

from journal_folder import BOOT, FOUR_EVENTS, Folder, append_events, refusal, seqs
from zenmoon_edge.core.frame import OVERWRITTEN, RELEASED, Holding
from zenmoon_edge.core.journal import Journal
from zenmoon_edge.core.record import EVENT


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
