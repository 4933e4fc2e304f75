"""CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, not reflected, no final xor; check value of b"123456789": 0x29B1."""


def _remainder(byte: int) -> int:
    crc = byte << 8
    for _ in range(8):
        crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
    return crc & 0xFFFF


_TABLE = tuple([_remainder(byte) for byte in range(256)])


def crc16(data: bytes, crc: int = 0xFFFF) -> int:
    """Checksum of `data`; pass an earlier result as `crc` to go on where it ended."""
    table = _TABLE
    for byte in data:
        crc = ((crc << 8) & 0xFFFF) ^ table[(crc >> 8) ^ byte]
    return crc
