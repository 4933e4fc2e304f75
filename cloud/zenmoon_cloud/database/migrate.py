"""Bring a database to the newest schema: roles first, then Alembic as the owner of the tables."""

from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from zenmoon_cloud.database.roles import OWNER, ROLES, ensure_roles, login
from zenmoon_cloud.errors import CloudError

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_TIMEOUT = "5s"  # a migration that waits longer for a lock blocks everybody queueing behind it
STATEMENT_TIMEOUT = "300s"


@cache
def newest() -> str:
    """Return the number of the newest migration; files are named ``0001_words.py`` and that number is their id."""
    return max(path.name.split("_", 1)[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def current(url: str) -> str | None:
    """Return the migration that the database stands at, None for an empty one."""
    with psycopg.connect(make_conninfo(url, connect_timeout=10)) as connection:
        if connection.execute("SELECT to_regclass('public.alembic_version')").fetchone() == (None,):
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None


def migrate(url: str, *, secret: str, revision: str | None = None) -> str:
    """Create the roles and apply what is missing.

    Args:
        url: URL of a superuser, or of a role that may create roles and owns the database.
        secret: What the roles' passwords derive from.
        revision: Where to stop; the newest migration when None.

    Returns:
        The migration that the database stands at.

    Raises:
        CloudError: ``too-new`` when the database was written by a later version of the service, ``no-database`` when it
            does not answer, ``no-permission`` when the role may not create roles.
    """
    try:
        with psycopg.connect(make_conninfo(url, connect_timeout=10)) as connection:
            ensure_roles(connection, secret)
            _open_schema(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        text = f"The role in DATABASE_URL may not prepare the database: {error.diag.message_primary}. Use one with CREATEROLE."
        raise CloudError("no-permission", text) from None
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        text = f"The database in DATABASE_URL does not answer ({str(error).strip().splitlines()[0]}). Check address and password."
        raise CloudError("no-database", text) from None
    before, target = current(url), revision or newest()
    if before is not None and before > newest():
        raise CloudError(
            "too-new", f"The database is at migration {before}, this version knows {newest()}. Install the later version."
        )
    if before is None or before < target:
        _upgrade(url, target)
    return target


def _open_schema(connection: psycopg.Connection) -> None:
    """Let the owner create in the schema and the roles look into it; only whoever owns the database may grant this."""
    connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    connection.execute(sql.SQL("GRANT CREATE, USAGE ON SCHEMA public TO {}").format(sql.Identifier(OWNER)))
    for role in ROLES:
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(sql.Identifier(login(role))))


def _upgrade(url: str, target: str) -> None:
    # Alembic and SQLAlchemy cost 30 MB: a service whose database is up to date never imports them.
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above
    from sqlalchemy import NullPool, create_engine  # noqa: PLC0415 - see above

    def connect() -> psycopg.Connection:
        return psycopg.connect(make_conninfo(url, application_name="zenmoon_migrate"))

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('zenmoon migrate', 0))")
        connection.exec_driver_sql(f"SET LOCAL ROLE {OWNER}")
        config.attributes["connection"] = connection
        command.upgrade(config, target)
    engine.dispose()
