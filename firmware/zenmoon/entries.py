# Where every entry of this boot passes: the journal first, then whoever listens (radio, a board's ledger).

import os

from zenmoon_edge.core.journal import JournalError
from zenmoon_edge.core.record import BOOT, EVENT


class Entries:
    # Draws the boot id, which is on flash before any frame can carry it, and journals the boot event, which gets seq 0.
    # listeners: functions of (boot, Entry), called after it is in the journal. They must not block.
    def __init__(self, journal, firmware, model, reset_cause, listeners=()):
        self.journal = journal
        self.firmware = firmware
        self.model = model
        self.boot = _begin(journal, firmware, model)
        self._listeners = list(listeners)
        self.append(EVENT, 0, (BOOT, reset_cause))

    def listen(self, listener):
        self._listeners.append(listener)

    # kind, values: as core.record.pack_body takes them. A failing journal is raised: no entry, no promise.
    def append(self, kind, tick_ms, values):
        entry = self.journal.append(kind, tick_ms, values)
        for listener in self._listeners:
            listener(self.boot, entry)
        return entry


# Begins a boot under 32 random bits, and not under a counter: a counter would start again when flash is erased, and new
# data would look like duplicates of the old.
def _begin(journal, firmware, model):
    while True:
        boot = int.from_bytes(os.urandom(4), "little")
        try:
            journal.begin(boot, firmware, model)
            return boot
        except JournalError as error:
            if error.reason != "boot_held":
                raise
