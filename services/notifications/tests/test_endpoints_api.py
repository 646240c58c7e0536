"""Endpoints, deliveries and API keys over HTTP: who may do what, and what is refused."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from cordboard_chassis.auth.principal import Role
from cordboard_chassis.testing.deployment import rows
from notifications.domain.events import NewsItem
from notifications.usecases.purge_ledger import purge_deleted_endpoints, purge_events, raise_floor
from notifications.usecases.record_events import KnownSubscriptions, Retention, record_events

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODY = "01a21100-0000-7000-8000-000000000000"
URL = "https://partner.example.com/hooks"
TABLES = ("endpoints", "signing_secrets", "endpoint_health", "events", "deliveries", "attempts", "api_keys")
GOOD = {"url": URL, "event_types": ["telephony.call.*"]}


@pytest.fixture(scope="module")
def settings():
    """As in production: no worker is needed, and no address at home is accepted."""
    return {"role": "api", "webhook_allow_private": False, "endpoint_limit": 3}


@pytest.fixture
def partner_client(here):
    """A partner's client."""
    return here.client(Role.PARTNER, partner_id="p1")


async def record(here, org_path=None):
    """An event in the ledger, as the consumer would write it; nobody sends it."""
    item = NewsItem(uuid4(), "telephony.call.offered.v1", org_path or here.place, [], datetime.now(UTC), '{"a":1}')
    async with here.database.transaction() as uow:
        await record_events(uow, KnownSubscriptions(), Retention(2e6, 1e5), [item])
    return item


async def test_the_life_of_an_endpoint(here):
    made = await here.admin.post("/v1/endpoints", json={**GOOD, "description": "订单", "partner_id": "p9"})
    assert made.status_code == 201, made.text
    endpoint = made.json()
    secret = endpoint.pop("secret")
    assert secret.startswith("whsec_")
    path = f"/v1/endpoints/{endpoint['id']}"
    assert made.headers["Location"] == path
    got = await here.admin.get(path)
    assert got.json() == endpoint
    assert secret not in got.text
    assert got.headers["ETag"] == made.headers["ETag"] == '"1"'
    assert (endpoint["org_path"], endpoint["partner_id"], endpoint["enabled"]) == (here.place, "p9", True)

    changed = await here.admin.patch(path, json={"event_types": ["leads.*"]}, headers={"If-Match": '"1"'})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["event_types"], changed.json()["url"]) == (["leads.*"], URL)
    assert changed.headers["ETag"] == '"2"'
    stale = await here.admin.patch(path, json={"description": ""}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "version-changed")
    missing = await here.admin.patch(path, json={"description": ""})
    assert missing.status_code == 428
    assert (await here.admin.delete(path)).status_code == 428
    assert (await here.admin.delete(path, headers={"If-Match": '"2"'})).status_code == 204
    for response in (
        await here.admin.get(path),
        await here.admin.post(path + "/enable"),
        await here.admin.post(path + "/ping"),
        await here.admin.post(path + "/rotate-secret", json={}),
        await here.admin.delete(path, headers={"If-Match": "*"}),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "not-found")
    assert (await here.admin.get("/v1/endpoints")).json()["items"] == []


async def test_lists_come_in_pages(here):
    made = [await here.endpoint(url=f"{URL}/{number}") for number in range(3)]
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await here.admin.get("/v1/endpoints", params=query)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [endpoint["id"] for endpoint in reversed(made)]
    assert (await here.admin.get("/v1/endpoints", params={"enabled": "false"})).json()["items"] == []


async def test_created_once_per_key(here):
    key = {"Idempotency-Key": "create-1"}
    first = await here.admin.post("/v1/endpoints", json=GOOD, headers=key)
    again = await here.admin.post("/v1/endpoints", json=GOOD, headers=key)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    other = await here.admin.post("/v1/endpoints", json={**GOOD, "description": "x"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert len((await here.admin.get("/v1/endpoints")).json()["items"]) == 1


async def test_limit_per_partner(here):
    partners = [here.client(Role.PARTNER, partner_id=f"{name}{uuid4().hex[:8]}") for name in ("a", "b")]
    for _ in range(3):
        await here.endpoint(client=partners[0], url=URL)
    refused = await partners[0].post("/v1/endpoints", json=GOOD)
    assert (refused.status_code, refused.json()["code"]) == (409, "too-many-endpoints")
    await here.endpoint(client=partners[1], url=URL)
    mine = (await partners[0].get("/v1/endpoints")).json()["items"]
    await partners[0].delete(f"/v1/endpoints/{mine[0]['id']}", headers={"If-Match": "*"})
    await here.endpoint(client=partners[0], url=URL)


async def test_partners_see_only_their_own(here, partner_client):
    mine = await here.endpoint(client=partner_client, url=URL)
    theirs = await here.endpoint(url=URL, partner_id="p2")
    house = await here.endpoint(url=URL)
    assert mine["partner_id"] == "p1"
    await record(here)
    all_deliveries = {d["endpoint_id"]: d["id"] for d in await here.deliveries()}
    assert set(all_deliveries) == {mine["id"], theirs["id"], house["id"]}

    listed = (await partner_client.get("/v1/endpoints")).json()["items"]
    assert [endpoint["id"] for endpoint in listed] == [mine["id"]]
    assert (await partner_client.get("/v1/endpoints", params={"partner_id": "p2"})).json()["items"] == []
    deliveries = (await partner_client.get("/v1/deliveries")).json()["items"]
    assert [delivery["endpoint_id"] for delivery in deliveries] == [mine["id"]]
    assert (await partner_client.get(f"/v1/deliveries/{all_deliveries[mine['id']]}")).status_code == 200
    for foreign in (theirs, house):
        path = f"/v1/endpoints/{foreign['id']}"
        delivery = f"/v1/deliveries/{all_deliveries[foreign['id']]}"
        responses = [
            await partner_client.get(path),
            await partner_client.patch(path, json={"description": "mine"}, headers={"If-Match": "*"}),
            await partner_client.delete(path, headers={"If-Match": "*"}),
            await partner_client.post(path + "/disable", json={}),
            await partner_client.post(path + "/enable"),
            await partner_client.post(path + "/ping"),
            await partner_client.post(path + "/rotate-secret", json={}),
            await partner_client.get(delivery),
            await partner_client.post(delivery + "/redeliver"),
        ]
        assert [response.status_code for response in responses] == [404] * len(responses)
        assert (await partner_client.get("/v1/deliveries", params={"endpoint_id": foreign["id"]})).json()["items"] == []
        assert (await here.admin.get(path)).json()["version"] == 1
    for_others = await partner_client.post("/v1/endpoints", json={**GOOD, "partner_id": "p2"})
    assert (for_others.status_code, for_others.json()["errors"][0]["field"]) == (403, "partner_id")
    nobody = await here.client(Role.PARTNER).get("/v1/endpoints")
    assert (nobody.status_code, nobody.json()["code"]) == (403, "partner-missing")


async def test_org_paths_are_walls(here):
    east, west = (
        here.client(Role.ADMINISTRATOR, here.place + "/east"),
        here.client(Role.ADMINISTRATOR, here.place + "/west"),
    )
    endpoint = await here.endpoint(client=east, url=URL)
    assert endpoint["org_path"] == here.place + "/east"
    await record(here, here.place + "/east/shanghai")
    (delivery,) = await here.deliveries()
    assert delivery["org_path"] == endpoint["org_path"]
    path = f"/v1/endpoints/{endpoint['id']}"
    responses = [
        await west.get(path),
        await west.patch(path, json={"description": "x"}, headers={"If-Match": "*"}),
        await west.delete(path, headers={"If-Match": "*"}),
        await west.post(path + "/disable", json={}),
        await west.post(path + "/ping"),
        await west.get(f"/v1/deliveries/{delivery['id']}"),
        await west.post(f"/v1/deliveries/{delivery['id']}/redeliver"),
    ]
    assert [response.status_code for response in responses] == [404] * len(responses)
    assert (await west.get("/v1/endpoints")).json()["items"] == []
    assert (await west.get("/v1/deliveries")).json()["items"] == []
    outside = await west.post("/v1/endpoints", json={**GOOD, "org_path": here.place + "/east"})
    assert (outside.status_code, outside.json()["errors"][0]["field"]) == (403, "org_path")
    # The second lock: what row-level security lets a transaction see, whatever the query forgets.
    async with here.database.transaction(here.place + "/west") as uow:
        for table in (
            "endpoints",
            "signing_secrets",
            "endpoint_health",
            "events",
            "deliveries",
            "attempts",
            "api_keys",
        ):
            assert (await uow.connection.exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar() == 0


async def test_roles(here):
    for role in (Role.AGENT, Role.SUPERVISOR, Role.BRANCH_MANAGER, Role.SERVICE):
        response = await here.client(role).get("/v1/endpoints")
        assert (response.status_code, response.json()["code"]) == (403, "role-missing")
    response = await here.client(Role.PARTNER, partner_id="p1").post("/v1/api-keys", json={"partner_id": "p1"})
    assert (response.status_code, response.json()["code"]) == (403, "role-missing")
    assert (await here.deployed.bare_client().get("/v1/endpoints")).status_code == 401


async def test_api_keys(here):
    made = await here.admin.post("/v1/api-keys", json={"partner_id": "p7", "description": "Acme"})
    assert made.status_code == 201, made.text
    key = made.json()
    client = here.deployed.bare_client({"Authorization": f"Bearer {key['key']}"})
    endpoint = await here.endpoint(client=client, url=URL)
    assert (endpoint["partner_id"], endpoint["org_path"]) == ("p7", here.place)
    listed = await here.admin.get("/v1/api-keys", params={"partner_id": "p7"})
    assert [item["id"] for item in listed.json()["items"]] == [key["id"]]
    assert key["key"] not in listed.text
    assert key["key"].rsplit("_", 1)[1] not in json.dumps(
        await rows(here.database, "SELECT * FROM api_keys"), default=str
    )
    elsewhere = here.client(Role.ADMINISTRATOR, here.place + "/east")
    assert (await elsewhere.delete(f"/v1/api-keys/{key['id']}")).status_code == 404
    assert (await here.admin.delete(f"/v1/api-keys/{key['id']}")).status_code == 204
    assert (await here.admin.delete(f"/v1/api-keys/{key['id']}")).status_code == 204
    refused = await client.get("/v1/endpoints")
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid-token")
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    bad = await here.admin.post("/v1/api-keys", json={"partner_id": "p7", "expires_at": past})
    assert (bad.status_code, bad.json()["errors"]) == (422, [{"field": "expires_at", "reason": "is in the past"}])
    later = datetime.now(UTC) + timedelta(days=1)
    good = await here.admin.post("/v1/api-keys", json={"partner_id": "p7", "expires_at": later.isoformat()})
    assert good.status_code == 201
    assert datetime.fromisoformat(good.json()["expires_at"]) == later
    forged = here.deployed.bare_client({"Authorization": f"Bearer {key['key'][:-1]}0"})
    assert (await forged.get("/v1/endpoints")).status_code == 401


async def test_too_many_secrets(here):
    endpoint = await here.endpoint(url=URL)
    path = f"/v1/endpoints/{endpoint['id']}/rotate-secret"
    for _ in range(3):
        assert (await here.admin.post(path, json={})).status_code == 200
    refused = await here.admin.post(path, json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "too-many-secrets")
    # With a key the same rotation is done once, or a client that repeats it would lose the secret it was given.
    await rows(here.database, "DELETE FROM signing_secrets WHERE expires_at IS NOT NULL RETURNING 1")
    first = await here.admin.post(path, json={"overlap_s": 1}, headers={"Idempotency-Key": "r"})
    assert (await here.admin.post(path, json={"overlap_s": 1}, headers={"Idempotency-Key": "r"})).json() == first.json()


async def test_deliveries_are_filtered(here):
    first, second = await here.endpoint(url=URL), await here.endpoint("*", url=URL)
    await record(here)
    await record(here)
    await rows(
        here.database,
        "UPDATE deliveries SET state = 'failed', next_attempt_at = NULL WHERE endpoint_id = :id RETURNING 1",
        id=first["id"],
    )
    assert len(await here.deliveries()) == 4
    assert {d["endpoint_id"] for d in await here.deliveries(state="failed")} == {first["id"]}
    assert {d["state"] for d in await here.deliveries(endpoint_id=second["id"])} == {"pending"}
    assert len(await here.deliveries(event_type="telephony.call.offered.v1")) == 4
    assert await here.deliveries(event_type="telephony.call.cleared.v1") == []
    page = (await here.admin.get("/v1/deliveries", params={"limit": 3})).json()
    rest = (await here.admin.get("/v1/deliveries", params={"limit": 3, "cursor": page["next_cursor"]})).json()
    ids = [item["id"] for item in page["items"] + rest["items"]]
    assert ids == sorted(set(ids), reverse=True)
    assert (len(ids), rest["next_cursor"]) == (4, None)


async def test_event_types_are_listed(here, partner_client):
    types = (await partner_client.get("/v1/event-types")).json()
    assert {"type": "telephony.call.cleared.v1", "description": "The call is over."} in types


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": None}, "url"),
        ({"url": 5}, "url"),
        ({"url": ""}, "url"),
        ({"url": "http://partner.example.com/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://2130706433/"}, "url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url"),
        ({"url": "https://localhost/"}, "url"),
        ({"url": "https://user:pw@partner.example.com/"}, "url"),
        ({"url": "https://partner.example.com/" + "x" * 2001}, "url"),
        ({"event_types": []}, "event_types"),
        ({"event_types": "telephony.call.*"}, "event_types"),
        ({"event_types": ["telephony.*"] * 51}, "event_types"),
        ({"event_types": ["telephony.*", "telephony.*"]}, "event_types.1"),
        ({"event_types": ["telephony.cal.*"]}, "event_types.0"),
        ({"event_types": ["telephony.call.answered"]}, "event_types.0"),
        ({"event_types": ["x" * 201]}, "event_types.0"),
        ({"org_path": "cn"}, "org_path"),
        ({"org_path": "/CN"}, "org_path"),
        ({"org_path": "/../etc"}, "org_path"),
        ({"description": "x" * 501}, "description"),
        ({"description": "a\u0000b"}, "description"),
        ({"partner_id": ""}, "partner_id"),
        ({"secret": "whsec_mine"}, "secret"),
        ({"enabled": False}, "enabled"),
    ],
)
async def test_bad_endpoints(here, change, field):
    response = await here.admin.post("/v1/endpoints", json={**GOOD, **change})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, field), response.text
    assert response.json()["errors"][0]["reason"]
    assert (await here.admin.get("/v1/endpoints")).json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/endpoints/not-a-uuid", None, 422),
        ("GET", f"/v1/endpoints/{NOBODY}", None, 404),
        ("PATCH", f"/v1/endpoints/{NOBODY}", {"url": URL}, 404),
        ("POST", f"/v1/endpoints/{NOBODY}/ping", None, 404),
        ("POST", f"/v1/endpoints/{NOBODY}/rotate-secret", {"overlap_s": -1}, 422),
        ("POST", f"/v1/endpoints/{NOBODY}/rotate-secret", {"overlap_s": "60"}, 422),
        ("POST", f"/v1/endpoints/{NOBODY}/rotate-secret", {"overlap_s": 10**9}, 422),
        ("POST", f"/v1/endpoints/{NOBODY}/disable", {"reason": ""}, 422),
        ("GET", f"/v1/deliveries/{NOBODY}", None, 404),
        ("POST", f"/v1/deliveries/{NOBODY}/redeliver", None, 404),
        ("GET", "/v1/deliveries?state=lost", None, 422),
        ("GET", "/v1/deliveries?limit=0", None, 422),
        ("GET", "/v1/deliveries?limit=201", None, 422),
        ("GET", "/v1/deliveries?cursor=forged", None, 422),
        ("GET", "/v1/deliveries?endpoint=1", None, 422),
        ("DELETE", "/v1/api-keys/../endpoints", None, 405),
        ("DELETE", "/v1/api-keys/0000000000000000", None, 404),
        ("POST", "/v1/api-keys", {"partner_id": "p", "expires_at": "2030-01-01T00:00:00"}, 422),
        ("POST", "/v1/api-keys", {}, 422),
    ],
)
async def test_bad_requests(here, method, path, body, status):
    response = await here.admin.request(method, path, json=body, headers={"If-Match": "*"})
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json")


async def test_purge_is_bounded_and_removes_a_deleted_endpoint(here):
    endpoint = await here.endpoint(url=URL)
    kept = await here.endpoint("telephony.call.*", url=URL)
    items = [await record(here) for _ in range(5)]
    await here.admin.delete(f"/v1/endpoints/{endpoint['id']}", headers={"If-Match": "*"})
    removed = []
    for _ in range(4):
        async with here.database.transaction() as uow:
            removed.append(await purge_deleted_endpoints(uow, batch=2))
    assert removed == [2, 2, 1, 0]
    assert {d["endpoint_id"] for d in await here.deliveries()} == {kept["id"]}
    await rows(
        here.database,
        "UPDATE endpoints SET deleted_at = now() - interval '1 hour' WHERE id = :id RETURNING 1",
        id=endpoint["id"],
    )
    async with here.database.transaction() as uow:
        await purge_deleted_endpoints(uow)
    assert await rows(here.database, "SELECT 1 FROM endpoints WHERE id = :id", id=endpoint["id"]) == []

    # Past its time, but the stream still promises it: stays. Then the promise ends.
    await rows(
        here.database,
        "UPDATE events SET delete_after = now() - interval '1 s' WHERE org_path = :p RETURNING 1",
        p=here.place,
    )
    async with here.database.transaction() as uow:
        await raise_floor(uow, 86_400)
        assert await purge_events(uow) == 0
    await rows(
        here.database,
        "UPDATE events SET received_at = now() - interval '2 days' WHERE id = :id RETURNING 1",
        id=items[3].id,
    )
    async with here.database.transaction() as uow:
        await raise_floor(uow, 86_400)
        assert [await purge_events(uow, batch=3) for _ in range(3)] == [3, 1, 0]
    left = await here.deliveries()
    assert [d["event_id"] for d in left] == [str(items[4].id)]
