"""The command `zenmoon-cloud`. Heavy imports wait until a command needs them: `openapi` needs no database."""
# ruff: noqa: PLC0415 - see above

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr, ValidationError

from zenmoon_cloud.errors import CloudError
from zenmoon_cloud.settings import Settings

application = typer.Typer(no_args_is_help=True, add_completion=False, help="The ZenMoon service.")

WORKER_ENDS_WITHIN_S = 8.0
"""Its jobs get 3 s, its connections 1.5 s more; a busy machine is slower."""

Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 = a free one.")]
ClockText = Annotated[str | None, typer.Option(help="utc_ms:monotonic_us:rate of a demo.")]
MOMENTS = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d"]
Begin = Annotated[datetime | None, typer.Option("--from", formats=MOMENTS, help="Since when it is worn; now when left out.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@application.command()
def serve(host: Host = None, port: Port = None, clock: ClockText = None) -> None:
    """Run the service; without DATABASE_URL with its own PostgreSQL, migrated first, and a worker on it."""
    import uvicorn

    from zenmoon_cloud.app import create_app
    from zenmoon_cloud.logs import configure

    settings = _settings(host=host, port=port, clock=clock)
    configure(settings.log_level)
    with _migrated(settings) as ready, _worker_beside(settings, ready):
        uvicorn.run(
            create_app(ready), host=ready.host, port=ready.port, log_config=None, access_log=False,
            timeout_graceful_shutdown=5, server_header=False, ws_max_size=65_536,
        )  # fmt: skip


@application.command()
def worker(
    clock: ClockText = None,
    ready_file: Annotated[Path | None, typer.Option(help="File that exists while the worker hears of jobs.")] = None,
) -> None:
    """Do in the background what is due, on the database of a running service; as many at once as needed."""
    import asyncio

    from zenmoon_cloud.logs import configure
    from zenmoon_cloud.worker import url_of, work

    settings = _settings(clock=clock)
    configure(settings.log_level)
    url_of(settings)  # before anything is started
    with _migrated(settings) as ready:
        asyncio.run(work(ready, ready_file=ready_file))


@application.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    with _migrated(Settings()):
        from zenmoon_cloud.database.migrate import newest

        typer.echo(f"migration {newest()}")


@application.command()
def seed(
    device: Annotated[str, typer.Option(help="Wristband of the demo child, 16 hex digits.")],
    *,
    begin: Begin = None,
    importer: Annotated[
        str | None, typer.Option(help="A further source of observations, 16 hex digits: who brings history.")
    ] = None,
    zone: Annotated[str, typer.Option(help="IANA name of the zone that the child lives in.")] = "UTC",
    as_json: Json = False,
    clock: ClockText = None,
) -> None:
    """Create the demo family, or show the one that is there: logins, a child, its wristband, a gateway."""
    import asyncio

    from zenmoon_cloud.demo_family import ensure_demo_family

    with _migrated(_settings(clock=clock)) as ready:
        demo = asyncio.run(ensure_demo_family(ready, device=device, begin=begin, importer=importer, zone=zone))
    if as_json:
        typer.echo(json.dumps(demo))
        return
    for who in ("parent", "operator"):
        typer.echo(f"{who}: {demo[who]['email']}  password: {demo[who]['password']}")
    typer.echo(f"child: {demo['child_id']}  wristband: {demo['device']}  gateway: {demo['gateway']['gateway_id']}")


@application.command()
def openapi(out: Annotated[Path | None, typer.Option(help="File to write instead of printing.")] = None) -> None:
    """Print the interface as OpenAPI JSON; touches no database."""
    from zenmoon_cloud.app import create_app

    text = json.dumps(create_app(Settings(database_url=None)).openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text)


def _settings(**chosen: Any) -> Settings:
    """Return the settings, with what the command line says instead of the environment."""
    return Settings(**{name: value for name, value in chosen.items() if value is not None})


@contextmanager
def _migrated(settings: Settings) -> Iterator[Settings]:
    """Give the settings of a database that is up to date: the configured one, or the embedded server while it runs."""
    from zenmoon_cloud.database.launcher import EmbeddedPostgres
    from zenmoon_cloud.database.migrate import migrate as bring_up_to_date
    from zenmoon_cloud.database.roles import secret_of

    secret = settings.database_secret.get_secret_value() if settings.database_secret else None
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        bring_up_to_date(url, secret=secret_of(url, secret))
        yield settings
        return
    with EmbeddedPostgres(settings.state) as server:
        bring_up_to_date(server.url, secret=secret_of(server.url, secret))
        yield settings.model_copy(update={"database_url": SecretStr(server.url)})


@contextmanager
def _worker_beside(settings: Settings, ready: Settings) -> Iterator[None]:
    """Where the database is this process's own, nobody else knows its address: keep a worker on it as a child."""
    if settings.database_url is not None or ready.database_url is None:
        yield
        return
    environment = os.environ | {"DATABASE_URL": ready.database_url.get_secret_value()}
    command = [sys.executable, "-m", "zenmoon_cloud.cli", "worker", *(["--clock", ready.clock] if ready.clock else [])]
    child = subprocess.Popen(command, env=environment, preexec_fn=_end_with_parent)  # noqa: PLW1509 - no thread runs yet
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(WORKER_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _end_with_parent() -> None:
    """Linux: the kernel ends the child of a service that is killed; elsewhere it ends by itself once its database is gone."""
    import ctypes

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG of linux/prctl.h


def main() -> None:
    """Run the command; an expected failure is one line and exit status 2."""
    # SIGTERM leaves through the context managers, so that the embedded server is stopped in order. uvicorn handles it
    # while it serves and raises it again afterwards, which ends here too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        application()
    except CloudError as error:
        typer.echo(f"zenmoon-cloud: {error}", err=True)
        sys.exit(2)
    except ValidationError as error:
        fields = ", ".join(f"{'.'.join(str(part) for part in entry['loc'])}: {entry['msg']}" for entry in error.errors())
        typer.echo(f"zenmoon-cloud: a setting is wrong ({fields}). Correct it in the environment (ZENMOON_…).", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
