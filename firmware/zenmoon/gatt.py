# The GATT services of the wearable and its advertisement (docs/wire.md, "GATT").

import struct
from collections import namedtuple

import bluetooth

# Value handles, in the order in which they are registered.
Handles = namedtuple("Handles", "telemetry backlog ack control status battery current_time manufacturer model revision")

_SERVICE = bluetooth.UUID("7a656e00-6d6f-6f6e-8000-00805f9b34fb")

_READ = bluetooth.FLAG_READ
_NOTIFY = bluetooth.FLAG_NOTIFY
_WRITE = bluetooth.FLAG_WRITE

# Sealed frames on ack and control are at most 39 bytes. More room than needed lets a longer one fail its seal instead
# of being cut to a length that might pass.
_WRITE_BYTES = 64

_ADVERTISED_FLAGS = b"\x02\x01\x06"  # general discoverable, LE only
_ADVERTISED_BYTES = 31


def _own(number):
    return bluetooth.UUID("7a656e%02x-6d6f-6f6e-8000-00805f9b34fb" % number)


# Registers all services and fills in what never changes. `ble` is active. Heart Rate is left out: it is off until the
# owner turns it on.
def register(ble, manufacturer, model, revision):
    services = (
        (
            _SERVICE,
            (
                (_own(1), _NOTIFY),
                (_own(2), _NOTIFY),
                (_own(3), _WRITE),
                (_own(4), _WRITE),
                (_own(6), _READ),
            ),
        ),
        (bluetooth.UUID(0x180F), ((bluetooth.UUID(0x2A19), _READ | _NOTIFY),)),
        (bluetooth.UUID(0x1805), ((bluetooth.UUID(0x2A2B), _WRITE),)),
        (
            bluetooth.UUID(0x180A),
            ((bluetooth.UUID(0x2A29), _READ), (bluetooth.UUID(0x2A24), _READ), (bluetooth.UUID(0x2A26), _READ)),
        ),
    )
    handles = []
    for group in ble.gatts_register_services(services):
        handles.extend(group)
    handles = Handles(*handles)
    for handle in (handles.ack, handles.control, handles.current_time):
        ble.gatts_set_buffer(handle, _WRITE_BYTES)
    ble.gatts_write(handles.manufacturer, manufacturer.encode())
    ble.gatts_write(handles.model, model.encode())
    ble.gatts_write(handles.revision, revision.encode())
    return handles


# The advertisement holds flags, service UUID and as much of the name as is left room for: 8 bytes. A longer name is
# marked as shortened there and stands in full in the scan response and in the Device Name characteristic.
def advertisement(name):
    name = name.encode()
    head = _ADVERTISED_FLAGS + struct.pack("BB", 17, 0x07) + bytes(_SERVICE)
    room = _ADVERTISED_BYTES - len(head) - 2
    kind = 0x09 if len(name) <= room else 0x08
    while room < len(name) and name[room] & 0xC0 == 0x80:
        room -= 1  # not in the middle of a character of UTF-8
    return head + struct.pack("BB", len(name[:room]) + 1, kind) + name[:room]


def scan_response(name):
    name = name.encode()
    return struct.pack("BB", len(name) + 1, 0x09) + name
