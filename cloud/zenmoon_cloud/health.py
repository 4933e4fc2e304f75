"""Whether the service lives, and whether its database answers: asked, not remembered."""

import asyncio
from typing import Literal

import psycopg
from fastapi import APIRouter, Request, Response
from psycopg_pool import PoolTimeout
from pydantic import BaseModel

from zenmoon_cloud.database import Database
from zenmoon_cloud.database.migrate import newest

router = APIRouter(tags=["health"])

PATIENCE_S = 2.0


class Health(BaseModel):
    """The state of this process."""

    status: Literal["ok", "unavailable"]
    database: Literal["ok", "unreachable", "outdated"]
    migration: str | None = None


@router.get("/api/health", responses={503: {"model": Health, "description": "The database does not answer"}})
async def health(request: Request, response: Response) -> Health:
    """Ask the database and say what it answered; 503 when it does not."""
    database: Database = request.app.state.database
    try:
        async with asyncio.timeout(PATIENCE_S), database.api.connection(timeout=PATIENCE_S) as connection:
            row = await (await connection.execute("SELECT version_num FROM alembic_version")).fetchone()
    except (TimeoutError, PoolTimeout, psycopg.Error):
        response.status_code = 503
        return Health(status="unavailable", database="unreachable")
    migration = str(row["version_num"]) if row else None
    if migration is None or migration < newest():
        response.status_code = 503
        return Health(status="unavailable", database="outdated", migration=migration)
    return Health(status="ok", database="ok", migration=migration)
