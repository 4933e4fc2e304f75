"""Whatever is sent to whatever address, signed in or not, the answer is none of 500: a refusal is a problem document."""

import json
import random
from urllib.parse import quote

import pytest

ROUNDS = 400

TEXTS = (
    "", " ", "x", "a\0b", "\ud800", "\uffff", "é" * 60, "x" * 300, "../..", "%00", "gw_1", "right/UTC", "localtime",
    "Europe/Berlin", "2026-11-20T18:03:08Z", "2026-11-20T18:03:08", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "nan", "-1", "1e-320", "WyJcdWQ4MDAiXQ", "WyIiXQ", "monitoring", "a1b2c3d4e5f60718", "A1B2C3D4E5F60718", "a@b.c",
    "99999999999999999999", "00000000-0000-0000-0000-000000000000", "long enough a password",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31, 2**63, 2**64, 10**400, 1.5, 1e-50, 1e308, float("nan"), float("inf"), -0.0)
ORIGINS = (b"http://zenmoon.test", b"http://[", b"null", b"http://zenmoon.test:99999", b"\xff")
NO_JSON = (b"\xff", b"[" * 100_000, b"{", b"1" * 5_000, b"")
FITTING = {
    "email": "someone@example.org", "password": "long enough a password", "display_name": "Name", "zone": "Europe/Berlin",
    "purpose": "monitoring", "granted": True, "device": "a1b2c3d4e5f60718", "from": "2026-01-01T00:00:00Z", "boot": 3735928559,
    "to": "2027-01-01T00:00:00Z", "name": "Name", "reason": "wrong clock", "origin": "2026-11-20T18:03:08Z",
}  # fmt: skip
ENDS_THE_SESSION = {"/api/auth/logout", "/api/auth/refresh"}


def anything(chance: random.Random, depth: int = 0) -> object:
    kind = chance.randrange(7 if depth < 3 else 5)
    if kind == 5:
        return [anything(chance, depth + 1) for _ in range(chance.randrange(3))]
    if kind == 6:
        return {chance.choice(TEXTS): anything(chance, depth + 1) for _ in range(chance.randrange(3))}
    return chance.choice((TEXTS, TEXTS, NUMBERS, (None, True, False), TEXTS)[kind])


def body(chance: random.Random, properties: list[str], known: dict[str, str]) -> bytes:
    if chance.random() < 0.05:
        return chance.choice(NO_JSON)
    if chance.random() < 0.2:
        return json.dumps(anything(chance)).encode()
    fitting = {name: value for name, value in (FITTING | known).items() if name in properties}
    return json.dumps(fitting | {name: anything(chance) for name in properties if chance.random() < 0.3}).encode()


def filled(chance: random.Random, path: str, known: dict[str, str]) -> str:
    parts = path.split("/")
    for at, part in enumerate(parts):
        if part.startswith("{"):
            value = known.get(part[1:-1], "x") if chance.random() < 0.5 else chance.choice(TEXTS) or "x"
            parts[at] = quote(value, safe="", errors="replace")
    return "/".join(parts)


@pytest.mark.parametrize("seed", [1, 2])
async def test_hostile_requests_break_nothing(seed, application, *, family, client, records, send, superuser):
    await send(family, records(3))
    superuser.execute("UPDATE guardians SET operator = true")
    known = {"child_id": family.child_id, "gateway_id": family.gateway_id, "family_id": family.family_id}
    chance = random.Random(seed)
    interface = application.openapi()
    schemas = interface["components"]["schemas"]
    operations = [
        (method.upper(), path, operation)
        for path, methods in interface["paths"].items() if path not in ENDS_THE_SESSION
        for method, operation in methods.items()
    ]  # fmt: skip
    for _ in range(ROUNDS):
        method, path, operation = chance.choice(operations)
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        properties = list(schemas.get(schema.get("$ref", "").rsplit("/", 1)[-1], schema).get("properties", {}))
        headers: dict[str, str | bytes] = {"Content-Type": chance.choice(("application/json",) * 9 + ("text/plain",))}
        if chance.random() < 0.1:
            headers["Origin"] = chance.choice(ORIGINS)
        if path == "/api/ingest/batches":
            headers |= family.bearer
        query = {
            parameter["name"]: chance.choice((*TEXTS, family.child_id)).encode(errors="replace").decode()
            for parameter in operation.get("parameters", []) if parameter["in"] == "query" and chance.random() < 0.5
        }  # fmt: skip
        content = None if method == "GET" else body(chance, properties, known)
        browser = family.client if chance.random() < 0.85 else client
        answer = await browser.request(method, filled(chance, path, known), content=content, headers=headers, params=query)
        problem = answer.headers.get("content-type") == "application/problem+json"
        assert answer.status_code < 400 or (answer.status_code < 500 and problem), (method, answer.url, content, answer.status_code)


@pytest.mark.parametrize("cursor", ["WyJcdWQ4MDAiXQ", "WyJhXHUwMDAwIl0", "bnVsbA", "%", "é"])
async def test_a_cursor_that_is_none_is_a_problem(cursor, family):
    answer = await family.client.get("/api/children", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (400, "bad-cursor")


@pytest.mark.parametrize("zone", ["localtime", "right/UTC", "Europe", "Europe/Berlin\0", "../UTC", ""])
async def test_a_zone_that_only_this_machine_knows_is_refused(zone, family):
    assert (await family.client.post("/api/children", json={"display_name": "A", "zone": zone})).status_code == 422
