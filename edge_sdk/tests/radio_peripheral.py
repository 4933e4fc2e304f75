"""A small firmware for the tests of the air, run unmodified by MicroPython and CPython.

Notifies on request, echoes, tells in its status how often it was read and what was written; prints a line for every event.
"""

import asyncio
import errno
import struct
import sys

import bluetooth

CONNECTED, DISCONNECTED, WRITTEN, READ, MTU_EXCHANGED = 1, 2, 3, 4, 21

SERVICE = bluetooth.UUID("7a656e00-6d6f-6f6e-8000-00805f9b34fb")
NOTIFIER = bluetooth.UUID("7a656e01-6d6f-6f6e-8000-00805f9b34fb")
COMMAND = bluetooth.UUID("7a656e04-6d6f-6f6e-8000-00805f9b34fb")
SMALL = bluetooth.UUID("7a656e05-6d6f-6f6e-8000-00805f9b34fb")
STATUS = bluetooth.UUID("7a656e06-6d6f-6f6e-8000-00805f9b34fb")


class Wearable:
    def __init__(self, name):
        self.ble = bluetooth.BLE()
        self.advertisement = b"\x02\x01\x06\x11\x07" + bytes(SERVICE)
        self.response = bytes([len(name) + 1, 9]) + name.encode()
        self.central = None
        self.commands = []
        self.wake = asyncio.Event()
        self.reads = 0

    def start(self):
        self.ble.irq(self.on_event)
        self.ble.active(True)
        self.ble.config(gap_name="probe", mtu=517)
        ((self.notifier, self.command, self.small, self.status), _) = self.ble.gatts_register_services(
            (
                (
                    SERVICE,
                    (
                        (NOTIFIER, bluetooth.FLAG_NOTIFY),
                        (COMMAND, bluetooth.FLAG_WRITE | bluetooth.FLAG_WRITE_NO_RESPONSE),
                        (SMALL, bluetooth.FLAG_WRITE | bluetooth.FLAG_WRITE_NO_RESPONSE),
                        (STATUS, bluetooth.FLAG_READ),
                    ),
                ),
                (bluetooth.UUID(0x180F), ((bluetooth.UUID(0x2A19), bluetooth.FLAG_READ),)),
            )
        )
        self.ble.gatts_set_buffer(self.command, 128)
        self.advertise()

    def advertise(self):
        self.ble.gap_advertise(20000, self.advertisement, resp_data=self.response)

    def on_event(self, event, data):
        if event == CONNECTED:
            self.central = data[0]
            print("connected")
        elif event == DISCONNECTED:
            self.central = None
            print("disconnected")
            self.advertise()
        elif event == WRITTEN:
            self.commands.append(self.ble.gatts_read(data[1]))
            self.wake.set()
        elif event == READ:
            self.reads += 1
            self.ble.gatts_write(self.status, struct.pack("<I", self.reads) + b",".join(self.commands))
        elif event == MTU_EXCHANGED:
            print("mtu", data[1])

    async def notify(self, value):
        refusals = 0
        while True:
            try:
                self.ble.gatts_notify(self.central, self.notifier, value)
                return
            except OSError as error:
                if error.errno != errno.ENOMEM:
                    return
                refusals += 1
                if refusals == 50:
                    print("held up")
                await asyncio.sleep(0.002)

    # Without a pause, until the radio takes no more.
    def burst(self):
        for number in range(1000):
            try:
                self.ble.gatts_notify(self.central, self.notifier, struct.pack("<I", number))
            except OSError as error:
                print("full", number, error.errno == errno.ENOMEM)
                return

    async def run(self):
        done = 0
        while True:
            await self.wake.wait()
            self.wake.clear()
            while done < len(self.commands):
                command = self.commands[done]
                done += 1
                if command.startswith(b"send "):
                    count, size = [int(part) for part in command.split()[1:]]
                    for number in range(count):
                        await self.notify(struct.pack("<I", number) + bytes(size - 4))
                elif command.startswith(b"echo "):
                    await self.notify(command[5:])
                elif command == b"burst":
                    self.burst()
                elif command == b"clear":
                    del self.commands[:]
                    done = 0
                elif command == b"part":
                    self.ble.gap_disconnect(self.central)


async def main():
    wearable = Wearable(sys.argv[1])
    wearable.start()
    print("started")
    await wearable.run()


asyncio.run(main())
