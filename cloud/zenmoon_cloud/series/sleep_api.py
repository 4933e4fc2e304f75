"""`/api/children/{child_id}/sleep`: when the child slept."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from zenmoon_cloud.database import Database
from zenmoon_cloud.identity import CurrentGuardian
from zenmoon_cloud.identity.fields import ChildId, Moment
from zenmoon_cloud.pagination import Cursor, Limit, Page
from zenmoon_cloud.problems import RESPONSES, NotFound
from zenmoon_cloud.series import pages, sleep_store, store
from zenmoon_cloud.series.zones import offset_s

router = APIRouter(prefix="/api/children/{child_id}/sleep", responses=RESPONSES)


class Sleep(BaseModel):
    """One sleep."""

    started_at: datetime = Field(description="Falling asleep, UTC")
    ended_at: datetime = Field(description="Waking for good, UTC")
    night: date = Field(description="Local date of waking")
    asleep_s: int = Field(description="Seconds asleep between the two")
    awakenings: int
    efficiency: float | None = Field(description="Share of the time in bed that the child slept, 0-1; null: not known")
    nap: bool = Field(description="A sleep beside the night's")
    zone_offset_s: int = Field(description="Seconds east of UTC where the child was")
    revision: int = Field(description="It grows where the phone has looked at the night again")


@router.get("")
async def list_sleep(
    child_id: ChildId,
    request: Request,
    guardian: CurrentGuardian,
    *,
    since: Annotated[Moment | None, Query(alias="from", description="Sleep that ended after this time")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="Sleep that began before this time")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Sleep]:
    """List a child's sleep, the newest first; of each one what is known last."""
    place = pages.place(cursor) if cursor else None
    if isinstance(place, pages.BucketPlace):
        raise pages.foreign()
    after = dict(zip(("after", "device", "boot", "seq"), place or (None,) * 4, strict=True))
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        child = await store.child(connection, child_id)
        if child is None:
            raise NotFound("child")
        arguments = {"family": child.family, "child": child.id, "from": since, "to": until, "limit": limit + 1}
        rows = await (await connection.execute(sleep_store.LIST_SLEEP, arguments | after)).fetchall()
    sleeps = [_sleep(row, child.zone) for row in rows[:limit]]
    return Page(items=sleeps, next_cursor=pages.after_record(rows[limit - 1]) if len(rows) > limit else None)


def _sleep(row: Mapping[str, Any], zone: str) -> Sleep:
    offset = offset_s(zone, row["ended_at"]) if row["zone_offset_s"] is None else row["zone_offset_s"]
    said = {name: row[name] for name in ("ended_at", "asleep_s", "awakenings", "efficiency", "nap", "revision")}
    night = (row["ended_at"] + timedelta(seconds=offset)).date()
    return Sleep(**said, started_at=row["time"], night=night, zone_offset_s=offset)
