"""Wristbands of a family, and which child wore which one when."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request
from psycopg.errors import ExclusionViolation
from pydantic import BaseModel, Field, model_validator

from zenmoon_cloud.database import Database
from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.identity import audit, store
from zenmoon_cloud.identity.access import CurrentGuardian
from zenmoon_cloud.identity.children_api import one_family
from zenmoon_cloud.identity.fields import ChildId, Device, Moment, Name, device_number, device_text
from zenmoon_cloud.identity.people import Guardian
from zenmoon_cloud.pagination import Cursor, Limit, Page, decode_cursor, encode_cursor
from zenmoon_cloud.problems import NotFound, Problem

router = APIRouter(tags=["wearables"])


class NewWearable(BaseModel):
    """A wristband, by the id printed on it."""

    device: Device
    name: Name = "Wristband"
    family_id: UUID | None = Field(default=None, description="Needed only by a guardian of several families")


class Wearable(BaseModel):
    """A wristband of the family."""

    device: Device
    family_id: UUID
    name: str
    created_at: datetime


class NewAssignment(BaseModel):
    """From when until when a child wears a wristband, in event time; without an end it is worn until further notice."""

    device: Device
    begin: Moment = Field(alias="from")
    end: Moment | None = Field(default=None, alias="to")

    @model_validator(mode="after")
    def _forward(self) -> "NewAssignment":
        if self.end is not None and self.end <= self.begin:
            raise ValueError("`to` is not after `from`")
        return self


class AssignmentEnd(BaseModel):
    """The moment from which the child no longer wears it."""

    end: Moment = Field(alias="to")


class Assignment(BaseModel):
    """Who wore what, and when: `from` included, `to` excluded."""

    id: UUID
    device: Device
    child_id: str
    begin: datetime = Field(serialization_alias="from")
    end: datetime | None = Field(serialization_alias="to")


@router.get("/api/wearables")
async def list_wearables(request: Request, guardian: CurrentGuardian, limit: Limit = 50, cursor: Cursor = None) -> Page[Wearable]:
    """List the wristbands of the guardian's families."""
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        found = await connection.execute(store.LIST_WEARABLES, {"after": decode_cursor(cursor), "limit": limit + 1})
        rows = await found.fetchall()
    items = [Wearable(**row | {"device": device_text(row["device"])}) for row in rows[:limit]]
    return Page(items=items, next_cursor=encode_cursor(rows[limit - 1]["key"]) if len(rows) > limit else None)


@router.post("/api/wearables", status_code=201)
async def add_wearable(body: NewWearable, request: Request, guardian: CurrentGuardian) -> Wearable:
    """Add a wristband to the family."""
    database: Database = request.app.state.database
    family_id = one_family(guardian, body.family_id)
    values = {"family_id": family_id, "device": device_number(body.device), "name": body.name}
    async with database.family([family_id]) as connection:
        row = await (await connection.execute(store.ADD_WEARABLE, values)).fetchone()
        if row is None:
            raise Problem(409, "wearable-exists", "Known already", "This wristband is one of the family's. Assign it to a child.")
        await audit.record(connection, family_id, guardian, "wearable.added", {"device": body.device})
    return Wearable(**row | {"device": body.device})


@router.get("/api/children/{child_id}/wearables")
async def list_assignments(
    child_id: ChildId, request: Request, guardian: CurrentGuardian, limit: Limit = 50, cursor: Cursor = None
) -> Page[Assignment]:
    """List when the child wore which wristband."""
    database: Database = request.app.state.database
    values = {"child_id": child_id, "after": decode_cursor(cursor), "limit": limit + 1}
    async with database.family(guardian.family_ids) as connection:
        if await (await connection.execute(store.GET_CHILD, {"child_id": child_id})).fetchone() is None:
            raise NotFound("child")
        rows = await (await connection.execute(store.LIST_ASSIGNMENTS, values)).fetchall()
    items = [_view(row) for row in rows[:limit]]
    return Page(items=items, next_cursor=encode_cursor(str(items[-1].id)) if len(rows) > limit else None)


@router.post("/api/children/{child_id}/wearables", status_code=201)
async def assign(child_id: ChildId, body: NewAssignment, request: Request, guardian: CurrentGuardian) -> Assignment:
    """Say that the child wears a wristband of the family; nobody else may wear it at that time."""
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        return await add_assignment(connection, guardian, child_id, body.device, begin=body.begin, end=body.end)


@router.patch("/api/children/{child_id}/wearables/{assignment_id}")
async def end_assignment(
    child_id: ChildId, assignment_id: UUID, body: AssignmentEnd, request: Request, guardian: CurrentGuardian
) -> Assignment:
    """Set or move the end of an assignment."""
    database: Database = request.app.state.database
    values = {"child_id": child_id, "assignment_id": assignment_id, "end": body.end}
    async with database.family(guardian.family_ids) as connection:
        child = await (await connection.execute(store.GET_CHILD, {"child_id": child_id})).fetchone()
        try:
            row = child and await (await connection.execute(store.END_ASSIGNMENT, values)).fetchone()
        except ExclusionViolation:
            raise _worn_already() from None
        if child is None or row is None:
            raise NotFound("assignment", "Check the ids, and that `to` is after the assignment's `from`.")
        await audit.record(
            connection, child["family_id"], guardian, "wearable.assignment-ended", {"assignment_id": str(assignment_id)}
        )
    return _view(row)


async def add_assignment(
    connection: Connection, guardian: Guardian, child_id: str, device: str, *, begin: datetime, end: datetime | None = None
) -> Assignment:
    """Write an assignment in the caller's transaction.

    Raises:
        NotFound: No such child or wristband in the connection's families.
        Problem: 409 ``worn-already``.
    """
    child = await (await connection.execute(store.GET_CHILD, {"child_id": child_id})).fetchone()
    if child is None:
        raise NotFound("child")
    values = {"family_id": child["family_id"], "device": device_number(device), "child_id": child_id}
    if await (await connection.execute(store.FIND_WEARABLE, values)).fetchone() is None:
        raise NotFound("wearable", "Add the wristband to the family first: POST /api/wearables.")
    try:
        row = await (await connection.execute(store.ADD_ASSIGNMENT, values | {"begin": begin, "end": end})).fetchone()
    except ExclusionViolation:
        raise _worn_already() from None
    assert row is not None
    subject = {"assignment_id": str(row["id"]), "child_id": child_id, "device": device}
    await audit.record(connection, child["family_id"], guardian, "wearable.assigned", subject)
    return _view(row)


def _worn_already() -> Problem:
    detail = "Somebody wears this wristband during that time. End the other assignment first, or choose another time."
    return Problem(409, "worn-already", "Worn by somebody else", detail)


def _view(row: dict[str, object]) -> Assignment:
    return Assignment.model_validate(row | {"device": device_text(int(str(row["device"])))})
