# The status characteristic: a sealed snapshot of what the journal holds, made anew for every read.

from zenmoon_edge.core.frame import STATUS, encode_status

try:
    from micropython import const
except ImportError:

    def const(value):
        return value


_FIXED_BYTES = const(39)  # of a sealed status without boots
_BOOT_BYTES = const(12)


class Status:
    # battery: function, percent or 127 (unknown).
    def __init__(self, ble, *, link, sealer, entries, uptime, battery):
        self._ble = ble
        self._link = link
        self._entries = entries
        self._uptime = uptime
        self._battery = battery
        self._sealer = sealer
        self._state = None
        self.renew()

    # Takes the journal's state; after every append and acknowledgement. write() may run in an interrupt, where the
    # journal could be met half changed.
    def renew(self):
        journal = self._entries.journal
        self._state = (self._battery(), journal.overwritten, journal.holdings())

    # Puts a fresh snapshot where the central reads it.
    # A longer value would be read in pieces, and each piece would be of another snapshot. So it names as many boots as
    # one read carries (17 at an MTU of 247): the oldest, which the gateway can relieve first, and the current one.
    def write(self, handle):
        battery, overwritten, holdings = self._state
        boots = max(1, (self._link.mtu - 2 - _FIXED_BYTES) // _BOOT_BYTES)
        if len(holdings) > boots:
            holdings = holdings[: boots - 1] + holdings[-1:]
        plaintext = encode_status(self._uptime.now(), battery, overwritten, holdings)
        self._ble.gatts_write(handle, self._sealer.seal(STATUS, plaintext))
