"""The accounting is what makes "stored exactly once" a measurement; it must see every way of being wrong."""

from pathlib import Path

from accounting import Sent, Stored, latencies, read_ledger, settle
from hypothesis import given
from hypothesis import strategies as st


def sent(seq: int, kind: str = "record", payload: str = "aa") -> Sent:
    return Sent(kind, 1, seq, seq * 4000, payload, 1_000_000 * seq)


def stored(seq: int, kind: str = "record", payload: str = "aa", tick_ms: int | None = None) -> Stored:
    return Stored(kind, 1, seq, seq * 4000 if tick_ms is None else tick_ms, payload, 0.5)


def test_everything_stored_once_balances() -> None:
    account = settle([sent(0, "event"), sent(1), sent(2)], [stored(0, "event"), stored(1), stored(2)])
    assert (account.records_sent, account.records_stored, account.others_sent) == (2, 2, 1)
    assert account.balanced(refused=0, conflicts=0)
    assert not account.balanced(refused=1, conflicts=0)
    assert not account.balanced(refused=0, conflicts=1)


def test_nothing_sent_does_not_balance() -> None:
    assert not settle([], []).balanced(0, 0)


def test_a_missing_record_is_lost() -> None:
    account = settle([sent(1), sent(2)], [stored(1)])
    assert account.lost == 1
    assert not account.balanced(0, 0)


def test_a_missing_event_does_not_balance() -> None:
    account = settle([sent(0, "event"), sent(1)], [stored(1)])
    assert (account.lost, account.others_lost) == (0, 1)
    assert not account.balanced(0, 0)


def test_the_same_tick_under_another_key_is_a_duplicate() -> None:
    account = settle([sent(1)], [stored(1), stored(9, tick_ms=4000)])
    assert account.duplicates == 1
    assert not account.balanced(0, 0)


def test_another_payload_under_the_key_is_altered() -> None:
    account = settle([sent(1)], [stored(1, payload="bb")])
    assert (account.lost, account.altered) == (0, 1)
    assert not account.balanced(0, 0)


@given(st.sets(st.integers(1, 60), min_size=1), st.sets(st.integers(1, 60)))
def test_lost_is_the_set_difference(keys: set[int], dropped: set[int]) -> None:
    account = settle([sent(k) for k in keys], [stored(k) for k in keys - dropped])
    assert account.lost == len(keys & dropped)
    assert account.balanced(0, 0) == (not keys & dropped)


def test_a_line_still_being_written_is_left_for_later(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.write_text("event 7 0 0 00ff 10\nrecord 7 1 4000 01ff 4000010\nrecord 7 2 80")
    assert [entry.seq for entry in read_ledger(ledger).sent] == [0, 1]
    assert not read_ledger(ledger).ended
    ledger.write_text("event 7 0 0 00ff 10\nend 7 1\n")
    assert read_ledger(ledger).ended


def test_latency_is_counted_for_records_that_arrived() -> None:
    entries = [sent(seq) for seq in range(1, 101)]
    arrived = {(1, seq): 1_000_000 * seq + seq * 1000 for seq in range(1, 101)}
    assert latencies(entries, arrived) == {"p50": 50.5, "p95": 95.0} or latencies(entries, arrived) == {"p50": 50.5, "p95": 95.1}
    assert latencies(entries, {}) is None
