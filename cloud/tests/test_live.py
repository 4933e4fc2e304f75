"""Every committed record of a guardian's children arrives once, in the order of commits, also when a page goes and comes back."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import orjson
import psycopg
import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from zenmoon_cloud.series import catch_up, live
from zenmoon_cloud.series import socket as live_socket

PATIENCE_S = 15


@pytest.fixture
async def address(application) -> AsyncIterator[str]:
    """The service on a port of its own."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)  # connections inherit it: a slow client shows soon
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(application, lifespan="off", log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=2)
        )
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await serving


@asynccontextmanager
async def page(address: str, family, cursor: str | None = None, **options) -> AsyncIterator:
    """The WebSocket of a signed-in page."""
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in family.client.cookies.items())}
    url = f"ws://{address}/api/alerts" + (f"?cursor={cursor}" if cursor else "")
    async with connect(url, additional_headers=headers, origin=f"http://{address}", **options) as opened:
        yield opened


async def receive(opened) -> dict:
    async with asyncio.timeout(PATIENCE_S):
        return orjson.loads(await opened.recv())


async def gather(opened, number: int) -> list[dict]:
    """Live messages until they hold `number` records."""
    messages: list[dict] = []
    while sum(len(message["data"]["records"]) for message in messages) < number:
        messages.append(await receive(opened))
        assert messages[-1]["type"] == "live"
    return messages


def keys(messages: list[dict]) -> list[tuple[int, int]]:
    return [(record["boot"], record["seq"]) for message in messages for record in message["data"]["records"]]


async def test_hello_then_every_record_once(address, family, records, send):
    await send(family, records(5))
    async with page(address, family) as opened:
        hello = await receive(opened)
        assert (hello["type"], hello["child_id"], hello["data"]) == (
            "hello", None, {"resumed": False, "reason": None, "children": [family.child_id]},
        )  # fmt: skip
        for first in range(5, 65, 20):
            await send(family, records(20, first=first))
            await send(family, records(20, first=first))
        messages = await gather(opened, 60)
        assert keys(messages) == [(3735928559, seq) for seq in range(5, 65)]
        assert {message["child_id"] for message in messages} == {family.child_id}
        record = messages[0]["data"]["records"][0]
        assert record["device"] == family.device
        assert record["payload"] == records(1, first=5)[0]["payload"]
        assert (record["stress_level"], record["heart_rate_bpm"], record["quality"]) == (0.42, 84.5, 63)
        assert record["ts"].endswith("Z")
        assert messages[0]["message"] == "Strain 0.42, heart rate 84 per minute."


async def test_page_that_comes_back_gets_what_it_missed_and_nothing_twice(address, family, records, send, monkeypatch):
    monkeypatch.setattr(live, "ROWS", 4)  # a transaction is given in parts, and a part has a cursor too
    async with page(address, family) as opened:
        await receive(opened)
        await send(family, records(10))
        first = await receive(opened)
    await send(family, records(30, first=10))
    async with page(address, family, cursor=first["cursor"]) as opened:
        hello = await receive(opened)
        assert hello["data"]["resumed"] is True
        await send(family, records(5, first=40))
        rest = await gather(opened, 45 - len(keys([first])))
    assert keys([first, *rest]) == [(3735928559, seq) for seq in range(45)]


async def test_cursor_of_hello_resumes_too(address, family, records, send):
    async with page(address, family) as opened:
        cursor = (await receive(opened))["cursor"]
    await send(family, records(3))
    async with page(address, family, cursor=cursor) as opened:
        assert (await receive(opened))["data"]["resumed"] is True
        assert [seq for _, seq in keys(await gather(opened, 3))] == [0, 1, 2]


async def test_commits_out_of_order_are_neither_skipped_nor_repeated(address, family, *, records, send, superuser, database_url):
    await send(family, records(1))  # makes the weeks
    template = "SELECT * FROM wellness_metrics WHERE seq = 0"
    columns = [name.name for name in superuser.execute(template).description if name.name != "transaction_id"]

    def insert(connection: psycopg.Connection, seq: int) -> None:
        chosen = ", ".join(str(seq) if name == "seq" else name for name in columns)
        named = ", ".join(columns)
        connection.execute(f"INSERT INTO wellness_metrics ({named}) SELECT {chosen} FROM wellness_metrics WHERE seq = 0")

    async with page(address, family) as opened:
        await receive(opened)
        with psycopg.connect(database_url) as early, psycopg.connect(database_url) as late:
            insert(early, 100)  # the older transaction is still open …
            insert(late, 101)
            late.commit()  # … when the younger one commits,
            await send(family, records(1, first=102))  # and a third is announced
            early.commit()
        messages = await gather(opened, 3)
        await send(family, records(1, first=103))
        messages += await gather(opened, 1)
    assert [seq for _, seq in keys(messages)] == [100, 101, 102, 103]


async def test_records_of_another_family_never_arrive(address, make_family, records, send):
    ours = await make_family(device="00000000000000aa")
    theirs = await make_family(device="00000000000000bb")
    async with page(address, ours) as mine, page(address, theirs) as yours:
        assert (await receive(mine))["data"]["children"] == [ours.child_id]
        await receive(yours)
        for turn in range(3):
            await send(theirs, records(2, first=2 * turn, device=theirs.device))
            await send(ours, records(2, first=2 * turn, device=ours.device))
        for opened, family in ((mine, ours), (yours, theirs)):
            messages = await gather(opened, 6)
            assert {message["child_id"] for message in messages} == {family.child_id}
            assert {record["device"] for message in messages for record in message["data"]["records"]} == {family.device}
    cursor = messages[0]["cursor"]
    async with page(address, ours, cursor=cursor) as opened:  # another family's cursor opens nothing of theirs
        await receive(opened)
        await send(ours, records(1, first=50, device=ours.device))
        while (message := await receive(opened))["data"]["records"][-1]["seq"] != 50:
            assert message["child_id"] == ours.child_id


async def test_siblings_keep_their_order_and_their_names(address, family, records, send):
    sibling = (await family.client.post("/api/children", json={"display_name": "Sibling", "zone": "Europe/Berlin"})).json()["id"]
    await family.client.post("/api/consents", json={"child_id": sibling, "purpose": "monitoring", "granted": True})
    await family.client.post("/api/wearables", json={"device": "00000000000000bb"})
    worn = {"device": "00000000000000bb", "from": "2026-01-01T00:00:00Z"}
    (await family.client.post(f"/api/children/{sibling}/wearables", json=worn)).raise_for_status()
    async with page(address, family) as opened:
        await receive(opened)
        await send(family, [*records(3), *records(3, device="00000000000000bb", boot=9)])
        messages = await gather(opened, 6)
    assert {message["child_id"]: keys([message]) for message in messages} == {
        family.child_id: [(3735928559, seq) for seq in range(3)],
        sibling: [(9, seq) for seq in range(3)],
    }


@pytest.mark.parametrize("cursor", ["nonsense", "1-2-3", "-1-1-1-1", "ffffffffffffffff-1-1-1", "7fffffffffffffff-1-1-1", "g-1-1-1"])
async def test_foreign_cursor_is_answered_honestly(cursor, address, family, records, send):
    async with page(address, family, cursor=cursor) as opened:
        hello = await receive(opened)
        assert hello["data"]["resumed"] is False
        assert hello["data"]["reason"] in {"cursor_unknown", "cursor_too_old"}
        await send(family, records(1))
        assert len(await gather(opened, 1)) == 1


async def test_cursor_too_far_behind_is_answered_honestly(address, family, records, send, monkeypatch):
    async with page(address, family) as opened:
        cursor = (await receive(opened))["cursor"]
    await send(family, records(9))
    monkeypatch.setattr(catch_up, "RECORDS", 8)
    async with page(address, family, cursor=cursor) as opened:
        assert (await receive(opened))["data"]["reason"] == "cursor_too_old"
    monkeypatch.setattr(catch_up, "RECORDS", 9)
    async with page(address, family, cursor=cursor) as opened:
        assert (await receive(opened))["data"]["resumed"] is True
    monkeypatch.setattr(catch_up, "TRANSACTIONS", 0)
    async with page(address, family, cursor=cursor) as opened:
        assert (await receive(opened))["data"]["reason"] == "cursor_too_old"


async def test_cursor_before_a_retention_drop_is_answered_honestly(address, family, records, send, superuser):
    async with page(address, family) as opened:
        cursor = (await receive(opened))["cursor"]
    await send(family, records(3))
    superuser.execute("SELECT drop_before(now() + interval '30 days')")
    async with page(address, family, cursor=cursor) as opened:
        assert (await receive(opened))["data"]["reason"] == "cursor_too_old"


async def test_expired_session_closes_the_socket(address, family, superuser, monkeypatch):
    monkeypatch.setattr(live_socket, "CHECK_S", 0.05)
    async with page(address, family) as opened:
        await receive(opened)
        superuser.execute("UPDATE sessions SET expires_at = now()")
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(ConnectionClosed):
                await opened.recv()
        assert (opened.close_code, opened.close_reason) == (4401, "session-expired")


async def test_nobody_and_foreign_pages_are_refused(address, family, browsers):
    class Nobody:
        client = browsers()

    foreign = ("http://elsewhere.example", "http://[", None)
    for whose, origin in ((Nobody, f"http://{address}"), *((family, origin) for origin in foreign)):
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in whose.client.cookies.items())}
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(f"ws://{address}/api/alerts", additional_headers=headers, origin=origin):
                pass
        assert refusal.value.response.status_code == 403


async def test_slow_client_is_dropped_and_holds_no_memory(address, application, *, family, records, send, monkeypatch):
    monkeypatch.setattr(live, "WAITING", 2)
    monkeypatch.setattr(live, "COALESCE_S", 0.01)
    monkeypatch.setattr(live_socket, "CLOSE_S", 0.1)
    host, port = address.split(":")
    with socket.socket() as narrow:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        narrow.connect((host, int(port)))
        narrow.setblocking(False)
        async with page(address, family, sock=narrow, max_queue=1, close_timeout=1) as slow, page(address, family) as quick:
            await receive(slow)
            await receive(quick)
            async with asyncio.timeout(60):
                for boot in count():
                    if len(application.state.hub) == 1:  # `slow` read nothing while the network's buffers filled
                        break
                    await send(family, records(200, boot=boot))
                    await gather(quick, 200)
            await send(family, records(1, boot=1 << 20))
            assert keys(await gather(quick, 1)) == [(1 << 20, 0)]  # whoever reads is not disturbed


async def test_lost_announcement_delays_a_record_only(address, application, *, family, records, send, monkeypatch):
    monkeypatch.setattr(live, "POLL_S", 0.2)
    async with page(address, family) as opened:
        await receive(opened)
        application.state.announcer.mark = lambda families: None
        await send(family, records(2))
        assert len(keys(await gather(opened, 2))) == 2


async def test_listener_that_loses_its_connection_comes_back(address, family, *, records, send, superuser, monkeypatch):
    monkeypatch.setattr(live, "RECONNECT_S", 0.01)
    async with page(address, family) as opened:
        await receive(opened)
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        await send(family, records(2))
        assert len(keys(await gather(opened, 2))) == 2


async def test_reader_outlives_whatever_fails(address, family, *, records, send, monkeypatch):
    monkeypatch.setattr(live, "POLL_S", 0.05)
    ordered, failures = live.ordered, []

    def flawed(*given):
        if not failures:
            failures.append(RuntimeError("a flaw of our own"))
            raise failures[0]
        return ordered(*given)

    async with page(address, family) as opened:
        await receive(opened)
        monkeypatch.setattr(live, "ordered", flawed)
        await send(family, records(2))
        assert len(keys(await gather(opened, 2))) == 2
    assert failures


async def strained(family, records, send, *, minutes: int = 1, begin: int = 0, level: float = 0.82, **changes) -> None:
    """Sends a minute of high strain of a child whose alarm waits one."""
    choice = {"minutes": minutes}
    (await family.client.put(f"/api/children/{family.child_id}/alarm", json=choice)).raise_for_status()
    (await send(family, records(15, first=begin, stress_level=level, device=family.device, **changes))).raise_for_status()


async def until(opened, type_: str) -> list[dict]:
    """Messages up to the next one of a type."""
    messages = [await receive(opened)]
    while messages[-1]["type"] != type_:
        messages.append(await receive(opened))
    return messages


async def test_an_alarm_arrives_unasked_behind_the_records_that_raised_it(address, family, records, send, monkeypatch):
    monkeypatch.setattr(live, "POLL_S", 3600)  # whatever changes is announced
    async with page(address, family) as opened:
        await receive(opened)
        await strained(family, records, send)
        *before, alarm = await until(opened, "alert")
        assert [seq for _, seq in keys(before)] == list(range(15))
        assert alarm.keys() == {"type", "cursor", "child_id", "ts", "message", "data"}
        assert alarm["child_id"] == family.child_id
        alert = alarm["data"]["alert"]
        assert alarm["message"] == alert["message"]
        assert alert == (await family.client.get(f"/api/alerts/{alert['id']}")).json()
        answer = (await family.client.post(f"/api/alerts/{alert['id']}/ack")).json()
        assert (await until(opened, "alert"))[-1]["data"]["alert"] == answer
        await send(family, records(1, first=15))
        *_, closed = await until(opened, "alert")
        assert (closed["data"]["alert"]["state"], closed["data"]["alert"]["revision"]) == ("closed", 3)


async def test_a_source_that_fails_holds_back_neither_records_nor_other_sources(
    address, application, *, family, records, send, monkeypatch
):
    async def flawed(*_: object) -> list:
        raise KeyError("what it cannot tell")

    async def refused(connection: psycopg.AsyncConnection, *_: object) -> list:
        await connection.execute("SELECT * FROM nowhere")
        return []

    monkeypatch.setattr(application.state.hub, "sources", (flawed, refused, *application.state.hub.sources))
    async with page(address, family) as opened:
        cursor = (await receive(opened))["cursor"]
        await strained(family, records, send)
        live_messages = await until(opened, "alert")
    async with page(address, family, cursor=cursor) as opened:
        await receive(opened)
        missed_messages = await until(opened, "alert")
    for *before, alarm in (live_messages, missed_messages):
        assert [seq for _, seq in keys(before)] == list(range(15))
        assert alarm["child_id"] == family.child_id


async def test_an_alarm_that_was_missed_comes_again_from_every_cursor_before_it(address, family, records, send, monkeypatch):
    monkeypatch.setattr(live, "ROWS", 4)
    async with page(address, family) as opened:
        messages = [await receive(opened)]
        await send(family, records(3))
        await strained(family, records, send, begin=3)
        messages += await until(opened, "alert")
        await send(family, records(5, first=18))  # it ends
        messages += await until(opened, "alert")
        await send(family, records(2, first=23))
        messages += await gather(opened, 2)
    expected = [key for message in messages if message["type"] == "live" for key in keys([message])]
    place, told = 0, 0
    for message in messages:
        if message["type"] == "live":
            place += len(message["data"]["records"])
        told += message["type"] == "alert"
        async with page(address, family, cursor=message["cursor"]) as opened:
            assert (await receive(opened))["data"]["resumed"] is True
            rest: list[dict] = []
            while len(keys([given for given in rest if given["type"] == "live"])) < len(expected) - place:
                rest.append(await receive(opened))
        assert keys([given for given in rest if given["type"] == "live"]) == expected[place:]
        alerts = [given for given in rest if given["type"] == "alert"]
        assert (len(alerts) >= 1) == (told < 2)  # it stands in the place of its last change, and is told as it is now
        assert all(given["data"]["alert"]["ended_at"] for given in alerts)


async def test_two_alarms_of_one_transaction_are_both_told_again(address, family, records, send):
    sibling = (await family.client.post("/api/children", json={"display_name": "Sibling", "zone": "Europe/Berlin"})).json()["id"]
    await family.client.post("/api/consents", json={"child_id": sibling, "purpose": "monitoring", "granted": True})
    await family.client.post("/api/wearables", json={"device": "00000000000000bb"})
    worn = {"device": "00000000000000bb", "from": "2026-01-01T00:00:00Z"}
    (await family.client.post(f"/api/children/{sibling}/wearables", json=worn)).raise_for_status()
    for child in (family.child_id, sibling):
        (await family.client.put(f"/api/children/{child}/alarm", json={"minutes": 1})).raise_for_status()
    async with page(address, family) as opened:
        await receive(opened)
        high = {"stress_level": 0.82}
        await send(family, [*records(15, **high), *records(15, device="00000000000000bb", boot=9, **high)])
        messages = await until(opened, "alert")
        first, second = messages[-1], await receive(opened)
    assert {first["child_id"], second["child_id"]} == {family.child_id, sibling}
    async with page(address, family, cursor=first["cursor"]) as opened:
        await receive(opened)
        again = [(await until(opened, "alert"))[-1] for _ in range(2)]
    assert second["data"]["alert"] in [message["data"]["alert"] for message in again]
    async with page(address, family, cursor=second["cursor"]) as opened:
        await receive(opened)
        await send(family, records(1, first=15, **high))
        assert (await receive(opened))["type"] == "live"


async def test_an_alarm_of_another_family_never_arrives(address, make_family, records, send):
    ours, theirs = await make_family(device="00000000000000aa"), await make_family(device="00000000000000bb")
    async with page(address, ours) as mine, page(address, theirs) as yours:
        await receive(mine)
        await receive(yours)
        await strained(theirs, records, send)
        alarm = (await until(yours, "alert"))[-1]
        await send(ours, records(1, device=ours.device))
        only = await receive(mine)
        assert (only["type"], only["child_id"]) == ("live", ours.child_id)
    for turn, cursor in enumerate((only["cursor"], alarm["cursor"]), 1):
        async with page(address, ours, cursor=cursor) as opened:
            hello = await receive(opened)
            assert hello["data"]["children"] == [ours.child_id]
            await strained(theirs, records, send, begin=100 * turn)
            await send(ours, records(1, first=100 * turn, device=ours.device))
            while (message := await receive(opened))["data"]["records"][-1]["seq"] != 100 * turn:
                assert (message["type"], message["child_id"]) == ("live", ours.child_id)
