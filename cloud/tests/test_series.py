"""The series query: records by event time, gaps visible, page by page; and what retention does to them."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from zenmoon_cloud.series.weeks import drop_before


async def read(family, **query) -> dict:
    answer = await family.client.get(f"/api/children/{family.child_id}/series", params=query)
    return answer.raise_for_status().json()


def day(items: list[dict]) -> dict[str, str]:
    begin = datetime.fromisoformat(items[0]["ts"])
    return {"from": begin.isoformat(), "to": (begin + timedelta(days=1)).isoformat()}


async def test_records_come_in_the_order_of_event_time_with_their_quality(family, records, send):
    items = records(10)
    for chunk in (items[5:], items[:5]):
        await send(family, chunk)
    series = await read(family, **day(items))
    assert [record["seq"] for record in series["records"]] == list(range(10))
    assert [datetime.fromisoformat(record["ts"]) for record in series["records"]] == [
        datetime.fromisoformat(item["ts"]) for item in items
    ]
    assert {record["quality"] for record in series["records"]} == {63}
    assert (series["level"], series["gaps"], series["next_cursor"]) == ("record", [], None)
    assert series["records"][0]["payload"] == items[0]["payload"]


async def test_only_the_metrics_asked_for_are_given(family, records, send):
    items = records(1)
    await send(family, items)
    record = (await read(family, metric=["stress_level", "heart_rate_bpm"], **day(items)))["records"][0]
    assert (record["stress_level"], record["heart_rate_bpm"]) == (0.42, 84.5)
    assert "eda_us" not in record
    answer = await family.client.get(f"/api/children/{family.child_id}/series", params={"metric": "mood"})
    assert answer.status_code == 422


async def test_gaps_are_named_and_nothing_is_filled_in(family, records, send):
    items = [*records(3), *records(2, first=20)]
    await send(family, items)
    series = await read(family, **day(items))
    assert len(series["records"]) == 5
    (gap,) = series["gaps"]
    assert (datetime.fromisoformat(gap["after"]), datetime.fromisoformat(gap["before"])) == (
        datetime.fromisoformat(items[2]["ts"]), datetime.fromisoformat(items[3]["ts"]),
    )  # fmt: skip


async def test_silent_record_is_given_with_nulls(family, records, send):
    silent = dict.fromkeys(("heart_rate_bpm", "rmssd_ms", "eda_us", "eda_phasic_us", "stress_level", "anomaly"))
    items = records(1, quality=0, **silent)
    await send(family, items)
    record = (await read(family, **day(items)))["records"][0]
    assert (record["quality"], record["stress_level"], record["temperature_c"]) == (0, None, 33.18)


@pytest.mark.parametrize("limit", [1, 3, 10])
async def test_pages_give_every_record_once_also_at_equal_times(limit, family, records, send):
    items = [*records(5), *records(5, boot=8)]  # two boots at the same times
    await send(family, items)
    span, cursor, found = day(items), {}, []
    while True:
        page = await read(family, limit=limit, **span, **cursor)
        found += [(record["ts"], record["boot"], record["seq"]) for record in page["records"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == sorted(found)
    assert {key[1:] for key in found} == {(boot, seq) for boot in (8, 3735928559) for seq in range(5)}
    assert len(found) == 10


async def test_foreign_and_absent_children_answer_alike(make_family, records, send):
    ours = await make_family(device="00000000000000aa")
    theirs = await make_family(device="00000000000000bb")
    await send(theirs, records(3, device=theirs.device))
    answers = [await ours.client.get(f"/api/children/{child}/series") for child in (theirs.child_id, "nobody", "%00")]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"from": "2026-01-01T00:00:00"}, 422),  # no zone
        ({"from": "soon"}, 422),
        ({"to": "0001-01-01T00:00:00+14:00"}, 422),
        ({"limit": "0"}, 422),
        ({"cursor": "nonsense"}, 400),
        ({"cursor": "WzEsMiwzLDRd"}, 400),
        ({"cursor": "WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiIsMSwyLDk5OTk5OTk5OTk5OTk5OTk5OTk5OTld"}, 400),
    ],
)
async def test_bad_question_is_a_problem(query, status, family):
    answer = await family.client.get(f"/api/children/{family.child_id}/series", params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_signed_out_reads_nothing(family, client):
    assert (await client.get(f"/api/children/{family.child_id}/series")).status_code == 401


async def test_after_a_retention_drop_nothing_comes_back_and_the_answer_says_duplicate(
    family, records, send, superuser, database_url
):
    items = records(30)
    await send(family, items)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as owner:
        assert await drop_before(owner, datetime.now(UTC) + timedelta(days=15)) > 0
    for batch in (items, records(30, later_s=60)):
        answer = (await send(family, batch)).json()
        assert (answer["accepted"], answer["duplicates"], answer["refused"]) == (0, 30, [])
    # the rows are gone, so another payload cannot be told from the first: still nothing comes back
    answer = (await send(family, [item | {"payload": "f" * 16} for item in items])).json()
    assert (answer["accepted"], answer["duplicates"]) == (0, 30)
    assert superuser.execute("SELECT count(*) FROM wellness_metrics").fetchone() == (0,)
    assert (await read(family, **day(items)))["records"] == []
    assert (await send(family, records(1, first=30))).json()["accepted"] == 1


async def test_retention_drops_only_weeks_that_have_ended(family, records, send, superuser):
    await send(family, records(3))
    superuser.execute("SELECT drop_before(now())")
    assert superuser.execute("SELECT count(*) FROM wellness_metrics").fetchone() == (3,)


@pytest.mark.parametrize("role", ["api", "ingest", "reanchor"])
async def test_no_role_of_the_service_may_drop(role, database):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with getattr(database, role).connection() as connection:
            await connection.execute("SELECT drop_before(now())")


async def test_storing_role_reads_no_values(family, records, send, database):
    await send(family, records(1))
    for question in (
        "SELECT heart_rate_bpm FROM wellness_metrics", "SELECT item FROM quarantine", "SELECT * FROM wellness_metrics_default",
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.family([family.family_id], role="ingest") as connection:
                await connection.execute(question)


async def test_storing_role_cannot_write_into_another_family(make_family, database):
    ours = await make_family(device="00000000000000aa")
    theirs = await make_family(device="00000000000000bb")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        async with database.family([ours.family_id], role="ingest") as connection:
            await connection.execute("INSERT INTO received (family_id, device, boot) VALUES (%s, 1, 1)", [theirs.family_id])
