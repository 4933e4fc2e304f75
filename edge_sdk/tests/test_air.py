"""A gateway must find, hear and command a wearable through the virtual air as through a real one, whatever of it is killed."""

import asyncio
import os
import signal
import socket
import struct
import sys
from pathlib import Path

import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.exc import BleakBluetoothNotAvailableError
from zenmoon_edge.virtual.air import Air
from zenmoon_edge.virtual.bleak_backend import Adapter, adapter

SERVICE = "7a656e00-6d6f-6f6e-8000-00805f9b34fb"
NOTIFIER = "7a656e01-6d6f-6f6e-8000-00805f9b34fb"
COMMAND = "7a656e04-6d6f-6f6e-8000-00805f9b34fb"
SMALL = "7a656e05-6d6f-6f6e-8000-00805f9b34fb"
STATUS = "7a656e06-6d6f-6f6e-8000-00805f9b34fb"
WITHIN_S = 15.0

GATEWAY = f"""
import asyncio, sys
from bleak import BleakClient, BleakScanner
from zenmoon_edge.virtual.bleak_backend import adapter

async def main():
    async with adapter(sys.argv[1]) as backend:
        device = await BleakScanner.find_device_by_name("ZenMoon-0001", backend=backend.scanner)
        async with BleakClient(device, backend=backend.client) as client:
            await work(client)

async def work(client):
    await client.start_notify("{NOTIFIER}", lambda _sender, _value: None)
    print("up")
    await asyncio.Event().wait()

OTHER_WORK
asyncio.run(main())
"""
IDLE_GATEWAY = GATEWAY.replace("OTHER_WORK", "")
COUNTING_GATEWAY = GATEWAY.replace(
    "OTHER_WORK",
    f"""
async def work(client):
    numbers, complete = [], asyncio.Event()
    def on_value(_sender, value):
        numbers.append(int.from_bytes(value[:4], "little"))
        if len(numbers) == 3000:
            complete.set()
    await client.start_notify("{NOTIFIER}", on_value)
    await client.write_gatt_char("{COMMAND}", b"send 3000 500", response=True)
    print("up")
    await complete.wait()
    print(len(numbers), "in order" if numbers == list(range(3000)) else "in disorder")
""",
)


async def find(backend: Adapter, name: str = "ZenMoon-0001") -> BLEDevice:
    device = await BleakScanner.find_device_by_filter(
        lambda _device, found: found.local_name == name and SERVICE in found.service_uuids,
        timeout=WITHIN_S,
        service_uuids=[SERVICE],
        backend=backend.scanner,
    )
    assert device is not None, f"{name} was not found"
    return device


class Inbox:
    """What arrived by notification."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self._more = asyncio.Event()

    def __call__(self, _sender: object, value: bytearray) -> None:
        self.values.append(bytes(value))
        self._more.set()

    async def holds(self, count: int) -> list[bytes]:
        async with asyncio.timeout(WITHIN_S):
            while len(self.values) < count:
                self._more.clear()
                await self._more.wait()
        return self.values


async def test_a_gateway_finds_connects_commands_and_hears_a_wearable(virtual_air, interpreter) -> None:
    wearable = await virtual_air.wearable(interpreter)
    async with adapter(virtual_air.transport) as backend:
        device = await find(backend)
        async with BleakClient(device, backend=backend.client) as client:
            await wearable.said("connected")
            await wearable.said("mtu 517")
            assert client.mtu_size == 517
            assert client.services.get_characteristic(COMMAND).properties == ["write-without-response", "write"]
            inbox = Inbox()
            await client.start_notify(NOTIFIER, inbox)
            await client.write_gatt_char(COMMAND, b"send 500 244", response=True)
            values = await inbox.holds(500)
            assert [struct.unpack("<I", value[:4])[0] for value in values] == list(range(500))
            assert {len(value) for value in values} == {244}
            await client.write_gatt_char(COMMAND, b"clear", response=True)
            await client.write_gatt_char(COMMAND, b"one", response=False)
            await client.write_gatt_char(COMMAND, b"two", response=True)
            assert await client.read_gatt_char(STATUS) == struct.pack("<I", 1) + b"one,two"
            assert await client.read_gatt_char(STATUS) == struct.pack("<I", 2) + b"one,two"


async def test_no_write_is_lost_however_close_they_come(virtual_air, interpreter) -> None:
    await virtual_air.wearable(interpreter)
    async with adapter(virtual_air.transport) as backend, BleakClient(await find(backend), backend=backend.client) as client:
        for number in range(100):
            await client.write_gatt_char(COMMAND, b"%d" % number, response=False)
        written = (await client.read_gatt_char(STATUS))[4:]
        assert written == b",".join(b"%d" % number for number in range(100))


async def test_a_value_longer_than_its_buffer_is_cut_as_on_the_real_module(virtual_air, interpreter) -> None:
    await virtual_air.wearable(interpreter)
    async with adapter(virtual_air.transport) as backend, BleakClient(await find(backend), backend=backend.client) as client:
        await client.write_gatt_char(SMALL, bytes(range(65, 95)), response=True)
        assert (await client.read_gatt_char(STATUS))[4:] == bytes(range(65, 85))


async def test_the_radio_says_when_too_many_notifications_wait(virtual_air, interpreter) -> None:
    wearable = await virtual_air.wearable(interpreter)
    async with adapter(virtual_air.transport) as backend, BleakClient(await find(backend), backend=backend.client) as client:
        inbox = Inbox()
        await client.start_notify(NOTIFIER, inbox)
        await client.write_gatt_char(COMMAND, b"burst", response=True)
        await wearable.said("full 24 True")
        await inbox.holds(24)
        await client.write_gatt_char(COMMAND, b"burst", response=True)
        await wearable.said("full 24 True", times=2)


async def test_a_central_that_did_not_subscribe_hears_nothing(virtual_air) -> None:
    await virtual_air.wearable()
    async with adapter(virtual_air.transport) as backend, BleakClient(await find(backend), backend=backend.client) as client:
        inbox = Inbox()
        await client.write_gatt_char(COMMAND, b"echo early", response=True)
        await client.read_gatt_char(STATUS)
        await client.start_notify(NOTIFIER, inbox)
        await client.write_gatt_char(COMMAND, b"echo late", response=True)
        assert await inbox.holds(1) == [b"late"]


async def test_the_gateway_disconnects_and_comes_back(virtual_air, interpreter) -> None:
    wearable = await virtual_air.wearable(interpreter)
    async with adapter(virtual_air.transport) as backend:
        for turn in (1, 2, 3):
            async with BleakClient(await find(backend), backend=backend.client) as client:
                await wearable.said("connected", times=turn)
                assert struct.unpack_from("<I", await client.read_gatt_char(STATUS)) == (turn,)
            await wearable.said("disconnected", times=turn)


async def test_the_wearable_disconnects_and_is_found_again(virtual_air, interpreter) -> None:
    wearable = await virtual_air.wearable(interpreter)
    ended: asyncio.Queue[BleakClient] = asyncio.Queue()
    async with adapter(virtual_air.transport) as backend:
        for turn in (1, 2):
            client = BleakClient(await find(backend), ended.put_nowait, backend=backend.client)
            await client.connect()
            await client.write_gatt_char(COMMAND, b"part", response=True)
            assert await asyncio.wait_for(ended.get(), WITHIN_S) is client
            assert not client.is_connected
            await wearable.said("disconnected", times=turn)
    assert ended.empty()


async def test_a_killed_gateway_is_replaced_by_the_next(virtual_air, interpreter) -> None:
    wearable = await virtual_air.wearable(interpreter)
    for turn in (1, 2):
        gateway = await virtual_air.run(sys.executable, "-c", IDLE_GATEWAY, virtual_air.transport)
        await gateway.said("up")
        await gateway.end(signal.SIGKILL)
        await wearable.said("disconnected", times=turn)
    async with adapter(virtual_air.transport) as backend, BleakClient(await find(backend), backend=backend.client) as client:
        assert await client.read_gatt_char(STATUS)


async def test_a_killed_wearable_is_missed_and_found_again_at_its_address(virtual_air, interpreter) -> None:
    ended: asyncio.Queue[BleakClient] = asyncio.Queue()
    addresses = set()
    async with adapter(virtual_air.transport) as backend:
        for _ in range(3):
            wearable = await virtual_air.wearable(interpreter)
            client = BleakClient(await find(backend), ended.put_nowait, backend=backend.client)
            await client.connect()
            addresses.add(client.address)
            assert struct.unpack_from("<I", await client.read_gatt_char(STATUS)) == (1,)
            await wearable.end(signal.SIGKILL)
            assert await asyncio.wait_for(ended.get(), WITHIN_S) is client
    assert len(addresses) == 1
    assert ended.empty()


async def test_a_radio_that_restarts_gets_its_wearable_back(virtual_air, interpreter) -> None:
    wearable = await virtual_air.wearable(interpreter)
    async with adapter(virtual_air.transport) as backend, BleakClient(await find(backend), backend=backend.client) as client:
        await wearable.said("connected")
        await virtual_air.programs[0].end(signal.SIGKILL)
        await asyncio.wait_for(backend.lost.wait(), WITHIN_S)
        assert not client.is_connected
    await wearable.said("disconnected")
    await virtual_air.start()
    async with adapter(virtual_air.transport) as backend, BleakClient(await find(backend), backend=backend.client) as client:
        assert await client.read_gatt_char(STATUS)


async def test_a_wearable_switched_on_before_its_radio_is_found_once_that_is_there(virtual_air, interpreter) -> None:
    await virtual_air.programs[0].end(signal.SIGKILL)
    await virtual_air.wearable(interpreter)
    await virtual_air.start()
    async with adapter(virtual_air.transport) as backend, BleakClient(await find(backend), backend=backend.client) as client:
        assert await client.read_gatt_char(STATUS)


async def test_a_gateway_that_stalls_holds_up_the_wearable_and_loses_nothing(virtual_air, interpreter) -> None:
    wearable = await virtual_air.wearable(interpreter)
    gateway = await virtual_air.run(sys.executable, "-c", COUNTING_GATEWAY, virtual_air.transport)
    await gateway.said("up")
    gateway.process.send_signal(signal.SIGSTOP)
    await wearable.said("held up")
    gateway.process.send_signal(signal.SIGCONT)
    await gateway.said("3000 in order")


async def test_two_wearables_are_in_the_air_at_once(virtual_air) -> None:
    await virtual_air.wearable(name="ZenMoon-0001")
    await virtual_air.wearable(name="ZenMoon-0002")
    async with adapter(virtual_air.transport) as backend:
        first, second = await find(backend, "ZenMoon-0001"), await find(backend, "ZenMoon-0002")
        assert first.address != second.address
        async with BleakClient(first, backend=backend.client) as one, BleakClient(second, backend=backend.client) as other:
            await one.write_gatt_char(COMMAND, b"to one", response=True)
            assert (await one.read_gatt_char(STATUS))[4:] == b"to one"
            assert (await other.read_gatt_char(STATUS))[4:] == b""


async def test_a_second_gateway_is_refused_while_the_first_holds_the_adapter(virtual_air) -> None:
    async with adapter(virtual_air.transport):
        with pytest.raises(BleakBluetoothNotAvailableError):
            async with adapter(virtual_air.transport):
                pass


async def test_a_wearable_that_talks_nonsense_is_switched_off_and_nobody_else(virtual_air) -> None:
    await virtual_air.wearable()
    reader, writer = await asyncio.open_connection("127.0.0.1", virtual_air.radio_port)
    writer.write(b"\x02\x00\xff\xff")
    async with asyncio.timeout(WITHIN_S):
        while await reader.read(64):
            pass
    writer.close()
    await writer.wait_closed()
    async with adapter(virtual_air.transport) as backend:
        assert await find(backend)


async def test_the_air_ends_cleanly_and_frees_its_ports(virtual_air, tmp_path: Path) -> None:
    await virtual_air.wearable()
    assert await virtual_air.programs[0].end(signal.SIGTERM) == 0
    for port in (virtual_air.radio_port, virtual_air.hci_port):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert os.listdir(tmp_path) == ["air.json"]  # noqa: PTH208


async def test_a_command_that_comes_before_the_adapter_is_free_is_answered_once_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # Python 3.11.2 reads on after a pause from within `connection_made`; here every pause is without effect.
    monkeypatch.setattr("asyncio.selector_events._SelectorSocketTransport.pause_reading", lambda _transport: None)
    reset, answer = bytes.fromhex("01030c00"), bytes.fromhex("040e04")
    async with Air() as air, asyncio.timeout(WITHIN_S):
        first, second = [await asyncio.open_connection("127.0.0.1", air.hci_port) for _ in range(2)]
        first[1].write(reset)
        second[1].write(reset)
        assert (await first[0].readexactly(7)).startswith(answer)
        first[1].close()
        assert (await second[0].readexactly(7)).startswith(answer)
        assert await first[0].read() == b""
        second[1].close()
