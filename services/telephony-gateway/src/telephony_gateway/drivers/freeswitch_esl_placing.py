"""Whose call a channel of a FreeSWITCH is: offers calls, and finds the call of each leg.

Legs are found by whom the PBX made them for (Other-Leg), by what the gateway ordered, by mod_callcenter's member, by
the number they are shown, or at the latest when they are bridged with the customer.
"""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import unquote

from telephony_gateway.domain.pbx_events import (
    CallOffered,
    CallTransferred,
    CustomerAlerting,
    CustomerAnswered,
    LegAlerting,
    LegAnswered,
    LegDiverted,
    LegFailed,
    LegInitiated,
)
from telephony_gateway.domain.words import Direction, FailureReason, Party
from telephony_gateway.drivers.freeswitch_esl_channels import Channel, Kind
from telephony_gateway.drivers.freeswitch_esl_devices import Devices
from telephony_gateway.drivers.freeswitch_esl_memory import UNDECIDED, Call, Leg, Memory, Ordered, named
from telephony_gateway.drivers.freeswitch_esl_messages import Event

CALL_VARIABLE, LEG_VARIABLE, CONSULTS_VARIABLE = "cordboard_call", "cordboard_leg", "cordboard_consults"
NUMBER_VARIABLE, TIMEOUT_VARIABLE = "cordboard_number", "originate_timeout"


class Placing:
    """Gives every channel its place."""

    def __init__(self, memory: Memory, devices: Devices) -> None:
        self._memory = memory
        self._devices = devices

    def channel(self, event: Event, at: datetime) -> Channel | None:
        """The channel that an event tells of, with its place in a call."""
        channel = self._memory.channels.get(event["Unique-ID"])
        if channel is not None:
            self._memory.channels.update(channel, event, at)
            return channel
        channel = self._memory.channels.make(event, at)
        if channel is None:
            self._memory.unnoticed["no-channel"] += 1
            return None
        note_variables(channel, event)
        self._devices.count(channel, 1, at)
        self.place(channel)
        return channel

    def place(self, channel: Channel) -> None:
        if channel.kind is Kind.HIDDEN:
            return
        ordered = self._ordered_for(channel)
        if ordered is not None and self.place_ordered(channel, ordered):
            return
        if channel.incoming:
            if channel.kind is Kind.TRUNK:
                self.offer_inbound(channel)
            return
        parent, passed = self._memory.channels.real_parent(channel)
        if parent is not None:
            self._place_child(channel, parent)
        elif not self._place_behind(channel, passed):
            self._place_stray(channel)

    def _ordered_for(self, channel: Channel) -> Ordered | None:
        """What was ordered under the channel's own id, or that of the loopback by way of which it is called."""
        ordered = self._memory.ordered.get(channel.uid)
        if ordered is not None or channel.incoming:
            return ordered or self._recalled(channel)
        if channel.kind is Kind.PHONE:
            _, passed = self._memory.channels.real_parent(channel)
            for hidden in passed:
                ordered = self._memory.ordered.get(hidden.uid)
                if ordered is not None and not self._is_up(ordered):
                    return ordered
        return self._recalled(channel)

    def _is_up(self, ordered: Ordered) -> bool:
        call = self._memory.calls.get(ordered.call)
        return call is not None and call.leg(ordered.leg) is not None

    @staticmethod
    def _recalled(channel: Channel) -> Ordered | None:
        """What a gateway wrote on the channel."""
        variables = channel.variables
        call, leg = variables.get(CALL_VARIABLE), variables.get(LEG_VARIABLE)
        if not call or not leg or channel.incoming:
            return None
        return Ordered(
            call, leg, channel.user, variables.get(CONSULTS_VARIABLE, ""), variables.get(NUMBER_VARIABLE, "")
        )

    def place_ordered(self, channel: Channel, ordered: Ordered) -> bool:
        call = self._memory.calls.get(ordered.call)
        if call is None and not ordered.number and channel.uid in self._memory.ordered and channel.is_live:
            self._memory.orphans.append(channel.uid)  # the call ended before its phone began to ring
        if call is None and ordered.number:
            call = self._offer(ordered.call, Direction.OUTBOUND, channel.created_at, ordered.number)
        if call is None or call.leg(ordered.leg) is not None:
            return False
        self._memory.expect(channel.uid, ordered)
        self.attach(channel, call, ordered.leg, ordered.device, call.leg(ordered.consults))
        return True

    def offer_inbound(self, channel: Channel) -> Call:
        call = self._offer(channel.uid, Direction.INBOUND, channel.created_at, channel.dialled, channel)
        call.customer = channel
        self._memory.customer_of[channel] = call
        return call

    def _offer(
        self, name: str, direction: Direction, at: datetime, dialled: str, customer: Channel | None = None
    ) -> Call:
        call = self._memory.calls[name] = Call(name, direction, at, dialled)
        self._memory.tell(
            CallOffered(
                at=at,
                call=name,
                direction=direction,
                dialled=dialled,
                from_number=(customer.number or None) if customer is not None else None,
                from_name=customer.caller_name if customer is not None else "",
                trunk=(customer.profile or None) if customer is not None else None,
                diverted_from=(customer.diverted_from or None) if customer is not None else None,
                waits=False,
            )
        )
        return call

    def _place_child(self, channel: Channel, parent: Channel) -> None:
        """The PBX made it for another channel."""
        if parent in self._memory.customer_of:
            self.attach(channel, self._memory.customer_of[parent])
        elif parent in self._memory.leg_of:
            call, leg = self._memory.leg_of[parent]
            if call.direction is Direction.OUTBOUND and (call.customer is None or not call.customer.is_live):
                self._take_customer(call, channel)
            else:
                self.attach(channel, call, consults=leg)
        elif parent in self._memory.asks:
            call, leg = self._memory.asks[parent]
            self.attach(channel, call, consults=leg)
        elif (asking := self._asking(parent)) is not None:
            self._memory.asks[parent] = asking
            self.attach(channel, asking[0], consults=asking[1])
        else:
            self.pair(parent, channel)

    def _asking(self, channel: Channel) -> tuple[Call, Leg] | None:
        """Of a phone that talks with a customer already: for which leg it has taken another line."""
        if channel.kind is not Kind.PHONE or not channel.incoming:
            return None
        for call in self._memory.calls.values():
            leg = call.device_leg(channel.user)
            if leg is not None and leg.channel is not channel and leg.channel.is_live:
                return call, leg
        return None

    def _place_behind(self, channel: Channel, passed: Sequence[Channel]) -> bool:
        """It was made by way of a loopback that the gateway ordered: this is who is to be talked to."""
        for hidden in passed:
            ordered = self._memory.ordered.get(hidden.uid)
            call = self._memory.calls.get(ordered.call) if ordered is not None else None
            if call is not None and call.direction is Direction.OUTBOUND and call.customer is None:
                self._take_customer(call, channel)
                return True
        return False

    def _place_stray(self, channel: Channel) -> None:
        """Nobody has said for whom it is."""
        if channel.kind is Kind.TRUNK:
            agent = next(
                (
                    other
                    for other in self._memory.channels
                    if self._is_stray_phone(other) and channel.dialled and other.number == channel.dialled
                ),
                None,
            )
            if agent is not None:
                self.pair(agent, channel)
            return
        member = self._memory.channels.get(channel.member)
        if member is not None and member in self._memory.customer_of:
            self.attach(channel, self._memory.customer_of[member])
            return
        waiting = self._memory.find_waiting(channel.number, channel.created_at)
        if len(waiting) == 1:
            self.attach(channel, waiting[0])

    def _is_stray_phone(self, channel: Channel) -> bool:
        return (
            channel.kind is Kind.PHONE
            and channel.is_live
            and not channel.incoming
            and not self._memory.has_place(channel)
        )

    def pair(self, agent: Channel, other: Channel) -> None:
        """A call of two channels of which neither is a caller from outside."""
        if agent.kind is not Kind.PHONE:
            agent, other = other, agent
        if agent.kind is not Kind.PHONE or self._memory.has_place(agent) or self._memory.has_place(other):
            return
        outside = other.kind is Kind.TRUNK
        dialled = (other.dialled or other.user) if outside else (agent.dialled if agent.incoming else other.user)
        direction = Direction.OUTBOUND if outside else Direction.INTERNAL
        call = self._offer(agent.uid, direction, min(agent.created_at, other.created_at), dialled)
        self.attach(agent, call)
        if outside:
            self._take_customer(call, other)
        else:
            self.attach(other, call)

    def _take_customer(self, call: Call, channel: Channel) -> None:
        if call.customer is not None:
            self._memory.customer_of.pop(call.customer, None)
        call.customer = channel
        call.hung_at = None
        self._memory.customer_of[channel] = call
        self.tell_progress(channel)

    def attach(
        self, channel: Channel, call: Call, name: str = "", device: str = "", consults: Leg | None = None
    ) -> Leg:
        self.tell_diverted(call, channel)
        leg = Leg(name or channel.uid, device or channel.user or "unknown", channel, consults)
        leg.joined = channel.was_bridged
        call.legs.append(leg)
        self._memory.leg_of[channel] = call, leg
        self._memory.tell(
            LegInitiated(
                at=channel.created_at,
                consults=consults.name if consults is not None else None,
                **named(call, leg),
            )
        )
        self._receive(call, leg)
        self.tell_progress(channel)
        return leg

    def detach(self, call: Call, leg: Leg, at: datetime) -> None:
        """It turns out not to be for this call."""
        call.legs.remove(leg)
        del self._memory.leg_of[leg.channel]
        self._memory.tell(LegFailed(at=at, reason=FailureReason.CANCELLED, **named(call, leg)))

    def tell_diverted(self, call: Call, channel: Channel | None) -> None:
        """The phone passed the call on to whoever is called next, whose channel may still bear the old one's name."""
        if call.diverted is None:
            return
        (leg, at), call.diverted = call.diverted, None
        to = ""
        if channel is not None:
            if channel.user == leg.device and channel.called_user:
                self._devices.count(channel, -1, channel.created_at)
                channel.user = channel.called_user
                self._devices.count(channel, 1, channel.created_at)
            to = channel.user
        self._memory.tell(LegDiverted(at=at, to=to, cause=leg.channel.cause, **named(call, leg)))

    def _receive(self, call: Call, leg: Leg) -> None:
        """If the customer has just been taken from another leg: this is to whom they are given."""
        transfer = call.transfer
        if leg.consults is None and transfer is not None and transfer.to in ("", leg.name):
            call.transfer = None
            if transfer.from_leg is not leg and leg.channel.created_at >= transfer.at - UNDECIDED:
                self.move(call, leg, transfer.from_leg, transfer.at, transfer.by)
                return
        giver = next((other for other in call.legs if other.taken and not other.connected), None)
        if giver is not None and leg.consults is None and leg.channel.parent:
            self.move(call, leg, giver, leg.channel.created_at, Party.GATEWAY)

    def move(self, call: Call, leg: Leg, giver: Leg, at: datetime, by: Party) -> None:
        leg.moved = True
        self._memory.tell(CallTransferred(at=at, from_leg=giver.name, by=by, **named(call, leg)))

    def tell_progress(self, channel: Channel) -> None:
        """Ringing and answers that are known and not told yet."""
        call = self._memory.customer_of.get(channel)
        if call is not None and call.direction is Direction.OUTBOUND:
            if channel.alerting_at is not None and not call.customer_alerting_told:
                call.customer_alerting_told = True
                self._memory.tell(CustomerAlerting(at=channel.alerting_at, call=call.name))
            if channel.answered_at is not None and not call.customer_answered_told:
                call.customer_answered_told = True
                self._memory.tell(CustomerAnswered(at=channel.answered_at, call=call.name))
        found = self._memory.leg_of.get(channel)
        if found is None:
            return
        call, leg = found
        if channel.alerting_at is not None and not leg.alerting_told:
            leg.alerting_told = True
            self._memory.tell(LegAlerting(at=channel.alerting_at, **named(call, leg)))
        # A queue's agent is connected when bridged with the customer; who dials talks to whoever will be there.
        if call.direction is not Direction.INBOUND and leg.consults is None:
            self.tell_answered(call, leg)

    def tell_answered(self, call: Call, leg: Leg) -> None:
        channel = leg.channel
        answered_at = channel.created_at if channel.incoming else channel.answered_at
        if answered_at is not None and not leg.answered_told:
            leg.answered_told = leg.joined = True
            self._memory.tell(LegAnswered(at=answered_at, **named(call, leg)))


def note_variables(channel: Channel, event: Event) -> None:
    """What a gateway has written on a channel."""
    for name in (CALL_VARIABLE, LEG_VARIABLE, CONSULTS_VARIABLE, NUMBER_VARIABLE, TIMEOUT_VARIABLE):
        if value := event[f"variable_{name}"]:
            channel.variables[name] = unquote(value)
