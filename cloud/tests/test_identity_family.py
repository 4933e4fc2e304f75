"""Children, consents, wristbands, gateways: a family's own settings, and a wall around them."""

from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from zenmoon_cloud.database import Database
from zenmoon_cloud.identity import audit, gateway_from_token
from zenmoon_cloud.problems import Unauthorised

DEVICE = "a1b2c3d4e5f60718"


async def test_a_child_is_added_read_and_changed(family) -> None:
    path = f"/api/children/{family.child_id}"
    child = (await family.client.get(path)).json()
    assert child["zone"] == "Europe/Berlin"
    assert child["chronotype"] is None
    body = {"display_name": "Ada", "birth_year": 2017, "preferred_interventions": ["slow breathing"]}
    assert (await family.client.patch(path, json=body)).status_code == 200
    changed = (await family.client.get(path)).json()
    assert changed == child | body
    assert (await family.client.patch(path, json={"birth_year": None})).json()["birth_year"] is None


@pytest.mark.parametrize("body", [{"zone": "Mars/Olympus"}, {"zone": "../etc"}, {"display_name": "a\0b"}, {"display_name": " "}])
async def test_a_child_with_bad_fields_is_refused(family, body: dict[str, str]) -> None:
    answer = await family.client.post("/api/children", json={"display_name": "B"} | body)
    assert answer.status_code == 422


async def test_children_are_listed_in_pages(family) -> None:
    for number in range(4):
        await family.client.post("/api/children", json={"display_name": f"child {number}"})
    seen, cursor, pages = [], None, 0
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await family.client.get("/api/children", params=query)).json()
        seen += [child["id"] for child in page["items"]]
        pages += 1
        if (cursor := page["next_cursor"]) is None:
            break
    assert pages == 3
    assert len(set(seen)) == len(seen) == 5
    answer = await family.client.get("/api/children", params={"cursor": "%%%"})
    assert answer.json()["type"] == "bad-cursor"


async def test_a_foreign_child_answers_like_an_absent_one(make_family) -> None:
    ours, theirs = await make_family(), await make_family(device="00000000000000aa")
    assignment = (await theirs.client.get(f"/api/children/{theirs.child_id}/wearables")).json()["items"][0]["id"]
    calls = [
        ("GET", "/api/children/{child}", None),
        ("PATCH", "/api/children/{child}", {"display_name": "taken"}),
        ("GET", "/api/children/{child}/wearables", None),
        ("POST", "/api/children/{child}/wearables", {"device": DEVICE, "from": "2020-01-01T00:00:00Z"}),
        ("PATCH", f"/api/children/{{child}}/wearables/{assignment}", {"to": "2027-01-01T00:00:00Z"}),
        ("GET", "/api/consents?child_id={child}", None),
        ("POST", "/api/consents", {"child_id": "{child}", "purpose": "research", "granted": True}),
    ]
    for method, path, body in calls:
        answers = []
        for child in (theirs.child_id, "child_absent"):
            sent = {name: child if value == "{child}" else value for name, value in body.items()} if body else None
            answers.append(await ours.client.request(method, path.format(child=child), json=sent))
        assert [answer.status_code for answer in answers] == [404, 404], path
        assert answers[0].content == answers[1].content
    foreign_gateway = await ours.client.post(f"/api/gateways/{theirs.gateway_id}/revoke")
    assert foreign_gateway.status_code == 404
    foreign_family = await ours.client.post("/api/children", json={"display_name": "x", "family_id": theirs.family_id})
    assert foreign_family.status_code == 404
    for path in ("/api/children", "/api/gateways", "/api/wearables"):
        text = (await ours.client.get(path)).text
        assert theirs.family_id not in text
        assert ours.family_id in text
    assert (await theirs.client.get(f"/api/children/{theirs.child_id}")).json()["display_name"] == "A child"


async def test_nothing_is_allowed_until_somebody_says_so_and_an_opt_out_is_kept(make_family, superuser: psycopg.Connection) -> None:
    family = await make_family(consent=False)
    query = {"child_id": family.child_id}
    before = (await family.client.get("/api/consents", params=query)).json()
    assert [(entry["purpose"], entry["granted"], entry["version"]) for entry in before] == [
        ("monitoring", False, 0), ("profiling", False, 0), ("insights", False, 0), ("research", False, 0)
    ]  # fmt: skip
    for granted in (True, True, False):
        answer = await family.client.post("/api/consents", json=query | {"purpose": "monitoring", "granted": granted})
        assert answer.status_code == 200
    after = (await family.client.get("/api/consents", params=query)).json()
    assert (after[0]["granted"], after[0]["version"]) == (False, 2)
    kept = superuser.execute("SELECT version, granted, at FROM consents ORDER BY version").fetchall()
    assert [row[:2] for row in kept] == [(1, True), (2, False)]
    assert kept[0][2] <= kept[1][2]


async def test_a_wristband_has_one_wearer_at_a_time(family) -> None:
    second = (await family.client.post("/api/children", json={"display_name": "B"})).json()["id"]
    path, other = f"/api/children/{family.child_id}/wearables", f"/api/children/{second}/wearables"
    answer = await family.client.post(other, json={"device": DEVICE, "from": "2026-06-01T00:00:00Z"})
    assert answer.status_code == 409
    assert answer.json()["type"] == "worn-already"
    (worn,) = (await family.client.get(path)).json()["items"]
    assert worn["to"] is None
    ended = await family.client.patch(f"{path}/{worn['id']}", json={"to": "2026-06-01T00:00:00+02:00"})
    assert datetime.fromisoformat(ended.json()["to"]) == datetime(2026, 5, 31, 22, tzinfo=UTC)
    # The end is excluded, so the next wearer may begin at that very moment.
    handed = await family.client.post(other, json={"device": DEVICE, "from": "2026-05-31T22:00:00Z"})
    assert handed.status_code == 201
    overlap = await family.client.patch(f"{path}/{worn['id']}", json={"to": "2026-07-01T00:00:00Z"})
    assert overlap.json()["type"] == "worn-already"


@pytest.mark.parametrize("device", ["8000000000000000", "ffffffffffffffff", "7fffffffffffffff", "0000000000000000"])
async def test_every_64_bit_device_id_survives_the_database(family, device: str) -> None:
    assert (await family.client.post("/api/wearables", json={"device": device})).json()["device"] == device
    path = f"/api/children/{family.child_id}/wearables"
    assert (await family.client.post(path, json={"device": device, "from": "2026-01-01T00:00:00Z"})).status_code == 201
    assert device in {entry["device"] for entry in (await family.client.get(path)).json()["items"]}
    assert device in {entry["device"] for entry in (await family.client.get("/api/wearables")).json()["items"]}


async def test_assignments_need_a_known_wristband_and_a_forward_time(family) -> None:
    path = f"/api/children/{family.child_id}/wearables"
    unknown = await family.client.post(path, json={"device": "00000000000000bb", "from": "2026-01-01T00:00:00Z"})
    assert unknown.json()["type"] == "wearable-not-found"
    for times in ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-02T00:00:00Z"}, {"from": "2026-01-01T00:00:00"}):
        assert (await family.client.post(path, json={"device": DEVICE} | times)).status_code == 422
    (worn,) = (await family.client.get(path)).json()["items"]
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):  # in UTC outside the calendar
        assert (await family.client.post(path, json={"device": DEVICE, "from": moment})).status_code == 422
        assert (await family.client.patch(f"{path}/{worn['id']}", json={"to": moment})).status_code == 422
    again = await family.client.post("/api/wearables", json={"device": DEVICE})
    assert again.json()["type"] == "wearable-exists"


async def test_two_families_may_know_the_same_wristband(make_family) -> None:
    await make_family(device=DEVICE)
    await make_family(device=DEVICE)


async def test_a_gateway_is_known_by_its_token_until_it_is_revoked(
    family, database: Database, superuser: psycopg.Connection
) -> None:
    gateway = await gateway_from_token(database, family.token)
    assert (gateway.id, str(gateway.family_id)) == (family.gateway_id, family.family_id)
    (listed,) = (await family.client.get("/api/gateways")).json()["items"]
    assert listed["last_seen_at"] is not None
    assert family.token not in str(superuser.execute("SELECT gateways::text FROM gateways").fetchall())
    revoked = await family.client.post(f"/api/gateways/{family.gateway_id}/revoke")
    assert revoked.json()["revoked_at"] is not None
    for token, reason in ((family.token, "token-revoked"), ("made up", "token-unknown")):
        with pytest.raises(Unauthorised) as caught:
            await gateway_from_token(database, token)
        assert caught.value.reason == reason


async def test_what_guardians_do_is_in_an_unbroken_chain(make_family, database: Database, superuser: psycopg.Connection) -> None:
    family = await make_family()
    family_id = UUID(family.family_id)
    await make_family(device="00000000000000aa")  # its own chain, beside this one
    actions = superuser.execute("SELECT number, action FROM audit_log WHERE family_id = %s ORDER BY number", [family_id]).fetchall()
    assert actions == [
        (1, "family.registered"), (2, "child.added"), (3, "consent.decided"),
        (4, "wearable.added"), (5, "wearable.assigned"), (6, "gateway.enrolled"),
    ]  # fmt: skip
    async with database.family([family_id]) as connection:
        assert await audit.broken_links(connection, family_id) == []
    superuser.execute("UPDATE audit_log SET subject = '{}' WHERE family_id = %s AND number = 2", [family_id])
    superuser.execute("DELETE FROM audit_log WHERE family_id = %s AND number = 4", [family_id])
    async with database.family([family_id]) as connection:
        assert await audit.broken_links(connection, family_id) == [2, 5]


async def test_a_guardian_without_a_family_sees_nothing_and_is_told_why(family, superuser: psycopg.Connection) -> None:
    superuser.execute("DELETE FROM memberships")
    assert (await family.client.get("/api/children")).json()["items"] == []
    assert (await family.client.get(f"/api/children/{family.child_id}")).status_code == 404
    assert (await family.client.post("/api/children", json={"display_name": "x"})).json()["type"] == "no-family"
