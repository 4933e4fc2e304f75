"""Sealed frames: every byte between wearable and gateway above the link (docs/wire.md, "Sealed frame").

The codecs of what stands inside come from `zenmoon_edge.core.plaintext` and are offered here as well.
"""

import struct
from collections import namedtuple

from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.plaintext import (
    DONE,
    GONE,
    OVERWRITTEN,
    RELEASED,
    RESEND,
    STATUS_HOLDINGS,
    Ack,
    Done,
    Entries,
    Gone,
    Holding,
    Resend,
    Status,
    decode_ack,
    decode_control,
    decode_status,
    done_plaintext,
    encode_ack,
    encode_resend,
    encode_status,
    entries_per_frame,
    entries_plaintext,
    gone_plaintext,
    parse_plaintext,
)
from zenmoon_edge.core.sealed import open_bytes, seal_bytes

__all__ = [
    "ACK",
    "CONTROL",
    "DONE",
    "GONE",
    "HEADER",
    "OVERHEAD",
    "OVERWRITTEN",
    "RELEASED",
    "RESEND",
    "STATUS",
    "STATUS_HOLDINGS",
    "TAG",
    "TELEMETRY",
    "UPDATE",
    "VERSION",
    "Ack",
    "Done",
    "Entries",
    "Frame",
    "FrameError",
    "Gone",
    "Holding",
    "Opener",
    "Resend",
    "Status",
    "decode_ack",
    "decode_control",
    "decode_status",
    "done_plaintext",
    "encode_ack",
    "encode_resend",
    "encode_status",
    "entries_per_frame",
    "entries_plaintext",
    "gone_plaintext",
    "parse_plaintext",
    "seal",
]

VERSION = 1
TELEMETRY = 0
ACK = 1
CONTROL = 2
UPDATE = 3
STATUS = 4
HEADER = 10
TAG = 16
OVERHEAD = HEADER + TAG

Frame = namedtuple("Frame", "boot counter plaintext")


class FrameError(EdgeError):
    """A frame that is refused and has changed nothing.

    Reasons: `truncated` (shorter than an empty frame), `version`, `key_id` (sealed for somebody else), `forged` (wrong
    key, wrong direction or changed on its way), `replayed` (its counter, or its boot, is not above what was seen).
    """


def seal(  # noqa: PLR0917 - in the order of the header
    key: bytes, key_id: int, direction: int, boot: int, counter: int, plaintext: bytes
) -> bytes:
    """One frame.

    Args:
        key: 32 bytes.
        key_id: 0 to 255; which of the wearable's keys this is.
        direction: TELEMETRY … STATUS.
        boot: The wearable's current boot, whoever sends.
        counter: Never used before with this key, direction and boot.
        plaintext: What to say.

    Raises:
        ValueError: The counter is used up (2**32 frames in one boot), or the key has not 32 bytes.
    """
    if not 0 <= counter <= 0xFFFFFFFF:
        raise ValueError("counter %d is outside 32 bits; a new boot starts again at 0" % counter)
    header = struct.pack("<BBII", VERSION, key_id, boot, counter)
    return header + seal_bytes(key, struct.pack("<III", direction, boot, counter), header, plaintext)


class Opener:
    """Opens the frames of one key and direction and refuses what is old.

    Attributes:
        highest: Boot → highest counter accepted; the caller persists it and hands it back after a restart.
        refused: Frames refused since this object was made.
    """

    def __init__(
        self,
        key: bytes,
        key_id: int,
        direction: int,
        highest: "dict[int, int] | None" = None,
        boot: "int | None" = None,
    ) -> None:
        """
        Args:
            key: 32 bytes.
            key_id: The only key_id accepted.
            direction: The only direction accepted.
            highest: What an earlier Opener had seen.
            boot: On a wearable its own current boot: frames for any other boot are `replayed`, because the wearable
                forgets the counters of its earlier boots.
        """
        self.highest: "dict[int, int]" = {} if highest is None else highest
        self.refused = 0
        self._key = key
        self._key_id = key_id
        self._direction = direction
        self._boot = boot

    def open(self, frame: bytes) -> Frame:
        """The frame's boot, counter and plaintext.

        Raises:
            FrameError: It is refused; `refused` has been counted up and `highest` is unchanged.
        """
        if len(frame) < OVERHEAD:
            raise self._refusal("truncated", "%d bytes" % len(frame))
        frame = bytes(frame)
        version, key_id, boot, counter = struct.unpack_from("<BBII", frame, 0)
        if version != VERSION:
            raise self._refusal("version", "version %d" % version)
        if key_id != self._key_id:
            raise self._refusal("key_id", "key_id %d, not %d" % (key_id, self._key_id))
        nonce = struct.pack("<III", self._direction, boot, counter)
        try:
            plaintext = open_bytes(self._key, nonce, frame[:HEADER], frame[HEADER:])
        except ValueError:
            raise self._refusal("forged", "boot %d, counter %d" % (boot, counter)) from None
        # The tag comes first: what a stranger wrote is called forged, whatever counter it claims.
        seen = self.highest.get(boot, -1)
        same_snapshot = self._direction == STATUS and counter == seen
        if (self._boot is not None and boot != self._boot) or (counter <= seen and not same_snapshot):
            raise self._refusal("replayed", "boot %d, counter %d after %d" % (boot, counter, seen))
        self.highest[boot] = counter
        return Frame(boot, counter, plaintext)

    def _refusal(self, reason: str, detail: str) -> FrameError:
        self.refused += 1
        return FrameError(reason, detail)
