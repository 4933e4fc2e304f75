"""The wearable's journal: an entry is on flash before anything else hears of it, and leaves once it is safe elsewhere.

Pages are files of one boot each (docs/wire.md, "Journal page"). Whatever a loss of power does to the page being written,
all entries before the tear are found again. When the bound is reached the oldest page goes; entries of it that nobody
acknowledged are counted as overwritten first.
"""

import io

from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.marks import BootMarks, Marks
from zenmoon_edge.core.page import HEADER_SIZE, PageHeader, encode_page_entry
from zenmoon_edge.core.pages import HeldBoot, HeldPage, Pages
from zenmoon_edge.core.plaintext import Holding
from zenmoon_edge.core.record import SEQ_MAX, SEQ_SPAN, TICK_SPAN, Entry, pack_body

try:
    from collections.abc import Iterator
except ImportError:
    pass

# A header and the longest entry with its checksum.
_LEAST_PAGE = HEADER_SIZE + 20


class JournalError(EdgeError):
    """The journal cannot do that.

    Reasons: `not_begun` (append before begin), `boot_held` (entries of that boot are known: draw another), `storage`
    (the medium refuses; later appends may succeed), `full` (2**32 entries in one boot), `settings`.
    """


class Journal:
    """Entries in a folder of pages."""

    def __init__(self, directory: str, pages: int = 256, page_bytes: int = 4096) -> None:
        """Opens the folder, making it when absent, and recovers what it holds.

        Args:
            directory: Its own folder; files in it that are none of its own are left alone or set aside.
            pages: Most pages kept. The medium must have room for two more and the marks, about 16 KB.
            page_bytes: Most bytes a page.

        Raises:
            JournalError: `settings`, `storage`.
        """
        if pages < 2 or not _LEAST_PAGE <= page_bytes <= 4096:
            raise JournalError("settings", "%d pages of %d bytes; at least 2 of %d to 4096" % (pages, page_bytes, _LEAST_PAGE))
        self._limit = pages
        self._page_bytes = page_bytes
        self._current: "HeldBoot | None" = None
        self._ids = (0, 0)
        self._next = 0
        self._header: "PageHeader | None" = None
        self._page: "HeldPage | None" = None
        self._file: "io.BufferedWriter | None" = None
        self._size = 0
        try:
            self._pages = Pages(directory)
            self._marks = Marks(directory + "/marks")
            for held in list(self._pages.boots):
                self._count_holes(held)
                self._release(held)
        except OSError as error:
            raise JournalError("storage", "%s cannot be opened: %s" % (directory, error)) from None

    @property
    def overwritten(self) -> int:
        """Entries lost so far, over all boots."""
        return self._marks.overwritten()

    def begin(self, boot: int, firmware: int, model: int) -> None:
        """Starts a boot; returns once its id is on flash. Pages of earlier boots stay until they are acknowledged.

        Args:
            boot: 32 random bits.
            firmware: 32-bit identity of the firmware.
            model: 32-bit identity of its models.

        Raises:
            JournalError: `boot_held`: draw again; `storage`.
        """
        if self._pages.of(boot) is not None or self._marks.of(boot) is not None:
            raise JournalError("boot_held", "boot %d is known already" % boot)
        try:
            self._close_page()
        except OSError as error:
            raise JournalError("storage", "the last page was not closed: %s" % error) from None
        previous = self._current
        if previous is not None and not previous.pages:
            self._pages.boots.remove(previous)
        self._current = HeldBoot(boot)
        self._pages.boots.append(self._current)
        self._ids = (firmware, model)
        self._next = 0
        if previous is not None and previous.pages:
            try:
                self._release(previous)
            except OSError as error:
                raise JournalError("storage", "a page was not removed: %s" % error) from None
        self._turn(0)

    def append(self, kind: int, tick_ms: int, values: tuple) -> Entry:  # type: ignore[type-arg]
        """Journals one entry of the current boot: one write and one flush.

        Args:
            kind: RECORD … HEALTH.
            tick_ms: Milliseconds since boot.
            values: As `pack_body` takes them.

        Returns:
            The entry with its seq. When anything is raised, the seq goes to the next entry unless this one is on flash.

        Raises:
            JournalError: `not_begun`, `storage`, `full`.
            CodecError: The values or the tick are outside the wire.
        """
        if self._current is None:
            raise JournalError("not_begun", "begin a boot before appending to it")
        if self._next > SEQ_MAX:
            raise JournalError("full", "seq is used up; begin another boot")
        entry = Entry(kind, self._next, tick_ms, pack_body(kind, values))
        data = self._encoded(entry)
        file = self._file
        page = self._page
        assert file is not None and page is not None  # noqa: PT018 - a page is open now
        try:
            file.write(data)
            file.flush()
        except OSError as error:
            self._abandon_page()
            raise JournalError("storage", "entry %d was not written: %s" % (entry.seq, error)) from None
        self._size += len(data)
        self._next += 1
        page.next = self._next
        return entry

    def read(self, boot: int, first: int, last: int) -> "Iterator[tuple[Entry, int, int]]":
        """Entries of `boot` from `first` to `last` that are still held, each with its firmware and model.

        Pages may be released, overwritten or appended to between two entries. A page that turns out damaged is counted
        as overwritten from its first bad entry on.

        Raises:
            JournalError: `storage`.
        """
        seq = first
        while seq <= last:
            held, page = self._page_with(boot, seq)
            if held is None or page is None:
                return
            header, entries = self._load(held, page)
            for entry in entries:
                if entry.seq > last:
                    return
                if entry.seq >= seq and header is not None:
                    yield entry, header.firmware, header.model
            seq = max(seq, page.first + len(entries))

    def acknowledge(self, boot: int, seq: int) -> None:
        """Every entry of `boot` up to `seq` is safe elsewhere: whole pages of them go.

        Raises:
            JournalError: `storage`.
        """
        held = self._pages.of(boot)
        if held is None:
            return
        if held is self._current:
            # Nobody can have what was not yet written: such an acknowledgement must not eat later entries.
            seq = min(seq, self._next - 1)
        known = self._known(boot)
        if seq <= known.acknowledged:
            return
        try:
            self._marks.acknowledge(boot, seq)
            self._release(held)
            self._shorten_marks()
        except OSError as error:
            raise JournalError("storage", "the acknowledgement was not noted: %s" % error) from None

    def holdings(self) -> "list[Holding]":
        """What is held of each boot, oldest boot first, the current one last even when nothing of it is held."""
        holdings = []
        for held in self._pages.boots:
            if held.pages:
                holdings.append(Holding(held.boot, held.pages[0].first, held.pages[-1].next))
            else:
                holdings.append(Holding(held.boot, self._next, self._next))
        return holdings

    def gone(self, boot: int, first: int, last: int) -> "list[tuple[int, int, int]]":
        """Runs (first, last, reason) of what is not held any more.

        OVERWRITTEN also stands for what an unknown boot, or a torn tail, may have held; RELEASED only for what was
        acknowledged. Entries that the current boot has not yet written are not gone.
        """
        held = self._pages.of(boot)
        if held is not None and held is self._current:
            last = min(last, self._next - 1)
        known = self._known(boot)
        runs: "list[tuple[int, int, int]]" = []
        at = first
        for page in held.pages if held is not None else ():
            if at < page.first:
                runs += known.explain(at, min(page.first - 1, last))
            at = max(at, page.next)
        if at <= last:
            runs += known.explain(at, last)
        return runs

    def close(self) -> None:
        """Lets go of the files. The folder can be opened again; the boot is over."""
        self._close_page()
        self._marks.close()
        self._current = None

    def _known(self, boot: int) -> BootMarks:
        return self._marks.of(boot) or BootMarks(boot)

    def _encoded(self, entry: Entry) -> bytes:
        """The entry's bytes for the open page, which is a new one when the entry does not fit."""
        header = self._header
        if self._file is not None and header is not None:
            reach = 0 <= entry.tick_ms - header.tick_base <= TICK_SPAN and entry.seq - header.seq_base <= SEQ_SPAN
            if reach:
                data = encode_page_entry(entry, header)
                if self._size + len(data) <= self._page_bytes:
                    return data
        # Checked before a page is turned for it: an impossible tick must not cost one.
        encode_page_entry(entry, PageHeader(0, entry.seq, entry.tick_ms, 0, 0))
        self._turn(entry.tick_ms)
        assert self._header is not None
        return encode_page_entry(entry, self._header)

    def _turn(self, tick_base: int) -> None:
        """Opens the next page of the current boot, making room first."""
        current = self._current
        assert current is not None
        header = PageHeader(current.boot, self._next, tick_base, self._ids[0], self._ids[1])
        try:
            self._close_page()
            self._release(current)
            while self._pages.count() >= self._limit:
                self._drop_oldest()
            self._page, self._file = self._pages.create(current, header)
        except OSError as error:
            raise JournalError("storage", "no new page: %s" % error) from None
        self._header = header
        self._size = HEADER_SIZE

    def _drop_oldest(self) -> None:
        held = self._pages.boots[0]
        page = held.pages[0]
        self._lose(held.boot, page.first, page.next - 1)
        self._remove(held, page)
        self._shorten_marks()

    def _shorten_marks(self) -> None:
        if self._marks.long():
            self._marks.renew([held.boot for held in self._pages.boots])

    def _lose(self, boot: int, first: int, last: int) -> None:
        for start, end in self._known(boot).owed(first, last):
            self._marks.overwrite(boot, start, end)

    def _remove(self, held: HeldBoot, page: HeldPage) -> None:
        self._pages.remove(held, page)
        if not held.pages and held is not self._current:
            self._pages.boots.remove(held)

    def _release(self, held: HeldBoot) -> None:
        """Removes the pages, but for the open one, of which nothing is owed to anybody."""
        known = self._known(held.boot)
        for page in list(held.pages):
            if page is not self._page and not known.owed(page.first, page.next - 1):
                self._remove(held, page)

    def _close_page(self) -> None:
        file = self._file
        # First: a file whose closing fails takes no more either.
        self._file = self._page = self._header = None
        if file is not None:
            file.close()

    def _abandon_page(self) -> None:
        """After a failed write: finds out what of it is on flash and goes on in a new page."""
        held, page = self._current, self._page
        assert held is not None and page is not None  # noqa: PT018 - a write to it has failed
        try:
            self._close_page()
        except OSError:
            pass
        try:
            # Never back: what was journalled before keeps its seqs even if it turns out damaged now.
            self._next = page.next = max(self._next, page.first + len(self._pages.load(held, page)[1]))
        except OSError:
            # Whether the entry is there cannot be known; its seq is given to no other.
            self._next += 1

    def _page_with(self, boot: int, seq: int) -> "tuple[HeldBoot | None, HeldPage | None]":
        """The page with `seq`, or the first after it."""
        held = self._pages.of(boot)
        for page in held.pages if held is not None else ():
            if seq < page.next:
                return held, page
        return None, None

    def _load(self, held: HeldBoot, page: HeldPage) -> "tuple[PageHeader | None, list[Entry]]":
        try:
            header, entries = self._pages.load(held, page)
            good = page.first + len(entries)
            if good < page.next:
                if page is self._page:
                    self._close_page()
                self._lose(held.boot, good, page.next - 1)
                page.next = good
                if good == page.first:
                    self._remove(held, page)
        except OSError as error:
            raise JournalError("storage", "page %08x cannot be read: %s" % (page.number, error)) from None
        return header, entries

    def _count_holes(self, held: HeldBoot) -> None:
        """Whatever went missing between pages that are there was lost without a mark: it gets one now."""
        expected = 0
        for page in held.pages:
            if expected < page.first:
                self._lose(held.boot, expected, page.first - 1)
            expected = page.next
