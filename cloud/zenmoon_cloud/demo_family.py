"""The family of the demo: made once, found again by every later start."""

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import available_timezones

from zenmoon_cloud.database import Database
from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.database.roles import secret_of
from zenmoon_cloud.errors import CloudError
from zenmoon_cloud.identity import store
from zenmoon_cloud.identity.consents_api import Purpose, set_consent
from zenmoon_cloud.identity.fields import device_number
from zenmoon_cloud.identity.gateways_api import add_gateway
from zenmoon_cloud.identity.passwords import hash_password
from zenmoon_cloud.identity.people import Guardian
from zenmoon_cloud.identity.registration import add_guardian
from zenmoon_cloud.identity.tokens import digest
from zenmoon_cloud.identity.wearables_api import add_assignment
from zenmoon_cloud.settings import Settings, clock_of, now

PARENT = "parent@example.org"
OPERATOR = "operator@example.org"
CHILD = "Robin"
CHILD_AGE = 10


async def ensure_demo_family(
    settings: Settings, *, device: str, begin: datetime | None = None, importer: str | None = None, zone: str = "UTC"
) -> dict[str, Any]:
    """Return the demo's logins, child and gateway, creating what is missing.

    Passwords and the gateway's token cannot be read back from the database; they are kept beside it in
    ``demo.json`` (mode 0600), and made anew where that file is gone.

    Args:
        settings: With `database_url` set.
        device: The demo child's wristband, 16 hex digits.
        begin: Since when it is worn, and monitoring and suggestions are allowed; now, by the demo's clock, when None.
        importer: A further source of the child's observations, 16 hex digits: who brings its history.
        zone: IANA name of the zone that the child lives in; kept from the first start.

    Returns:
        ``parent`` and ``operator`` {email, password}, ``family_id``, ``child_id``, ``zone``, ``device``,
        ``gateway`` {gateway_id, token}.
    """
    for source in filter(None, (device, importer)):
        if len(source) != 16 or not set(source) <= set("0123456789abcdef"):
            raise CloudError("bad-device", f"{source!r} is no wristband: give its 16 lower-case hex digits.")
    if zone not in available_timezones():
        raise CloudError("bad-zone", f"{zone!r} is no time zone: give an IANA name such as Europe/Berlin.")
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    secret = settings.database_secret.get_secret_value() if settings.database_secret else None
    path = settings.state / "demo.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    moment = (begin or now(clock_of(settings))).astimezone(UTC)
    async with Database(url, secret=secret_of(url, secret)) as database:
        parent, parent_password = await _guardian(database, PARENT, known.get("parent"), operator=False)
        _, operator_password = await _guardian(database, OPERATOR, known.get("operator"), operator=True)
        family_id = parent.family_ids[0]
        async with database.family([family_id]) as connection:
            child_id, zone = await _child(connection, family_id, zone, known.get("child_id"))
            await _allowed(connection, parent, child_id, at=moment)
            await _wearable(connection, parent, child_id, device, "Demo wristband", begin=moment)
            if importer:
                await _wearable(connection, parent, child_id, importer, "Demo history", begin=moment)
            gateway = await _gateway(connection, parent, family_id, known.get("gateway"))
    demo = {
        "parent": {"email": PARENT, "password": parent_password},
        "operator": {"email": OPERATOR, "password": operator_password},
        "family_id": str(family_id), "child_id": child_id, "zone": zone, "device": device, "gateway": gateway,
    }  # fmt: skip
    _keep(path, demo)
    return demo


async def _guardian(database: Database, email: str, known: dict[str, str] | None, *, operator: bool) -> tuple[Guardian, str]:
    password = known["password"] if known else secrets.token_urlsafe(12)
    password_hash = await hash_password(password)
    family_id = None if operator else uuid4()
    async with database.family([family_id] if family_id else []) as connection:
        name = "Operator" if operator else "Demo parent"
        guardian_id = await add_guardian(connection, email, name, password_hash, family_id=family_id, operator=operator)
        if guardian_id is None:
            row = await (await connection.execute(store.FIND_GUARDIAN, {"email": email})).fetchone()
            assert row is not None
            guardian_id = row["id"]
            await connection.execute(store.REPLACE_HASH, {"guardian_id": guardian_id, "password_hash": password_hash})
        rows = await (await connection.execute(store.LIST_FAMILIES, {"guardian_id": guardian_id})).fetchall()
    families: tuple[UUID, ...] = tuple(row["family_id"] for row in rows)
    return Guardian(guardian_id, families, email, name, operator), password


async def _child(connection: Connection, family_id: UUID, zone: str, known: str | None) -> tuple[str, str]:
    found = await (await connection.execute(store.GET_CHILD, {"child_id": known})).fetchone() if known else None
    if found is None:
        found = await (await connection.execute(store.LIST_CHILDREN, {"after": "", "limit": 1})).fetchone()
    if found is None:
        values = {
            "family_id": family_id, "child_id": f"child_{secrets.token_hex(8)}",
            "display_name": CHILD, "birth_year": datetime.now(UTC).year - CHILD_AGE, "zone": zone,
        }  # fmt: skip
        found = await (await connection.execute(store.ADD_CHILD, values)).fetchone()
    assert found is not None
    return str(found["id"]), str(found["zone"])


async def _allowed(connection: Connection, parent: Guardian, child_id: str, *, at: datetime) -> None:
    """Allow monitoring and suggestions; what somebody has decided since, such as a withdrawal, stays."""
    rows = await (await connection.execute(store.CURRENT_CONSENTS, {"child_id": child_id})).fetchall()
    decided = {row["purpose"] for row in rows}
    purposes: tuple[Purpose, ...] = ("monitoring", "insights")
    for purpose in purposes:
        if purpose not in decided:
            await set_consent(connection, parent, child_id, purpose, granted=True, at=at)


async def _wearable(connection: Connection, parent: Guardian, child_id: str, device: str, name: str, *, begin: datetime) -> None:
    values = {"family_id": parent.family_ids[0], "device": device_number(device), "name": name}
    await connection.execute(store.ADD_WEARABLE, values)
    rows = await (await connection.execute(store.LIST_ASSIGNMENTS, {"child_id": child_id, "after": "", "limit": 200})).fetchall()
    ends = [row["end"] for row in rows if row["device"] == values["device"]]
    if None not in ends:  # where somebody has ended it, it is worn anew from then on
        await add_assignment(connection, parent, child_id, device, begin=max([begin, *ends]))


async def _gateway(connection: Connection, parent: Guardian, family_id: UUID, known: dict[str, str] | None) -> dict[str, str]:
    if known:
        found = await connection.execute(store.FIND_GATEWAY, {"token_hash": digest(known["token"])})
        row = await found.fetchone()
        if row is not None and not row["revoked"]:
            return known
    return (await add_gateway(connection, parent, family_id, "Demo phone")).model_dump()


def _keep(path: Path, demo: dict[str, Any]) -> None:
    unfinished = path.with_suffix(".new")
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.chmod(0o600)
    unfinished.write_text(json.dumps(demo, indent=1) + "\n")
    unfinished.rename(path)
