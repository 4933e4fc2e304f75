"""Connections: one pool a role, and transactions that see the named families only."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from zenmoon_cloud.database.roles import ROLES, RoleName, login, password

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]

# Connections kept and connections at most, by role; together below the embedded server's limit.
SIZES: dict[RoleName, tuple[int, int]] = {"api": (1, 10), "ingest": (1, 6), "reanchor": (0, 2), "worker": (0, 4)}
WAIT_S = 5.0  # for a free connection; then the caller gets a 503


class Database:
    """The service's connections to one database; rows are dictionaries.

    Args:
        url: URL of the database. User and password in it are not used.
        secret: What the passwords of the roles derive from (`roles.secret_of`).

    Attributes:
        api: Pool of the role that serves parents.
        ingest: Pool of the role that stores records.
        reanchor: Pool of the role that moves the records of a boot in time.
        worker: Pool of the role that works in the background.
    """

    def __init__(self, url: str, *, secret: str) -> None:
        base = conninfo_to_dict(url)
        self._pools: dict[RoleName, Pool] = {}
        for role in ROLES:
            least, most = SIZES[role]
            arguments: dict[str, Any] = base | {"user": login(role), "password": password(role, secret)}
            self._pools[role] = AsyncConnectionPool(
                make_conninfo("", **arguments, application_name=login(role), connect_timeout=5),
                connection_class=Connection,
                kwargs={"row_factory": dict_row},
                min_size=least,
                max_size=most,
                timeout=WAIT_S,
                open=False,
                name=role,
            )
        self.api = self._pools["api"]
        self.ingest = self._pools["ingest"]
        self.reanchor = self._pools["reanchor"]
        self.worker = self._pools["worker"]

    async def open(self) -> None:
        """Open the pools and wait for their first connections, so that a wrong password shows at the start."""
        for pool in self._pools.values():
            await pool.open(wait=True, timeout=10)

    async def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.close()

    async def __aenter__(self) -> "Database":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def family(self, families: Iterable[UUID], role: RoleName = "api") -> AsyncIterator[Connection]:
        """Open a transaction that sees and writes the rows of `families` and of nobody else.

        The setting ends with the transaction, so a connection goes back to its pool without an identity.
        """
        identity = "{%s}" % ",".join(str(UUID(str(family))) for family in families)
        async with self._pools[role].connection() as connection, connection.transaction():
            await connection.execute("SELECT set_config('app.families', %s, true)", [identity])
            yield connection
