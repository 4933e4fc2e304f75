"""The worker's queue, and what its role may read of a family before a domain says more."""

import psycopg
from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    # One job a shard pages through the shard's families. Another number of shards needs another index.
    "CREATE INDEX memberships_shard ON memberships ((hashtextextended(family_id::text, 0) & 7), family_id)",
    "GRANT SELECT (family_id) ON memberships TO zenmoon_worker",
    "GRANT SELECT ON children, consents TO zenmoon_worker",
)


def upgrade() -> None:
    """Create the queue and grant the worker its directory of families."""
    # Here, because a service whose database is up to date never imports it.
    from zenmoon_cloud.database.queue_schema import bring_up_to_date  # noqa: PLC0415 - see above

    # Only who owns the database may create a schema in it, and migrations run as the owner of the tables.
    op.execute("RESET ROLE")
    op.execute("CREATE SCHEMA queue AUTHORIZATION zenmoon_owner")
    op.execute("SET LOCAL ROLE zenmoon_owner")
    # procrastinate's own statements. A later version brings changes to them: `queue_schema` says how they are applied.
    connection = op.get_bind().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    bring_up_to_date(connection)
    for statement in STATEMENTS:
        op.execute(statement)
