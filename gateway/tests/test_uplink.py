"""Every answer a cloud can give, from a real HTTP server: nothing is deleted but by its word, and nothing blocks the rest."""

import asyncio
import json
import logging
import socket
import sqlite3
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from wearable_entries import BOOT, UTC_MS, group
from wearable_entries import DEVICE as DEVICE_ID
from zenmoon_edge.core.clock import Clock
from zenmoon_gateway import uplink as module
from zenmoon_gateway.anchors import Anchor
from zenmoon_gateway.settings import Credentials
from zenmoon_gateway.state import State
from zenmoon_gateway.uplink import Uplink, UplinkState, http_client
from zenmoon_gateway.writer import Writer

ANCHOR = Anchor(tick_ms=0, utc_ms=UTC_MS, source=1, uncertainty_ms=50)
TOKEN = "token-of-a-test"


def key(item):
    return item["device"], item["boot"], item["seq"]


class Cloud:
    """Takes batches and stores each key once; `script` holds the answers that come before the ordinary one."""

    def __init__(self):
        self.stored, self.batches, self.script = {}, [], []
        self.seen = asyncio.Event()
        self.app = FastAPI()
        self.app.post("/api/ingest/batches")(self.ingest)

    async def ingest(self, request: Request):
        batch = json.loads(await request.body())
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        self.batches.append(batch)
        self.seen.set()
        answer = self.script.pop(0) if self.script else self.store
        return answer if isinstance(answer, Response) else answer(batch)

    def store(self, batch, refuse=()):
        refused = [
            {"index": i, "code": code, "detail": f"{code}!"}
            for i, item in enumerate(batch["items"])
            for seq, code in refuse
            if item["seq"] == seq
        ]
        out = {one["index"] for one in refused}
        new = {key(item): item for index, item in enumerate(batch["items"]) if index not in out and key(item) not in self.stored}
        self.stored.update(new)
        taken = len(batch["items"]) - len(refused)
        return {"batch_id": batch["batch_id"], "accepted": len(new), "duplicates": taken - len(new), "refused": refused}


@asynccontextmanager
async def served(app, listener):
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


@pytest.fixture
def listener():
    sock = socket.create_server(("127.0.0.1", 0))
    yield sock
    sock.close()


@pytest.fixture
def cloud():
    return Cloud()


@pytest.fixture
async def writer(tmp_path):
    opened = Writer(tmp_path / "outbox.db")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(module, "PERSON_S", 0.02)
    monkeypatch.setattr(module, "RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(module, "RETRY_LONGEST_S", 0.05)


@asynccontextmanager
async def running(writer, listener, tmp_path):
    async with http_client() as client:
        uplink = Uplink(
            writer=writer,
            client=client,
            cloud=f"http://127.0.0.1:{listener.getsockname()[1]}",
            credentials=Credentials(gateway_id="gw_1", token=TOKEN),
            clock=Clock.system(),
            state=State(tmp_path),
        )
        task = asyncio.create_task(uplink.run())
        try:
            yield uplink
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def put(writer, seqs):
    writer.outbox.commit(DEVICE_ID, group(seqs, anchors=[(BOOT, ANCHOR)]), now_ms=1)
    writer.arrived.set()


async def test_a_proxy_of_the_environment_never_sees_what_stays_on_this_machine(writer, cloud, listener, tmp_path, monkeypatch):
    proxy = FastAPI()
    asked = []

    @proxy.middleware("http")
    async def ask(request: Request, _next):
        asked.append(request.url)
        return Response(status_code=502)

    with socket.create_server(("127.0.0.1", 0)) as beside:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{beside.getsockname()[1]}")
        put(writer, range(2))
        async with served(proxy, beside), served(cloud.app, listener), running(writer, listener, tmp_path):
            await until(lambda: asked or len(cloud.stored) == 2)
    assert asked == []


async def until(condition, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def rows(writer, sql):
    with sqlite3.connect(writer.outbox._connection.execute("PRAGMA database_list").fetchone()[2]) as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found


def left(writer):
    return [row[0] for row in rows(writer, "SELECT seq FROM items ORDER BY seq")]


def tallies(writer):
    return dict(rows(writer, "SELECT name, value FROM tallies"))


async def test_what_the_cloud_took_leaves_the_outbox(cloud, writer, listener, tmp_path):
    put(writer, list(range(1_200)))
    async with served(cloud.app, listener), running(writer, listener, tmp_path) as uplink:
        await until(lambda: not left(writer))
        await until(lambda: uplink.state is UplinkState.IDLE)
    assert len(cloud.stored) == 1_200
    assert [len(batch["items"]) for batch in cloud.batches] == [500, 500, 200]
    item = cloud.stored[f"{DEVICE_ID:016x}", BOOT, 41]
    assert (item["tick_ms"], item["heart_rate_bpm"]) == (164_000, 84.5)
    assert tallies(writer) == {"delivered": 1_200}


async def test_what_arrives_later_is_sent_at_once(cloud, writer, listener, tmp_path):
    async with served(cloud.app, listener), running(writer, listener, tmp_path) as uplink:
        await until(lambda: uplink.state is UplinkState.IDLE)
        put(writer, [0, 1])
        await until(lambda: not left(writer))
    assert len(cloud.batches) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
async def test_an_answer_that_passes_is_tried_again_with_the_same_batch(cloud, writer, listener, tmp_path, status):
    put(writer, [0, 1, 2])
    cloud.script = [Response(status_code=status), Response(status_code=status)]
    async with served(cloud.app, listener), running(writer, listener, tmp_path):
        await until(lambda: not left(writer))
    assert len({batch["batch_id"] for batch in cloud.batches}) == 1
    assert len({json.dumps(batch["items"]) for batch in cloud.batches}) == 1
    assert len(cloud.batches) == 3


async def test_a_cloud_that_is_not_there_yet_is_waited_for(cloud, writer, tmp_path):
    probe = socket.create_server(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    async with running(writer, probe, tmp_path) as uplink:
        probe.close()
        put(writer, [0, 1])
        await until(lambda: uplink.state is UplinkState.CLOUD_UNREACHABLE)
        assert left(writer) == [0, 1]
        with socket.create_server(("127.0.0.1", port)) as listener:
            async with served(cloud.app, listener):
                await until(lambda: not left(writer))


async def test_a_lost_answer_makes_duplicates_not_losses(cloud, writer, listener, tmp_path):
    put(writer, [0, 1, 2])

    def stored_but_unanswered(batch):
        cloud.store(batch)
        return Response(status_code=500)

    cloud.script = [stored_but_unanswered]
    async with served(cloud.app, listener), running(writer, listener, tmp_path):
        await until(lambda: not left(writer))
    assert tallies(writer) == {"duplicates": 3}
    assert len(cloud.stored) == 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda ack: {**ack, "accepted": ack["accepted"] - 1},
        lambda ack: {**ack, "batch_id": "another"},
        lambda ack: {
            **ack,
            "accepted": 1,
            "refused": [{"index": 9, "code": "conflict", "detail": ""}, {"index": 0, "code": "conflict", "detail": ""}],
        },
        lambda ack: {**ack, "accepted": 1, "refused": [{"index": 0, "code": "conflict", "detail": ""}] * 2},
        lambda _: {"status": "welcome to this hotel"},
    ],
    ids=["does_not_add_up", "another_batch", "index_outside", "index_twice", "not_an_answer"],
)
async def test_an_answer_that_does_not_account_for_the_batch_is_not_believed(cloud, writer, listener, tmp_path, spoil):
    put(writer, [0, 1, 2])
    cloud.script = [lambda batch: spoil(cloud.store(batch))]
    async with served(cloud.app, listener), running(writer, listener, tmp_path):
        await until(lambda: not left(writer))
    assert len(cloud.batches) == 2
    assert tallies(writer) == {"duplicates": 3}


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_keeps_everything_and_says_so(cloud, writer, listener, tmp_path, status, caplog):
    put(writer, [0, 1, 2])
    cloud.script = [Response(status_code=status, content='{"detail": "revoked"}')] * 3
    with caplog.at_level(logging.INFO, "zenmoon_gateway"):
        async with served(cloud.app, listener), running(writer, listener, tmp_path) as uplink:
            await until(lambda: uplink.state is UplinkState.TOKEN_REFUSED)
            assert left(writer) == [0, 1, 2]
            state = json.loads((tmp_path / "state.json").read_text())
            assert state["uplink"]["state"] == "token_refused"
            await until(lambda: not left(writer))
    assert sum("enroll this gateway again" in line for line in caplog.messages) == 1
    assert TOKEN not in caplog.text


async def test_a_wrong_address_empties_nothing(cloud, writer, listener, tmp_path):
    put(writer, [0, 1, 2])
    cloud.script = [Response(status_code=404)] * 5
    async with served(cloud.app, listener), running(writer, listener, tmp_path) as uplink:
        await until(lambda: uplink.state is UplinkState.ENVELOPE_REFUSED)
        await until(lambda: not left(writer))
    assert len(cloud.stored) == 3


async def test_refused_items_become_dead_letters_and_their_neighbours_go_on(cloud, writer, listener, tmp_path):
    put(writer, list(range(5)))
    cloud.script = [lambda batch: cloud.store(batch, refuse=[(1, "conflict"), (3, "consent")])]
    async with served(cloud.app, listener), running(writer, listener, tmp_path):
        await until(lambda: not left(writer))
    assert [seq for _, _, seq in cloud.stored] == [0, 2, 4]
    letters = rows(writer, "SELECT seq, code, detail, item IS NULL FROM dead_letters ORDER BY seq")
    assert letters == [(1, "conflict", "conflict!", 0), (3, "consent", "", 1)]
    assert tallies(writer) == {"delivered": 3, "refused": 2, "conflicts": 1}


async def test_the_one_item_that_spoils_its_batch_is_found_and_set_aside(cloud, writer, listener, tmp_path):
    put(writer, list(range(100)))

    def picky(batch):
        if any(item["seq"] == 77 for item in batch["items"]):
            return Response(status_code=422, content='{"title": "bad", "detail": "item 77 spoils it"}')
        return cloud.store(batch)

    cloud.script = [picky] * 100
    async with served(cloud.app, listener), running(writer, listener, tmp_path):
        await until(lambda: not left(writer))
    assert len(cloud.stored) == 99
    assert rows(writer, "SELECT seq, code, detail FROM dead_letters") == [(77, "bad_envelope", "HTTP 422: item 77 spoils it")]
    assert len(cloud.batches) < 20


async def test_a_cloud_that_refuses_every_envelope_does_not_empty_the_outbox(cloud, writer, listener, tmp_path):
    put(writer, list(range(60)))
    refusing = True
    cloud.script = [lambda batch: Response(status_code=400) if refusing else cloud.store(batch)] * 10_000
    async with served(cloud.app, listener), running(writer, listener, tmp_path) as uplink:
        await until(lambda: uplink.state is UplinkState.ENVELOPE_REFUSED)
        assert len(left(writer)) == 60
        refusing = False
        await until(lambda: not left(writer))
    assert len(cloud.stored) == 60
    assert rows(writer, "SELECT count(*) FROM dead_letters") == [(0,)]


async def test_a_time_that_no_calendar_has_blocks_nobody(cloud, writer, listener, tmp_path):
    beyond = Anchor(tick_ms=0, utc_ms=1 << 62, source=1, uncertainty_ms=50)
    writer.outbox.commit(DEVICE_ID, group([0], boot=1, anchors=[(1, beyond)]), now_ms=1)
    put(writer, [0, 1])
    async with served(cloud.app, listener), running(writer, listener, tmp_path):
        await until(lambda: not left(writer))
    assert len(cloud.stored) == 2
    assert rows(writer, "SELECT boot, code FROM dead_letters") == [(1, "bad_value")]
