"""`run`: the links and the way to the cloud as tasks of one process, until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine
from typing import Any

from zenmoon_gateway import durable
from zenmoon_gateway.adapter import Adapter
from zenmoon_gateway.errors import GatewayError, Reason
from zenmoon_gateway.link import Link
from zenmoon_gateway.pairing import Pairings
from zenmoon_gateway.settings import Settings
from zenmoon_gateway.state import Lock, State
from zenmoon_gateway.uplink import Uplink, http_client
from zenmoon_gateway.writer import Writer

log = logging.getLogger(__name__)

OUTBOX = "outbox.db"
# `status` is read by people; twice a second is live enough.
PUBLISH_EVERY_S = 0.5
# Whoever sends SIGTERM follows with SIGKILL; a radio that does not answer must not wait for that. Nothing is lost either way.
ENDING_S = 1.0


async def run(settings: Settings) -> None:
    """Runs the gateway until SIGTERM or SIGINT.

    Raises:
        GatewayError: `already_running`, `not_paired`, `settings` or `storage`, each before anything was started;
            an ExceptionGroup later would be a defect.
    """
    durable.make_folder(settings.home)
    lock = Lock(settings.home)
    lock.take()
    try:
        await _run_locked(settings)
    finally:
        lock.release()


async def _run_locked(settings: Settings) -> None:
    pairings = Pairings(settings.home)
    paired = pairings.load()
    if not paired:
        raise GatewayError(
            Reason.NOT_PAIRED, f"no wearable is paired in {settings.home}. Next: zenmoon-gateway pair --device … --key-file …"
        )
    reservers = [pairings.reserver(pairing) for pairing in paired]
    state = State(settings.home)
    writer = Writer(settings.home / OUTBOX)
    if writer.outbox.set_aside is not None:
        text = (
            f"the outbox was damaged and has been set aside as {writer.outbox.set_aside}; a fresh one was started. "
            "What had not been sent is in that file. Next: keep it, and check the disk"
        )
        log.error("%s", text)
        state.notice(text)
    adapter = Adapter(settings.adapter)
    try:
        async with http_client() as client:
            uplink = Uplink(
                writer=writer,
                client=client,
                cloud=settings.cloud,
                credentials=settings.credentials,
                clock=settings.clock,
                state=state,
            )
            links = [
                Link(pairing=pairing, reserve=reserve, adapter=adapter, writer=writer, clock=settings.clock, state=state)
                for pairing, reserve in zip(paired, reservers, strict=True)
            ]
            await _until_told(uplink.run(), _publish(state), *(link.run() for link in links))
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDING_S):
                await adapter.drop()
        writer.close()
        state.uplink(state="stopped")
        state.flush()
    log.info("ended; everything received is in %s", settings.home / OUTBOX)


async def _until_told(*work: Coroutine[Any, Any, None]) -> None:
    """Runs all of it until a signal, or until one fails, which is then raised."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt
            loop.add_signal_handler(name, told.set)
    tasks = [asyncio.create_task(one) for one in work]
    ending = asyncio.create_task(told.wait())
    try:
        done, _ = await asyncio.wait([ending, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {ending}:
            task.result()
    finally:
        for task in (ending, *tasks):
            task.cancel()
        await asyncio.wait([ending, *tasks], timeout=ENDING_S)


async def _publish(state: State) -> None:
    while True:
        state.flush()
        await asyncio.sleep(PUBLISH_EVERY_S)
