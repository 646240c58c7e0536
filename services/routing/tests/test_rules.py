"""Rules choose queue, requirement, priority and territory; customers are known by their numbers."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from cordboard_chassis.testing.deployment import eventually, rows
from cordboard_contracts import accounts
from sqlalchemy import text

pytestmark = pytest.mark.asyncio(loop_scope="session")

RULES = "/v1/workspaces/main/rules"


def _customer(**fields):
    given = {
        "customer_id": uuid4(),
        "org_path": "/cn/east",
        "kind": "person",
        "status": "active",
        "name": "王芳",
        "created_at": datetime.now(UTC),
    }
    return accounts.Customer(**{**given, **fields})


async def _know(centre, customer, sequence=1, event=accounts.CustomerRegistered):
    await centre.bus.publish(
        event(customer=customer), subject=customer.customer_id, sequence=sequence, orgpath=customer.org_path
    )

    async def known():
        found = await rows(
            centre.deployed.database,
            "SELECT sequence FROM customers WHERE customer_id = :id",
            id=customer.customer_id,
        )
        return found and found[0]["sequence"] >= sequence

    await eventually(known)


async def _arrives(centre, **fields):
    """The work item of a new call."""
    call = centre.call(**fields)
    await call.tell(call.offer())
    return await centre.ends(call.call_id, "waiting")


def _number():
    return "+86139" + str(uuid4().int)[:8]


async def test_the_first_rule_that_holds_decides(centre):
    for queue in ("vip", "east", "sales"):
        await centre.queue(queue)
    gold, east = _number(), _number()
    await _know(centre, _customer(phones=[gold], tier="gold", language="zh-CN", territory="CN-31-0115"))
    await _know(centre, _customer(phones=[east], territory="CN-31", language="en"))
    await centre.rules(
        {
            "name": "gold",
            "when": {"tier": ["gold", "platinum"], "kind": ["call"]},
            "then": {
                "queue": "vip",
                "requirement": {"loans": 50},
                "priority": 100,
                "territory": "own",
                "language": "own",
            },
        },
        {"name": "shanghai", "when": {"territory": ["CN-31"], "known": True}, "then": {"queue": "east"}},
        {"name": "sales", "when": {"dialled": ["400800*", "95588"]}, "then": {"queue": "sales", "language": "en"}},
    )
    version = (await centre.ok("GET", RULES))["version"]

    item = await _arrives(centre, number=gold)
    assert (item["queue"], item["priority"], item["rule"], item["rule_version"]) == ("vip", 100, "gold", version)
    assert item["requirement"] == {"loans": 50, "language:zh-CN": 1}
    assert (item["required_territory"], item["customer_tier"], item["customer_name"]) == (
        "CN-31-0115",
        "gold",
        "王芳",
    )
    item = await _arrives(centre, number=east)
    assert (item["queue"], item["required_territory"], item["requirement"]) == ("east", None, {})
    item = await _arrives(centre, number=_number())
    assert (item["queue"], item["requirement"], item["customer_id"]) == ("sales", {"language:en": 1}, None)
    item = await _arrives(centre, number=None, dialled="12345")
    assert (item["queue"], item["rule"]) == ("default", "everything")


async def _is_served(centre, number, agent_id, **fields):
    """A call of this number is offered to the agent, answered and over."""
    call = centre.call(number=number, **fields)
    await call.tell(call.offer())
    await call.tell(call.answer(await centre.offered(call.call_id, agent_id)))
    await centre.ends(call.call_id, "accepted")
    await call.tell(call.clear())
    return await centre.ends(call.call_id, "completed")


async def test_the_last_agent_comes_before_the_own_one_while_it_is_fresh(centre):
    number = _number()
    await _know(centre, _customer(phones=[number], owner_agent_id="a1"))
    again = {"queue": "default", "last_agent_within_s": 3600, "patience_s": 600}
    await centre.rules(
        {"name": "again", "when": {"dialled": ["1"]}, "then": again},
        {"name": "named", "when": {"dialled": ["2"]}, "then": {"queue": "default", "preferred_agent": "a2"}},
    )
    await centre.agent("a1")
    await centre.agent("a2")
    await _is_served(centre, number, "a1", dialled="1")  # nobody was last: the own one
    await _is_served(centre, number, "a2", dialled="2")
    await _is_served(centre, number, "a2", dialled="1")

    await centre.mode("a2", "not_ready", "back soon")
    call = centre.call(number=number, dialled="1")
    await call.tell(call.offer())
    assert (await centre.ends(call.call_id, "waiting"))["preferred_agent"] == "a2"
    await call.tell(call.clear())
    await centre.ends(call.call_id, "cancelled")
    await centre.mode("a2", "offline")
    await _is_served(centre, number, "a1", dialled="1")

    await centre.mode("a2", "ready")
    await _is_served(centre, number, "a2", dialled="2")
    async with centre.deployed.database.transaction() as uow:
        await uow.execute(text("UPDATE last_agents SET accepted_at = accepted_at - interval '1 hour'"))
    await _is_served(centre, number, "a1", dialled="1")


async def test_territory_and_skill_choose_the_agent(centre):
    number = _number()
    await _know(centre, _customer(phones=[number], territory="CN-31-0115"))
    await centre.rules(
        {
            "name": "own",
            "when": {"known": True},
            "then": {"queue": "default", "territory": "own", "requirement": {"x": 5}},
        }
    )
    await centre.agent("a1", territories=["CN-44"], skills={"x": 9})
    await centre.agent("a2", territories=["CN-31"], skills={"x": 4})
    await centre.agent("a3", territories=["CN-44", "CN-31"], skills={"x": 5})
    call = centre.call(number=number)
    await call.tell(call.offer())
    assert (await centre.offered(call.call_id)).assignment.agent_id == "a3"


async def test_a_customers_own_agent_is_asked_first(centre):
    number = _number()
    await _know(centre, _customer(phones=[number], owner_agent_id="a1002"))
    await centre.agent("a1001")
    await centre.agent("a1002")
    call = centre.call(number=number)
    await call.tell(call.offer())
    offer = await centre.offered(call.call_id)
    assert offer.assignment.agent_id == "a1002"
    explained = await centre.ok("GET", f"/v1/work-items/{offer.work_item.work_item_id}/explain")
    assert explained["assignments"][0]["reason"]["preferred"] is True


async def test_the_picture_of_a_customer_follows_the_newest_event(centre):
    first, second, contacts = _number(), _number(), _number()
    contact = accounts.Contact(contact_id=uuid4(), name="李雷", phones=[contacts])
    customer = _customer(phones=[first], contacts=[contact], tier="silver")
    await _know(centre, customer, 1)
    assert (await _arrives(centre, number=contacts))["customer_id"] == str(customer.customer_id)
    changed = customer.model_copy(update={"phones": (second,), "contacts": (), "tier": "gold"})
    await _know(centre, changed, 3, accounts.CustomerUpdated)
    await centre.bus.publish(
        accounts.CustomerUpdated(customer=customer), subject=customer.customer_id, sequence=2, orgpath="/cn/east"
    )
    await _know(centre, _customer())  # is handled after the late one
    assert (await _arrives(centre, number=first))["customer_id"] is None
    assert (await _arrives(centre, number=contacts))["customer_id"] is None
    assert (await _arrives(centre, number=second))["customer_tier"] == "gold"


async def test_a_customer_of_another_branch_is_not_shown(centre):
    shared = _number()
    await _know(centre, _customer(phones=[shared], org_path="/cn/west", name="west"))
    assert (await _arrives(centre, number=shared, org_path="/cn/east"))["customer_id"] is None
    assert (await _arrives(centre, number=shared, org_path="/cn"))["customer_name"] == "west"
    # Of several with the same number: the active ones first, then those whose own it is.
    contact = accounts.Contact(contact_id=uuid4(), name="x", phones=[shared])
    await _know(centre, _customer(phones=[shared], org_path="/cn/east", name="frozen", status="frozen"))
    await _know(centre, _customer(contacts=[contact], org_path="/cn/east/shanghai", name="contact"))
    assert (await _arrives(centre, number=shared, org_path="/cn/east"))["customer_name"] == "contact"
    await _know(centre, _customer(phones=[shared], org_path="/cn", name="own"))
    assert (await _arrives(centre, number=shared, org_path="/cn/east"))["customer_name"] == "own"


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ([{"name": "a", "then": {"queue": "nowhere"}}], "rules.0.then.queue"),
        ([{"name": "a", "when": {"tier": ["x"]}, "then": {"queue": "default"}}], "rules"),
        (
            [{"name": "a", "then": {"queue": "default"}}, {"name": "b", "then": {"queue": "default"}}],
            "rules.0.when",
        ),
        (
            [
                {"name": "a", "when": {"tier": ["x"]}, "then": {"queue": "default"}},
                {"name": "a", "then": {"queue": "default"}},
            ],
            "rules.1.name",
        ),
        ([], "rules"),
        ([{"name": "a", "then": {}}], "rules.0.then.queue"),
        ([{"name": "a", "then": {"queue": "default", "requirement": {"x": 101}}}], "rules.0.then.requirement.x"),
        ([{"name": "a", "then": {"queue": "default", "territory": "shanghai"}}], "rules.0.then.territory"),
        ([{"name": "a", "when": {"colour": ["red"]}, "then": {"queue": "default"}}], "rules.0.when.colour"),
        ([{"name": "a", "when": {"kind": ["fax"]}, "then": {"queue": "default"}}], "rules.0.when.kind.0"),
    ],
)
async def test_bad_rules_name_the_field_and_change_nothing(centre, rules, field):
    before = await centre.ok("GET", RULES)
    response = await centre.admin.put(RULES, json={"rules": rules}, headers={"If-Match": "*"})
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["field"].startswith(field)
    assert await centre.ok("GET", RULES) == before


async def test_rules_have_versions(centre):
    present = await centre.admin.get(RULES)
    tag, version = present.headers["etag"], present.json()["version"]
    body = {"rules": [{"name": "only", "then": {"queue": "default", "priority": 3}}]}
    assert (await centre.admin.put(RULES, json=body)).status_code == 428
    assert (await centre.admin.put(RULES, json=body, headers={"If-Match": '"1000000"'})).status_code == 412
    written = await centre.admin.put(RULES, json=body, headers={"If-Match": tag})
    assert (written.status_code, written.json()["version"]) == (200, version + 1)
    assert written.headers["etag"] == f'"{version + 1}"'
    assert (await centre.ok("GET", f"{RULES}/versions/{version}")) == present.json()
    listed = await centre.ok("GET", f"{RULES}/versions?limit=1")
    assert (listed["items"][0]["version"], listed["items"][0]["size"]) == (version + 1, 1)
    older = await centre.ok("GET", f"{RULES}/versions?limit=1&cursor={listed['next_cursor']}")
    assert older["items"][0]["version"] == version
    assert (await centre.admin.get(f"{RULES}/versions/{version + 2}")).status_code == 404


async def test_a_queue_that_is_needed_stays(centre):
    await centre.queue("sales")
    await centre.rules({"name": "sales", "when": {"dialled": ["1"]}, "then": {"queue": "sales"}})
    queue = "/v1/workspaces/main/queues/sales"

    async def delete(path, match="*"):
        response = await centre.admin.delete(path, headers={"If-Match": match} if match else {})
        return response.status_code, response.json()["code"] if response.content else None

    assert await delete(queue, None) == (428, "precondition-required")
    assert await delete(queue) == (409, "queue-in-rules")
    assert await delete("/v1/workspaces/main/queues/default") == (409, "default-queue")
    item = await _arrives(centre, dialled="1")
    assert item["queue"] == "sales"
    await centre.rules()
    assert await delete(queue) == (409, "still-in-use")
    await centre.ok("POST", f"/v1/work-items/{item['work_item_id']}/cancel", {"reason": "test"})
    assert await delete(queue) == (204, None)
    assert await delete(queue) == (404, "not-found")
