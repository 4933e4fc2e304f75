"""The audit log: who did what, in a chain of hashes a family that the database itself extends."""

from collections.abc import Mapping
from uuid import UUID

from psycopg.types.json import Jsonb

from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.identity import store
from zenmoon_cloud.identity.people import Guardian


async def record(connection: Connection, family_id: UUID, who: Guardian | str, action: str, subject: Mapping[str, object]) -> None:
    """Append one link, in the caller's transaction: what is rolled back was never done and is not logged.

    Args:
        connection: A `Database.family` transaction of that family.
        family_id: Whose data it concerns.
        who: The guardian, or ``service:<name>``.
        action: A verb phrase, for example ``child.created``.
        subject: Ids and choices; never names, values or secrets.
    """
    actor = who if isinstance(who, str) else f"guardian:{who.id}"
    await connection.execute(
        store.ADD_AUDIT, {"family_id": family_id, "actor": actor, "action": action, "subject": Jsonb(dict(subject))}
    )


async def broken_links(connection: Connection, family_id: UUID) -> list[int]:
    """Return the numbers of the entries whose hash or place in the chain is wrong; empty when the log is whole."""
    cursor = await connection.execute(store.BROKEN_AUDIT, {"family_id": family_id})
    return [row["number"] for row in await cursor.fetchall()]
