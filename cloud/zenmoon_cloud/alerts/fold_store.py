"""SQL of folding: what the rules have seen, and the alarms that follow from it. Ingest runs it in its own transaction."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import tuple_row

from zenmoon_cloud.alerts.alarms import Facts, Open
from zenmoon_cloud.alerts.episodes import Rule, Track
from zenmoon_cloud.alerts.stretches import Stretch, literal, parse
from zenmoon_cloud.database.pool import Connection

ROLE = "ingest"

RULE = "strain"
"""The one rule there is."""

# Makes the missing rows and locks the others, in one order for everybody, so that batches wait and never deadlock. `WHERE false`:
# nothing is written to a row that is there.
LOCK_TRACKS = """
INSERT INTO alert_tracks (family_id, child_id, rule)
SELECT %(family)s::uuid, child_id, %(rule)s::text FROM unnest(%(children)s::text[]) AS batch (child_id) ORDER BY child_id
ON CONFLICT (family_id, child_id, rule) DO UPDATE SET since = excluded.since WHERE false
"""

TRACKS = """
SELECT track.child_id, track.threshold, track.minutes, since, latest, above::text, peaks, middle::text, below::text,
  alert_rules.threshold, alert_rules.minutes, coalesce(alert_rules.enabled, true)
FROM alert_tracks AS track
LEFT JOIN alert_rules USING (family_id, child_id, rule)
WHERE track.family_id = %(family)s AND track.child_id = ANY (%(children)s::text[]) AND track.rule = %(rule)s
ORDER BY track.child_id
"""

SAVE_TRACK = """
UPDATE alert_tracks SET threshold = %(threshold)s, minutes = %(minutes)s, since = %(since)s, latest = %(latest)s,
  above = %(above)s::text::int8multirange, peaks = %(peaks)s::int2[], middle = %(middle)s::text::int8multirange,
  below = %(below)s::text::int8multirange
WHERE family_id = %(family)s AND child_id = %(child)s AND rule = %(rule)s
"""

ALARMS = """
SELECT id, began_at, ended_at, episodes, peak, spans::text, acknowledged_at, closed FROM alerts
WHERE family_id = %(family)s AND child_id = %(child)s AND rule = %(rule)s AND (NOT closed OR ended_at > %(since)s)
ORDER BY id FOR UPDATE
"""

RAISE = """
INSERT INTO alerts (family_id, child_id, rule, threshold, minutes, raised_at, began_at, ended_at, episodes, peak, spans)
VALUES (%(family)s, %(child)s, %(rule)s, %(threshold)s, %(minutes)s, %(now)s, %(began)s, %(ended)s, %(episodes)s, %(peak)s,
  %(spans)s::text::int8multirange)
"""

CHANGE = """
UPDATE alerts SET began_at = %(began)s, ended_at = %(ended)s, episodes = %(episodes)s, peak = %(peak)s,
  spans = %(spans)s::text::int8multirange, revision = revision + 1, transaction_id = pg_current_xact_id()
WHERE family_id = %(family)s AND id = %(id)s
"""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Seen(NamedTuple):
    """A locked row of `alert_tracks`, and what the guardians or the learner have chosen.

    Attributes:
        track: None before the first sample.
        threshold: None = nobody has chosen one.
        minutes: None = nobody has chosen.
        enabled: whether there shall be alarms.
    """

    track: Track | None
    threshold: float | None
    minutes: int | None
    enabled: bool


class Alarms(NamedTuple):
    """The alarms of a child that a fold may touch.

    Attributes:
        id: of the open one.
        open: it.
        closed: from begin to end of each closed one.
    """

    id: UUID | None
    open: Open | None
    closed: list[Stretch]


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (moment - EPOCH) // MICROSECOND


def moment(microseconds_utc: int) -> datetime:
    """The inverse of `microseconds`."""
    return EPOCH + microseconds_utc * MICROSECOND


async def lock(connection: Connection, family: UUID, children: Sequence[str]) -> dict[str, Seen]:
    """Locks what was seen of `children`, given in rising order, until the transaction ends."""
    arguments = {"family": family, "children": list(children), "rule": RULE}
    await connection.execute(LOCK_TRACKS, arguments)
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(TRACKS, arguments)
    return {row[0]: Seen(_track(row[1:9]), *row[9:]) for row in await cursor.fetchall()}


def _track(row: tuple[Any, ...]) -> Track | None:
    threshold, minutes, since, latest, above, peaks, middle, below = row
    if threshold is None:
        return None
    return Track(
        rule=Rule(threshold, minutes),
        since=since,
        latest=latest,
        above=tuple(parse(above, peaks)),
        middle=tuple(parse(middle)),
        below=tuple(parse(below)),
    )


async def save(connection: Connection, family: UUID, tracks: Mapping[str, Track]) -> None:
    """Keeps what was seen of each child."""
    for child_id, track in tracks.items():
        arguments = {
            "family": family, "child": child_id, "rule": RULE, "threshold": track.rule.threshold, "minutes": track.rule.minutes,
            "since": track.since, "latest": track.latest, "above": literal(track.above),
            "peaks": [stretch.peak for stretch in track.above], "middle": literal(track.middle), "below": literal(track.below),
        }  # fmt: skip
        await connection.execute(SAVE_TRACK, arguments)


async def alarms(connection: Connection, family: UUID, child_id: str, since: int) -> Alarms:
    """Locks the open alarm of a child and the closed ones that ended after `since`."""
    arguments = {"family": family, "child": child_id, "rule": RULE, "since": moment(since)}
    rows = await (await connection.execute(ALARMS, arguments)).fetchall()
    closed = [Stretch(microseconds(row["began_at"]), microseconds(row["ended_at"])) for row in rows if row["closed"]]
    for row in rows:
        if not row["closed"]:
            ended, acknowledged = row["ended_at"], row["acknowledged_at"]
            facts = Facts(
                microseconds(row["began_at"]),
                None if ended is None else microseconds(ended),
                row["episodes"],
                round(row["peak"] * 100),
                parse(row["spans"]),
            )
            return Alarms(row["id"], Open(facts, None if acknowledged is None else microseconds(acknowledged)), closed)
    return Alarms(None, None, closed)


async def change(connection: Connection, family: UUID, alarm: UUID, facts: Facts) -> None:
    """Makes an alarm say `facts`."""
    await connection.execute(CHANGE, _columns(facts) | {"family": family, "id": alarm})


async def raise_alarm(connection: Connection, family: UUID, child_id: str, rule: Rule, facts: Facts, *, now: datetime) -> None:
    """Raises an alarm that says `facts`, with the rule that made it."""
    arguments = {"family": family, "child": child_id, "rule": RULE, "now": now} | rule._asdict() | _columns(facts)
    await connection.execute(RAISE, arguments)


def _columns(facts: Facts) -> dict[str, Any]:
    return {
        "began": moment(facts.began),
        "ended": None if facts.ended is None else moment(facts.ended),
        "episodes": facts.episodes,
        "peak": facts.peak / 100,
        "spans": literal(facts.spans),
    }
