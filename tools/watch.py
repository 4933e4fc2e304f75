"""Looks at the demo as a parent's browser does: signs in, listens to the live WebSocket, remembers what arrived when."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import websockets

RETRY_S = 0.25  # the service may be restarting; the address is on this machine


@dataclass
class Watcher:
    """A signed-in listener.

    Attributes:
        received_us: (boot, seq) → monotonic µs of its first arrival over the WebSocket.
        latest: The newest record as the page shows it.
        arrived_twice: Records that the WebSocket delivered more than once.
        listening: Set once the service has greeted for the first time: whatever is stored from then on arrives.
    """

    address: str
    email: str
    password: str
    received_us: dict[tuple[int, int], int] = field(default_factory=dict)
    latest: dict[str, Any] = field(default_factory=dict)
    arrived_twice: int = 0
    listening: asyncio.Event = field(default_factory=asyncio.Event)
    _cursor: str | None = None

    async def run(self) -> None:
        """Listens until cancelled; signs in again and resumes at its cursor when the service comes back."""
        while True:
            with contextlib.suppress(OSError, httpx.HTTPError, websockets.WebSocketException, KeyError):
                await self._listen(await self._sign_in())
            await asyncio.sleep(RETRY_S)

    async def _sign_in(self) -> str:
        # Neither of the two asks a proxy of the environment: the service is on this machine.
        async with httpx.AsyncClient(base_url=self.address, headers={"Origin": self.address}, trust_env=False) as client:
            answer = await client.post("/api/auth/login", json={"email": self.email, "password": self.password})
            answer.raise_for_status()
            return "; ".join(f"{name}={value}" for name, value in answer.cookies.items())

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
        if message.get("type") != "live" or not isinstance(data, dict):
            return
        for record in data["records"]:
            key = (record["boot"], record["seq"])
            self.arrived_twice += key in self.received_us
            self.received_us.setdefault(key, now_us)
            if not self.latest or record["ts"] >= self.latest["ts"]:
                self.latest = record
