"""`/api/alerts/{id}` and what a guardian chooses of a child's alarm. The WebSocket `/api/alerts` is the live view's."""

from datetime import UTC, datetime
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, model_validator

from zenmoon_cloud.alerts import store
from zenmoon_cloud.alerts.document import Alert, document
from zenmoon_cloud.alerts.rules import DEFAULT, HIGHEST, LONGEST_MINUTES, LOWEST, Origin, rule_of
from zenmoon_cloud.database import Database
from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.identity import CurrentGuardian, audit
from zenmoon_cloud.identity.fields import ChildId
from zenmoon_cloud.pagination import PAGE, Cursor, Limit, Page, decode_cursor, encode_cursor
from zenmoon_cloud.problems import RESPONSES, NotFound, Problem
from zenmoon_cloud.settings import now

router = APIRouter(prefix="/api", tags=["alerts"], responses=RESPONSES)


class Alarm(BaseModel):
    """When an alarm is raised for a child."""

    threshold: float = Field(description="Strain, 0-1, from which on it counts")
    minutes: int = Field(description="For how long, at least")
    enabled: bool = Field(description="false = no alarms for this child")
    source: Origin = Field(
        description="Where the threshold comes from: `default`, `learned` from the child's own strain of two weeks, or a `guardian`"
    )


class AlarmChoice(BaseModel):
    """What a guardian wants; the answer of the same address may be sent back with changes."""

    threshold: float | None = Field(
        default=None, ge=LOWEST, le=HIGHEST, description="Only a guardian's own is kept; null = let it be learned"
    )
    minutes: int = Field(default=DEFAULT.minutes, ge=1, le=LONGEST_MINUTES)
    enabled: bool = True
    source: Origin = Field(default="guardian", description="`default` or `learned`: `threshold` is not the guardian's own")

    @model_validator(mode="after")
    def _own_threshold(self) -> Self:
        if self.source != "guardian":
            self.threshold = None
        return self


@router.get("/alerts/{alert_id}")
async def get_alert(alert_id: UUID, request: Request, guardian: CurrentGuardian) -> Alert:
    """Return one alarm."""
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        return await _alert(connection, alert_id)


@router.post("/alerts/{alert_id}/ack")
async def acknowledge_alert(alert_id: UUID, request: Request, guardian: CurrentGuardian) -> Alert:
    """Acknowledge an alarm. The first one counts; whoever acknowledges it again changes nothing."""
    state = request.app.state
    database: Database = state.database
    async with database.family(guardian.family_ids) as connection:
        before = await store.alert(connection, alert_id)
        if before is None:
            raise NotFound("alert")
        new = await store.acknowledge(connection, alert_id, guardian.id, now(state.clock))
        if new:
            subject = {"alert_id": str(alert_id), "child_id": before["child_id"]}
            await audit.record(connection, before["family_id"], guardian, "alert.acknowledged", subject)
        alert = await _alert(connection, alert_id)
    if new:
        state.announcer.mark([before["family_id"]])
    return alert


@router.get("/children/{child_id}/alerts")
async def list_alerts(
    child_id: ChildId,
    request: Request,
    guardian: CurrentGuardian,
    *,
    open_: Annotated[bool | None, Query(alias="open", description="Only open ones, or only closed ones; all when absent")] = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Page[Alert]:
    """Return a child's alarms, newest first."""
    database: Database = request.app.state.database
    before = _decode(cursor)
    async with database.family(guardian.family_ids) as connection:
        family = await _family(connection, child_id)
        closed = None if open_ is None else not open_
        rows = await store.alerts(connection, family, child_id, closed=closed, before=before, limit=limit + 1)
    page = rows[:limit]
    last = f"{page[-1]['raised_at'].isoformat()} {page[-1]['id']}" if len(rows) > limit else None
    return Page(items=[document(row) for row in page], next_cursor=encode_cursor(last) if last else None)


@router.get("/children/{child_id}/alarm")
async def get_alarm(child_id: ChildId, request: Request, guardian: CurrentGuardian) -> Alarm:
    """Return when an alarm is raised for a child."""
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        row = await store.chosen(connection, await _family(connection, child_id), child_id)
    if row is None:
        return Alarm(threshold=DEFAULT.threshold, minutes=DEFAULT.minutes, enabled=True, source="default")
    rule = rule_of(row["threshold"], row["minutes"])
    return Alarm(threshold=rule.threshold, minutes=rule.minutes, enabled=row["enabled"], source=row["source"])


@router.put("/children/{child_id}/alarm")
async def put_alarm(child_id: ChildId, body: AlarmChoice, request: Request, guardian: CurrentGuardian) -> Alarm:
    """Choose when an alarm is raised for a child, from its next record on."""
    database: Database = request.app.state.database
    chosen: dict[str, object] = {"threshold": body.threshold, "minutes": body.minutes, "enabled": body.enabled}
    async with database.family(guardian.family_ids) as connection:
        family = await _family(connection, child_id)
        row = await store.choose(connection, family, child_id, chosen | {"now": now(request.app.state.clock)})
        await audit.record(connection, family, guardian, "alarm.chosen", {"child_id": child_id} | chosen)
    rule = rule_of(row["threshold"], row["minutes"])
    return Alarm(threshold=rule.threshold, minutes=rule.minutes, enabled=row["enabled"], source=row["source"])


async def _alert(connection: Connection, alert_id: UUID) -> Alert:
    row = await store.alert(connection, alert_id)
    if row is None:
        raise NotFound("alert")
    return document(row)


async def _family(connection: Connection, child_id: str) -> UUID:
    family = await store.family_of(connection, child_id)
    if family is None:
        raise NotFound("child")
    return family


def _decode(cursor: str | None) -> tuple[datetime, UUID] | None:
    key = decode_cursor(cursor)
    if not key:
        return None
    try:
        raised_at, _, alert_id = key.partition(" ")
        return datetime.fromisoformat(raised_at).astimezone(UTC), UUID(alert_id)
    except (ValueError, OverflowError):
        detail = "Use `next_cursor` of the page before, or leave the cursor out."
        raise Problem(400, "bad-cursor", "Bad cursor", detail) from None
