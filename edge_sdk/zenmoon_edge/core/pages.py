"""The folder of a journal's pages: which there are, what each holds, and their making and removal."""

import errno
import io
import os

from zenmoon_edge.core.durable import make_durable
from zenmoon_edge.core.page import HEADER_SIZE, PageHeader, decode_header, decode_page_entries, encode_header
from zenmoon_edge.core.record import SEQ_SPAN, CodecError, Entry

# The last page set aside because it is none of ours or not readable: kept for a person to look at, one at most.
ASIDE = "aside"


class HeldPage:
    """One page: its file's number and the seqs `first` … `next` − 1 it holds."""

    def __init__(self, number: int, first: int, following: int) -> None:
        self.number = number
        self.first = first
        self.next = following


class HeldBoot:
    """A boot that still has pages, the oldest page first; the current boot may have none."""

    def __init__(self, boot: int) -> None:
        self.boot = boot
        self.pages: "list[HeldPage]" = []


class Pages:
    """Pages of a folder.

    Attributes:
        boots: `HeldBoot`s, oldest first.
    """

    def __init__(self, directory: str) -> None:
        """Finds what the folder holds, whatever a loss of power left there; makes the folder when it is absent."""
        self.boots: "list[HeldBoot]" = []
        self._directory = directory
        self._next_number = 0
        try:
            os.mkdir(directory)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
        found = []
        for number in self._numbers():
            header = self._header(number)
            if header is not None:
                found.append((number, header))
        for at in range(len(found)):
            self._take(found[at], found[at + 1] if at + 1 < len(found) else None)

    def of(self, boot: int) -> "HeldBoot | None":
        """The boot if it has pages, or is current."""
        for held in self.boots:
            if held.boot == boot:
                return held
        return None

    def count(self) -> int:
        """Pages in all."""
        return sum([len(held.pages) for held in self.boots])

    def create(self, held: HeldBoot, header: PageHeader) -> "tuple[HeldPage, io.BufferedWriter]":
        """A new page with its header on flash, and its open file; OSError when the medium refuses."""
        number = self._next_number
        # A number is never used twice, not even after a failure: what that left behind must not be mistaken for this page.
        self._next_number += 1
        file = open(self._path(number), "wb")  # noqa: SIM115 - stays open
        try:
            file.write(encode_header(header))
            make_durable(file)
        except OSError:
            file.close()
            raise
        page = HeldPage(number, header.seq_base, header.seq_base)
        held.pages.append(page)
        return page, file

    def load(self, held: HeldBoot, page: HeldPage) -> "tuple[PageHeader | None, list[Entry]]":
        """The header and the entries that verify; nothing when the page is missing or not what it was.

        Raises:
            OSError: The medium refuses for now.
        """
        try:
            with open(self._path(page.number), "rb") as file:
                data = file.read()
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return None, []
        try:
            header = decode_header(data)
        except CodecError:
            return None, []
        if (header.boot, header.seq_base) != (held.boot, page.first):
            return None, []
        return header, decode_page_entries(data, header)

    def remove(self, held: HeldBoot, page: HeldPage) -> None:
        """Removes the page; the boot stays listed."""
        held.pages.remove(page)
        self._unlink(self._path(page.number))

    def _numbers(self) -> "list[int]":
        # Names in another spelling are not ours: a page's name is its number in exactly 8 small hex digits.
        names = [name for name in os.listdir(self._directory) if len(name) == 8 and not name.strip("0123456789abcdef")]
        numbers = [int(name, 16) for name in names]
        numbers.sort()
        if numbers:
            self._next_number = numbers[-1] + 1
        return numbers

    def _header(self, number: int) -> "PageHeader | None":
        path = self._path(number)
        try:
            with open(path, "rb") as file:
                data = file.read(HEADER_SIZE)
        except OSError:
            return None
        try:
            return decode_header(data)
        except CodecError as error:
            if error.reason == "truncated":
                self._unlink(path)  # torn at its making: it never held an entry
            else:
                self._set_aside(number)
            return None

    def _take(self, this: "tuple[int, PageHeader]", following: "tuple[int, PageHeader] | None") -> None:
        """Lists a page with the seqs it holds.

        A page whose successor goes on with the same boot is believed to reach up to it, so that opening a full journal
        does not read all of it; damage in there is found when it is read.
        """
        number, header = this
        held = self.of(header.boot)
        if held is None:
            held = HeldBoot(header.boot)
            self.boots.append(held)
        page = HeldPage(number, header.seq_base, header.seq_base)
        reach = following[1].seq_base - header.seq_base if following else 0
        if following and following[0] == number + 1 and following[1].boot == header.boot and 0 < reach <= SEQ_SPAN + 1:
            page.next = following[1].seq_base
        else:
            page.next = header.seq_base + len(self.load(held, page)[1])
        if page.next == page.first:
            self._unlink(self._path(number))
        elif held.pages and page.first < held.pages[-1].next:
            self._set_aside(number)
        else:
            held.pages.append(page)
        if not held.pages:
            self.boots.remove(held)

    def _set_aside(self, number: int) -> None:
        os.rename(self._path(number), self._directory + "/" + ASIDE)

    def _unlink(self, path: str) -> None:
        try:
            os.remove(path)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _path(self, number: int) -> str:
        return "%s/%08x" % (self._directory, number)
