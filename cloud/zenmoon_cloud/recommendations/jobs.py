"""The round that makes suggestions when they are due: one a half hour and child, on the worker."""

import secrets

from zenmoon_cloud import decisions
from zenmoon_cloud.database.queue import Blueprint, Work, families_of, per_shard
from zenmoon_cloud.recommendations import background_store, store
from zenmoon_cloud.recommendations.background_store import Candidate
from zenmoon_cloud.recommendations.half_hours import half_hour
from zenmoon_cloud.recommendations.recommend import recommend
from zenmoon_cloud.settings import now

blueprint = Blueprint()

CHANCE = secrets.SystemRandom()


@per_shard(blueprint, cron="* * * * *")
async def suggest(work: Work, shard: int) -> None:
    """Decide for every child of the shard that wears its band and has no decision in this half hour yet.

    Raises:
        ExceptionGroup: Some children could not be served; the others were.
    """
    failures: list[Exception] = []
    async for families in families_of(work.database, shard):
        at = now(work.clock)
        async with work.database.family(families, role="worker") as connection:
            found = await background_store.candidates(connection, families, at)
        for candidate in found:
            try:
                if candidate.decided != half_hour(at, candidate.zone):
                    await _serve(work, candidate)
            except Exception as error:  # one family's trouble must not silence those behind it
                failures.append(error)
    if failures:
        raise ExceptionGroup("suggestions that were due could not be made", failures)


async def _serve(work: Work, candidate: Candidate) -> None:
    at = now(work.clock)
    async with work.database.family([candidate.family_id], role="worker") as connection:
        await decisions.lock_child(connection, candidate.child_id)
        child = await store.find_child(connection, candidate.child_id, at)
        if child is None:
            return
        slot_start = half_hour(at, child.zone)
        made = await recommend(connection, child, at, u=CHANCE.random(), asked=False, slot_start=slot_start)
    if made is not None:
        work.announce([candidate.family_id])
