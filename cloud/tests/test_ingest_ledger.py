"""The ledger is the promise of "exactly once": its arithmetic against sets, and the whole door against a model."""

from itertools import count, pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zenmoon_cloud.ingest import ledger
from zenmoon_cloud.ingest.decide import Kept, Key, Wearers, Worn, decide, known, place
from zenmoon_edge.messages import Refusal

SEQS = st.lists(st.integers(0, 40) | st.integers(0, 2**32 - 1))
BOOTS = count(1)


@given(SEQS, SEQS)
def test_ranges_hold_exactly_their_numbers(seqs, others):
    held = ledger.ranges(seqs)
    assert [seq for pair in held for seq in range(*pair)] == sorted(set(seqs))
    assert all(ledger.holds(held, seq) == (seq in seqs) for seq in (*seqs, *others))
    assert all(before[1] < after[0] for before, after in pairwise(held))


@given(SEQS)
def test_database_writes_and_reads_the_same_ranges(seqs):
    held = ledger.ranges(seqs)
    assert ledger.parse(ledger.literal(held)) == held


async def test_literal_is_canonical_for_postgresql(database):
    held = ledger.ranges([1, 2, 3, 7, 2**32 - 1])
    async with database.api.connection() as connection:
        cursor = await connection.execute("SELECT %s::int8multirange::text AS text", [ledger.literal(held)])
        assert (await cursor.fetchone())["text"] == ledger.literal(held)


ITEMS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 1)), max_size=12)


@given(st.lists(ITEMS, max_size=6))
def test_decisions_equal_a_model_that_remembers_every_key(batches):
    model: dict[tuple[int, int, int], int] = {}
    for batch in batches:
        keys = [Key(at, 1, boot, seq, 0, payload, "record", 0) for at, (boot, seq, payload) in enumerate(batch)]
        held = {(1, boot): ledger.ranges(seq for _, b, seq in model if b == boot) for boot in range(3)}
        kept = {key[1:4]: Kept("record", 0, model[key[1:4]], 0) for key in known(keys, held)}
        verdict = decide(keys, ["child"] * len(keys), kept)
        stored, duplicates, conflicts = {}, 0, []
        for key in keys:
            if key[1:4] not in model:
                model[key[1:4]] = key.payload
                stored[key.position] = "child"
            elif model[key[1:4]] == key.payload:
                duplicates += 1
            else:
                conflicts.append(key.position)
        assert (verdict.stored, verdict.duplicates) == (stored, duplicates)
        assert [refusal.index for refusal in verdict.refusals] == conflicts


REVISED = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 4), st.integers(0, 1)), max_size=12)


@given(st.lists(REVISED, max_size=6))
def test_revisions_equal_a_model_whose_revisions_only_rise(batches):
    rows: dict[tuple[int, int, int], list[tuple[int, int]]] = {}
    for batch in batches:
        keys = [
            Key(at, 1, boot, seq, seq, 10 * revision + flaw, "epoch", revision)
            for at, (boot, seq, revision, flaw) in enumerate(batch)
        ]
        held = {(1, boot): ledger.ranges(key[2] for key in rows if key[1] == boot) for boot in range(2)}
        kept = {key[1:4]: Kept("epoch", *rows[key[1:4]][-1], key.time) for key in known(keys, held)}
        verdict = decide(keys, ["child"] * len(keys), kept)
        assert len(verdict.stored) + verdict.duplicates + len(verdict.refusals) == len(keys)
        duplicates, conflicts = 0, []
        for key in keys:
            stored = rows.setdefault(key[1:4], [])
            highest = stored[-1][0] if stored else -1
            if key.revision > highest:
                stored.append((key.revision, key.payload))
                assert verdict.stored[key.position] == "child"
            elif key.revision < highest or key.payload == stored[-1][1]:
                duplicates += 1
            else:
                conflicts.append(key.position)
        assert (verdict.duplicates, [refusal.index for refusal in verdict.refusals]) == (duplicates, conflicts)


@given(REVISED, st.randoms(use_true_random=False))
def test_no_order_and_no_repetition_of_revisions_changes_what_is_highest(sent, random):
    def highest(items: list[tuple[int, int, int, int]]) -> dict[tuple[int, int, int], Kept]:
        keys = [Key(at, 1, boot, seq, seq, revision, "epoch", revision) for at, (boot, seq, revision, _) in enumerate(items)]
        verdict = decide(keys, ["child"] * len(keys), {})
        assert verdict.refusals == []
        found: dict[tuple[int, int, int], Kept] = {}
        for key in keys:
            if key.position in verdict.stored:
                assert key[1:4] not in found or found[key[1:4]].revision < key.revision
                found[key[1:4]] = Kept(key.kind, key.revision, key.payload, key.time)
        return found

    again = [*sent, *random.choices(sent, k=5)] if sent else []
    random.shuffle(again)
    assert highest(sent) == highest(again)
    assert {key: kept.revision for key, kept in highest(sent).items()} == {
        (1, boot, seq): max(r for b, s, r, _ in sent if (b, s) == (boot, seq)) for boot, seq, _, _ in sent
    }


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(ITEMS, min_size=1, max_size=4))
async def test_random_batches_with_repeats_are_stored_like_a_set(batches, family, records, send, superuser):
    base = 3 * next(BOOTS)
    model: dict[tuple[int, int], int] = {}
    for batch in [*batches, *batches]:
        items = [records(1, first=seq, boot=base + boot, payload=f"{payload + 1:016x}")[0] for boot, seq, payload in batch]
        answer = (await send(family, items)).json()
        accepted = conflicts = 0
        for boot, seq, payload in batch:
            first = model.get((base + boot, seq))
            if first is None:
                model[base + boot, seq] = payload
                accepted += 1
            else:
                conflicts += first != payload
        assert (answer["accepted"], len(answer["refused"])) == (accepted, conflicts)
        assert answer["accepted"] + answer["duplicates"] + len(answer["refused"]) == len(batch)
    rows = superuser.execute("SELECT boot, seq, payload FROM wellness_metrics WHERE boot >= %s", [base]).fetchall()
    assert sorted(rows) == sorted((boot, seq, payload + 1) for (boot, seq), payload in model.items())
    counted = superuser.execute(
        "SELECT boot, seq FROM received, unnest(seqs) AS run, generate_series(lower(run), upper(run) - 1) AS seq WHERE boot >= %s",
        [base],
    ).fetchall()
    assert sorted(counted) == sorted(model)


WEARERS = Wearers(
    {5: [Worn(2_000, None, "late"), Worn(0, 1_000, "early")]},
    {"early": [(0, True), (500, False)], "late": [(2_500, True)]},
    {},
)


def test_place_asks_who_wore_it_then_and_whether_they_agreed_then():
    def at(time: int, device: int = 5) -> str:
        found = place(Key(0, device, 1, 1, time, 1, "record", 0), WEARERS, now=10_000, oldest=0)
        return found.code if isinstance(found, Refusal) else found

    assert [at(time) for time in (0, 499, 500, 999)] == ["early", "early", "consent", "consent"]
    assert [at(time) for time in (1_000, 1_999, 2_000, 2_499, 2_500, 9_999)] == [
        "not_assigned", "not_assigned", "consent", "consent", "late", "late",
    ]  # fmt: skip
    assert at(3_000, device=6) == "not_assigned"
    assert at(-1) == "too_old"
    assert at(86_400_000_000 + 10_000) == "late"
    assert at(86_400_000_000 + 10_001) == "bad_value"
