"""The demo's simulated child: who it is, and where it lives."""

from __future__ import annotations

from datetime import UTC, datetime

from zenmoon_edge.simulator import Calendar, Child, source_of

SEED = 7
AFTERNOON = 15

# Where the child lives is chosen at the first start, so that a visitor comes by in its afternoon. Hours from UTC → zone.
ZONES = {
    -11: "Pacific/Pago_Pago", -10: "Pacific/Honolulu", -9: "Pacific/Gambier", -8: "Pacific/Pitcairn", -7: "America/Phoenix",
    -6: "America/Costa_Rica", -5: "America/Lima", -4: "America/La_Paz", -3: "America/Montevideo", -2: "America/Noronha",
    -1: "Atlantic/Cape_Verde", 0: "Africa/Accra", 1: "Africa/Lagos", 2: "Africa/Maputo", 3: "Africa/Nairobi", 4: "Asia/Dubai",
    5: "Indian/Maldives", 6: "Asia/Dhaka", 7: "Asia/Bangkok", 8: "Asia/Manila", 9: "Asia/Tokyo", 10: "Australia/Brisbane",
    11: "Pacific/Guadalcanal", 12: "Pacific/Tarawa",
}  # fmt: skip


def afternoon_zone(now: datetime) -> str:
    """The zone where it is about three in the afternoon; no clock changes there."""
    return ZONES[(AFTERNOON - now.astimezone(UTC).hour + 11) % 24 - 11]


def simulated_child(zone: str = "UTC") -> Child:
    """The child; where it lives changes its days and not who it is."""
    return Child(seed=SEED, calendar=Calendar(zone=zone))


SOURCE = f"{source_of(simulated_child()).device:016x}"
"""Under which id its history comes, 16 hex digits."""
