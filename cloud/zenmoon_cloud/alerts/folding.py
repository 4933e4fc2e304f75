"""Newly stored records become alarms, in the transaction that stores them: no record is acknowledged whose alarm is lost."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from zenmoon_cloud.alerts import fold_store
from zenmoon_cloud.alerts.alarms import settle
from zenmoon_cloud.alerts.episodes import HORIZON_US, Rule, Sample, Track, episodes, forget, observe
from zenmoon_cloud.alerts.rules import rule_of
from zenmoon_cloud.alerts.stretches import FOR_EVER, together
from zenmoon_cloud.database.pool import Connection


async def fold(connection: Connection, family: UUID, samples: Iterable[Sample], now: datetime) -> None:
    """Raises, extends and ends alarms by what newly stored records say.

    The order in which records arrive makes no difference within `HORIZON_US`. Rows of `alert_tracks` are locked child by child, in
    rising order, so that two batches of a family wait for each other and see what the other has seen.

    Args:
        connection: the transaction of the role `ingest` that stores the records.
        family: its family.
        samples: of any of its children, in any order, each record once.
        now: the cloud's clock.
    """
    seen: dict[str, list[tuple[int, float | None]]] = {}
    for child_id, time, strain in samples:
        seen.setdefault(child_id, []).append((time, strain))
    if not seen:
        return
    rows = await fold_store.lock(connection, family, sorted(seen))
    tracks: dict[str, Track] = {}
    for child_id, row in rows.items():
        rule = rule_of(row.threshold, row.minutes)
        track = row.track or Track(rule=rule, since=0, latest=0)
        if track.rule != rule or not row.enabled:
            track = await _begin_anew(connection, family, child_id, track, rule, now=now)
        if row.enabled:
            after = observe(track, seen[child_id])
            found = episodes(after)
            # While one goes on, a closed alarm may hide that enough has come since.
            if found != episodes(track) or (found and found[-1].end is None):
                await _tell(connection, family, child_id, after, now)
            # A clock that runs ahead must not make everything else look too old.
            track = forget(after, min(after.latest, fold_store.microseconds(now)) - HORIZON_US)
        if track != row.track:
            tracks[child_id] = track
    await fold_store.save(connection, family, tracks)


async def _begin_anew(connection: Connection, family: UUID, child_id: str, track: Track, rule: Rule, *, now: datetime) -> Track:
    """Ends what the old rule has found, as far as it was seen, and lets another rule look at what comes from now on."""
    ended = replace(track, latest=FOR_EVER)
    found = episodes(ended)
    if found:
        await _tell(connection, family, child_id, ended, now)
    settled = (episode.end for episode in found if episode.end is not None)
    since = max(track.since, min(track.latest, fold_store.microseconds(now)), *settled)
    return Track(rule=rule, since=since, latest=track.latest)


async def _tell(connection: Connection, family: UUID, child_id: str, track: Track, now: datetime) -> None:
    """Makes the alarms of a child say what its track shows."""
    alarms = await fold_store.alarms(connection, family, child_id, track.since)
    found = episodes(track, together(alarms.closed, 0))
    changed, raised = settle(alarms.open, found, track.since)
    if changed is not None and alarms.open is not None and alarms.id is not None and changed != alarms.open.facts:
        await fold_store.change(connection, family, alarms.id, changed)
    if raised is not None:
        await fold_store.raise_alarm(connection, family, child_id, track.rule, raised, now=now)
