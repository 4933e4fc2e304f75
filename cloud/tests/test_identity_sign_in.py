"""Sign-in: who gets a session, when it ends, and which pages may write with it."""

import httpx
import psycopg
import pytest

REGISTRATION = {"email": "mira@example.org", "password": "correct horse battery", "display_name": "Mira"}


def problem_type(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["title"]
    assert document["detail"]
    return document["type"]


async def register(client: httpx.AsyncClient, **change: str) -> httpx.Response:
    answer = await client.post("/api/auth/register", json=REGISTRATION | change)
    if answer.status_code == 201:
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return answer


async def test_registration_signs_in_with_a_cookie_that_scripts_and_other_sites_never_get(client: httpx.AsyncClient) -> None:
    answer = await register(client)
    assert answer.status_code == 201
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    session = (await client.get("/api/auth/session")).json()
    assert session["guardian"]["email"] == "mira@example.org"
    assert session["guardian"]["operator"] is False
    assert session["csrf_token"] == answer.json()["csrf_token"]


async def test_password_and_session_are_stored_as_hashes_only(client: httpx.AsyncClient, superuser: psycopg.Connection) -> None:
    await register(client)
    cookie = client.cookies["zenmoon_session"]
    rows = superuser.execute("SELECT g::text || encode(s.token_hash, 'escape') FROM guardians g, sessions s").fetchall()
    assert "$argon2id$" in rows[0][0]
    assert REGISTRATION["password"] not in rows[0][0]
    assert cookie not in rows[0][0]


async def test_an_address_registers_once_whatever_its_case(client: httpx.AsyncClient) -> None:
    await register(client)
    answer = await register(client, email="MIRA@Example.org")
    assert answer.status_code == 409
    assert problem_type(answer) == "email-taken"


async def test_login_needs_the_right_password(client: httpx.AsyncClient, browsers) -> None:
    await register(client)
    other = browsers()
    right = {"email": "Mira@example.org", "password": REGISTRATION["password"]}
    wrong = await other.post("/api/auth/login", json=right | {"password": "correct horse batterz"})
    nobody = await other.post("/api/auth/login", json=right | {"email": "nobody@example.org"})
    assert wrong.status_code == nobody.status_code == 401
    assert wrong.json() == nobody.json()  # the answer never tells whether the address exists
    assert problem_type(wrong) == "wrong-credentials"
    assert (await other.post("/api/auth/login", json=right)).status_code == 200
    assert (await other.get("/api/children")).status_code == 200


async def test_an_expired_session_is_named_as_such(client: httpx.AsyncClient, superuser: psycopg.Connection) -> None:
    await register(client)
    superuser.execute("UPDATE sessions SET expires_at = now() - interval '1 second'")
    for answer in (await client.get("/api/children"), await client.post("/api/children", json={"display_name": "A"})):
        assert answer.status_code == 401
        assert problem_type(answer) == "session-expired"


async def test_a_cookie_of_nobody_is_refused(client: httpx.AsyncClient) -> None:
    assert problem_type(await client.get("/api/children")) == "not-signed-in"
    client.cookies["zenmoon_session"] = "made-up"
    assert problem_type(await client.get("/api/children")) == "not-signed-in"


async def test_refresh_rotates_the_session_and_its_csrf_token(client: httpx.AsyncClient, browsers) -> None:
    first = (await register(client)).json()
    old = browsers()
    old.cookies["zenmoon_session"] = client.cookies["zenmoon_session"]
    renewed = await client.post("/api/auth/refresh")
    assert renewed.status_code == 200
    assert renewed.json()["csrf_token"] != first["csrf_token"]
    assert (await client.get("/api/children")).status_code == 200
    assert problem_type(await old.get("/api/children")) == "session-ended"


async def test_refresh_never_reaches_beyond_the_limit(client: httpx.AsyncClient, superuser: psycopg.Connection) -> None:
    await register(client)
    superuser.execute("UPDATE sessions SET signed_in_at = now() - interval '29 days 23 hours'")
    await client.post("/api/auth/refresh")
    left = superuser.execute("SELECT expires_at - now() < interval '1 hour' FROM sessions WHERE ended_at IS NULL").fetchone()
    assert left == (True,)


async def test_logout_ends_the_session_on_the_server_too(client: httpx.AsyncClient, browsers) -> None:
    await register(client)
    kept = browsers()
    kept.cookies["zenmoon_session"] = client.cookies["zenmoon_session"]
    assert (await client.post("/api/auth/logout")).status_code == 204
    assert "zenmoon_session" not in client.cookies
    assert problem_type(await kept.get("/api/children")) == "session-ended"


@pytest.mark.parametrize("token", ["", "0" * 64, "x"])
async def test_a_write_without_the_csrf_token_is_refused(client: httpx.AsyncClient, token: str) -> None:
    await register(client)
    client.headers["X-CSRF-Token"] = token
    answer = await client.post("/api/children", json={"display_name": "A"})
    assert answer.status_code == 403
    assert problem_type(answer) == "csrf"
    del client.headers["X-CSRF-Token"]
    assert problem_type(await client.post("/api/auth/logout")) == "csrf"
    assert (await client.get("/api/children")).json()["items"] == []


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.test", "http://zenmoon.test.evil.test", "ftp://zenmoon.test", "http://["]
)
async def test_a_write_from_another_page_is_refused(client: httpx.AsyncClient, origin: str | None) -> None:
    await register(client)
    del client.headers["Origin"]
    headers = {} if origin is None else {"Origin": origin}
    for path, body in (("/api/children", {"display_name": "A"}), ("/api/auth/login", REGISTRATION), ("/api/auth/logout", None)):
        answer = await client.post(path, json=body, headers=headers)
        assert answer.status_code == 403
        assert problem_type(answer) == "foreign-origin"


async def test_an_origin_that_the_operator_names_may_write(client: httpx.AsyncClient, application) -> None:
    application.state.settings.allowed_origins.append("https://app.example.org")
    client.headers["Origin"] = "https://app.example.org"
    assert (await register(client)).status_code == 201


async def test_invalid_requests_name_the_fields_and_repeat_no_value(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/auth/register", json={"email": "not an address", "password": "short-1"})
    assert answer.status_code == 422
    assert problem_type(answer) == "invalid-request"
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/body/email", "/body/password", "/body/display_name"}
    assert "short-1" not in answer.text


async def test_address_with_a_nul_signs_nobody_in(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/auth/login", json={"email": "a\0@example.org", "password": "long enough a password"})
    assert (answer.status_code, problem_type(answer)) == (422, "invalid-request")


async def test_unknown_addresses_and_methods_are_problems_too(client: httpx.AsyncClient) -> None:
    assert problem_type(await client.get("/api/nothing")) == "not-found"
    assert problem_type(await client.delete("/api/auth/login")) == "method-not-allowed"
