"""What agents say about themselves over HTTP, and what becomes of their work."""

from datetime import datetime

import pytest
from cordboard_chassis.testing.deployment import rows

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
