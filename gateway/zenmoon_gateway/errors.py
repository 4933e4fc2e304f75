"""The one exception of this package."""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """What stopped the gateway."""

    SETTINGS = "settings"
    """A setting, file or argument is missing or cannot be used."""
    ALREADY_RUNNING = "already_running"
    """Another `run` holds this home folder."""
    NOT_PAIRED = "not_paired"
    """No wearable has been paired in this home folder."""
    COUNTERS_EXHAUSTED = "counters_exhausted"
    """The frame counter of a key has been used up: the wearable has to be paired with a new key."""
    STORAGE = "storage"
    """The outbox could not be read or written now; nothing of the group was kept, nothing was acknowledged."""
    DAMAGED = "damaged"
    """The outbox file is damaged. The process has to end; the next start sets the file aside."""
    BLUETOOTH = "bluetooth"
    """The adapter is off, absent or not permitted."""


class GatewayError(Exception):
    """Something the gateway cannot go on with; the text names the cause and the next action."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
