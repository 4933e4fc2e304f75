"""A family's children."""

import secrets
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request
from psycopg.types.json import Jsonb
from pydantic import BaseModel, Field

from zenmoon_cloud.database import Database
from zenmoon_cloud.identity import audit, store
from zenmoon_cloud.identity.access import CurrentGuardian
from zenmoon_cloud.identity.fields import ChildId, Name, Zone
from zenmoon_cloud.identity.people import Guardian
from zenmoon_cloud.pagination import Cursor, Limit, Page, decode_cursor, encode_cursor
from zenmoon_cloud.problems import NotFound, Problem

router = APIRouter(prefix="/api/children", tags=["children"])


class NewChild(BaseModel):
    """A child as a guardian enters it."""

    display_name: Name
    birth_year: int | None = Field(default=None, ge=1990, le=2200)
    zone: Zone = "UTC"
    family_id: UUID | None = Field(default=None, description="Needed only by a guardian of several families")


class ChildChange(BaseModel):
    """What a guardian changes; a field left out stays, `birth_year` null removes it."""

    display_name: Name | None = None
    birth_year: int | None = Field(default=None, ge=1990, le=2200)
    zone: Zone | None = None
    preferred_interventions: list[Name] | None = Field(default=None, max_length=50)


class Child(BaseModel):
    """A child."""

    id: str
    family_id: UUID
    display_name: str
    birth_year: int | None
    zone: str
    chronotype: str | None = Field(description="Found by the service once enough nights are there")
    preferred_interventions: list[str]
    baseline_stress: float | None = Field(description="Usual strain, 0-1; found by the service")
    created_at: datetime


def one_family(guardian: Guardian, family_id: UUID | None) -> UUID:
    """Return the family that a guardian writes to: the named one, or the only one.

    Raises:
        Problem: 404 for a foreign family, 409 ``no-family``, 422 ``which-family``.
    """
    if family_id is not None:
        if family_id not in guardian.family_ids:
            raise NotFound("family")
        return family_id
    if not guardian.family_ids:
        raise Problem(409, "no-family", "No family", "You belong to no family. Register one, or ask a guardian to invite you.")
    if len(guardian.family_ids) > 1:
        raise Problem(422, "which-family", "Which family?", "You belong to several families: name one in `family_id`.")
    return guardian.family_ids[0]


@router.get("")
async def list_children(request: Request, guardian: CurrentGuardian, limit: Limit = 50, cursor: Cursor = None) -> Page[Child]:
    """List the children of the guardian's families."""
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        found = await connection.execute(store.LIST_CHILDREN, {"after": decode_cursor(cursor), "limit": limit + 1})
        rows = await found.fetchall()
    children = [Child(**row) for row in rows[:limit]]
    return Page(items=children, next_cursor=encode_cursor(children[-1].id) if len(rows) > limit else None)


@router.post("", status_code=201)
async def add_child(body: NewChild, request: Request, guardian: CurrentGuardian) -> Child:
    """Add a child. Nothing is monitored until a guardian consents to it."""
    database: Database = request.app.state.database
    family_id = one_family(guardian, body.family_id)
    values = body.model_dump() | {"family_id": family_id, "child_id": f"child_{secrets.token_hex(8)}"}
    async with database.family([family_id]) as connection:
        row = await (await connection.execute(store.ADD_CHILD, values)).fetchone()
        await audit.record(connection, family_id, guardian, "child.added", {"child_id": values["child_id"]})
    assert row is not None
    return Child(**row)


@router.get("/{child_id}")
async def get_child(child_id: ChildId, request: Request, guardian: CurrentGuardian) -> Child:
    """Return one child."""
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        row = await (await connection.execute(store.GET_CHILD, {"child_id": child_id})).fetchone()
    if row is None:
        raise NotFound("child")
    return Child(**row)


@router.patch("/{child_id}")
async def change_child(child_id: ChildId, body: ChildChange, request: Request, guardian: CurrentGuardian) -> Child:
    """Change what a guardian entered."""
    database: Database = request.app.state.database
    values = body.model_dump() | {"child_id": child_id, "set_birth_year": "birth_year" in body.model_fields_set}
    if body.preferred_interventions is not None:
        values["preferred_interventions"] = Jsonb(body.preferred_interventions)
    async with database.family(guardian.family_ids) as connection:
        row = await (await connection.execute(store.CHANGE_CHILD, values)).fetchone()
        if row is None:
            raise NotFound("child")
        subject = {"child_id": child_id, "fields": sorted(body.model_fields_set)}
        await audit.record(connection, row["family_id"], guardian, "child.changed", subject)
    return Child(**row)
