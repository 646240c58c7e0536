"""Who is connected with whom in the calls of an Asterisk: answers, holds, consultations, and who was given to whom."""

from datetime import datetime, timedelta

from telephony_gateway.domain.pbx_events import (
    CallConferenced,
    CallTransferred,
    LegAnswered,
    LegHeld,
    LegInitiated,
    LegRetrieved,
)
from telephony_gateway.domain.words import Direction, Party
from telephony_gateway.drivers.asterisk_ami_channels import Channel
from telephony_gateway.drivers.asterisk_ami_memory import LEFT_ALONE, TOGETHER, Call, Leg, Memory, Moving, Three, named
from telephony_gateway.drivers.asterisk_ami_messages import Message


class Talks:
    """Sees what follows from who is in which bridge."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def tick(self, call: Call, at: datetime) -> None:
        """Time passes."""
        for leg in call.legs.values():
            if leg.parted_at is not None and not leg.connected and at - leg.parted_at >= LEFT_ALONE:
                self.hold(call, leg)
        if call.three is not None and at - call.three.at > TOGETHER:
            self._stay_three(call, call.three)

    def connect(self, call: Call, at: datetime, mover: Channel | None = None) -> None:
        """See who is connected now; ``mover`` came or went."""
        anchor = self._anchor(call)
        reached = {c.uid for c in self._memory.channels.reached_from(anchor)} if anchor is not None else set()
        for uid, leg in list(call.legs.items()):
            if anchor is not None and uid == anchor.uid:
                continue
            is_connected = uid in reached and leg.channel.is_up
            if is_connected and not leg.connected:
                self._joins(call, leg, at, reached)
            elif leg.connected and not is_connected:
                self._parts(call, leg, at, mover)
        for leg in list(call.legs.values()):
            if leg.answered_at is None and leg.channel.is_up:
                self._see_consultation(call, leg)
                self._picked_up(call, leg, at)

    def _anchor(self, call: Call) -> Channel | None:
        """With whom one is connected to be in the conversation."""
        if call.direction is not Direction.INTERNAL:
            return call.customer if call.customer is not None and call.customer.is_up else None
        caller = min(
            call.legs.values(), key=lambda leg: (not leg.channel.incoming, leg.channel.created_at), default=None
        )
        return caller.channel if caller is not None and caller.channel.is_up else None

    def _joins(self, call: Call, leg: Leg, at: datetime, reached: set[str]) -> None:
        others = [other for uid, other in call.legs.items() if uid in reached and other is not leg]
        leg.connected, leg.parted_at = True, None
        self.answered(call, leg, at)
        call.moving = call.failed_at = None
        call.parked = False
        told = named(call, leg)
        asking = call.leg(leg.consults) if leg.consults is not None and not leg.moved else None
        asked = next((o for o in others if o.consults == leg.name and not o.moved), None)
        others = [other for other in others if other.connected]
        if asking is not None and asking in others:
            call.three = Three(at, asking, leg)
        elif asked is not None and call.three is None:
            call.three = Three(at, leg, asked)
        elif leg.consults is not None and not leg.moved:
            self.given(call, leg, at, leg.consults)
        elif others and call.direction is not Direction.INTERNAL and not leg.moved and not leg.held:
            leg.moved = True
            self._memory.tell(CallConferenced(at=at, **told))
        if leg.held and call.three is None:
            self._retrieved(call, leg, at)

    def _parts(self, call: Call, leg: Leg, at: datetime, mover: Channel | None) -> None:
        leg.connected, leg.parted_at = False, at
        leg.taken = mover is not None and mover is call.customer
        three = call.three
        if three is not None and leg is three.asking:
            call.three = None
            self.given(call, three.asked, three.at, three.asking.name)
        elif three is not None and leg is three.asked:
            self._stay_three(call, three)
        if call.customer is not None and self._memory.channels.is_held_in_a_bridge(call.customer):
            self.hold(call, leg)

    def _stay_three(self, call: Call, three: Three) -> None:
        """It was no transfer: the agent who consulted has stayed."""
        call.three = None
        three.asked.moved = True
        asked = three.asked
        self._memory.tell(CallConferenced(at=three.at, call=call.name, leg=asked.name, device=asked.device))
        if three.asking.held:
            self._retrieved(call, three.asking, three.at)

    def _retrieved(self, call: Call, leg: Leg, at: datetime) -> None:
        leg.held = False
        self._memory.tell(LegRetrieved(at=at, call=call.name, leg=leg.name, device=leg.device))

    def given(self, call: Call, leg: Leg, at: datetime, from_leg: str, by: Party = Party.GATEWAY) -> None:
        leg.moved = True
        self.gave(call, from_leg)
        self._memory.tell(
            CallTransferred(at=at, call=call.name, leg=leg.name, device=leg.device, from_leg=from_leg, by=by)
        )

    @staticmethod
    def gave(call: Call, name: str | None) -> None:
        leg = call.leg(name)
        if leg is not None:
            leg.gave = True

    def moving(self, call: Call) -> Moving | None:
        """The customer comes to a new leg from another agent, who did not leave by hanging up."""
        if call.moving is not None:
            return call.moving
        taken = (leg for leg in call.legs.values() if self.was_taken_away(call, leg))
        last = max(taken, key=lambda leg: leg.parted_at or call.offered_at, default=None)
        return Moving(last.parted_at, last.name, Party.GATEWAY) if last is not None and last.parted_at else None

    def was_taken_away(self, call: Call, leg: Leg) -> bool:
        """The customer left this agent for something else in the dialplan."""
        customer = call.customer
        if leg.parted_at is None or leg.connected or leg.held or leg.gave or not leg.taken or leg.consults:
            return False
        if customer is None or not customer.is_up or customer.requested_at is not None:
            return False
        nobody_hung_up = leg.channel.requested_at is None and leg.channel.softly_at is None
        return nobody_hung_up and not self._memory.channels.is_held_in_a_bridge(customer)

    def answered(self, call: Call, leg: Leg, at: datetime) -> None:
        if leg.answered_at is not None:
            return
        up_at = leg.channel.up_at
        leg.answered_at = up_at if up_at is not None and timedelta(0) <= at - up_at <= TOGETHER else at
        self._memory.tell(LegAnswered(at=leg.answered_at, call=call.name, leg=leg.name, device=leg.device))

    def _see_consultation(self, call: Call, leg: Leg) -> None:
        """Whoever is connected with an agent of the call, and not with its customer, is asked for advice."""
        if leg.consults is not None or call.customer is None or call.direction is Direction.INTERNAL:
            return
        reached = self._memory.channels.reached_from(leg.channel)
        asking = next((call.legs[c.uid] for c in reached if c.uid in call.legs), None)
        if asking is not None and asking.answered_at is not None and call.customer not in reached:
            leg.consults, leg.asks_on = asking.name, asking.channel.uid
            told = named(call, leg)
            self._memory.tell(LegInitiated(at=leg.initiated_at or leg.channel.created_at, consults=asking.name, **told))

    def _picked_up(self, call: Call, leg: Leg, at: datetime) -> None:
        """Somebody is there. With whom they shall talk decides when that is an answer."""
        if leg.consults is not None and not leg.moved:
            asking = self._memory.channels.get(leg.asks_on)
            reached = self._memory.channels.reached_from(leg.channel)
            if asking is not None and asking in reached:
                self.answered(call, leg, at)
        elif call.direction is Direction.OUTBOUND and not leg.moved:
            self.answered(call, leg, leg.channel.up_at or at)

    def hold(self, call: Call, leg: Leg) -> None:
        """The customer waits although the agent is there, and the agent's phone did not do it."""
        customer = call.customer
        if (
            leg.held
            or leg.connected
            or leg.gave
            or leg.parted_at is None
            or leg.channel.gone
            or call.moving is not None
        ):
            return
        if customer is None or not customer.is_up or leg.channel.requested_at is not None:
            return
        leg.held = True
        by = Party.GATEWAY if leg.taken or call.parked else Party.AGENT
        self._memory.tell(LegHeld(at=leg.parted_at, call=call.name, leg=leg.name, device=leg.device, by=by))

    def phone_hold(self, message: Message, at: datetime) -> None:
        channel = self._memory.channels.seen(message, at)
        call = self._memory.of.get(channel.uid) if channel is not None else None
        leg = call.legs.get(channel.uid) if call is not None and channel is not None else None
        if call is None or leg is None or leg.answered_at is None:
            return
        leg.held, leg.hold_known = message.event == "Hold", True
        kind = LegHeld if leg.held else LegRetrieved
        self._memory.tell(kind(at=at, call=call.name, leg=leg.name, device=leg.device))
