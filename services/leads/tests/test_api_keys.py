"""Partners submit with a key of their own, and see what they submitted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, rows
from cordboard_contracts.leads import LeadRejected, LeadSubmitted

Body = dict[str, Any]


async def a_key(leads: Deployed, **changes: Any) -> dict[str, Any]:
    body = {"partner_id": "fair-east", "org_path": "/cn/east", "label": "展会", **changes}
    response = await leads.client("administrator", subject="admin").post("/v1/api-keys", json=body)
    assert response.status_code == 201, response.text
    return dict(response.json())


def partner(leads: Deployed, key: dict[str, Any]) -> httpx2.AsyncClient:
    return leads.bare_client({"Authorization": f"Bearer {key['key']}"})


async def test_a_partner_submits_into_its_own_part_and_sees_its_own(leads: Deployed, bus: TestBus, wang: Body) -> None:
    key = await a_key(leads)
    client = partner(leads, key)
    body = {**wang, "priority": 0}
    response = await client.post("/v1/leads", json=body, headers={"Idempotency-Key": "1"})
    assert response.status_code == 201, response.text
    lead = response.json()["lead"]
    assert (lead["org_path"], lead["partner_id"]) == ("/cn/east", "fair-east")
    assert lead["submitted_by"] == f"api-key:{key['key_id']}"
    await bus.expect(LeadSubmitted)

    foreign = await client.post("/v1/leads", json={**body, "org_path": "/cn/west"})
    assert (foreign.status_code, foreign.json()["errors"][0]["field"]) == (403, "org_path")
    urgent = await client.post("/v1/leads", json=wang)
    assert (urgent.status_code, urgent.json()["errors"][0]["field"]) == (403, "priority")

    # Another partner of the same branch learns that the person is known, and nothing about them.
    rival = partner(leads, await a_key(leads, partner_id="rival"))
    known = await rival.post("/v1/leads", json={"phone": lead["phone"]})
    assert known.status_code == 200
    assert known.json() == {"lead_id": lead["lead_id"], "duplicate_of": lead["lead_id"], "lead": None}
    assert (await rival.get(f"/v1/leads/{lead['lead_id']}")).status_code == 404
    assert (await rival.post(f"/v1/leads/{lead['lead_id']}/withdraw")).status_code == 404
    assert (await rival.get("/v1/leads")).json()["items"] == []
    assert (await rival.get("/v1/leads", params={"partner_id": "fair-east"})).status_code == 403

    assert [found["lead_id"] for found in (await client.get("/v1/leads")).json()["items"]] == [lead["lead_id"]]
    for path in (f"/v1/leads/{lead['lead_id']}/history", "/v1/lead-imports", "/v1/api-keys"):
        assert (await client.get(path)).json()["code"] == "role-missing"
    withdrawn = await client.post(f"/v1/leads/{lead['lead_id']}/withdraw")
    assert withdrawn.json()["status"] == "rejected"
    await bus.expect(LeadRejected)


async def test_a_key_is_shown_once_and_stored_as_a_digest(leads: Deployed) -> None:
    key = await a_key(leads)
    (stored,) = await rows(leads.database, "SELECT * FROM api_keys")
    assert key["key"].startswith(f"cbk_{key['key_id']}_")
    assert key["key"].rpartition("_")[2] not in str(stored)
    (listed,) = (await leads.client("administrator").get("/v1/api-keys")).json()["items"]
    assert (listed["key_id"], listed["label"], listed["created_by"]) == (key["key_id"], "展会", "admin")
    assert "key" not in listed
    assert "digest" not in listed
    assert await rows(leads.database, "SELECT count(*) FROM idempotency_keys") == [{"count": 0}]


async def test_a_revoked_an_expired_and_a_forged_key_prove_nothing(leads: Deployed) -> None:
    admin = leads.client("administrator", subject="admin")
    key = await a_key(leads)
    assert (await partner(leads, key).get("/v1/leads")).status_code == 200
    for _ in range(2):
        assert (await admin.delete(f"/v1/api-keys/{key['key_id']}")).status_code == 204
    gone = await partner(leads, key).get("/v1/leads")
    assert (gone.status_code, gone.json()["code"]) == (401, "invalid-token")
    (listed,) = (await admin.get("/v1/api-keys")).json()["items"]
    assert (listed["revoked_by"], listed["revoked_at"] is not None) == ("admin", True)

    short = await a_key(leads, expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert (await partner(leads, short).get("/v1/leads")).status_code == 200
    async with leads.database.transaction() as uow:
        await uow.connection.exec_driver_sql("UPDATE api_keys SET expires_at = now() - interval '1 second'")
    assert (await partner(leads, short).get("/v1/leads")).status_code == 401

    good = await a_key(leads)
    forged = {"key": good["key"][:-4] + "0000"}
    for wrong in (forged, {"key": "cbk_1_2"}, {"key": "cbk_" + "0" * 16 + "_" + "0" * 64}):
        assert (await partner(leads, wrong).get("/v1/leads")).status_code == 401


async def test_an_administrator_gives_keys_for_the_own_part_only(leads: Deployed) -> None:
    east, west = leads.client("administrator", "/cn/east"), leads.client("administrator", "/cn/west")
    body = {"partner_id": "p", "org_path": "/cn/east/shanghai"}
    assert (await west.post("/v1/api-keys", json=body)).json()["errors"][0]["field"] == "org_path"
    key_id = (await east.post("/v1/api-keys", json=body)).json()["key_id"]
    assert (await west.delete(f"/v1/api-keys/{key_id}")).status_code == 404
    assert (await west.get("/v1/api-keys")).json()["items"] == []
    assert [key["key_id"] for key in (await east.get("/v1/api-keys")).json()["items"]] == [key_id]
    for wrong, field in [
        ({**body, "partner_id": ""}, "partner_id"),
        ({**body, "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({**body, "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({**body, "expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
        ({**body, "expires_at": 1900000000}, "expires_at"),
        ({**body, "secret": "x"}, "secret"),
    ]:
        response = await east.post("/v1/api-keys", json=wrong)
        assert (response.status_code, response.json()["errors"][0]["field"]) == (422, field)
