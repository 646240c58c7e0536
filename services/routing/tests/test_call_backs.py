"""Who hangs up to be called back keeps the place, and is called by the agent whose turn it is."""

import pytest
from cordboard_contracts import telephony
from cordboard_contracts.telephony import FailureReason
from routing.usecases.route_work import work_item_id

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _path(call):
    return f"/v1/work-items/{work_item_id('call', call.call_id)}/call-back"


def _outbound(centre, offer):
    """The call that the gateway begins for an offer."""
    attributes = {"call_back_of": str(offer.work_item.work_item_id)}
    return centre.call(dialled=offer.work_item.call.call_back, direction="outbound", attributes=attributes)


async def _left(centre, **fields):
    """A caller who asked to be called back, and has hung up."""
    call = centre.call(**fields)
    await call.tell(call.offer())
    await centre.ends(call.call_id, "waiting")
    await centre.ok("POST", _path(call))
    await call.tell(call.clear())
    return call


async def test_a_caller_who_hung_up_keeps_the_place_and_is_called_back(centre):
    first = await _left(centre)
    second = centre.call(number="+8613900139000")
    await second.tell(second.offer())
    await centre.agent("a1001")
    offer = await centre.offered(first.call_id)
    assert offer.work_item.call.call_back == "+8613800138000"
    out = _outbound(centre, offer)
    picked_up = out.answer(offer)
    out.connections = [out.connections[0].model_copy(update={"joined_at": None})]
    await out.tell(telephony.CallOriginated(call=out.snapshot, connection_id=picked_up.connection_id))
    await centre.ends(first.call_id, "accepted")
    out.answered = True
    await out.tell(out.clear())
    assert (await centre.ends(first.call_id, "completed"))["outcome"] == "cleared_by_customer"
    assert (await centre.offered(second.call_id)).assignment.agent_id == "a1001"


async def test_an_agent_who_does_not_pick_up_passes_the_call_back_on(centre):
    await centre.agent("a1001")
    await centre.agent("a1002", ready=False)
    busy = centre.call(number=None)
    await busy.tell(busy.offer())
    await busy.tell(busy.answer(await centre.offered(busy.call_id)))
    call = await _left(centre)
    await busy.tell(busy.clear())
    offer = await centre.offered(call.call_id, "a1001")
    await centre.mode("a1002", "ready")
    missed = _outbound(centre, offer)
    await missed.tell(missed.fail(offer, FailureReason.NO_ANSWER))
    again = await centre.offered(call.call_id, "a1002")
    out = _outbound(centre, again)
    await out.tell(out.answer(again))
    await centre.ends(call.call_id, "accepted")
    await missed.tell(missed.clear())  # what is heard late of the first attempt does not end the second
    await centre.mode("a1001", "not_ready")
    assert (await centre.item(call.call_id))["state"] == "accepted"
    await out.tell(out.clear())
    assert (await centre.ends(call.call_id, "completed"))["outcome"] == "not_reached"


async def test_the_pbx_asks_for_it_and_may_name_another_number(centre):
    own, other, unknown = centre.call(), centre.call(), centre.call(number=None)
    for call, asked in ((own, "yes"), (other, "+8613700137000"), (unknown, "yes")):
        await call.tell(call.offer())
        await call.tell(call.press(call_back=asked))
        await call.tell(call.clear())
    assert (await centre.ends(unknown.call_id, "cancelled"))["outcome"] == "abandoned"
    assert (await centre.ends(own.call_id, "waiting"))["call_back"] == "+8613800138000"
    assert (await centre.ends(other.call_id, "waiting"))["call_back"] == "+8613700137000"


async def test_who_hangs_up_while_a_phone_rings_is_offered_again(centre):
    await centre.agent("a1001")
    call = centre.call()
    await call.tell(call.offer())
    offer = await centre.offered(call.call_id)
    await centre.ok("POST", _path(call))
    call.fail(offer, FailureReason.CANCELLED)
    await call.tell(call.clear())
    again = await centre.offered(call.call_id, count=2)
    assert again.work_item.call.call_back == "+8613800138000"


async def test_a_number_that_may_not_be_dialled_ends_it(centre):
    await centre.agent("a1001", ready=False)
    call = await _left(centre)
    await centre.mode("a1001", "ready")
    offer = await centre.offered(call.call_id)
    out = _outbound(centre, offer)
    out.fail(offer, FailureReason.CANCELLED)
    out.cause = "number-not-allowed"
    await out.tell(out.clear())
    assert (await centre.ends(call.call_id, "cancelled"))["outcome"] == "number_not_allowed"


async def test_an_outbound_call_of_somebody_else_changes_nothing(centre):
    call = await _left(centre)
    await centre.agent("a1001", ready=False)
    out = centre.call(direction="outbound", attributes={"call_back_of": str(work_item_id("call", call.call_id))})
    await out.tell(out.pick_up("a1001"))
    await out.tell(out.clear())
    await centre.agent("a1002")
    assert (await centre.offered(call.call_id)).assignment.agent_id == "a1002"


async def test_what_cannot_be_called_back_says_why(centre):
    withheld = centre.call(number=None)
    await withheld.tell(withheld.offer())
    await centre.ends(withheld.call_id, "waiting")
    response = await centre.admin.post(_path(withheld))
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "number")
    assert (await centre.admin.post(_path(withheld), json={"number": "100"})).status_code == 422
    await centre.ok("POST", _path(withheld), {"number": "+8613700137000"})
    await centre.agent("a1001")
    await withheld.tell(withheld.answer(await centre.offered(withheld.call_id)))
    await centre.ends(withheld.call_id, "accepted")
    assert (await centre.admin.post(_path(withheld))).json()["code"] == "wrong-state"
    await withheld.tell(withheld.clear())
    await centre.ends(withheld.call_id, "completed")
    assert (await centre.admin.post(_path(withheld))).json()["code"] == "item-not-open"


async def test_a_step_offers_to_call_back_once(centre):
    await centre.queue(steps=[{"after_s": 0, "priority": 1}, {"after_s": 1, "offer_call_back": True}])
    call = centre.call()
    await call.tell(call.offer())
    said = await centre.bus.expect(telephony.SetCallAttributes, lambda e: e.data.call_id == call.call_id)
    assert (said.data.attributes, said.pbx) == ({"offer_call_back": "yes"}, "pbx-1")
    await call.tell(call.press(offer_call_back="yes"))
    await call.tell(call.press(call_back="yes"))
    await call.tell(call.clear())
    item = await centre.ends(call.call_id, "waiting")
    assert item["step"] == 2
    assert len(centre.bus.said(telephony.SetCallAttributes, lambda e: e.data.call_id == call.call_id)) == 1
    steps = [{"after_s": 1, "offer_call_back": True, "queue": "default"}]
    await centre.queue("back")
    response = await centre.admin.put(
        "/v1/workspaces/main/queues/back", json={"steps": steps}, headers={"If-Match": "*"}
    )
    assert response.json()["errors"][0]["field"] == "steps.0.offer_call_back"
