"""What PostgreSQL holds of the demo, read past every policy: the accounting must see what is there, not what a role may see."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from accounting import Stored
from machine import Unavailable

_STORED = """
SELECT kind, boot, seq, tick_ms, payload, strain FROM (
    SELECT 'record' AS kind, device, boot, seq, tick_ms, payload, stress_level AS strain FROM wellness_metrics
    UNION ALL SELECT 'anchor', device, boot, seq, tick_ms, payload, NULL FROM anchors
    UNION ALL SELECT 'event', device, boot, seq, tick_ms, payload, NULL FROM device_events
    UNION ALL SELECT 'health', device, boot, seq, tick_ms, payload, NULL FROM device_health
    UNION ALL SELECT 'motion30', device, boot, seq, tick_ms, payload, NULL FROM motion_epochs
) AS everything WHERE device = %s AND boot = ANY(%s)
"""

_FAULTS = {
    "loss": """
        DELETE FROM wellness_metrics USING (SELECT * FROM wellness_metrics WHERE device = %s ORDER BY time LIMIT 1) AS one
        WHERE (wellness_metrics.device, wellness_metrics.boot, wellness_metrics.seq) = (one.device, one.boot, one.seq)""",
    "duplicate": """
        INSERT INTO wellness_metrics
        SELECT (jsonb_populate_record(one, jsonb_build_object('seq', (one).seq + 1000000))).*
        FROM (SELECT m AS one FROM wellness_metrics AS m WHERE m.device = %s ORDER BY m.time LIMIT 1) AS first""",
}

# Late records may show that an alarm was none.
_ALARMS = "SELECT count(*) FROM alerts WHERE child_id = %s AND raised_at >= %s AND episodes > 0"

_NEWEST = "SELECT max(time), max(time) FILTER (WHERE source = 'epoch') FROM minute_rollups WHERE child_id = %s"

_UNSUMMED = "SELECT count(*) FROM dirty_hours"


def signed(hexadecimal: str) -> int:
    """16 hex digits as the database keeps them: a signed 64-bit integer."""
    return int.from_bytes(bytes.fromhex(hexadecimal), "big", signed=True)


class Store:
    """The demo's database.

    Args:
        url: Of a superuser.
        log: What to read when it does not answer.
    """

    def __init__(self, url: str, log: Path | str) -> None:
        self._url, self._log = url, log

    async def records(self, device: str, boots: set[int]) -> list[Stored]:
        """Everything of a wearable's given boots."""
        rows = await self._all(_STORED, (signed(device), list(boots)))
        return [
            Stored(kind, boot, seq, tick_ms, f"{payload & (1 << 64) - 1:016x}", strain)
            for kind, boot, seq, tick_ms, payload, strain in rows
        ]

    async def alarms(self, child_id: str, since: datetime) -> int:
        """How many alarms have been raised for a child since then, by the demo's clock."""
        return int((await self._all(_ALARMS, (child_id, since)))[0][0])

    async def newest_minutes(self, child_id: str) -> tuple[datetime | None, datetime | None]:
        """The last minute that is known of a child, and the last one that came as history and not from its wristband."""
        newest, brought = (await self._all(_NEWEST, (child_id,)))[0]
        return newest, brought

    async def unsummed_hours(self) -> int:
        """Hours that wait to be summed up, repetitions included."""
        return int((await self._all(_UNSUMMED, ()))[0][0])

    async def spoil(self, fault: str, device: str) -> None:
        """Removes or doubles one stored record, for whoever wants to see that the accounting notices."""
        async with self._connected() as connection:
            await connection.execute(_FAULTS[fault], (signed(device),))

    async def _all(self, statement: str, arguments: Any) -> list[tuple[Any, ...]]:
        async with self._connected() as connection:
            return await (await connection.execute(statement, arguments)).fetchall()

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        try:
            async with await psycopg.AsyncConnection.connect(self._url) as connection:
                yield connection
        except psycopg.OperationalError as error:
            raise Unavailable(f"the database does not answer any more ({error}).\nNext: read {self._log}") from error
