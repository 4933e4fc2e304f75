"""Phones that may deliver a family's records."""

import secrets
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field

from zenmoon_cloud.database import Database
from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.identity import audit, store
from zenmoon_cloud.identity.access import CurrentGuardian
from zenmoon_cloud.identity.children_api import one_family
from zenmoon_cloud.identity.fields import Name
from zenmoon_cloud.identity.people import Guardian
from zenmoon_cloud.identity.tokens import digest, new_token
from zenmoon_cloud.pagination import Cursor, Limit, Page, decode_cursor, encode_cursor
from zenmoon_cloud.problems import NotFound

router = APIRouter(prefix="/api/gateways", tags=["gateways"])


class NewGateway(BaseModel):
    """A phone to enrol."""

    name: Name = "Phone"
    family_id: UUID | None = Field(default=None, description="Needed only by a guardian of several families")


class Credentials(BaseModel):
    """What a gateway signs in with."""

    gateway_id: str
    token: str = Field(description="Shown this once; the service keeps only a hash of it")


class GatewayView(BaseModel):
    """An enrolled phone."""

    id: str
    family_id: UUID
    name: str
    created_at: datetime
    last_seen_at: datetime | None
    revoked_at: datetime | None


@router.get("")
async def list_gateways(request: Request, guardian: CurrentGuardian, limit: Limit = 50, cursor: Cursor = None) -> Page[GatewayView]:
    """List the gateways of the guardian's families, revoked ones included."""
    database: Database = request.app.state.database
    values = {"families": list(guardian.family_ids), "after": decode_cursor(cursor), "limit": limit + 1}
    async with database.api.connection() as connection:
        rows = await (await connection.execute(store.LIST_GATEWAYS, values)).fetchall()
    gateways = [GatewayView(**row) for row in rows[:limit]]
    return Page(items=gateways, next_cursor=encode_cursor(gateways[-1].id) if len(rows) > limit else None)


@router.post("/enroll", status_code=201)
async def enroll(body: NewGateway, request: Request, guardian: CurrentGuardian) -> Credentials:
    """Enrol a phone; its token is in the answer and nowhere else."""
    database: Database = request.app.state.database
    family_id = one_family(guardian, body.family_id)
    async with database.family([family_id]) as connection:
        return await add_gateway(connection, guardian, family_id, body.name)


@router.post("/{gateway_id}/revoke")
async def revoke(
    request: Request, guardian: CurrentGuardian, gateway_id: str = Path(max_length=50, pattern="^gw_[0-9a-z]+$")
) -> GatewayView:
    """Refuse a gateway's token from now on. Records it already delivered stay."""
    database: Database = request.app.state.database
    values = {"gateway_id": gateway_id, "families": list(guardian.family_ids)}
    async with database.family(guardian.family_ids) as connection:
        row = await (await connection.execute(store.REVOKE_GATEWAY, values)).fetchone()
        if row is None:
            raise NotFound("gateway")
        await audit.record(connection, row["family_id"], guardian, "gateway.revoked", {"gateway_id": gateway_id})
    return GatewayView(**row)


async def add_gateway(connection: Connection, guardian: Guardian, family_id: UUID, name: str) -> Credentials:
    """Write a gateway with a fresh token, in the caller's transaction."""
    credentials = Credentials(gateway_id=f"gw_{secrets.token_hex(8)}", token=new_token())
    values = {"gateway_id": credentials.gateway_id, "family_id": family_id, "name": name}
    await connection.execute(store.ADD_GATEWAY, values | {"token_hash": digest(credentials.token)})
    await audit.record(connection, family_id, guardian, "gateway.enrolled", {"gateway_id": credentials.gateway_id})
    return credentials
