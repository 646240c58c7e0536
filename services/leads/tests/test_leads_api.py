"""Leads over HTTP: sent in, read, changed, rejected, withdrawn; what is written and told."""

import asyncio
from typing import Any
from uuid import uuid4

from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, rows
from cordboard_contracts.leads import LeadRejected, LeadStatus, LeadSubmitted, LeadUpdated

Body = dict[str, Any]


async def test_a_lead_is_stored_told_and_routed(leads: Deployed, bus: TestBus, wang: Body) -> None:
    client = leads.client("supervisor", "/cn/east")
    response = await client.post("/v1/leads", json=wang)
    assert response.status_code == 201
    body = response.json()
    lead = body["lead"]
    assert body["duplicate_of"] is None
    assert response.headers["Location"] == f"/v1/leads/{body['lead_id']}"
    assert response.headers["ETag"] == '"1"'
    assert (lead["phone"], lead["org_path"], lead["workspace"]) == ("+8613800138000", "/cn/east", "main")
    assert (lead["status"], lead["source"], lead["owner_agent_id"]) == ("submitted", "web", None)

    told = await bus.expect(LeadSubmitted)
    assert (told.subject, told.sequence, told.orgpath, told.workspace) == (body["lead_id"], 1, "/cn/east", "main")
    assert (told.data.lead.name, told.data.lead.phone) == ("王芳", "+8613800138000")
    assert told.data.lead.status is LeadStatus.SUBMITTED

    read = await client.get(f"/v1/leads/{body['lead_id']}")
    assert (read.json(), read.headers["ETag"]) == (lead, '"1"')


async def test_a_second_open_lead_about_the_same_person_is_the_first_one(
    leads: Deployed, bus: TestBus, wang: Body
) -> None:
    client = leads.client("supervisor", "/cn/east", subject="boss")
    first = (await client.post("/v1/leads", json=wang)).json()
    again = await client.post("/v1/leads", json={"phone": "+86 138 0013 8000", "interest": "手机套餐"})
    assert again.status_code == 200
    assert again.json() == {**first, "duplicate_of": first["lead_id"]}
    elsewhere = await client.post("/v1/leads", json={**wang, "org_path": "/cn/east/shanghai"})
    assert elsewhere.status_code == 201

    # Without a number the address counts; upper and lower case are one.
    mail = (await client.post("/v1/leads", json={"email": "Li@example.cn"})).json()
    assert (await client.post("/v1/leads", json={"email": "li@EXAMPLE.cn"})).json()["duplicate_of"] == mail["lead_id"]

    history = (await client.get(f"/v1/leads/{first['lead_id']}/history")).json()["items"]
    assert [(entry["action"], entry["actor"]) for entry in history] == [
        ("submitted", "boss"),
        ("submitted-again", "boss"),
    ]
    assert history[1]["after"]["interest"] == "手机套餐"

    # Once it is over, the person may become a lead again.
    await client.post(f"/v1/leads/{first['lead_id']}/reject", json={"reason": "moved away"})
    assert (await client.post("/v1/leads", json=wang)).status_code == 201
    await bus.expect(LeadSubmitted, count=4)


async def test_of_many_at_once_one_is_made(leads: Deployed, wang: Body) -> None:
    client = leads.client("service")
    assert (await client.get("/v1/leads")).json()["items"] == []
    answers = await asyncio.gather(*(client.post("/v1/leads", json=wang) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
    assert len({answer.json()["lead_id"] for answer in answers}) == 1


async def test_an_idempotency_key_makes_one_lead(leads: Deployed, wang: Body) -> None:
    client = leads.client("service")
    mail = {**wang, "phone": None, "region": None, "email": "w@example.cn"}
    first = await client.post("/v1/leads", json=mail, headers={"Idempotency-Key": "k1"})
    again = await client.post("/v1/leads", json=mail, headers={"Idempotency-Key": "k1"})
    other = await client.post("/v1/leads", json=wang, headers={"Idempotency-Key": "k1"})
    assert (again.status_code, again.content) == (201, first.content)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert await rows(leads.database, "SELECT count(*) FROM leads") == [{"count": 1}]


async def test_a_list_is_filtered_and_paged(leads: Deployed, wang: Body) -> None:
    client = leads.client("administrator")
    for number in range(5):
        org_path = "/cn/east" if number % 2 else "/us"
        await client.post("/v1/leads", json={"phone": f"+86138001380{number:02}", "org_path": org_path})
    await client.post("/v1/leads", json={**wang, "workspace": "north"})

    async def listed(**query: Any) -> list[str]:
        page = (await client.get("/v1/leads", params=query)).json()
        found = [lead["phone"][-2:] for lead in page["items"]]
        if page["next_cursor"]:
            found += await listed(**{**query, "cursor": page["next_cursor"]})
        return found

    assert await listed(limit=2) == ["00", "04", "03", "02", "01", "00"]
    assert await listed(org_path="/cn") == ["03", "01"]
    assert await listed(org_path="/us", limit=1) == ["04", "02", "00"]
    assert await listed(workspace="north") == ["00"]
    assert await listed(phone="+8613800138003") == ["03"]
    assert await listed(status="accepted") == []
    assert await listed(owner_agent_id="a1001") == []
    assert len(await listed(source="web", status="submitted")) == 6


async def test_a_change_names_the_version_that_it_changes(leads: Deployed, bus: TestBus, wang: Body) -> None:
    client = leads.client("supervisor")
    url = f"/v1/leads/{(await client.post('/v1/leads', json=wang)).json()['lead_id']}"
    assert (await client.patch(url, json={"name": "王小芳"})).status_code == 428
    assert (await client.patch(url, json={"name": "王小芳"}, headers={"If-Match": '"7"'})).status_code == 412

    changed = await client.patch(
        url, json={"name": "王小芳", "phone": "+44 20 7946 0018", "company": ""}, headers={"If-Match": '"1"'}
    )
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    lead = changed.json()
    assert (lead["name"], lead["phone"], lead["company"]) == ("王小芳", "+442079460018", "")
    assert (lead["interest"], lead["email"]) == (wang["interest"], None)
    told = await bus.expect(LeadUpdated)
    assert (told.sequence, told.data.lead.name) == (2, "王小芳")

    same = await client.patch(url, json={"name": "王小芳"}, headers={"If-Match": '"2"'})
    assert (same.status_code, same.headers["ETag"]) == (200, '"2"')
    nobody = await client.patch(url, json={"phone": None}, headers={"If-Match": '"2"'})
    assert (nobody.status_code, nobody.json()["errors"][0]["field"]) == (422, "phone")
    assert (await client.patch(url, json={"name": None}, headers={"If-Match": '"2"'})).status_code == 422

    other = (await client.post("/v1/leads", json=wang)).json()["lead_id"]
    clash = await client.patch(url, json={"phone": "+8613800138000"}, headers={"If-Match": '"2"'})
    assert (clash.status_code, clash.json()["code"], clash.json()["errors"][0]["field"]) == (
        409,
        "lead-duplicate",
        "phone",
    )
    assert other in clash.json()["detail"]
    assert (await client.get(url)).headers["ETag"] == '"2"'
    history = (await client.get(f"{url}/history", params={"limit": 1})).json()
    assert [entry["action"] for entry in history["items"]] == ["submitted"]
    rest = (await client.get(f"{url}/history", params={"cursor": history["next_cursor"]})).json()["items"]
    assert [(entry["action"], entry["before"]["name"], entry["after"]["name"]) for entry in rest] == [
        ("edited", "王芳", "王小芳")
    ]


async def test_a_rejection_has_a_reason_and_ends_the_work(leads: Deployed, bus: TestBus, wang: Body) -> None:
    client = leads.client("supervisor", subject="boss")
    url = f"/v1/leads/{(await client.post('/v1/leads', json=wang)).json()['lead_id']}"
    assert (await client.post(f"{url}/reject", json={"reason": "  "})).status_code == 422
    rejected = await client.post(f"{url}/reject", json={"reason": "没有意向"})
    assert (rejected.status_code, rejected.json()["status"]) == (200, "rejected")
    assert rejected.json()["rejected_because"] == "没有意向"
    told = await bus.expect(LeadRejected)
    assert (told.workspace, told.sequence, told.data.lead.rejected_because) == ("main", 2, "没有意向")

    again = await client.post(f"{url}/reject", json={"reason": "没有意向"})
    assert (again.status_code, again.headers["ETag"]) == (200, '"2"')
    other = await client.post(f"{url}/reject", json={"reason": "号码错误"})
    assert (other.status_code, other.json()["code"]) == (409, "lead-rejected")
    late = await client.patch(url, json={"name": "x"}, headers={"If-Match": '"2"'})
    assert (late.status_code, late.json()["code"]) == (409, "lead-rejected")
    convert = await client.post(f"{url}/convert")
    assert (convert.status_code, convert.json()["code"]) == (409, "lead-rejected")
    entries = await rows(leads.database, "SELECT action, actor FROM audit_entries ORDER BY audit_id")
    assert [(entry["action"], entry["actor"]) for entry in entries] == [("submitted", "boss"), ("rejected", "boss")]


async def test_whoever_submitted_a_lead_may_take_it_back(leads: Deployed, bus: TestBus, wang: Body) -> None:
    client = leads.client("service")
    url = f"/v1/leads/{(await client.post('/v1/leads', json=wang)).json()['lead_id']}"
    withdrawn = await client.post(f"{url}/withdraw")
    assert (withdrawn.status_code, withdrawn.json()["rejected_because"]) == (200, "withdrawn")
    await bus.expect(LeadRejected, lambda e: e.data.lead.rejected_because == "withdrawn")
    assert (await client.post(f"{url}/withdraw")).status_code == 200


async def test_nobody_sees_or_changes_what_is_outside_of_their_part(leads: Deployed, wang: Body) -> None:
    east, west = leads.client("supervisor", "/cn/east"), leads.client("supervisor", "/cn/eastern")
    lead_id = (await east.post("/v1/leads", json=wang)).json()["lead_id"]
    url = f"/v1/leads/{lead_id}"
    for response in (
        await west.get(url),
        await west.get(f"{url}/history"),
        await west.patch(url, json={"name": "x"}, headers={"If-Match": "*"}),
        await west.post(f"{url}/reject", json={"reason": "x"}),
        await west.post(f"{url}/convert"),
        await west.post(f"{url}/withdraw"),
    ):
        assert (response.status_code, response.json()["errors"][0]["field"]) == (404, "lead_id")
    assert (await west.get("/v1/leads")).json()["items"] == []
    assert (await west.get("/v1/leads", params={"org_path": "/cn/east"})).json()["items"] == []
    foreign = await west.post("/v1/leads", json={**wang, "org_path": "/cn/east"})
    assert (foreign.status_code, foreign.json()["errors"][0]["field"]) == (403, "org_path")
    assert (await leads.client("supervisor", "/cn").get(url)).status_code == 200


async def test_the_second_lock_holds_without_the_first(leads: Deployed, wang: Body) -> None:
    """Row-level security, whatever a query forgets."""
    await leads.client("supervisor", "/cn/east").post("/v1/leads", json=wang)
    for scope, count in (("/cn/east", 1), ("/cn", 1), ("/cn/east/shanghai", 0), ("/cn/eastern", 0)):
        async with leads.database.transaction(scope) as uow:
            for table in ("leads", "audit_entries"):
                assert (await uow.connection.exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar() == count


async def test_agents_work_on_their_own_leads_only(leads: Deployed, wang: Body) -> None:
    boss = leads.client("supervisor")
    agent = leads.client("agent", agent_id="a1001")
    url = f"/v1/leads/{(await agent.post('/v1/leads', json=wang)).json()['lead_id']}"
    assert (await agent.get(url)).status_code == 200
    for response in (
        await agent.patch(url, json={"name": "x"}, headers={"If-Match": "*"}),
        await agent.post(f"{url}/reject", json={"reason": "x"}),
        await agent.post(f"{url}/convert"),
    ):
        assert (response.status_code, response.json()["code"]) == (403, "not-yours")
    assert (await agent.post(f"{url}/withdraw")).json()["code"] == "role-missing"
    assert (await boss.patch(url, json={"name": "x"}, headers={"If-Match": "*"})).status_code == 200
    early = await boss.post(f"{url}/convert")
    assert (early.status_code, early.json()["code"]) == (409, "lead-submitted")


BAD = [
    ({}, "phone"),
    ({"name": "王芳"}, "phone"),
    ({"phone": "13800138000"}, "phone"),
    ({"phone": "+86"}, "phone"),
    ({"phone": "call me", "region": "CN"}, "phone"),
    ({"phone": "+8613800138000 ext. 5"}, "phone"),
    ({"phone": "9" * 41, "region": "CN"}, "phone"),
    ({"phone": 13800138000}, "phone"),
    ({"phone": "138 0013 8000", "region": "XX"}, "region"),
    ({"phone": "138 0013 8000", "region": "cn"}, "region"),
    ({"email": "nobody"}, "email"),
    ({"email": "a b@example.com"}, "email"),
    ({"phone": "+8613800138000", "nmae": "王芳"}, "nmae"),
    ({"phone": "+8613800138000", "name": "芳" * 201}, "name"),
    ({"phone": "+8613800138000", "interest": "x" * 501}, "interest"),
    ({"phone": "+8613800138000", "priority": 1001}, "priority"),
    ({"phone": "+8613800138000", "priority": "5"}, "priority"),
    ({"phone": "+8613800138000", "priority": 10**30}, "body"),
    ({"phone": "+8613800138000", "language": "Chinese!"}, "language"),
    ({"phone": "+8613800138000", "territory": "china"}, "territory"),
    ({"phone": "+8613800138000", "workspace": "Main Street"}, "workspace"),
    ({"phone": "+8613800138000", "org_path": "cn"}, "org_path"),
    ({"phone": "+8613800138000", "attributes": {"1": "x"}}, "attributes.1"),
    ({"phone": "+8613800138000", "attributes": {f"k{n}": "" for n in range(51)}}, "attributes"),
    ({"phone": "+8613800138000", "name": "a\0b"}, "name"),
    ([], "body"),
]


async def test_bad_input_is_refused_with_a_field_and_changes_nothing(leads: Deployed, bus: TestBus) -> None:
    client = leads.client("administrator")
    for body, field in BAD:
        response = await client.post("/v1/leads", json=body)
        problem = response.json()
        assert response.headers["Content-Type"].startswith("application/problem+json"), (body, response.text)
        assert response.status_code == 422, (body, problem)
        assert problem["errors"][0]["field"] == field, (body, problem)
        assert problem["errors"][0]["reason"]
    huge = await client.post("/v1/leads", json={"phone": "+8613800138000", "interest": "x" * 2_000_000})
    assert (huge.status_code, huge.json()["code"]) == (413, "body-too-large")
    assert (
        await client.post("/v1/leads", content=b"{", headers={"Content-Type": "application/json"})
    ).status_code == 400
    assert await rows(leads.database, "SELECT count(*) FROM leads") == [{"count": 0}]
    assert bus.said(LeadSubmitted) == []


async def test_unknown_ids_and_wrong_parameters(leads: Deployed) -> None:
    client = leads.client("administrator")
    for method, path, status, field in [
        ("GET", f"/v1/leads/{uuid4()}", 404, "lead_id"),
        ("GET", "/v1/leads/1", 422, "lead_id"),
        ("GET", "/v1/leads?status=lost", 422, "status"),
        ("GET", "/v1/leads?limit=0", 422, "limit"),
        ("GET", "/v1/leads?limit=1001", 422, "limit"),
        ("GET", "/v1/leads?cursor=abc", 422, "cursor"),
        ("GET", "/v1/leads?phone=138", 422, "phone"),
        ("GET", "/v1/leads?owner=a1001", 422, "owner"),
        ("POST", f"/v1/leads/{uuid4()}/convert", 404, "lead_id"),
        ("POST", f"/v1/leads/{uuid4()}/withdraw", 404, "lead_id"),
        ("GET", f"/v1/lead-imports/{uuid4()}", 404, "import_id"),
        ("DELETE", "/v1/api-keys/0123456789abcdef", 404, "key_id"),
        ("DELETE", "/v1/api-keys/nonsense", 422, "key_id"),
    ]:
        response = await client.request(method, path)
        assert (response.status_code, response.json()["errors"][0]["field"]) == (status, field), path


async def test_who_may_what(leads: Deployed, wang: Body) -> None:
    nobody = leads.bare_client()
    assert (await nobody.get("/v1/leads")).status_code == 401
    forged = leads.bare_client({"Authorization": "Bearer " + "x.y.z"})
    assert (await forged.post("/v1/leads", json=wang)).status_code == 401
    expired = leads.client("administrator", lifetime_s=-60)
    assert (await expired.get("/v1/leads")).json()["code"] == "invalid-token"
    lost = leads.client("partner")  # its token names no partner
    assert (await lost.post("/v1/leads", json={"phone": "+8613800138000"})).json()["code"] == "partner-missing"
    for role, path in [("agent", "/v1/lead-imports"), ("partner", "/v1/lead-imports"), ("supervisor", "/v1/api-keys")]:
        response = await leads.client(role, agent_id="a1", partner_id="p1").get(path)
        assert (response.status_code, response.json()["code"]) == (403, "role-missing")
