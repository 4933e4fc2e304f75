# Answers RESEND: what the journal holds in frames as full as the MTU allows, GONE for what it does not, DONE at the end.

import asyncio

from zenmoon.link import DisconnectedError
from zenmoon_edge.core.frame import done_plaintext, entries_per_frame, entries_plaintext, gone_plaintext
from zenmoon_edge.core.record import SEQ_SPAN, TICK_SPAN

try:
    from micropython import const
except ImportError:

    def const(value):
        return value


_REQUESTS = const(8)


class Backlog:
    # flag: class of a flag with set() and wait(), which clears it (a board's choice).
    def __init__(self, link, journal, boot, flag):
        self._link = link
        self._journal = journal
        self._boot = boot
        self._requests = []
        self._wake = flag()
        self._handle = None

    # Queues a request for the present connection; those of an earlier one are dropped. False if too many are waiting.
    def ask(self, request):
        session = self._link.session
        self._requests = [waiting for waiting in self._requests if waiting[0] == session]
        if len(self._requests) >= _REQUESTS:
            return False
        self._requests.append((session, request))
        self._wake.set()
        return True

    # handle: value handle of the characteristic to notify.
    async def run(self, handle):
        self._handle = handle
        self._requests = []
        while True:
            await self._wake.wait()
            while self._requests:
                session, request = self._requests.pop(0)
                try:
                    await self._answer(session, request.boot, request.first, request.last)
                except DisconnectedError:
                    pass

    # The journal may release or overwrite pages between two frames. A hole is therefore reported when it is met, and
    # only for entries that were not sent: a GONE after the entry would be counted as a loss that never was.
    async def _answer(self, session, boot, first, last):
        expected = first
        group = []
        ids = None
        room = 0
        for entry, firmware, model in self._journal.read(boot, first, last):
            if group and (
                len(group) >= room
                or entry.kind != group[0].kind
                or ids != (firmware, model)
                or entry.seq - group[0].seq > SEQ_SPAN
                or not 0 <= entry.tick_ms - group[0].tick_ms <= TICK_SPAN
            ):
                await self._send_entries(session, boot, group, ids)
                group = []
            if entry.seq > expected:
                await self._send_gone(session, boot, expected, entry.seq - 1)
            if not group:
                room = entries_per_frame(self._link.payload, entry.kind, boot != self._boot)
                if room < 1:
                    # Nothing fits before the MTU is exchanged; DONE would be a lie.
                    raise DisconnectedError
                ids = (firmware, model)
            group.append(entry)
            expected = entry.seq + 1
        if group:
            await self._send_entries(session, boot, group, ids)
        if expected <= last:
            await self._send_gone(session, boot, expected, last)
        await self._send(session, done_plaintext(boot, first, last))

    async def _send_entries(self, session, boot, group, ids):
        earlier = None if boot == self._boot else boot
        await self._send(session, entries_plaintext(group, ids[0], ids[1], earlier))

    async def _send_gone(self, session, boot, first, last):
        for start, end, reason in self._journal.gone(boot, first, last):
            await self._send(session, gone_plaintext(boot, start, end, reason))

    # Gives way after every frame: a journal full of backlog must not hold up sampling.
    async def _send(self, session, plaintext):
        await self._link.send(session, self._handle, plaintext)
        await asyncio.sleep(0)
