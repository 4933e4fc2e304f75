"""What was sent against what was stored: the demo's accounting, as functions of their arguments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

Key = tuple[int, int]  # boot, seq – the demo has one wearable


@dataclass(frozen=True)
class Sent:
    """One line of the wearable's own ledger, written right after the journal append."""

    kind: str
    boot: int
    seq: int
    tick_ms: int
    payload: str
    appended_us: int


@dataclass(frozen=True)
class Stored:
    """One stored row: its key, tick and payload as 16 hex digits, and strain (0–1) where the wearable gave one."""

    kind: str
    boot: int
    seq: int
    tick_ms: int
    payload: str
    strain: float | None


@dataclass(frozen=True)
class Ledger:
    """The wearable's sent-ledger; `ended` = the recording was played to its end."""

    sent: tuple[Sent, ...]
    ended: bool

    @property
    def boots(self) -> set[int]:
        """Every boot in it: a wearable that was killed goes on under another."""
        return {entry.boot for entry in self.sent}


@dataclass(frozen=True)
class Account:
    """Counts of kind `record`, and the same for every other kind together."""

    records_sent: int
    records_stored: int
    lost: int
    duplicates: int
    altered: int
    others_sent: int
    others_lost: int
    strain_mean: float | None

    def balanced(self, refused: int, conflicts: int) -> bool:
        """Every record sent is stored once, unaltered, and nothing was refused."""
        wrong = self.lost + self.duplicates + self.altered + self.others_lost + refused + conflicts
        return wrong == 0 and self.records_sent == self.records_stored and self.records_sent > 0


def read_ledger(path: Path) -> Ledger:
    """Reads the ledger; a line that is still being written (no newline yet) is left for the next reading."""
    if not path.exists():
        return Ledger((), ended=False)
    sent: list[Sent] = []
    ended = False
    for line in path.read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        kind, *rest = line.split()
        if kind == "end":
            ended = True
        else:
            boot, seq, tick_ms, payload, appended_us = rest
            sent.append(Sent(kind, int(boot), int(seq), int(tick_ms), payload, int(appended_us)))
    return Ledger(tuple(sent), ended)


def settle(sent: Iterable[Sent], stored: Iterable[Stored]) -> Account:
    """Compares the two ledgers.

    `lost` = records sent that are not stored; `altered` = stored under the key with another payload; `duplicates` = stored
    rows above one for an equal (boot, tick).
    """
    sent, stored = list(sent), list(stored)
    records = [row for row in stored if row.kind == "record"]
    kept = {(row.boot, row.seq): row.payload for row in stored}
    sent_records = [entry for entry in sent if entry.kind == "record"]
    sent_others = [entry for entry in sent if entry.kind != "record"]
    copies = Counter((row.boot, row.tick_ms) for row in records)
    strains = [row.strain for row in records if row.strain is not None]
    return Account(
        records_sent=len(sent_records),
        records_stored=len(records),
        lost=sum((entry.boot, entry.seq) not in kept for entry in sent_records),
        duplicates=sum(count - 1 for count in copies.values()),
        altered=sum(kept.get((entry.boot, entry.seq), entry.payload) != entry.payload for entry in sent),
        others_sent=len(sent_others),
        others_lost=sum((entry.boot, entry.seq) not in kept for entry in sent_others),
        strain_mean=round(sum(strains) / len(strains), 4) if strains else None,
    )


def latencies(sent: Iterable[Sent], received_us: Mapping[Key, int]) -> dict[str, float] | None:
    """Milliseconds from journal append to WebSocket receive over the records that arrived there: p50, p95."""
    waits = [
        (received_us[entry.boot, entry.seq] - entry.appended_us) / 1000
        for entry in sent
        if entry.kind == "record" and (entry.boot, entry.seq) in received_us
    ]
    if len(waits) < 2:
        return None
    cuts = quantiles(waits, n=20, method="inclusive")
    return {"p50": round(cuts[9], 1), "p95": round(cuts[18], 1)}
