# The wearable's own account of what it has journalled, for whoever checks the path behind it. Append-only text, a line
# per entry, and one more after a recording's end event:
#
#     kind boot seq tick_ms payload_hex monotonic_us
#     end boot seq
#
# Numbers are decimal but for the payload; `monotonic_us` is read right after the append had returned.

from board import monotonic_us
from zenmoon_edge.core.record import END, EVENT, KIND_NAMES, payload_hash


class Ledger:
    # A ledger outlives the process: each start appends its own boot.
    def __init__(self, path, firmware, model):
        self._reached = _recover(path)
        self._file = open(path, "a")  # noqa: SIM115 - stays open as long as the process
        self._firmware = firmware
        self._model = model

    # Writes the lines that a killed process owes: it had journalled the entry and not yet said so. Boots that this ledger
    # knows nothing of belong to another one.
    def complete(self, journal):
        for boot, _, following in journal.holdings():
            if boot in self._reached:
                for entry, firmware, model in journal.read(boot, self._reached[boot] + 1, following - 1):
                    self._account(boot, entry, firmware, model)

    # A listener of Entries.
    def write(self, boot, entry):
        self._account(boot, entry, self._firmware, self._model)

    def close(self):
        self._file.close()

    # Flushed entry by entry, because the process may be killed at any moment: an end and its event in one piece.
    def _account(self, boot, entry, firmware, model):
        at = monotonic_us()
        digits = "".join(["%02x" % byte for byte in payload_hash(entry, firmware, model)])
        text = "%s %d %d %d %s %d\n" % (KIND_NAMES[entry.kind], boot, entry.seq, entry.tick_ms, digits, at)
        if entry.kind == EVENT and entry.body[0] == END:
            text += "end %d %d\n" % (boot, entry.seq)
        self._file.write(text)
        self._file.flush()


# The last seq of each boot in the ledger, which is first freed of a line that was never finished.
def _recover(path):
    try:
        with open(path) as file:
            text = file.read()
    except OSError:
        return {}
    whole = text[: text.rfind("\n") + 1]
    if len(whole) < len(text):
        with open(path, "w") as file:
            file.write(whole)
    reached = {}
    for line in whole.split("\n"):
        words = line.split()
        if len(words) > 3:
            reached[int(words[1])] = int(words[2])
    return reached
