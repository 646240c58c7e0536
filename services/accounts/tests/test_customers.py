"""Customers over HTTP: made, found, changed, and every change told and audited."""

from collections.abc import Callable
from typing import Any

from accounts.storage.tables import metadata
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, rows
from cordboard_contracts.accounts import CustomerRegistered, CustomerUpdated
from sqlalchemy import select


async def test_a_customer_is_made_and_told(accounts: Deployed, bus: TestBus) -> None:
    client = accounts.client("agent", "/cn/east", agent_id="a1001")
    body = {
        "kind": "organisation",
        "name": "上海遠洋物流",
        "org_path": "/cn/east/shanghai",
        "region": "CN",
        "phones": ["021 6888 0000", "+44 20 7946 0018"],
        "contacts": [{"name": "陈静", "role": "采购经理", "email": "chen@example.com", "phones": ["138 0013 8000"]}],
        "tier": "gold",
        "language": "zh-CN",
        "territory": "CN-31",
        "owner_agent_id": "a1001",
    }
    answer = await client.post("/v1/customers", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["ETag"] == '"1"'
    assert [phone["number"] for phone in made["phones"]] == ["+862168880000", "+442079460018"]
    assert made["contacts"][0]["phones"][0]["number"] == "+8613800138000"
    got = await client.get(answer.headers["Location"])
    assert (got.status_code, got.json(), got.headers["ETag"]) == (200, made, '"1"')
    told = await bus.expect(CustomerRegistered)
    assert (told.subject, told.sequence, told.orgpath) == (made["customer_id"], 1, "/cn/east/shanghai")
    customer = told.data.customer
    assert (customer.name, customer.tier, customer.status) == ("上海遠洋物流", "gold", "active")
    assert customer.phones == ("+862168880000", "+442079460018")
    assert customer.contacts[0].phones == ("+8613800138000",)


async def test_a_post_sent_again_makes_one_customer(api: Deployed) -> None:
    client = api.client("agent", "/cn")
    body = {"kind": "person", "name": "Ada Wong", "phones": ["+8613800138000"], "born_on": "1984-02-29"}
    first = await client.post("/v1/customers", json=body, headers={"Idempotency-Key": "k1"})
    again = await client.post("/v1/customers", json=body, headers={"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (201, 201), first.text
    assert again.content == first.content
    other = await client.post("/v1/customers", json={**body, "name": "Eve"}, headers={"Idempotency-Key": "k1"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert len(await rows(api.database, "SELECT * FROM customers")) == 1


async def test_an_update_names_the_version_that_it_changes(
    accounts: Deployed, bus: TestBus, make_customer: Callable[..., Any]
) -> None:
    client = accounts.client("agent", "/cn")
    made = await make_customer(client, tier="gold", territory="CN-31")
    path = f"/v1/customers/{made['customer_id']}"
    blind = await client.patch(path, json={"tier": "silver"})
    assert (blind.status_code, blind.json()["errors"][0]["field"]) == (428, "If-Match")
    changed = await client.patch(path, json={"tier": None, "name": "远洋"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    assert (changed.json()["tier"], changed.json()["name"], changed.json()["territory"]) == (None, "远洋", "CN-31")
    late = await client.patch(path, json={"tier": "silver"}, headers={"If-Match": '"1"'})
    assert (late.status_code, late.json()["code"]) == (412, "version-changed")
    same = await client.patch(path, json={"name": "远洋"}, headers={"If-Match": '"2"'})
    assert (same.status_code, same.headers["ETag"]) == (200, '"2"'), "nothing differs, nothing happens"
    told = await bus.expect(CustomerUpdated)
    assert (told.sequence, told.data.customer.tier, told.data.customer.name) == (2, None, "远洋")


async def test_contacts_and_phones_come_and_go_with_the_customers_version(
    accounts: Deployed, bus: TestBus, make_customer: Callable[..., Any]
) -> None:
    client = accounts.client("agent", "/cn")
    made = await make_customer(client)
    path = f"/v1/customers/{made['customer_id']}"
    contact = await client.post(f"{path}/contacts", json={"name": "李雷", "phones": ["13800138001"], "region": "CN"})
    assert (contact.status_code, contact.headers["ETag"]) == (201, '"2"')
    assert (await client.get(contact.headers["Location"])).json() == contact.json()
    contact_path = contact.headers["Location"]
    changed = await client.patch(contact_path, json={"role": "财务"}, headers={"If-Match": '"2"'})
    assert (changed.status_code, changed.json()["role"], changed.json()["name"]) == (200, "财务", "李雷")
    phone = await client.post(
        f"{path}/phones", json={"number": "+8613800138002", "contact_id": contact.json()["contact_id"]}
    )
    assert phone.status_code == 201
    twice = await client.post(
        f"{path}/phones", json={"number": "+8613800138002", "contact_id": contact.json()["contact_id"]}
    )
    assert (twice.status_code, twice.json()["code"]) == (409, "phone-known")
    own = await client.post(f"{path}/phones", json={"number": "+8613800138002"})
    assert own.status_code == 201, "the customer itself may have it, too"
    gone = await client.delete(f"{path}/phones/{own.json()['phone_id']}")
    assert (gone.status_code, gone.headers["ETag"]) == (204, '"6"')
    assert (await client.delete(contact_path)).status_code == 204
    assert (await client.delete(contact_path)).status_code == 404
    now = (await client.get(path)).json()
    assert (now["version"], now["contacts"], now["phones"]) == (7, [], [])
    last = await bus.expect(CustomerUpdated, lambda envelope: envelope.sequence == 7)
    assert last.data.customer.contacts == ()
    versions = {envelope.sequence: envelope.data.customer for envelope in bus.said(CustomerUpdated)}
    assert sorted(versions) == [2, 3, 4, 5, 6, 7]
    assert versions[4].contacts[0].phones == ("+8613800138001", "+8613800138002")


async def test_a_shared_number_is_taken_and_shown(api: Deployed, make_customer: Callable[..., Any]) -> None:
    client = api.client("agent", "/cn")
    await make_customer(client, phones=["+8613800138000"])
    second = await make_customer(client, name="second", phones=["+8613800138000", "+8613800138001"])
    assert [phone["shared_by"] for phone in second["phones"]] == [1, 0]


async def test_lists_are_searched_and_paged_by_name(api: Deployed, make_customer: Callable[..., Any]) -> None:
    client = api.client("agent", "/cn")
    for number, name in enumerate(("ＡＣＭＥ Ltd", "acme east", "Beta", "陈静", "陈明")):
        await make_customer(
            client,
            name=name,
            org_path="/cn/east" if number % 2 else "/cn/west",
            phones=[f"+861380013800{number}"],
            tier="gold" if number < 2 else "basic",
        )

    async def names(**query: Any) -> list[str]:
        answer = await client.get("/v1/customers", params=query)
        assert answer.status_code == 200, answer.text
        return [customer["name"] for customer in answer.json()["items"]]

    assert await names() == ["acme east", "ＡＣＭＥ Ltd", "Beta", "陈明", "陈静"]
    assert await names(name="Acme") == ["acme east", "ＡＣＭＥ Ltd"]
    assert await names(name="陈") == ["陈明", "陈静"]
    assert await names(phone="138 0013 8002", region="CN") == ["Beta"]
    assert await names(tier="gold", org_path="/cn/east") == ["acme east"]
    assert await names(org_path="/cn/eas") == []
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = (await client.get("/v1/customers", params={"limit": 2, **cursor})).json()
        seen += [customer["name"] for customer in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert (seen, page["next_cursor"]) == (await names(), None)


async def test_a_token_sees_and_writes_its_own_part_of_the_organisation(
    api: Deployed, make_customer: Callable[..., Any]
) -> None:
    east, west = api.client("agent", "/cn/east"), api.client("agent", "/cn/west")
    made = await make_customer(east, phones=["+8613800138000"])
    assert made["org_path"] == "/cn/east", "where the caller is, unless told otherwise"
    path = f"/v1/customers/{made['customer_id']}"
    for request in (
        west.get(path),
        west.patch(path, json={"tier": "gold"}, headers={"If-Match": "*"}),
        west.post(f"{path}/contacts", json={"name": "x"}),
        west.post(f"{path}/notes", json={"text": "x"}),
        west.get(f"{path}/interactions"),
    ):
        answer = await request
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert (await west.get("/v1/customers")).json()["items"] == []
    assert (await west.get("/v1/callers/+8613800138000")).json()["matches"] == []
    outside = await west.post("/v1/customers", json={"kind": "person", "name": "x", "org_path": "/cn/east"})
    assert (outside.status_code, outside.json()["errors"][0]["field"]) == (403, "org_path")
    assert (await api.client("agent", "/cn").get(path)).status_code == 200
    async with api.database.transaction("/cn/west") as uow:
        # The second lock: row-level security, whatever a query forgets.
        for table in metadata.sorted_tables:
            assert await uow.all(select(table)) == [], table.name


async def test_freezing_is_for_leaders_and_is_told(
    accounts: Deployed, bus: TestBus, make_customer: Callable[..., Any]
) -> None:
    agent, leader = accounts.client("agent", "/cn"), accounts.client("supervisor", "/cn", subject="sue")
    made = await make_customer(agent)
    path = f"/v1/customers/{made['customer_id']}"
    assert (await agent.post(f"{path}/freeze", json={"reason": "x"})).json()["code"] == "role-missing"
    frozen = await leader.post(f"{path}/freeze", json={"reason": "unpaid"})
    assert (frozen.json()["status"], frozen.headers["ETag"]) == ("frozen", '"2"')
    assert (await leader.post(f"{path}/freeze", json={"reason": "again"})).headers["ETag"] == '"2"'
    refused = await agent.post(
        "/v1/service-requests", json={"customer_id": made["customer_id"], "workspace": "main", "subject": "x"}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "customer-frozen")
    thawed = await leader.post(f"{path}/unfreeze", json={"reason": "paid"})
    assert (thawed.json()["status"], thawed.headers["ETag"]) == ("active", '"3"')
    last = await bus.expect(CustomerUpdated, lambda envelope: envelope.sequence == 3)
    assert last.data.customer.status == "active"
    audit = (await leader.get(f"{path}/audit")).json()["items"]
    assert [(entry["changed_by"], entry["reason"], entry["before"], entry["after"]) for entry in audit[:2]] == [
        ("sue", "paid", {"status": "frozen"}, {"status": "active"}),
        ("sue", "unpaid", {"status": "active"}, {"status": "frozen"}),
    ]


async def test_every_change_is_audited_and_no_entry_is_ever_changed(
    api: Deployed, make_customer: Callable[..., Any]
) -> None:
    agent, leader = api.client("agent", "/cn", subject="ann"), api.client("branch_manager", "/cn")
    made = await make_customer(agent, tier="gold", phones=["+8613800138000"])
    path = f"/v1/customers/{made['customer_id']}"
    await agent.patch(path, json={"tier": "silver"}, headers={"If-Match": "*"})
    contact = (await agent.post(f"{path}/contacts", json={"name": "李雷"})).json()["contact_id"]
    await agent.patch(f"{path}/contacts/{contact}", json={"email": "li@example.com"}, headers={"If-Match": "*"})
    await agent.delete(f"{path}/contacts/{contact}")
    await agent.delete(f"{path}/phones/{made['phones'][0]['phone_id']}")
    note = (await agent.post(f"{path}/notes", json={"text": "mornings only"})).json()
    assert (await agent.get(f"{path}/notes")).json()["items"] == [note]
    await agent.post(
        "/v1/service-requests", json={"customer_id": made["customer_id"], "workspace": "main", "subject": "help"}
    )
    assert (await agent.get(f"{path}/audit")).status_code == 403
    entries = (await leader.get(f"{path}/audit", params={"limit": 3})).json()
    following = await leader.get(f"{path}/audit", params={"cursor": entries["next_cursor"]})
    told = [
        (entry["entity"], entry["action"], entry["before"], entry["after"])
        for entry in reversed(entries["items"] + following.json()["items"])
    ]
    assert [(entity, action) for entity, action, _, _ in told] == [
        ("customer", "created"),
        ("phone", "created"),
        ("customer", "changed"),
        ("contact", "created"),
        ("contact", "changed"),
        ("contact", "removed"),
        ("phone", "removed"),
        ("note", "created"),
        ("service_request", "created"),
    ]
    assert told[2][2:] == ({"tier": "gold"}, {"tier": "silver"})
    assert told[4][2:] == ({"email": None}, {"email": "li@example.com"})
    assert told[5][2:] == ({"name": "李雷", "role": "", "email": "li@example.com"}, None)
    assert {entry["changed_by"] for entry in entries["items"]} == {"ann"}
    for statement in ("UPDATE audit_entries SET changed_by = 'eve'", "DELETE FROM audit_entries"):
        try:
            await rows(api.database, statement)
        except Exception as error:  # noqa: BLE001
            assert "never changed or removed" in str(error)
        else:
            raise AssertionError(f"{statement} went through")
