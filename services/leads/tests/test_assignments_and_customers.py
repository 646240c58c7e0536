"""What other services say: an agent took a lead, a stranger was answered, accounts has a customer or refuses."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, eventually, rows
from cordboard_contracts import Envelope, new_id
from cordboard_contracts.accounts import (
    Customer,
    CustomerKind,
    CustomerRegistered,
    CustomerRegistrationRefused,
    CustomerStatus,
    RegisterCustomer,
)
from cordboard_contracts.leads import (
    LeadAccepted,
    LeadCaptured,
    LeadConverted,
    LeadRejected,
    LeadStatus,
    LeadSubmitted,
    LeadUpdated,
)
from cordboard_contracts.routing import (
    Assignment,
    AssignmentAccepted,
    AssignmentCancelled,
    AssignmentState,
    CallAddress,
    WorkItem,
    WorkItemState,
    WorkKind,
)
from leads.app import build
from leads.settings import LeadsSettings

Body = dict[str, Any]
CALLER = "+8613912345678"


def assigned(
    subject_id: UUID, agent_id: str, *, call: CallAddress | None = None, customer_id: UUID | None = None
) -> AssignmentAccepted:
    now = datetime.now(UTC)
    item_id = new_id()
    return AssignmentAccepted(
        work_item=WorkItem(
            work_item_id=item_id,
            workspace="main",
            org_path="/cn/east",
            kind=WorkKind.CALL if call else WorkKind.LEAD,
            subject_id=subject_id,
            state=WorkItemState.ACCEPTED,
            queue="sales",
            priority=0,
            language="zh-CN",
            territory="CN-31",
            customer_id=customer_id,
            call=call,
            submitted_at=now,
        ),
        assignment=Assignment(
            assignment_id=new_id(),
            work_item_id=item_id,
            workspace="main",
            org_path="/cn/east",
            agent_id=agent_id,
            token=1,
            state=AssignmentState.ACCEPTED,
            offered_at=now,
            expires_at=now,
            accepted_at=now,
        ),
    )


def answered(agent_id: str, number: str | None = CALLER, **changes: Any) -> AssignmentAccepted:
    """An agent answered a call."""
    call_id = changes.pop("call_id", None) or new_id()
    return assigned(call_id, agent_id, call=CallAddress(call_id=call_id, pbx_id="pbx-1", from_number=number), **changes)


async def accept(bus: TestBus, data: AssignmentAccepted, sequence: int = 3) -> Envelope[Any]:
    return await bus.publish(
        data,
        subject=data.assignment.assignment_id,
        partitionkey=str(data.work_item.work_item_id),
        sequence=sequence,
        orgpath="/cn/east",
        workspace="main",
    )


def made_of(lead_id: UUID | str, customer_id: UUID) -> CustomerRegistered:
    return CustomerRegistered(
        customer=Customer(
            customer_id=customer_id,
            org_path="/cn/east",
            kind=CustomerKind.ORGANISATION,
            status=CustomerStatus.ACTIVE,
            name="云帆科技",
            source_ref=f"lead:{lead_id}",
            created_at=datetime.now(UTC),
        )
    )


async def settled(bus: TestBus, deployed: Deployed) -> None:
    """Everything that was published before is handled: each queue keeps its order, and this is the last of each."""
    accepted = await accept(bus, answered("a1", None))
    registered = await bus.publish(made_of("none", new_id()).model_copy(), subject="none", orgpath="/")
    seen = "SELECT count(*) AS n FROM inbox WHERE event_id IN (:a, :b)"

    async def done() -> bool:
        return (await rows(deployed.database, seen, a=accepted.id, b=registered.id))[0]["n"] == 2

    await eventually(done)


async def test_an_accepted_lead_becomes_a_customer(leads: Deployed, bus: TestBus, wang: Body) -> None:
    agent = leads.client("agent", "/cn/east", agent_id="a1001")
    lead_id = (await agent.post("/v1/leads", json=wang)).json()["lead_id"]
    url = f"/v1/leads/{lead_id}"
    submitted = await bus.expect(LeadSubmitted)

    taken = await accept(bus, assigned(UUID(lead_id), "a1001"))
    accepted = await bus.expect(LeadAccepted)
    assert (accepted.data.lead.status, accepted.data.lead.owner_agent_id) == (LeadStatus.ACCEPTED, "a1001")
    assert (accepted.sequence, accepted.causationid, submitted.sequence) == (2, taken.id, 1)

    converting = await agent.post(f"{url}/convert")
    assert (converting.status_code, converting.json()["status"]) == (202, "converting")
    command = await bus.expect(RegisterCustomer)
    wanted = command.data
    assert (wanted.source_ref, wanted.org_path, wanted.kind) == (f"lead:{lead_id}", "/cn/east", "organisation")
    assert (wanted.name, wanted.owner_agent_id, wanted.territory) == ("云帆科技", "a1001", "CN-31")
    assert [(contact.name, contact.phones) for contact in wanted.contacts] == [("王芳", ("+8613800138000",))]

    # Impatience: nothing is asked twice, and what is being converted can be neither changed nor rejected.
    again = await agent.post(f"{url}/convert")
    assert (again.status_code, again.headers["ETag"]) == (202, converting.headers["ETag"])
    assert (await agent.post(f"{url}/reject", json={"reason": "x"})).json()["code"] == "lead-converting"
    edit = await agent.patch(url, json={"name": "x"}, headers={"If-Match": "*"})
    assert edit.json()["code"] == "lead-converting"

    customer_id = new_id()
    for _ in range(2):  # accounts may say it twice, in two messages
        await bus.publish(made_of(lead_id, customer_id), subject=customer_id, orgpath="/cn/east")
    converted = await bus.expect(LeadConverted)
    assert (converted.data.lead.customer_id, converted.data.lead.status) == (customer_id, LeadStatus.CONVERTED)
    assert converted.workspace == "main"
    await settled(bus, leads)
    done = await agent.post(f"{url}/convert")
    assert (done.status_code, done.json()["customer_id"]) == (200, str(customer_id))
    assert len(bus.said(RegisterCustomer)) == len(bus.said(LeadConverted)) == 1
    history = (await agent.get(f"{url}/history")).json()["items"]
    assert [(entry["action"], entry["actor"]) for entry in history] == [
        ("submitted", "a1001"),
        ("accepted", "routing.assignment.accepted.v1"),
        ("converting", "a1001"),
        ("converted", "accounts.customer.registered.v1"),
    ]


async def test_a_refusal_gives_the_lead_back_with_the_reason(leads: Deployed, bus: TestBus, wang: Body) -> None:
    agent = leads.client("agent", "/cn/east", agent_id="a1001")
    lead_id = (await agent.post("/v1/leads", json={**wang, "company": ""})).json()["lead_id"]
    url = f"/v1/leads/{lead_id}"
    await accept(bus, assigned(UUID(lead_id), "a1001"))
    await bus.expect(LeadAccepted)
    wrong = await agent.post(f"{url}/convert", json={"kind": "organisation"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "company")
    assert (await agent.post(f"{url}/convert", json={"kind": "robot"})).status_code == 422
    assert (await agent.post(f"{url}/convert")).status_code == 202
    first = await bus.expect(RegisterCustomer)
    assert (first.data.kind, first.data.name, first.data.phones) == ("person", "王芳", ("+8613800138000",))

    refusal = CustomerRegistrationRefused(source_ref=f"lead:{lead_id}", reason="name: looks like a test")
    answer: Envelope[Any] = Envelope.of(
        refusal, source="/accounts", subject=f"lead:{lead_id}", sequence=1, orgpath="/cn/east", cause=first
    )
    await bus.send(answer)
    back = await bus.expect(LeadUpdated, lambda e: e.data.lead.conversion_refused_because is not None)
    assert (back.data.lead.status, back.data.lead.owner_agent_id) == (LeadStatus.ACCEPTED, "a1001")
    read = (await agent.get(url)).json()
    assert (read["status"], read["conversion_refused_because"]) == ("accepted", "name: looks like a test")

    # Tried again: the old answer, coming late and in a message of its own, is nothing to the new question.
    assert (await agent.post(f"{url}/convert")).status_code == 202
    second = await bus.expect(RegisterCustomer, count=2)
    assert second.id != first.id
    await bus.send(answer.model_copy(update={"id": new_id()}))
    await settled(bus, leads)
    assert (await agent.get(url)).json()["status"] == "converting"
    await bus.publish(made_of(lead_id, new_id()), subject="x", orgpath="/cn/east")
    await bus.expect(LeadConverted)


async def test_acceptances_out_of_order_twice_and_too_late(leads: Deployed, bus: TestBus, wang: Body) -> None:
    boss = leads.client("supervisor")
    lead_id = (await boss.post("/v1/leads", json=wang)).json()["lead_id"]
    newer = await accept(bus, assigned(UUID(lead_id), "a1002"), sequence=7)
    await bus.send(newer)
    await accept(bus, assigned(UUID(lead_id), "a1001"), sequence=3)
    await settled(bus, leads)
    lead = (await boss.get(f"/v1/leads/{lead_id}")).json()
    assert (lead["status"], lead["owner_agent_id"], lead["version"]) == ("accepted", "a1002", 2)
    assert len(bus.said(LeadAccepted)) == 1

    await boss.post(f"/v1/leads/{lead_id}/reject", json={"reason": "wrong number"})
    await bus.expect(LeadRejected)
    await accept(bus, assigned(UUID(lead_id), "a1003"), sequence=9)
    await settled(bus, leads)
    assert (await boss.get(f"/v1/leads/{lead_id}")).json()["status"] == "rejected"


async def test_an_assignment_that_came_to_nothing_changes_nothing(leads: Deployed, bus: TestBus, wang: Body) -> None:
    boss = leads.client("supervisor")
    lead_id = (await boss.post("/v1/leads", json=wang)).json()["lead_id"]
    gone = assigned(UUID(lead_id), "a1001")
    await bus.publish(AssignmentCancelled(**dict(gone)), subject="x", orgpath="/cn/east", workspace="main")
    await accept(bus, assigned(new_id(), "a1001"))  # of a lead that is not ours: refused, recorded, done
    await settled(bus, leads)
    assert (await boss.get(f"/v1/leads/{lead_id}")).json()["version"] == 1
    refused = await rows(leads.database, "SELECT type, code FROM refused_messages")
    assert refused == [{"type": AssignmentAccepted.type, "code": "not-found"}]


async def test_an_unknown_caller_becomes_a_lead_of_the_agent_who_answered(leads: Deployed, bus: TestBus) -> None:
    data = answered("a1001")
    sent = await accept(bus, data)
    captured = await bus.expect(LeadCaptured)
    lead = captured.data.lead
    assert (lead.phone, lead.status, lead.owner_agent_id) == (CALLER, LeadStatus.ACCEPTED, "a1001")
    assert (lead.source, lead.call_id, lead.org_path) == ("call", data.work_item.subject_id, "/cn/east")
    assert (lead.language, lead.territory, lead.name) == ("zh-CN", "CN-31", "")
    assert captured.causationid == sent.id

    # The agent fills in what they learned, and converts.
    agent = leads.client("agent", "/cn/east", agent_id="a1001")
    url = f"/v1/leads/{lead.lead_id}"
    assert (await agent.post(f"{url}/convert")).json()["errors"][0]["field"] == "name"
    named = await agent.patch(url, json={"name": "陳美玲", "email": "mei@example.hk"}, headers={"If-Match": '"1"'})
    assert named.status_code == 200
    assert (await agent.post(f"{url}/convert")).status_code == 202
    command = (await bus.expect(RegisterCustomer)).data
    assert (command.kind, command.name, command.phones) == ("person", "陳美玲", (CALLER,))
    assert [(contact.name, contact.email) for contact in command.contacts] == [("陳美玲", "mei@example.hk")]


async def test_a_number_has_one_open_lead_and_a_call_makes_one(leads: Deployed, bus: TestBus, stage: Any) -> None:
    replica = await stage.deployment(build, LeadsSettings)  # shares the work
    boss = leads.client("supervisor", "/cn/east")
    first = answered("a1001")
    await accept(bus, first)
    await accept(bus, first, sequence=5)  # the call was transferred: accepted again, in a message of its own
    for agent_id in ("a1002", "a1003", "a1004"):
        await accept(bus, answered(agent_id))
    await settled(bus, leads)
    captured = await bus.expect(LeadCaptured)
    assert len(bus.said(LeadCaptured)) == 1
    listed = (await boss.get("/v1/leads", params={"phone": CALLER})).json()["items"]
    assert [lead["lead_id"] for lead in listed] == [str(captured.data.lead.lead_id)]

    # Rejected while the caller still speaks: the same call does not bring the lead back, another one does.
    await boss.post(f"/v1/leads/{listed[0]['lead_id']}/reject", json={"reason": "wrong number"})
    again = answered(listed[0]["owner_agent_id"], call_id=captured.data.lead.call_id)
    await accept(bus, again, sequence=9)
    await settled(bus, leads)
    assert len(bus.said(LeadCaptured)) == 1
    await accept(bus, answered("a1005"))
    await bus.expect(LeadCaptured, count=2)
    await replica.stop()


async def test_a_caller_with_an_open_lead_is_linked_to_it(leads: Deployed, bus: TestBus, wang: Body) -> None:
    boss = leads.client("supervisor", "/cn/east")
    lead_id = (await boss.post("/v1/leads", json=wang)).json()["lead_id"]
    data = answered("a1001", "+8613800138000")
    await accept(bus, data)
    linked = await bus.expect(LeadUpdated)
    assert (str(linked.data.lead.lead_id), linked.data.lead.call_id) == (lead_id, data.work_item.subject_id)
    assert linked.data.lead.status is LeadStatus.SUBMITTED
    await accept(bus, answered("a1001", "+8613800138000"))
    await settled(bus, leads)
    lead = (await boss.get(f"/v1/leads/{lead_id}")).json()
    assert (lead["version"], lead["call_id"], lead["status"]) == (2, str(data.work_item.subject_id), "submitted")
    assert bus.said(LeadCaptured) == []


async def test_known_and_withheld_callers_are_no_leads(leads: Deployed, bus: TestBus) -> None:
    await accept(bus, answered("a1001", customer_id=new_id()))
    await accept(bus, answered("a1001", None))
    await bus.publish(made_of("not-a-uuid", new_id()), subject="x", orgpath="/")
    await bus.publish(
        CustomerRegistered(customer=made_of("x", new_id()).customer.model_copy(update={"source_ref": None})),
        subject="y",
        orgpath="/",
    )
    await settled(bus, leads)
    assert await rows(leads.database, "SELECT count(*) FROM leads") == [{"count": 0}]
