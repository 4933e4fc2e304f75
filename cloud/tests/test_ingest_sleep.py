"""Nights have revisions: whoever has seen more of a night says so under the same key, and the highest revision is the night."""

from datetime import UTC, datetime, timedelta

import pytest
from zenmoon_edge.importing import Source

IMPORTER = "00000000000000ee"
NIGHT = {"asleep_s": 30_000, "awakenings": 3, "efficiency": 0.92, "nap": False, "zone_offset_s": None}
LONG_MS = 36_000_000


@pytest.fixture
async def family(make_family, superuser):
    """A family whose phone is an importer, and that agreed to monitoring long ago."""
    made = await make_family(device=IMPORTER, begin="2025-01-01T00:00:00Z")
    superuser.execute("UPDATE consents SET at = '2025-01-01T00:00:00Z'")
    return made


@pytest.fixture
def onset() -> int:
    """When a child fell asleep some nights ago, to the millisecond, ms since 1970."""
    return int((datetime.now(UTC) - timedelta(days=45)).timestamp() * 1000)


def source() -> Source:
    return Source(int(IMPORTER, 16), 77, firmware=3, model=4)


async def test_stored_night_says_what_was_sent(family, onset, send, superuser):
    made = source()
    night = made.sleep(onset, onset + LONG_MS, **NIGHT)
    nap = made.sleep(onset + 2 * LONG_MS, onset + 2 * LONG_MS + 1_800_000, asleep_s=0, awakenings=0, efficiency=None, nap=True,
                     zone_offset_s=19_800)  # fmt: skip
    bare = {key: value for key, value in made.sleep(onset, onset + LONG_MS, **NIGHT).items()
            if key not in {"efficiency", "zone_offset_s"}}  # fmt: skip
    assert (await send(family, [night, nap, bare])).json()["accepted"] == 3
    rows = superuser.execute(
        "SELECT time, ended_at, asleep_s, awakenings, efficiency, nap, zone_offset_s, child_id FROM sleep_episodes ORDER BY seq"
    ).fetchall()
    begin = datetime.fromisoformat(night["ts"])
    berlin = 7200 if begin < datetime(2026, 10, 25, 1, tzinfo=UTC) else 3600
    assert rows[0] == (begin, begin + timedelta(hours=10), 30_000, 3, 0.92, False, berlin, family.child_id)
    assert rows[1][1:7] == (datetime.fromisoformat(nap["ended_at"]), 0, 0, None, True, 19_800)
    assert rows[2][4:7] == (None, False, berlin)
    assert superuser.execute("SELECT count(*) FROM dirty_hours").fetchone() == (0,)  # nights are not summed up by hours


async def test_a_later_revision_may_move_the_night_and_is_the_night(family, onset, send, superuser):
    made = source()
    first = made.sleep(onset, onset + LONG_MS, **NIGHT)
    later = made.sleep(onset - 600_000, onset + LONG_MS, **NIGHT | {"asleep_s": 30_600}, revision=1, seq=0)
    assert (await send(family, [first])).json()["accepted"] == 1
    for accepted in (1, 0):
        answer = (await send(family, [later, first])).json()
        assert (answer["accepted"], answer["duplicates"], answer["refused"]) == (accepted, 2 - accepted, [])
    rows = superuser.execute("SELECT revision, asleep_s FROM sleep_episodes ORDER BY revision DESC").fetchall()
    assert rows == [(1, 30_600), (0, 30_000)]
    forged = made.sleep(onset, onset + LONG_MS, **NIGHT | {"asleep_s": 1}, revision=1, seq=0)
    assert (await send(family, [forged])).json()["refused"][0]["code"] == "conflict"


BAD = {
    "ends at its onset": (lambda item: {"ended_at": item["ts"]}, "ended_at is not after ts"),
    "ends before": ({"ended_at": "2026-01-01T00:00:00Z"}, "ended_at is not after ts"),
    "longer than a day": ({"ended_at": "2099-01-01T00:00:00Z"}, "within 24 hours"),
    "no end": ({"ended_at": ...}, "ended_at is missing"),
    "an end without a zone": ({"ended_at": "2026-11-20T18:03:08"}, "ended_at has no zone"),
    "asleep longer than it lasted": ({"asleep_s": 36_001}, "asleep_s is longer than from ts to ended_at"),
    "asleep a fraction": ({"asleep_s": 1.5}, "asleep_s is not a whole number"),
    "negative awakenings": ({"awakenings": -1}, "awakenings is outside"),
    "efficiency in percent": ({"efficiency": 92}, "efficiency is outside 0 … 1"),
    "a number for a nap": ({"nap": 0}, "nap is neither true nor false"),
    "null for a nap": ({"nap": None}, "nap is neither true nor false"),
    "no revision": ({"revision": ...}, "revision is missing"),
    "far ahead": ({"ts": "2098-12-31T20:00:00Z", "ended_at": "2099-01-01T06:00:00Z"}, "more than a day ahead"),
}


@pytest.mark.parametrize("flaw", BAD)
async def test_one_bad_night_is_refused_and_its_neighbours_are_stored(flaw, family, onset, send, superuser):
    changes, detail = BAD[flaw]
    made = source()
    items = [made.sleep(onset + at * 2 * LONG_MS, onset + at * 2 * LONG_MS + LONG_MS, **NIGHT) for at in range(3)]
    changed = items[1] | (changes(items[1]) if callable(changes) else changes)
    items[1] = {key: value for key, value in changed.items() if value is not ...}
    answer = (await send(family, items)).json()
    assert (answer["accepted"], [(one["index"], one["code"]) for one in answer["refused"]]) == (2, [(1, "bad_value")])
    assert detail in answer["refused"][0]["detail"]
    assert superuser.execute("SELECT seq FROM sleep_episodes ORDER BY seq").fetchall() == [(0,), (2,)]


async def test_mood_is_not_stored_yet(family, onset, send, superuser):
    night = source().sleep(onset, onset + LONG_MS, **NIGHT)
    answer = (await send(family, [night | {"kind": "mood", "seq": 5}, night])).json()
    assert (answer["accepted"], answer["refused"][0]["code"]) == (1, "unknown_kind")
