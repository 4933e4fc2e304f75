"""The durable outbox: one SQLite file that holds every entry from its arrival until the cloud's answer.

WAL with `synchronous=FULL`: when `commit` returns, the group has been fsync'd and may be acknowledged to the wearable.
One connection writes; other processes read (`zenmoon_gateway.status`). No credentials and no keys are in here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zenmoon_edge.core.record import Entry

from zenmoon_gateway.anchors import Anchor, BootTime
from zenmoon_gateway.database import failure, open_file, set_aside, signed, unsigned
from zenmoon_gateway.errors import GatewayError, Reason
from zenmoon_gateway.ranges import RangeSet
from zenmoon_gateway.sync import BootRanges


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrived:
    """An entry as the wearable sent it, with the part of its key and the versions that stand in the frame."""

    boot: int
    firmware: int
    model: int
    entry: Entry


@dataclass(kw_only=True)
class Group:
    """Everything that is made durable together: one fsync, then one acknowledgement.

    Attributes:
        ranges: boot → what is durable or gone once this group is.
        highest: boot → highest frame counter that was opened.
        anchors: Candidates; the first of a boot rules.
    """

    entries: list[Arrived] = field(default_factory=list)
    ranges: Mapping[int, BootRanges] = field(default_factory=dict)
    highest: Mapping[int, int] = field(default_factory=dict)
    anchors: list[tuple[int, Anchor]] = field(default_factory=list)
    tallies: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.entries or self.ranges or self.highest or self.anchors or any(self.tallies.values()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """An entry that waits for the cloud, with its UTC."""

    id: int
    device: int
    arrived: Arrived
    ts_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """An entry that the cloud will never take; `item` is what was sent, None where even that may not be kept."""

    waiting: Waiting
    code: str
    detail: str
    item: dict[str, Any] | None


class Outbox:
    """The outbox file, opened for writing. Use it from one thread at a time.

    Args:
        path: The file; it is created readable by its owner only.

    Attributes:
        set_aside: Where a damaged file was moved to, if the one at `path` was damaged.
    """

    def __init__(self, path: Path) -> None:
        self.set_aside: Path | None = None
        try:
            self._connection = open_file(path)
        except sqlite3.OperationalError as error:
            raise GatewayError(
                Reason.STORAGE, f"{path} cannot be opened ({error}). Next: check the disk and the file's owner"
            ) from error
        except sqlite3.DatabaseError:
            self.set_aside = set_aside(path)
            self._connection = open_file(path)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise failure(error) from error
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def ranges(self, device: int) -> tuple[dict[int, BootRanges], dict[int, int]]:
        """Per boot of a wearable: its ranges, and the highest frame counter accepted."""
        rows = self._connection.execute(
            "SELECT boot, durable, overwritten, released, highest FROM ranges WHERE device = ?", (signed(device),)
        ).fetchall()
        ranges = {
            boot: BootRanges(
                durable=RangeSet.from_json(durable),
                overwritten=RangeSet.from_json(overwritten),
                released=RangeSet.from_json(released),
            )
            for boot, durable, overwritten, released, _ in rows
        }
        return ranges, {row[0]: row[4] for row in rows if row[4] >= 0}

    def order(self, device: int, boots: Iterable[int]) -> None:
        """Remembers a wearable's boots, oldest first; those already known keep their place."""
        with self._transaction() as connection:
            for boot in boots:
                _know(connection, signed(device), boot)

    def commit(self, device: int, group: Group, *, now_ms: int) -> list[int]:
        """Makes a group durable.

        Args:
            device: The wearable's 64-bit id.
            group: What arrived.
            now_ms: Real time, ms since 1970; the age of waiting items counts from here.

        Returns:
            Boots that an anchor of this group now rules.

        Raises:
            GatewayError: `storage`; nothing of the group was kept.
        """
        device = signed(device)
        with self._transaction() as connection:
            for boot in {*group.ranges, *group.highest}:
                _know(connection, device, boot)
            for boot, ranges in group.ranges.items():
                connection.execute(
                    "UPDATE ranges SET durable = ?, overwritten = ?, released = ?, lost = ? WHERE device = ? AND boot = ?",
                    (
                        ranges.durable.to_json(),
                        ranges.overwritten.to_json(),
                        ranges.released.to_json(),
                        len(ranges.overwritten),
                        device,
                        boot,
                    ),
                )
            connection.executemany(
                "UPDATE ranges SET highest = max(highest, ?) WHERE device = ? AND boot = ?",
                [(counter, device, boot) for boot, counter in group.highest.items()],
            )
            ticks: dict[int, int] = {}
            for arrived in group.entries:
                ticks[arrived.boot] = max(arrived.entry.tick_ms, ticks.get(arrived.boot, 0))
            connection.executemany(
                "UPDATE ranges SET last_tick_ms = max(coalesce(last_tick_ms, 0), ?) WHERE device = ? AND boot = ?",
                [(tick, device, boot) for boot, tick in ticks.items()],
            )
            ruled = [boot for boot, anchor in group.anchors if _rule(connection, device, boot, anchor)]
            origins = dict(connection.execute("SELECT boot, utc_ms - tick_ms FROM anchors WHERE device = ?", (device,)))
            connection.executemany(
                "INSERT INTO items (device, boot, seq, kind, tick_ms, body, firmware, model, ts_ms, received_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                [_row(device, arrived, origins.get(arrived.boot), now_ms) for arrived in group.entries],
            )
            _tally(connection, group.tallies)
        return ruled

    def boots(self, device: int) -> list[BootTime]:
        """What is known of the time of a wearable's boots, oldest first, all taken as finished."""
        rows = self._connection.execute(
            "SELECT boot, last_tick_ms, a.tick_ms, utc_ms, source, uncertainty_ms"
            " FROM ranges LEFT JOIN anchors AS a USING (device, boot)"
            " WHERE device = ? ORDER BY position",
            (signed(device),),
        )
        return [
            BootTime(
                boot=boot,
                finished=True,
                last_tick_ms=last,
                anchor=None if tick is None else Anchor(tick_ms=tick, utc_ms=utc, source=source, uncertainty_ms=uncertainty),
            )
            for boot, last, tick, utc, source, uncertainty in rows
        ]

    def ready(self, limit: int, *, besides: frozenset[int] = frozenset()) -> list[Waiting]:
        """The oldest items that have a UTC, in order of arrival.

        Args:
            limit: At most so many.
            besides: Ids to leave out.
        """
        rows = self._connection.execute(
            "SELECT id, device, boot, seq, kind, tick_ms, body, firmware, model, ts_ms FROM items"
            " WHERE ts_ms IS NOT NULL ORDER BY id LIMIT ?",
            (limit + len(besides),),
        )
        waiting = [
            Waiting(
                id=number,
                device=unsigned(device),
                arrived=Arrived(boot=boot, firmware=firmware, model=model, entry=Entry(kind, seq, tick_ms, body)),
                ts_ms=ts_ms,
            )
            for number, device, boot, seq, kind, tick_ms, body, firmware, model, ts_ms in rows
            if number not in besides
        ]
        return waiting[:limit]

    def settle(self, delivered: Iterable[Waiting], dead: Iterable[DeadLetter], *, tallies: Mapping[str, int], now_ms: int) -> None:
        """Applies the cloud's answer: the delivered leave, the refused become dead letters.

        Raises:
            GatewayError: `storage`; nothing changed, and the same items will be sent again.
        """
        dead = list(dead)
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO dead_letters (at_ms, device, boot, seq, code, detail, item) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        now_ms,
                        signed(letter.waiting.device),
                        letter.waiting.arrived.boot,
                        letter.waiting.arrived.entry.seq,
                        letter.code,
                        letter.detail,
                        None if letter.item is None else json.dumps(letter.item),
                    )
                    for letter in dead
                ],
            )
            gone = [(waiting.id,) for waiting in delivered] + [(letter.waiting.id,) for letter in dead]
            connection.executemany("DELETE FROM items WHERE id = ?", gone)
            _tally(connection, tallies)


def _know(connection: sqlite3.Connection, device: int, boot: int) -> None:
    connection.execute(
        "INSERT INTO ranges (device, boot, position) SELECT ?1, ?2, coalesce(max(position), 0) + 1 FROM ranges WHERE device = ?1"
        " ON CONFLICT DO NOTHING",
        (device, boot),
    )


def _rule(connection: sqlite3.Connection, device: int, boot: int, anchor: Anchor) -> bool:
    """The first anchor of a boot rules: items keep the UTC under which they may already have been sent."""
    rules = connection.execute(
        "INSERT INTO anchors (device, boot, tick_ms, utc_ms, source, uncertainty_ms) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (device, boot, anchor.tick_ms, anchor.utc_ms, anchor.source, anchor.uncertainty_ms),
    )
    if not rules.rowcount:
        return False
    connection.execute(
        "UPDATE items SET ts_ms = tick_ms + ? WHERE device = ? AND boot = ? AND ts_ms IS NULL", (anchor.utc_at(0), device, boot)
    )
    return True


def _row(device: int, arrived: Arrived, origin_ms: int | None, now_ms: int) -> tuple[Any, ...]:
    entry = arrived.entry
    ts_ms = None if origin_ms is None else origin_ms + entry.tick_ms
    return device, arrived.boot, entry.seq, entry.kind, entry.tick_ms, entry.body, arrived.firmware, arrived.model, ts_ms, now_ms


def _tally(connection: sqlite3.Connection, tallies: Mapping[str, int]) -> None:
    connection.executemany(
        "INSERT INTO tallies (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        [(name, value) for name, value in tallies.items() if value],
    )
