"""Prints what this interpreter encodes random values to, one hexadecimal line a vector: both must print the same.

micropython edge_sdk/tests/portable/vectors.py SEED COUNT
"""

import sys
from binascii import hexlify

_HERE = (__file__.rsplit("/", 1)[0] if "/" in __file__ else ".") + "/"
sys.path.insert(0, _HERE + "../..")

from zenmoon_edge.core import frame  # noqa: E402
from zenmoon_edge.core.page import PageHeader, encode_header, encode_page_entry  # noqa: E402
from zenmoon_edge.core.record import KIND_NAMES, RECORD, Entry, pack_body, payload_hash, unpack_body  # noqa: E402

_VALUES = {1: 10, 2: 3, 3: 3, 4: 2, 5: 4}


class Numbers:
    """The same numbers on every interpreter: a linear congruential generator (Knuth's MMIX constants), high bits only."""

    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        return (self.state >> 16) % bound

    def text(self, size):
        return bytes([self.below(256) for _ in range(size)])

    def value(self, may_be_absent):
        """A raw integer, sometimes far outside every field, sometimes None."""
        if may_be_absent and self.below(8) == 0:
            return None
        return self.below(1 << self.below(40) + 1) - (1 << 15 if self.below(3) == 0 else 0)


def main(seed, count):
    numbers = Numbers(seed)
    for _ in range(count):
        kind = 1 + numbers.below(5)
        firmware, model, boot = [numbers.below(1 << 32) for _ in range(3)]
        seq_base, tick_base = numbers.below(1 << 31), numbers.below(1 << 47)
        entries = []
        for at in range(1 + numbers.below(12)):
            values = [numbers.value(kind == RECORD and field < 6) for field in range(_VALUES[kind])]
            body = pack_body(kind, values)
            print(KIND_NAMES[kind], hexlify(body).decode(), list(unpack_body(kind, body)))
            entries.append(Entry(kind, seq_base + at, tick_base + numbers.below(1 << 20), body))
            print(hexlify(payload_hash(entries[-1], firmware, model)).decode())
        header = PageHeader(boot, seq_base, tick_base, firmware, model)
        print(hexlify(encode_header(header)).decode(), hexlify(encode_page_entry(entries[-1], header)).decode())
        plaintext = frame.entries_plaintext(entries, firmware, model, boot if numbers.below(2) else None)
        sealed = frame.seal(numbers.text(32), numbers.below(256), numbers.below(5), boot, numbers.below(1 << 32), plaintext)
        print(hexlify(plaintext).decode(), hexlify(sealed).decode())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
