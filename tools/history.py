"""The demo child's past: what its phone would have delivered in the last sixty days, through the one door for observations.

A later start brings what has happened since: the simulated child lives on while the demo is off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import httpx
from machine import Unavailable
from stored import Store
from zenmoon_edge.messages import Ack, Batch, new_batch_id
from zenmoon_edge.simulator import Child, history, source_of

DAYS = timedelta(days=60)
OVERLAP = timedelta(days=1)
LATELY = timedelta(minutes=5)  # a demo that was off no longer has nothing to catch up with
BATCH = 4000  # items: about two megabytes
TOLD_EVERY = 4  # batches: about twelve days
SUMMED_WITHIN_S = 120.0  # the first start sums up sixty days
LOOK_EVERY_S = 0.2
BACK_WITHIN_S = 60.0  # a service that has ended is started again


class History:
    """Brings the past of a simulated child into the demo.

    Args:
        child: Whose past it is.
        say: Told about progress.
    """

    def __init__(self, child: Child, say: Callable[[str], None]) -> None:
        self._child, self._say = child, say

    async def bring(self, address: str, accounts: dict[str, Any], store: Store, now: datetime) -> bool:
        """Delivers what is missing of the last sixty days; of a new child it waits until they are summed up.

        Args:
            address: Of the service.
            accounts: What the service's seed has made: child, gateway.
            store: Says what is there already.
            now: The demo's clock.

        Returns:
            Whether the child is new: nothing was known of it before.

        Raises:
            Unavailable: The service did not take a batch.
        """
        end = now.replace(second=0, microsecond=0)
        newest, brought = await store.newest_minutes(accounts["child_id"])
        if newest and brought and newest >= end - LATELY:
            return False
        # A day of overlap, so that a night is whole; what the service has already, it tells by its key.
        begin = max(end - DAYS, brought - OVERLAP) if brought else end - DAYS
        started, sent, withheld = time.monotonic(), 0, 0
        async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=60) as client:
            for number, items in enumerate(_batches(history(self._child, begin, end, source_of(self._child)))):
                if number % TOLD_EVERY == 0:
                    self._say(f"history of the simulated child: {items[0]['ts'][:10]} …")
                withheld += await _deliver(client, accounts["gateway"], items)
                sent += len(items)
        self._say(f"history: {sent} items delivered in {time.monotonic() - started:.1f} s")
        if newest is None:  # else there is something to see, and the worker sums up within seconds
            started = time.monotonic()
            await self._summed_up(store)
            self._say(f"history: summed up {time.monotonic() - started:.1f} s later")
        if withheld:
            self._say(f"history: {withheld} of these items were withheld: nobody allows monitoring for their time")
            self._say("for all sixty days: start with a new --state, and a new database where DATABASE_URL names one")
        return newest is None

    async def _summed_up(self, store: Store) -> None:
        deadline = time.monotonic() + SUMMED_WITHIN_S
        while await store.unsummed_hours():
            if time.monotonic() > deadline:
                self._say("the worker is still summing up; the page fills while it works")
                return
            await asyncio.sleep(LOOK_EVERY_S)


def _batches(items: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch


async def _deliver(client: httpx.AsyncClient, gateway: dict[str, str], items: list[dict[str, Any]]) -> int:
    """Returns how many were withheld because the guardians do not allow monitoring; a repetition changes nothing."""
    batch = Batch(new_batch_id(), gateway["gateway_id"], datetime.now(UTC).isoformat(), items)
    headers = {"Authorization": f"Bearer {gateway['token']}", "Content-Type": "application/json"}
    deadline = time.monotonic() + BACK_WITHIN_S
    while True:
        try:
            answer = await client.post("/api/ingest/batches", content=batch.to_json(), headers=headers)
            break
        except httpx.TransportError as error:
            if time.monotonic() > deadline:
                cause = f"the service does not answer any more ({error!r})."
                raise Unavailable(f"{cause}\nNext: read logs/cloud.log in the state folder") from error
            await asyncio.sleep(LOOK_EVERY_S)
    if answer.status_code != httpx.codes.OK:
        cause = f"the service did not take the history ({answer.status_code}: {answer.text[:200]})."
        raise Unavailable(f"{cause}\nNext: read logs/cloud.log in the state folder")
    everything = Ack.from_json(answer.text).refused
    refused = [item for item in everything if item.code != "consent"]
    if refused:
        cause = f"{len(refused)} items of the history were refused ({refused[0].code}: {refused[0].detail})."
        raise Unavailable(f"{cause}\nNext: remove the state folder and start again")
    return len(everything)
