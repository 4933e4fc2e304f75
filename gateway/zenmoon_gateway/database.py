"""The outbox's SQLite file: its tables, how it is opened, and what happens to a damaged one."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from zenmoon_gateway.errors import GatewayError, Reason

SCHEMA_VERSION = 1
# `ts_ms` is null until an anchor rules the entry's boot. `position` orders a wearable's boots, oldest first.
SCHEMA = """
CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device INTEGER NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
    kind INTEGER NOT NULL, tick_ms INTEGER NOT NULL, body BLOB NOT NULL, firmware INTEGER NOT NULL, model INTEGER NOT NULL,
    ts_ms INTEGER, received_ms INTEGER NOT NULL,
    UNIQUE (device, boot, seq));
CREATE INDEX items_ready ON items (id) WHERE ts_ms IS NOT NULL;
CREATE TABLE ranges (
    device INTEGER NOT NULL, boot INTEGER NOT NULL, position INTEGER NOT NULL,
    durable TEXT NOT NULL DEFAULT '[]', overwritten TEXT NOT NULL DEFAULT '[]', released TEXT NOT NULL DEFAULT '[]',
    lost INTEGER NOT NULL DEFAULT 0, highest INTEGER NOT NULL DEFAULT -1, last_tick_ms INTEGER,
    PRIMARY KEY (device, boot)) WITHOUT ROWID;
CREATE TABLE anchors (
    device INTEGER NOT NULL, boot INTEGER NOT NULL,
    tick_ms INTEGER NOT NULL, utc_ms INTEGER NOT NULL, source INTEGER NOT NULL, uncertainty_ms INTEGER NOT NULL,
    PRIMARY KEY (device, boot)) WITHOUT ROWID;
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL,
    device INTEGER NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
    code TEXT NOT NULL, detail TEXT NOT NULL, item TEXT);
CREATE TABLE tallies (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


def signed(number: int) -> int:
    """A 64-bit number in SQLite's two's complement."""
    return number - (1 << 64) if number >> 63 else number


def unsigned(number: int) -> int:
    """The opposite of `signed`."""
    return number & 0xFFFF_FFFF_FFFF_FFFF


def open_file(path: Path) -> sqlite3.Connection:
    """Opens the file for durable writing, creating it for its owner only.

    Raises:
        sqlite3.OperationalError: It cannot be opened.
        sqlite3.DatabaseError: It is damaged.
        GatewayError: `storage`, when another version of the gateway wrote it.
    """
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its -wal and -shm files the same mode
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("quick_check found damage")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            text = f"{path} has schema {version}, this gateway knows {SCHEMA_VERSION}. Next: update zenmoon-gateway"
            raise GatewayError(Reason.STORAGE, text)
    except BaseException:
        connection.close()
        raise
    return connection


def failure(error: sqlite3.Error) -> GatewayError:
    """What an error during work means: try again, or damage that only a fresh file ends."""
    if type(error) is sqlite3.DatabaseError:
        text = f"the outbox is damaged ({error}); nothing was acknowledged. Next: start again, which sets the file aside"
        return GatewayError(Reason.DAMAGED, text)
    text = f"the outbox cannot be used now ({error}); nothing was acknowledged. Next: free space on the disk"
    return GatewayError(Reason.STORAGE, text)


def set_aside(path: Path) -> Path:
    """Renames a damaged file with its companions and returns the new path."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")).exists():
        number += 1
    for ending in ("", "-wal", "-shm"):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    return aside
