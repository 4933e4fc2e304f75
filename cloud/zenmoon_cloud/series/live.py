"""Live fan-out: who has stored announces families, one reader a process turns that into records for every subscriber.

The announcement is only a hint to look. What is given comes from the table in the order of commits (`cursor.py`), so that an
announcement that is lost, doubled or early changes nothing but the moment.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import PoolTimeout

from zenmoon_cloud.database.pool import Database
from zenmoon_cloud.series import store
from zenmoon_cloud.series.cursor import Cursor
from zenmoon_cloud.series.record import cursor_of, record

logger = logging.getLogger(__name__)

COALESCE_S = 0.1
"""Between two announcements and two readings: nobody sees the delay, and a busy second costs ten readings, not a thousand."""

POLL_S = 2.0
"""A writer may die between commit and announcement; this long its records may wait."""

RECONNECT_S = 1.0

ROWS = 500
"""Records read at once, and the most in one message."""

WAITING = 64
"""Runs that wait for one subscriber, each of at most `ROWS` records. A client that is slower is dropped."""

UNAVAILABLE = (psycopg.OperationalError, PoolTimeout)
"""The database does not answer at present."""


class Run(NamedTuple):
    """Consecutive records of one child in the order of commits; `cursor` is that of the last."""

    family_id: UUID
    child_id: str
    records: list[dict[str, Any]]
    cursor: Cursor


def runs(rows: Iterable[dict[str, Any]]) -> list[Run]:
    """Groups rows in the order of commits; a message a run keeps that order for every subscriber."""
    found = []
    for (family_id, child_id), group in groupby(rows, key=lambda row: (row["family_id"], row["child_id"])):
        members = list(group)
        found.append(Run(family_id, child_id, [record(row) for row in members], cursor_of(members[-1])))
    return found


class Announcer:
    """Tells the other processes which families have new records, at most once a `COALESCE_S`.

    Args:
        database: the pools; the role `ingest` announces.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._families: set[UUID] = set()
        self._task: asyncio.Task[None] | None = None

    def mark(self, families: Iterable[UUID]) -> None:
        """Announces `families` soon; call it after the commit."""
        self._families.update(families)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._announce(), name="announce live records")

    async def close(self) -> None:
        """Announces what is left."""
        if self._task:
            await self._task

    async def _announce(self) -> None:
        while self._families:
            await asyncio.sleep(COALESCE_S)
            families, self._families = sorted(self._families), set()
            try:
                async with self._database.ingest.connection() as connection:
                    await store.notify(connection, families)
            except UNAVAILABLE as error:  # the reader polls
                logger.warning("new records were not announced: %s", type(error).__name__)


class Subscriber:
    """One client's place in the stream.

    Attributes:
        families: whose records it gets; may change while it is subscribed.
        start: it gets everything after this cursor.
        overflowed: set when it was too slow and gets nothing more.
    """

    def __init__(self, families: Iterable[UUID], start: Cursor) -> None:
        self.families = frozenset(families)
        self.start = start
        self.overflowed = asyncio.Event()
        self._runs: asyncio.Queue[Run] = asyncio.Queue(WAITING)

    def offer(self, run: Run) -> None:
        """Puts a run in the queue if it is this subscriber's."""
        if run.family_id not in self.families or self.overflowed.is_set():
            return
        try:
            self._runs.put_nowait(run)
        except asyncio.QueueFull:
            self.overflowed.set()

    async def next(self) -> list[Run]:
        """Waits for records; gives all that wait, consecutive runs of one child as one."""
        taken = [await self._runs.get()]
        while not self._runs.empty():
            run, last = self._runs.get_nowait(), taken[-1]
            if run.child_id == last.child_id and len(run.records) + len(last.records) <= ROWS:
                taken[-1] = run._replace(records=last.records + run.records)
            else:
                taken.append(run)
        return taken


class Hub:
    """The one reader of a process.

    Args:
        database: the pools; the role `api` reads, confined to the families of its subscribers.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscribers: set[Subscriber] = set()
        self._position = Cursor.before(1)
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """How many subscribers there are."""
        return len(self._subscribers)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Hub"]:
        """Listens and reads until the end of the block."""
        tasks = [
            asyncio.create_task(self._listen(), name="listen for live records"),
            asyncio.create_task(self._read(), name="read live records"),
        ]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def subscribe(self, families: Sequence[UUID]) -> AsyncIterator[Subscriber]:
        """Subscribes until the end of the block: everything that commits from now on arrives once."""
        async with self._turn:
            if not self._subscribers:  # nobody has moved the position for a while
                async with self._database.family(families) as connection:
                    self._position = Cursor.before((await store.horizon(connection)).end)
            subscriber = Subscriber(families, self._position)
            self._subscribers.add(subscriber)
        self._wake.set()
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

    async def _listen(self) -> None:
        while True:
            try:
                address = str(self._database.api.conninfo)
                async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {store.CHANNEL}")
                    self._wake.set()
                    async for notice in connection.notifies():
                        announced = set(notice.payload.split(","))
                        if any(str(family) in announced for client in self._subscribers for family in client.families):
                            self._wake.set()
            except psycopg.Error as error:  # whatever it was, a reader that stopped would be silent for ever
                logger.warning("live announcements are not heard: %s", type(error).__name__)
            await asyncio.sleep(RECONNECT_S)

    async def _read(self) -> None:
        while True:
            # Not `wait_for`: before Python 3.12 it loses a cancellation that comes in the moment of the wake.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                if self._subscribers and not await self._advance():
                    self._wake.set()
            except psycopg.Error as error:
                logger.warning("live records are not read: %s", type(error).__name__)
            await asyncio.sleep(COALESCE_S)

    async def _advance(self) -> bool:
        """Gives everything that is settled. Returns whether nothing is left in the middle of a transaction."""
        async with self._turn:
            families = frozenset[UUID]().union(*(subscriber.families for subscriber in self._subscribers))
            async with self._database.family(families) as connection:
                end, settled = await store.horizon(connection)
                while self._position < Cursor.before(end):
                    rows = await store.committed(connection, families, self._position, end, ROWS)
                    for run in runs(rows):
                        for subscriber in self._subscribers:
                            subscriber.offer(run)
                    self._position = cursor_of(rows[-1]) if len(rows) == ROWS else Cursor.before(end)
        return settled
