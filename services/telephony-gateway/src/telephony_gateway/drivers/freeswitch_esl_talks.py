"""Who hears whom in the calls of a FreeSWITCH: bridges, conferences, holds, and who was given to whom."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from telephony_gateway.domain.pbx_events import (
    CallConferenced,
    LegHeld,
    LegRetrieved,
)
from telephony_gateway.domain.words import Party
from telephony_gateway.drivers.freeswitch_esl_channels import Channel, Kind
from telephony_gateway.drivers.freeswitch_esl_memory import JUST_BEFORE, Call, Leg, Memory, Transfer, named
from telephony_gateway.drivers.freeswitch_esl_messages import Event
from telephony_gateway.drivers.freeswitch_esl_placing import Placing

SETTLED = timedelta(seconds=0.5)
"""After a bridge ended: nothing has come of it, so the gateway (or another programme) took the customer away."""
UNHOLD_LAG = timedelta(seconds=0.13)
"""CHANNEL_UNHOLD comes when FreeSWITCH has answered the phone's re-INVITE, up to a quarter second after that came (seen
in recorded traces of 1.11.2), or at once when the leg ends: the middle is never wrong by more than half of it."""


class Talks:
    """Sees what follows from who is bridged with whom."""

    def __init__(self, memory: Memory, placing: Placing) -> None:
        self._memory = memory
        self._placing = placing

    def bridged(self, event: Event, at: datetime) -> None:
        channel = self._placing.channel(event, at)
        other = self._memory.channels.get(
            event["Bridge-B-Unique-ID"]
            if event["Bridge-A-Unique-ID"] == event["Unique-ID"]
            else event["Bridge-A-Unique-ID"]
        ) or self._memory.channels.get(event["Other-Leg-Unique-ID"])
        if channel is None or other is None or channel is other:
            self._memory.unnoticed["no-channel"] += 1
            return
        self.join(channel, other, at)

    def join(self, channel: Channel, other: Channel, at: datetime) -> None:
        """Two channels are bridged."""
        self._memory.channels.bridge(channel, other)
        for one in (channel, other):
            peer = self._memory.channels.peer(one)
            if one.kind is not Kind.HIDDEN and peer is not None:
                self._together(one, peer, at)
                return
        if channel.kind is Kind.HIDDEN and other.kind is Kind.HIDDEN:
            return

    def _together(self, one: Channel, other: Channel, at: datetime) -> None:
        if other in self._memory.customer_of and one not in self._memory.customer_of:
            one, other = other, one
        if one in self._memory.customer_of:
            call = self._memory.customer_of[one]
            found = self._memory.leg_of.get(other)
            if found is not None and found[0] is not call:
                if found[1].joined:
                    return
                self._placing.detach(*found, at)
                found = None
            if found is None and other in self._memory.customer_of:
                return
            self._connect(call, found[1] if found is not None else self._placing.attach(other, call), at)
            return
        for asking, asked in ((one, other), (other, one)):
            asks = self._memory.asks.get(asking) or self._memory.leg_of.get(asking)
            if asks is not None and not self._memory.has_place(asked) and asked.kind is not Kind.HIDDEN:
                self._placing.attach(asked, asks[0], consults=asks[1])
        for channel in (one, other):
            found = self._memory.leg_of.get(channel)
            if found is not None and found[1].consults is not None:
                self._placing.tell_answered(*found)
        if not self._memory.has_place(one) and not self._memory.has_place(other):
            self._placing.pair(one, other)

    def _connect(self, call: Call, leg: Leg, at: datetime) -> None:
        """Customer and agent hear each other."""
        parted_at = leg.parted_at
        leg.parted_at, leg.connected = None, True
        self._placing.tell_answered(call, leg)
        if leg.taken:
            leg.taken = False
            self._memory.tell(LegRetrieved(at=at, **named(call, leg)))
        elif not leg.moved and parted_at is None:
            self._given(call, leg, at)
        leg.joined = True
        call.transfer = None
        call.ready = call.announced = call.commanded = False

    def _given(self, call: Call, leg: Leg, at: datetime) -> None:
        """Whether the customer was given to this leg by another, who had talked with both, or put them on hold."""
        giver = leg.consults
        if giver is None:
            giver = next((other for other in call.legs if other is not leg and other.taken), None)
            if giver is None:
                return
        over_at = [t for t in (giver.channel.hung_at, giver.parted_at) if t is not None and at - t <= JUST_BEFORE]
        by = Party.GATEWAY if call.commanded or leg.consults is None else Party.AGENT
        self._placing.move(call, leg, giver, min(over_at, default=at), by)

    def unbridged(self, event: Event, at: datetime) -> None:
        channel = self._placing.channel(event, at)
        if channel is None:
            return
        pair = dict.fromkeys((channel, self._memory.channels.peer(channel), *self._bridge_ends(event)))
        self._memory.channels.unbridge(channel)
        for customer in pair:
            call = self._memory.customer_of.get(customer) if customer is not None else None
            if call is None or customer is None:
                continue
            for leg in call.legs:
                if leg.connected and leg.channel in pair and not leg.channel.room:
                    self._part(call, leg, at, referred=event["variable_sip_refer_to"])
            self.look_around(call, at)

    def _bridge_ends(self, event: Event) -> Iterable[Channel | None]:
        return (self._memory.channels.get(event[f"Bridge-{end}-Unique-ID"]) for end in "AB")

    def _part(self, call: Call, leg: Leg, at: datetime, referred: str = "") -> None:
        """The bridge of customer and agent is over, while both of them live."""
        leg.connected = False
        customer = call.customer
        if customer is None or not customer.is_live or not leg.channel.is_live:
            return
        leg.parted_at = at
        if call.transfer is None:
            by = Party.GATEWAY if call.commanded and not referred else Party.AGENT
            call.transfer = Transfer(leg, at, by)

    def look_around(self, call: Call, at: datetime) -> None:
        """What has become of agents whose bridge with the customer is over."""
        for leg in call.legs:
            if leg.parted_at is None or leg.taken or not leg.channel.is_live:
                continue
            if leg.channel.parked or at - leg.parted_at >= SETTLED:
                leg.taken = True
                self._memory.tell(LegHeld(at=leg.parted_at, by=Party.GATEWAY, **named(call, leg)))

    def held(self, event: Event, at: datetime) -> None:
        channel = self._placing.channel(event, at)
        if channel is None:
            return
        began = event["Event-Name"] == "CHANNEL_HOLD"
        changed = channel.held is not began
        channel.held = began
        channel.held_since = at if began else None
        found = self._memory.leg_of.get(channel)
        if found is None or not changed or not channel.is_live:
            return
        told = named(*found)
        if began:
            self._memory.tell(LegHeld(at=at, by=Party.AGENT, **told))
        else:
            self._memory.tell(LegRetrieved(at=at - UNHOLD_LAG, **told))

    def conference(self, event: Event, at: datetime) -> None:
        action = event["Action"]
        if action not in ("add-member", "del-member") or not event["Unique-ID"]:
            return
        room = event["Conference-Name"]
        if action == "del-member":
            channel = self._memory.channels.get(event["Unique-ID"])
            if channel is not None and channel.room == room:
                self._leave_room(channel, at)
            return
        channel = self._placing.channel(event, at)
        if channel is not None and channel.is_live and room:
            self.enter_room(channel, room, at)

    def enter_room(self, channel: Channel, room: str, at: datetime) -> None:
        """A channel is in a conference now."""
        self._memory.channels.unbridge(channel)
        channel.room = room
        present = self._memory.channels.in_room(room)
        calls = (self._memory.customer_of.get(other) for other in present)
        for call in dict.fromkeys(call for call in calls if call is not None):
            call.transfer = None
            for other in present:
                self._confer(call, other, at)

    def _confer(self, call: Call, channel: Channel, at: datetime) -> None:
        if channel is call.customer or channel.kind is Kind.HIDDEN:
            return
        found = self._memory.leg_of.get(channel)
        if found is None and not self._memory.has_place(channel):
            found = call, self._placing.attach(channel, call)
        if found is None or found[0] is not call or found[1].connected:
            return
        leg = found[1]
        new = not leg.joined or (leg.consults is not None and not leg.moved)
        others = any(other.connected for other in call.legs)
        if new and others:
            leg.moved = True
        self._connect(call, leg, at)
        if new and others:
            self._memory.tell(CallConferenced(at=at, **named(call, leg)))

    def _leave_room(self, channel: Channel, at: datetime) -> None:
        channel.room = ""
        found = self._memory.leg_of.get(channel)
        if found is not None and found[1].connected:
            self._part(*found, at)
        call = self._memory.customer_of.get(channel)
        if call is not None:
            for leg in call.legs:
                if leg.connected:
                    self._part(call, leg, at)
