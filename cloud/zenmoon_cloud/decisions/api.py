"""What comes back from guardians: a thumb, and that a suggestion was seen."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field, Strict, StringConstraints

from zenmoon_cloud.database import Database
from zenmoon_cloud.decisions import store
from zenmoon_cloud.decisions.log import Feedback
from zenmoon_cloud.identity import CurrentGuardian
from zenmoon_cloud.identity.fields import ChildId
from zenmoon_cloud.problems import NotFound
from zenmoon_cloud.settings import now

router = APIRouter(tags=["recommendations"])

LARGEST = 2**63 - 1

Number = Annotated[int, Path(ge=1, le=LARGEST)]
# Eighteen digits fit the database's integer; apps in languages without 64-bit integers keep ids as text.
NumberOrText = Annotated[int, Strict(), Field(ge=1, le=LARGEST)] | Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,17}$")]

THUMBS = {True: 1.0, False: -1.0, None: 0.0}


class Thumb(BaseModel):
    """A guardian's opinion of a suggestion."""

    recommendation_id: NumberOrText
    child_id: ChildId
    was_helpful: Annotated[bool, Strict()] | None = Field(description="null takes the opinion back")


class Received(BaseModel):
    """The answer to an opinion."""

    status: Literal["feedback received"] = "feedback received"


@router.post("/api/feedback")
async def give_feedback(body: Thumb, request: Request, guardian: CurrentGuardian) -> Received:
    """Note whether a suggestion helped. The same opinion again changes nothing; another one replaces it, and both are kept."""
    database: Database = request.app.state.database
    decision_id, value = int(body.recommendation_id), THUMBS[body.was_helpful]
    at = now(request.app.state.clock)
    async with database.family(guardian.family_ids) as connection:
        delivery = await store.find_delivery(connection, decision_id)
        if delivery is None or delivery["child_id"] != body.child_id:
            raise NotFound("recommendation")
        family_id = delivery["family_id"]
        await store.lock_thumb(connection, decision_id, guardian.id)
        before = await store.standing_thumb(connection, family_id, decision_id, guardian.id)
        if value == (before[1] if before else 0):
            return Received()
        feedback = Feedback(
            family_id=family_id, decision_id=decision_id, source="guardian", kind="thumb", value=value,
            latency_s=max(0.0, (at - delivery["sent_at"]).total_seconds()),  # a demo's clock may have been set back
            confidence=1.0, at=at, supersedes=before[0] if before else None, guardian_id=guardian.id,
        )  # fmt: skip
        await store.receive(connection, feedback)
    return Received()


@router.post("/api/deliveries/{recommendation_id}/seen", status_code=204)
async def see(recommendation_id: Number, request: Request, guardian: CurrentGuardian) -> None:
    """Note that a suggestion is in view; only the first time counts."""
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        delivery = await store.find_delivery(connection, recommendation_id)
        if delivery is None:
            raise NotFound("recommendation")
        first = await store.see(connection, recommendation_id, now(request.app.state.clock))
    if first:
        request.app.state.announcer.mark([delivery["family_id"]])
