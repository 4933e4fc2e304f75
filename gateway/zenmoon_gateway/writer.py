"""The one thread that touches the outbox, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from zenmoon_gateway.database import failure
from zenmoon_gateway.outbox import Outbox

P = ParamSpec("P")
T = TypeVar("T")


class Writer:
    """Runs an outbox in its own thread, one call after the other."""

    def __init__(self, path: Path) -> None:
        self.outbox = Outbox(path)
        self.arrived = asyncio.Event()
        """Set after each commit; the way to the cloud clears it."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")

    async def call(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a method of `outbox` there. A call that has begun is finished even if the caller is cancelled.

        Raises:
            GatewayError: `storage` or `damaged`.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: method(*args, **kwargs))
        except sqlite3.Error as error:
            raise failure(error) from error

    def close(self) -> None:
        """Waits for the call that runs, then closes the file."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self.outbox.close()
