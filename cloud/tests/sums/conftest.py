"""A service whose present is a fixed one, and a family that agreed long before."""

import time
from datetime import datetime, timedelta

import pytest
from recomputed import BOOTS, PRESENT


@pytest.fixture
def present():
    """The service's present; a test may choose another."""
    return PRESENT


@pytest.fixture
def settings(settings, present):
    utc_ms, monotonic_us = int(present.timestamp() * 1000), time.monotonic_ns() // 1000
    return settings.model_copy(update={"clock": f"{utc_ms}:{monotonic_us}:1"})


@pytest.fixture
async def family(make_family, superuser):
    """A family that agreed long ago."""
    made = await make_family(begin="2025-01-01T00:00:00Z")
    superuser.execute("UPDATE consents SET at = '2025-01-01T00:00:00Z'")
    return made


@pytest.fixture
def measured(records):
    """Records from a moment on, one every 4 s, of a boot of their own."""

    def write(moment: datetime, number: int = 1, **changes: object) -> list[dict[str, object]]:
        items = records(number, boot=next(BOOTS), **changes)
        for at, item in enumerate(items):
            item["ts"] = (moment + timedelta(seconds=4 * at)).isoformat()
        return items

    return write
