"""A medium that refuses: nothing that was journalled is lost, no seq is given twice, and the journal goes on."""

import errno
import io
from pathlib import Path

import pytest
from zenmoon_edge.core import journal as journal_module
from zenmoon_edge.core import marks as marks_module
from zenmoon_edge.core import pages as pages_module
from zenmoon_edge.core.frame import OVERWRITTEN, RELEASED
from zenmoon_edge.core.journal import Journal, JournalError
from zenmoon_edge.core.record import EVENT

BOOT = 7


class Refusing:
    """A file of a full disk: takes `takes` bytes of the next write, then refuses; `flushes` says whether it fails there."""

    def __init__(self, file: io.BufferedWriter, takes: int) -> None:
        self._file, self._takes = file, takes

    def write(self, data: bytes) -> int:
        self._file.write(data[: self._takes])
        self._file.flush()
        if self._takes < len(data):
            raise OSError(errno.ENOSPC, "no space left")
        return len(data)

    def flush(self) -> None:
        raise OSError(errno.EIO, "the medium failed")

    def close(self) -> None:
        self._file.close()

    def fileno(self) -> int:
        return self._file.fileno()


@pytest.fixture
def journal(tmp_path: Path):
    journal = Journal(str(tmp_path / "journal"))
    journal.begin(BOOT, 1, 2)
    for tick in range(3):
        journal.append(EVENT, tick, (3, tick))
    yield journal
    journal.close()


def seqs(journal: Journal) -> list[int]:
    return [entry.seq for entry, _, _ in journal.read(BOOT, 0, 100)]


def refuse_next_write(journal: Journal, takes: int) -> None:
    journal._file = Refusing(journal._file, takes)


@pytest.mark.parametrize("takes", range(11))
def test_a_write_that_fails_half_way_leaves_its_seq_to_the_next_entry(journal: Journal, takes: int) -> None:
    refuse_next_write(journal, takes)
    with pytest.raises(JournalError) as refusal:
        journal.append(EVENT, 3, (3, 3))
    assert refusal.value.reason == "storage"
    assert journal.append(EVENT, 4, (3, 4)).seq == 3
    assert seqs(journal) == [0, 1, 2, 3]
    assert journal.overwritten == 0


def test_a_flush_that_fails_after_the_entry_was_written_gives_no_seq_twice(journal: Journal) -> None:
    refuse_next_write(journal, 11)
    with pytest.raises(JournalError):
        journal.append(EVENT, 3, (3, 3))
    assert journal.append(EVENT, 4, (3, 4)).seq == 4
    assert [(entry.seq, entry.tick_ms) for entry, _, _ in journal.read(BOOT, 3, 4)] == [(3, 3), (4, 4)]


def test_a_page_that_cannot_be_closed_is_told_and_the_next_entry_goes_on(journal: Journal) -> None:
    class Stuck(Refusing):
        def close(self) -> None:
            super().close()
            raise OSError(errno.EIO, "the medium failed")

    journal._file = Stuck(journal._file, 0)
    with pytest.raises(JournalError) as refusal:
        journal.append(EVENT, 1 << 30, (3, 3))  # needs a new page
    assert refusal.value.reason == "storage"
    assert journal.append(EVENT, 1 << 30, (3, 3)).seq == 3
    assert seqs(journal) == [0, 1, 2, 3]


def test_a_boot_whose_predecessors_pages_cannot_be_removed_is_refused_as_storage(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: str) -> None:
        raise OSError(errno.EIO, "the medium failed")

    journal.acknowledge(BOOT, 2)
    with monkeypatch.context() as patch:
        patch.setattr(pages_module.os, "remove", failing)
        with pytest.raises(JournalError) as refusal:
            journal.begin(BOOT + 1, 1, 2)
    assert refusal.value.reason == "storage"
    journal.begin(BOOT + 2, 1, 2)
    assert journal.append(EVENT, 0, (1, 1)).seq == 0


@pytest.mark.parametrize("damage", ["bit", "gone"])
def test_a_failed_write_to_a_page_that_is_damaged_gives_no_seq_twice(journal: Journal, tmp_path: Path, damage: str) -> None:
    (page,) = (tmp_path / "journal").glob("00*")
    if damage == "gone":
        page.unlink()
    else:
        data = bytearray(page.read_bytes())
        data[30] ^= 1  # in the first entry
        page.write_bytes(data)
    refuse_next_write(journal, 5)
    with pytest.raises(JournalError):
        journal.append(EVENT, 3, (3, 3))
    assert journal.append(EVENT, 4, (3, 4)).seq == 3
    assert seqs(journal) == [3]
    assert journal.gone(BOOT, 0, 3) == [(0, 2, OVERWRITTEN)]
    assert journal.overwritten == 3


def test_what_a_failed_write_left_is_found_the_same_after_a_restart(journal: Journal, tmp_path: Path) -> None:
    refuse_next_write(journal, 5)
    with pytest.raises(JournalError):
        journal.append(EVENT, 3, (3, 3))
    journal.append(EVENT, 4, (3, 4))
    journal.close()
    again = Journal(str(tmp_path / "journal"))
    assert seqs(again) == [0, 1, 2, 3]
    assert again.overwritten == 0
    again.close()


def test_a_page_that_cannot_be_made_is_refused_and_tried_again(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(pages_module, "make_durable", full)
        with pytest.raises(JournalError) as refusal:
            journal.append(EVENT, 1 << 21, (3, 3))
    assert refusal.value.reason == "storage"
    assert journal.append(EVENT, 1 << 21, (3, 3)).seq == 3
    assert seqs(journal) == [0, 1, 2, 3]


def test_an_acknowledgement_that_cannot_be_noted_releases_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def torn(file: io.BufferedWriter) -> None:
        file.truncate(file.tell() - 4)
        raise OSError(errno.EIO, "the medium failed")

    journal.begin(BOOT + 1, 1, 2)
    journal.append(EVENT, 0, (1, 0))
    journal.acknowledge(BOOT + 1, 0)
    with monkeypatch.context() as patch:
        patch.setattr(marks_module, "make_durable", torn)
        with pytest.raises(JournalError) as refusal:
            journal.acknowledge(BOOT, 2)
    assert refusal.value.reason == "storage"
    assert seqs(journal) == [0, 1, 2]
    journal.acknowledge(BOOT, 2)
    assert seqs(journal) == []
    journal.close()
    # The mark after the torn one counts: it was not written behind it.
    again = Journal(str(tmp_path / "journal"))
    assert again.gone(BOOT, 0, 2) == [(0, 2, RELEASED)]
    assert again.overwritten == 0
    again.close()


def test_a_page_that_cannot_be_read_for_now_is_not_given_up(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    journal.acknowledge(BOOT, 0)  # its marks are open: a loss could be noted
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", refusing)
        with pytest.raises(JournalError) as refusal:
            seqs(journal)
    assert refusal.value.reason == "storage"
    assert seqs(journal) == [0, 1, 2]
    assert journal.overwritten == 0


def test_a_boot_has_no_more_entries_than_seq_has_numbers(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "SEQ_MAX", 3)
    assert journal.append(EVENT, 9, (3, 0)).seq == 3
    with pytest.raises(JournalError) as refusal:
        journal.append(EVENT, 9, (3, 0))
    assert refusal.value.reason == "full"
