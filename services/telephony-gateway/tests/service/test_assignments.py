"""From the PBX's *offered* to the command that rings the agent, and what comes of it."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from cordboard_chassis.testing.deployment import eventually
from cordboard_contracts import routing, telephony
from gateway_scene import Gateway, id_of, now
from telephony_gateway.drivers.interface import (
    CallCleared,
    CallOffered,
    ClearLeg,
    Connect,
    CustomerAnswered,
    DeviceChanged,
    DeviceState,
    DigitPressed,
    Direction,
    FailureReason,
    HangUp,
    LegAlerting,
    LegAnswered,
    LegCleared,
    LegFailed,
    Originate,
    Party,
    SetAttributes,
)
from telephony_gateway.usecases import own_pbx

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_call_is_offered_connected_answered_and_cleared(gateway: Gateway) -> None:
    call = await gateway.offer(from_name="王小明", attributes={"menu": "2"})
    name = call.pbx_call_id
    assert call.call_id == id_of(name)
    assert (call.from_number, call.from_raw, call.from_name) == ("+8613800138000", "13800138000", "王小明")
    assert (call.workspace, call.org_path, call.trunk, call.territory) == ("main", "/cn/east", "carrier", "CN-31")
    assert call.attributes == {"menu": "2"}
    assignment = await gateway.assign(call)
    connect = await gateway.pbx.got(Connect, name)
    assert (connect.device, connect.caller_number) == ("1001", "+8613800138000")
    assert 15 < connect.timeout_s <= 19
    leg = connect.leg
    await gateway.pbx.say(LegAlerting(at=now(), call=name, leg=leg))
    alerting = await gateway.heard(telephony.CallAlerting, call.call_id)
    (connection,) = alerting.data.call.connections
    assert (connection.agent_id, connection.assignment_id) == ("a1001", assignment.assignment_id)
    assert connection.token == assignment.token
    assert alerting.data.connection_id == connection.connection_id
    answered_at = now()
    await gateway.pbx.say(LegAnswered(at=answered_at, call=name, leg=leg))
    answered = await gateway.heard(telephony.CallAnswered, call.call_id)
    assert answered.data.call.state is telephony.CallState.ESTABLISHED
    assert answered.data.call.answered_at == answered.time == answered_at
    await gateway.pbx.say(CallCleared(at=now(), call=name, by=Party.CUSTOMER, cause="NORMAL_CLEARING"))
    cleared = await gateway.heard(telephony.CallCleared, call.call_id)
    assert (cleared.data.call.cleared_by, cleared.data.call.cause) == ("customer", "NORMAL_CLEARING")
    told = [envelope for envelope in gateway.bus.heard if envelope.subject == str(call.call_id)]
    assert [envelope.sequence for envelope in told] == sorted({envelope.sequence for envelope in told})
    assert {(e.workspace, e.pbx, e.orgpath) for e in told} == {("main", None, "/cn/east")}
    assert {envelope.correlationid for envelope in told} == {call.call_id}, "one case"
    view = await gateway.view(call.call_id)
    assert view["state"] == "cleared"
    assert len(view["talk"]) == 1


async def test_a_message_or_event_twice_is_as_once(gateway: Gateway) -> None:
    call = await gateway.offer()
    name = call.pbx_call_id
    offered = gateway.assignment(call)
    envelope = await gateway.publish(offered)
    await gateway.bus.send(envelope)
    await gateway.publish(offered)  # the same decision in a new envelope
    connect = await gateway.pbx.got(Connect, name)
    alerting = LegAlerting(at=now(), call=name, leg=connect.leg)
    await gateway.pbx.say(alerting, alerting, alerting)
    await gateway.pbx.say(CallCleared(at=now(), call=name, by=Party.CUSTOMER), alerting)
    await gateway.heard(telephony.CallCleared, call.call_id)
    assert len(gateway.pbx.sent(Connect, name)) == 1
    assert len(gateway.bus.said(telephony.CallAlerting, lambda e: e.subject == str(call.call_id))) == 1


@pytest.mark.parametrize(
    "reason", [FailureReason.NO_ANSWER, FailureReason.BUSY, FailureReason.DECLINED, FailureReason.UNREACHABLE]
)
async def test_a_failed_connection_says_why(gateway: Gateway, reason: FailureReason) -> None:
    call = await gateway.offer()
    name = call.pbx_call_id
    await gateway.assign(call)
    connect = await gateway.pbx.got(Connect, name)
    await gateway.pbx.say(LegFailed(at=now(), call=name, leg=connect.leg, reason=reason))
    failed = await gateway.heard(telephony.ConnectionFailed, call.call_id)
    assert failed.data.call.connections[0].failure == reason.value
    assert failed.data.call.state is telephony.CallState.OFFERED
    await gateway.assign(call, agent_id="a1002", device_id="1002")
    assert (await gateway.pbx.got(Connect, name, count=2)).device == "1002"


async def test_a_stale_token_rings_nobody(gateway: Gateway) -> None:
    call = await gateway.offer()
    newest = await gateway.assign(call, token=9)
    await gateway.pbx.got(Connect, call.pbx_call_id)
    stale = await gateway.assign(call, token=8, agent_id="a1002", device_id="1002")
    failed = await gateway.heard(telephony.ConnectionFailed, call.call_id)
    of = {connection.assignment_id: connection for connection in failed.data.call.connections}
    assert of[stale.assignment_id].failure is telephony.FailureReason.CANCELLED
    assert of[newest.assignment_id].state is telephony.ConnectionState.INITIATED
    assert [connect.device for connect in gateway.pbx.sent(Connect, call.pbx_call_id)] == ["1001"]


async def test_an_assignment_for_a_call_that_is_over_frees_the_agent(gateway: Gateway) -> None:
    call = await gateway.offer()
    await gateway.pbx.say(CallCleared(at=now(), call=call.pbx_call_id, by=Party.CUSTOMER))
    await gateway.heard(telephony.CallCleared, call.call_id)
    assignment = await gateway.assign(call)
    failed = await gateway.heard(telephony.ConnectionFailed, call.call_id)
    assert failed.data.call.connections[0].assignment_id == assignment.assignment_id
    assert failed.data.call.connections[0].failure is telephony.FailureReason.CANCELLED
    assert failed.data.call.state is telephony.CallState.CLEARED
    assert not gateway.pbx.sent(Connect, call.pbx_call_id)


@pytest.mark.parametrize(
    "withdrawn", [routing.AssignmentCancelled, routing.AssignmentExpired, routing.AssignmentFailed]
)
async def test_a_withdrawn_assignment_stops_ringing(gateway: Gateway, withdrawn: type[routing.AssignmentEvent]) -> None:
    call = await gateway.offer()
    offered = gateway.assignment(call)
    await gateway.publish(offered)
    connect = await gateway.pbx.got(Connect, call.pbx_call_id)
    await gateway.pbx.say(LegAlerting(at=now(), call=call.pbx_call_id, leg=connect.leg))
    await gateway.heard(telephony.CallAlerting, call.call_id)
    await gateway.publish(withdrawn(assignment=offered.assignment, work_item=offered.work_item))
    assert (await gateway.pbx.got(ClearLeg, call.pbx_call_id)).leg == connect.leg
    failed = await gateway.heard(telephony.ConnectionFailed, call.call_id)
    assert failed.data.call.connections[0].failure is telephony.FailureReason.CANCELLED


async def test_a_refused_connect_is_a_failed_connection(gateway: Gateway) -> None:
    call = await gateway.offer()
    gateway.pbx.refuse_with = "no-such-device"
    try:
        await gateway.assign(call, device_id="4711")
        failed = await gateway.heard(telephony.ConnectionFailed, call.call_id)
    finally:
        gateway.pbx.refuse_with = None
    assert failed.data.call.connections[0].failure is telephony.FailureReason.UNREACHABLE


async def test_an_assignment_without_a_device_uses_where_the_agent_sits(gateway: Gateway) -> None:
    await gateway.seat("a7", "1003")
    call = await gateway.offer()
    await gateway.assign(call, agent_id="a7", device_id=None)
    assert (await gateway.pbx.got(Connect, call.pbx_call_id)).device == "1003"
    await gateway.assign(call, agent_id="a8", device_id=None)
    failed = await gateway.heard(telephony.ConnectionFailed, call.call_id)
    assert failed.data.call.connections[-1].agent_id == "a8"
    assert failed.data.call.connections[-1].failure is telephony.FailureReason.UNREACHABLE


async def test_a_leg_that_the_pbx_made_has_its_devices_agent(gateway: Gateway) -> None:
    await gateway.seat("a2", "1002", sequence=5)
    await gateway.seat("a3", "1002", sequence=5, state="offline")
    older = routing.Agent(
        agent_id="a2", workspace="main", org_path="/cn/east", device_id="1009", state="ready", since=now()
    )
    await gateway.bus.publish(routing.AgentChanged(agent=older), subject="a2", sequence=4, orgpath="/cn/east")
    call = await gateway.offer()
    name = call.pbx_call_id
    leg = await gateway.connect(call)
    await gateway.pbx.say(
        LegAlerting(at=now(), call=name, leg="pbx-7", device="1002"),
        LegCleared(at=now(), call=name, leg=leg),
        LegAnswered(at=now(), call=name, leg="pbx-7"),
    )
    answered = await gateway.heard(telephony.CallAnswered, call.call_id, count=2)
    assert answered.data.call.connections[-1].agent_id == "a2"


async def test_commands_on_the_bus(gateway: Gateway) -> None:
    call = await gateway.offer()
    attributes = telephony.SetCallAttributes(call_id=call.call_id, attributes={"vip": "yes"})
    await gateway.bus.publish(attributes, subject=call.call_id, pbx="pbx-1")
    changed = await gateway.heard(telephony.CallAttributesChanged, call.call_id)
    assert changed.data.call.attributes == {"vip": "yes"}
    assert (await gateway.pbx.got(SetAttributes, call.pbx_call_id)).attributes == {"vip": "yes"}
    await gateway.bus.publish(telephony.HangUpCall(call_id=call.call_id), subject=call.call_id, pbx="pbx-1")
    await gateway.pbx.got(HangUp, call.pbx_call_id)
    unknown = uuid4()
    await gateway.bus.publish(telephony.HangUpCall(call_id=unknown), subject=unknown, pbx="pbx-1")
    (refused,) = await eventually(lambda: gateway.rows("SELECT code, subject FROM refused_messages"))
    assert refused == {"code": "not-found", "subject": str(unknown)}


async def test_numbers_are_read_as_of_the_line(gateway: Gateway) -> None:
    german = await gateway.offer(dialled="+49 30 1234", from_number="030 901820", trunk="whatever")
    assert (german.from_number, german.trunk, german.org_path) == ("+4930901820", "overseas", "/cn/east/overseas")
    withheld = await gateway.offer(from_number="anonymous", from_name="\0\u202e" + "x" * 500, dialled="9" * 300)
    assert (withheld.from_number, withheld.from_raw) == (None, "anonymous")
    assert withheld.from_name == "x" * 200
    nothing = await gateway.offer(from_number=None, trunk="overseas", dialled="")
    assert (nothing.from_number, nothing.from_raw, nothing.trunk) == (None, "", "overseas")


async def test_keys_pressed_while_waiting(gateway: Gateway) -> None:
    call = await gateway.offer()
    pressed = [(now() + timedelta(milliseconds=n), str(n)) for n in (1, 2)]
    await gateway.pbx.say(*(DigitPressed(at=at, call=call.pbx_call_id, digit=key) for at, key in pressed))
    changed = await gateway.heard(telephony.CallAttributesChanged, call.call_id, count=2)
    assert changed.data.call.attributes == {"digits": "12"}


async def test_devices_tell_routing_what_it_cannot_know(gateway: Gateway) -> None:
    async def told(state: telephony.DeviceState, count: int = 1) -> None:
        await gateway.bus.expect(
            telephony.DeviceChanged,
            lambda e: e.subject == "1008" and e.data.device.state is state and e.sequence > 1,
            count=count,
        )

    async def is_now(state: DeviceState) -> None:
        await gateway.pbx.say(DeviceChanged(at=now(), device="1008", state=state))

    await is_now(DeviceState.UNREACHABLE)
    await told(telephony.DeviceState.UNREACHABLE)
    await is_now(DeviceState.IDLE)
    await told(telephony.DeviceState.IDLE)
    call = await gateway.offer()
    await gateway.connect(call, device_id="1008")
    await is_now(DeviceState.IN_USE)  # by the call that routing gave it: no news
    await gateway.pbx.say(CallCleared(at=now(), call=call.pbx_call_id, by=Party.AGENT))
    await is_now(DeviceState.IDLE)
    await is_now(DeviceState.IN_USE)  # by something else
    await told(telephony.DeviceState.IN_USE)
    states = [e.data.device.state for e in gateway.bus.said(telephony.DeviceChanged, lambda e: e.subject == "1008")]
    assert states == ["idle", "unreachable", "idle", "in_use"]
    device = (await gateway.admin.get("/v1/pbxs/pbx-1/devices/1008")).json()
    assert (device["state"], device["workspace"], device["org_path"]) == ("in_use", "main", "/cn/east")
    await is_now(DeviceState.IDLE)


async def test_an_item_that_always_fails_is_set_aside_and_the_others_go_on(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect_call = own_pbx.connect_call

    async def fragile(uow, board, offered):  # type: ignore[no-untyped-def]
        if offered.assignment.agent_id == "poison":
            raise ZeroDivisionError("a bug")
        await connect_call(uow, board, offered)

    first, second = await gateway.offer(), await gateway.offer()
    connections = gateway.pbx.connections
    monkeypatch.setattr(own_pbx, "connect_call", fragile)
    await asyncio.gather(
        gateway.assign(first, agent_id="poison", device_id="1003"), gateway.assign(second), gateway.offer()
    )
    await gateway.pbx.got(Connect, second.pbx_call_id)
    await gateway.assign(first)
    await gateway.pbx.got(Connect, first.pbx_call_id)
    assert gateway.pbx.connections == connections, "the connection was kept"


async def _waits_no_longer(gateway: Gateway, **fields: Any) -> tuple[telephony.Call, routing.AssignmentOffered]:
    """A caller who asked to be called back has hung up, and routing chose an agent."""
    call = await gateway.offer()
    await gateway.pbx.say(CallCleared(at=now(), call=call.pbx_call_id, by=Party.CUSTOMER))
    await gateway.heard(telephony.CallCleared, call.call_id)
    offered = gateway.assignment(call, **fields)
    address = offered.work_item.call.model_copy(update={"call_back": "+8613800138000"})
    item = offered.work_item.model_copy(update={"call": address})
    return call, offered.model_copy(update={"work_item": item})


async def test_who_hung_up_is_called_back_agent_first(gateway: Gateway) -> None:
    _, offered = await _waits_no_longer(gateway)
    await gateway.publish(offered)
    await gateway.publish(offered)
    name = f"dial-{offered.assignment.assignment_id}"
    command = await gateway.pbx.got(Originate, name)
    assert (command.device, command.number, command.trunk) == ("1001", "+8613800138000", "carrier")
    assert 15 < command.timeout_s <= 19
    await gateway.pbx.say(
        CallOffered(at=now(), call=name, direction=Direction.OUTBOUND, dialled="+8613800138000"),
        LegAlerting(at=now(), call=name, leg=command.leg, device="1001"),
        LegAnswered(at=now(), call=name, leg=command.leg, device="1001"),
    )
    picked_up = (await gateway.heard(telephony.CallOriginated, id_of(name))).data.call
    assert picked_up.attributes["call_back_of"] == str(offered.work_item.work_item_id)
    (leg,) = picked_up.connections
    assert (leg.assignment_id, leg.agent_id) == (offered.assignment.assignment_id, "a1001")
    assert leg.answered_at is not None and leg.joined_at is None
    await gateway.pbx.say(CustomerAnswered(at=now(), call=name))
    await gateway.heard(telephony.CallAnswered, id_of(name))
    assert len(gateway.pbx.sent(Originate, name)) == 1
    await gateway.pbx.say(CallCleared(at=now(), call=name, by=Party.CUSTOMER))
    await gateway.heard(telephony.CallCleared, id_of(name))


async def test_a_call_back_that_is_withdrawn_stops_ringing(gateway: Gateway) -> None:
    _, offered = await _waits_no_longer(gateway)
    await gateway.publish(offered)
    name = f"dial-{offered.assignment.assignment_id}"
    await gateway.pbx.got(Originate, name)
    over = offered.assignment.model_copy(update={"state": routing.AssignmentState.EXPIRED})
    await gateway.publish(routing.AssignmentExpired(assignment=over, work_item=offered.work_item))
    await gateway.pbx.got(HangUp, name)
    failed = await gateway.heard(telephony.ConnectionFailed, id_of(name))
    assert failed.data.call.connections[0].failure is telephony.FailureReason.CANCELLED


async def test_a_call_back_to_where_nobody_may_call_is_over_at_once(gateway: Gateway) -> None:
    _, offered = await _waits_no_longer(gateway)
    address = offered.work_item.call.model_copy(update={"call_back": "+442079460000"})
    item = offered.work_item.model_copy(update={"call": address})
    await gateway.publish(offered.model_copy(update={"work_item": item}))
    name = f"dial-{offered.assignment.assignment_id}"
    cleared = (await gateway.heard(telephony.CallCleared, id_of(name))).data.call
    assert (cleared.cause, cleared.cleared_by) == ("number-not-allowed", "gateway")
    assert cleared.connections[0].failure is telephony.FailureReason.CANCELLED
    assert not gateway.pbx.sent(Originate, name)


async def test_who_is_still_there_is_connected_not_called_back(gateway: Gateway) -> None:
    call = await gateway.offer()
    offered = gateway.assignment(call)
    address = offered.work_item.call.model_copy(update={"call_back": "+8613800138000"})
    item = offered.work_item.model_copy(update={"call": address})
    await gateway.publish(offered.model_copy(update={"work_item": item}))
    await gateway.pbx.got(Connect, call.pbx_call_id)
