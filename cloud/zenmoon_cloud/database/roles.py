"""The service's own database roles. They belong to the server, not to one database, so no migration creates them.

Nobody signs in as `zenmoon_owner`: migrations become it with SET ROLE. The others are what the service connects
as; none of them owns a table or may bypass row-level security.
"""

import hashlib
import hmac
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from zenmoon_cloud.errors import CloudError

OWNER = "zenmoon_owner"
RoleName = Literal["api", "ingest", "reanchor", "worker"]


class Limits(NamedTuple):
    """Time limits of a role, as PostgreSQL durations."""

    statement: str
    lock: str
    idle_in_transaction: str


ROLES: dict[RoleName, Limits] = {
    "api": Limits("5s", "2s", "10s"),  # somebody is waiting in front of a page
    "ingest": Limits("15s", "5s", "10s"),  # one group commit
    "reanchor": Limits("120s", "10s", "30s"),  # moves a whole boot
    "worker": Limits("120s", "10s", "60s"),  # sums up, decides and tidies in the background
}


def login(role: RoleName) -> str:
    """Return the database name of a role."""
    return f"zenmoon_{role}"


def password(role: RoleName, secret: str) -> str:
    """Derive a role's password from the one secret of a deployment."""
    return hmac.new(secret.encode(), f"zenmoon role {role}".encode(), hashlib.sha256).hexdigest()


def secret_of(url: str, configured: str | None) -> str:
    """Return the secret that the role passwords derive from: the configured one, else the password in the URL.

    Raises:
        CloudError: ``no-secret`` when there is neither.
    """
    found = configured or unquote(urlsplit(url).password or "")
    if not found:
        raise CloudError(
            "no-secret",
            "DATABASE_URL carries no password to derive the service's role passwords from. Set ZENMOON_DATABASE_SECRET "
            "to a long random text, the same on every machine of this deployment.",
        )
    return found


def ensure_roles(connection: psycopg.Connection, secret: str) -> None:
    """Create what is missing and set passwords and limits again; needs CREATEROLE and an open transaction."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('zenmoon roles', 0))")
    _create(connection, OWNER, "NOLOGIN")
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(OWNER)))
    for role, limits in ROLES.items():
        name = login(role)
        _create(connection, name, "LOGIN")
        identifier = sql.Identifier(name)
        connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(identifier, sql.Literal(password(role, secret))))
        for setting, value in (
            ("statement_timeout", limits.statement),
            ("lock_timeout", limits.lock),
            ("idle_in_transaction_session_timeout", limits.idle_in_transaction),
            ("timezone", "UTC"),
        ):
            connection.execute(sql.SQL("ALTER ROLE {} SET {} = {}").format(identifier, sql.Identifier(setting), sql.Literal(value)))


def _create(connection: psycopg.Connection, name: str, may_login: str) -> None:
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
        connection.execute(
            sql.SQL("CREATE ROLE {} {} NOINHERIT NOBYPASSRLS NOCREATEDB NOCREATEROLE").format(
                sql.Identifier(name), sql.SQL(may_login)
            )
        )
