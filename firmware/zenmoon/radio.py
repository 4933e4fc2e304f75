# The wearable's end of the air: advertises, serves one central, sends what is journalled, takes what the gateway writes.

import asyncio

import bluetooth
from zenmoon import current_time, gatt
from zenmoon.backlog import Backlog
from zenmoon.errors import FirmwareError
from zenmoon.link import DisconnectedError, Link
from zenmoon.sealer import Sealer
from zenmoon.status import Status
from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.frame import ACK, CONTROL, OVERHEAD, Opener, decode_ack, decode_control, entries_plaintext
from zenmoon_edge.core.record import ANCHOR, GATEWAY_CLOCK

try:
    from micropython import const
except ImportError:

    def const(value):
        return value


_IRQ_CENTRAL_CONNECT = const(1)
_IRQ_CENTRAL_DISCONNECT = const(2)
_IRQ_GATTS_WRITE = const(3)
_IRQ_GATTS_READ_REQUEST = const(4)
_IRQ_MTU_EXCHANGED = const(21)
_STRANGER = const(0)  # a second central, our own event

_ADVERTISE_US = const(152_500)  # found within a second by a phone that scans a tenth of the time
_MTU = const(247)  # one link-layer packet of 251 bytes
_INBOX = const(32)
# Live entries that wait for the air. What falls out is in the journal, and the gateway sees the hole.
_OUTBOX = const(64)

# Current Time is written in the clear, as the service is defined. What a stranger can do with it is bounded: this many
# anchors in a row, then one a second of real time.
_ANCHORS = const(16)
_ANCHOR_EVERY_S = 1.0
# 1/256 s, the air and a busy gateway.
_ANCHOR_UNCERTAINTY_MS = const(50)


# reason: "rate" (too many at once).
class RefusedError(FirmwareError):
    pass


class Radio:
    # settings: name, key, key_id, firmware_id. board: its facts. entries: listened to, all of them go out live. health:
    # counts what is refused.
    def __init__(self, *, settings, board, entries, health, uptime):
        self._ble = bluetooth.BLE()
        self._settings = settings
        self._board = board
        self._entries = entries
        self._health = health
        self._uptime = uptime
        sealer = Sealer(settings.key, settings.key_id, entries.boot)
        self._link = Link(self._ble, sealer)
        self._status = Status(self._ble, link=self._link, sealer=sealer, entries=entries, uptime=uptime, battery=board.battery)
        self._backlog = Backlog(self._link, entries.journal, entries.boot, board.Flag)
        # Counters of writes live as long as the boot: the gateway seals for the current boot, so a frame of an earlier
        # one counts as replayed.
        self._acks = Opener(settings.key, settings.key_id, ACK, boot=entries.boot)
        self._controls = Opener(settings.key, settings.key_id, CONTROL, boot=entries.boot)
        self._inbox = []
        self._received = board.Flag()
        self._outbox = []
        self._journalled = board.Flag()
        self._handles = None
        self._anchors_left = _ANCHORS
        entries.listen(self._offer)

    # Serves until cancelled, or until one of its tasks fails: then all of them are ended, the radio is switched off and
    # the failure is raised. run() may be called again.
    async def run(self):
        self._open()
        work = (self._serve(), self._send_live(), self._backlog.run(self._handles.backlog), self._refill_anchors())
        tasks = [asyncio.create_task(task) for task in work]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            self._ble.active(False)
            self._link.reset()

    def _open(self):
        self._inbox = []
        self._outbox = []
        self._ble.active(True)
        self._ble.config(gap_name=self._settings.name, mtu=_MTU)
        revision = "%08x" % self._settings.firmware_id
        self._handles = gatt.register(self._ble, self._board.MANUFACTURER, self._board.MODEL, revision)
        self._ble.gatts_write(self._handles.battery, bytes([min(100, self._board.battery())]))
        self._status.write(self._handles.status)
        self._ble.irq(self._irq)
        self._advertise()

    def _advertise(self):
        name = self._settings.name
        self._ble.gap_advertise(_ADVERTISE_US, adv_data=gatt.advertisement(name), resp_data=gatt.scan_response(name))

    # Runs between any two instructions of the app on hardware, so it only copies and hands over. The one exception is a
    # read of status: its answer is needed now, and it is made from values that are replaced, never changed.
    def _irq(self, event, data):
        connection = data[0]
        if event == _IRQ_GATTS_READ_REQUEST:
            if data[1] == self._handles.status:
                self._status.write(data[1])
        elif event == _IRQ_MTU_EXCHANGED:
            self._link.set_mtu(connection, data[1])
        elif event == _IRQ_GATTS_WRITE:
            if len(self._inbox) >= _INBOX:
                self._health.refused += 1
            elif self._link.is_from(connection):
                self._hand_over(event, data[1], bytes(self._ble.gatts_read(data[1])))
        elif event == _IRQ_CENTRAL_CONNECT:
            self._hand_over(event if self._link.opened(connection) else _STRANGER, connection, b"")
        elif event == _IRQ_CENTRAL_DISCONNECT and self._link.closed(connection):
            self._hand_over(event, connection, b"")

    def _hand_over(self, event, handle, value):
        self._inbox.append((event, self._link.session, handle, value))
        self._received.set()

    async def _serve(self):
        while True:
            await self._received.wait()
            while self._inbox:
                event, session, handle, value = self._inbox.pop(0)
                if event == _IRQ_GATTS_WRITE:
                    if session == self._link.session:
                        self._take(handle, value)
                elif event == _IRQ_CENTRAL_DISCONNECT:
                    self._outbox = []
                    self._advertise()
                elif event == _STRANGER:
                    # One central at a time: the journal has one reader that acknowledges.
                    self._ble.gap_disconnect(handle)

    # A write of the present central. Whatever is wrong with it is counted and left.
    def _take(self, handle, data):
        try:
            if handle == self._handles.ack:
                boot, seq = decode_ack(self._acks.open(data).plaintext)
                self._entries.journal.acknowledge(boot, seq)
                self._status.renew()
            elif handle == self._handles.control:
                if not self._backlog.ask(decode_control(self._controls.open(data).plaintext)):
                    raise RefusedError("rate", "too many requests wait")
            elif handle == self._handles.current_time:
                self._take_time(data)
        except (EdgeError, FirmwareError):
            self._health.refused += 1

    def _take_time(self, data):
        tick_ms = self._uptime.now()
        utc_ms = current_time.decode(data)
        if not self._anchors_left:
            raise RefusedError("rate", "too many writes of Current Time")
        self._anchors_left -= 1
        self._entries.append(ANCHOR, tick_ms, (utc_ms, GATEWAY_CLOCK, _ANCHOR_UNCERTAINTY_MS))

    async def _refill_anchors(self):
        while True:
            await asyncio.sleep(_ANCHOR_EVERY_S)
            if self._anchors_left < _ANCHORS:
                self._anchors_left += 1

    # Takes every entry as it is journalled.
    def _offer(self, _boot, entry):
        self._status.renew()
        if self._link.connected:
            if len(self._outbox) >= _OUTBOX:
                self._outbox.pop(0)
            self._outbox.append((self._link.session, entry))
            self._journalled.set()

    # One entry a frame, as soon as it is journalled. MicroPython does not tell who has subscribed: a frame that nobody
    # listens to is a hole, which the gateway finds in status or at the next frame and asks for.
    async def _send_live(self):
        while True:
            await self._journalled.wait()
            while self._outbox:
                session, entry = self._outbox.pop(0)
                plaintext = entries_plaintext([entry], self._entries.firmware, self._entries.model)
                if len(plaintext) + OVERHEAD <= self._link.payload:
                    try:
                        await self._link.send(session, self._handles.telemetry, plaintext)
                    except DisconnectedError:
                        pass
