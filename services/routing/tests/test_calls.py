"""A call finds its agent, whatever happens on the way."""

from cordboard_contracts import routing
from cordboard_contracts.telephony import FailureReason


async def test_a_call_finds_the_free_agent(centre):
    await centre.agent("a1001")
    call = centre.call()
    await call.tell(call.offer())
    offer = await centre.offered(call.call_id)
    assert offer.assignment.agent_id == "a1001"
    await call.tell(call.answer(offer))
    await centre.ends(call.call_id, "accepted")
    assert await centre.state("a1001") == "busy"
    await call.tell(call.clear())
    item = await centre.ends(call.call_id, "completed")
    assert item["outcome"] == "cleared_by_customer"
    await centre.becomes("a1001", "ready")
