"""What one family can never see of another: catalogue, roles, policies, and proof that the proof notices a hole."""

import importlib
import pkgutil
import re
from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest
import zenmoon_cloud
from psycopg import sql
from zenmoon_cloud.database import Database
from zenmoon_cloud.database.catalogue import TABLES
from zenmoon_cloud.database.launcher import EmbeddedPostgres
from zenmoon_cloud.database.migrate import migrate
from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.database.roles import ROLES, login
from zenmoon_cloud.database.shard_store import SHARDS
from zenmoon_cloud.series.rollup import roll

FAMILY_TABLES = sorted(name for name, table in TABLES.items() if table.class_ == "family")
OUR_ROLES = [login(role) for role in ROLES]


def column_of(table: str) -> str:
    return "id" if table == "families" else "family_id"


async def test_each_pool_signs_in_as_its_own_role(database: Database) -> None:
    for role in ROLES:
        async with database.family([uuid4()], role=role) as connection:
            row = await (await connection.execute("SELECT current_user AS name")).fetchone()
        assert row == {"name": f"zenmoon_{role}"}


async def test_an_identity_ends_with_its_transaction(database: Database) -> None:
    async with database.family([uuid4()]) as connection:
        before = await (await connection.execute("SELECT cardinality(app_families()) AS n")).fetchone()
    async with database.api.connection() as connection:
        after = await (await connection.execute("SELECT cardinality(app_families()) AS n")).fetchone()
    assert before == {"n": 1}
    assert after == {"n": 0}


def test_catalogue_and_database_name_the_same_tables(superuser: psycopg.Connection) -> None:
    rows = superuser.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
    ).fetchall()
    assert {row[0] for row in rows} == set(TABLES)


def unprotected(connection: psycopg.Connection) -> set[str]:
    """Family tables without forced row-level security and a policy for every command and role."""
    rows = connection.execute(
        """SELECT relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relname = ANY (%s)
           AND NOT (relrowsecurity AND relforcerowsecurity AND EXISTS (
               SELECT FROM pg_policies p WHERE p.tablename = c.relname AND p.cmd = 'ALL' AND p.roles = '{public}'
               AND p.qual LIKE '%%app_families%%' AND p.with_check LIKE '%%app_families%%'))""",
        [FAMILY_TABLES],
    ).fetchall()
    loose = connection.execute(
        "SELECT tablename FROM pg_policies WHERE permissive = 'PERMISSIVE' AND qual NOT LIKE '%app_families%'"
    ).fetchall()
    return {row[0] for row in rows + loose}


def test_every_family_table_is_confined_its_owner_included(superuser: psycopg.Connection) -> None:
    assert unprotected(superuser) == set()


def test_no_role_of_ours_may_pass_the_policies(superuser: psycopg.Connection) -> None:
    powerful = superuser.execute(
        """SELECT rolname FROM pg_roles WHERE rolname LIKE 'zenmoon%%'
           AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)"""
    ).fetchall()
    owners = superuser.execute(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    ).fetchall()
    members = superuser.execute(
        "SELECT r.rolname FROM pg_roles r WHERE r.rolname = ANY (%s) AND pg_has_role(r.oid, 'zenmoon_owner', 'MEMBER')", [OUR_ROLES]
    ).fetchall()
    assert powerful == []
    assert owners == [("zenmoon_owner",)]
    assert members == []


def test_views_see_what_their_reader_sees(superuser: psycopg.Connection) -> None:
    rows = superuser.execute(
        """SELECT relname FROM pg_class
           WHERE relnamespace IN ('public'::regnamespace, 'seeds'::regnamespace) AND relkind IN ('v', 'm')
           AND NOT COALESCE(reloptions, '{}') @> '{security_invoker=true}'"""
    ).fetchall()
    assert rows == []


def test_partitions_grant_nothing_themselves(superuser: psycopg.Connection) -> None:
    rows = superuser.execute(
        """SELECT relname, rolname FROM pg_class, pg_roles WHERE relispartition AND rolname = ANY (%s)
           AND has_table_privilege(pg_roles.oid, pg_class.oid, 'SELECT, INSERT, UPDATE, DELETE')""",
        [OUR_ROLES],
    ).fetchall()
    assert rows == []


def statements() -> list[tuple[str, str, str]]:
    """Every SQL constant of every store: (role, name, text). A name that begins with an underscore is a piece of others."""
    found = []
    for module in pkgutil.walk_packages(zenmoon_cloud.__path__, "zenmoon_cloud."):
        if not module.name.endswith("store"):
            continue
        store = importlib.import_module(module.name)
        for name, value in vars(store).items():
            whole = name.isupper() and not name.startswith("_")
            if whole and isinstance(value, str) and re.match(r"\s*(WITH|SELECT|INSERT|UPDATE|DELETE)\b", value):
                found.append((f"zenmoon_{getattr(store, 'ROLE', 'api')}", f"{module.name}.{name}", value))
    return found


def test_every_statement_fits_the_schema(superuser: psycopg.Connection) -> None:
    assert len(statements()) > 30
    for number, (role, name, text) in enumerate(statements()):
        order: dict[str, int] = {}
        numbered = re.sub(r"%\((\w+)\)s", lambda m, order=order: f"${order.setdefault(m[1], len(order) + 1)}", text)
        places = iter(range(1, 100))
        numbered = re.sub(r"%s", lambda _, places=places: f"${next(places)}", numbered).replace("%%", "%")
        try:
            superuser.execute(f"SET ROLE {role}")
            superuser.execute(f"PREPARE statement_{number} AS {numbered}".encode())
        except psycopg.Error as error:
            pytest.fail(f"{name}: {error}")


async def holes(database: Database, ours: UUID, theirs: UUID) -> set[str]:
    """Tables in which a transaction of `ours` sees a row of `theirs`, writes one, or misses its own."""

    async def count(connection: Connection, table: str, family: UUID) -> int:
        names = (sql.Identifier(table), sql.Identifier(column_of(table)))
        query = sql.SQL("SELECT count(*) AS n FROM {} WHERE {} = %s").format(*names)
        row = await (await connection.execute(query, [family])).fetchone()
        assert row is not None
        return row["n"]

    found = set()
    for table in ("families", "children", "wearables", "wearable_assignments", "consents", "audit_log"):
        async with database.family([ours]) as connection:
            if await count(connection, table, theirs) or not await count(connection, table, ours):
                found.add(table)
        async with database.family([]) as connection:
            if await count(connection, table, theirs):
                found.add(table)
    attempts = {
        "families": "INSERT INTO families (id, name) VALUES (%(new)s, 'x')",
        "wearables": "INSERT INTO wearables (family_id, device, name) VALUES (%(family)s, 7, 'x')",
        "children": "INSERT INTO children (family_id, id, display_name, zone) VALUES (%(family)s, 'x', 'x', 'UTC')",
        "audit_log": "INSERT INTO audit_log (family_id, actor, action, subject) VALUES (%(family)s, 'x', 'x', '{}')",
    }
    for table, statement in attempts.items():
        try:
            async with database.family([ours]) as connection:
                await connection.execute(statement, {"family": theirs, "new": uuid4()})
                found.add(table)
                raise psycopg.Rollback
        except psycopg.errors.InsufficientPrivilege:
            continue
    return found


async def two_families(make_family: Callable) -> tuple[UUID, UUID]:
    first, second = await make_family(), await make_family(device="00000000000000aa")
    return UUID(first.family_id), UUID(second.family_id)


async def test_a_family_sees_and_writes_its_own_rows_only(database: Database, make_family) -> None:
    assert await holes(database, *await two_families(make_family)) == set()


@pytest.mark.parametrize(
    "mutation",
    [
        "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
        "DROP POLICY family ON {}",
        "CREATE POLICY everybody ON {} USING (true)",
        "ALTER POLICY family ON {} USING (true)",
    ],
)
@pytest.mark.parametrize("table", ["families", "children", "wearables", "wearable_assignments", "consents", "audit_log"])
async def test_a_loosened_policy_does_not_go_unnoticed(
    database: Database, superuser: psycopg.Connection, make_family, table: str, mutation: str
) -> None:
    families = await two_families(make_family)
    superuser.execute(sql.SQL(mutation).format(sql.Identifier(table)))
    assert await holes(database, *families) == {table}
    assert unprotected(superuser) == {table}


async def test_a_table_that_spares_its_owner_does_not_go_unnoticed(superuser: psycopg.Connection) -> None:
    superuser.execute("ALTER TABLE consents NO FORCE ROW LEVEL SECURITY")
    assert unprotected(superuser) == {"consents"}


async def test_the_ingest_role_sees_one_family_and_writes_no_identity(database: Database, make_family) -> None:
    ours, theirs = await two_families(make_family)
    async with database.family([ours], role="ingest") as connection:
        rows = await (await connection.execute("SELECT family_id FROM wearable_assignments")).fetchall()
    assert {row["family_id"] for row in rows} == {ours}
    for statement in ("DELETE FROM children", "UPDATE consents SET granted = true", "SELECT password_hash FROM guardians"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.family([ours, theirs], role="ingest") as connection:
                await connection.execute(statement)


async def test_the_api_role_can_change_neither_consents_nor_the_audit_log(database: Database, family) -> None:
    for statement in ("UPDATE consents SET granted = true", "DELETE FROM audit_log", "UPDATE audit_log SET actor = 'x'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.family([UUID(family.family_id)]) as connection:
                await connection.execute(statement)


RECORDS = """
INSERT INTO wellness_metrics (family_id, child_id, time, device, boot, seq, tick_ms, payload, received_at, firmware, model, quality,
  stress_level, zone_offset_s)
SELECT %(family)s, 'ours', date_trunc('hour', now()) - interval '5 days' + seq * interval '4 seconds', 1, 2, seq, 4000 * seq, seq,
  now(), 3, 4, 63, 0.5, 3600
FROM generate_series(0, 1799) AS seq
"""


async def test_records_from_before_there_were_sums_are_summed_up(server: EmbeddedPostgres) -> None:
    name, secret, family, guardian = "test_of_an_earlier_schema", "a secret for tests", uuid4(), uuid4()
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = server.url_of(name)
    migrate(url, secret=secret, revision="0003")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO families (id, name) VALUES (%s, 'Ours')", [family])
        connection.execute("INSERT INTO guardians VALUES (%s, 'parent@example.org', 'A guardian', '-')", [guardian])
        connection.execute("INSERT INTO memberships (guardian_id, family_id) VALUES (%s, %s)", [guardian, family])
        connection.execute("INSERT INTO children (family_id, id, display_name, zone) VALUES (%s, 'ours', 'Ours', 'UTC')", [family])
        connection.execute("SELECT ensure_weeks(now() - interval '30 days', now())")
        connection.execute(RECORDS, {"family": family})
    migrate(url, secret=secret)
    async with Database(url, secret=secret) as database:
        assert sum([await roll(database, shard) for shard in range(SHARDS)]) == 2
    with psycopg.connect(url) as connection:
        hours = connection.execute("SELECT minutes, covered_s FROM hour_rollups ORDER BY time").fetchall()
        assert hours == [(60, 3600.0), (60, 3600.0)]
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
