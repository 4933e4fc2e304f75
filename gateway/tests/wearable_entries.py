"""Entries as a wearable would send them, for the tests of this folder."""

from zenmoon_edge.core.record import ANCHOR, EVENT, RECORD, Entry, pack_body
from zenmoon_gateway.outbox import Arrived, Group
from zenmoon_gateway.ranges import RangeSet
from zenmoon_gateway.sync import BootRanges

DEVICE = 0xF1B2C3D4E5F60718
BOOT = 0xDEADBEEF
UTC_MS = 1_800_000_000_000
FIRMWARE, MODEL = 0x9F3C01AA, 0x5B7712E0


def record(seq, heart_rate=169):
    return Entry(RECORD, seq, 4_000 * seq, pack_body(RECORD, (heart_rate, 38, 12, 241, 3318, 31, 107, 18, 63, 81)))


def arrived(entry, boot=BOOT):
    return Arrived(boot=boot, firmware=FIRMWARE, model=MODEL, entry=entry)


def boot_event():
    return Entry(EVENT, 0, 0, pack_body(EVENT, (1, 1)))


def anchor_entry(seq, utc_ms):
    return Entry(ANCHOR, seq, 4_000 * seq, pack_body(ANCHOR, (utc_ms, 1, 50)))


def group(seqs, boot=BOOT, **fields):
    durable = RangeSet((seq, seq) for seq in range(max(seqs) + 1)) if seqs else RangeSet()
    return Group(entries=[arrived(record(seq), boot) for seq in seqs], ranges={boot: BootRanges(durable=durable)}, **fields)
