"""Whose call a channel of an Asterisk is: offers calls, and finds the call of each leg.

Whose call a channel belongs to that the PBX originates (by AMI, ARI) is told by the gateway that ordered it, or by the
bridge in which it meets others, or, should it never be answered, by the number that it was shown.
"""

from datetime import datetime

from telephony_gateway.domain.pbx_events import (
    CallOffered,
    CallTransferred,
    CustomerAlerting,
    CustomerAnswered,
    LegAlerting,
    LegInitiated,
)
from telephony_gateway.domain.words import Direction
from telephony_gateway.drivers.asterisk_ami_channels import DOWN, Channel
from telephony_gateway.drivers.asterisk_ami_memory import MAX_CALLS, OUTSIDE, Call, Leg, Memory, Ordered
from telephony_gateway.drivers.asterisk_ami_talks import Talks


class Placing:
    """Gives every channel its place."""

    def __init__(self, memory: Memory, talks: Talks) -> None:
        self._memory = memory
        self._talks = talks

    def begins(self, channel: Channel, at: datetime) -> None:
        ordered = self._memory.ordered.get(channel.uid)
        if ordered is not None and not channel.hidden:
            self.begin_ordered(channel, ordered, at)
        elif channel.incoming and channel.trunk and channel.uid not in self._memory.of:
            self.offer_inbound(channel)
        else:
            self.find_call(channel)

    def begin_ordered(self, channel: Channel, ordered: Ordered, at: datetime) -> None:
        call = self._memory.calls.get(ordered.call)
        if call is None and ordered.number is not None:
            call = self._offer(Call(ordered.call, Direction.OUTBOUND, ordered.number, channel.created_at))
        if call is None:
            return
        self.attach(channel, call, at, consults=ordered.consults)

    def offer_inbound(self, channel: Channel) -> None:
        call = Call(channel.uid, Direction.INBOUND, channel.first_exten or channel.exten, channel.created_at, channel)
        self._memory.of[channel.uid] = call
        self._memory.linked[channel.linked or channel.uid] = call
        self._offer(call)

    def _offer(self, call: Call) -> Call:
        if len(self._memory.calls) >= MAX_CALLS:
            self._memory.over_limit += 1
            return call
        self._memory.calls[call.name] = call
        customer = call.customer if call.direction is Direction.INBOUND else None
        self._memory.tell(
            CallOffered(
                at=call.offered_at,
                call=call.name,
                direction=call.direction,
                dialled=call.dialled,
                from_number=(customer.number or None) if customer is not None else None,
                from_name=customer.caller_name if customer is not None else "",
                trunk=customer.endpoint if customer is not None else None,
                waits=call.waits,
            )
        )
        return call

    def tell_customer(self, call: Call, channel: Channel) -> None:
        """Outbound: how far the customer is."""
        if channel.alerting_at is not None:
            self._memory.tell(CustomerAlerting(at=channel.alerting_at, call=call.name))
        if channel.up_at is not None and call.customer_answered_at is None:
            call.customer_answered_at = channel.up_at
            call.was_reached = True
            self._memory.tell(CustomerAnswered(at=channel.up_at, call=call.name))

    def called_by_nobody(self, called: Channel, at: datetime) -> None:
        """The PBX originates it. Of a customer whom a click-to-dial calls, the agent who waits for them is known."""
        if called.hidden or called.uid in self._memory.of:
            return
        call = self._memory.linked.get(called.linked)
        if call is not None and called.linked != called.uid:
            self.attach(called, call, at)
            return
        if not called.trunk:
            return
        agent = next(
            (c for c in self._memory.orphans() if c.is_phone and c.is_up and called.dialled_number == c.shown), None
        )
        if agent is not None:
            self.attach(called, self.click_to_dial([agent], called.dialled_number, at), at)

    def call_of_dial(self, source: Channel, origin: Channel, called: Channel, at: datetime) -> Call | None:
        call = self._memory.of.get(origin.uid) or self._memory.of.get(source.uid)
        if call is None and origin.uid in self._memory.asking:
            call = self._memory.asking[origin.uid][0]
        if call is None and not origin.incoming:
            call = self._memory.linked.get(source.linked) or self._memory.linked.get(called.linked)
            if call is None and called.trunk:
                agents = [
                    c for c in self._memory.orphans() if c.is_phone and c.linked in (source.linked, called.linked)
                ]
                return self.click_to_dial(agents, called.dialled_number, at) if agents else None
            return call
        if call is not None or not origin.is_phone:
            return call
        return self.phone_dials(origin, called)

    def phone_dials(self, caller: Channel, called: Channel) -> Call | None:
        """An agent has dialled: to ask somebody about a call they have, or a call of its own."""
        about = self._memory.leg_at(caller.endpoint)
        if about is not None and called.is_phone:
            call, leg = about
            self._memory.asking[caller.uid] = (call, leg.name)
            return call
        direction = Direction.OUTBOUND if called.trunk else Direction.INTERNAL
        dialled = caller.first_exten or called.dialled_number
        call = Call(caller.uid, direction, dialled, caller.created_at)
        self._memory.linked.setdefault(caller.linked or caller.uid, call)
        self._offer(call)
        self.attach(caller, call, caller.created_at)
        return call

    def click_to_dial(self, agents: list[Channel], number: str, at: datetime) -> Call:
        first = min(agents, key=lambda channel: (channel.created_at, channel.uid))
        call = Call(first.uid, Direction.OUTBOUND, number, first.created_at)
        self._offer(call)
        for agent in agents:
            self.attach(agent, call, at)
        return call

    def consults(self, call: Call, origin: Channel, source: Channel) -> str | None:
        """The leg of the agent who calls somebody in addition to the customer."""
        asking = self._memory.asking.get(origin.uid)
        if asking is not None and asking[0] is call:
            return asking[1]
        leg = call.legs.get(origin.uid)
        if leg is None or call.direction is Direction.INTERNAL or call.customer is None:
            return None
        return leg.name if origin is not call.customer and source is not call.customer else None

    def find_call(self, channel: Channel) -> Call | None:
        """The call of a channel; by its linked id if it is in none yet."""
        call = self._memory.of.get(channel.uid)
        if call is not None or channel.incoming or channel.uid in self._memory.asking:
            return call
        call = self._memory.linked.get(channel.linked)
        if call is None:
            return None
        if channel.hidden:
            self._memory.of[channel.uid] = call
        elif channel.state == DOWN or channel.dialled_from is not None:
            origin = self._memory.channels.get(channel.dialled_from)
            if origin is None:
                return None  # it will be told who dials it, or it meets somebody
            self.attach(
                channel, call, channel.created_at, consults=self.consults(call, self._memory.origin(origin), origin)
            )
        return self._memory.of.get(channel.uid)

    def attach(self, channel: Channel, call: Call, at: datetime, consults: str | None = None) -> None:
        """The channel belongs to the call from now on."""
        if self._memory.of.get(channel.uid) is call:
            return
        self._memory.of[channel.uid] = call
        self._memory.linked.setdefault(channel.linked or channel.uid, call)
        if channel.trunk and call.direction is Direction.OUTBOUND and call.customer is None:
            call.customer = channel
            call.was_reached = channel.is_up
            self.tell_customer(call, channel)
            return
        if not channel.hidden:
            self._new_leg(channel, call, at, consults)

    def _new_leg(self, channel: Channel, call: Call, at: datetime, consults: str | None) -> None:
        device = channel.endpoint if channel.is_phone else channel.dialled_number or channel.endpoint
        leg = Leg(self._leg_name(channel, call, device), channel, device, consults, initiated_at=channel.created_at)
        asked = call.leg(consults)
        leg.asks_on = next(
            (uid for uid, (about, name) in self._memory.asking.items() if (about, name) == (call, consults)), None
        )
        if leg.asks_on is None and asked is not None:
            leg.asks_on = asked.channel.uid
        source = self._memory.channels.get(channel.dialled_from)
        comes_from_customer = source is not None and self._memory.origin(source) is call.customer
        moving = self._talks.moving(call) if comes_from_customer else None
        call.legs[channel.uid] = leg
        told = {"call": call.name, "leg": leg.name, "device": device}
        if not call.queued or channel.alerting_at is not None:
            # Whom a queue of the PBX calls in vain, without their ever having been rung, is no business of ours.
            leg.told = True
            self._memory.tell(LegInitiated(at=channel.created_at, consults=consults, **told))
        if moving is not None:
            leg.moved = True
            self._talks.gave(call, moving.from_leg)
            self._memory.tell(CallTransferred(at=moving.at, from_leg=moving.from_leg, by=moving.by, **told))
            call.moving = None
        if channel.alerting_at is not None:
            self._memory.tell(LegAlerting(at=channel.alerting_at, **told))
        if channel.incoming:
            # Whoever dials is there from the beginning.
            self._talks.answered(call, leg, channel.created_at)
        self._talks.connect(call, at)

    def _leg_name(self, channel: Channel, call: Call, device: str) -> str:
        ordered = self._memory.ordered.get(channel.uid)
        if ordered is not None and ordered.call == call.name:
            return ordered.leg
        attempt = call.attempt
        if attempt is not None and attempt.device == device:
            call.attempt = None
            return attempt.leg or channel.uid
        return channel.uid

    def adopt_by_meeting(self, channel: Channel, at: datetime) -> None:
        """Channels that nobody ordered from us belong to the call in whose company they are."""
        company = [c for c in (channel, *self._memory.channels.reached_from(channel)) if not c.hidden]
        orphans = [c for c in company if c.uid not in self._memory.of and c.uid not in self._memory.asking and c.is_up]
        if not orphans or len(company) < 2:
            return
        call = next((self._memory.of[c.uid] for c in company if c.uid in self._memory.of), None)
        asking = next((self._memory.asking[c.uid] for c in company if c.uid in self._memory.asking), None)
        if call is None and asking is not None:
            call = asking[0]
        if call is None:
            call = self._call_of_strangers(orphans, at)
        if call is None:
            return
        with_customer = call.customer in company
        for orphan in orphans:
            leg = next((call.legs[c.uid] for c in company if c.uid in call.legs), None)
            consults = leg.name if leg is not None and not with_customer and call.customer is not None else None
            self.attach(orphan, call, at, consults=asking[1] if asking is not None else consults)

    def _call_of_strangers(self, orphans: list[Channel], at: datetime) -> Call | None:
        agents = [c for c in orphans if c.is_phone]
        customer = next((c for c in orphans if c.trunk), None)
        if not agents:
            return None
        if customer is not None:
            return self.click_to_dial(agents, customer.dialled_number or agents[0].shown, at)
        if len(agents) > 1:
            first = min(agents, key=lambda c: (not c.incoming, c.created_at, c.uid))
            call = self._offer(Call(first.uid, Direction.INTERNAL, first.first_exten or first.shown, first.created_at))
            self.attach(first, call, at)
            return call
        return None

    def call_of_orphan(self, channel: Channel, at: datetime) -> Call | None:
        """Whose call it was for, of a phone that was rung in vain and never met anybody."""
        if channel.hidden or channel.uid in self._memory.asking or channel.is_up or channel.incoming:
            return None
        call: Call | None = None
        consults: str | None = None
        if channel.is_phone:
            shown = channel.shown or channel.number
            call = self._memory.waiting_with(shown) or self._memory.call_in_room(shown)
            if call is None:
                about = self._memory.leg_at(shown)
                if about is not None:
                    call, consults = about[0], about[1].name
            if call is None and OUTSIDE.match(shown) and not self._memory.is_customer(shown):
                call = self.click_to_dial([channel], shown, at)
        if call is not None:
            self.attach(channel, call, at, consults=consults)
        return call

    def adopt_unanswered(self, call: Call, at: datetime) -> None:
        """The customer leaves: phones that still ring for them belong to the call."""
        if call.direction is not Direction.INBOUND or call.customer is None:
            return
        for channel in list(self._memory.orphans()):
            rings = channel.is_phone and not channel.incoming and not channel.is_up
            if rings and self._memory.waiting_with(channel.shown or channel.number) is call:
                self.attach(channel, call, at)
