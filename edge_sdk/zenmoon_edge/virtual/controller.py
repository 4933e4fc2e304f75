"""bumble's software controller, with the promises of a radio that a wearable and a gateway lean on when the other side vanishes."""

import asyncio

from bumble import hci, ll
from bumble.controller import Connection, Controller

_EventType = hci.HCI_LE_Extended_Advertising_Report_Event.EventType
_ADVERTISEMENT = _EventType.CONNECTABLE_ADVERTISING | _EventType.SCANNABLE_ADVERTISING
_RESPONSE = _ADVERTISEMENT | _EventType.SCAN_RESPONSE
_RSSI_DBM = -50


class AirController(Controller):
    """A controller whose reset resets, that delivers scan responses, and whose connections are made by both sides or not at all."""

    le_acl_data_packet_length = 251  # the largest LE data packet; bumble's 27 would cut every notification into ten

    def power_cycle(self) -> None:
        """Forgets everything but the addresses. Peers see their connection time out, as when a device loses power."""
        for connection in list(self.le_connections.values()):
            connection.send_ll_control_pdu(ll.TerminateInd(hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR))
        self.le_connections.clear()
        self.le_legacy_advertiser.stop()
        for advertising_set in self.advertising_sets.values():
            advertising_set.stop()
        self.advertising_sets.clear()
        self.le_scan_enable = False
        self.pending_le_connection = None

    def on_hci_reset_command(self, _command: hci.HCI_Reset_Command) -> hci.HCI_StatusReturnParameters:
        """Core specification, volume 4, part E, 7.3.2."""
        self.power_cycle()
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Core specification, volume 4, part E, 7.8.13: the pending attempt ends with a connection complete event that failed."""
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        event = hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=hci.Role.CENTRAL,
            peer_address_type=pending.peer_address.address_type,
            peer_address=pending.peer_address,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        )
        asyncio.get_running_loop().call_soon(self.send_hci_packet, event)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_advertising_pdu(self, pdu: ll.AdvInd | ll.AdvExtInd) -> None:
        """Reports an advertisement, and the advertiser's own scan response where bumble would repeat the advertisement."""
        address = pdu.advertiser_address
        if self.le_scan_enable:
            self._report(address, _ADVERTISEMENT, pdu.data)
            if response := self._scan_response(address):
                self._report(address, _RESPONSE, response)
        if self.pending_le_connection is not None and self.pending_le_connection.peer_address == address:
            self.create_le_connection(address)

    def _scan_response(self, address: hci.Address) -> bytes:
        for controller in self.link.controllers:
            for advertising_set in controller.advertising_sets.values():
                if advertising_set.enabled and advertising_set.address == address:
                    return bytes(advertising_set.scan_response_data)
        return b""

    def _report(self, address: hci.Address, kind: int, data: bytes) -> None:
        report = hci.HCI_LE_Extended_Advertising_Report_Event.Report(
            event_type=kind | _EventType.LEGACY_ADVERTISING_PDU_USED,
            address_type=address.address_type,
            address=address,
            primary_phy=hci.Phy.LE_1M,
            secondary_phy=0,
            advertising_sid=0xFF,
            tx_power=hci.HCI_LE_Extended_Advertising_Report_Event.TX_POWER_INFORMATION_NOT_AVAILABLE,
            rssi=_RSSI_DBM,
            periodic_advertising_interval=0,
            direct_address_type=0,
            direct_address=hci.Address.ANY,
            data=data,
        )
        self.send_hci_packet(hci.HCI_LE_Extended_Advertising_Report_Event([report]))

    def create_le_connection(self, peer_address: hci.Address) -> None:
        """Connects to an advertiser; fails as a radio does where the advertiser had just stopped listening."""
        super().create_le_connection(peer_address)
        if connection := self.le_connections.get(peer_address):
            # The link delivers in order, so the advertiser has answered the request when this runs.
            asyncio.get_running_loop().call_soon(self._end_unless_established, connection)

    def _end_unless_established(self, connection: Connection) -> None:
        if self.le_connections.get(connection.peer_address) is not connection:
            return
        for controller in self.link.controllers:
            peer = controller.le_connections.get(connection.self_address)
            if peer is not None and peer.self_address == connection.peer_address:
                return
        self.on_le_disconnected(connection, hci.HCI_ErrorCode.CONNECTION_FAILED_TO_BE_ESTABLISHED_ERROR)
