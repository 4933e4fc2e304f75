"""A ZenMoon wearable as a gateway sees it: bleak below, sealed frames on top.

The calls to bleak are the ordinary ones, so a real adapter and any injected backend class work the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, StrEnum
from types import TracebackType
from typing import Any, Self

from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakCharacteristicNotFoundError, BleakError

from zenmoon_edge.core import frame, plaintext
from zenmoon_edge.core.errors import EdgeError

SERVICE = "7a656e00-6d6f-6f6e-8000-00805f9b34fb"
TELEMETRY = "7a656e01-6d6f-6f6e-8000-00805f9b34fb"
BACKLOG = "7a656e02-6d6f-6f6e-8000-00805f9b34fb"
ACK = "7a656e03-6d6f-6f6e-8000-00805f9b34fb"
CONTROL = "7a656e04-6d6f-6f6e-8000-00805f9b34fb"
STATUS = "7a656e06-6d6f-6f6e-8000-00805f9b34fb"
CURRENT_TIME = "00002a2b-0000-1000-8000-00805f9b34fb"

KEY_BYTES = 32

# A connection that has not come up by then is not coming: BlueZ itself gives up after 20–25 s.
CONNECT_TIMEOUT_S = 20.0
# The link supervision timeout is at most 32 s by the Bluetooth specification, usually 4–6 s; one answer takes far less.
ANSWER_TIMEOUT_S = 10.0
# Current Time's reason for the adjustment: bit 1, "external reference time update".
ADJUSTED_BY_REFERENCE = 2


class Reason(StrEnum):
    """Why a wearable could not be used."""

    BLUETOOTH = "bluetooth"
    """The adapter, the operating system or the wearable's Bluetooth stack answered with an error."""
    DISCONNECTED = "disconnected"
    """The link is down, or went down during the call."""
    TIMEOUT = "timeout"
    """No answer in the time an answer takes at most."""
    NOT_A_WEARABLE = "not_a_wearable"
    """A characteristic of the ZenMoon service is missing."""
    WRONG_KEY = "wrong_key"
    """The sealed status does not open with this key: another wearable, or it was paired anew."""
    MALFORMED = "malformed"
    """The status opened, but is not what wire.md describes: firmware and gateway are of different age."""


class WearableError(EdgeError):
    """A wearable cannot be used; `reason` is a `Reason`, `detail` a sentence."""


class Source(Enum):
    """The characteristic that a frame came by."""

    LIVE = "live"
    BACKLOG = "backlog"


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """One frame that opened, and what it said.

    Attributes:
        source: live or backlog.
        boot: The wearable's current boot (the entries' own boot stands in `content`, None there meaning this one).
        counter: The frame's counter; the highest one has to be kept with what the frame said.
        content: `Entries`, `Gone` or `Done` of `zenmoon_edge.core.plaintext`.
    """

    source: Source
    boot: int
    counter: int
    content: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """A wearable that advertises nearby: its name, its address, the signal in dBm."""

    name: str
    address: str
    rssi: int


def is_wearable(advertisement: AdvertisementData) -> bool:
    """Whether an advertisement is a ZenMoon wearable's."""
    return SERVICE in advertisement.service_uuids


def _backend(backend: type[Any] | None) -> dict[str, Any]:
    return {} if backend is None else {"backend": backend}


async def scan(*, seconds: float, backend: type[Any] | None = None) -> list[Sighting]:
    """Lists the wearables that advertise within `seconds`, strongest signal first.

    Raises:
        WearableError: Bluetooth is off, absent or not permitted.
    """
    try:
        found = await BleakScanner.discover(timeout=seconds, return_adv=True, **_backend(backend))
    except (BleakError, OSError) as error:
        raise WearableError(Reason.BLUETOOTH, f"scanning failed: {error}") from error
    seen = [
        Sighting(name=advertisement.local_name or device.name or "", address=device.address, rssi=advertisement.rssi)
        for device, advertisement in found.values()
        if is_wearable(advertisement)
    ]
    return sorted(seen, key=lambda sighting: -sighting.rssi)


async def find(accept: Callable[[str, str], bool], *, seconds: float, backend: type[Any] | None = None) -> BLEDevice | None:
    """Finds the first wearable whose name and address `accept` takes, or None after `seconds`.

    Raises:
        WearableError: Bluetooth is off, absent or not permitted.
    """

    def wanted(device: BLEDevice, advertisement: AdvertisementData) -> bool:
        return is_wearable(advertisement) and accept(advertisement.local_name or device.name or "", device.address)

    try:
        return await BleakScanner.find_device_by_filter(wanted, timeout=seconds, **_backend(backend))
    except (BleakError, OSError) as error:
        raise WearableError(Reason.BLUETOOTH, f"scanning failed: {error}") from error


def current_time(utc_ms: int) -> bytes:
    """Encodes Exact Time 256 and the adjust reason, 10 bytes (Current Time Service 1.1, characteristic 0x2A2B)."""
    moment = datetime.fromtimestamp(utc_ms // 1000, UTC)
    fields = (moment.month, moment.day, moment.hour, moment.minute, moment.second, moment.isoweekday())
    return moment.year.to_bytes(2, "little") + bytes((*fields, utc_ms % 1000 * 256 // 1000, ADJUSTED_BY_REFERENCE))


class Wearable:
    """One connection to one wearable; make a new one to connect again.

    Args:
        device: What `find` returned, or an address.
        key: The 32-byte key that this gateway and the wearable share.
        key_id: The key's number in the frame header.
        reserve: Returns a counter never returned before for this key, not even before a crash.
        highest: Highest counter accepted so far per boot, as persisted with what those frames said.
        backend: bleak client backend class; None takes the platform's.
    """

    def __init__(
        self,
        device: BLEDevice | str,
        *,
        key: bytes,
        key_id: int,
        reserve: Callable[[], int],
        highest: dict[int, int] | None = None,
        backend: type[Any] | None = None,
    ) -> None:
        self._key, self._key_id, self._reserve = key, key_id, reserve
        self._telemetry = frame.Opener(key, key_id, frame.TELEMETRY, dict(highest or {}))
        self._status = frame.Opener(key, key_id, frame.STATUS)
        self._frames: asyncio.Queue[tuple[Source, bytes] | None] = asyncio.Queue()
        self._lost = False
        self._client = BleakClient(device, disconnected_callback=self._disconnected, timeout=CONNECT_TIMEOUT_S, **_backend(backend))
        self.boot: int | None = None
        self.refused: dict[str, int] = {}
        """Frames that were refused on this connection, by reason: `frame.FrameError.reason`, or `malformed`."""

    @property
    def address(self) -> str:
        """The wearable's Bluetooth address, or what stands for it on this platform."""
        return self._client.address

    @property
    def highest(self) -> dict[int, int]:
        """Highest counter opened so far, per boot."""
        return dict(self._telemetry.highest)

    async def connect(self) -> None:
        """Connects and subscribes, so that nothing sent from now on is missed.

        Raises:
            WearableError: `bluetooth`, `timeout` or `not_a_wearable`.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._client.connect()
                await self._client.start_notify(TELEMETRY, self._subscriber(Source.LIVE))
                await self._client.start_notify(BACKLOG, self._subscriber(Source.BACKLOG))
        except BaseException as error:
            await self.disconnect()
            raise _translated(error, "connecting") from error

    async def disconnect(self) -> None:
        """Ends the connection; never raises, for it is called when something already went wrong."""
        self._disconnected()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await self._client.disconnect()
        except (BleakError, OSError, TimeoutError, EOFError):
            pass

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        await self.disconnect()

    async def status(self) -> plaintext.Status:
        """Reads the sealed status, and learns from it the wearable's current boot.

        Raises:
            WearableError: `wrong_key`, `malformed`, or the link is not well.
        """
        sealed = await self._call(lambda: self._client.read_gatt_char(STATUS), "reading the status")
        try:
            opened = self._status.open(bytes(sealed))
        except frame.FrameError as error:
            reason = Reason.WRONG_KEY if error.reason in ("forged", "key_id") else Reason.MALFORMED
            raise WearableError(reason, f"the status does not open: {error.reason}") from error
        try:
            status = plaintext.decode_status(opened.plaintext)
        except EdgeError as error:
            raise WearableError(Reason.MALFORMED, f"the status cannot be read: {error}") from error
        self.boot = opened.boot
        return status

    async def frames(self) -> AsyncIterator[Received]:
        """Yields what the wearable sends, until the link ends.

        Raises:
            WearableError: `disconnected`, at the end of the link.
        """
        while True:
            for received in await self.gather(limit=1):
                yield received

    async def gather(self, *, limit: int, seconds: float | None = None) -> list[Received]:
        """Waits for a frame and returns it with all that are already there, for one commit.

        Frames that do not open or cannot be read are counted in `refused` and left out; their neighbours stay.

        Args:
            limit: At most so many frames.
            seconds: Return an empty list when nothing came for so long.

        Raises:
            WearableError: `disconnected`, once everything received before has been returned.
        """
        try:
            async with asyncio.timeout(seconds):
                raw = [await self._frames.get()]
        except TimeoutError:
            return []
        while len(raw) < limit and not self._frames.empty():
            raw.append(self._frames.get_nowait())
        if None in raw:
            self._frames.put_nowait(None)
            raw = raw[: raw.index(None)]
            if not raw:
                raise WearableError(Reason.DISCONNECTED, "the wearable is gone")
        opened = (self._open(*item) for item in raw if item is not None)
        return [received for received in opened if received is not None]

    async def acknowledge(self, boot: int, seq: int) -> None:
        """Says that every entry up to `seq` of `boot` is durable here. The wearable may erase them."""
        await self._write(ACK, frame.ACK, plaintext.encode_ack(boot, seq), "acknowledging")

    async def resend(self, boot: int, first: int, last: int) -> None:
        """Asks for the entries `first…last` of `boot`."""
        await self._write(CONTROL, frame.CONTROL, plaintext.encode_resend(boot, first, last), "asking for entries again")

    async def set_time(self, utc_ms: int) -> None:
        """Writes this gateway's clock; the wearable journals an anchor."""
        await self._call(
            lambda: self._client.write_gatt_char(CURRENT_TIME, current_time(utc_ms), response=True), "setting the time"
        )

    async def _write(self, characteristic: str, direction: int, plaintext: bytes, doing: str) -> None:
        if self.boot is None:
            raise WearableError(Reason.MALFORMED, f"{doing}: the wearable's boot is not known before status() was read")
        sealed = frame.seal(self._key, self._key_id, direction, self.boot, self._reserve(), plaintext)
        await self._call(lambda: self._client.write_gatt_char(characteristic, sealed, response=True), doing)

    async def _call(self, call: Callable[[], Any], doing: str) -> Any:
        if self._lost:
            raise WearableError(Reason.DISCONNECTED, f"{doing}: the wearable is gone")
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await call()
        except BaseException as error:
            raise _translated(error, doing, lost=self._lost) from error

    def _subscriber(self, source: Source) -> Callable[[BleakGATTCharacteristic, bytearray], None]:
        def arrived(_: BleakGATTCharacteristic, data: bytearray) -> None:
            self._frames.put_nowait((source, bytes(data)))

        return arrived

    def _disconnected(self, _: object = None) -> None:
        if not self._lost:
            self._lost = True
            self._frames.put_nowait(None)

    def _open(self, source: Source, sealed: bytes) -> Received | None:
        try:
            opened = self._telemetry.open(sealed)
            content = plaintext.parse_plaintext(opened.plaintext)
        except frame.FrameError as error:
            self._refuse(error.reason)
        except EdgeError:
            self._refuse("malformed")
        else:
            return Received(source=source, boot=opened.boot, counter=opened.counter, content=content)
        return None

    def _refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1


def _translated(error: BaseException, doing: str, *, lost: bool = False) -> BaseException:
    """Turns what bleak and the operating system raise into `WearableError`; a genuine cancellation stays one."""
    if isinstance(error, asyncio.CancelledError):
        # Backends cancel their pending requests when the link drops. Only a task that was itself told to stop counts as cancelled.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return error
        return WearableError(Reason.DISCONNECTED, f"{doing}: the link went down")
    if isinstance(error, TimeoutError):
        return WearableError(Reason.TIMEOUT, f"{doing}: no answer")
    if isinstance(error, BleakCharacteristicNotFoundError):
        return WearableError(Reason.NOT_A_WEARABLE, f"{doing}: {error}")
    if isinstance(error, (BleakError, OSError, EOFError)):
        return WearableError(Reason.DISCONNECTED if lost else Reason.BLUETOOTH, f"{doing}: {error}")
    return error
