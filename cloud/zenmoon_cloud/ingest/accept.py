"""The one way in for observations: HTTP today, MQTT later, both end here."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import repeat
from typing import Protocol
from uuid import UUID

from zenmoon_edge.core.clock import Clock
from zenmoon_edge.core.record import CONTACT
from zenmoon_edge.messages import Ack, Batch, Refusal

from zenmoon_cloud import settings
from zenmoon_cloud.alerts import Sample, fold
from zenmoon_cloud.database.pool import Connection, Database
from zenmoon_cloud.ingest import ledger, store
from zenmoon_cloud.ingest.decide import BootKey, Kept, Key, Verdict, Wearers, decide, known, place
from zenmoon_cloud.ingest.fields import HOUR_US, MINUTE_US, microseconds
from zenmoon_cloud.ingest.kinds import KINDS, oldest_taken
from zenmoon_cloud.ingest.quarantine import quarantined
from zenmoon_cloud.ingest.validate import Columns, validate
from zenmoon_cloud.ingest.zones import offsets
from zenmoon_cloud.series.weeks import ensure_weeks


class Sender(Protocol):
    """The gateway whose token was checked."""

    @property
    def id(self) -> str:
        """Its public id."""

    @property
    def family_id(self) -> UUID:
        """The one family it serves."""


async def accept(
    batch: Batch,
    gateway: Sender,
    database: Database,
    clock: Clock,
    *,
    mark_live: Callable[[Iterable[UUID]], None] | None = None,
) -> Ack:
    """Stores a batch, each record once, and answers after the commit.

    Everything happens in one transaction of the role `ingest`, confined to the gateway's family. A key enters the ledger
    only when its row is stored. A refused key does not: sent again it is judged again and refused again, without a second
    quarantine row; should a guardian have assigned the device meanwhile, it is stored.

    Args:
        batch: what the gateway sent; its items are unchecked.
        gateway: who sent it, from its token.
        database: the pools.
        clock: the cloud's clock; a demo's runs faster than real time.
        mark_live: told the families with new records, after the commit.

    Returns:
        `accepted + duplicates + len(refused) == len(batch.items)`.
    """
    now = settings.now(clock)
    columns, refusals = validate(batch.items)
    keys = _keys(columns)
    if keys:
        await ensure_weeks(database, now)
    async with database.family([gateway.family_id], role="ingest") as connection:
        verdict = await _store(connection, gateway.family_id, columns, keys, now)
        refusals = sorted([*refusals, *verdict.refusals], key=lambda refusal: refusal.index)
        if any(refusal.code != "consent" for refusal in refusals):
            wearers = await store.wearers(connection)
            rows = quarantined(batch.items, refusals, partial(wearers.content_may_stay, now=microseconds(now)))
            await store.quarantine(connection, gateway.family_id, rows, gateway=gateway.id, batch=batch.batch_id, now=now)
    if verdict.stored and mark_live:
        mark_live([gateway.family_id])
    return Ack(batch.batch_id, len(verdict.stored), verdict.duplicates, refusals)


def _keys(columns: Sequence[Columns]) -> list[Key]:
    """The keys of all kinds in the order of the batch."""
    fields = ("device", "boot", "seq", "ts", "payload")
    keys: list[Key] = []
    for kind in columns:
        revisions = kind.values.get("revision") or repeat(0, len(kind))
        said = zip(kind.index, *(kind.values[name] for name in fields), repeat(kind.kind, len(kind)), revisions, strict=True)
        keys += map(Key._make, said)
    return keys if len(columns) == 1 else sorted(keys)


async def _store(connection: Connection, family: UUID, columns: Sequence[Columns], keys: Sequence[Key], now: datetime) -> Verdict:
    """Decides on every valid item and writes what is new; all inside the caller's transaction."""
    if not keys:
        return Verdict()
    wearers = await store.wearers(connection, {key.device for key in keys})
    placed = _place(keys, wearers, now)
    seqs = _by_boot(keys)
    new = {key[1:3] for key, where in zip(keys, placed, strict=True) if isinstance(where, str) or where.code == "consent"}
    boots = await store.lock_boots(connection, family, seqs, new)

    origins = {boot: row.origin for boot, row in boots.items() if row.origin is not None}
    if origins:
        _re_anchor(columns, origins)
        keys = _keys(columns)
        placed = _place(keys, wearers, now)

    kept: dict[tuple[int, int, int], Kept | None] = {}
    repeated = known(keys, {boot: row.held for boot, row in boots.items()})
    if repeated:
        runs = [(boot, *run) for boot, held in _by_boot(repeated).items() for run in held]
        kept = {key[1:4]: None for key in repeated} | await store.kept(connection, family, runs)
    verdict = decide(keys, placed, kept)

    for kind in columns:
        await _insert(connection, family, kind, verdict, zones=wearers.zones, now=now)
    await _mark_hours(connection, family, columns, verdict)
    await fold(connection, family, _samples(columns, verdict), now)
    refused = {refusal.index for refusal in verdict.refusals if refusal.code == "consent"}
    withheld = _by_boot(key for key in keys if key.position in refused)
    stored = _by_boot(key for key in keys if key.position in verdict.stored)
    if stored or withheld:
        await store.extend_boots(connection, family, stored, withheld)
    return verdict


async def _insert(
    connection: Connection, family: UUID, kind: Columns, verdict: Verdict, *, zones: Mapping[str, str], now: datetime
) -> None:
    keep = [index in verdict.stored for index in kind.index]
    chosen = kind if all(keep) else kind.only(keep)
    if len(chosen):
        children = [verdict.stored[index] for index in chosen.index]
        values = dict(chosen.values)
        if KINDS[kind.kind].zoned:
            home = offsets(children, values["ts"], zones)
            said = values.get("zone_offset_s", home)
            values["zone_offset_s"] = [at_home if there is None else there for at_home, there in zip(home, said, strict=True)]
        await store.insert(connection, family, kind.kind, values, children=children, now=now)


async def _mark_hours(connection: Connection, family: UUID, columns: Sequence[Columns], verdict: Verdict) -> None:
    """Marks the hours of what was stored, in its transaction: who sums them up sees the mark and the rows, or neither."""
    hours = {
        (verdict.stored[index], time // HOUR_US)
        for kind in columns
        if KINDS[kind.kind].summed
        for index, time in zip(kind.index, kind.values["ts"], strict=True)
        if index in verdict.stored
    }
    if hours:
        await store.mark_hours(connection, family, hours)


def _samples(columns: Sequence[Columns], verdict: Verdict) -> list[Sample]:
    """What alarms are made of: newly stored records. Minutes that somebody has summed up are history.

    A loose band still gives a strain, of skin that its electrodes hardly touch: good enough to show as faint, not to alarm anybody.
    """
    names = ("ts", "stress_level", "quality")
    return [
        Sample(verdict.stored[index], time, strain if quality & CONTACT else None)
        for kind in columns
        if kind.kind == "record"
        for index, time, strain, quality in zip(kind.index, *(kind.values[name] for name in names), strict=True)
        if index in verdict.stored
    ]


def _place(keys: Sequence[Key], wearers: Wearers, now: datetime) -> list[str | Refusal]:
    latest = microseconds(now)
    oldest = {kind: microseconds(oldest_taken(kind, now)) for kind in {key.kind for key in keys}}
    return [place(key, wearers, latest, oldest[key.kind]) for key in keys]


def _re_anchor(columns: Sequence[Columns], origins: Mapping[BootKey, int]) -> None:
    """Sets the time of a re-anchored boot's items by its origin: the gateway goes on using the first anchor."""
    for kind in columns:
        values, said = kind.values, kind.values["ts"]
        moved = [
            time if (origin := origins.get((device, boot))) is None else origin + tick_ms * 1000
            for device, boot, tick_ms, time in zip(values["device"], values["boot"], values["tick_ms"], said, strict=True)
        ]
        if KINDS[kind.kind].minute:  # an epoch goes to the minute that it begins in now
            moved = [time - time % MINUTE_US for time in moved]
        if "ended_at" in values:
            ends = zip(values["ended_at"], said, moved, strict=True)
            values["ended_at"] = [end + after - before for end, before, after in ends]
        values["ts"] = moved


def _by_boot(keys: Iterable[Key]) -> dict[BootKey, ledger.Ranges]:
    """The sequence numbers of each boot."""
    seqs: dict[BootKey, list[int]] = {}
    for key in keys:
        seqs.setdefault((key.device, key.boot), []).append(key.seq)
    return {boot: ledger.ranges(numbers) for boot, numbers in seqs.items()}
