"""What `run` tells other processes about itself: a small file that is replaced at each change, and a lock that only one holds."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from zenmoon_gateway import durable
from zenmoon_gateway.errors import GatewayError, Reason


class Lock:
    """Held by the one `run` of a home folder; the system releases it however the process ends.

    An SQLite file in an open exclusive transaction: the same on every platform, and no stale lock after a kill.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "run.lock"
        self._connection: sqlite3.Connection | None = None

    def take(self) -> None:
        """Takes the lock.

        Raises:
            GatewayError: `already_running`, or `storage` when the file cannot be used at all.
        """
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(self._path, timeout=0.5, isolation_level=None)
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                text = f"a gateway is already running on {self._path.parent}. Next: end that one, or choose another --home"
                raise GatewayError(Reason.ALREADY_RUNNING, text) from error
            text = f"{self._path} cannot be used ({error}). Next: check the disk and the folder's owner"
            raise GatewayError(Reason.STORAGE, text) from error
        self._connection = connection

    def release(self) -> None:
        """Gives it back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def held(self) -> bool:
        """Whether any process holds it."""
        if not self._path.exists():
            return False
        connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.OperationalError:
            return True
        finally:
            connection.close()
        return False


class State:
    """The live part of `status`, kept in `state.json`. It is lost at a crash, and then `status` shows nothing live."""

    def __init__(self, home: Path) -> None:
        self._path = home / "state.json"
        self._dirty = True
        self._content: dict[str, Any] = {
            "pid": os.getpid(),
            "started_at": _now(),
            "links": {},
            "uplink": {"state": "starting"},
            "notices": [],
        }

    def link(self, device: str, **fields: Any) -> None:
        """Changes fields of a wearable's link."""
        self._content["links"].setdefault(device, {}).update(fields)
        self._dirty = True

    def uplink(self, **fields: Any) -> None:
        """Changes fields of the way to the cloud."""
        self._content["uplink"].update(fields)
        self._dirty = True

    def notice(self, text: str) -> None:
        """Keeps a message for the owner until the next start."""
        self._content["notices"].append(text)
        self._dirty = True

    def flush(self) -> None:
        """Writes the file if anything changed since it was last written."""
        if not self._dirty:
            return
        self._dirty = False
        self._content["updated_at"] = _now()
        # A full disk must not end the gateway over a file that is only looked at.
        with contextlib.suppress(OSError):
            durable.replace(self._path.with_name("state.json.new"), self._path, json.dumps(self._content) + "\n", sync=False)


def read(home: Path) -> dict[str, Any]:
    """What the last `run` wrote; empty without one."""
    try:
        content: dict[str, Any] = json.loads((home / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content


def _now() -> float:
    return round(time.time(), 3)
