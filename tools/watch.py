"""Looks at the demo as a parent's browser does: signs in, listens to the live WebSocket, remembers what arrived when."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import websockets
from machine import Unavailable

RETRY_S = 0.25  # the service may be restarting; the address is on this machine
BACK_WITHIN_S = 60.0  # a service that has ended is started again


@dataclass
class Watcher:
    """A signed-in listener.

    Attributes:
        received_us: (boot, seq) → monotonic µs of its first arrival over the WebSocket.
        latest: The newest record as the page shows it.
        arrived_twice: Records that the WebSocket delivered more than once.
        open_alarms: Ids of the alarms that nobody has acknowledged or that have not ended.
        listening: Set once the service has greeted for the first time: whatever is stored from then on arrives.
    """

    address: str
    email: str
    password: str
    received_us: dict[tuple[int, int], int] = field(default_factory=dict)
    latest: dict[str, Any] = field(default_factory=dict)
    arrived_twice: int = 0
    open_alarms: set[str] = field(default_factory=set)
    listening: asyncio.Event = field(default_factory=asyncio.Event)
    _cursor: str | None = None

    async def run(self) -> None:
        """Listens until cancelled; signs in again and resumes at its cursor when the service comes back."""
        while True:
            with contextlib.suppress(OSError, httpx.HTTPError, websockets.WebSocketException, KeyError):
                await self._listen(await self._sign_in())
            await asyncio.sleep(RETRY_S)

    async def suggestion(self, child_id: str) -> dict[str, Any]:
        """Asks for a suggestion now, as the page's button does.

        Raises:
            Unavailable: The service did not answer as it should.
        """
        deadline = time.monotonic() + BACK_WITHIN_S
        while True:
            try:
                async with self._signed_in() as client:
                    answer = await client.post(f"/api/recommendation/{child_id}")
                    suggestion: dict[str, Any] = answer.raise_for_status().json()
                    return suggestion
            except httpx.HTTPError as error:
                if not isinstance(error, httpx.TransportError) or time.monotonic() > deadline:
                    cause = f"the service makes no suggestion ({error!r})."
                    raise Unavailable(f"{cause}\nNext: read logs/cloud.log in the state folder") from error
                await asyncio.sleep(RETRY_S)

    async def alarm_after(self, child_id: str, minutes: int) -> None:
        """Lets the child's alarm come after so many minutes above its limit, as its guardian may; `httpx.HTTPError` as above."""
        async with self._signed_in() as client:
            change = {"threshold": None, "minutes": minutes}
            (await client.put(f"/api/children/{child_id}/alarm", json=change)).raise_for_status()

    @contextlib.asynccontextmanager
    async def _signed_in(self) -> AsyncIterator[httpx.AsyncClient]:
        # Neither this nor the socket asks a proxy of the environment: the service is on this machine.
        async with httpx.AsyncClient(base_url=self.address, headers={"Origin": self.address}, trust_env=False) as client:
            answer = await client.post("/api/auth/login", json={"email": self.email, "password": self.password})
            client.headers["X-CSRF-Token"] = answer.raise_for_status().json()["csrf_token"]
            yield client

    async def _sign_in(self) -> str:
        async with self._signed_in() as client:
            return "; ".join(f"{name}={value}" for name, value in client.cookies.items())

    async def _listen(self, cookie: str) -> None:
        query = f"?cursor={self._cursor}" if self._cursor else ""
        url = self.address.replace("http", "ws", 1) + "/api/alerts" + query
        origin, headers = websockets.Origin(self.address), {"Cookie": cookie}
        async with websockets.connect(url, origin=origin, additional_headers=headers, proxy=None) as socket:
            async for text in socket:
                self._note(json.loads(text), time.monotonic_ns() // 1000)

    def _note(self, message: dict[str, object], now_us: int) -> None:
        cursor = message.get("cursor")
        self._cursor = str(cursor) if cursor is not None else self._cursor
        data = message.get("data")
        self.listening.set()
        if message.get("type") == "alert" and isinstance(data, dict):
            alarm = data["alert"]
            (self.open_alarms.add if alarm["state"] == "open" else self.open_alarms.discard)(alarm["id"])
        if message.get("type") != "live" or not isinstance(data, dict):
            return
        for record in data["records"]:
            key = (record["boot"], record["seq"])
            self.arrived_twice += key in self.received_us
            self.received_us.setdefault(key, now_us)
            if not self.latest or record["ts"] >= self.latest["ts"]:
                self.latest = record
