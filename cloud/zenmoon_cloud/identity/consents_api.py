"""What the guardians allow, purpose by purpose. Nothing is allowed until somebody says so."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from zenmoon_cloud.database import Database
from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.identity import audit, store
from zenmoon_cloud.identity.access import CurrentGuardian
from zenmoon_cloud.identity.fields import ChildId
from zenmoon_cloud.identity.people import Guardian
from zenmoon_cloud.problems import NotFound
from zenmoon_cloud.settings import now

router = APIRouter(prefix="/api/consents", tags=["consents"])

Purpose = Literal["monitoring", "profiling", "insights", "research"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


class ConsentChange(BaseModel):
    """A guardian's decision."""

    child_id: ChildId
    purpose: Purpose
    granted: bool = Field(description="false = opt out; it holds for every record observed from now on")


class Consent(BaseModel):
    """How things stand for one purpose."""

    purpose: Purpose
    granted: bool
    version: int = Field(description="Number of the decision, 0 = nobody has decided and nothing is allowed")
    at: datetime | None = Field(description="Event time from which it holds")


@router.get("")
async def list_consents(request: Request, guardian: CurrentGuardian, child_id: Annotated[ChildId, Query()]) -> list[Consent]:
    """Return the decision in force for every purpose."""
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        if await (await connection.execute(store.GET_CHILD, {"child_id": child_id})).fetchone() is None:
            raise NotFound("child")
        rows = await (await connection.execute(store.CURRENT_CONSENTS, {"child_id": child_id})).fetchall()
    decided = {row["purpose"]: Consent(**row) for row in rows}
    return [decided.get(name) or Consent(purpose=name, granted=False, version=0, at=None) for name in PURPOSES]


@router.post("")
async def decide(body: ConsentChange, request: Request, guardian: CurrentGuardian) -> Consent:
    """Grant or withdraw. The same decision again changes nothing."""
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        return await set_consent(
            connection, guardian, body.child_id, body.purpose, granted=body.granted, at=now(request.app.state.clock)
        )


async def set_consent(
    connection: Connection, guardian: Guardian, child_id: str, purpose: Purpose, *, granted: bool, at: datetime
) -> Consent:
    """Write a decision as a new version; an unchanged one is returned as it stands.

    Raises:
        NotFound: When the connection's families have no such child.
    """
    child = await (await connection.execute(store.LOCK_CHILD, {"child_id": child_id})).fetchone()
    if child is None:
        raise NotFound("child")
    rows = await (await connection.execute(store.CURRENT_CONSENTS, {"child_id": child_id})).fetchall()
    for row in rows:
        if row["purpose"] == purpose and row["granted"] == granted:
            return Consent(**row)
    values = {
        "family_id": child["family_id"], "child_id": child_id, "purpose": purpose,
        "granted": granted, "at": at, "guardian_id": guardian.id,
    }  # fmt: skip
    written = await (await connection.execute(store.ADD_CONSENT, values)).fetchone()
    assert written is not None
    subject = {"child_id": child_id, "purpose": purpose, "granted": granted, "version": written["version"]}
    await audit.record(connection, child["family_id"], guardian, "consent.decided", subject)
    return Consent(**written)
