"""A wearable without a radio: a bleak backend in memory, every frame of which a test decides. For the client and the gateway."""

import asyncio

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError
from zenmoon_edge import client
from zenmoon_edge.core import frame
from zenmoon_edge.core.plaintext import (
    Holding,
    decode_ack,
    decode_control,
    done_plaintext,
    encode_status,
    entries_plaintext,
    gone_plaintext,
)

FIRMWARE, MODEL = 0x9F3C01AA, 0x5B7712E0
READ, WRITE, NOTIFY = "read", "write", "notify"
CHARACTERISTICS = {
    client.TELEMETRY: NOTIFY,
    client.BACKLOG: NOTIFY,
    client.ACK: WRITE,
    client.CONTROL: WRITE,
    client.STATUS: READ,
    client.CURRENT_TIME: WRITE,
}


class Band:
    """The wearable.

    Attributes:
        boots: boot → {seq: Entry}, oldest first; the last one is the current boot.
        acknowledged, resends, times: What was written to it, in order.
        released: Per boot the seqs below which everything has been released.
        loses: Called with each outgoing plaintext; true = the frame never leaves.
    """

    def __init__(self, *, key=bytes(range(32)), key_id=1, name="ZenMoon-0718", address="C0:FF:EE:00:00:01", boot=7):
        self.key, self.key_id, self.name, self.address = key, key_id, name, address
        self.boots = {boot: {}}
        self.counter = self.status_counter = 0
        self.tick_ms = 0
        self.acknowledged, self.resends, self.times, self.reader = [], [], [], None
        self.released, self.overwritten = {}, {}
        self.in_range, self.connections = True, 0
        self.loses = lambda plaintext: False
        self.characteristics = dict(CHARACTERISTICS)
        self._acks = frame.Opener(key, key_id, frame.ACK)
        self._controls = frame.Opener(key, key_id, frame.CONTROL)
        band = self
        self.scanner = type("BandScanner", (_Scanner,), {"band": band})
        self.client = type("BandClient", (_Client,), {"band": band})

    @property
    def boot(self):
        return list(self.boots)[-1]

    def restart(self, boot):
        """A new boot; its counters start again."""
        self.boots[boot] = {}
        self.counter = self.status_counter = 0
        self.drop()

    def journal(self, *entries):
        """Keeps entries of the current boot and sends each live if a gateway is connected."""
        for entry in entries:
            self.boots[self.boot][entry.seq] = entry
            self.tick_ms = max(self.tick_ms, entry.tick_ms)
            self.send(client.TELEMETRY, entries_plaintext([entry], FIRMWARE, MODEL))

    def send(self, characteristic, plaintext, *, counter=None, key=None, key_id=None, spoil=lambda sealed: sealed):
        """Seals and notifies; returns the frame."""
        if counter is None:
            self.counter += 1
            counter = self.counter
        sealed = spoil(
            frame.seal(key or self.key, self.key_id if key_id is None else key_id, frame.TELEMETRY, self.boot, counter, plaintext)
        )
        if not self.loses(plaintext):
            self.notify(characteristic, sealed)
        return sealed

    def notify(self, characteristic, data):
        if self.reader is not None and characteristic in self.reader.subscribed:
            self.reader.subscribed[characteristic](bytearray(data))

    def drop(self):
        """The link is lost."""
        if self.reader is not None:
            self.reader.lose()

    def status(self):
        self.status_counter += 1
        holdings = [Holding(boot, min(held), max(held) + 1) if held else Holding(boot, 0, 0) for boot, held in self.boots.items()]
        said = encode_status(self.tick_ms, 81, sum(map(len, self.overwritten.values())), holdings)
        return frame.seal(self.key, self.key_id, frame.STATUS, self.boot, self.status_counter, said)

    def written(self, characteristic, data):
        if characteristic == client.ACK:
            self.acknowledged.append(tuple(decode_ack(self._acks.open(data).plaintext)))
        elif characteristic == client.CURRENT_TIME:
            self.times.append(bytes(data))
        else:
            resend = decode_control(self._controls.open(data).plaintext)
            self.resends.append(tuple(resend))
            asyncio.get_running_loop().call_soon(self.answer, resend)

    def answer(self, resend):
        boot, first, last = resend
        earlier = None if boot == self.boot else boot
        held = self.boots.get(boot, {})
        by_kind = {}
        for seq in sorted(held):
            if first <= seq <= last:
                by_kind.setdefault((held[seq].kind, seq // 8), []).append(held[seq])
        for entries in by_kind.values():
            self.send(client.BACKLOG, entries_plaintext(entries, FIRMWARE, MODEL, earlier))
        for seq in range(first, last + 1):
            if seq not in held:
                reason = frame.OVERWRITTEN if seq in self.overwritten.get(boot, ()) else frame.RELEASED
                self.send(client.BACKLOG, gone_plaintext(boot, seq, seq, reason))
        self.send(client.BACKLOG, done_plaintext(boot, first, last))


class _Scanner(BaseBleakScanner):
    band: Band

    def __init__(self, detection_callback, service_uuids, scanning_mode, **_):
        super().__init__(detection_callback, service_uuids)

    async def start(self):
        self.seen_devices.clear()
        band = self.band
        if band.in_range:
            advertisement = AdvertisementData(band.name, {}, {}, [client.SERVICE], None, -60, ())
            device = self.create_or_update_device(band.address, band.address, band.name, None, advertisement)
            asyncio.get_running_loop().call_soon(self.call_detection_callbacks, device, advertisement)

    async def stop(self):
        pass


class _Client(BaseBleakClient):
    band: Band

    def __init__(self, address_or_ble_device, *, disconnected_callback=None, timeout=10.0, **_):
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout)
        self.subscribed = {}

    @property
    def name(self):
        return self.band.name

    @property
    def mtu_size(self):
        return 247

    @property
    def is_connected(self):
        return self.band.reader is self

    async def connect(self, pair, **_):
        if not self.band.in_range:
            raise BleakError("out of range")
        self.band.reader = self
        self.band.connections += 1
        collection = BleakGATTServiceCollection()
        service = BleakGATTService(None, 1, client.SERVICE)
        collection.add_service(service)
        for handle, (uuid, use) in enumerate(self.band.characteristics.items(), 2):
            collection.add_characteristic(BleakGATTCharacteristic(None, handle, uuid, [use], lambda: 244, service))
        self.services = collection

    def lose(self):
        self.band.reader = None
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    def _alive(self):
        if not self.is_connected:
            raise BleakError("not connected")

    async def disconnect(self):
        if self.is_connected:
            self.lose()

    async def pair(self, *_, **__):
        pass

    async def unpair(self):
        pass

    async def read_gatt_char(self, characteristic, **_):
        self._alive()
        return bytearray(self.band.status())

    async def read_gatt_descriptor(self, descriptor, **_):
        raise NotImplementedError

    async def write_gatt_char(self, characteristic, data, response):
        self._alive()
        self.band.written(characteristic.uuid, bytes(data))

    async def write_gatt_descriptor(self, descriptor, data):
        raise NotImplementedError

    async def start_notify(self, characteristic, callback, **_):
        self._alive()
        self.subscribed[characteristic.uuid] = callback

    async def stop_notify(self, characteristic):
        self.subscribed.pop(characteristic.uuid, None)
