"""The journal keeps what nobody has acknowledged and lets go of the rest, whatever power does."""

# MicroPython has no pathlib, and no star in a list.

from journal_folder import BOOT, FOUR_EVENTS, RECORD_VALUES, Folder, append_events, refusal, seqs
from zenmoon_edge.core.crc import crc16
from zenmoon_edge.core.frame import RELEASED, Holding
from zenmoon_edge.core.record import ANCHOR, EVENT, HEALTH, MOTION30, RECORD, CodecError, unpack_body


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
