"""Decisions as they are delivered and seen, for the live view."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from zenmoon_cloud.database.pool import Connection
from zenmoon_cloud.decisions import store
from zenmoon_cloud.decisions.document import document
from zenmoon_cloud.series.live import Change


async def changes(connection: Connection, families: Iterable[UUID], since: int, end: int) -> Sequence[Change]:
    """Read what transactions from `since` until before `end` delivered or marked as seen; a `series.live.Source`.

    A message says nothing of thumbs: they are each guardian's own, and every guardian of the family gets the same message.
    """
    return [
        Change(
            row["family_id"], row["child_id"], "recommendation", row["text"], {"recommendation": document(row)}, row["transaction"]
        )
        for row in await store.changed(connection, families, since, end)
    ]
