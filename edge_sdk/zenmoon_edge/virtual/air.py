"""The virtual air: a process that joins wearables without a radio to a gateway without an adapter.

`python -m zenmoon_edge.virtual.air --state-file FILE` holds one link of bumble's virtual controllers. Each wearable that connects
to the radio port (`radio/bluetooth.py`) gets a controller and a peripheral of its own; the gateway's controller is offered as HCI
(H4) over TCP, for `bleak_backend.adapter("tcp-client:127.0.0.1:PORT")` or any other Bluetooth host. Both ports listen on loopback
only.

When either side vanishes, the other sees what it would see of a radio out of range: its connection times out.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from bumble.core import InvalidPacketError
from bumble.hci import Address
from bumble.link import LocalLink
from bumble.transport.common import PacketParser

from zenmoon_edge.virtual.controller import AirController
from zenmoon_edge.virtual.peripheral import Peripheral, RadioProtocolError

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
HANDOVER_S = 2.0  # a killed gateway's successor may be accepted before the kernel has reported the end of the first
SEND_BUFFER_BYTES = 65536


class Air:
    """The link, its controllers and the two servers. An async context manager.

    Args:
        radio_port: Where wearables connect; 0 takes a free one.
        hci_port: Where the gateway's Bluetooth host connects; 0 takes a free one.

    Attributes:
        radio_port, hci_port: The ports in use, known inside the context.
    """

    def __init__(self, *, radio_port: int = 0, hci_port: int = 0) -> None:
        self.radio_port = radio_port
        self.hci_port = hci_port
        self._link = LocalLink()  # type: ignore[no-untyped-call]
        self._wearables: dict[int, tuple[Peripheral, asyncio.Task[None]]] = {}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._adapter = GatewayAdapter(AirController("gateway", link=self._link))
        self._radio_server = await asyncio.start_server(self._on_wearable, LOOPBACK, self.radio_port)
        self._hci_server = await loop.create_server(lambda: _HciConnection(self._adapter), LOOPBACK, self.hci_port)
        self.radio_port = self._radio_server.sockets[0].getsockname()[1]
        self.hci_port = self._hci_server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._radio_server.close()
        self._hci_server.close()
        tasks = [task for _, task in self._wearables.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._adapter.unplug()

    async def _on_wearable(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A wearable that restarts keeps its address: let the clearing up after its last run end first.
        if ending := [task for wearable, task in self._wearables.values() if wearable.ending]:
            await asyncio.wait(ending)
        place = next(number for number in range(len(self._wearables) + 1) if number not in self._wearables)
        controller = AirController(f"wearable {place}", link=self._link)
        wearable = Peripheral(
            reader,
            writer,
            controller=controller,
            address=Address(f"F0:5A:4D:00:00:{place:02X}", Address.RANDOM_DEVICE_ADDRESS),
            clear_to_send=self._adapter.clear_to_send,
        )
        self._wearables[place] = wearable, cast("asyncio.Task[None]", asyncio.current_task())
        try:
            await wearable.serve()
        except RadioProtocolError as error:
            logger.error("wearable %d switched off: %s", place, error)
        finally:
            self._link.remove_controller(controller)
            del self._wearables[place]


class GatewayAdapter:
    """The gateway's controller and the one HCI client that may hold it at a time."""

    def __init__(self, controller: AirController) -> None:
        self.controller = controller
        self._client: _HciConnection | None = None
        self._free = asyncio.Event()
        self._free.set()
        self.clear_to_send = asyncio.Event()
        self.clear_to_send.set()

    async def plug(self, client: "_HciConnection") -> bool:
        """Gives the controller to a client; False where another one keeps it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._free.wait(), HANDOVER_S)
        if self._client is not None:
            return False
        self._client = client
        self._free.clear()
        self.controller.host = client
        return True

    def unplug(self, client: "_HciConnection | None" = None) -> None:
        """Takes the controller from its client and resets it."""
        if self._client is None or client not in (None, self._client):
            return
        self._client.close()
        self._client = None
        self.controller.host = None
        self.controller.power_cycle()
        self.clear_to_send.set()
        self._free.set()


class _HciConnection(asyncio.Protocol):
    """One TCP connection of the HCI port. As the controller's host it is where packets to the client go."""

    def __init__(self, adapter: GatewayAdapter) -> None:
        self._adapter = adapter
        self._parser = PacketParser(adapter.controller)
        self._plugged = False
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.pause_reading()
        # A radio holds little: what a stalled gateway does not take must soon hold up the wearable, not fill the kernel.
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._plugging = asyncio.create_task(self._plug())

    async def _plug(self) -> None:
        if await self._adapter.plug(self):
            self._plugged = True
            self.data_received(self._early)
            self._transport.resume_reading()
        else:
            logger.error("HCI client refused: another one holds the gateway's controller")
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self._plugging.cancel()
        self._adapter.unplug(self)

    def pause_writing(self) -> None:
        self._adapter.clear_to_send.clear()

    def resume_writing(self) -> None:
        self._adapter.clear_to_send.set()

    def data_received(self, data: bytes) -> None:
        if not self._plugged:
            # A pause from within connection_made does not hold in Python 3.11.2; answers before the plug would go nowhere.
            self._early += data
            return
        try:
            self._parser.feed_data(data)
        except InvalidPacketError as error:
            logger.error("HCI client dropped: %s", error)
            self._transport.abort()

    def on_packet(self, packet: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(packet)

    def close(self) -> None:
        self._transport.close()


def write_state(path: Path, air: Air) -> None:
    """Writes the ports and the process id as JSON, whole or not at all."""
    state = {"radio_port": air.radio_port, "hci_port": air.hci_port, "pid": os.getpid()}
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(state))
    unfinished.replace(path)


async def serve(state_file: Path, *, radio_port: int, hci_port: int) -> None:
    """Runs the air until SIGTERM or SIGINT; `state_file` exists once it takes connections."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with Air(radio_port=radio_port, hci_port=hci_port) as air:
        write_state(state_file, air)
        await ended.wait()


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m zenmoon_edge.virtual.air", description="Bluetooth without a radio.")
    parser.add_argument("--state-file", type=Path, required=True, help="where to write the ports as JSON once ready")
    parser.add_argument("--radio-port", type=int, default=0, help="port for wearables (default: a free one)")
    parser.add_argument("--hci-port", type=int, default=0, help="port for the gateway's Bluetooth host (default: a free one)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(serve(options.state_file, radio_port=options.radio_port, hci_port=options.hci_port))
    except OSError as error:
        print(f"The air cannot start: {error}. Choose other ports or another state file.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
