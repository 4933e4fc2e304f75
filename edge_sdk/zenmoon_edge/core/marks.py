"""The journal's own notes: what was acknowledged and what was lost, boot by boot (docs/wire.md, "Journal page").

A file of 15-byte marks, each with its checksum; a torn tail is cut off at opening. Once the file is long it is written
anew with one mark a fact and renamed over the old one.
"""

import io
import os
import struct

from zenmoon_edge.core.crc import crc16
from zenmoon_edge.core.durable import make_durable
from zenmoon_edge.core.plaintext import OVERWRITTEN, RELEASED

# Types of a mark.
_ACKNOWLEDGED = 1
_OVERWRITTEN = 2
MARK_SIZE = 15

# Renewed when it has grown by this much: 273 acknowledgements.
_LONG = 4096
# Boots whose entries are all gone and that still can be asked about.
_REMEMBERED = 64


class BootMarks:
    """What is known of one boot beside its pages.

    Attributes:
        boot: Its id.
        acknowledged: Highest seq acknowledged, −1 for none.
        overwritten: [first, last] runs that were lost, rising and apart.
    """

    def __init__(self, boot: int) -> None:
        self.boot = boot
        self.acknowledged = -1
        self.overwritten: "list[list[int]]" = []

    def lost(self) -> int:
        """How many entries were lost."""
        return sum([last - first + 1 for first, last in self.overwritten])

    def owed(self, first: int, last: int) -> "list[tuple[int, int]]":
        """Runs within `first`…`last` that are neither acknowledged nor lost."""
        runs = []
        at = max(first, self.acknowledged + 1)
        for start, end in self.overwritten:
            if at < start and at <= last:
                runs.append((at, min(start - 1, last)))
            at = max(at, end + 1)
        if at <= last:
            runs.append((at, last))
        return runs

    def explain(self, first: int, last: int) -> "list[tuple[int, int, int]]":
        """Runs (first, last, reason) that together are `first`…`last`, none of which is held any more."""
        runs = []
        lost = [(max(start, first), min(end, last)) for start, end in self.overwritten if start <= last and first <= end]
        for start, end in lost + [(last + 1, last + 1)]:
            released = min(start - 1, self.acknowledged)
            if first <= released:
                runs.append((first, released, RELEASED))
                first = released + 1
            if first < start:
                runs.append((first, start - 1, OVERWRITTEN))
            if end <= last:
                runs.append((start, end, OVERWRITTEN))
            first = end + 1
        return runs

    def add(self, first: int, last: int) -> None:
        """Takes in a lost run; runs that touch become one."""
        apart = []
        for run in self.overwritten:
            if run[1] + 1 < first or last + 1 < run[0]:
                apart.append(run)
            else:
                first = min(first, run[0])
                last = max(last, run[1])
        apart.append([first, last])
        self.overwritten = sorted(apart)


class Marks:
    """The marks file of a journal's folder.

    Attributes:
        boots: `BootMarks`, the boot first noted first.
    """

    def __init__(self, path: str) -> None:
        self.boots: "list[BootMarks]" = []
        self._path = path
        self._new = path + ".new"
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            data = b""
        used = self._load(data)
        self._short = 0
        self._size = used
        self._file: "io.BufferedWriter | None" = None
        self._torn = used < len(data)
        if self._torn:
            self.renew()

    def of(self, boot: int) -> "BootMarks | None":
        """What is known of `boot`, None when nothing is."""
        for known in self.boots:
            if known.boot == boot:
                return known
        return None

    def acknowledge(self, boot: int, seq: int) -> None:
        """Notes durably that every entry up to `seq` is safe elsewhere."""
        self._append(_ACKNOWLEDGED, boot, 0, seq)

    def overwrite(self, boot: int, first: int, last: int) -> None:
        """Notes durably that entries are lost; before they are."""
        self._append(_OVERWRITTEN, boot, first, last)

    def overwritten(self) -> int:
        """Entries lost in all."""
        return sum([known.lost() for known in self.boots])

    def long(self) -> bool:
        """Whether the file has grown enough to be written anew."""
        return self._size - self._short > _LONG

    def renew(self, held: "list[int] | None" = None) -> None:
        """Writes the file anew, atomically; given the boots held, of all others only the latest stay known one by one."""
        if held is not None:
            self._forget(held)
        parts = []
        for known in self.boots:
            if known.acknowledged >= 0:
                parts.append(_mark(_ACKNOWLEDGED, known.boot, 0, known.acknowledged))
            for first, last in known.overwritten:
                parts.append(_mark(_OVERWRITTEN, known.boot, first, last))
        data = b"".join(parts)
        self.close()
        with open(self._new, "wb") as file:
            file.write(data)
            make_durable(file)
        os.rename(self._new, self._path)
        self._torn = False
        self._short = self._size = len(data)

    def close(self) -> None:
        """Lets go of the file; it opens again by itself."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _load(self, data: bytes) -> int:
        at = 0
        while at + MARK_SIZE <= len(data):
            mark = data[at : at + MARK_SIZE]
            kind, boot, first, last, crc = struct.unpack("<BIIIH", mark)
            if crc != crc16(mark[:-2]) or kind not in (_ACKNOWLEDGED, _OVERWRITTEN) or first > last:
                break
            self._note(kind, boot, first, last)
            at += MARK_SIZE
        return at

    def _note(self, kind: int, boot: int, first: int, last: int) -> None:
        known = self.of(boot)
        if known is None:
            known = BootMarks(boot)
            self.boots.append(known)
        if kind == _ACKNOWLEDGED:
            known.acknowledged = max(known.acknowledged, last)
        else:
            known.add(first, last)

    def _append(self, kind: int, boot: int, first: int, last: int) -> None:
        if self._torn:
            # What stands behind a torn mark would never be read again.
            self.renew()
        if self._file is None:
            self._file = open(self._path, "ab")  # noqa: SIM115 - stays open
        self._torn = True
        self._file.write(_mark(kind, boot, first, last))
        make_durable(self._file)
        self._torn = False
        self._size += MARK_SIZE
        self._note(kind, boot, first, last)

    def _forget(self, held: "list[int]") -> None:
        """Keeps the number of boots bounded and the sum of what was lost right.

        The oldest boots that are gone hand their losses on as a bare number of entries to the next one: whoever still
        asks about so old a boot hears "overwritten", as about any boot that is not known.
        """
        gone = [known for known in self.boots if known.boot not in held]
        for at in range(len(gone) - _REMEMBERED):
            lost = gone[at].lost()
            if lost:
                total = min(lost + gone[at + 1].lost(), 0xFFFFFFFF)
                gone[at + 1].overwritten = [[0, total - 1]]
            self.boots.remove(gone[at])


def _mark(kind: int, boot: int, first: int, last: int) -> bytes:
    data = struct.pack("<BIII", kind, boot, first, last)
    return data + struct.pack("<H", crc16(data))
