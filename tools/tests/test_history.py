"""The past of the demo's child reaches a service that ends in between, has shown a recording before, or may not keep it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from child import simulated_child
from history import LATELY, History
from machine import Unavailable
from watch import Watcher

NOW = datetime(2026, 11, 21, 15, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=6)
ACCOUNTS = {"child_id": "child_1", "gateway": {"gateway_id": "gw_1", "token": "t"}}
Answer = Callable[[str, dict[str, Any]], dict[str, Any] | None]


class Known:
    """What the database knows: the newest minute of all, and of those that were brought."""

    def __init__(self, newest: datetime | None, brought: datetime | None) -> None:
        self._newest = newest, brought

    async def newest_minutes(self, child_id: str) -> tuple[datetime | None, datetime | None]:
        assert child_id == "child_1"
        return self._newest

    async def unsummed_hours(self) -> int:
        return 0


@asynccontextmanager
async def service(answer: Answer) -> AsyncIterator[str]:
    """A service that answers each request as told; where told nothing, it breaks off like one that is killed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line[15:]) for line in head.splitlines() if line.lower().startswith("content-length:")), 0)
        body = json.loads(await reader.readexactly(length) or b"{}")
        told = answer(head.split()[1], body)
        if told is not None:
            text = json.dumps(told).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Taking:
    """Answers batches, keeps what came; refuses all items with a code, and breaks off at the first requests."""

    def __init__(self, code: str | None = None, breaks: int = 0) -> None:
        self._code, self._breaks = code, breaks
        self.items: list[dict[str, Any]] = []

    def __call__(self, _: str, batch: dict[str, Any]) -> dict[str, Any] | None:
        if self._breaks:
            self._breaks -= 1
            return None
        self.items += batch["items"]
        refused = [{"index": i, "code": self._code, "detail": "why"} for i in range(len(batch["items"])) if self._code]
        accepted = 0 if self._code else len(batch["items"])
        return {"batch_id": batch["batch_id"], "accepted": accepted, "duplicates": 0, "refused": refused}


async def brought(taking: Taking, known: Known, now: datetime = NOW) -> list[str]:
    said: list[str] = []
    async with service(taking) as address:
        await History(simulated_child(), said.append).bring(address, ACCOUNTS, known, now)  # type: ignore[arg-type]
    return said


async def test_a_service_that_breaks_off_gets_the_batch_again() -> None:
    taking = Taking(breaks=2)
    await brought(taking, Known(LONG_AGO, LONG_AGO))
    assert taking.items[0]["ts"][:13] == f"{LONG_AGO - timedelta(days=1):%Y-%m-%dT%H}"
    assert taking.items[-1]["ts"] >= f"{NOW - timedelta(minutes=2):%Y-%m-%dT%H:%M}"
    assert len({(item["kind"], item["seq"]) for item in taking.items}) == len(taking.items)


async def test_what_the_guardians_do_not_allow_is_withheld_and_told() -> None:
    taking = Taking(code="consent")
    said = await brought(taking, Known(LONG_AGO, LONG_AGO))
    assert any(f"{len(taking.items)} of these items were withheld" in line for line in said)


async def test_any_other_refusal_ends_the_start_with_the_next_action() -> None:
    with pytest.raises(Unavailable, match=r"conflict: why\).\nNext: "):
        await brought(Taking(code="conflict"), Known(LONG_AGO, LONG_AGO))


async def test_a_recording_shown_lately_does_not_stand_for_the_past() -> None:
    taking = Taking()
    await brought(taking, Known(NOW, None))
    assert taking.items[0]["ts"] < f"{NOW - timedelta(days=59):%Y-%m-%d}"


async def test_a_demo_that_was_off_for_moments_has_nothing_to_catch_up_with() -> None:
    taking = Taking()
    await brought(taking, Known(NOW - LATELY, LONG_AGO))
    assert taking.items == []


async def test_a_suggestion_is_asked_for_again_where_the_service_breaks_off() -> None:
    breaks = iter([True, False])

    def answer(path: str, _: dict[str, Any]) -> dict[str, Any] | None:
        if path == "/api/auth/login":
            return {"csrf_token": "c"}
        return None if next(breaks) else {"recommendation": "Two sentences."}

    async with service(answer) as address:
        told = await Watcher(address, "parent@example.org", "p").suggestion("child_1")
    assert told == {"recommendation": "Two sentences."}
