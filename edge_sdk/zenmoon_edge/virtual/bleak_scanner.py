"""bleak's scanner on a bumble adapter."""

import uuid
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bumble import core
from bumble.core import AdvertisingData
from bumble.device import Advertisement

if TYPE_CHECKING:
    from zenmoon_edge.virtual.bleak_backend import Adapter

_Type = AdvertisingData.Type
_NAMES = (_Type.COMPLETE_LOCAL_NAME, _Type.SHORTENED_LOCAL_NAME)
_UUID_LISTS = {
    _Type.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS: 2,
    _Type.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS: 2,
    _Type.COMPLETE_LIST_OF_32_BIT_SERVICE_CLASS_UUIDS: 4,
    _Type.INCOMPLETE_LIST_OF_32_BIT_SERVICE_CLASS_UUIDS: 4,
    _Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS: 16,
    _Type.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS: 16,
}
_SERVICE_DATA = {_Type.SERVICE_DATA_16_BIT_UUID: 2, _Type.SERVICE_DATA_32_BIT_UUID: 4, _Type.SERVICE_DATA_128_BIT_UUID: 16}


def uuid_text(identifier: core.UUID) -> str:
    """The 36 characters bleak names an identifier by."""
    return str(uuid.UUID(bytes=bytes(identifier.to_bytes(force_128=True))[::-1]))


class BumbleScanner(BaseBleakScanner):
    """Made by bleak from `Adapter.scanner`, which sets `adapter`."""

    adapter: ClassVar["Adapter"]

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        scanning_mode: Literal["active", "passive"],
        **_other_backends: Any,
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._active = scanning_mode != "passive"

    async def start(self) -> None:
        """Starts scanning; raises BleakError without a working adapter."""
        self.seen_devices = {}
        await self.adapter.start_scanning(self._on_advertisement, active=self._active)

    async def stop(self) -> None:
        """Stops scanning; quiet where the adapter is gone."""
        await self.adapter.stop_scanning(self._on_advertisement)

    def _on_advertisement(self, advertisement: Advertisement) -> None:
        address = advertisement.address.to_string(with_type_qualifier=False)
        found = parse(advertisement)
        if self.is_allowed_uuid(found.service_uuids):
            device = self.create_or_update_device(address, address, found.local_name, advertisement.address, found)
            self.call_detection_callbacks(device, found)


def parse(advertisement: Advertisement) -> AdvertisementData:
    """bleak's view of an advertisement (Core specification supplement, part A)."""
    name: str | None = None
    power: int | None = None
    manufacturers: dict[int, bytes] = {}
    service_data: dict[str, bytes] = {}
    services: dict[str, None] = {}
    for kind, value in advertisement.data.ad_structures:
        if kind in _NAMES:
            name = value.decode(errors="replace")
        elif kind == _Type.TX_POWER_LEVEL and len(value) == 1:
            power = int.from_bytes(value, "little", signed=True)
        elif kind == _Type.MANUFACTURER_SPECIFIC_DATA and len(value) >= 2:
            manufacturers[int.from_bytes(value[:2], "little")] = value[2:]
        elif size := _UUID_LISTS.get(kind):
            for start in range(0, len(value) - size + 1, size):
                services[uuid_text(core.UUID.from_bytes(value[start : start + size]))] = None
        elif (size := _SERVICE_DATA.get(kind)) and len(value) >= size:
            service_data[uuid_text(core.UUID.from_bytes(value[:size]))] = value[size:]
    return AdvertisementData(name, manufacturers, service_data, list(services), power, advertisement.rssi, (advertisement,))
