"""Unmodified bleak calls must meet bleak's own errors on this backend, and never hang when a part of the way dies."""

import asyncio
import logging
import signal
import socket

import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
    BleakGATTProtocolErrorCode,
)
from bumble.device import Advertisement
from bumble.hci import Address
from zenmoon_edge.virtual.bleak_backend import Adapter, adapter
from zenmoon_edge.virtual.bleak_scanner import parse

NOTIFIER = "7a656e01-6d6f-6f6e-8000-00805f9b34fb"
COMMAND = "7a656e04-6d6f-6f6e-8000-00805f9b34fb"
STATUS = "7a656e06-6d6f-6f6e-8000-00805f9b34fb"
WITHIN_S = 15.0
ABSENT = "F0:5A:4D:00:00:7F"


async def find(backend: Adapter) -> BLEDevice:
    device = await BleakScanner.find_device_by_name("ZenMoon-0001", timeout=WITHIN_S, backend=backend.scanner)
    assert device is not None
    return device


class Ends:
    """Counts the calls of a disconnected callback."""

    def __init__(self) -> None:
        self.count = 0
        self.first = asyncio.Event()

    def __call__(self, _client: BleakClient) -> None:
        self.count += 1
        self.first.set()


@pytest.fixture
async def stage(virtual_air):
    """A wearable on the air, an adapter, a connected client and its ends."""
    wearable = await virtual_air.wearable()
    async with adapter(virtual_air.transport) as backend:
        ends = Ends()
        client = BleakClient(await find(backend), ends, backend=backend.client)
        await client.connect()
        yield virtual_air, wearable, backend, client, ends


async def test_a_refused_operation_is_a_gatt_error_and_the_connection_stays(stage) -> None:
    *_, client, _ = stage
    with pytest.raises(BleakGATTProtocolError) as refused:
        await client.write_gatt_char(STATUS, b"x", response=True)
    assert refused.value.code == BleakGATTProtocolErrorCode.WRITE_NOT_PERMITTED
    with pytest.raises(BleakGATTProtocolError) as refused:
        await client.read_gatt_char(COMMAND)
    assert refused.value.code == BleakGATTProtocolErrorCode.READ_NOT_PERMITTED
    assert await client.read_gatt_char(STATUS)


async def test_what_does_not_fit_a_write_without_response_is_refused_and_fits_one_with(stage) -> None:
    *_, client, _ = stage
    with pytest.raises(BleakError, match="at most 514"):
        await client.write_gatt_char(COMMAND, bytes(515), response=False)
    await client.write_gatt_char(COMMAND, bytes(514), response=False)


async def test_notifications_stop_and_start_again_with_another_callback(stage) -> None:
    *_, client, _ = stage
    heard: list[tuple[str, bytes]] = []
    more = asyncio.Event()

    def listen(name):
        def on_value(_sender, value):
            heard.append((name, bytes(value)))
            more.set()

        return on_value

    async def echo(text: bytes) -> None:
        more.clear()
        await client.write_gatt_char(COMMAND, b"echo " + text, response=True)

    await client.start_notify(NOTIFIER, listen("a"))
    await echo(b"1")
    await asyncio.wait_for(more.wait(), WITHIN_S)
    await client.start_notify(NOTIFIER, listen("b"))
    await echo(b"2")
    await asyncio.wait_for(more.wait(), WITHIN_S)
    await client.stop_notify(NOTIFIER)
    await echo(b"3")
    await client.read_gatt_char(STATUS)
    await client.start_notify(NOTIFIER, listen("c"))
    await echo(b"4")
    await asyncio.wait_for(more.wait(), WITHIN_S)
    assert heard == [("a", b"1"), ("b", b"2"), ("c", b"4")]


async def test_a_callback_that_fails_is_reported_and_the_next_notification_arrives(stage) -> None:
    *_, client, _ = stage
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    def on_value(_sender, value):
        heard.put_nowait(bytes(value))
        if value == b"bad":
            raise ValueError("bad")

    await client.start_notify(NOTIFIER, on_value)
    for text in (b"bad", b"good"):
        await client.write_gatt_char(COMMAND, b"echo " + text, response=True)
        assert await asyncio.wait_for(heard.get(), WITHIN_S) == text
    assert [type(context["exception"]) for context in reported] == [ValueError]


async def test_what_is_under_way_fails_when_the_wearable_dies_and_the_callback_comes_once(stage) -> None:
    _, wearable, backend, client, ends = stage
    wearable.process.send_signal(signal.SIGSTOP)
    reading = asyncio.create_task(client.read_gatt_char(STATUS))
    # A write without response needs no answer: once it is through, the read before it is under way.
    await client.write_gatt_char(COMMAND, b"x", response=False)
    assert not reading.done()
    await wearable.end(signal.SIGKILL)
    with pytest.raises(BleakError, match="CONNECTION_TIMEOUT"):
        await asyncio.wait_for(reading, WITHIN_S)
    await asyncio.wait_for(ends.first.wait(), WITHIN_S)
    assert not client.is_connected
    with pytest.raises(BleakError):
        await client.read_gatt_char(STATUS)
    await client.disconnect()
    assert ends.count == 1
    assert not backend.lost.is_set()


async def test_an_answer_nobody_waits_for_any_more_is_not_taken_for_the_next(stage) -> None:
    _, wearable, _, client, _ = stage
    wearable.process.send_signal(signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.read_gatt_char(STATUS), 0.05)
    wearable.process.send_signal(signal.SIGCONT)
    assert (await client.read_gatt_char(STATUS))[0] == 2


async def test_disconnecting_calls_back_once_and_ends_what_is_under_way(stage) -> None:
    _, wearable, _, client, ends = stage
    wearable.process.send_signal(signal.SIGSTOP)
    reading = asyncio.create_task(client.read_gatt_char(STATUS))
    await client.write_gatt_char(COMMAND, b"x", response=False)
    await client.disconnect()
    with pytest.raises(BleakError):
        await asyncio.wait_for(reading, WITHIN_S)
    await asyncio.wait_for(ends.first.wait(), WITHIN_S)
    await client.disconnect()
    assert ends.count == 1


async def test_a_lost_transport_ends_everything_and_is_told(stage) -> None:
    virtual_air, wearable, backend, client, ends = stage
    wearable.process.send_signal(signal.SIGSTOP)
    reading = asyncio.create_task(client.read_gatt_char(STATUS))
    await client.write_gatt_char(COMMAND, b"x", response=False)
    await virtual_air.programs[0].end(signal.SIGKILL)
    await asyncio.wait_for(backend.lost.wait(), WITHIN_S)
    with pytest.raises(BleakError):
        await asyncio.wait_for(reading, WITHIN_S)
    await asyncio.wait_for(ends.first.wait(), WITHIN_S)
    assert ends.count == 1
    with pytest.raises(BleakError, match="transport"):
        await BleakScanner.discover(timeout=0, backend=backend.scanner)
    with pytest.raises(BleakError):
        await client.connect()


async def test_a_scan_that_outlives_its_transport_stops_quietly(virtual_air) -> None:
    async with adapter(virtual_air.transport) as backend, BleakScanner(backend=backend.scanner):
        await virtual_air.programs[0].end(signal.SIGKILL)
        await asyncio.wait_for(backend.lost.wait(), WITHIN_S)


async def test_closing_the_adapter_is_no_loss_but_ends_its_connections(virtual_air) -> None:
    wearable = await virtual_air.wearable()
    ends = Ends()
    async with adapter(virtual_air.transport) as backend:
        client = BleakClient(await find(backend), ends, backend=backend.client)
        await client.connect()
    await asyncio.wait_for(ends.first.wait(), WITHIN_S)
    assert ends.count == 1
    assert not client.is_connected
    assert not backend.lost.is_set()
    await wearable.said("disconnected")


async def test_a_device_that_does_not_answer_is_not_found_and_the_next_connects(virtual_air) -> None:
    await virtual_air.wearable()
    async with adapter(virtual_air.transport) as backend:
        for _ in range(2):
            with pytest.raises(BleakDeviceNotFoundError):
                await BleakClient(ABSENT, timeout=0.1, backend=backend.client).connect()
        async with BleakClient(await find(backend), backend=backend.client) as client:
            assert await client.read_gatt_char(STATUS)


async def test_a_cancelled_connect_leaves_the_adapter_free(virtual_air) -> None:
    await virtual_air.wearable()
    async with adapter(virtual_air.transport) as backend:
        device = await find(backend)
        for target, turns in ((ABSENT, 3), (device, 1), (device, 2), (device, 5), (device, 40)):
            client = BleakClient(target, backend=backend.client)
            connecting = asyncio.create_task(client.connect())
            for _ in range(turns):
                await asyncio.sleep(0)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            assert not client.is_connected
        async with BleakClient(await find(backend), backend=backend.client) as client:
            assert await client.read_gatt_char(STATUS)


async def test_a_wearable_that_dies_while_connecting_is_an_error_not_a_hang(virtual_air) -> None:
    wearable = await virtual_air.wearable()
    ends = Ends()
    async with adapter(virtual_air.transport) as backend:
        client = BleakClient(await find(backend), ends, backend=backend.client)
        connecting = asyncio.create_task(client.connect())
        await wearable.said("connected")
        await wearable.end(signal.SIGKILL)
        try:
            await asyncio.wait_for(connecting, WITHIN_S)
        except BleakError:
            assert ends.count == 0
        else:  # it was quicker; then it is a connection that ended
            await asyncio.wait_for(ends.first.wait(), WITHIN_S)
        assert not client.is_connected


async def test_no_adapter_is_said_so(virtual_air) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for transport in (f"tcp-client:127.0.0.1:{port}", "nonsense:1"):
        with pytest.raises(BleakBluetoothNotAvailableError, match=transport):
            async with adapter(transport):
                pass


def test_every_field_of_an_advertisement_is_read_and_nonsense_in_it_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    data = bytes.fromhex("0201060303 0f180409 416263020afc05ff 4c00 01020416 0f18 5502ff 4c0201")
    found = parse(Advertisement(address=Address(ABSENT), rssi=-60, data_bytes=data))
    assert found.local_name == "Abc"
    assert found.service_uuids == ["0000180f-0000-1000-8000-00805f9b34fb"]
    assert found.tx_power == -4
    assert found.manufacturer_data == {0x4C: b"\x01\x02"}
    assert found.service_data == {"0000180f-0000-1000-8000-00805f9b34fb": b"\x55"}
    assert found.rssi == -60
