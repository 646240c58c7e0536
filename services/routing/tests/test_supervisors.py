"""What supervisors do to work, to queues and to agents."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from cordboard_contracts import leads

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _call(centre, state="waiting"):
    call = centre.call()
    await call.tell(call.offer())
    return call, await centre.ends(call.call_id, state)


async def _lead(centre):
    lead = leads.Lead(
        lead_id=uuid4(),
        workspace="main",
        org_path="/cn/east",
        source="web",
        status="submitted",
        created_at=datetime.now(UTC),
    )
    await centre.say(leads.LeadSubmitted(lead=lead), lead.lead_id, 1)
    return lead.lead_id, await centre.ends(lead.lead_id, "waiting", "lead")


async def _do(centre, item, verb, body):
    return await centre.admin.post(f"/v1/work-items/{item['work_item_id']}/{verb}", json=body)


async def test_a_lead_is_assigned_and_taken_away_again(centre):
    await centre.agent("a1", ready=False, capacity={"call": 1})
    lead_id, item = await _lead(centre)
    given = await _do(centre, item, "assign", {"agent_id": "a1"})
    assert (given.status_code, given.json()["state"]) == (200, "accepted")
    taken = await _do(centre, item, "requeue", {"reason": "overloaded", "priority": 9})
    assert (taken.json()["state"], taken.json()["priority"]) == ("waiting", 9)
    assert await centre.assignments(lead_id, "lead") == [("a1", "completed", "overloaded")]


async def test_a_call_waits_for_the_agent_to_whom_it_was_assigned(centre):
    await centre.agent("a1", ready=False)
    await centre.mode("a1", "not_ready", "lunch")
    call, item = await _call(centre)
    assert (await _do(centre, item, "assign", {"agent_id": "a1"})).json()["preferred_agent"] == "a1"
    await centre.agent("a2")
    assert await centre.state("a2") == "ready"
    await centre.mode("a1", "ready")
    offer = await centre.offered(call.call_id)
    assert offer.assignment.agent_id == "a1"
    await call.tell(call.answer(offer))
    await centre.ends(call.call_id, "accepted")
    for verb, body in (("assign", {"agent_id": "a2"}), ("requeue", {})):
        refused = await _do(centre, item, verb, body)
        assert (refused.status_code, refused.json()["code"]) == (409, "done-by-phone")


async def test_to_nobody_and_nowhere_is_refused(centre):
    _, item = await _call(centre)
    assert (await _do(centre, item, "assign", {"agent_id": "nobody"})).status_code == 404
    refused = await _do(centre, item, "requeue", {"queue": "nowhere"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "queue")


async def test_a_paused_queue_offers_nothing_until_it_goes_on(centre):
    await centre.queue(paused=True)
    await centre.agent("a1")
    call, item = await _call(centre)
    found = await centre.ok("GET", f"/v1/work-items/{item['work_item_id']}/explain")
    assert found["candidates"][0]["obstacles"] == ["paused"]
    await centre.queue(paused=False)
    assert (await centre.offered(call.call_id)).assignment.agent_id == "a1"


async def test_all_of_it_is_audited(centre):
    await centre.agent("a1", ready=False)
    _, item = await _lead(centre)
    await _do(centre, item, "assign", {"agent_id": "a1"})
    await centre.mode("a1", "offline")
    page = await centre.ok("GET", "/v1/workspaces/main/audit?limit=3")
    assert [entry["action"] for entry in page["items"]] == ["set_agent_mode", "assign_work_item", "put_agent"]
    assert page["items"][1]["details"]["work_item_id"] == item["work_item_id"]
    assert page["items"][1]["done_by"] == page["items"][0]["done_by"] != ""
