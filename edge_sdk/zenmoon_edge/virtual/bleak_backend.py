"""A bleak backend on bumble: unmodified bleak calls on any HCI transport bumble can open.

    async with adapter("tcp-client:127.0.0.1:9001") as backend:  # or "usb:0", "serial:/dev/ttyUSB0,1000000" …
        device = await BleakScanner.find_device_by_name("ZenMoon-0718", backend=backend.scanner)
        async with BleakClient(device, backend=backend.client) as client:
            …

Errors are bleak's. Nothing waits for ever: what is under way when a connection or the transport ends fails with BleakError, and the
disconnected callback is called exactly once for each connection. When the transport itself dies, `backend.lost` is set and every
further call fails; leave the context and open a new one.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason, BleakError
from bumble import hci
from bumble.core import BaseBumbleError
from bumble.device import Advertisement, Connection, Device, DeviceConfiguration
from bumble.transport import open_transport
from bumble.transport.common import Transport

from zenmoon_edge.virtual.bleak_client import BumbleClient
from zenmoon_edge.virtual.bleak_scanner import BumbleScanner
from zenmoon_edge.virtual.operation import Operations

OPEN_TIMEOUT_S = 10.0  # a USB dongle that loads its firmware takes a few seconds
TAKE_BACK_TIMEOUT_S = 2.0  # a controller answers a cancelled connection attempt within one event


class Adapter:
    """An open adapter; `adapter()` makes it.

    Attributes:
        scanner: For `BleakScanner(backend=…)`.
        client: For `BleakClient(…, backend=…)`.
        lost: Set when the transport has died.
    """

    def __init__(self, transport: Transport) -> None:
        self.scanner: type[BumbleScanner] = type("BumbleScanner", (BumbleScanner,), {"adapter": self})
        self.client: type[BumbleClient] = type("BumbleClient", (BumbleClient,), {"adapter": self})
        self.lost = asyncio.Event()
        self.operations = Operations()
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._connecting = asyncio.Lock()
        self._scanning: set[Callable[[Advertisement], None]] = set()
        address = hci.Address.generate_static_address()
        self._device = Device.from_config_with_hci(
            DeviceConfiguration(name="ZenMoon gateway", address=address), transport.source, transport.sink
        )
        self._transport = transport
        transport.source.terminated.add_done_callback(lambda _: self._end("The HCI transport was lost.", lost=True))

    def _end(self, reason: str, *, lost: bool) -> None:
        if lost and not self._ended.done():
            self.lost.set()
        if not self._ended.done():
            self._ended.set_result(reason)

    async def open(self) -> None:
        """Resets the controller and turns it on."""
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            await self.operations.run(self._device.power_on, self._ended)

    async def close(self) -> None:
        """Ends all connections and gives the transport back."""
        with contextlib.suppress(BleakError, TimeoutError):
            async with asyncio.timeout(TAKE_BACK_TIMEOUT_S):
                for connection in list(self._device.connections.values()):
                    await self.operations.run(connection.disconnect, self._ended)
        self._end("The adapter was closed.", lost=False)
        await self._transport.close()
        await self.operations.close()

    def on_lost(self, callback: Callable[[], None], *, until: "asyncio.Future[str]") -> None:
        """Calls back once when the adapter is lost or closed, unless `until` was done before."""

        def call(_: "asyncio.Future[str]") -> None:
            callback()

        self._ended.add_done_callback(call)
        until.add_done_callback(lambda _: self._ended.remove_done_callback(call))

    async def connect(self, address: hci.Address) -> Connection:
        """Connects, one attempt at a time. An attempt that is cancelled is taken back, in the controller too."""
        async with self._connecting:
            if self._ended.done():
                raise BleakError(self._ended.result())
            attempt = asyncio.ensure_future(self._device.connect(address, timeout=None))
            try:
                return await self.operations.run(lambda: attempt, self._ended)
            except asyncio.CancelledError:
                await asyncio.shield(self._take_back(attempt))
                raise

    async def _take_back(self, attempt: "asyncio.Future[Connection]") -> None:
        cancel = hci.HCI_LE_Create_Connection_Cancel_Command()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TAKE_BACK_TIMEOUT_S):
                while not attempt.done():
                    # Refused where the attempt has not begun yet or has succeeded in this very moment.
                    with contextlib.suppress(BleakError):
                        await self.operations.run(lambda: self._device.send_sync_command(cancel), self._ended)
                    await asyncio.wait([attempt], timeout=TAKE_BACK_TIMEOUT_S / 10)
                if not attempt.cancelled() and attempt.exception() is None:
                    with contextlib.suppress(BleakError):
                        await self.operations.run(attempt.result().disconnect, self._ended)

    async def start_scanning(self, listener: Callable[[Advertisement], None], *, active: bool) -> None:
        """Hands every advertisement to `listener`. Scanners share the controller's one scan."""
        if not self._scanning:
            await self.operations.run(lambda: self._device.start_scanning(active=active), self._ended)
        self._scanning.add(listener)
        self._device.on(self._device.EVENT_ADVERTISEMENT, listener)

    async def stop_scanning(self, listener: Callable[[Advertisement], None]) -> None:
        """Ends what `start_scanning` began."""
        if listener not in self._scanning:
            return
        self._scanning.discard(listener)
        self._device.remove_listener(self._device.EVENT_ADVERTISEMENT, listener)
        if not self._scanning:
            with contextlib.suppress(BleakError):
                await self.operations.run(self._device.stop_scanning, self._ended)

    async def forget(self, address: hci.Address) -> None:
        """Deletes the pairing keys of a device."""
        if self._device.keystore is not None:
            await self._device.keystore.delete(str(address))


@asynccontextmanager
async def adapter(transport: str) -> AsyncIterator[Adapter]:
    """Opens the Bluetooth adapter behind one of bumble's transport names.

    Raises:
        BleakBluetoothNotAvailableError: There is none, it is in use, or it does not answer.
    """
    try:
        opened = await open_transport(transport)
    except (OSError, BaseBumbleError, ValueError) as error:
        raise _not_available(transport, error) from error
    backend = Adapter(opened)
    try:
        try:
            await backend.open()
        except (BleakError, TimeoutError) as error:
            raise _not_available(transport, error) from error
        yield backend
    finally:
        await backend.close()


def _not_available(transport: str, error: Exception) -> BleakBluetoothNotAvailableError:
    cause = str(error) or type(error).__name__
    return BleakBluetoothNotAvailableError(
        f"No Bluetooth adapter at {transport}: {cause}", BleakBluetoothNotAvailableReason.NO_BLUETOOTH
    )
