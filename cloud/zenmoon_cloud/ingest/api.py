"""`/api/ingest`: batches from gateways, and the operator's re-anchoring."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, model_validator

from zenmoon_cloud.identity import CurrentGateway, CurrentGuardian
from zenmoon_cloud.ingest import reanchoring
from zenmoon_cloud.ingest.accept import accept
from zenmoon_cloud.ingest.envelope import Envelope, open_envelope
from zenmoon_cloud.ingest.kinds import U32
from zenmoon_cloud.problems import RESPONSES, Problem
from zenmoon_cloud.settings import now

router = APIRouter(prefix="/api/ingest", tags=["ingest"])


class RefusedItem(BaseModel):
    """An item that was not stored and must not be sent again."""

    index: int
    code: str = Field(description="not_assigned, unknown_kind, bad_value, conflict, too_old or consent")
    detail: str


class Acknowledgement(BaseModel):
    """Everything in the batch is durable or accounted for: accepted + duplicates + refused = items."""

    batch_id: str
    accepted: int
    duplicates: int
    refused: list[RefusedItem]


@router.post(
    "/batches",
    responses=RESPONSES | {200: {"model": Acknowledgement}},
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": Envelope.model_json_schema()}}},
    },
)
async def post_batch(request: Request, gateway: CurrentGateway) -> Response:
    """Store a batch, each record once. The answer comes after the commit; a batch may be sent again at any time."""
    batch = open_envelope(await request.body())
    if batch.gateway_id != gateway.id:
        detail = "`gateway_id` is not the gateway of this token. Send the id that enrolment gave with the token."
        raise Problem(403, "foreign-gateway", "Another gateway's batch", detail)
    state = request.app.state
    ack = await accept(batch, gateway, state.database, state.clock, mark_live=state.announcer.mark)
    return Response(ack.to_json(), media_type="application/json")


class Reanchoring(BaseModel):
    """Which boot is moved, and to where."""

    family_id: UUID
    device: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    boot: int = Field(ge=0, le=U32)
    anchor_seq: int | None = Field(default=None, ge=0, le=U32, description="A stored anchor of this boot; or give `origin`")
    origin: AwareDatetime | None = Field(default=None, description="UTC of the boot's tick 0")
    reason: str = Field(pattern=r"^[a-z0-9_ -]{3,60}$", description="For the audit log; no personal data")

    @model_validator(mode="after")
    def _one_source(self) -> "Reanchoring":
        if (self.anchor_seq is None) == (self.origin is None):
            raise ValueError("give either anchor_seq or origin")
        return self


class Reanchored(BaseModel):
    """What moved."""

    origin: datetime
    moved: dict[str, int] = Field(description="Rows by table")


@router.post("/reanchor", responses=RESPONSES)
async def post_reanchoring(body: Reanchoring, request: Request, guardian: CurrentGuardian) -> Reanchored:
    """Move a boot in time; operators only. The whole boot moves or nothing does, and the family's audit log says so."""
    if not guardian.operator:
        raise Problem(403, "operators-only", "Operators only", "Ask the operator of this service to move the records.")
    state = request.app.state
    boot = reanchoring.Boot(body.family_id, int.from_bytes(bytes.fromhex(body.device), signed=True), body.boot)
    origin, moved = await reanchoring.reanchor(
        state.database, guardian, boot, anchor_seq=body.anchor_seq, origin=body.origin, reason=body.reason, now=now(state.clock)
    )
    return Reanchored(origin=origin, moved=moved)
