"""Live fan-out: who has stored announces families, one reader a process turns that into records and changes for every subscriber.

The announcement is only a hint to look. What is given comes from the table in the order of commits (`cursor.py`), so that an
announcement that is lost, doubled or early changes nothing but the moment.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, NamedTuple, Protocol
from uuid import UUID

import psycopg
from psycopg_pool import PoolTimeout

from zenmoon_cloud.database.pool import Connection, Database
from zenmoon_cloud.series import live_store
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
"""Runs and changes that wait for one subscriber, each of at most `ROWS` records. A client that is slower is dropped."""

UNAVAILABLE = (psycopg.OperationalError, PoolTimeout)
"""The database does not answer at present."""


Type = Literal["alert", "recommendation"]


class Changed(Protocol):
    """Something beside records that a page must hear of. A domain that may not import this one has a class of its own.

    Attributes:
        family_id: whose it is.
        child_id: whom it is about.
        type: of the message.
        message: a plain sentence.
        data: the message's `data`: `{"alert": {…}}` or `{"recommendation": {…}}`, JSON values with an id and a revision.
        transaction: id of the transaction that changed it last.
    """

    @property
    def family_id(self) -> UUID:
        """Whose it is."""

    @property
    def child_id(self) -> str:
        """Whom it is about."""

    @property
    def type(self) -> Type:
        """Of the message."""

    @property
    def message(self) -> str:
        """A plain sentence."""

    @property
    def data(self) -> Mapping[str, Any]:
        """The message's `data`."""

    @property
    def transaction(self) -> int:
        """Which transaction changed it last."""


class Change(NamedTuple):
    """A `Changed` for those above this domain."""

    family_id: UUID
    child_id: str
    type: Type
    message: str
    data: Mapping[str, Any]
    transaction: int


Source = Callable[[Connection, Iterable[UUID], int, int], Awaitable[Sequence[Changed]]]
"""Reads what transactions from the first number until before the second have changed for the families, as it stands now. The
connection is a transaction of the role `api` that sees those families."""


class Notice(NamedTuple):
    """One change in its place among the records; at least once, so that a page tells by id and revision what it knows."""

    change: Changed
    cursor: Cursor

    @property
    def family_id(self) -> UUID:
        """Whose it is."""
        return self.change.family_id


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


def ordered(rows: Iterable[dict[str, Any]], changes: Iterable[Changed]) -> list[Run | Notice]:
    """Puts changes behind the records of their transaction.

    Only the last change of a transaction carries a cursor behind it: a page that comes back with an earlier one gets all of that
    transaction's changes again, in whatever order their sources give them then.

    Args:
        rows: records in the order of commits.
        changes: in any order.
    """
    told: dict[int, list[Changed]] = {}
    for change in changes:
        told.setdefault(change.transaction, []).append(change)
    waiting = sorted(told, reverse=True)
    found: list[Run | Notice] = []
    records: list[dict[str, Any]] = []

    def tell(transaction: int) -> None:
        found.extend(runs(records))
        records.clear()
        *first, last = told[transaction]
        found.extend(Notice(change, Cursor.records_of(transaction)) for change in first)
        found.append(Notice(last, Cursor.before(transaction + 1)))

    for row in rows:
        while waiting and waiting[-1] < row["transaction"]:
            tell(waiting.pop())
        records.append(row)
    while waiting:
        tell(waiting.pop())
    return found + runs(records)


async def read(
    connection: Connection, families: Collection[UUID], sources: Iterable[Source], after: Cursor, until: Cursor
) -> tuple[list[Run | Notice], Cursor]:
    """Reads on, at most `ROWS` records.

    Args:
        connection: a transaction of the role `api` that sees `families`.
        families: whose records and changes.
        sources: of the changes.
        after: what was given before.
        until: the last that may be given; everything up to there is settled.

    Returns:
        What comes next, and how far that goes. What a source cannot tell is left out: it must hold back neither the records nor
        what other sources tell.
    """
    rows = await live_store.committed(connection, families, after, until.transaction + 1, ROWS)
    upto = min(cursor_of(rows[-1]), until) if len(rows) == ROWS else until
    changes: list[Changed] = []
    for source in sources:
        try:
            async with connection.transaction():
                changes += await source(connection, families, after.next_transaction, upto.next_transaction)
        except UNAVAILABLE:
            raise
        except Exception:
            logger.exception("changes were not read")
    return ordered((row for row in rows if cursor_of(row) <= upto), changes), upto


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
                    await live_store.notify(connection, families)
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
        self._waiting: asyncio.Queue[Run | Notice] = asyncio.Queue(WAITING)

    def offer(self, news: Run | Notice) -> None:
        """Puts records or a change in the queue if they are this subscriber's."""
        if news.family_id not in self.families or self.overflowed.is_set():
            return
        try:
            self._waiting.put_nowait(news)
        except asyncio.QueueFull:
            self.overflowed.set()

    async def next(self) -> list[Run | Notice]:
        """Waits for news; gives all that wait, consecutive runs of one child as one."""
        taken = [await self._waiting.get()]
        while not self._waiting.empty():
            news, last = self._waiting.get_nowait(), taken[-1]
            if (
                isinstance(news, Run)
                and isinstance(last, Run)
                and news.child_id == last.child_id
                and len(news.records) + len(last.records) <= ROWS
            ):
                taken[-1] = news._replace(records=last.records + news.records)
            else:
                taken.append(news)
        return taken


class Hub:
    """The one reader of a process.

    Args:
        database: the pools; the role `api` reads, confined to the families of its subscribers.
        sources: of what is told beside records.
    """

    def __init__(self, database: Database, sources: Sequence[Source] = ()) -> None:
        self.sources = tuple(sources)
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
                    self._position = Cursor.before((await live_store.horizon(connection)).end)
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
                    await connection.execute(f"LISTEN {live_store.CHANNEL}")
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
            except Exception:  # a reader that stopped would be silent for ever
                logger.exception("live records are not read")
            await asyncio.sleep(COALESCE_S)

    async def _advance(self) -> bool:
        """Gives everything that is settled. Returns whether nothing is left in the middle of a transaction."""
        async with self._turn:
            families = frozenset[UUID]().union(*(subscriber.families for subscriber in self._subscribers))
            async with self._database.family(families) as connection:
                end, settled = await live_store.horizon(connection)
                while self._position < Cursor.before(end):
                    news, upto = await read(connection, families, self.sources, self._position, Cursor.before(end))
                    for subscriber in self._subscribers:
                        for piece in news:
                            subscriber.offer(piece)
                    self._position = upto
        return settled
