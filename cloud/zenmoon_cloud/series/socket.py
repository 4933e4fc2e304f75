"""`/api/alerts`: live records, alerts and recommendations on one WebSocket a page."""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter, WebSocket, WebSocketDisconnect, WebSocketException

from zenmoon_cloud.database import Database
from zenmoon_cloud.identity import Guardian, websocket_guardian
from zenmoon_cloud.series import live_store
from zenmoon_cloud.series.catch_up import gap, missed
from zenmoon_cloud.series.cursor import Cursor
from zenmoon_cloud.series.live import UNAVAILABLE, Hub, Notice, Run, Subscriber
from zenmoon_cloud.series.record import iso
from zenmoon_cloud.settings import now

router = APIRouter()

CHECK_S = 5.0
"""Between two looks at the session: so long may a socket outlive it."""

CLOSE_S = 5.0
"""How long a client may take to answer a close; then the connection is cut."""

TRY_AGAIN_LATER = 1013
"""The close code (IANA registry) of a client that was too slow, and of a database that does not answer."""

SENTENCES = {
    None: "Live records of your children follow.",
    "cursor_unknown": "This cursor is not from this service. Records from now on follow; read the series for earlier ones.",
    "cursor_too_old": "You were away too long to catch up here. Records from now on follow; read the series for earlier ones.",
}


@router.websocket("/api/alerts")
async def alerts(websocket: WebSocket, cursor: str | None = None) -> None:
    """Sends every record of the guardian's children once, in the order in which they were committed, and alerts and
    recommendations among them at least once: one whose id and revision a page knows already is the same.

    With `cursor` it goes on after that message. A client that reads too slowly is closed with 1013, one whose session ends with
    4401.
    """
    guardian = await websocket_guardian(websocket)
    await websocket.accept()
    hub: Hub = websocket.app.state.hub
    try:
        async with hub.subscribe(guardian.family_ids) as subscriber:
            await _first_to_end(
                _send(websocket, guardian, subscriber, cursor),
                _receive(websocket),
                _watch_session(websocket, subscriber),
                _watch_pace(subscriber),
            )
    except WebSocketDisconnect:
        return
    except WebSocketException as closing:
        await _close(websocket, closing.code, closing.reason)
    except UNAVAILABLE:
        await _close(websocket, TRY_AGAIN_LATER, "database-unavailable")


async def _first_to_end(*parts: Coroutine[Any, Any, None]) -> None:
    """Runs the parts until one ends, ends the others, and raises what ended it."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
        async with asyncio.timeout(CLOSE_S):
            await websocket.close(code, reason)


async def _send(websocket: WebSocket, guardian: Guardian, subscriber: Subscriber, cursor: str | None) -> None:
    database: Database = websocket.app.state.database
    hub: Hub = websocket.app.state.hub
    after = await gap(database, guardian.family_ids, cursor, subscriber.start) if cursor is not None else None
    reason = None if isinstance(after, Cursor) else after
    async with database.family(guardian.family_ids) as connection:
        children = await live_store.children(connection, guardian.family_ids)
    data = {"resumed": isinstance(after, Cursor), "reason": reason, "children": children}
    begin = after if isinstance(after, Cursor) else subscriber.start
    await _say(websocket, "hello", begin, child_id=None, message=SENTENCES[reason], data=data)
    if isinstance(after, Cursor):
        async for news in missed(database, guardian.family_ids, hub.sources, after, subscriber.start):
            await _tell(websocket, news)
    while True:
        for news in await subscriber.next():
            await _tell(websocket, news)


async def _tell(websocket: WebSocket, news: Run | Notice) -> None:
    if isinstance(news, Notice):
        change = news.change
        await _say(websocket, change.type, news.cursor, child_id=change.child_id, message=change.message, data=change.data)
    else:
        said = sentence(news.records)
        await _say(websocket, "live", news.cursor, child_id=news.child_id, message=said, data={"records": news.records})


async def _say(
    websocket: WebSocket, type_: str, cursor: Cursor, *, child_id: str | None, message: str, data: Mapping[str, Any]
) -> None:
    at: datetime = now(websocket.app.state.clock)
    text = orjson.dumps(
        {"type": type_, "cursor": str(cursor), "child_id": child_id, "ts": iso(at), "message": message, "data": data}
    )
    await websocket.send_text(text.decode())


async def _receive(websocket: WebSocket) -> None:
    """Clients have nothing to say yet; reading notices that they leave, and throws away what they send."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1005)


async def _watch_session(websocket: WebSocket, subscriber: Subscriber) -> None:
    """Closes the socket when its session ends, and follows changes of the guardian's families."""
    while True:
        await asyncio.sleep(CHECK_S)
        guardian = await websocket_guardian(websocket)
        subscriber.families = frozenset(guardian.family_ids)


async def _watch_pace(subscriber: Subscriber) -> None:
    await subscriber.overflowed.wait()
    raise WebSocketException(TRY_AGAIN_LATER, "too-slow")


def sentence(records: Sequence[Mapping[str, Any]]) -> str:
    """What the newest of `records` says, in plain words."""
    newest = max(records, key=lambda record: record["ts"])
    said = []
    if newest["stress_level"] is not None:
        said.append(f"strain {newest['stress_level']:.2f}")
    if newest["heart_rate_bpm"] is not None:
        said.append(f"heart rate {newest['heart_rate_bpm']:.0f} per minute")
    if not said:
        return "The signal is not good enough to say anything."
    text = ", ".join(said)
    return f"{text[0].upper()}{text[1:]}."
