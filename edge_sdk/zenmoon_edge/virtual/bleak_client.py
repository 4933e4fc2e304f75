"""bleak's client on a bumble adapter."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from bleak.args import SizedBuffer
from bleak.assigned_numbers import CHARACTERISTIC_PROPERTIES
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDeviceNotFoundError, BleakError
from bumble import att, gatt_client, hci
from bumble.device import Connection, Peer

from zenmoon_edge.virtual.bleak_scanner import uuid_text

if TYPE_CHECKING:
    from zenmoon_edge.virtual.bleak_backend import Adapter

PREFERRED_MTU = 517  # the largest attribute, 512 bytes, in one packet
DEFAULT_TIMEOUT_S = 10.0

T = TypeVar("T")


class _Link:
    """One connection, from its making to its end."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.peer = Peer(connection)
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.callbacks: dict[int, Callable[[bytes], None]] = {}
        self.announced = False


class BumbleClient(BaseBleakClient):
    """Made by bleak from `Adapter.client`, which sets `adapter`."""

    adapter: ClassVar["Adapter"]

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        *,
        disconnected_callback: Callable[[], None] | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
        **_other_backends: Any,
    ) -> None:
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout)
        known = address_or_ble_device if isinstance(address_or_ble_device, BLEDevice) else None
        self._name = known.name if known else None
        self._target = known.details if known and isinstance(known.details, hci.Address) else hci.Address(self.address)
        self._link: _Link | None = None

    @property
    def name(self) -> str:
        """The advertised name, else the address."""
        return self._name or self.address

    @property
    def mtu_size(self) -> int:
        """The MTU in bytes; the smallest one while not connected."""
        return int(self._link.connection.att_mtu) if self._link else int(att.ATT_DEFAULT_MTU)

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands."""
        return self._link is not None

    async def connect(self, pair: bool, **_other_backends: Any) -> None:
        """Connects, exchanges the MTU and discovers the services, all within the client's timeout.

        Raises:
            BleakDeviceNotFoundError: The device did not answer.
            BleakError: It went away meanwhile, or refused.
        """
        if self._link is not None:
            raise BleakError("Already connected.")
        try:
            async with asyncio.timeout(self._timeout):
                await self._connect(pair)
        except TimeoutError:
            if self._link is not None:
                await self.disconnect()
                raise BleakError(f"{self.address} did not finish service discovery in {self._timeout} s.") from None
            raise BleakDeviceNotFoundError(self.address, f"{self.address} did not answer in {self._timeout} s.") from None
        except BaseException:
            await self.disconnect()
            raise

    async def _connect(self, pair: bool) -> None:
        link = _Link(await self.adapter.connect(self._target))
        self._link = link
        link.connection.on(link.connection.EVENT_DISCONNECTION, lambda reason: self._on_ended(link, reason))
        self.adapter.on_lost(lambda: self._on_ended(link, None), until=link.ended)
        await self._run(lambda link: link.peer.request_mtu(PREFERRED_MTU))
        if pair:
            await self.pair()
        await self._run(lambda link: link.peer.discover_all())  # type: ignore[no-untyped-call]
        self.services = self._collection(link.peer)
        link.announced = True

    def _collection(self, peer: Peer) -> BleakGATTServiceCollection:
        collection = BleakGATTServiceCollection()
        for service in peer.services:
            bleak_service = BleakGATTService(service, service.handle, uuid_text(service.uuid))
            collection.add_service(bleak_service)
            for characteristic in service.characteristics:
                properties = [name for bit, name in CHARACTERISTIC_PROPERTIES.items() if characteristic.properties & bit]
                bleak_characteristic = BleakGATTCharacteristic(
                    characteristic,
                    characteristic.handle,
                    uuid_text(characteristic.uuid),
                    properties,
                    lambda: self.mtu_size - 3,
                    bleak_service,
                )
                collection.add_characteristic(bleak_characteristic)
                for descriptor in characteristic.descriptors:
                    collection.add_descriptor(
                        BleakGATTDescriptor(descriptor, descriptor.handle, uuid_text(descriptor.type), bleak_characteristic)
                    )
        return collection

    def _on_ended(self, link: _Link, reason: int | None) -> None:
        if link.ended.done():
            return
        cause = "the adapter was lost" if reason is None else hci.HCI_ErrorCode(reason).name
        link.ended.set_result(f"The connection to {self.address} ended: {cause}.")
        self._link = None
        self.services = None
        if link.announced and self._disconnected_callback is not None:
            asyncio.get_running_loop().call_soon(self._disconnected_callback)

    async def _run(self, work: Callable[[_Link], Awaitable[T]]) -> T:
        link = self._link
        if link is None:
            raise BleakError("Not connected.")
        return await self.adapter.operations.run(lambda: work(link), link.ended)

    async def disconnect(self) -> None:
        """Ends the connection; nothing happens where there is none."""
        link = self._link
        if link is None:
            return
        # A refusal means that the connection ends by itself: the controller has no handle of it any more.
        with contextlib.suppress(BleakError):
            await self.adapter.operations.run(link.connection.disconnect, link.ended)
        self._on_ended(link, hci.HCI_ErrorCode.CONNECTION_TERMINATED_BY_LOCAL_HOST_ERROR)

    async def pair(self, *_args: Any, **_other_backends: Any) -> None:
        """Pairs and encrypts."""
        await self._run(lambda link: link.connection.pair())

    async def unpair(self) -> None:
        """Forgets the keys and disconnects."""
        await self.adapter.forget(self._target)
        await self.disconnect()

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **_other_backends: Any
    ) -> bytearray:
        """Reads from the device, also with `use_cached`: a wearable's values are never worth caching."""
        del use_cached
        return bytearray(await self._run(lambda link: link.peer.read_value(characteristic.obj)))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **_other_backends: Any
    ) -> bytearray:
        """Reads a descriptor from the device."""
        del use_cached
        return bytearray(await self._run(lambda link: link.peer.read_value(descriptor.obj)))

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool) -> None:
        """Writes; without `response` at most MTU − 3 bytes."""
        value = bytes(data)
        if not response and len(value) > self.mtu_size - 3:
            raise BleakError(f"{len(value)} bytes do not fit a write without response; at most {self.mtu_size - 3} do.")
        await self._run(lambda link: link.peer.write_value(characteristic.obj, value, with_response=response))

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        """Writes a descriptor with response."""
        value = bytes(data)
        await self._run(lambda link: link.peer.write_value(descriptor.obj, value, with_response=True))

    async def start_notify(self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_other_backends: Any) -> None:
        """Subscribes; a second call for the same characteristic replaces the callback."""

        def on_value(value: bytes) -> None:
            try:
                callback(bytearray(value))
            except Exception as error:  # a faulty callback must not stop the packets behind it
                loop = asyncio.get_running_loop()
                loop.call_exception_handler({"message": "A notification callback failed.", "exception": error})

        async def subscribe(link: _Link) -> None:
            proxy: gatt_client.CharacteristicProxy[bytes] = characteristic.obj
            previous, link.callbacks[characteristic.handle] = link.callbacks.get(characteristic.handle), on_value
            await link.peer.subscribe(proxy, on_value)
            if previous is not None:
                await link.peer.unsubscribe(proxy, previous)

        await self._run(subscribe)

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        """Unsubscribes; nothing happens where there is no subscription."""

        async def unsubscribe(link: _Link) -> None:
            if callback := link.callbacks.pop(characteristic.handle, None):
                await link.peer.unsubscribe(characteristic.obj, callback)

        await self._run(unsubscribe)
