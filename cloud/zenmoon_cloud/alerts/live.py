"""Alarms as they change, for the live view."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple
from uuid import UUID

from zenmoon_cloud.alerts import store
from zenmoon_cloud.alerts.document import document
from zenmoon_cloud.database.pool import Connection


class Change(NamedTuple):
    """An alarm as it stands; what `series.live.Changed` asks for.

    Attributes:
        family_id: whose it is.
        child_id: whom it is about.
        type: of the message.
        message: a plain sentence.
        data: of the message: the alarm's document.
        transaction: id of the transaction that changed it last.
    """

    family_id: UUID
    child_id: str
    type: Literal["alert"]
    message: str
    data: Mapping[str, Any]
    transaction: int


async def changes(connection: Connection, families: Iterable[UUID], since: int, end: int) -> Sequence[Change]:
    """Reads the alarms that transactions from `since` until before `end` changed last."""
    found = []
    for row in await store.changed(connection, families, since, end):
        alert = document(row)
        data = {"alert": alert.model_dump(mode="json")}
        found.append(Change(row["family_id"], row["child_id"], "alert", alert.message, data, row["transaction"]))
    return found
