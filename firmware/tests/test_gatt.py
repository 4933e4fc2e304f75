"""The advertisement, byte by byte: Core specification supplement, part A."""

import pytest
from zenmoon import gatt

SERVICE = bytes.fromhex("7a656e00 6d6f 6f6e 8000 00805f9b34fb")[::-1]


def fields(data):
    at, found = 0, {}
    while at < len(data):
        found[data[at + 1]] = data[at + 2 : at + 1 + data[at]]
        at += 1 + data[at]
    assert at == len(data) <= 31
    return found


@pytest.mark.parametrize(
    ("name", "kind", "advertised"),
    [
        ("Zen-0718", 0x09, b"Zen-0718"),
        ("Zen", 0x09, b"Zen"),
        ("ZenMoon-0718", 0x08, b"ZenMoon-"),
        ("ZenMoonÉ", 0x08, b"ZenMoon"),
        ("月の満ち", 0x08, "月の".encode()),
    ],
)
def test_name_and_service_stand_in_the_advertisement_itself(name, kind, advertised):
    assert fields(gatt.advertisement(name)) == {0x01: b"\x06", 0x07: SERVICE, kind: advertised}
    assert fields(gatt.scan_response(name)) == {0x09: name.encode()}
