"""Which wearables belong to this gateway: their keys, and the frame counters that must never repeat under a key.

One file a wearable, and one for the counter of each key. The counters do not live in the outbox: a fresh outbox after damage
would start them again, and a repeated counter is a repeated nonce.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from zenmoon_edge.client import KEY_BYTES

from zenmoon_gateway import durable
from zenmoon_gateway.errors import GatewayError, Reason

# One fsync for so many frames; a crash leaves at most so many numbers unused, out of 2^32.
BLOCK = 1024
COUNTERS = 1 << 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairing:
    """One wearable of this gateway."""

    device: int
    key: bytes
    key_id: int

    @property
    def name(self) -> str:
        """The device's 16 hex digits."""
        return f"{self.device:016x}"


def parse_device(text: str) -> int:
    """Reads a wearable's id of 16 hex digits.

    Raises:
        GatewayError: `settings`.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{16}", text):
        raise GatewayError(Reason.SETTINGS, f"{text!r} is no device id. Next: give the 16 hex digits printed with the wearable")
    return int(text, 16)


def read_key(path: Path) -> bytes:
    """Reads a key file: 64 hex digits, or the 32 bytes themselves.

    Raises:
        GatewayError: `settings`; the key itself is never part of the text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise GatewayError(
            Reason.SETTINGS, f"the key file cannot be read ({error.strerror}: {path}). Next: check --key-file"
        ) from error
    if len(data) == KEY_BYTES:
        return data
    text = data.strip()
    if re.fullmatch(rb"[0-9a-fA-F]{%d}" % (2 * KEY_BYTES), text):
        return bytes.fromhex(text.decode())
    form = f"{len(text)} hex digits" if re.fullmatch(rb"[0-9a-fA-F]+", text) else f"{len(data)} bytes that are not hex digits"
    raise GatewayError(
        Reason.SETTINGS,
        f"{path} holds {form}, but a key is {2 * KEY_BYTES} hex digits or {KEY_BYTES} bytes. "
        "Next: export the wearable's key again and give that file",
    )


class Pairings:
    """The pairings of one home folder."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "wearables"

    def store(self, pairing: Pairing) -> None:
        """Writes a pairing; an existing one of the same wearable is replaced."""
        if not 0 <= pairing.key_id <= 255:
            raise GatewayError(
                Reason.SETTINGS, f"{pairing.key_id} is no key id. Next: give the number 0–255 that belongs to the key"
            )
        durable.make_folder(self._folder)
        durable.write(
            self._folder / f"{pairing.name}.json",
            json.dumps({"device": pairing.name, "key": pairing.key.hex(), "key_id": pairing.key_id}) + "\n",
        )

    def load(self) -> list[Pairing]:
        """All wearables of this gateway, by device id.

        Raises:
            GatewayError: `settings`, for a file that was damaged.
        """
        pairings = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                pairing = Pairing(
                    device=int(content["device"], 16), key=bytes.fromhex(content["key"]), key_id=int(content["key_id"])
                )
            except (ValueError, KeyError, TypeError) as error:
                raise GatewayError(Reason.SETTINGS, f"{path} is damaged. Next: pair this wearable again") from error
            pairings.append(pairing)
        return pairings

    def reserver(self, pairing: Pairing) -> Callable[[], int]:
        """The counters of a wearable's key: each call returns one that was never returned before, not even before a crash."""
        # One file a key, kept for ever: whoever goes back to an earlier key goes on where it stopped.
        fingerprint = sha256(pairing.key).hexdigest()[:16]
        return _Counter(self._folder / f"{pairing.name}-{fingerprint}.counter").reserve


class _Counter:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._next = int(path.read_text(encoding="utf-8")) if path.exists() else 0
        except ValueError as error:
            # Guessing a number would risk a nonce used twice.
            raise GatewayError(Reason.SETTINGS, f"{path} is damaged. Next: pair this wearable with a new key") from error
        self._reserved = self._next

    def reserve(self) -> int:
        if self._next >= self._reserved:
            if self._next + BLOCK > COUNTERS:
                raise GatewayError(
                    Reason.COUNTERS_EXHAUSTED,
                    "the frame counter of this key has been used up. Next: pair the wearable with a new key",
                )
            try:
                durable.write(self._path, f"{self._next + BLOCK}\n")
            except OSError as error:
                raise GatewayError(
                    Reason.STORAGE, f"{self._path} cannot be written ({error.strerror}). Next: free space on the disk"
                ) from error
            self._reserved = self._next + BLOCK
        self._next += 1
        return self._next - 1
