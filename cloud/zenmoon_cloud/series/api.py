"""`/api/children/{child_id}/series`: what was measured, by event time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, Field

from zenmoon_cloud.database import Database
from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.identity import CurrentGuardian
from zenmoon_cloud.problems import RESPONSES, NotFound, Problem
from zenmoon_cloud.series import events_api, levels, pages, sleep_api, socket, store
from zenmoon_cloud.series.buckets import SUMMED, bucket
from zenmoon_cloud.series.levels import Asked, Level
from zenmoon_cloud.series.live import Announcer, Hub, Source
from zenmoon_cloud.series.record import METRICS, Metric, record
from zenmoon_cloud.settings import now

DAY = timedelta(days=1)

GAP = timedelta(seconds=10)
"""Two records further apart than two steps of the model (4 s each) and a half have a gap between them."""

BEFORE_ALL = pages.RecordPlace(datetime(1, 1, 1, tzinfo=UTC), 0, 0, 0)


class Gap(BaseModel):
    """A stretch without data."""

    after: datetime = Field(description="Last record before it, or end of the last minute, hour or day before it")
    before: datetime = Field(description="First record after it, or begin of the first minute, hour or day after it")


class Series(BaseModel):
    """What was measured of one child, by event time."""

    child_id: str
    level: Level = Field(
        description="`record` = as measured, every 4 s; `minute`, `hour`, `day` = means of that time. An hour and a day are those "
        "of the clock where the child was"
    )
    metrics: list[str]
    records: list[dict[str, Any]] = Field(
        description="Level `record`: ts (UTC), device, boot, seq, tick_ms, payload, firmware, model, quality, zone_offset_s and "
        "the metrics asked for; a metric is null where the record's quality forbids a value"
    )
    buckets: list[dict[str, Any]] = Field(
        default=[],
        description="Other levels: start (included) and end (excluded) in UTC, zone_offset_s (seconds east of UTC at its begin), "
        "covered_s (seconds the wristband was worn with contact), completeness (these over the length of the whole bucket, 0-1; "
        "a local day may have 23 or 25 hours, a travel day more or less), the metrics asked for as means weighted by the seconds "
        "behind them, null where there are none, and the lowest and highest of heart_rate_bpm and stress_level (…_min, …_max). A "
        "minute has `source` (`record`, or `epoch` where a phone has summed it up) and `quality` (bits that all of it had), an "
        "hour `minutes` (how many have data), a day its `date`. Where the child changed zones, two hours may share a start: "
        "each holds the minutes by its own clock",
    )
    gaps: list[Gap] = Field(
        description="Level `record`: where more than 10 s are missing between two records of the page. Other levels: runs of "
        "minutes, hours or days without any data, up to the present"
    )
    next_cursor: str | None = None


@asynccontextmanager
async def lifespan(application: FastAPI, sources: Sequence[Source] = ()) -> AsyncIterator[None]:
    """Runs the live reader and the announcer of a process; the application's own lifespan has opened the database.

    Args:
        application: gets `state.hub` and `state.announcer`.
        sources: of what pages are told beside records.
    """
    announcer = Announcer(application.state.database)
    async with Hub(application.state.database, sources).running() as hub:
        application.state.hub = hub
        application.state.announcer = announcer
        yield
    await announcer.close()


router = APIRouter(tags=["series"])
for part in (socket, events_api, sleep_api):
    router.include_router(part.router)


@router.get("/api/children/{child_id}/series", responses=RESPONSES)
async def read_series(
    request: Request,
    guardian: CurrentGuardian,
    child_id: Annotated[str, Path(min_length=1, max_length=50)],
    *,
    metric: Annotated[list[Metric] | None, Query(description="Repeat for several; all when absent")] = None,
    level: Annotated[
        Level | None,
        Query(
            description="When absent the span chooses: up to 24 hours `record`, 7 days `minute`, 93 days `hour`, else `day`; and "
            "the next coarser one where the finer is no longer kept"
        ),
    ] = None,
    since: Annotated[AwareDatetime | None, Query(alias="from", description="Included; a day before `to` when absent")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to", description="Excluded; the present when absent")] = None,
    limit: Annotated[int, Query(ge=1, le=5000, description="Records or buckets a page")] = 1000,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before")] = None,
) -> Series:
    """Return the records, or the minutes, hours or days that begin, from `from` until before `to`, in the order of event time."""
    present = now(request.app.state.clock)
    since, until = _span(since, until, present)
    after = pages.place(cursor) if cursor else None
    if level is None:
        level = levels.fitting(since, until, present) if after is None else _level_of(after)
    if after and level != _level_of(after):
        raise pages.foreign()
    metrics = _metrics(metric, level)
    database: Database = request.app.state.database
    async with database.family(guardian.family_ids) as connection:
        child = None if "\0" in child_id else await store.child(connection, child_id)
        if child is None:
            raise NotFound("child")
        answer = Series(child_id=child_id, level=level, metrics=list(metrics), records=[], gaps=[])
        if level == "record":
            place = after if isinstance(after, pages.RecordPlace) else BEFORE_ALL
            return await _records(connection, child, answer, metrics, span=(since, until), after=place, limit=limit)
        bucket_place = after if isinstance(after, pages.BucketPlace) else None
        page = await levels.page(connection, level, Asked(child, since, until, limit, bucket_place), present)
    answer.buckets = [bucket(found, metrics) for found in page.buckets]
    answer.gaps = [Gap(after=begin, before=end) for begin, end in page.gaps]
    answer.next_cursor = pages.after_bucket(page.end) if page.end else None
    return answer


async def _records(
    connection: Connection,
    child: store.Child,
    answer: Series,
    metrics: Sequence[Metric],
    *,
    span: tuple[datetime, datetime],
    after: pages.RecordPlace,
    limit: int,
) -> Series:
    rows = await store.series(connection, child, *span, after=after, limit=limit + 1)
    page = rows[:limit]
    answer.records = [record(row, metrics) for row in page]
    answer.gaps = [Gap(after=a["time"], before=b["time"]) for a, b in pairwise(page) if b["time"] - a["time"] > GAP]
    answer.next_cursor = pages.after_record(page[-1]) if len(rows) > limit else None
    return answer


def _span(since: datetime | None, until: datetime | None, present: datetime) -> tuple[datetime, datetime]:
    """The times asked about, in UTC."""
    if since and until and since > until:
        raise Problem(422, "bad-range", "Bad range", "`from` lies after `to`. Exchange them.")
    until = until or present
    try:
        since = since or until - DAY
        return since.astimezone(UTC), until.astimezone(UTC)
    except OverflowError:
        raise Problem(422, "bad-range", "Bad range", "`from` and `to` must lie within the years 1 to 9999 in UTC.") from None


def _level_of(place: pages.RecordPlace | pages.BucketPlace) -> Level:
    return "record" if isinstance(place, pages.RecordPlace) else place.level


def _metrics(asked: list[Metric] | None, level: Level) -> list[Metric]:
    """The metrics of an answer; all that the level has where nobody chose."""
    if level == "record":
        return list(dict.fromkeys(asked or METRICS))
    if asked and not set(asked) <= set(SUMMED):
        detail = "`battery_pct` has no mean. Leave it out, or ask for level `record`."
        raise Problem(422, "no-mean", "No mean", detail)
    return list(dict.fromkeys(asked or SUMMED))
