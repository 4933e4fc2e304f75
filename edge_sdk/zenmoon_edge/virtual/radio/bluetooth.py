"""MicroPython's `bluetooth` module (peripheral role) for machines without a radio.

Firmware imports it as `bluetooth`, unmodified, on MicroPython's desktop port and on CPython. The radio itself is a process of its
own (`zenmoon_edge.virtual.air`), reached over TCP at `ZENMOON_RADIO=host:port`. There are no threads: `BLE().active(True)` starts
an asyncio task, so it must be called while asyncio runs, and events reach the `irq` handler from the event loop, one at a time.

It keeps the real module's habits that firmware must live with:

* a characteristic takes at most 20 bytes from a central until `gatts_set_buffer` says otherwise; what is longer is cut off;
* an attribute holds one value. Each write of a central is put there and `_IRQ_GATTS_WRITE` is raised before the next one is looked
  at, so a handler that calls `gatts_read` at once misses none (with `append=True` the values add up until they are read);
* `_IRQ_GATTS_READ_REQUEST` is raised before a central's read is answered with the attribute's value at that moment;
* a connection ends advertising; the handler of `_IRQ_CENTRAL_DISCONNECT` has to start it again;
* `gatts_notify` raises `OSError(ENOMEM)` while too many notifications wait for the air, and `OSError(ENOTCONN)` without a central.

When the radio goes away its centrals are reported as disconnected; services and advertising are restored once it is back.

A message on the socket is `u16 length | u8 operation | body`, little-endian; `length` counts operation and body.
"""

# mypy: ignore-errors
# The firmware this stands in for is untyped, and so is MicroPython's own module.

import asyncio
import errno
import os
import struct

try:
    from sys import print_exception  # MicroPython

    def _send_at_once(writer):
        writer.s.setsockopt(6, 1, 1)  # IPPROTO_TCP, TCP_NODELAY: CPython's asyncio sets it by itself

except ImportError:
    from traceback import print_exception

    def _send_at_once(writer):
        pass


FLAG_BROADCAST = 0x0001
FLAG_READ = 0x0002
FLAG_WRITE_NO_RESPONSE = 0x0004
FLAG_WRITE = 0x0008
FLAG_NOTIFY = 0x0010
FLAG_INDICATE = 0x0020
FLAG_AUTHENTICATED_SIGNED_WRITE = 0x0040
FLAG_AUX_WRITE = 0x0100
FLAG_READ_ENCRYPTED = 0x0200
FLAG_READ_AUTHENTICATED = 0x0400
FLAG_READ_AUTHORIZED = 0x0800
FLAG_WRITE_ENCRYPTED = 0x1000
FLAG_WRITE_AUTHENTICATED = 0x2000
FLAG_WRITE_AUTHORIZED = 0x4000

# Wearable to radio.
CONFIGURE = 1  # u16 preferred MTU | name
REGISTER = 2  # (u8 1 service, 2 characteristic, 3 descriptor | u8 uuid length | u16 flags | u16 handle | uuid) …
ADVERTISE = 3  # u32 interval in µs | u8 connectable | u8 length | data | scan response
SILENCE = 4
NOTIFY = 5  # u16 connection | u16 handle | value
INDICATE = 6  # u16 connection | u16 handle | value
VALUE = 7  # u16 token | u8 ATT error or 0 | value: the answer to READ
DISCONNECT = 8  # u16 connection

# Radio to wearable.
READY = 32  # u8 address type | 6 bytes address, most significant first
CONNECTED = 33  # u16 connection | u8 address type | 6 bytes address
DISCONNECTED = 34  # u16 connection | u8 address type | 6 bytes address
WRITTEN = 35  # u16 connection | u16 handle | value
READ = 36  # u16 token | u16 connection | u16 handle
SENT = 37  # u16 notifications that left the radio since the last such message
INDICATED = 38  # u16 connection | u16 handle | u8 status
MTU = 39  # u16 connection | u16 MTU
PARAMETERS = 40  # u16 connection | u16 interval in 1.25 ms | u16 latency | u16 timeout in 10 ms | u16 status

SERVICE, CHARACTERISTIC, DESCRIPTOR = 1, 2, 3

_IRQ_CENTRAL_CONNECT = 1
_IRQ_CENTRAL_DISCONNECT = 2
_IRQ_GATTS_WRITE = 3
_IRQ_GATTS_READ_REQUEST = 4
_IRQ_GATTS_INDICATE_DONE = 20
_IRQ_MTU_EXCHANGED = 21
_IRQ_CONNECTION_UPDATE = 27

_ATTRIBUTE_BYTES = 20  # what the real module reserves for a value
_WAITING_NOTIFICATIONS = 24  # the order of NimBLE's buffer pool on an ESP32
_RETRY_MS = (50, 100, 200, 400, 800, 1000)  # a radio that restarts is back within a second or two


class UUID:
    """A 16-, 32- or 128-bit identifier from an integer, its text, or its bytes (little-endian)."""

    def __init__(self, value):
        if isinstance(value, UUID):
            self._bytes = value._bytes
        elif isinstance(value, int):
            self._bytes = struct.pack("<H", value)
        elif isinstance(value, str):
            digits = value.replace("-", "")
            if len(digits) != 32:
                raise ValueError("invalid UUID")
            self._bytes = bytes([int(digits[i : i + 2], 16) for i in range(30, -2, -2)])
        else:
            self._bytes = bytes(value)
            if len(self._bytes) not in (2, 4, 16):
                raise ValueError("invalid UUID")

    def __iter__(self):
        return iter(self._bytes)

    def __len__(self):
        return len(self._bytes)

    def __eq__(self, other):
        return isinstance(other, UUID) and self._bytes == other._bytes

    def __hash__(self):
        return hash(self._bytes)

    def __repr__(self):
        digits = "".join(["%02x" % byte for byte in reversed(self._bytes)])
        if len(digits) < 32:
            return "UUID(0x" + digits + ")"
        parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        return "UUID('" + "-".join(parts) + "')"


class _Attribute:
    def __init__(self, flags):
        self.flags = flags
        self.value = b""
        self.limit = _ATTRIBUTE_BYTES
        self.append = False


class BLE:
    """The one Bluetooth radio; every call gives the same object."""

    _radio = None

    def __new__(cls):
        if BLE._radio is None:
            BLE._radio = object.__new__(cls)
            BLE._radio._power_up()
        return BLE._radio

    def _power_up(self):
        self._task = None
        self._handler = None
        self._name = b"MPY ZENMOON"
        self._mtu = 256
        self._address = (0, bytes(6))
        self._attributes = {}
        self._services = None
        self._advertising = None
        self._advertised = (b"", b"")
        self._forget_link()

    def _forget_link(self):
        self._online = False
        self._out = bytearray()
        self._wake = asyncio.Event()
        self._waiting = 0
        self._connections = {}

    def active(self, active=None):
        """Says whether the radio is on, or switches it. Switching it on needs a running event loop."""
        if active is None:
            return self._task is not None
        if active and self._task is None:
            self._task = asyncio.create_task(self._stay_attached())
        elif not active and self._task is not None:
            self._task.cancel()
            self._power_up()
        return self._task is not None

    def config(self, *names, **values):
        """Reads `mac`, `gap_name` or `mtu`, or sets the latter two by keyword; other settings of a radio are accepted unheeded."""
        if names:
            known = {"mac": self._address, "gap_name": self._name, "mtu": self._mtu}
            if len(names) != 1 or values or names[0] not in known:
                raise ValueError("unknown config param")
            return known[names[0]]
        if "gap_name" in values:
            name = values["gap_name"]
            self._name = name.encode() if isinstance(name, str) else bytes(name)
        self._mtu = values.get("mtu", self._mtu)
        self._send(CONFIGURE, struct.pack("<H", self._mtu) + self._name)
        return None

    def irq(self, handler):
        """Sets `handler(event, data)` for all events of this module."""
        self._handler = handler

    def gap_advertise(self, interval_us, adv_data=None, *, resp_data=None, connectable=True):
        """Advertises every `interval_us` microseconds, or stops with None. Data left out stays what it was."""
        self._require_active()
        if interval_us is None:
            self._advertising = None
            self._send(SILENCE, b"")
            return
        old_data, old_response = self._advertised
        data = old_data if adv_data is None else bytes(adv_data)
        response = old_response if resp_data is None else bytes(resp_data)
        if len(data) > 31 or len(response) > 31:
            raise OSError(errno.EINVAL, "an advertisement holds 31 bytes")
        self._advertised = (data, response)
        self._advertising = struct.pack("<IBB", interval_us, connectable, len(data)) + data + response
        self._send(ADVERTISE, self._advertising)

    def gap_disconnect(self, conn_handle):
        """Ends a connection; False if there is none of this handle. `_IRQ_CENTRAL_DISCONNECT` follows."""
        if conn_handle not in self._connections:
            return False
        self._send(DISCONNECT, struct.pack("<H", conn_handle))
        return True

    def gatts_register_services(self, services):
        """Replaces all services. Gives, per service, the handles of its characteristics, each followed by its descriptors'."""
        self._require_active()
        attributes = {}
        listing = bytearray()
        handles = []

        def describe(kind, uuid, flags):
            handle = len(attributes) + 1
            if kind != SERVICE:
                attributes[handle] = _Attribute(flags)
            listing.extend(struct.pack("<BBHH", kind, len(uuid), flags, handle) + bytes(uuid))
            return handle

        for uuid, characteristics in services:
            describe(SERVICE, uuid, 0)
            own = []
            for characteristic in characteristics:
                own.append(describe(CHARACTERISTIC, characteristic[0], characteristic[1]))
                descriptors = characteristic[2] if len(characteristic) > 2 else ()
                own.extend([describe(DESCRIPTOR, descriptor[0], descriptor[1]) for descriptor in descriptors])
            handles.append(tuple(own))
        self._attributes = attributes
        self._services = bytes(listing)
        self._send(REGISTER, self._services)
        return tuple(handles)

    def gatts_read(self, value_handle):
        """Gives the value of an attribute; one that appends is emptied by this."""
        attribute = self._attribute(value_handle)
        value = attribute.value
        if attribute.append:
            attribute.value = b""
        return value

    def gatts_write(self, value_handle, data, send_update=False):
        """Sets the value of an attribute and, with `send_update`, tells every central that subscribed to it."""
        attribute = self._attribute(value_handle)
        attribute.value = data.encode() if isinstance(data, str) else bytes(data)
        attribute.limit = max(attribute.limit, len(attribute.value))
        if send_update:
            for connection in self._connections:
                if attribute.flags & FLAG_NOTIFY:
                    self.gatts_notify(connection, value_handle)
                elif attribute.flags & FLAG_INDICATE:
                    self.gatts_indicate(connection, value_handle)

    def gatts_notify(self, conn_handle, value_handle, data=None):
        """Sends a notification, which reaches the central only if it subscribed.

        Raises OSError: ENOTCONN without that connection; ENOMEM while too many wait (send it again a little later).
        """
        self._push(NOTIFY, conn_handle, value_handle, data)

    def gatts_indicate(self, conn_handle, value_handle, data=None):
        """Sends an indication; `_IRQ_GATTS_INDICATE_DONE` tells whether it was confirmed. Raises as `gatts_notify`."""
        self._push(INDICATE, conn_handle, value_handle, data)

    def gatts_set_buffer(self, value_handle, length, append=False):
        """Sets how many bytes an attribute takes from a central, and whether writes add up until they are read."""
        attribute = self._attribute(value_handle)
        attribute.limit = length
        attribute.append = append

    def _require_active(self):
        if self._task is None:
            raise OSError(errno.ENODEV, "the radio is off")

    def _attribute(self, handle):
        if handle not in self._attributes:
            raise OSError(errno.EINVAL, "no such attribute")
        return self._attributes[handle]

    def _push(self, operation, connection, handle, data):
        value = self._attribute(handle).value if data is None else data
        if connection not in self._connections:
            raise OSError(errno.ENOTCONN, "no such connection")
        if self._waiting >= _WAITING_NOTIFICATIONS:
            raise OSError(errno.ENOMEM, "too many notifications wait")
        self._waiting += 1
        value = value.encode() if isinstance(value, str) else bytes(value)
        self._send(operation, struct.pack("<HH", connection, handle) + value)

    # What is set before the radio is there, or while it is away, is told to it by _introduce.
    def _send(self, operation, body):
        if self._online:
            self._out.extend(struct.pack("<HB", len(body) + 1, operation))
            self._out.extend(body)
            self._wake.set()

    def _introduce(self):
        self._online = True
        self._send(CONFIGURE, struct.pack("<H", self._mtu) + self._name)
        if self._services is not None:
            self._send(REGISTER, self._services)
        if self._advertising is not None:
            self._send(ADVERTISE, self._advertising)

    async def _stay_attached(self):
        host, port = os.getenv("ZENMOON_RADIO", "127.0.0.1:7700").rsplit(":", 1)
        failures = 0
        while True:
            try:
                reader, writer = await asyncio.open_connection(host, int(port))
                try:
                    _send_at_once(writer)
                    await self._attached(reader, writer)
                finally:
                    writer.close()
                    await writer.wait_closed()
            except (OSError, EOFError):
                pass
            failures = 0 if self._online else failures + 1
            self._report_lost()
            await asyncio.sleep(_RETRY_MS[min(failures, len(_RETRY_MS) - 1)] / 1000)

    async def _attached(self, reader, writer):
        sender = asyncio.create_task(self._transmit(writer))
        try:
            received = bytearray()
            while True:
                chunk = await reader.read(2048)
                if not chunk:
                    return
                received.extend(chunk)
                start = 0
                while len(received) - start >= 2:
                    end = start + 2 + (received[start] | received[start + 1] << 8)
                    if end > len(received):
                        break
                    self._receive(received[start + 2], bytes(received[start + 3 : end]))
                    start = end
                received = received[start:]
        finally:
            sender.cancel()

    async def _transmit(self, writer):
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                waiting, self._out = self._out, bytearray()
                writer.write(bytes(waiting))
                await writer.drain()
        except OSError:
            pass  # the reading side sees the same end and reports it

    def _report_lost(self):
        connections = self._connections
        self._forget_link()
        for connection in connections:
            self._raise(_IRQ_CENTRAL_DISCONNECT, (connection,) + connections[connection])

    def _receive(self, operation, body):
        if operation == SENT:
            self._waiting -= struct.unpack("<H", body)[0]
        elif operation == WRITTEN:
            connection, handle = struct.unpack("<HH", body[:4])
            attribute = self._attributes.get(handle)
            if attribute:
                value = attribute.value + body[4:] if attribute.append else body[4:]
                attribute.value = value[: attribute.limit]
                self._raise(_IRQ_GATTS_WRITE, (connection, handle))
        elif operation == READ:
            token, connection, handle = struct.unpack("<HHH", body)
            refused = self._raise(_IRQ_GATTS_READ_REQUEST, (connection, handle)) or 0
            attribute = self._attributes.get(handle)
            value = attribute.value if attribute and not refused else b""
            self._send(VALUE, struct.pack("<HB", token, refused) + value)
        elif operation == CONNECTED:
            connection, kind = struct.unpack("<HB", body[:3])
            self._connections[connection] = (kind, body[3:])
            self._advertising = None
            self._raise(_IRQ_CENTRAL_CONNECT, (connection, kind, body[3:]))
        elif operation == DISCONNECTED:
            connection, kind = struct.unpack("<HB", body[:3])
            if self._connections.pop(connection, None):
                self._raise(_IRQ_CENTRAL_DISCONNECT, (connection, kind, body[3:]))
        elif operation == MTU:
            self._raise(_IRQ_MTU_EXCHANGED, struct.unpack("<HH", body))
        elif operation == INDICATED:
            self._raise(_IRQ_GATTS_INDICATE_DONE, struct.unpack("<HHB", body))
        elif operation == PARAMETERS:
            self._raise(_IRQ_CONNECTION_UPDATE, struct.unpack("<HHHHH", body))
        elif operation == READY:
            self._address = (body[0], body[1:])
            self._introduce()

    def _raise(self, event, data):
        if self._handler is None:
            return None
        try:
            return self._handler(event, data)
        except Exception as error:  # as the real module: a faulty handler must not stop the radio
            print_exception(error)
            return None
