"""One wearable's link: found, connected, kept, and found again for ever. The only owner of its state."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from enum import Enum
from functools import partial

from zenmoon_edge import client
from zenmoon_edge.client import Wearable, WearableError
from zenmoon_edge.core.clock import Clock

from zenmoon_gateway.adapter import Adapter, AdapterDownError
from zenmoon_gateway.backoff import Backoff
from zenmoon_gateway.errors import GatewayError, Reason
from zenmoon_gateway.pairing import Pairing
from zenmoon_gateway.session import Session
from zenmoon_gateway.state import State
from zenmoon_gateway.sync import BootRanges
from zenmoon_gateway.writer import Writer

log = logging.getLogger(__name__)

# A wearable advertises every 152.5 ms; a phone that scans a tenth of the time finds it within a few seconds.
SCAN_S = 10.0
# Between scans and after failures: soon at first (a child walks through a door), and no worse than half a minute later on.
RETRY_FIRST_S = 0.5
RETRY_LONGEST_S = 30.0
# A wearable whose status does not open with our key belongs to somebody else; look at it again only now and then.
STRANGER_S = 60.0
# Failures of the adapter in a row, after which its transport is opened afresh.
ADAPTER_FAILURES = 3


class LinkState(Enum):
    """Where a link stands."""

    WAITING_FOR_ADAPTER = "waiting_for_adapter"
    SCANNING = "scanning"
    CONNECTING = "connecting"
    CATCHING_UP = "catching_up"
    LIVE = "live"
    PAUSED = "paused"
    STOPPED = "stopped"


class Link:
    """Keeps one wearable connected and everything it journals durable.

    Args:
        pairing: The wearable and its key.
        reserve: Counters of that key.
        adapter: Shared with other links.
        writer: The outbox.
        clock: This gateway's clock.
        state: Where `status` looks.
    """

    def __init__(
        self, *, pairing: Pairing, reserve: Callable[[], int], adapter: Adapter, writer: Writer, clock: Clock, state: State
    ) -> None:
        self._pairing = pairing
        self._reserve = reserve
        self._adapter = adapter
        self._writer = writer
        self._clock = clock
        self._published = state
        self._backoff = Backoff(first_s=RETRY_FIRST_S, longest_s=RETRY_LONGEST_S)
        self._strangers: dict[str, float] = {}
        self._adapter_failures = 0
        self.state: LinkState | None = None

    async def run(self) -> None:
        """Connects again and again, until cancelled."""
        try:
            while True:
                await self._once()
                await asyncio.sleep(self._backoff.next_s())
        finally:
            self._enter(LinkState.STOPPED, "the gateway ends")

    async def _once(self) -> None:
        try:
            await self._connection()
        except AdapterDownError as error:
            self._enter(LinkState.WAITING_FOR_ADAPTER, f"{error}; trying again")
        except WearableError as error:
            await self._failed(error)
        except GatewayError as error:
            if error.reason is Reason.DAMAGED:
                raise
            self._enter(LinkState.PAUSED, str(error))

    async def _connection(self) -> None:
        async with self._adapter.radio:
            backend = await self._adapter.backend()
            self._enter(LinkState.SCANNING, f"looking for the wearable …{self._pairing.name[-4:]}")
            device = await client.find(self._accepts, seconds=SCAN_S, backend=backend.scanner)
            if device is None:
                return
            self._enter(LinkState.CONNECTING, f"to {device.address}")
            outbox = self._writer.outbox
            stored, highest = await self._writer.call(outbox.ranges, self._pairing.device)
            wearable = Wearable(
                device,
                key=self._pairing.key,
                key_id=self._pairing.key_id,
                reserve=self._reserve,
                highest=highest,
                backend=backend.client,
            )
            await wearable.connect()
        try:
            await self._converse(wearable, stored, highest)
        finally:
            await wearable.disconnect()

    async def _converse(self, wearable: Wearable, stored: dict[int, BootRanges], highest: dict[int, int]) -> None:
        publish = partial(self._published.link, self._pairing.name)
        session = Session(
            device=self._pairing.device,
            wearable=wearable,
            stored=stored,
            highest=highest,
            writer=self._writer,
            clock=self._clock,
            publish=publish,
        )
        try:
            await session.begin()
        except WearableError as error:
            if error.reason == client.Reason.WRONG_KEY:
                self._strangers[wearable.address] = time.monotonic() + STRANGER_S
            raise
        self._backoff.reset()
        self._adapter_failures = 0
        while True:
            self._enter(LinkState.LIVE if session.caught_up else LinkState.CATCHING_UP, wearable.address)
            await session.turn()

    def _accepts(self, name: str, address: str) -> bool:
        """The name ends with the device id's last four digits; whether it is the one, its key will tell."""
        return name.lower().endswith(self._pairing.name[-4:]) and self._strangers.get(address, 0.0) <= time.monotonic()

    async def _failed(self, error: WearableError) -> None:
        self._enter(LinkState.PAUSED, f"{error.detail}; trying again")
        if error.reason == client.Reason.BLUETOOTH:
            self._adapter_failures += 1
            if self._adapter_failures % ADAPTER_FAILURES == 0:
                async with self._adapter.radio:  # never while another link is just opening it
                    await self._adapter.drop()

    def _enter(self, state: LinkState, why: str) -> None:
        # Scanning and pausing alternate while a wearable is away: one line says it, not one every few seconds.
        if state is not self.state:
            log.info("wearable %s: %s: %s", self._pairing.name, state.value, why)
            self._published.link(self._pairing.name, state=state.value, detail=why, since=round(time.time(), 3))
            self._published.flush()
        self.state = state
