"""Leads and service requests are work items beside calls, in the same order, for the same agents."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from cordboard_chassis.testing.deployment import eventually
from cordboard_contracts import accounts, leads, routing

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALL_KINDS = {"call": 1, "lead": 2, "service_request": 2}


def _lead(**fields):
    given = {
        "lead_id": uuid4(),
        "workspace": "main",
        "org_path": "/cn/east",
        "source": "web",
        "status": "submitted",
        "name": "欧阳小明",
        "created_at": datetime.now(UTC),
    }
    return leads.Lead(**{**given, **fields})


def _request(**fields):
    given = {
        "service_request_id": uuid4(),
        "workspace": "main",
        "org_path": "/cn/east",
        "customer_id": uuid4(),
        "customer_name": "Acme",
        "subject": "The bill is wrong",
        "status": "open",
        "priority": 0,
        "opened_at": datetime.now(UTC),
    }
    return accounts.ServiceRequest(**{**given, **fields})


async def _submit(centre, lead):
    await centre.say(leads.LeadSubmitted(lead=lead), lead.lead_id, 1)


async def test_a_lead_is_offered_accepted_and_converted(centre):
    await centre.agent("a1001", capacity=ALL_KINDS)
    lead = _lead(phone="+8613900000001", language="zh-CN", attributes={"page": "pricing"})
    await _submit(centre, lead)
    offer = await centre.offered(lead.lead_id)
    assert offer.work_item.kind == "lead"
    assert offer.work_item.call is None
    assert offer.work_item.customer_name == "欧阳小明"

    agent = centre.deployed.client("agent", "/cn/east", agent_id="a1001")
    mine = (await agent.get("/v1/assignments?agent_id=a1001&open=true")).json()["items"]
    assert [(m["state"], m["work_item"]["attributes"]) for m in mine] == [("offered", {"page": "pricing"})]
    path = f"/v1/assignments/{mine[0]['assignment_id']}"
    accepted = await agent.post(f"{path}/accept", headers={"Idempotency-Key": "once"})
    assert (accepted.status_code, accepted.json()["state"]) == (200, "accepted")
    again = await agent.post(f"{path}/accept", headers={"Idempotency-Key": "once"})
    assert again.json() == accepted.json()
    assert (await agent.post(f"{path}/accept")).status_code == 200, "what is accepted may be accepted again"
    said = await centre.bus.expect(routing.AssignmentAccepted, lambda e: e.data.work_item.subject_id == lead.lead_id)
    assert (said.pbx, said.data.assignment.agent_id) == (None, "a1001")

    converted = lead.model_copy(update={"status": leads.LeadStatus.CONVERTED, "customer_id": uuid4()})
    await centre.say(leads.LeadConverted(lead=converted), lead.lead_id, 4)
    item = await centre.ends(lead.lead_id, "completed", "lead")
    assert item["outcome"] == "converted"


async def test_an_agent_completes_a_lead(centre):
    await centre.queue(wrap_up_s=3600)
    await centre.agent("a1001", capacity=ALL_KINDS)
    lead = _lead()
    await _submit(centre, lead)
    offer = await centre.offered(lead.lead_id)
    agent = centre.deployed.client("agent", "/cn/east", agent_id="a1001")
    path = f"/v1/assignments/{offer.assignment.assignment_id}"
    early = await agent.post(f"{path}/complete", json={"outcome": "sold"})
    assert (early.status_code, early.json()["code"]) == (409, "assignment-not-accepted")
    await agent.post(f"{path}/accept")
    done = await agent.post(f"{path}/complete", json={"outcome": "sold"})
    assert (done.status_code, done.json()["state"], done.json()["outcome"]) == (200, "completed", "sold")
    assert (await centre.item(lead.lead_id, "lead"))["state"] == "completed"
    assert await centre.state("a1001") == "wrap_up"
    late = await agent.post(f"{path}/complete", json={"outcome": "sold"})
    assert (late.status_code, late.json()["code"]) == (409, "assignment-not-open")


async def test_a_lead_that_is_declined_goes_to_another_agent(centre):
    await centre.agent("a1001", capacity=ALL_KINDS)
    lead = _lead()
    await _submit(centre, lead)
    offer = await centre.offered(lead.lead_id)
    await centre.agent("a1002", capacity=ALL_KINDS)
    agent = centre.deployed.client("agent", "/cn/east", agent_id="a1001")
    declined = await agent.post(f"/v1/assignments/{offer.assignment.assignment_id}/decline")
    assert declined.json()["state"] == "declined"
    await centre.offered(lead.lead_id, "a1002")


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_lead_is_rejected(centre, accepted):
    await centre.agent("a1001", capacity=ALL_KINDS)
    lead = _lead()
    await _submit(centre, lead)
    offer = await centre.offered(lead.lead_id)
    if accepted:
        await centre.ok("POST", f"/v1/assignments/{offer.assignment.assignment_id}/accept")
    rejected = lead.model_copy(update={"status": leads.LeadStatus.REJECTED})
    await centre.say(leads.LeadRejected(lead=rejected), lead.lead_id, 2)
    await centre.ends(lead.lead_id, "completed" if accepted else "cancelled", "lead")
    await centre.becomes("a1001", "ready")


async def test_a_lead_whose_end_is_heard_of_first(centre):
    await centre.agent("a1001", capacity=ALL_KINDS)
    lead = _lead()
    rejected = lead.model_copy(update={"status": leads.LeadStatus.REJECTED})
    await centre.say(leads.LeadRejected(lead=rejected), lead.lead_id, 2)
    await centre.bus.expect(routing.WorkItemCancelled, lambda e: e.data.work_item.subject_id == lead.lead_id)
    await _submit(centre, lead)
    after = _lead()
    await _submit(centre, after)
    await centre.offered(after.lead_id)
    assert await centre.assignments(lead.lead_id, "lead") == []


async def test_a_service_request_finds_the_skilled_agent(centre):
    await centre.agent("a1001", capacity=ALL_KINDS, skills={"billing": 40})
    await centre.agent("a1002", capacity=ALL_KINDS, skills={"billing": 80})
    request = _request(skills={"billing": 60}, priority=5)
    await centre.say(accounts.ServiceRequestOpened(service_request=request), request.service_request_id, 1)
    offer = await centre.offered(request.service_request_id)
    assert offer.assignment.agent_id == "a1002"
    assert (offer.work_item.requirement, offer.work_item.priority) == ({"billing": 60}, 5)
    assert offer.work_item.customer_id == request.customer_id
    await centre.ok("POST", f"/v1/assignments/{offer.assignment.assignment_id}/accept")
    resolved = request.model_copy(update={"status": accounts.ServiceRequestStatus.RESOLVED})
    await centre.say(accounts.ServiceRequestResolved(service_request=resolved), request.service_request_id, 3)
    item = await centre.ends(request.service_request_id, "completed", "service_request")
    assert item["outcome"] == "resolved"


async def test_a_service_request_is_cancelled_while_it_waits(centre):
    request = _request()
    await centre.say(accounts.ServiceRequestOpened(service_request=request), request.service_request_id, 1)
    await centre.ends(request.service_request_id, "waiting", "service_request")
    cancelled = request.model_copy(update={"status": accounts.ServiceRequestStatus.CANCELLED})
    await centre.say(accounts.ServiceRequestCancelled(service_request=cancelled), request.service_request_id, 2)
    await centre.ends(request.service_request_id, "cancelled", "service_request")


async def test_calls_and_leads_share_an_agent(centre):
    await centre.agent("a1001", capacity=ALL_KINDS)
    older = _lead(created_at=datetime.now(UTC) - timedelta(minutes=5))
    await _submit(centre, older)
    offer = await centre.offered(older.lead_id)
    await centre.ok("POST", f"/v1/assignments/{offer.assignment.assignment_id}/accept")
    # A lead in hand leaves room for a call; a call in hand leaves room for nothing.
    call = centre.call()
    await call.tell(call.offer())
    ringing = await centre.offered(call.call_id)
    await call.tell(call.answer(ringing))
    await centre.becomes("a1001", "busy")
    newer = _lead()
    await _submit(centre, newer)
    await centre.ends(newer.lead_id, "waiting", "lead")
    await call.tell(call.clear())
    await centre.offered(newer.lead_id)
    await eventually(lambda: _in_hand(centre, 2))


async def _in_hand(centre, count):
    found = await centre.ok("GET", "/v1/assignments?agent_id=a1001&open=true")
    return len(found["items"]) == count


async def test_a_call_is_accepted_and_completed_on_the_phone_only(centre):
    await centre.agent("a1001")
    call = centre.call()
    await call.tell(call.offer())
    offer = await centre.offered(call.call_id)
    agent = centre.deployed.client("agent", "/cn/east", agent_id="a1001")
    for verb in ("accept", "complete"):
        answer = await agent.post(f"/v1/assignments/{offer.assignment.assignment_id}/{verb}")
        assert (answer.status_code, answer.json()["code"]) == (409, "done-by-phone")
    await centre.agent("a1002")
    declined = await agent.post(f"/v1/assignments/{offer.assignment.assignment_id}/decline")
    assert declined.json()["state"] == "declined"
    await centre.offered(call.call_id, "a1002")
