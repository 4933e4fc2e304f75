"""What `status` shows: read from the outbox file and the state file, whether `run` is running or not."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from zenmoon_gateway.state import Lock, read

# Tallies by their name in the outbox; those that start with "frames_" are added up beside.
TALLIES = ("delivered", "duplicates", "redelivered", "refused", "conflicts", "unsendable", "anchors_unused", "anchors_estimated")


def collect(home: Path) -> dict[str, Any]:
    """Everything that `status --json` prints.

    Args:
        home: The home folder; it need not exist.
    """
    running = Lock(home).held()
    state = read(home)
    outbox = _outbox(home / "outbox.db")
    tallies = outbox.pop("tallies")
    frames = {name.removeprefix("frames_"): number for name, number in tallies.items() if name.startswith("frames_")}
    counts = {name: tallies.get(name, 0) for name in TALLIES}
    uplink = state.get("uplink", {})
    return {
        "running": running,
        "links": {
            name: link if running else {**link, "state": "stopped", "detail": "the gateway does not run"}
            for name, link in {**{device: {"state": "stopped"} for device in _paired(home)}, **state.get("links", {})}.items()
        },
        "uplink": {"state": "starting", **uplink} if running else {**uplink, "state": "stopped"},
        "last_acknowledgement": uplink.get("last_acknowledgement"),
        "outbox": outbox,
        "dead_letters": outbox.pop("dead_letters"),
        "overwritten": outbox.pop("overwritten"),
        **counts,
        # What came more than once: from the wearable, and to the cloud.
        "redelivered": counts["redelivered"] + counts["duplicates"],
        "redelivered_by_wearable": counts["redelivered"],
        "frames_refused": frames,
        "notices": state.get("notices", []),
    }


def _paired(home: Path) -> list[str]:
    return sorted(path.stem for path in (home / "wearables").glob("*.json"))


def _outbox(path: Path) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "depth": 0,
        "waiting_for_time": 0,
        "oldest_age_s": None,
        "dead_letters": 0,
        "overwritten": 0,
        "tallies": {},
        "error": None,
    }
    if not path.exists():
        return empty
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)
        try:
            connection.execute("BEGIN")  # one moment for all the numbers
            depth, timeless, oldest = connection.execute(
                "SELECT count(*), count(*) - count(ts_ms), min(received_ms) FROM items"
            ).fetchone()
            return {
                "depth": depth,
                "waiting_for_time": timeless,
                "oldest_age_s": None if oldest is None else round(max(0.0, time.time() - oldest / 1000), 1),
                "dead_letters": connection.execute("SELECT count(*) FROM dead_letters").fetchone()[0],
                "overwritten": connection.execute("SELECT coalesce(sum(lost), 0) FROM ranges").fetchone()[0],
                "tallies": dict(connection.execute("SELECT name, value FROM tallies")),
                "error": None,
            }
        finally:
            connection.close()
    except sqlite3.Error as error:
        return {**empty, "error": f"{path} cannot be read ({error}). Next: start `run`, which sets a damaged outbox aside"}
