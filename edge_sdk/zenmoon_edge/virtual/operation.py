"""bumble's operations for bleak: they fail with bleak's errors, and end when their connection or transport does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from bleak.exc import BleakError, BleakGATTProtocolError
from bumble import att, core

T = TypeVar("T")


class Operations:
    """What is under way on one adapter.

    bumble must not be cancelled between a request and its answer: it would take the late answer for that of the next request. So
    an operation whose caller has gone, or whose connection has ended, is left to bumble's own time limits.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Future[Any]] = set()

    async def run(self, start: Callable[[], Awaitable[T]], ended: "asyncio.Future[str]") -> T:
        """Runs what `start` returns unless `ended` comes first.

        Args:
            start: Begins the work; not called when `ended` is already done.
            ended: Resolves to the reason once the connection, or the adapter, is gone.

        Raises:
            BleakGATTProtocolError: The peer refused the request.
            BleakError: Anything else that went wrong, with its cause.
        """
        if ended.done():
            raise BleakError(ended.result())
        work: asyncio.Future[T] = asyncio.ensure_future(start())
        self._running.add(work)
        work.add_done_callback(self._forget)
        either: set[asyncio.Future[Any]] = {work, ended}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise BleakError(ended.result())
        if work.cancelled():
            # bumble cancels requests under way a moment before it reports the disconnection itself.
            raise BleakError(ended.result() if ended.done() else "The connection ended.")
        match work.exception():
            case att.ATT_Error() as error:
                raise BleakGATTProtocolError(int(error.error_code or 0)) from error
            case core.TimeoutError() | core.CommandTimeoutError() | TimeoutError() as error:
                raise BleakError(f"No answer in time: {error}") from error
            case core.BaseBumbleError() | OSError() as error:
                raise BleakError(str(error) or type(error).__name__) from error
        return work.result()

    def _forget(self, work: "asyncio.Future[Any]") -> None:
        self._running.discard(work)
        if not work.cancelled():
            work.exception()  # looked at, so that asyncio does not report one that nobody waits for any more

    async def close(self) -> None:
        """Cancels what is left; only once the transport is closed."""
        left = list(self._running)
        for work in left:
            work.cancel()
        await asyncio.gather(*left, return_exceptions=True)
