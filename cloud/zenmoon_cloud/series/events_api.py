"""`/api/children/{child_id}/events`: tests, trips and other days that a guardian enters."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from psycopg.errors import CheckViolation
from pydantic import BaseModel, Field, StringConstraints

from zenmoon_cloud.database import Database
from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.identity import CurrentGuardian, audit
from zenmoon_cloud.identity.fields import ChildId, Moment
from zenmoon_cloud.pagination import Cursor, Limit, Page, decode_cursor, encode_cursor
from zenmoon_cloud.problems import RESPONSES, NotFound, Problem
from zenmoon_cloud.series import events_store, pages, store

router = APIRouter(prefix="/api/children/{child_id}/events", responses=RESPONSES)

# PostgreSQL keeps no NUL in a text.
Word = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=60, pattern=r"^[^\x00]*$"),
    Field(description="What it is, in the guardian's own word", examples=["math test"]),
]
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\x00]*$")]


class NewEvent(BaseModel):
    """An event as a guardian enters it."""

    event_type: Word
    event_time: Moment = Field(description="When it is, or when it begins")
    ends_at: Moment | None = Field(default=None, description="When it ends; null: a moment, or not known")
    note: Note | None = None


class EventChange(BaseModel):
    """What a guardian changes; a field left out stays, `ends_at` or `note` null removes it."""

    event_type: Word | None = None
    event_time: Moment | None = None
    ends_at: Moment | None = None
    note: Note | None = None


class Event(BaseModel):
    """An event."""

    id: UUID
    event_type: str
    event_time: datetime
    ends_at: datetime | None
    note: str | None
    created_at: datetime


@router.get("")
async def list_events(
    child_id: ChildId,
    request: Request,
    guardian: CurrentGuardian,
    *,
    since: Annotated[Moment | None, Query(alias="from", description="Events that end at this time or later")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="Events that begin before this time")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Event]:
    """List a child's events, the earliest first."""
    after, last = _place(cursor) if cursor else (None, None)
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        child = await _child(connection, child_id)
        arguments = child | {"from": since, "to": until, "after": after, "id": last, "limit": limit + 1}
        rows = await (await connection.execute(events_store.LIST_EVENTS, arguments)).fetchall()
    events = [Event(**row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=events, next_cursor=encode_cursor(f"{events[-1].event_time.isoformat()} {events[-1].id}") if more else None)


@router.post("", status_code=201)
async def add_event(child_id: ChildId, body: NewEvent, request: Request, guardian: CurrentGuardian) -> Event:
    """Enter an event."""
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        child = await _child(connection, child_id)
        row = await _write(connection, events_store.ADD_EVENT, child | body.model_dump() | {"guardian": guardian.id})
        assert row is not None
        subject = {"child_id": child_id, "event_id": str(row["id"])}
        await audit.record(connection, child["family"], guardian, "event.added", subject)
    return Event(**row)


@router.patch("/{event_id}")
async def change_event(child_id: ChildId, event_id: UUID, body: EventChange, request: Request, guardian: CurrentGuardian) -> Event:
    """Change what a guardian entered."""
    database: Database = request.app.state.database
    given = {f"set_{name}": name in body.model_fields_set for name in ("ends_at", "note")}
    async with database.family(guardian.family_ids) as connection:
        child = await _child(connection, child_id)
        row = await _write(connection, events_store.CHANGE_EVENT, child | body.model_dump() | given | {"id": event_id})
        if row is None:
            raise NotFound("event")
        subject = {"child_id": child_id, "event_id": str(event_id), "fields": sorted(body.model_fields_set)}
        await audit.record(connection, child["family"], guardian, "event.changed", subject)
    return Event(**row)


@router.delete("/{event_id}", status_code=204)
async def remove_event(child_id: ChildId, event_id: UUID, request: Request, guardian: CurrentGuardian) -> None:
    """Remove an event."""
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        child = await _child(connection, child_id)
        if await _write(connection, events_store.REMOVE_EVENT, child | {"id": event_id}) is None:
            raise NotFound("event")
        subject = {"child_id": child_id, "event_id": str(event_id)}
        await audit.record(connection, child["family"], guardian, "event.removed", subject)


async def _child(connection: Connection, child_id: str) -> dict[str, Any]:
    child = await store.child(connection, child_id)
    if child is None:
        raise NotFound("child")
    return {"family": child.family, "child": child.id}


async def _write(connection: Connection, statement: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return await (await connection.execute(statement, arguments)).fetchone()
    except CheckViolation:
        raise Problem(422, "bad-range", "Bad range", "`ends_at` lies before `event_time`. Correct one of them.") from None


def _place(cursor: str) -> tuple[datetime, UUID]:
    time, _, number = decode_cursor(cursor).partition(" ")
    try:
        return datetime.fromisoformat(time).astimezone(UTC), UUID(number)
    except (ValueError, OverflowError):
        raise pages.foreign() from None
