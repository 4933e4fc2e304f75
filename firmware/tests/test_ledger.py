"""The desktop's account of its own journal, after a process that was killed before it had said everything."""

from pathlib import Path

import pytest
from zenmoon_edge.core.journal import Journal
from zenmoon_edge.core.record import BOOT, END, EVENT, payload_hash

DESKTOP = Path(__file__).parents[1] / "boards/desktop"
KILLED = 7


@pytest.fixture
def journal(tmp_path):
    journal = Journal(str(tmp_path / "journal"))
    journal.begin(KILLED, 1, 2)
    yield journal
    journal.close()


@pytest.fixture
def complete(journal, tmp_path, monkeypatch):
    """Starts a ledger anew, of firmware 3 and model 4, over what a killed process left; gives its lines."""
    monkeypatch.syspath_prepend(str(DESKTOP))
    from ledger import Ledger

    def restart(left):
        path = tmp_path / "ledger.txt"
        path.write_text(left)
        ledger = Ledger(str(path), 3, 4)
        ledger.complete(journal)
        ledger.close()
        return path.read_text().splitlines()

    return restart


def test_an_owed_line_names_the_payload_of_the_firmware_that_made_the_entry(journal, complete):
    journal.append(EVENT, 0, (BOOT, 1))
    owed = journal.append(EVENT, 4000, (2, 1))
    lines = complete("event 7 0 0 0000000000000000 1\n")
    assert lines[1].split()[:5] == ["event", "7", "1", "4000", payload_hash(owed, 1, 2).hex()]


def test_an_owed_end_is_written_with_its_event(journal, complete):
    journal.append(EVENT, 0, (BOOT, 1))
    journal.append(EVENT, 8000, (END, 8))
    for left in ("", "event 7 1 8000 00"):
        lines = complete("event 7 0 0 0000000000000000 1\n" + left)
        assert [line.split()[:3] for line in lines[1:]] == [["event", "7", "1"], ["end", "7", "1"]]
