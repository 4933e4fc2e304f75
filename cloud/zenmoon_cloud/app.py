"""The service as one ASGI application: domains, page, middleware. It composes and does nothing else."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles
from zenmoon_edge import models

from zenmoon_cloud import alerts, decisions, health, identity, ingest, problems, recommendations, series
from zenmoon_cloud.database import Database
from zenmoon_cloud.database.roles import secret_of
from zenmoon_cloud.errors import CloudError
from zenmoon_cloud.middleware import BodyLimit, RequestLog, SecurityHeaders
from zenmoon_cloud.settings import Settings, clock_of

VERSION = "0.1.0"
DESCRIPTION = "Records in, live values and a family's own settings out. Times are ISO 8601 with zone, errors RFC 9457."


def create_app(settings: Settings) -> FastAPI:
    """Return the application; its pools open when it starts and close when it stops.

    Args:
        settings: With `database_url` set: a migrated database.

    Raises:
        CloudError: ``no-database`` or ``no-secret``, at start-up.
    """
    application = FastAPI(
        title="ZenMoon", version=VERSION, description=DESCRIPTION, lifespan=_lifespan,
        openapi_url="/api/openapi.json", docs_url=None, redoc_url=None,  # those pages load scripts from elsewhere
        responses=problems.RESPONSES,
    )  # fmt: skip
    application.state.settings = settings
    application.state.clock = clock_of(settings)
    problems.install(application)
    for domain in (identity, ingest, series, alerts, decisions, recommendations, health):
        application.include_router(domain.router)
    application.add_route("/alerts.tflite", early_hint)
    application.mount("/", StaticFiles(directory=page_folder(), html=True), name="page")
    application.add_middleware(BodyLimit, limit=settings.body_limit)
    application.add_middleware(SecurityHeaders)
    application.add_middleware(RequestLog)
    return application


@asynccontextmanager
async def _lifespan(application: FastAPI) -> AsyncIterator[None]:
    settings: Settings = application.state.settings
    if settings.database_url is None:
        raise CloudError("no-database", "No database was given. Start with `zenmoon-cloud serve`, or set DATABASE_URL.")
    url = settings.database_url.get_secret_value()
    configured = settings.database_secret.get_secret_value() if settings.database_secret else None
    async with AsyncExitStack() as stack:
        application.state.database = await stack.enter_async_context(Database(url, secret=secret_of(url, configured)))
        await stack.enter_async_context(series.lifespan(application, sources=(alerts.changes, decisions.changes)))
        yield


async def early_hint(_request: Request) -> FileResponse:
    """The model that the page runs in the browser: the very file that ships, so that there is no second one to fall behind."""
    return FileResponse(Path(models.__file__).with_name("alerts.tflite"), media_type="application/octet-stream")


def page_folder() -> Path:
    """Return the folder of the parents' page: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "web"
    return installed if installed.exists() else package.parent / "web"
