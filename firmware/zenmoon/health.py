# What a wearable reports about itself: battery, losses, refused frames and a digest of its last crash.

import hashlib
import io
import sys

from zenmoon_edge.core.record import HEALTH

try:
    from sys import print_exception

    from micropython import const
except ImportError:
    import traceback

    def const(value):
        return value

    def print_exception(error, file):
        traceback.print_exception(error, file=file)


_EVERY_MS = const(600_000)  # 10 minutes of sensor time
# Different faults that are journalled at once. Later ones wait for the next regular entry, so that a fault with an
# ever changing text cannot fill the journal.
_DISTINCT_FAULTS = const(8)


class Health:
    # battery: function, percent or 127 (unknown).
    def __init__(self, entries, uptime, battery):
        self._entries = entries
        self._uptime = uptime
        self._battery = battery
        self._seen = []
        self.refused = 0  # frames and writes that were not taken
        self.faults = 0  # failures that were survived
        self.crash = 0  # first 32 bits of SHA-256 over the last failure's traceback, 0 = none

    # Journals the present state.
    def append(self):
        values = (self._battery(), self._entries.journal.overwritten, self.refused, self.crash)
        self._entries.append(HEALTH, self._uptime.now(), values)

    # Takes note of a failure that the app survives; prints it the first time.
    def fault(self, error):
        self.faults += 1
        report = io.StringIO()
        print_exception(error, report)
        text = report.getvalue()
        self.crash = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        if self.crash not in self._seen and len(self._seen) < _DISTINCT_FAULTS:
            self._seen.append(self.crash)
            sys.stderr.write(text)
            self.append()

    # One entry at boot, then one every 10 minutes.
    async def run(self):
        tick = 0
        while True:
            self.append()
            tick += _EVERY_MS
            await self._uptime.until(tick)
