"""The queue's tables: procrastinate's own SQL, in a PostgreSQL schema that only the worker's role may enter.

procrastinate brings one file with its whole schema and a folder of changes to it, named by version. Which change is the last one
in a database stands in the comment of the schema `queue`. When a later procrastinate has further changes, a new migration of
ours calls `bring_up_to_date` again. Its files come in pairs: *pre* fits both versions of the program, *post* only the later
one; ours applies both at once, so workers of the earlier version are stopped first.
"""

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import psycopg
from procrastinate.schema import SchemaManager

from zenmoon_cloud.database.roles import login

SCHEMA = "queue"

DESCRIPTION = "SELECT obj_description(to_regnamespace('queue'), 'pg_namespace') AS description"

_GRANTS = (
    f"GRANT USAGE ON SCHEMA queue TO {login('worker')}",
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA queue TO {login('worker')}",
    f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA queue TO {login('worker')}",
)


def changes() -> dict[str, Path]:
    """Return the files of the installed procrastinate that change its schema, by name, the first one first."""
    return {path.stem: path for path in sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))}


def newest() -> str:
    """Return the name of the last change that the installed procrastinate has."""
    return list(changes())[-1]


def recorded(description: str | None) -> str | None:
    """Return the change that the comment of the schema names; None for an empty one."""
    found = re.search(r"up to (\S+)", description or "")
    return found[1] if found else None


def bring_up_to_date(connection: psycopg.Connection) -> None:
    """Create procrastinate's tables and functions in the schema `queue`, or change those of an earlier version.

    Args:
        connection: Of the schema's owner, in the transaction of a migration.
    """
    row = connection.execute(DESCRIPTION).fetchone()
    connection.execute("SET LOCAL search_path = queue")
    for statements in _missing(recorded(row[0] if row else None)):
        connection.execute(statements)
    connection.execute("SET LOCAL search_path TO DEFAULT")
    connection.execute(f"COMMENT ON SCHEMA queue IS 'procrastinate {version('procrastinate')}, up to {newest()}'")
    for grant in _GRANTS:
        connection.execute(grant)


def _missing(last: str | None) -> Iterator[str]:
    if last is None:
        yield SchemaManager.get_schema()
        return
    for name, path in changes().items():
        if name > last:
            yield path.read_text()
