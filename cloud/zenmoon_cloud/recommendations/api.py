"""`/api/recommendation/{child_id}`: the last suggestion, and a new one on demand."""

import secrets
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from zenmoon_cloud import decisions
from zenmoon_cloud.database import Database
from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.identity import CurrentGuardian
from zenmoon_cloud.identity.fields import ChildId
from zenmoon_cloud.problems import NotFound
from zenmoon_cloud.recommendations import store
from zenmoon_cloud.recommendations.recommend import recommend
from zenmoon_cloud.recommendations.sentences import NOT_YET, OFF
from zenmoon_cloud.recommendations.store import Child
from zenmoon_cloud.settings import now

router = APIRouter(prefix="/api/recommendation", tags=["recommendations"])

PAUSE = timedelta(minutes=1)
"""Who asks again within it gets the same answer: asking until one likes the draw would make its chances a fiction."""

CHANCE = secrets.SystemRandom()


Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""As the live view writes times too."""


class SuggestedActivity(BaseModel):
    """Something the child can do."""

    id: str
    name: str
    minutes: int
    how: str = Field(description="One sentence for the child and its adult")


class Recommendation(BaseModel):
    """A suggestion with its reason and receipt; without one yet, nulls and the reason."""

    child_id: str
    recommendation_id: int | None = None
    recommendation: str | None = Field(default=None, description="Two sentences")
    activity: SuggestedActivity | None = Field(default=None, description="null: nothing is suggested")
    reason: str
    forecast: None = Field(default=None, description="Nothing is forecast yet")
    model_version: str | None = None
    grounded: bool | None = Field(default=None, description="Whether every number in the words is a fact of the receipt")
    at: Moment | None = Field(default=None, description="Event time of the decision")
    seen_at: Moment | None = None
    helpful: bool | None = Field(default=None, description="This guardian's own thumb as it stands")
    receipt: dict[str, Any] | None = Field(
        default=None, description="facts with ids, values and units; policy, propensity, model_version, grounded, activity"
    )
    revision: int | None = Field(default=None, description="Grows with every change; tells which of two messages is newer")


@router.get("/{child_id}")
async def last(child_id: ChildId, request: Request, guardian: CurrentGuardian) -> Recommendation:
    """Return the last suggestion."""
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        child = await _child(connection, child_id, now(request.app.state.clock))
        return await _latest(connection, child, guardian.id)


@router.post("/{child_id}")
async def ask(child_id: ChildId, request: Request, guardian: CurrentGuardian) -> Recommendation:
    """Make a suggestion now; within a minute of the last one, that one is returned."""
    database: Database = request.app.state.database
    at = now(request.app.state.clock)
    async with database.family(guardian.family_ids) as connection:
        child = await _child(connection, child_id, at)
        await decisions.lock_child(connection, child.id)
        present = await decisions.latest(connection, child.family_id, child.id)
        made = None
        if present is None or not timedelta(0) <= at - present["at"] < PAUSE:
            made = await recommend(connection, child, at, u=CHANCE.random(), asked=True)
        answer = await _latest(connection, child, guardian.id)
    if made is not None:
        request.app.state.announcer.mark([child.family_id])
    return answer


async def _child(connection: Connection, child_id: str, at: datetime) -> Child:
    child = await store.find_child(connection, child_id, at)
    if child is None:
        raise NotFound("child")
    return child


async def _latest(connection: Connection, child: Child, guardian_id: UUID) -> Recommendation:
    if not child.allowed:
        return Recommendation(child_id=child.id, reason=OFF)
    row = await decisions.latest(connection, child.family_id, child.id)
    if row is None:
        return Recommendation(child_id=child.id, reason=NOT_YET)
    thumb = await decisions.standing_thumb(connection, child.family_id, row["id"], guardian_id)
    helpful = thumb[1] > 0 if thumb and thumb[1] else None
    return Recommendation(**decisions.document(row), helpful=helpful)
