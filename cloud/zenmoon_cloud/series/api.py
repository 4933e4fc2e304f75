"""`/api/children/{child_id}/series`: what was measured, by event time."""

import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, FastAPI, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, Field

from zenmoon_cloud.database import Database
from zenmoon_cloud.identity import CurrentGuardian
from zenmoon_cloud.problems import RESPONSES, NotFound, Problem
from zenmoon_cloud.series import socket, store
from zenmoon_cloud.series.live import Announcer, Hub
from zenmoon_cloud.series.record import METRICS, Metric, record
from zenmoon_cloud.settings import now

DAY = timedelta(days=1)

GAP = timedelta(seconds=10)
"""Two records further apart than two steps of the model (4 s each) and a half have a gap between them."""

BEFORE_ALL = (datetime(1, 1, 1, tzinfo=UTC), 0, 0, 0)


class Gap(BaseModel):
    """A stretch without records between two of this page."""

    after: datetime = Field(description="Last record before it")
    before: datetime = Field(description="First record after it")


class Series(BaseModel):
    """Records of one child by event time."""

    child_id: str
    level: Literal["record"] = Field(description="`record` = as measured, every 4 s")
    metrics: list[str]
    records: list[dict[str, Any]] = Field(
        description="ts (UTC), device, boot, seq, tick_ms, payload, firmware, model, quality, zone_offset_s and the metrics "
        "asked for; a metric is null where the record's quality forbids a value"
    )
    gaps: list[Gap] = Field(description="Where more than 10 s are missing")
    next_cursor: str | None = None


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    """Runs the live reader and the announcer of a process; the application's own lifespan has opened the database."""
    announcer = Announcer(application.state.database)
    async with Hub(application.state.database).running() as hub:
        application.state.hub = hub
        application.state.announcer = announcer
        yield
    await announcer.close()


router = APIRouter(tags=["series"])
router.include_router(socket.router)


@router.get("/api/children/{child_id}/series", responses=RESPONSES)
async def read_series(
    request: Request,
    guardian: CurrentGuardian,
    child_id: Annotated[str, Path(min_length=1, max_length=50)],
    *,
    metric: Annotated[list[Metric] | None, Query(description="Repeat for several; all when absent")] = None,
    level: Annotated[Literal["record"], Query()] = "record",
    since: Annotated[AwareDatetime | None, Query(alias="from", description="Included; a day before `to` when absent")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to", description="Excluded; the present when absent")] = None,
    limit: Annotated[int, Query(ge=1, le=5000, description="Records a page")] = 1000,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before")] = None,
) -> Series:
    """Return the records from `from` until before `to`, in the order of event time."""
    until = until or now(request.app.state.clock)
    metrics = list(dict.fromkeys(metric or METRICS))
    database: Database = request.app.state.database
    try:
        since = since or until - DAY
        since, until = since.astimezone(UTC), until.astimezone(UTC)
    except OverflowError:
        raise Problem(422, "bad-range", "Bad range", "`from` and `to` must lie within the years 1 to 9999 in UTC.") from None
    after = _decode(cursor) if cursor else BEFORE_ALL
    async with database.family(guardian.family_ids) as connection:
        family = None if "\0" in child_id else await store.family_of(connection, child_id)
        if family is None:
            raise NotFound("child")
        rows = await store.series(connection, family, child_id, span=(since, until), after=after, limit=limit + 1)
    page = rows[:limit]
    return Series(
        child_id=child_id,
        level=level,
        metrics=list(metrics),
        records=[record(row, metrics) for row in page],
        gaps=[Gap(after=a["time"], before=b["time"]) for a, b in pairwise(page) if b["time"] - a["time"] > GAP],
        next_cursor=_encode(page[-1]) if len(rows) > limit else None,
    )


def _encode(row: dict[str, Any]) -> str:
    key = [row["time"].isoformat(), row["device"], row["boot"], row["seq"]]
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def _decode(cursor: str) -> tuple[datetime, int, int, int]:
    try:
        time, device, boot, seq = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        moment = datetime.fromisoformat(time).astimezone(UTC)
        numbers = [int(number).to_bytes(8, signed=True) for number in (device, boot, seq)]
    except (ValueError, TypeError, OverflowError, binascii.Error):
        detail = "Use `next_cursor` of the page before, or leave the cursor out."
        raise Problem(400, "bad-cursor", "Bad cursor", detail) from None
    first, second, third = (int.from_bytes(number, signed=True) for number in numbers)
    return moment, first, second, third
