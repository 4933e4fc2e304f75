"""A delivered decision as the service gives it away: to a page that asks, and live."""

from collections.abc import Mapping
from typing import Any

from zenmoon_cloud.series.record import iso


def document(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the log as JSON values; what was shown then is read from the receipt, not from today's library.

    Returns:
        `child_id, recommendation_id, recommendation` (text), `activity` (`id, name, minutes, how`, or None), `reason, forecast`
        (None: nothing is forecast yet), `model_version, grounded, at, seen_at, receipt, revision` (grows with every change).
    """
    receipt = row["receipt"]
    return {
        "child_id": row["child_id"],
        "recommendation_id": row["id"],
        "recommendation": row["text"],
        "activity": receipt["activity"],
        "reason": row["explanation"],
        "forecast": None,
        "model_version": receipt["model_version"],
        "grounded": receipt["grounded"],
        "at": iso(row["at"]),
        "seen_at": iso(row["seen_at"]) if row["seen_at"] else None,
        "receipt": receipt,
        "revision": row["transaction"],
    }
