"""What a gateway may tell the switch, by names. Each raises `Refused` or is done; its effects are events.

Doing the same again is no offence: a leg that was rung is not rung again, one that is over stays over.
"""

from collections.abc import Callable, Mapping

from telephony_gateway.virtual_pbx.core.model import By, Call, Device, Leg, LegState, Refused, Trunk
from telephony_gateway.virtual_pbx.core.scripts import microseconds
from telephony_gateway.virtual_pbx.core.switch import Switch

MAX_ATTRIBUTES = 50
MAX_LEGS = 20
"""How many legs a call may have at once."""


def once(switch: Switch, command_id: str, act: Callable[[], None]) -> tuple[Refused | None, bool]:
    """Do ``act`` unless it was done under this id: why it was refused, if it was, and whether it is a repeat."""
    if command_id in switch.commands:
        return switch.commands[command_id], True
    refused: Refused | None = None
    try:
        act()
    except Refused as refusal:
        refused = refusal
    switch.commands.put(command_id, refused)
    return refused, False


def connect(switch: Switch, call_id: str, leg_id: str, device_id: str, timeout_s: float) -> None:
    """Ring a device and connect the customer when it answers."""
    if _rung_before(switch, call_id, leg_id, device_id):
        switch.counts.connects_repeated += 1
        return
    switch.counts.connects += 1
    call = switch.calls.get(call_id)
    if call is None:
        switch.counts.connects_to_dead_calls += 1
    call = _call(switch, call_id)
    _require(call.customer_there, "nobody is at the other end yet")
    device = _device(switch, device_id)
    others = [leg for leg in call.legs.values() if leg.consults is None]
    if others:
        switch.counts.double_connects += 1
        switch.note_offence("double_connect", call, leg_id, device_id, others)
    _require_room(call)
    switch.ring(call, leg_id, device, microseconds(timeout_s))


def clear_leg(switch: Switch, call_id: str, leg_id: str) -> None:
    """End a leg in whatever state it is; without another agent in conversation the customer waits."""
    if _is_over(switch, call_id, leg_id):
        return
    switch.drop(_leg(switch, call_id, leg_id), "cleared by the gateway")


def answer(switch: Switch, call_id: str, leg_id: str) -> None:
    """Have a ringing device pick up."""
    leg = _leg(switch, call_id, leg_id)
    if leg.up:
        return
    _require(leg.state is LegState.RINGING, "it does not ring")
    switch.answer(leg)


def hold(switch: Switch, call_id: str, leg_id: str) -> None:
    """Put the customer on hold."""
    leg = _in_conversation(switch, call_id, leg_id)
    if leg.state is not LegState.HELD:
        switch.hold(leg)


def retrieve(switch: Switch, call_id: str, leg_id: str) -> None:
    """Come back to the customer."""
    leg = _in_conversation(switch, call_id, leg_id)
    if leg.state is LegState.HELD:
        leg.scripted = False
        switch.retrieve(leg)


def mute(switch: Switch, call_id: str, leg_id: str, on: bool) -> None:
    """Keep what the agent says from the others, or no longer."""
    _in_conversation(switch, call_id, leg_id).muted = on


def transfer_blind(switch: Switch, call_id: str, leg_id: str, new_leg: str, device_id: str, timeout_s: float) -> None:
    """Give the customer to a device without asking."""
    if _rung_before(switch, call_id, new_leg, device_id):
        return
    leg = _in_conversation(switch, call_id, leg_id)
    _require(leg.device_id != device_id, "it is the same device")
    switch.transfer_blind(leg, new_leg, _device(switch, device_id), microseconds(timeout_s))


def consult(switch: Switch, call_id: str, leg_id: str, new_leg: str, device_id: str, timeout_s: float) -> None:
    """Put the customer on hold and ring a colleague."""
    if _rung_before(switch, call_id, new_leg, device_id):
        return
    leg = _in_conversation(switch, call_id, leg_id)
    device = _device(switch, device_id)
    _require(leg.device_id != device_id, "it is the same device")
    _require(_consulted_by(leg) is None, "a colleague is asked already")
    _require_room(leg.call)
    if leg.state is LegState.CONNECTED:
        switch.hold(leg)
    leg.scripted = False
    switch.ring(leg.call, new_leg, device, microseconds(timeout_s), consults=leg)


def transfer_attended(switch: Switch, call_id: str, leg_id: str, to_leg: str) -> None:
    """Give the customer to the colleague on the line."""
    if _is_over(switch, call_id, leg_id):
        target = _leg(switch, call_id, to_leg)
        _require(target.up and target.consults is None, "the leg that asked is over")
        return
    leg = _in_conversation(switch, call_id, leg_id)
    target = _leg(switch, call_id, to_leg)
    _require(target.consults is leg and target.up, "the colleague is not on the line")
    switch.transfer_attended(leg, target)


def confer(switch: Switch, call_id: str, leg_id: str, new_leg: str, device_id: str, timeout_s: float) -> None:
    """Bring a device into the conversation: at once if it is on the line, else when it answers."""
    leg = _in_conversation(switch, call_id, leg_id)
    present = leg.call.legs.get(new_leg)
    if present is not None and present.device_id == device_id:
        if present.consults is leg:
            switch.confer(leg, present)
        else:
            _require(present.consults is None, "it is asked by somebody else")
        return
    if _rung_before(switch, call_id, new_leg, device_id):
        return
    _require_room(leg.call)
    switch.ring(leg.call, new_leg, _device(switch, device_id), microseconds(timeout_s), conference=True)


def hang_up(switch: Switch, call_id: str) -> None:
    """End the call."""
    call = _call(switch, call_id)
    switch.end(call, By.GATEWAY, "normal clearing")


def attach(switch: Switch, call_id: str, attributes: Mapping[str, str]) -> None:
    """Set attributes of the call."""
    call = _call(switch, call_id)
    if len(call.attributes.keys() | attributes.keys()) > MAX_ATTRIBUTES:
        raise Refused("too-many", f"a call has {MAX_ATTRIBUTES} attributes at most")
    switch.attach(call, attributes)


def originate(
    switch: Switch,
    call_id: str,
    leg_id: str,
    device_id: str,
    number: str,
    timeout_s: float,
    trunk_id: str | None,
) -> None:
    """Ring an agent, then dial a number and connect both. ``call_id`` is the gateway's choice."""
    if _rung_before(switch, call_id, leg_id, device_id):
        return
    if call_id in switch.calls:
        raise Refused("name-used", f"there is a call {call_id} already")
    trunk = outbound_trunk(switch, trunk_id)
    switch.originate(call_id, leg_id, _device(switch, device_id), number, trunk, microseconds(timeout_s))


def outbound_trunk(switch: Switch, trunk_id: str | None) -> Trunk:
    """The trunk that was asked for, or any, if it has a free channel."""
    if trunk_id is not None and trunk_id not in switch.trunks:
        raise Refused("no-such-trunk", f"there is no trunk {trunk_id}")
    trunks = list(switch.trunks.values()) if trunk_id is None else [switch.trunks[trunk_id]]
    for trunk in trunks:
        if trunk.in_use < trunk.channels:
            return trunk
    raise Refused("congestion", "all channels are in use")


def _call(switch: Switch, call_id: str) -> Call:
    call = switch.calls.get(call_id)
    if call is None:
        raise Refused("no-such-call", f"there is no call {call_id}, or no longer")
    return call


def _leg(switch: Switch, call_id: str, leg_id: str) -> Leg:
    leg = _call(switch, call_id).legs.get(leg_id)
    if leg is None:
        raise Refused("no-such-leg", f"call {call_id} has no leg {leg_id}, or no longer")
    return leg


def _in_conversation(switch: Switch, call_id: str, leg_id: str) -> Leg:
    leg = _leg(switch, call_id, leg_id)
    _require(leg.up and leg.consults is None and leg.call.customer_there, "it is not with the customer")
    return leg


def _consulted_by(leg: Leg) -> Leg | None:
    return next((other for other in leg.call.legs.values() if other.consults is leg), None)


def _device(switch: Switch, device_id: str) -> Device:
    device = switch.devices.get(device_id)
    if device is None:
        raise Refused("no-such-device", f"there is no device {device_id}")
    return device


def _rung_before(switch: Switch, call_id: str, leg_id: str, device_id: str) -> bool:
    known = switch.legs_named.get(leg_id)
    if known is None:
        return False
    if known != (call_id, device_id):
        raise Refused("name-used", f"leg {leg_id} belongs to call {known[0]} and device {known[1]}")
    return True


def _is_over(switch: Switch, call_id: str, leg_id: str) -> bool:
    known = switch.legs_named.get(leg_id)
    if known is None or known[0] != call_id:
        return False
    call = switch.calls.get(call_id)
    return call is None or leg_id not in call.legs


def _require(condition: bool, detail: str) -> None:
    if not condition:
        raise Refused("wrong-state", detail)


def _require_room(call: Call) -> None:
    if len(call.legs) >= MAX_LEGS:
        raise Refused("too-many", f"a call has {MAX_LEGS} legs at most")
