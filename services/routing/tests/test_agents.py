"""What agents say about themselves over HTTP, and what becomes of their work."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
import pytest_asyncio
from cordboard_chassis.testing.deployment import rows
from cordboard_contracts import leads, routing, telephony

pytestmark = pytest.mark.asyncio(loop_scope="session")


def desktop(centre, agent_id):
    return centre.deployed.client("agent", "/cn/east", agent_id=agent_id)


async def _had_a_call(centre):
    call = centre.call()
    await call.tell(call.offer())
    await call.tell(call.answer(await centre.offered(call.call_id)))
    await centre.ends(call.call_id, "accepted")
    await call.tell(call.clear())


async def _lose_the_owner(centre):
    """The session by which somebody owns the workspace is cut; the next owner begins with what is stored."""
    cut = await rows(
        centre.deployed.database,
        """
        SELECT pg_terminate_backend(pid) AS cut FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'cordboard-routing-owner'
        """,
    )
    assert cut


async def test_a_wrap_up_is_extended_within_its_bound_and_ended(centre):
    await centre.queue(wrap_up_s=600, wrap_up_extension_s=60)
    await centre.agent("a1001")
    agent = desktop(centre, "a1001")
    for path, body in (("extend", {"seconds": 1}), ("end", None)):
        early = await agent.post(f"/v1/agents/a1001/wrap-up/{path}", json=body)
        assert (early.status_code, early.json()["code"]) == (409, "wrong-state")

    await _had_a_call(centre)
    await centre.becomes("a1001", "wrap_up")
    before = (await agent.get("/v1/agents/a1001")).json()
    more = await agent.post("/v1/agents/a1001/wrap-up/extend", json={"seconds": 45})
    assert more.status_code == 200, more.text
    ends = [datetime.fromisoformat(view["wrap_up_until"]) for view in (before, more.json())]
    assert (ends[1] - ends[0]).total_seconds() == 45
    refused = await agent.post("/v1/agents/a1001/wrap-up/extend", json={"seconds": 16})
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "the wrap-up of agent a1001 can be extended by 15 s more",
    )
    assert (await agent.post("/v1/agents/a1001/wrap-up/end")).json()["state"] == "ready"


async def test_a_wrap_up_without_end_survives_a_takeover(centre):
    await centre.queue(wrap_up_s=None)
    await centre.agent("a1001")
    await _had_a_call(centre)
    await centre.becomes("a1001", "wrap_up")
    view = await centre.ok("GET", "/v1/agents/a1001")
    assert (view["wrap_up_until"], view["wrap_up_limit"] is None) == (None, False)
    await _lose_the_owner(centre)
    assert await centre.state("a1001") == "wrap_up"
    assert (await centre.ok("POST", "/v1/agents/a1001/wrap-up/end"))["state"] == "ready"


async def test_who_leaves_finishes_the_call_and_is_offline(centre):
    await centre.agent("a1001")
    call = centre.call()
    await call.tell(call.offer())
    await call.tell(call.answer(await centre.offered(call.call_id)))
    await centre.ends(call.call_id, "accepted")
    await centre.mode("a1001", "leaving")
    assert await centre.state("a1001") == "busy"
    await _lose_the_owner(centre)
    after = centre.call()
    await after.tell(after.offer())
    await call.tell(call.clear())
    await centre.becomes("a1001", "offline")
    assert (await centre.item(after.call_id))["state"] == "waiting"


@pytest_asyncio.fixture(loop_scope="session")
async def grace(centre):
    """Sets how long an agent may be gone; never, in the end."""

    async def set_to(seconds):
        await centre.ok("PUT", "/v1/workspaces/main", {"org_path": "/cn", "presence_grace_s": seconds}, match="*")

    yield set_to
    await set_to(None)


async def _accepted_lead(centre, agent_id):
    now = datetime.now(UTC)
    lead = leads.Lead(
        lead_id=uuid4(), workspace="main", org_path="/cn/east", source="web", status="submitted", created_at=now
    )
    await centre.say(leads.LeadSubmitted(lead=lead), lead.lead_id, 1)
    offer = await centre.offered(lead.lead_id, agent_id)
    path = f"/v1/assignments/{offer.assignment.assignment_id}/accept"
    assert (await desktop(centre, agent_id).post(path)).status_code == 200
    return lead.lead_id


async def test_an_agent_whose_desktop_is_silent_is_given_up(centre, grace):
    await centre.agent("a1001", capacity={"lead": 1})
    agent = desktop(centre, "a1001")
    lead_id = await _accepted_lead(centre, "a1001")
    await grace(3600)
    assert (await agent.put("/v1/agents/a1001/presence", json={"for_s": 60})).json()["state"] == "busy"
    await _lose_the_owner(centre)
    await grace(0)
    assert (await agent.put("/v1/agents/a1001/presence", json={"for_s": 0})).status_code == 200
    await centre.becomes("a1001", "offline")
    view = (await agent.put("/v1/agents/a1001/presence", json={"for_s": 60})).json()
    assert (view["state"], view["reason"]) == ("offline", "presence_lost")
    await centre.ends(lead_id, "waiting", "lead")
    assert await centre.assignments(lead_id, "lead") == [("a1001", "completed", "presence_lost")]


async def test_an_agent_whose_phone_is_away_is_given_up(centre, grace):
    await grace(1)
    await centre.agent("a1077", capacity={"call": 1, "lead": 1})
    lead_id = await _accepted_lead(centre, "a1077")
    device = telephony.Device(
        device_id="1077",
        pbx_id="pbx-1",
        workspace="main",
        org_path="/cn/east",
        state="unreachable",
        changed_at=datetime.now(UTC),
    )
    await centre.say(telephony.DeviceChanged(device=device), "1077", 1)
    await centre.ends(lead_id, "waiting", "lead")
    said = await centre.bus.expect(
        routing.AgentChanged, lambda e: e.data.agent.agent_id == "a1077" and e.data.agent.reason == "presence_lost"
    )
    assert said.data.agent.state is routing.AgentState.OFFLINE


async def test_a_call_interrupts_a_lead_that_fills_the_agent(centre):
    await centre.agent("a1001", capacity={"call": 1, "lead": 1}, capacity_total=1)
    await _accepted_lead(centre, "a1001")
    call = centre.call()
    await call.tell(call.offer())
    await centre.ends(call.call_id, "waiting")
    settings = {"org_path": "/cn", "interrupts": {"call": ["lead"]}}
    assert (await centre.ok("PUT", "/v1/workspaces/main", settings, match="*"))["interrupts"] == {"call": ["lead"]}
    await centre.offered(call.call_id, "a1001")
    await _lose_the_owner(centre)
    await call.tell(call.clear())
    await centre.ends(call.call_id, "cancelled")
    await centre.ok("PUT", "/v1/workspaces/main", {"org_path": "/cn"}, match="*")
