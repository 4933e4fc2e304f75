"""What the journal's tests stand on: a fresh folder, and short words for what they do with it."""

# MicroPython has no pathlib, and no star in a list.

import os
from binascii import hexlify

from zenmoon_edge.core.journal import Journal, JournalError
from zenmoon_edge.core.record import EVENT, Record

BOOT = 3735928559
RECORD_VALUES = Record(169, 38, 12, 241, 3318, 31, 107, 18, 63, 81)
# Pages of 27 + 4 × 11 bytes: four events each.
FOUR_EVENTS = 71


try:
    os.stat("/dev/shm")
    # Memory: hundreds of flushes to a disk would be most of what these tests take.
    BASE = "/dev/shm"
except OSError:
    BASE = "/tmp"


class Folder:
    """A fresh folder that goes with its content."""

    def __enter__(self):
        self.path = BASE + "/zenmoon-journal-" + hexlify(os.urandom(8)).decode()
        self._journals = []
        return self

    def __exit__(self, *_):
        for journal in self._journals:
            journal.close()
        for name in self.files():
            os.remove(self.path + "/" + name)
        os.rmdir(self.path)

    def open(self, **settings):
        """The journal as it is found after power came back."""
        for journal in self._journals:
            journal.close()
        journal = Journal(self.path, **settings)
        self._journals = [journal]
        return journal

    def files(self):
        return sorted(os.listdir(self.path))

    def pages(self):
        return [name for name in self.files() if len(name) == 8]

    def bytes_of(self, name):
        with open(self.path + "/" + name, "rb") as file:
            return file.read()

    def put(self, name, data):
        with open(self.path + "/" + name, "wb") as file:
            file.write(data)


def append_events(journal, count, start=0):
    for at in range(start, start + count):
        journal.append(EVENT, at * 1000, (3, at))


def seqs(journal, boot=BOOT, first=0, last=0xFFFFFFFF):
    return [entry.seq for entry, _, _ in journal.read(boot, first, last)]


def refusal(function, *arguments, **named):
    """The reason a call is refused for, None when it is not."""
    try:
        function(*arguments, **named)
    except JournalError as error:
        return error.reason
    return None
