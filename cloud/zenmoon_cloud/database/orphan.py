"""A server whose owner was killed goes on running: end it, by its process id and nothing broader."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from zenmoon_cloud.errors import CloudError

FAST_S = 15.0  # a fast shutdown writes a checkpoint
IMMEDIATE_S = 5.0
POLL_S = 0.02
NOBODY = 2**31 - 1  # above every system's largest process id


def end_orphan(data: Path) -> None:
    """End the server that still runs on the data folder, if there is one.

    A `postmaster.pid` whose process is gone is left to PostgreSQL, which replaces it after looking for attached memory.

    Raises:
        CloudError: ``orphan`` when the process cannot be ended.
    """
    pid = _server_of(data)
    if pid is None:
        _disown_reused_id(data)
        return
    for number, patience in ((signal.SIGINT, FAST_S), (signal.SIGQUIT, IMMEDIATE_S), (signal.SIGKILL, IMMEDIATE_S)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        except PermissionError:
            break
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if _server_of(data) != pid:
                return
            time.sleep(POLL_S)
    raise CloudError(
        "orphan",
        f"A database server of an earlier run (process {pid}) still uses {data} and cannot be ended. "
        f"End it with `kill -INT {pid}` as its own user, then start again.",
    )


def _disown_reused_id(data: Path) -> None:
    """Where the id in `postmaster.pid` belongs to another program by now, PostgreSQL would refuse to start.

    Only the id is replaced: the other lines let PostgreSQL find out whether something still uses the old memory.
    """
    path = data / "postmaster.pid"
    with contextlib.suppress(OSError):
        _, _, rest = path.read_text().partition("\n")
        path.write_text(f"{NOBODY}\n{rest}")


def _server_of(data: Path) -> int | None:
    """Return the id of the live server on `data`, checked against its command line because ids are reused."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        if Path("/proc/self").exists():
            return None
        # No /proc (macOS): the same question to ps.
        answer = subprocess.run(["ps", "-p", str(pid), "-o", "command="], check=False, capture_output=True, text=True)
        words = answer.stdout.split()
    return pid if str(data) in words and words[0].endswith("postgres") else None
