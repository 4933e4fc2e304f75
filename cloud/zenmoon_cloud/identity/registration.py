"""New guardians and families."""

from uuid import UUID

from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.identity import audit, store
from zenmoon_cloud.identity.people import Guardian


async def add_guardian(
    connection: Connection, email: str, display_name: str, password_hash: str, *,
    family_id: UUID | None = None, family_name: str | None = None, operator: bool = False,
) -> UUID | None:  # fmt: skip
    """Write a guardian, with a new family of that id where one is given; None when the address is taken."""
    cursor = await connection.execute(
        store.ADD_GUARDIAN,
        {"email": email, "display_name": display_name, "password_hash": password_hash, "operator": operator},
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    guardian_id: UUID = row["id"]
    if family_id is not None:
        await connection.execute(store.ADD_FAMILY, {"family_id": family_id, "name": family_name or display_name})
        await connection.execute(store.ADD_MEMBERSHIP, {"guardian_id": guardian_id, "family_id": family_id})
        guardian = Guardian(guardian_id, (family_id,), email, display_name, operator)
        await audit.record(connection, family_id, guardian, "family.registered", {})
    return guardian_id
