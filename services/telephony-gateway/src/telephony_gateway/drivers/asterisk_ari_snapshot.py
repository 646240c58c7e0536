"""What is up, laid over what was believed to be, after a connection to Asterisk came up."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from telephony_gateway.domain.pbx_events import LiveCall, LiveLeg
from telephony_gateway.domain.words import Direction, LegState
from telephony_gateway.drivers.asterisk_ari_calls import (
    AGENT,
    CUSTOMER,
    MAX_BRIDGES,
    TALK,
    WAIT,
    Call,
    Leg,
    Purpose,
    our_names,
    talk_bridge,
    wait_bridge,
)
from telephony_gateway.drivers.asterisk_ari_control import Say
from telephony_gateway.drivers.asterisk_ari_messages import Bridge, Channel, delete
from telephony_gateway.drivers.asterisk_ari_story import Story


def lay_over(
    story: Story,
    channels: Mapping[str, Channel],
    bridges: list[Bridge],
    members: frozenset[str] | None,
    at: datetime,
) -> None:
    """Forget what is gone, see what is there, adopt what is new. ``members``: the channels in our application."""
    _forget_gone(story, channels, members)
    story.memory.holding = {bridge.bridge_id: bridge.is_holding for bridge in bridges[:MAX_BRIDGES]}
    where = {channel: bridge.bridge_id for bridge in bridges for channel in bridge.channels}
    ordered = sorted(channels.values(), key=lambda channel: channel.created_at or at)
    for channel in ordered:
        if story.memory.find(channel.channel_id) is None:
            _adopt(story, channel, members, at)
    for channel in ordered:
        found = story.memory.find(channel.channel_id)
        if found is not None:
            found[1].bridge = where.get(channel.channel_id)
            story.observe(found[1], channel, at)
    for call in story.memory.calls.values():
        call.waits_in_bridge = wait_bridge(call.name) in story.memory.holding
        call.talks_in_bridge = talk_bridge(call.name) in story.memory.holding
    story.bind_orphans(at)
    for call in story.memory.calls.values():
        for leg in call.legs.values():
            _presume_joined(call, leg)


def _forget_gone(story: Story, channels: Mapping[str, Channel], members: frozenset[str] | None) -> None:
    for name, (call, party) in list(story.memory.channels.items()):
        waits = call is not None and call.direction is Direction.INBOUND and party is call.customer
        found = channels.get(name)
        # Who was in the application and is not any more has hung up, or is the dialplan's again.
        left = members is not None and name not in members and found is not None and (waits or found.is_up)
        if found is None or left:
            story.memory.forget(name)
    for call in list(story.memory.calls.values()):
        if call.customer is not None and story.memory.find(call.customer.channel) is None:
            call.customer = None
            if call.direction is Direction.INBOUND or not call.legs:
                # Agents who are still there are found again, as what is left of a call that is over.
                for channel in list(call.legs):
                    story.memory.forget(channel)
                story.memory.end_call(call)
        elif call.customer is None and not call.legs:
            story.memory.end_call(call)


def _presume_joined(call: Call, leg: Leg) -> None:
    """An agent of ours who is where they talk had the customer, who was only put on hold."""
    there = leg.up_at is not None and leg.bridge == talk_bridge(call.name)
    if there and leg.joined_at is None and leg.purpose not in (None, Purpose.CONSULT):
        leg.joined_at = leg.up_at
        leg.told.add("answered")


def _adopt(story: Story, channel: Channel, members: frozenset[str] | None, at: datetime) -> None:
    named = our_names(channel.channel_id)
    if members is not None and channel.channel_id not in members and named is None:
        return
    inside = channel.application == "Stasis" and channel.arguments[:1] == (story.application,)
    arguments = channel.arguments[1:] if inside else ()
    if named is not None and not arguments:
        arguments = (named[0], named[1])
    if arguments[:1] in ((AGENT,), (CUSTOMER,)):
        created_at = channel.created_at or at
        story.outgoing(channel.channel_id, channel.peer, arguments, channel.connected, "", created_at)
    elif inside and arguments:
        story.offer(channel, arguments, channel.created_at or at)


def live_call(story: Story, call: Call) -> LiveCall:
    customer = call.customer
    return LiveCall(
        call=call.name,
        direction=call.direction,
        dialled=call.dialled,
        from_number=call.number or None,
        from_name=call.caller_name,
        trunk=call.trunk,
        diverted_from=call.diverted_from,
        attributes=dict(call.attributes),
        offered_at=call.offered_at,
        customer_answered_at=customer.up_at if customer and call.direction is Direction.OUTBOUND else None,
        legs=tuple(_live_leg(story, call, leg) for leg in call.legs.values()),
    )


def _live_leg(story: Story, call: Call, leg: Leg) -> LiveLeg:
    held = leg.holds_itself or story.is_put_on_hold(call, leg)
    if leg.answered or story.with_customer(call, leg) or (leg.up_at is not None and leg.consults is not None):
        state = LegState.HELD if held else LegState.CONNECTED
    else:
        state = LegState.INITIATED if leg.ringing_at is None and leg.up_at is None else LegState.ALERTING
    return LiveLeg(
        leg=leg.leg,
        device=leg.device,
        state=state,
        consults=leg.consults if leg.joined_at is None else None,
        initiated_at=leg.initiated_at,
        alerting_at=leg.ringing_at,
        answered_at=leg.up_at if state in (LegState.CONNECTED, LegState.HELD) else None,
        held_since=leg.held_at if state is LegState.HELD else None,
    )


def look_after(story: Story, call: Call) -> None:
    """Bring about what would have been done, had nobody been away."""
    for leg in call.legs.values():
        if leg.up_at is not None and leg.joined_at is None:
            story.picked_up(call, leg)
    customer = call.customer
    if customer is None:
        return
    if customer.bridge is None and not customer.hung_up_itself and call.direction is Direction.INBOUND:
        story.say(story.control.receive(call, answered=customer.up_at is not None))
    if not call.legs and customer.bridge is not None and not story.memory.is_holding(customer.bridge):
        story.say(story.control.wait(call))


def tidy_up(story: Story) -> None:
    """End what is left of calls that are over."""
    for leg in story.memory.orphans():
        if our_names(leg.channel) is not None:
            story.say([Say(delete("channels", leg.channel, reason="normal"), "")])
    for bridge in story.memory.holding:
        role, _, name = bridge.partition("~")
        if role in (TALK, WAIT) and name not in story.memory.calls:
            story.say([Say(delete("bridges", bridge), "")])


def members_of(found: Iterable[Any], application: str) -> frozenset[str] | None:
    """The channels in our application; None if it is not listed."""
    for row in found:
        if isinstance(row, dict) and row.get("name") == application and isinstance(row.get("channel_ids"), list):
            return frozenset(channel for channel in row["channel_ids"] if isinstance(channel, str))
    return None
