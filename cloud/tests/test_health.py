"""The service as a process: health that asks, starts and stops that leave nothing behind, one interface on record."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin
from zenmoon_cloud.database.migrate import newest
from zenmoon_cloud.demo_family import ensure_demo_family
from zenmoon_cloud.settings import now

ROOT = Path(__file__).parents[2]
SNAPSHOT = ROOT / "docs" / "openapi.json"


async def test_health_asks_the_database(client: httpx.AsyncClient, superuser: psycopg.Connection) -> None:
    answer = await client.get("/api/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "database": "ok", "migration": newest()}
    superuser.execute("UPDATE alembic_version SET version_num = '0000'")
    behind = await client.get("/api/health")
    assert (behind.status_code, behind.json()["database"]) == (503, "outdated")


async def test_a_database_that_goes_away_is_a_503_and_never_a_lie(application, client: httpx.AsyncClient, family) -> None:
    await application.state.database.api.close()
    health = await client.get("/api/health")
    assert (health.status_code, health.json()["database"]) == (503, "unreachable")
    answer = await family.client.get("/api/children")
    assert (answer.status_code, answer.json()["type"]) == (503, "database-unavailable")


async def test_a_request_beyond_the_limit_is_refused_before_it_is_read(client: httpx.AsyncClient, settings) -> None:
    async def endless():
        for _ in range(settings.body_limit // 100_000 + 2):
            yield b"x" * 100_000

    declared = await client.post("/api/auth/login", content=b"x" * (settings.body_limit + 1))
    streamed = await client.post("/api/auth/login", content=endless())
    assert [declared.status_code, streamed.status_code] == [413, 413]


async def test_the_demo_family_is_made_once(application, settings, browsers) -> None:
    first = await ensure_demo_family(settings, device="a1b2c3d4e5f60718")
    assert await ensure_demo_family(settings, device="a1b2c3d4e5f60718") == first
    kept = settings.state / "demo.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    for who, operator in (("parent", False), ("operator", True)):
        answer = await browsers().post("/api/auth/login", json=first[who])
        assert answer.json()["guardian"]["operator"] is operator
    kept.unlink()
    again = await ensure_demo_family(settings, device="a1b2c3d4e5f60718")
    assert (again["child_id"], again["family_id"]) == (first["child_id"], first["family_id"])
    assert again["parent"]["password"] != first["parent"]["password"]


async def test_the_demo_family_stays_as_its_guardian_has_left_it(application, settings, browsers) -> None:
    device, begin = "a1b2c3d4e5f60718", datetime.now(UTC) - timedelta(days=61)
    first = await ensure_demo_family(settings, device=device, begin=begin)
    browser = browsers()
    browser.headers["X-CSRF-Token"] = (await browser.post("/api/auth/login", json=first["parent"])).json()["csrf_token"]
    for number in range(8):  # one of them comes before the demo's child in any order
        sibling = {"family_id": first["family_id"], "display_name": f"Kim {number}", "zone": "UTC"}
        assert (await browser.post("/api/children", json=sibling)).status_code == 201
    for purpose in ("monitoring", "insights"):
        withdrawal = {"child_id": first["child_id"], "purpose": purpose, "granted": False}
        assert (await browser.post("/api/consents", json=withdrawal)).status_code == 200
    wearables = f"/api/children/{first['child_id']}/wearables"
    assignment = (await browser.get(wearables)).json()["items"][0]["id"]
    ended = datetime.now(UTC).isoformat()
    assert (await browser.patch(f"{wearables}/{assignment}", json={"to": ended})).status_code == 200

    again = await ensure_demo_family(settings, device=device, begin=begin)
    assert again["child_id"] == first["child_id"]
    consents = (await browser.get("/api/consents", params={"child_id": first["child_id"]})).json()
    assert not any(consent["granted"] for consent in consents)
    worn = (await browser.get(wearables)).json()["items"]
    assert [datetime.fromisoformat(one["from"]) for one in worn if one["to"] is None] == [datetime.fromisoformat(ended)]


def environment(**values: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZENMOON_", "DATABASE_URL"))}
    return kept | values


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "zenmoon_cloud.cli", *words]


@contextmanager
def serving(state: Path, *, stop: int = signal.SIGTERM) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The service as its user starts it, with the embedded server; gives its address once it is healthy."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    log = state.with_suffix(".log").open("ab")
    process = subprocess.Popen(
        command("serve", "--port", address.rsplit(":", 1)[1]), env=environment(ZENMOON_STATE=str(state)), stdout=log, stderr=log
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, state.with_suffix(".log").read_text()
            assert time.monotonic() < deadline
            try:
                if httpx.get(f"{address}/api/health").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.02)  # the one wait that has no event to hang on: another process opens its port
        yield address, process
    finally:
        process.send_signal(stop)
        process.wait(30)
        log.close()


def test_serve_survives_a_kill_and_stops_in_order(state: Path) -> None:
    registration = {"email": "mira@example.org", "password": "correct horse battery", "display_name": "Mira"}
    with serving(state, stop=signal.SIGKILL) as (address, _):
        answer = httpx.post(f"{address}/api/auth/register", json=registration, headers={"Origin": address})
        assert answer.status_code == 201
    with serving(state) as (address, process):
        answer = httpx.post(f"{address}/api/auth/login", json=registration, headers={"Origin": address})
        assert answer.status_code == 200
        rss = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert rss < 150_000_000
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        programs = [Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0") for child in children]
        assert sorted(b"worker" in words for words in programs) == [False, True]  # the database and its worker
    assert process.returncode == 0
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    log = state.with_suffix(".log").read_text()
    assert "mira@example.org" not in log
    for line in log.splitlines():
        json.loads(line)


async def test_logs_hold_no_address_of_a_parent_and_no_cursor(state: Path) -> None:
    registration = {"email": "mira@example.org", "password": "correct horse battery", "display_name": "Mira"}
    with serving(state) as (address, _):
        async with httpx.AsyncClient() as browser:
            answer = await browser.post(f"{address}/api/auth/register", json=registration, headers={"Origin": address})
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        url = f"{address.replace('http', 'ws')}/api/alerts?cursor=1-a1b2c3d4e5f60718-1-1"
        async with connect(url, additional_headers={"Cookie": cookie}, origin=Origin(address)) as opened:
            assert json.loads(await opened.recv())["type"] == "hello"
        with pytest.raises(InvalidStatus):
            async with connect(url, origin=Origin(address)):
                pass
    log = state.with_suffix(".log").read_text()
    assert "a1b2c3d4e5f60718" not in log
    assert "127.0.0.1:" not in log.replace(address, "")


async def test_time_follows_the_calendar_also_when_it_jumps(application, monkeypatch) -> None:
    before = now(application.state.clock)
    hour_ns = 3_600_000_000_000
    present = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: present() + hour_ns)  # as after a sleep of the machine
    assert 3590 < (now(application.state.clock) - before).total_seconds() < 3700


def test_the_service_imports_no_heavy_library() -> None:
    heavy = ("numpy", "pandas", "tensorflow", "torch", "sqlalchemy", "alembic", "typer", "uvicorn")
    program = f"import sys, zenmoon_cloud.app; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_interface_on_record_is_the_one_that_is_served(tmp_path: Path) -> None:
    env = environment(ZENMOON_STATE=str(tmp_path / "absent"))
    printed = subprocess.run(command("openapi"), capture_output=True, text=True, check=True, env=env).stdout
    assert not (tmp_path / "absent").exists()
    assert SNAPSHOT.read_text() == printed, "the interface changed: run `zenmoon-cloud openapi --out docs/openapi.json`"


@pytest.mark.parametrize(
    ("words", "values", "said"),
    [
        (("migrate",), {"DATABASE_URL": "postgresql:///zenmoon"}, "ZENMOON_DATABASE_SECRET"),
        (("migrate",), {"DATABASE_URL": "postgresql://x:y@127.0.0.1:1/zenmoon"}, "DATABASE_URL"),
        (("migrate",), {"ZENMOON_PORT": "many"}, "ZENMOON_"),
        (("migrate",), {"ZENMOON_LOG_LEVEL": "loud"}, "ZENMOON_"),
        (("serve", "--port", "99999"), {}, "port"),
        (("serve", "--clock", "noon"), {}, "utc_ms:monotonic_us:rate"),
        (("seed", "--device", "XYZ"), {}, "16 lower-case hex digits"),
    ],
)
def test_an_expected_failure_is_one_line_with_the_next_action(words, values: dict[str, str], said: str, state: Path) -> None:
    env = environment(ZENMOON_STATE=str(state), **values)
    result = subprocess.run(command(*words), capture_output=True, text=True, check=False, env=env)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
