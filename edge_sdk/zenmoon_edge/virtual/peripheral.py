"""A wearable's end of the virtual air: bumble's peripheral role, driven by the messages of one radio socket.

The messages are those of `radio/bluetooth.py`, which describes them. Attribute values live in the firmware: a central's read is put
to it and answered with what it says, so a central never sees a value older than the firmware's last `gatts_write`.
"""

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Iterator

from bumble import att
from bumble.core import UUID, BaseBumbleError
from bumble.device import AdvertisingType, Connection, Device, DeviceConfiguration
from bumble.gatt import Characteristic, CharacteristicValue, Descriptor, Service
from bumble.hci import Address
from bumble.host import Host
from bumble.transport.common import AsyncPipeSink

from zenmoon_edge.virtual.controller import AirController
from zenmoon_edge.virtual.radio import bluetooth as radio

READ_TIMEOUT_S = 5.0  # firmware computes features in tens of milliseconds; ATT itself gives up after 30 s
WRITE_BACKLOG_BYTES = 65536  # what a firmware that does not read may leave unread before writes are refused


class RadioProtocolError(Exception):
    """A wearable sent a message that `radio/bluetooth.py` does not define; its radio is switched off."""


class Peripheral:
    """One wearable, from the moment its radio socket opens to its end.

    Args:
        reader, writer: The radio socket.
        controller: The wearable's own controller, already on the link.
        address: Its random static address.
        clear_to_send: Set while the gateway's side takes data; notifications wait for it.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        controller: AirController,
        address: Address,
        clear_to_send: asyncio.Event,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._controller = controller
        self._address = address
        self._clear_to_send = clear_to_send
        self._name = ""
        self._mtu = 256
        self._device: Device | None = None
        self._attributes: dict[int, Characteristic[bytes] | Descriptor] = {}
        # Own numbers, never used twice: bumble gives the handle of an ended connection to the next one, and what the firmware
        # still sends to the old central must not reach the new one.
        self._connections: dict[int, Connection] = {}
        self._connections_made = 0
        self._reads: dict[int, asyncio.Future[bytes]] = {}
        self._reads_made = 0
        self._sent = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ending(self) -> bool:
        """Whether the wearable has closed its socket and only the clearing up is left."""
        return self._reader.at_eof() or self._reader.exception() is not None

    async def serve(self) -> None:
        """Does what the wearable's radio is told until the socket ends, then leaves the air.

        Raises:
            RadioProtocolError: The wearable sent something undefined.
        """
        self._tell(radio.READY, bytes([self._address.address_type]) + bytes(self._address)[::-1])
        try:
            while True:
                (length,) = struct.unpack("<H", await self._reader.readexactly(2))
                message = await self._reader.readexactly(length)
                try:
                    await self._obey(message[0], message[1:])
                except (struct.error, LookupError, ValueError) as error:
                    raise RadioProtocolError(f"malformed radio message {message[:32].hex()}: {error}") from error
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            await self._power_off()
            self._writer.close()

    async def _obey(self, operation: int, body: bytes) -> None:
        match operation:
            case radio.NOTIFY:
                await self._notify(body)
            case radio.VALUE:
                token, error = struct.unpack_from("<HB", body)
                self._answer(token, error, body[3:])
            case radio.CONFIGURE:
                (self._mtu,) = struct.unpack_from("<H", body)
                self._name = body[2:].decode()
                if self._device is not None:
                    self._device.gatt_server.max_mtu = self._mtu
            case radio.REGISTER:
                await self._register(body)
            case radio.ADVERTISE:
                await self._advertise(body)
            case radio.SILENCE:
                if self._device is not None:
                    await self._device.stop_advertising()
            case radio.INDICATE:
                self._start(self._indicate(body))
            case radio.DISCONNECT:
                (number,) = struct.unpack("<H", body)
                if connection := self._connections.get(number):
                    self._start(connection.disconnect())
            case _:
                raise ValueError(f"unknown operation {operation}")

    async def _register(self, listing: bytes) -> None:
        """Replaces the GATT server by powering the radio off and on with another one: a central has to discover again."""
        await self._power_off()
        configuration = DeviceConfiguration(name=self._name, address=self._address)
        host = Host(self._controller, AsyncPipeSink(self._controller))
        self._device = device = Device(config=configuration, host=host)
        device.gatt_server.max_mtu = self._mtu
        device.on(device.EVENT_CONNECTION, self._on_connection)
        await device.power_on()
        for service in self._services(listing):
            device.add_service(service)

    def _services(self, listing: bytes) -> Iterator[Service]:
        services: list[tuple[UUID, list[tuple[UUID, int, int, list[Descriptor]]]]] = []
        start = 0
        while start < len(listing):
            kind, size, flags, handle = struct.unpack_from("<BBHH", listing, start)
            uuid = UUID.from_bytes(listing[start + 6 : start + 6 + size])
            start += 6 + size
            if kind == radio.SERVICE:
                services.append((uuid, []))
            elif kind == radio.CHARACTERISTIC:
                services[-1][1].append((uuid, flags, handle, []))
            elif kind == radio.DESCRIPTOR:
                descriptor = Descriptor(uuid, _permissions(flags), self._value(handle, flags))
                services[-1][1][-1][3].append(descriptor)
                self._attributes[handle] = descriptor
            else:
                raise ValueError(f"unknown attribute kind {kind}")
        for service, characteristics in services:
            built = []
            for uuid, flags, handle, descriptors in characteristics:
                properties = Characteristic.Properties(flags & 0x7F)
                characteristic = Characteristic[bytes](
                    uuid, properties, _permissions(flags), self._value(handle, flags), descriptors
                )
                self._attributes[handle] = characteristic
                built.append(characteristic)
            yield Service(service, built)

    def _value(self, handle: int, flags: int) -> CharacteristicValue[bytes]:
        async def read(connection: Connection) -> bytes:
            if not flags & radio.FLAG_READ:
                raise att.ATT_Error(att.ErrorCode.READ_NOT_PERMITTED)
            return await self._ask(self._number(connection), handle)

        # Not a coroutine: it runs before the next write is looked at, which keeps their order.
        def write(connection: Connection, value: bytes) -> None:
            if not flags & (radio.FLAG_WRITE | radio.FLAG_WRITE_NO_RESPONSE):
                raise att.ATT_Error(att.ErrorCode.WRITE_NOT_PERMITTED)
            if self._writer.transport.get_write_buffer_size() > WRITE_BACKLOG_BYTES:
                raise att.ATT_Error(att.ErrorCode.INSUFFICIENT_RESOURCES)
            self._tell(radio.WRITTEN, struct.pack("<HH", self._number(connection), handle) + value)

        return CharacteristicValue(read=read, write=write)

    async def _ask(self, number: int, handle: int) -> bytes:
        self._reads_made = token = (self._reads_made + 1) & 0xFFFF
        self._reads[token] = asyncio.get_running_loop().create_future()
        self._tell(radio.READ, struct.pack("<HHH", token, number, handle))
        try:
            return await asyncio.wait_for(self._reads[token], READ_TIMEOUT_S)
        except TimeoutError:
            raise att.ATT_Error(att.ErrorCode.UNLIKELY_ERROR) from None
        finally:
            del self._reads[token]

    def _answer(self, token: int, error: int, value: bytes) -> None:
        if (read := self._reads.get(token)) is None or read.done():
            return
        if error:
            read.set_exception(att.ATT_Error(att.ErrorCode(error)))
        else:
            read.set_result(value)

    async def _advertise(self, body: bytes) -> None:
        interval_us, connectable, size = struct.unpack_from("<IBB", body)
        if self._device is None:
            await self._register(b"")
        assert self._device is not None
        await self._device.start_advertising(
            advertising_type=AdvertisingType.UNDIRECTED_CONNECTABLE_SCANNABLE if connectable else AdvertisingType.UNDIRECTED,
            advertising_data=body[6 : 6 + size],
            scan_response_data=body[6 + size :],
            advertising_interval_min=interval_us / 1000,
            advertising_interval_max=interval_us / 1000,
        )

    async def _notify(self, body: bytes) -> None:
        number, handle = struct.unpack_from("<HH", body)
        await self._clear_to_send.wait()
        if self._device is not None and (connection := self._connections.get(number)):
            await self._device.gatt_server.notify_subscriber(connection, self._attributes[handle], body[4:])
        self._count_sent()

    async def _indicate(self, body: bytes) -> None:
        number, handle = struct.unpack_from("<HH", body)
        await self._clear_to_send.wait()
        status = 1
        if self._device is not None and (connection := self._connections.get(number)):
            with contextlib.suppress(TimeoutError):
                await self._device.gatt_server.indicate_subscriber(connection, self._attributes[handle], body[4:])
                status = 0
        self._count_sent()
        self._tell(radio.INDICATED, struct.pack("<HHB", number, handle, status))

    def _count_sent(self) -> None:
        # One message for all that is handled before the event loop turns.
        if not self._sent:
            asyncio.get_running_loop().call_soon(self._report_sent)
        self._sent += 1

    def _report_sent(self) -> None:
        sent, self._sent = self._sent, 0
        self._tell(radio.SENT, struct.pack("<H", sent))

    def _on_connection(self, connection: Connection) -> None:
        self._connections_made = number = (self._connections_made + 1) & 0xFFFF
        self._connections[number] = connection
        who = struct.pack("<HB", number, connection.peer_address.address_type) + bytes(connection.peer_address)[::-1]

        def on_disconnection(_reason: int) -> None:
            if self._connections.pop(number, None):
                self._tell(radio.DISCONNECTED, who)

        def on_parameters() -> None:
            parameters = connection.parameters
            interval, timeout = round(parameters.connection_interval / 1.25), round(parameters.supervision_timeout / 10)
            update = struct.pack("<HHHHH", number, interval, parameters.peripheral_latency, timeout, 0)
            self._tell(radio.PARAMETERS, update)

        connection.on(connection.EVENT_DISCONNECTION, on_disconnection)
        connection.on(
            connection.EVENT_CONNECTION_ATT_MTU_UPDATE,
            lambda: self._tell(radio.MTU, struct.pack("<HH", number, connection.att_mtu)),
        )
        connection.on(connection.EVENT_CONNECTION_PARAMETERS_UPDATE, on_parameters)
        self._tell(radio.CONNECTED, who)

    def _number(self, connection: Connection) -> int:
        return next((number for number, known in self._connections.items() if known is connection), 0)

    def _tell(self, operation: int, body: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(struct.pack("<HB", len(body) + 1, operation) + body)

    def _start(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            # A connection that is already gone is what a disconnect wants and an indication has to live with.
            with contextlib.suppress(BaseBumbleError):
                await work

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _power_off(self) -> None:
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        for token in self._reads:
            self._answer(token, att.ErrorCode.UNLIKELY_ERROR, b"")
        self._controller.power_cycle()
        device, self._device = self._device, None
        self._attributes = {}
        if device is not None:
            await device.power_off()
        self._controller.host = None
        await asyncio.gather(*tasks, return_exceptions=True)


def _permissions(flags: int) -> att.Attribute.Permissions:
    wanted = att.Attribute.Permissions(0)
    for flag, permission in _PERMISSIONS:
        if flags & flag:
            wanted |= permission
    return wanted


_Permissions = att.Attribute.Permissions
_PERMISSIONS: tuple[tuple[int, att.Attribute.Permissions], ...] = (
    (radio.FLAG_READ, _Permissions.READABLE),
    (radio.FLAG_WRITE | radio.FLAG_WRITE_NO_RESPONSE, _Permissions.WRITEABLE),
    (radio.FLAG_READ_ENCRYPTED, _Permissions.READ_REQUIRES_ENCRYPTION),
    (radio.FLAG_READ_AUTHENTICATED, _Permissions.READ_REQUIRES_AUTHENTICATION),
    (radio.FLAG_READ_AUTHORIZED, _Permissions.READ_REQUIRES_AUTHORIZATION),
    (radio.FLAG_WRITE_ENCRYPTED, _Permissions.WRITE_REQUIRES_ENCRYPTION),
    (radio.FLAG_WRITE_AUTHENTICATED, _Permissions.WRITE_REQUIRES_AUTHENTICATION),
    (radio.FLAG_WRITE_AUTHORIZED, _Permissions.WRITE_REQUIRES_AUTHORIZATION),
)
