"""A call finds its agent, whatever happens on the way."""

from datetime import UTC, datetime, timedelta

import pytest
from cordboard_chassis.testing.deployment import eventually, rows
from cordboard_contracts import routing, telephony
from cordboard_contracts.telephony import FailureReason
from routing.domain.times import milliseconds, moment
from routing.usecases.route_work import work_item_id

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _accepted(centre, call, agent_id=None):
    """The call is offered and answered."""
    await call.tell(call.offer())
    offer = await centre.offered(call.call_id, agent_id)
    await call.tell(call.answer(offer))
    await centre.ends(call.call_id, "accepted")
    return offer


async def test_a_call_finds_the_free_agent(centre):
    await centre.agent("a1001")
    call = centre.call()
    cause = await call.tell(call.offer())
    offer = await centre.bus.expect(routing.AssignmentOffered, lambda e: e.data.work_item.subject_id == call.call_id)
    assignment, item = offer.data.assignment, offer.data.work_item
    assert (assignment.agent_id, assignment.device_id, assignment.state) == ("a1001", "1001", "offered")
    assert (item.state, item.kind, item.call.pbx_id, item.call.call_id) == ("offered", "call", "pbx-1", call.call_id)
    assert (offer.pbx, offer.workspace, offer.causationid) == ("pbx-1", "main", cause.id)
    assert (offer.subject, offer.partitionkey) == (str(assignment.assignment_id), str(item.work_item_id))
    assert assignment.reason.eligible == 1
    assert assignment.reason.winner_key[-1] == "a1001"

    await call.tell(call.answer(offer.data))
    await centre.ends(call.call_id, "accepted")
    assert await centre.state("a1001") == "busy"
    await call.tell(call.clear())
    ended = await centre.ends(call.call_id, "completed")
    assert ended["outcome"] == "cleared_by_customer"
    await centre.becomes("a1001", "ready")

    about = [e for e in centre.bus.heard if e.partitionkey == str(item.work_item_id)]
    await centre.bus.expect(routing.WorkItemCompleted, lambda e: e.partitionkey == str(item.work_item_id))
    assert [e.type.split(".", 1)[1] for e in about] == [
        "assignment.offered.v1",
        "assignment.accepted.v1",
        "assignment.completed.v1",
        "work-item.completed.v1",
    ], "it never waited, so it was never said to be queued"
    assert [e.sequence for e in about] == sorted({e.sequence for e in about})


async def test_agents_are_heard_of_once_per_change(centre):
    await centre.agent("a1001")
    call = centre.call()
    await _accepted(centre, call)
    await call.tell(call.clear())
    await centre.ends(call.call_id, "completed")

    def states():
        said = centre.bus.said(routing.AgentChanged, lambda e: e.subject == "a1001")
        return [e.data.agent.state.value for e in said[-4:]]

    await eventually(lambda: states() == ["offline", "ready", "busy", "ready"])


async def test_a_call_waits_until_an_agent_is_ready(centre):
    await centre.agent("a1001", ready=False)
    call = centre.call()
    await call.tell(call.offer())
    queued = await centre.bus.expect(routing.WorkItemQueued, lambda e: e.data.work_item.subject_id == call.call_id)
    assert queued.data.work_item.queue == "default"
    await centre.mode("a1001", "ready")
    assert (await centre.offered(call.call_id)).assignment.agent_id == "a1001"


async def test_what_is_said_of_a_call_belongs_to_it_although_another_call_was_the_cause(centre):
    await centre.agent("a1001")
    first, second = centre.call(), centre.call(number="+8613900139000")
    await first.tell(first.offer())
    await first.tell(first.answer(await centre.offered(first.call_id)))
    await centre.ends(first.call_id, "accepted")
    await second.tell(second.offer())
    await centre.ends(second.call_id, "waiting")
    end = await first.tell(first.clear())
    offer = await centre.bus.expect(routing.AssignmentOffered, lambda e: e.data.work_item.subject_id == second.call_id)
    assert (offer.causationid, offer.correlationid) == (end.id, second.call_id)
    said = [e for e in centre.bus.heard if e.type.startswith(("routing.work-item.", "routing.assignment."))]
    assert all(e.correlationid == e.data.work_item.subject_id for e in said)


async def test_no_answer_goes_to_the_next_agent_and_keeps_its_place(centre):
    await centre.agent("a1001")
    first = centre.call()
    second = centre.call(offered_at=first.offered_at + timedelta(milliseconds=1))
    await first.tell(first.offer())
    offer = await centre.offered(first.call_id)
    await second.tell(second.offer())
    await centre.ends(second.call_id, "waiting")

    await first.tell(first.fail(offer, FailureReason.NO_ANSWER))
    await centre.ends(first.call_id, "waiting")
    agent = await centre.ok("GET", "/v1/agents/a1001")
    assert (agent["state"], agent["reason"]) == ("not_ready", "no_answer")
    failed = await centre.bus.expect(routing.AssignmentFailed, lambda e: e.data.work_item.subject_id == first.call_id)
    assert failed.data.assignment.outcome == "no_answer"

    await centre.agent("a1002")
    assert (await centre.offered(first.call_id, "a1002")).assignment.token > offer.assignment.token
    assert (await centre.item(second.call_id))["state"] == "waiting"


@pytest.mark.parametrize(
    ("reason", "event", "state"),
    [
        (FailureReason.BUSY, routing.AssignmentFailed, "ready"),
        (FailureReason.UNREACHABLE, routing.AssignmentFailed, "not_ready"),
        (FailureReason.DECLINED, routing.AssignmentDeclined, "ready"),
        (FailureReason.CANCELLED, routing.AssignmentCancelled, "ready"),
    ],
)
async def test_a_device_that_is_not_connected(centre, reason, event, state):
    await centre.agent("a1001")
    call = centre.call()
    await call.tell(call.offer())
    offer = await centre.offered(call.call_id)
    await centre.agent("a1002")
    await call.tell(call.fail(offer, reason))
    said = await centre.bus.expect(event, lambda e: e.data.work_item.subject_id == call.call_id)
    assert said.data.assignment.assignment_id == offer.assignment.assignment_id
    await centre.offered(call.call_id, "a1002")
    await centre.becomes("a1001", state)


async def test_abandoned_while_waiting(centre):
    call = centre.call()
    await call.tell(call.offer())
    await centre.ends(call.call_id, "waiting")
    await call.tell(call.clear())
    await centre.bus.expect(routing.WorkItemCancelled, lambda e: e.data.work_item.subject_id == call.call_id)
    assert (await centre.item(call.call_id))["outcome"] == "abandoned"
    await centre.agent("a1001")
    assert await centre.assignments(call.call_id) == []


async def test_abandoned_while_ringing(centre):
    await centre.agent("a1001")
    call = centre.call()
    await call.tell(call.offer())
    await centre.offered(call.call_id)
    await call.tell(call.clear())
    cancelled = await centre.bus.expect(
        routing.AssignmentCancelled, lambda e: e.data.work_item.subject_id == call.call_id
    )
    assert cancelled.pbx == "pbx-1"
    await centre.ends(call.call_id, "cancelled")
    await centre.becomes("a1001", "ready")


async def test_wrap_up_ends_by_itself_or_when_the_agent_says_so(centre):
    await centre.queue(wrap_up_s=1)
    await centre.agent("a1001")
    call = centre.call()
    await _accepted(centre, call)
    await call.tell(call.clear())
    await centre.becomes("a1001", "wrap_up")
    after = centre.call()
    await after.tell(after.offer())
    await centre.ends(after.call_id, "waiting")
    await centre.offered(after.call_id)  # once the second is over

    await centre.queue(wrap_up_s=3600)
    await after.tell(after.clear())
    await centre.becomes("a1001", "ready")
    last = centre.call()
    await _accepted(centre, last)
    await last.tell(last.clear())
    await centre.becomes("a1001", "wrap_up")
    await centre.mode("a1001", "ready")
    assert await centre.state("a1001") == "ready"


async def test_an_offer_expires_although_the_gateway_says_nothing(centre):
    await centre.queue(offer_timeout_s=1)
    await centre.agent("a1001")
    call = centre.call()
    await call.tell(call.offer())
    await centre.offered(call.call_id, "a1001")
    await centre.agent("a1002")
    await centre.bus.expect(routing.AssignmentExpired, lambda e: e.data.work_item.subject_id == call.call_id)
    offer = await centre.offered(call.call_id, "a1002")
    await call.tell(call.answer(offer))
    await centre.ends(call.call_id, "accepted")
    assert await centre.assignments(call.call_id) == [
        ("a1001", "expired", "no_answer"),
        ("a1002", "accepted", None),
    ]


async def test_the_phone_was_picked_up_just_when_the_offer_expired(centre):
    await centre.queue(offer_timeout_s=1)
    await centre.agent("a1001")
    call = centre.call()
    await call.tell(call.offer())
    late = await centre.offered(call.call_id, "a1001")
    await centre.agent("a1002")
    await centre.offered(call.call_id, "a1002")
    await call.tell(call.answer(late))
    await centre.ends(call.call_id, "accepted")
    assert await centre.assignments(call.call_id) == [
        ("a1001", "expired", "no_answer"),
        ("a1002", "cancelled", "picked_up"),
        ("a1001", "accepted", None),
    ]
    await centre.becomes("a1002", "ready")
    await call.tell(call.clear())
    await centre.ends(call.call_id, "completed")


async def test_a_talk_that_is_heard_of_late_is_written_as_it_was(centre):
    await centre.queue(offer_timeout_s=30)
    await centre.agent("a1001", ready=False)
    await centre.agent("a1002")
    unheard = centre.call(offered_at=datetime.now(UTC) - timedelta(minutes=1))
    await unheard.tell(unheard.offer())
    await centre.offered(unheard.call_id, "a1002")
    unheard.pick_up("a1001")
    talk = unheard.connections[-1]

    await centre.mode("a1001", "ready")
    heard = centre.call()
    await heard.tell(heard.offer())
    await heard.tell(heard.answer(await centre.offered(heard.call_id, "a1001")))
    await centre.ends(heard.call_id, "accepted")
    await unheard.tell(unheard.clear())
    await centre.ends(unheard.call_id, "completed")

    talked, later = [await _talk(centre, call, "a1001") for call in (unheard, heard)]
    assert talked == tuple(moment(milliseconds(at)) for at in (talk.joined_at, unheard.connections[-1].ended_at))
    assert talked[1] < later[0], "one after the other, as the PBX saw them"
    item = await centre.item(unheard.call_id)
    assert datetime.fromisoformat(item["accepted_at"]) == talked[0]


async def _talk(centre, call, agent_id):
    """From when to when the agent had the call, as it is stored."""
    (row,) = await rows(
        centre.deployed.database,
        "SELECT accepted_at, ended_at FROM assignments WHERE work_item_id = :item AND agent_id = :agent",
        item=work_item_id("call", call.call_id),
        agent=agent_id,
    )
    return row["accepted_at"], row["ended_at"]


async def test_a_transfer_frees_one_agent_and_occupies_the_other(centre):
    await centre.agent("a1001")
    call = centre.call()
    await _accepted(centre, call)
    await centre.agent("a1002")
    await call.tell(call.transfer("a1002"))
    await centre.becomes("a1002", "busy")
    assert await centre.state("a1001") == "ready"
    await call.tell(call.clear())
    await centre.ends(call.call_id, "completed")
    assert await centre.assignments(call.call_id) == [
        ("a1001", "completed", "transferred"),
        ("a1002", "completed", "cleared_by_customer"),
    ]
    await centre.becomes("a1002", "ready")


async def test_a_transfer_to_somebody_we_do_not_know_is_the_end_of_it_here(centre):
    await centre.agent("a1001")
    call = centre.call()
    await _accepted(centre, call)
    await call.tell(call.transfer("back-office"))
    await centre.ends(call.call_id, "completed")
    await centre.becomes("a1001", "ready")
    await call.tell(call.clear())


async def test_the_agent_is_gone_and_the_caller_still_there(centre):
    await centre.agent("a1001")
    call = centre.call()
    await _accepted(centre, call)
    await centre.agent("a1002")
    await call.tell(call.leave())
    await centre.offered(call.call_id, "a1002")
    assert (await centre.assignments(call.call_id))[0] == ("a1001", "completed", "returned")


async def test_an_unreachable_phone_is_offered_nothing(centre):
    await centre.agent("a1001")

    async def device(state, sequence):
        device = telephony.Device(
            device_id="1001",
            pbx_id="pbx-1",
            workspace="main",
            org_path="/cn/east",
            state=state,
            changed_at="2026-11-25T00:00:00Z",
        )
        await centre.say(telephony.DeviceChanged(device=device), "1001", sequence)

    async def is_(state):
        assert (await centre.ok("GET", "/v1/agents/a1001"))["device_state"] == state
        return True

    await device("unreachable", 5)
    await eventually(lambda: is_("unreachable"))
    call = centre.call()
    await call.tell(call.offer())
    await centre.ends(call.call_id, "waiting")
    await device("idle", 3)  # older than what is known
    await device("in_use", 6)
    await eventually(lambda: is_("in_use"))
    assert (await centre.item(call.call_id))["state"] == "waiting"
    # The phone is remembered, whoever has it.
    await centre.agent("a1001", device_id=None)
    await centre.agent("a1002", device_id="1001")
    assert (await centre.ok("GET", "/v1/agents/a1002"))["device_state"] == "in_use"
    await device("idle", 7)
    await centre.offered(call.call_id, "a1002")


async def test_keys_pressed_while_waiting_choose_another_queue(centre):
    await centre.queue("sales")
    await centre.rules(
        {"name": "sales", "when": {"attributes": {"digits": ["1"]}}, "then": {"queue": "sales", "priority": 7}}
    )
    call = centre.call()
    await call.tell(call.offer())
    await centre.ends(call.call_id, "waiting")
    await call.tell(call.press(digits="1"))

    async def moved():
        item = await centre.item(call.call_id)
        return (item["queue"], item["priority"], item["rule"]) == ("sales", 7, "sales")

    await eventually(moved)
    assert (await centre.item(call.call_id))["attributes"] == {"digits": "1"}


async def test_outbound_calls_are_nobodys_work(centre):
    await centre.agent("a1001")
    outbound = centre.call()
    event = outbound.offer()
    event = telephony.CallOffered(call=event.call.model_copy(update={"direction": telephony.Direction.OUTBOUND}))
    await outbound.tell(event)
    after = centre.call()
    await after.tell(after.offer())
    await centre.offered(after.call_id)
    response = await centre.admin.get("/v1/work-items?workspace=main&limit=1")
    assert response.json()["items"][0]["subject_id"] == str(after.call_id)
