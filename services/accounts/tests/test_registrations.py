"""The command that makes a customer of a lead: one customer per source, and an answer each time."""

import asyncio
from collections.abc import Callable
from typing import Any

from accounts.app import build
from accounts.consumers import interaction_of
from accounts.settings import AccountsSettings
from accounts.usecases.record_interactions import record_interactions
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, Deployment, eventually, rows
from cordboard_contracts import Envelope
from cordboard_contracts.accounts import (
    CustomerKind,
    CustomerRegistered,
    CustomerRegistrationRefused,
    NewContact,
    RegisterCustomer,
)

NUMBER = "+8613800138000"


def command(source_ref: str = "lead:1", **fields: Any) -> RegisterCustomer:
    given = {"kind": CustomerKind.PERSON, "name": "陈静", "org_path": "/cn/east", "phones": (NUMBER,), **fields}
    return RegisterCustomer(source_ref=source_ref, **given)


def answers(source_ref: str) -> Callable[[Envelope[Any]], bool]:
    """Whether an event answers the command of this source."""
    return lambda envelope: envelope.data.customer.source_ref == source_ref


async def test_a_lead_becomes_one_customer(accounts: Deployed, bus: TestBus, make_call: Callable[..., Any]) -> None:
    call = make_call(NUMBER, answered_by=["a1001"], cleared=True)
    async with accounts.database.transaction() as uow:
        await record_interactions(uow, [interaction_of(call, 3)])
    contacts = (NewContact(name="李雷", phones=("+8613800138001",), email="li@example.com"),)
    asked = command(kind=CustomerKind.ORGANISATION, contacts=contacts, owner_agent_id="a1001", language="zh-CN")
    sent = await bus.publish(asked, subject="1", orgpath="/cn/east")
    told = await bus.expect(CustomerRegistered)
    customer = told.data.customer
    assert (told.sequence, told.orgpath, told.causationid) == (1, "/cn/east", sent.id)
    assert (customer.source_ref, customer.name, customer.phones) == ("lead:1", "陈静", (NUMBER,))
    assert (customer.contacts[0].phones, customer.owner_agent_id) == (("+8613800138001",), "a1001")
    await bus.publish(asked, subject="1", orgpath="/cn/east")
    again = await bus.expect(CustomerRegistered, count=2)
    assert again.data == told.data
    client = accounts.client("supervisor", "/cn/east")
    listed = (await client.get("/v1/customers")).json()["items"]
    assert [item["customer_id"] for item in listed] == [str(customer.customer_id)]
    history = (await client.get(f"/v1/customers/{customer.customer_id}/interactions")).json()["items"]
    assert [item["interaction_id"] for item in history] == [str(call.call_id)], "the call that the lead began with"
    audit = (await client.get(f"/v1/customers/{customer.customer_id}/audit")).json()["items"]
    assert {(entry["changed_by"], entry["cause_id"]) for entry in audit} == {("service:accounts", str(sent.id))}


async def test_a_known_number_on_the_same_line_of_the_organisation_is_that_customer(
    accounts: Deployed, bus: TestBus, make_customer: Callable[..., Any]
) -> None:
    client = accounts.client("agent", "/cn")
    west = await make_customer(client, name="west", org_path="/cn/west", phones=[NUMBER])
    await bus.publish(command("lead:1"), subject="1", orgpath="/cn/east")
    first = await bus.expect(CustomerRegistered, answers("lead:1"))
    assert str(first.data.customer.customer_id) != west["customer_id"], "another branch's customer is not ours"
    for number, path in enumerate(("/cn/east", "/cn/east/shanghai", "/cn"), 2):
        await bus.publish(command(f"lead:{number}", name="other", org_path=path), subject=str(number), orgpath=path)
        told = await bus.expect(CustomerRegistered, answers(f"lead:{number}"))
        known = {str(first.data.customer.customer_id)} | ({west["customer_id"]} if path == "/cn" else set())
        assert str(told.data.customer.customer_id) in known
        assert told.sequence == 1, "the customer itself did not change"
    contact = command("lead:9", phones=(), contacts=(NewContact(name="x", phones=(NUMBER,)),))
    await bus.publish(contact, subject="9", orgpath="/cn/east")
    told = await bus.expect(CustomerRegistered, answers("lead:9"))
    assert told.data.customer.customer_id == first.data.customer.customer_id
    assert len(await rows(accounts.database, "SELECT * FROM customers")) == 2


async def test_bad_data_is_refused_and_said(accounts: Deployed, bus: TestBus) -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        ({"name": "   "}, "name: must not be blank"),
        ({"phones": ("+1234",)}, "phones.0: is too short or too long for a number of its country"),
        ({"phones": (NUMBER, NUMBER)}, f"phones.1: {NUMBER} is there twice"),
        ({"contacts": (NewContact(name="x", email="nobody"),)}, "contacts.0.email: is not an e-mail address"),
        ({"contacts": (NewContact(name=""),)}, "contacts.0.name: must not be blank"),
    ]
    for number, (fields, reason) in enumerate(bad):
        sent = await bus.publish(command(f"lead:{number}", **fields), subject="1", orgpath="/cn/east")
        told = await bus.expect(CustomerRegistrationRefused, count=number + 1)
        assert (told.data.source_ref, told.data.reason) == (f"lead:{number}", reason)
        assert (told.causationid, told.orgpath) == (sent.id, "/cn/east")
    assert await rows(accounts.database, "SELECT * FROM customers") == []
    # The source is not used up.
    await bus.publish(command("lead:0"), subject="1", orgpath="/cn/east")
    await bus.expect(CustomerRegistered)


async def test_two_replicas_asked_at_once_make_one_customer(deploy: Deployment, bus: TestBus) -> None:
    first = await deploy(build, AccountsSettings)
    await deploy(build, AccountsSettings)
    asked = [command(f"lead:{number // 2}", phones=(f"+86138001380{number // 4:02}",)) for number in range(40)]
    await asyncio.gather(*(bus.publish(each, subject=each.source_ref, orgpath="/cn/east") for each in asked))
    await bus.expect(CustomerRegistered, count=40, timeout_s=20)

    async def settled() -> bool:
        assert await rows(first.database, "SELECT 1 FROM outbox") == []
        return True

    await eventually(settled)
    sources = {envelope.data.customer.source_ref for envelope in bus.said(CustomerRegistered)}
    assert sources == {f"lead:{number}" for number in range(20)}
    assert len(await rows(first.database, "SELECT * FROM customers")) == 10, "two leads share each number"
    assert len(await rows(first.database, "SELECT * FROM registrations")) == 20
