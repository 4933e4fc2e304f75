"""The Bluetooth adapter: the platform's own, or a virtual one over HCI; opened when needed, and again when its transport died."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

# Opening an HCI transport and resetting a controller takes well under a second; a controller silent for longer hangs.
OPEN_TIMEOUT_S = 10.0


class AdapterDownError(Exception):
    """The adapter's transport could not be opened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Backend:
    """bleak backend classes; None stands for the platform's own."""

    scanner: type[Any] | None
    client: type[Any] | None


class Adapter:
    """One adapter, shared by the links; `radio` is held while scanning and connecting, which an adapter does once at a time.

    Args:
        transport: None for the platform's Bluetooth, else a virtual adapter's HCI transport.
    """

    def __init__(self, transport: str | None) -> None:
        self._transport = transport
        self._open = AsyncExitStack()
        self._backend: Backend | None = None
        self._lost: asyncio.Event | None = None
        self.radio = asyncio.Lock()

    async def backend(self) -> Backend:
        """The adapter's backend classes, opening it if it is not open.

        Raises:
            AdapterDownError: It cannot be opened now.
        """
        if self._lost is not None and self._lost.is_set():
            await self.drop()
        if self._backend is None:
            self._backend = (
                Backend(scanner=None, client=None) if self._transport is None else await self._open_virtual(self._transport)
            )
        return self._backend

    async def drop(self) -> None:
        """Closes the adapter; the next use opens it again."""
        self._backend = self._lost = None
        stack, self._open = self._open, AsyncExitStack()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await stack.aclose()
        except Exception:  # noqa: S110 - whatever a dying transport raises, it is gone afterwards
            pass

    async def _open_virtual(self, transport: str) -> Backend:
        from zenmoon_edge.virtual import bleak_backend  # noqa: PLC0415 - the virtual extra is not installed on a phone

        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                opened = await self._open.enter_async_context(bleak_backend.adapter(transport))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await self.drop()
            raise AdapterDownError(f"the adapter {transport} does not answer ({error or type(error).__name__})") from error
        self._lost = opened.lost
        return Backend(scanner=opened.scanner, client=opened.client)
