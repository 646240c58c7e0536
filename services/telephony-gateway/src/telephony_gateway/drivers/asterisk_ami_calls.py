"""What the events of the Manager Interface mean for calls: by Asterisk's semantics, not by any dialplan's names.

A call is named after its customer's channel (``Uniqueid``), which outlives transfers and requeueing; one between agents
after the caller's. Legs are agents' channels. Whether two are connected is asked of bridges and Local channels
(`Channels`), never of the order of events: between Asterisk's topics there is none.

Whose call a channel belongs to that the PBX originates (by AMI, ARI) is told by the gateway that ordered it, or by the
bridge in which it meets others, or, should it never be answered, by the number that it was shown.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from telephony_gateway.domain.pbx_events import (
    AttributesSet,
    CallCleared,
    CallConferenced,
    CallOffered,
    CallTransferred,
    ConnectionUp,
    CustomerAlerting,
    CustomerAnswered,
    CustomerFailed,
    CustomerLeft,
    CustomerWaits,
    DeviceChanged,
    DigitPressed,
    LegAlerting,
    LegAnswered,
    LegCleared,
    LegDiverted,
    LegFailed,
    LegHeld,
    LegInitiated,
    LegRetrieved,
    LiveCall,
    LiveDevice,
    LiveLeg,
    PbxEvent,
)
from telephony_gateway.domain.words import DeviceState, Direction, FailureReason, LegState, Party
from telephony_gateway.drivers.asterisk_ami_channels import DOWN, RING, Channel, Channels, known
from telephony_gateway.drivers.asterisk_ami_memory import Attempt, Call, Leg, Moving, Ordered, Three
from telephony_gateway.drivers.asterisk_ami_messages import Message

TIME_OUT = "time-out"
"""Cause of a call that ended because the time was up that the gateway gave for ringing."""
TOGETHER = timedelta(seconds=1)
"""An agent's hang-up ends the call if the customer goes within this time; who picks up is connected within it."""
LEFT_ALONE = timedelta(seconds=0.5)
"""A customer who is in no conversation for so long, while the agent is there, is on hold."""
NOT_CALLED = timedelta(seconds=3)
"""A device that the PBX has not begun to call within this time after a redirect will not be called."""
MAX_CALLS = 20_000
EPOCH_DIGITS = 10
CALL_VARIABLE, LEG_VARIABLE, NUMBER_VARIABLE = "CC_CALL", "CC_LEG", "CC_NUMBER"
"""Written on an agent's channel: which call and leg of ours it is, and whom to dial, for a gateway that takes over."""

_OUTSIDE = re.compile(r"^\+?[0-9]{7,20}$")
_PHONES = frozenset({"PJSIP", "SIP", "IAX2", "SCCP", "DAHDI"})
_DEVICE_STATES = {
    "NOT_INUSE": DeviceState.IDLE,
    "INUSE": DeviceState.IN_USE,
    "BUSY": DeviceState.IN_USE,
    "RINGING": DeviceState.IN_USE,
    "RINGINUSE": DeviceState.IN_USE,
    "ONHOLD": DeviceState.IN_USE,
    "UNAVAILABLE": DeviceState.UNREACHABLE,
    "INVALID": DeviceState.UNREACHABLE,
}
_CHANNEL_HEADERS = frozenset(
    {
        "Event", "Privilege", "Channel", "ChannelState", "ChannelStateDesc", "CallerIDNum", "CallerIDName",
        "ConnectedLineNum", "ConnectedLineName", "Language", "AccountCode", "Context", "Exten", "Priority", "Uniqueid",
        "Linkedid", "ChanVariable", "UserEvent", "Timestamp", "SystemName",
    }
)  # fmt: skip
_REFUSALS = {"17": FailureReason.BUSY, "21": FailureReason.DECLINED}
_UNREACHABLE = frozenset({"1", "2", "3", "20", "22", "27", "34", "38", "41", "42", "44", "58", "88"})
"""Q.850 causes: no number, no route, absent, out of order, network trouble, no circuit, incompatible."""
_STOPS = "4"
"""``Cause`` of a SoftHangupRequest is a flag, not a Q.850 cause: AST_SOFTHANGUP_SHUTDOWN."""
_FAILED_DIALS = {
    "BUSY": FailureReason.BUSY,
    "CHANUNAVAIL": FailureReason.UNREACHABLE,
    "CONGESTION": FailureReason.UNREACHABLE,
    "INVALIDARGS": FailureReason.UNREACHABLE,
    "NOANSWER": FailureReason.NO_ANSWER,
}


_ORIGINATE_REASONS = {"3": "NOANSWER", "5": "BUSY", "8": "CONGESTION"}
"""Why an Originate failed: the control frame that ended it."""


class Calls:
    """All calls of one Asterisk."""

    def __init__(
        self,
        trunks: tuple[str, ...] = (),
        waiting_context: str = "cc-hold",
        conference_context: str = "cc-conference",
    ) -> None:
        self.channels = Channels(trunks)
        self.calls: dict[str, Call] = {}
        self.events: list[PbxEvent] = []
        self.over_limit = 0
        self._waiting_context = waiting_context
        self._conference_context = conference_context
        self._of: dict[str, Call] = {}
        """By a channel's unique id, its call."""
        self._linked: dict[str, Call] = {}
        self._asking: dict[str, tuple[Call, str]] = {}
        """By an agent's channel on which they consult somebody: the call that this is about, and their leg of it."""
        self._ordered: dict[str, Ordered] = {}
        self._transferring: set[str] = set()
        """Channels for which the gateway asked the PBX to do what a phone does at a transfer."""
        self._stopping = False
        self._ordering = False
        """Whether we know what a gateway orders, because it is us."""
        self._to_join: dict[str, str] = {}
        self._to_bridge: list[tuple[Channel, Channel]] = []
        self._left_over: list[Channel] = []

    # ---- what the gateway ordered

    def expect(self, uid: str, ordered: Ordered) -> None:
        """A channel with this unique id is ours."""
        self._ordering = True
        self._ordered[uid] = ordered
        while len(self._ordered) > MAX_CALLS:
            del self._ordered[next(iter(self._ordered))]

    def redirected(self, channel: Channel, attempt: Attempt | None, at: datetime) -> None:
        """The gateway sends a customer to a device (``attempt``), or somewhere else in the dialplan."""
        call = self._of.get(channel.uid)
        if call is None or call.customer is not channel:
            return
        self._ordering = True
        self._give_up_attempt(call, at)
        call.attempt = attempt
        call.parked = attempt is None
        leg = self._talking(call)
        if attempt is not None and leg is not None:
            call.moving = Moving(at, leg.name, Party.GATEWAY)

    def joins_room(self, channel: Channel, room: str) -> None:
        """The gateway sends a channel into a conference room."""
        call = self._of.get(channel.uid)
        if call is not None:
            call.rooms.add(room)

    def call_in_room(self, room: str) -> Call | None:
        """The call that is in this conference room."""
        return next((call for call in self.calls.values() if room in call.rooms), None)

    def hung_up(self, channel: Channel) -> None:
        """The gateway hangs this channel up."""
        self._ordering = True
        if not channel.is_up:
            channel.dial_status = channel.dial_status or "CANCEL"
        call = self._of.get(channel.uid)
        if call is not None and call.customer is channel:
            call.ended_by = Party.GATEWAY

    def transfers(self, channel: Channel) -> None:
        """The gateway asks the PBX to transfer as if this phone had."""
        self._transferring.add(channel.uid)

    def call_of(self, channel: Channel) -> Call | None:
        """The call of a channel."""
        return self._of.get(channel.uid)

    def joins_when_up(self, uid: str, other: Channel) -> None:
        """A channel that is being called shall be connected with this one once somebody answers."""
        self._to_join[uid] = other.uid

    def take_to_bridge(self) -> list[tuple[Channel, Channel]]:
        """Who is to be connected now, as ordered before."""
        taken, self._to_bridge = self._to_bridge, []
        return [(one, other) for one, other in taken if one.is_up and other.is_up]

    def take_left_over(self) -> list[Channel]:
        """Agents who are left alone in what was a conversation with a customer: nobody would end that."""
        taken, self._left_over = self._left_over, []
        return [channel for channel in taken if not channel.gone]

    # ---- what the PBX says

    def hear(self, message: Message, at: datetime) -> None:
        """An event. Whatever it is, it does no harm."""
        handler = _HANDLERS.get(message.event)
        if handler is not None:
            handler(self, message, at)

    def _touched(self, message: Message, at: datetime) -> None:
        channel = self.channels.seen(message, at)
        if channel is not None:
            self._find_call(channel)

    def _new_channel(self, message: Message, at: datetime) -> None:
        before = self.channels.get(message["Uniqueid"])
        channel = self.channels.seen(message, at)
        if channel is None or before is not None:
            return
        channel.first_exten = channel.exten
        channel.incoming = channel.state == RING and not channel.hidden
        self._begins(channel, at)

    def _begins(self, channel: Channel, at: datetime) -> None:
        ordered = self._ordered.get(channel.uid)
        if ordered is not None and not channel.hidden:
            self._begin_ordered(channel, ordered, at)
        elif channel.incoming and channel.trunk and channel.uid not in self._of:
            self._offer_inbound(channel)
        else:
            self._find_call(channel)

    def _begin_ordered(self, channel: Channel, ordered: Ordered, at: datetime) -> None:
        call = self.calls.get(ordered.call)
        if call is None and ordered.number is not None:
            call = self._offer(Call(ordered.call, Direction.OUTBOUND, ordered.number, channel.created_at))
        if call is None:
            return
        self._attach(channel, call, at, consults=ordered.consults)

    def _offer_inbound(self, channel: Channel) -> None:
        call = Call(channel.uid, Direction.INBOUND, channel.first_exten or channel.exten, channel.created_at, channel)
        self._of[channel.uid] = call
        self._linked[channel.linked or channel.uid] = call
        self._offer(call)

    def _offer(self, call: Call) -> Call:
        if len(self.calls) >= MAX_CALLS:
            self.over_limit += 1
            return call
        self.calls[call.name] = call
        customer = call.customer if call.direction is Direction.INBOUND else None
        self.events.append(
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

    def _new_state(self, message: Message, at: datetime) -> None:
        channel = self.channels.seen(message, at)
        if channel is None:
            return
        if channel.state == RING and not channel.incoming and channel.dialled_from is None and not channel.hidden:
            channel.incoming = channel.uid not in self._of and not channel.dials
            channel.first_exten = channel.first_exten if channel.first_exten not in ("", "s") else channel.exten
            self._begins(channel, at)
        call = self._find_call(channel)
        if call is None and channel.is_up:
            self._adopt_by_meeting(channel, at)
            call = self._of.get(channel.uid)
        if call is None:
            return
        leg = call.legs.get(channel.uid)
        if leg is not None and channel.alerting_at == at:
            self.events.append(LegAlerting(at=at, call=call.name, leg=leg.name, device=leg.device))
        if channel is call.customer and call.direction is Direction.OUTBOUND:
            self._tell_customer(call, channel)
        if channel.is_up:
            self._connect(call, at)
            other = self.channels.get(self._to_join.pop(channel.uid, None))
            if other is not None:
                self._to_bridge.append((other, channel))

    def _tell_customer(self, call: Call, channel: Channel) -> None:
        """Outbound: how far the customer is."""
        if channel.alerting_at is not None:
            self.events.append(CustomerAlerting(at=channel.alerting_at, call=call.name))
        if channel.up_at is not None and call.customer_answered_at is None:
            call.customer_answered_at = channel.up_at
            call.was_reached = True
            self.events.append(CustomerAnswered(at=channel.up_at, call=call.name))

    # ---- who is called for whom

    def _dial_begin(self, message: Message, at: datetime) -> None:
        source = self.channels.seen(message, at)
        called = self.channels.seen(message, at, "Dest")
        if called is None or called.dialled_from is not None:
            return
        called.dials = message["DialString"] or called.dials
        if source is None:
            self._called_by_nobody(called, at)
            return
        called.dialled_from = source.uid
        origin = self._origin(source)
        if called.hidden:
            self._find_call(called)
            return
        call = self._of.get(called.uid) or self._call_of_dial(source, origin, called, at)
        if call is not None:
            self._attach(called, call, at, consults=self._consults(call, origin, source))

    def _called_by_nobody(self, called: Channel, at: datetime) -> None:
        """The PBX originates it. Of a customer whom a click-to-dial calls, the agent who waits for them is known."""
        if called.hidden or called.uid in self._of:
            return
        call = self._linked.get(called.linked)
        if call is not None and called.linked != called.uid:
            self._attach(called, call, at)
            return
        if not called.trunk:
            return
        agent = next((c for c in self._orphans() if c.is_phone and c.is_up and called.dialled_number == c.shown), None)
        if agent is not None:
            self._attach(called, self._click_to_dial([agent], called.dialled_number, at), at)

    def _origin(self, channel: Channel) -> Channel:
        """Who really dials when a Local channel does: whoever dialled it, or sits beside its other half."""
        current, seen = channel, set[str]()
        while current.hidden and current.uid not in seen:
            seen.add(current.uid)
            half = self.channels.get(current.other_half) or current
            beside = [other for other in self.channels.beside(half) if other.uid not in seen]
            following = self.channels.get(half.dialled_from) or next(iter(beside), None)
            if following is None:
                break
            current = following
        return current

    def _call_of_dial(self, source: Channel, origin: Channel, called: Channel, at: datetime) -> Call | None:
        call = self._of.get(origin.uid) or self._of.get(source.uid)
        if call is None and origin.uid in self._asking:
            call = self._asking[origin.uid][0]
        if call is None and not origin.incoming:
            call = self._linked.get(source.linked) or self._linked.get(called.linked)
            if call is None and called.trunk:
                agents = [c for c in self._orphans() if c.is_phone and c.linked in (source.linked, called.linked)]
                return self._click_to_dial(agents, called.dialled_number, at) if agents else None
            return call
        if call is not None or not origin.is_phone:
            return call
        return self._phone_dials(origin, called)

    def _phone_dials(self, caller: Channel, called: Channel) -> Call | None:
        """An agent has dialled: to ask somebody about a call they have, or a call of its own."""
        about = self._leg_at(caller.endpoint)
        if about is not None and called.is_phone:
            call, leg = about
            self._asking[caller.uid] = (call, leg.name)
            return call
        direction = Direction.OUTBOUND if called.trunk else Direction.INTERNAL
        dialled = caller.first_exten or called.dialled_number
        call = Call(caller.uid, direction, dialled, caller.created_at)
        self._linked.setdefault(caller.linked or caller.uid, call)
        self._offer(call)
        self._attach(caller, call, caller.created_at)
        return call

    def _click_to_dial(self, agents: list[Channel], number: str, at: datetime) -> Call:
        first = min(agents, key=lambda channel: (channel.created_at, channel.uid))
        call = Call(first.uid, Direction.OUTBOUND, number, first.created_at)
        self._offer(call)
        for agent in agents:
            self._attach(agent, call, at)
        return call

    def _consults(self, call: Call, origin: Channel, source: Channel) -> str | None:
        """The leg of the agent who calls somebody in addition to the customer."""
        asking = self._asking.get(origin.uid)
        if asking is not None and asking[0] is call:
            return asking[1]
        leg = call.legs.get(origin.uid)
        if leg is None or call.direction is Direction.INTERNAL or call.customer is None:
            return None
        return leg.name if origin is not call.customer and source is not call.customer else None

    def _leg_at(self, device: str) -> tuple[Call, Leg] | None:
        """The call that an agent has at this device: the one on hold, else any."""
        found = [(call, leg) for call in self.calls.values() for leg in call.legs.values() if leg.device == device]
        return max(found, key=lambda pair: (pair[1].held, pair[1].answered_at is not None), default=None)

    def _find_call(self, channel: Channel) -> Call | None:
        """The call of a channel; by its linked id if it is in none yet."""
        call = self._of.get(channel.uid)
        if call is not None or channel.incoming or channel.uid in self._asking:
            return call
        call = self._linked.get(channel.linked)
        if call is None:
            return None
        if channel.hidden:
            self._of[channel.uid] = call
        elif channel.state == DOWN or channel.dialled_from is not None:
            origin = self.channels.get(channel.dialled_from)
            if origin is None:
                return None  # it will be told who dials it, or it meets somebody
            self._attach(channel, call, channel.created_at, consults=self._consults(call, self._origin(origin), origin))
        return self._of.get(channel.uid)

    def _attach(self, channel: Channel, call: Call, at: datetime, consults: str | None = None) -> None:
        """The channel belongs to the call from now on."""
        if self._of.get(channel.uid) is call:
            return
        self._of[channel.uid] = call
        self._linked.setdefault(channel.linked or channel.uid, call)
        if channel.trunk and call.direction is Direction.OUTBOUND and call.customer is None:
            call.customer = channel
            call.was_reached = channel.is_up
            self._tell_customer(call, channel)
            return
        if not channel.hidden:
            self._new_leg(channel, call, at, consults)

    def _new_leg(self, channel: Channel, call: Call, at: datetime, consults: str | None) -> None:
        device = channel.endpoint if channel.is_phone else channel.dialled_number or channel.endpoint
        leg = Leg(self._leg_name(channel, call, device), channel, device, consults, initiated_at=channel.created_at)
        asked = call.leg(consults)
        leg.asks_on = next(
            (uid for uid, (about, name) in self._asking.items() if (about, name) == (call, consults)), None
        )
        if leg.asks_on is None and asked is not None:
            leg.asks_on = asked.channel.uid
        source = self.channels.get(channel.dialled_from)
        comes_from_customer = source is not None and self._origin(source) is call.customer
        moving = self._moving(call) if comes_from_customer else None
        call.legs[channel.uid] = leg
        told = {"call": call.name, "leg": leg.name, "device": device}
        if not call.queued or channel.alerting_at is not None:
            # Whom a queue of the PBX calls in vain, without their ever having been rung, is no business of ours.
            leg.told = True
            self.events.append(LegInitiated(at=channel.created_at, consults=consults, **told))
        if moving is not None:
            leg.moved = True
            self._gave(call, moving.from_leg)
            self.events.append(CallTransferred(at=moving.at, from_leg=moving.from_leg, by=moving.by, **told))
            call.moving = None
        if channel.alerting_at is not None:
            self.events.append(LegAlerting(at=channel.alerting_at, **told))
        if channel.incoming:
            # Whoever dials is there from the beginning.
            self._answered(call, leg, channel.created_at)
        self._connect(call, at)

    def _leg_name(self, channel: Channel, call: Call, device: str) -> str:
        ordered = self._ordered.get(channel.uid)
        if ordered is not None and ordered.call == call.name:
            return ordered.leg
        attempt = call.attempt
        if attempt is not None and attempt.device == device:
            call.attempt = None
            return attempt.leg or channel.uid
        return channel.uid

    def _moving(self, call: Call) -> Moving | None:
        """The customer comes to a new leg from another agent, who did not leave by hanging up."""
        if call.moving is not None:
            return call.moving
        taken = (leg for leg in call.legs.values() if self._was_taken_away(call, leg))
        last = max(taken, key=lambda leg: leg.parted_at or call.offered_at, default=None)
        return Moving(last.parted_at, last.name, Party.GATEWAY) if last is not None and last.parted_at else None

    def _was_taken_away(self, call: Call, leg: Leg) -> bool:
        """The customer left this agent for something else in the dialplan."""
        customer = call.customer
        if leg.parted_at is None or leg.connected or leg.held or leg.gave or not leg.taken or leg.consults:
            return False
        if customer is None or not customer.is_up or customer.requested_at is not None:
            return False
        nobody_hung_up = leg.channel.requested_at is None and leg.channel.softly_at is None
        return nobody_hung_up and not self.channels.is_held_in_a_bridge(customer)

    @staticmethod
    def _gave(call: Call, name: str | None) -> None:
        leg = call.leg(name)
        if leg is not None:
            leg.gave = True

    def _orphans(self) -> Iterable[Channel]:
        return (c for c in self.channels if not c.hidden and c.uid not in self._of and c.uid not in self._asking)

    # ---- who is connected with whom

    def _bridge_enter(self, message: Message, at: datetime) -> None:
        channel = self.channels.seen(message, at)
        bridge = message["BridgeUniqueid"]
        if channel is None or not bridge:
            return
        before = self._calls_around(channel)
        self.channels.enter(channel, bridge, message["BridgeTechnology"])
        self._find_call(channel)
        self._adopt_by_meeting(channel, at)
        for call in before | self._calls_around(channel):
            self._connect(call, at, channel)

    def _bridge_leave(self, message: Message, at: datetime) -> None:
        channel = self.channels.seen(message, at)
        if channel is None:
            return
        around = self._calls_around(channel)
        if self.channels.leave(channel, message["BridgeUniqueid"]):
            for call in around:
                self._connect(call, at, channel)

    def _calls_around(self, channel: Channel) -> set[Call]:
        uids = [channel.uid, *(other.uid for other in self.channels.reached_from(channel))]
        found = [self._of.get(uid) or (self._asking[uid][0] if uid in self._asking else None) for uid in uids]
        return {call for call in found if call is not None}

    def _adopt_by_meeting(self, channel: Channel, at: datetime) -> None:
        """Channels that nobody ordered from us belong to the call in whose company they are."""
        company = [c for c in (channel, *self.channels.reached_from(channel)) if not c.hidden]
        orphans = [c for c in company if c.uid not in self._of and c.uid not in self._asking and c.is_up]
        if not orphans or len(company) < 2:
            return
        call = next((self._of[c.uid] for c in company if c.uid in self._of), None)
        asking = next((self._asking[c.uid] for c in company if c.uid in self._asking), None)
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
            self._attach(orphan, call, at, consults=asking[1] if asking is not None else consults)

    def _call_of_strangers(self, orphans: list[Channel], at: datetime) -> Call | None:
        agents = [c for c in orphans if c.is_phone]
        customer = next((c for c in orphans if c.trunk), None)
        if not agents:
            return None
        if customer is not None:
            return self._click_to_dial(agents, customer.dialled_number or agents[0].shown, at)
        if len(agents) > 1:
            first = min(agents, key=lambda c: (not c.incoming, c.created_at, c.uid))
            call = self._offer(Call(first.uid, Direction.INTERNAL, first.first_exten or first.shown, first.created_at))
            self._attach(first, call, at)
            return call
        return None

    def _anchor(self, call: Call) -> Channel | None:
        """With whom one is connected to be in the conversation."""
        if call.direction is not Direction.INTERNAL:
            return call.customer if call.customer is not None and call.customer.is_up else None
        caller = min(
            call.legs.values(), key=lambda leg: (not leg.channel.incoming, leg.channel.created_at), default=None
        )
        return caller.channel if caller is not None and caller.channel.is_up else None

    def _connect(self, call: Call, at: datetime, mover: Channel | None = None) -> None:
        """See who is connected now; ``mover`` came or went."""
        anchor = self._anchor(call)
        reached = {c.uid for c in self.channels.reached_from(anchor)} if anchor is not None else set()
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

    def _joins(self, call: Call, leg: Leg, at: datetime, reached: set[str]) -> None:
        others = [other for uid, other in call.legs.items() if uid in reached and other is not leg]
        leg.connected, leg.parted_at = True, None
        self._answered(call, leg, at)
        call.moving = call.failed_at = None
        call.parked = False
        told = {"call": call.name, "leg": leg.name, "device": leg.device}
        asking = call.leg(leg.consults) if leg.consults is not None and not leg.moved else None
        asked = next((o for o in others if o.consults == leg.name and not o.moved), None)
        others = [other for other in others if other.connected]
        if asking is not None and asking in others:
            call.three = Three(at, asking, leg)
        elif asked is not None and call.three is None:
            call.three = Three(at, leg, asked)
        elif leg.consults is not None and not leg.moved:
            self._given(call, leg, at, leg.consults)
        elif others and call.direction is not Direction.INTERNAL and not leg.moved and not leg.held:
            leg.moved = True
            self.events.append(CallConferenced(at=at, **told))
        if leg.held and call.three is None:
            self._retrieved(call, leg, at)

    def _retrieved(self, call: Call, leg: Leg, at: datetime) -> None:
        leg.held = False
        self.events.append(LegRetrieved(at=at, call=call.name, leg=leg.name, device=leg.device))

    def _given(self, call: Call, leg: Leg, at: datetime, from_leg: str, by: Party = Party.GATEWAY) -> None:
        leg.moved = True
        self._gave(call, from_leg)
        self.events.append(
            CallTransferred(at=at, call=call.name, leg=leg.name, device=leg.device, from_leg=from_leg, by=by)
        )

    def _parts(self, call: Call, leg: Leg, at: datetime, mover: Channel | None) -> None:
        leg.connected, leg.parted_at = False, at
        leg.taken = mover is not None and mover is call.customer
        three = call.three
        if three is not None and leg is three.asking:
            call.three = None
            self._given(call, three.asked, three.at, three.asking.name)
        elif three is not None and leg is three.asked:
            self._stay_three(call, three)
        if call.customer is not None and self.channels.is_held_in_a_bridge(call.customer):
            self._hold(call, leg)

    def _stay_three(self, call: Call, three: Three) -> None:
        """It was no transfer: the agent who consulted has stayed."""
        call.three = None
        three.asked.moved = True
        asked = three.asked
        self.events.append(CallConferenced(at=three.at, call=call.name, leg=asked.name, device=asked.device))
        if three.asking.held:
            self._retrieved(call, three.asking, three.at)

    def _see_consultation(self, call: Call, leg: Leg) -> None:
        """Whoever is connected with an agent of the call, and not with its customer, is asked for advice."""
        if leg.consults is not None or call.customer is None or call.direction is Direction.INTERNAL:
            return
        reached = self.channels.reached_from(leg.channel)
        asking = next((call.legs[c.uid] for c in reached if c.uid in call.legs), None)
        if asking is not None and asking.answered_at is not None and call.customer not in reached:
            leg.consults, leg.asks_on = asking.name, asking.channel.uid
            told = {"call": call.name, "leg": leg.name, "device": leg.device}
            self.events.append(
                LegInitiated(at=leg.initiated_at or leg.channel.created_at, consults=asking.name, **told)
            )

    def _picked_up(self, call: Call, leg: Leg, at: datetime) -> None:
        """Somebody is there. With whom they shall talk decides when that is an answer."""
        if leg.consults is not None and not leg.moved:
            asking = self.channels.get(leg.asks_on)
            reached = self.channels.reached_from(leg.channel)
            if asking is not None and asking in reached:
                self._answered(call, leg, at)
        elif call.direction is Direction.OUTBOUND and not leg.moved:
            self._answered(call, leg, leg.channel.up_at or at)

    def _answered(self, call: Call, leg: Leg, at: datetime) -> None:
        if leg.answered_at is not None:
            return
        up_at = leg.channel.up_at
        leg.answered_at = up_at if up_at is not None and timedelta(0) <= at - up_at <= TOGETHER else at
        self.events.append(LegAnswered(at=leg.answered_at, call=call.name, leg=leg.name, device=leg.device))

    def _hold(self, call: Call, leg: Leg) -> None:
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
        self.events.append(LegHeld(at=leg.parted_at, call=call.name, leg=leg.name, device=leg.device, by=by))

    def _music(self, message: Message, at: datetime) -> None:
        channel = self.channels.seen(message, at)
        call = self._find_call(channel) if channel is not None else None
        if call is not None and channel is call.customer:
            for leg in call.legs.values():
                self._hold(call, leg)

    def _phone_hold(self, message: Message, at: datetime) -> None:
        channel = self.channels.seen(message, at)
        call = self._of.get(channel.uid) if channel is not None else None
        leg = call.legs.get(channel.uid) if call is not None and channel is not None else None
        if call is None or leg is None or leg.answered_at is None:
            return
        leg.held, leg.hold_known = message.event == "Hold", True
        kind = LegHeld if leg.held else LegRetrieved
        self.events.append(kind(at=at, call=call.name, leg=leg.name, device=leg.device))

    # ---- transfers

    def _blind_transfer(self, message: Message, at: datetime) -> None:
        if message["Result"] not in ("", "Success"):
            return
        transferer = self.channels.seen(message, at, "Transferer")
        call = self._of.get(transferer.uid) if transferer is not None else None
        leg = call.legs.get(transferer.uid) if call is not None and transferer is not None else None
        if call is None or leg is None or transferer is None:
            return
        by = Party.GATEWAY if transferer.uid in self._transferring else Party.AGENT
        leg.gave = True
        # The target may be called before it is said that this is a transfer.
        called = call.leg_at(message["Extension"])
        if called is not None and called.answered_at is None and not called.moved and called.consults is None:
            self._given(call, called, at, leg.name, by)
        else:
            call.moving = Moving(at, leg.name, by)

    def _attended_transfer(self, message: Message, at: datetime) -> None:
        if message["Result"] not in ("", "Success"):
            return
        first = self.channels.seen(message, at, "OrigTransferer")
        second = self.channels.seen(message, at, "SecondTransferer")
        transferee = self._real(self.channels.seen(message, at, "Transferee"), first)
        target = self._real(self.channels.seen(message, at, "TransferTarget"), second)
        if transferee is None or target is None:
            return
        call = self._of.get(transferee.uid) or self._of.get(target.uid)
        if call is None:
            return
        if call.customer is target:
            transferee, target = target, transferee
        if target.trunk and call.customer is not transferee:
            return
        giver = self._leg_of_any(call, first, second)
        other = self._of.get(target.uid)
        if other is not call:
            self._move(target, other, call, giver, at)
        leg = call.legs.get(target.uid)
        if leg is None or (giver is not None and leg is giver):
            return
        leg.moved = True
        call.three = None
        if giver is not None:
            giver.gave = True
        ours = any(c is not None and c.uid in self._transferring for c in (first, second))
        self._answered(call, leg, at)
        self.events.append(
            CallTransferred(
                at=at,
                call=call.name,
                leg=leg.name,
                device=leg.device,
                from_leg=giver.name if giver is not None else None,
                by=Party.GATEWAY if ours else Party.AGENT,
            )
        )

    def _real(self, channel: Channel | None, transferer: Channel | None) -> Channel | None:
        """Whoever stands behind a Local channel."""
        if channel is None or not channel.hidden:
            return channel
        behind = [c for c in self.channels.reached_from(channel) if c is not transferer]
        dialled = [c for c in self.channels if c.dialled_from in (channel.uid, channel.other_half) and not c.hidden]
        return next(iter([*behind, *dialled]), None)

    def _leg_of_any(self, call: Call, *channels: Channel | None) -> Leg | None:
        for channel in channels:
            if channel is None:
                continue
            if channel.uid in call.legs:
                return call.legs[channel.uid]
            if channel.uid in self._asking and self._asking[channel.uid][0] is call:
                return call.leg(self._asking[channel.uid][1])
        return None

    def _move(self, target: Channel, other: Call | None, call: Call, giver: Leg | None, at: datetime) -> None:
        """Whom a transfer joins to the customer was in a call of their own: that is part of the customer's now."""
        leg = other.legs.pop(target.uid, None) if other is not None else None
        self._of.pop(target.uid, None)
        self._attach(target, call, at, consults=giver.name if giver is not None else None)
        if other is None or leg is None:
            return
        moved = call.legs.get(target.uid)
        if moved is not None and leg.answered_at is not None:
            self._answered(call, moved, leg.answered_at)
        self.events.append(LegCleared(at=at, call=other.name, leg=leg.name, device=leg.device))

    # ---- waiting

    def _user_event(self, message: Message, at: datetime) -> None:
        channel = self.channels.seen(message, at)
        if channel is None or message["UserEvent"].lower() != "ccwaiting":
            return
        call = self._customer_call(channel)
        if call is None:
            return
        attributes = {
            name: message[name]
            for name in message
            if name not in _CHANNEL_HEADERS and name not in ("Did", "Caller", "Reason") and not name.startswith("ChanV")
        }
        if attributes:
            self.events.append(AttributesSet(at=at, call=call.name, attributes=attributes))
        self._waits(call, at, message["Reason"].upper())

    def _queue(self, message: Message, at: datetime) -> None:
        channel = self.channels.seen(message, at)
        call = self._find_call(channel) if channel is not None else None
        if call is not None and call.customer is channel:
            call.queued = message.event == "QueueCallerJoin"

    def _async_agi(self, message: Message, at: datetime) -> None:
        channel = self.channels.seen(message, at)
        call = self._customer_call(channel) if channel is not None else None
        if call is not None:
            self._waits(call, at, "")

    def _customer_call(self, channel: Channel) -> Call | None:
        """The call whose customer this channel is; it becomes one if its beginning was missed."""
        call = self._find_call(channel)
        if call is None and channel.trunk:
            channel.incoming = True
            self._offer_inbound(channel)
            call = self._of.get(channel.uid)
        return call if call is not None and call.customer is channel else None

    def _waits(self, call: Call, at: datetime, reason: str) -> None:
        if any(leg.answered_at is not None and leg.consults is None and not leg.gave for leg in call.legs.values()):
            return  # an agent is there: it is on hold where others wait
        call.waits = True
        call.moving = call.failed_at = None
        call.last_left = None
        attempt = call.attempt
        if attempt is not None and reason not in ("", "NEW"):
            call.attempt = None
            told = {"call": call.name, "leg": attempt.name, "device": attempt.device}
            self.events.append(LegInitiated(at=attempt.at, **told))
            failure = _FAILED_DIALS.get(reason, FailureReason.UNREACHABLE)
            failure = FailureReason.UNREACHABLE if failure is FailureReason.NO_ANSWER else failure
            self.events.append(LegFailed(at=at, reason=failure, cause=reason, **told))
        self.events.append(CustomerWaits(at=at, call=call.name))

    def _give_up_attempt(self, call: Call, at: datetime) -> None:
        attempt, call.attempt = call.attempt, None
        if attempt is not None:
            told = {"call": call.name, "leg": attempt.name, "device": attempt.device}
            self.events.append(LegInitiated(at=attempt.at, **told))
            self.events.append(LegFailed(at=at, reason=FailureReason.CANCELLED, **told))

    # ---- ends

    def _dial_end(self, message: Message, at: datetime) -> None:
        self.channels.seen(message, at)
        called = self.channels.seen(message, at, "Dest")
        if called is None:
            return
        status = message["DialStatus"].upper()
        # app_queue says NOANSWER, then CANCEL: the first is what happened.
        if not called.dial_status and status != "ANSWER":
            called.dial_status = status
            called.forward = message["Forward"]

    def _hangup_request(self, message: Message, at: datetime) -> None:
        channel = self.channels.seen(message, at)
        if channel is None:
            return
        channel.requested_at = channel.requested_at or at
        call = self._of.get(channel.uid)
        leg = call.legs.get(channel.uid) if call is not None else None
        if call is None or leg is None or leg.answered_at is None:
            return
        just_parted = leg.parted_at is not None and at - leg.parted_at <= TOGETHER and not leg.gave
        speaks = call.direction is Direction.INTERNAL or leg.connected or just_parted
        if speaks or (call.direction is Direction.OUTBOUND and not self._others_talk(call, leg)):
            call.last_left = (at, leg.name)

    def _others_talk(self, call: Call, leg: Leg) -> bool:
        return any(other.connected for other in call.legs.values() if other is not leg)

    def _soft_hangup(self, message: Message, at: datetime) -> None:
        channel = self.channels.seen(message, at)
        self._stopping = self._stopping or message["Cause"] == _STOPS
        if channel is not None and channel.requested_at is None:
            channel.softly_at = channel.softly_at or at

    def _hangup(self, message: Message, at: datetime) -> None:
        channel = self.channels.seen(message, at)
        if channel is None:
            return
        cause = message["Cause"]
        call = self._find_call(channel) or self._call_of_orphan(channel, at)
        around = self._calls_around(channel)
        asked = self._asking.pop(channel.uid, None)
        if call is not None and channel is call.customer:
            self._adopt_unanswered(call, at)
        self.channels.remove(channel)
        for other in around:
            self._connect(other, at, channel)
        if call is None:
            if asked is not None:
                self._over(asked[0], at)
            return
        self._of.pop(channel.uid, None)
        if channel is call.customer:
            self._customer_gone(call, channel, at, cause)
        elif channel.uid in call.legs:
            self._leg_gone(call, call.legs.pop(channel.uid), at, cause)
        self._over(call, at)

    def _call_of_orphan(self, channel: Channel, at: datetime) -> Call | None:
        """Whose call it was for, of a phone that was rung in vain and never met anybody."""
        if channel.hidden or channel.uid in self._asking or channel.is_up or channel.incoming:
            return None
        call: Call | None = None
        consults: str | None = None
        if channel.is_phone:
            shown = channel.shown or channel.number
            call = self._waiting_with(shown) or self.call_in_room(shown)
            if call is None:
                about = self._leg_at(shown)
                if about is not None:
                    call, consults = about[0], about[1].name
            if call is None and _OUTSIDE.match(shown) and not self._is_customer(shown):
                call = self._click_to_dial([channel], shown, at)
        if call is not None:
            self._attach(channel, call, at, consults=consults)
        return call

    def _is_customer(self, number: str) -> bool:
        return any(call.customer is not None and call.customer.number == number for call in self.calls.values())

    def _waiting_with(self, number: str) -> Call | None:
        """The call of a customer who is with nobody: with this number, or the only one if they have none."""
        waiting = [
            call
            for call in self.calls.values()
            if call.direction is Direction.INBOUND and call.customer is not None and self._talking(call) is None
        ]
        if not known(number) or not any(c.isdecimal() for c in number):
            nameless = [
                c for c in waiting if c.customer is not None and not any(d.isdecimal() for d in c.customer.number)
            ]
            return nameless[0] if len(nameless) == 1 else None
        return next((c for c in waiting if c.customer is not None and c.customer.number == number), None)

    def _adopt_unanswered(self, call: Call, at: datetime) -> None:
        """The customer leaves: phones that still ring for them belong to the call."""
        if call.direction is not Direction.INBOUND or call.customer is None:
            return
        for channel in list(self._orphans()):
            rings = channel.is_phone and not channel.incoming and not channel.is_up
            if rings and self._waiting_with(channel.shown or channel.number) is call:
                self._attach(channel, call, at)

    def _talking(self, call: Call) -> Leg | None:
        return next((leg for leg in call.legs.values() if leg.connected), None)

    def _customer_gone(self, call: Call, channel: Channel, at: datetime, cause: str) -> None:
        self._give_up_attempt(call, at)
        if call.direction is Direction.OUTBOUND and not call.was_reached:
            reason = self._why_failed(channel, cause, call)
            call.timed_out = reason is FailureReason.NO_ANSWER and channel.dialled_from is None
            self.events.append(CustomerFailed(at=at, call=call.name, reason=reason, cause=cause))
            call.customer = None  # another trunk may be tried
            return
        party = self._who_ended(call, channel, at)
        call.left_by = party
        if any(not leg.channel.gone for leg in call.legs.values()):
            self.events.append(CustomerLeft(at=at, call=call.name, by=party, cause=cause))
        call.customer = channel

    def _who_ended(self, call: Call, channel: Channel, at: datetime) -> Party:
        """The first who asked for it; of an agent only if the customer went with them."""
        if channel.requested_at is not None and (call.last_left is None or channel.requested_at < call.last_left[0]):
            return Party.CUSTOMER
        if call.last_left is not None and at - call.last_left[0] <= TOGETHER:
            return Party.AGENT
        if channel.requested_at is not None:
            return Party.CUSTOMER
        if call.ended_by is not None:
            return call.ended_by
        return self._party_of_soft_hangups(call, channel)

    def _party_of_soft_hangups(self, call: Call, channel: Channel) -> Party:
        """Nobody there asked for it.

        If it is not for us to know what a gateway orders, one did; unless the dialplan passes on a refusal, or the PBX
        stops.
        """
        if self._ordering or self._stopping or call.failed_at is not None:
            return Party.PBX
        legs = [leg.channel for leg in call.legs.values()]
        return Party.GATEWAY if any(c.softly_at is not None for c in (channel, *legs)) else Party.PBX

    def _leg_gone(self, call: Call, leg: Leg, at: datetime, cause: str) -> None:
        told = {"call": call.name, "leg": leg.name, "device": leg.device}
        if leg.answered_at is not None:
            if self._was_taken_away(call, leg) and leg.parted_at is not None and call.moving is None:
                call.moving = Moving(leg.parted_at, leg.name, Party.GATEWAY)
            self.events.append(LegCleared(at=at, cause=cause, **told))
        elif leg.channel.forward:
            self.events.append(LegDiverted(at=at, to=leg.channel.forward, cause=leg.channel.dial_status, **told))
        else:
            reason = self._why_failed(leg.channel, cause, call)
            if not leg.told and reason in (FailureReason.UNREACHABLE, FailureReason.CANCELLED):
                return
            if not leg.told:
                self.events.append(LegInitiated(at=leg.channel.created_at, **told))
            self.events.append(LegFailed(at=at, reason=reason, cause=leg.channel.dial_status or cause, **told))
            call.failed_at = at if reason is not FailureReason.CANCELLED else None
            call.timed_out = reason is FailureReason.NO_ANSWER and call.direction is Direction.OUTBOUND

    def _why_failed(self, channel: Channel, cause: str, call: Call) -> FailureReason:
        left = channel is not call.customer and self._is_leaving(call)
        if left or channel.up_at is not None or channel.softly_at is not None:
            return FailureReason.CANCELLED
        if cause in _REFUSALS:
            return _REFUSALS[cause]
        reason = _FAILED_DIALS.get(channel.dial_status)
        if not channel.dial_status:
            # The PBX originated it, and nobody ended it but time.
            reason = FailureReason.UNREACHABLE if cause in _UNREACHABLE else FailureReason.NO_ANSWER
        if reason is FailureReason.NO_ANSWER and channel.alerting_at is None:
            return FailureReason.UNREACHABLE
        return reason or FailureReason.CANCELLED

    @staticmethod
    def _is_leaving(call: Call) -> bool:
        customer = call.customer
        if customer is None:
            return call.direction is Direction.INBOUND
        return customer.gone or customer.requested_at is not None

    def _over(self, call: Call, at: datetime) -> None:
        """The call has ended if nobody is left of it."""
        if call.name not in self.calls:
            return
        customer_there = call.customer is not None and not call.customer.gone
        if customer_there or call.legs:
            return
        self.events.append(self._clearing(call, at))
        self._forget(call)

    def _clearing(self, call: Call, at: datetime) -> CallCleared:
        party, leg, cause = call.left_by, None, ""
        if party is None:
            party, cause = self._who_ended_without_customer(call)
        if party is Party.AGENT and call.last_left is not None:
            leg = call.last_left[1]
        return CallCleared(at=at, call=call.name, by=party, leg=leg, cause=cause)

    def _who_ended_without_customer(self, call: Call) -> tuple[Party, str]:
        """Outbound, nobody was reached; or a call between agents."""
        if call.last_left is not None:
            return Party.AGENT, ""
        if call.ended_by is not None:
            return call.ended_by, ""
        if call.timed_out:
            return Party.GATEWAY, TIME_OUT
        return Party.PBX, ""

    def _forget(self, call: Call) -> None:
        self.calls.pop(call.name, None)
        for mapping in (self._of, self._linked):
            for key in [key for key, known_call in mapping.items() if known_call is call]:
                del mapping[key]
        for uid in [uid for uid, (about, _) in self._asking.items() if about is call]:
            del self._asking[uid]

    def _shutdown(self, _message: Message, _at: datetime) -> None:
        self._stopping = True

    # ---- the rest

    def _local_bridge(self, message: Message, at: datetime) -> None:
        one = self.channels.seen(message, at, "LocalOne")
        two = self.channels.seen(message, at, "LocalTwo")
        if one is not None and two is not None:
            one.other_half, two.other_half = two.uid, one.uid

    def _originated(self, message: Message, at: datetime) -> None:
        """An AMI Originate is decided: whom it was for is now said."""
        number = message["Exten"]
        uid = message["Uniqueid"]
        first = self.channels.get(uid)
        if first is not None and message["Response"] == "Failure" and not first.is_up:
            first.dial_status = first.dial_status or _ORIGINATE_REASONS.get(message["Reason"], "")
        if not _OUTSIDE.match(number):
            return
        linked = first.linked if first is not None and first.linked else uid
        agents = [c for c in self._orphans() if c.is_phone and (c.uid == uid or c.linked == linked)]
        if agents and self._linked.get(linked) is None:
            self._click_to_dial(agents, number, at)

    def _digit(self, message: Message, at: datetime) -> None:
        channel = self.channels.seen(message, at)
        call = self._find_call(channel) if channel is not None else None
        digit = message["Digit"]
        if call is None or channel is None or message["Direction"] != "Received" or len(digit) != 1:
            return
        leg = call.legs.get(channel.uid)
        self.events.append(DigitPressed(at=at, call=call.name, digit=digit, leg=leg.name if leg is not None else None))

    def _device_state(self, message: Message, at: datetime) -> None:
        live = self._live_device(message)
        if live is not None:
            self.events.append(DeviceChanged(at=at, device=live.device, state=live.state))

    def _live_device(self, message: Message) -> LiveDevice | None:
        technology, slash, device = message["Device"].partition("/")
        state = _DEVICE_STATES.get(message["State"].upper())
        if not slash or technology not in _PHONES or state is None or self.channels.is_trunk(device):
            return None
        return LiveDevice(device=device[:100], state=state)

    def _left_alone(self, call: Call, leg: Leg, at: datetime) -> None:
        """The customer is gone and one agent is not, who talks with nobody: see `take_left_over`."""
        if call.alone_since is None:
            call.alone_since = at
        elif at - call.alone_since >= LEFT_ALONE and leg.channel.is_up and not self.channels.reached_from(leg.channel):
            call.alone_since = at + LEFT_ALONE
            if self._ordering:
                self._left_over.append(leg.channel)

    # ---- what is up after a connection came up

    def snapshot(
        self,
        at: datetime,
        told: Iterable[Message],
        statuses: Mapping[str, Message],
        technologies: Mapping[str, str],
        devices: Iterable[Message],
        started_at: datetime | None,
    ) -> ConnectionUp:
        """Lay what is up (CoreShowChannels, Status by unique id, bridges' technologies) over what was known."""
        self._stopping = False
        live = {message["Uniqueid"]: message for message in told if message["Uniqueid"]}
        for channel in self.channels:
            if channel.uid not in live:
                self._is_gone(channel)
        seen = (self._is_there(message, statuses.get(uid), technologies, at) for uid, message in live.items())
        fresh = [channel for channel in seen if channel is not None]
        for channel in sorted(fresh, key=lambda c: (not (c.incoming and c.trunk), c.created_at)):
            self._adopt(channel, live[channel.uid], at)
        for channel in self.channels:
            self._adopt_by_meeting(channel, at)
        for call in self.calls.values():
            if call.customer is not None and call.customer.context == self._conference_context:
                call.rooms.add(call.customer.exten)
        for channel in fresh:
            if channel.uid not in self._of:
                self._call_of_orphan(channel, at)
            call_of_it = self._of.get(channel.uid)
            if call_of_it is not None and channel.uid in call_of_it.legs:
                call_of_it.legs[channel.uid].hold_known = False
        for call in list(self.calls.values()):
            self._connect(call, at)
        self.events.clear()  # all of it is in the snapshot
        return ConnectionUp(
            at=at,
            calls=tuple(self._live_call(call) for call in self.calls.values()),
            devices=tuple(found for message in devices if (found := self._live_device(message)) is not None),
            started_at=started_at,
        )

    def _is_gone(self, channel: Channel) -> None:
        call = self._of.pop(channel.uid, None)
        self._asking.pop(channel.uid, None)
        self.channels.remove(channel)
        if call is None:
            return
        call.legs.pop(channel.uid, None)
        if call.customer is channel or (not call.legs and call.customer is None):
            self._forget(call)

    def _is_there(
        self, message: Message, status: Message | None, technologies: Mapping[str, str], at: datetime
    ) -> Channel | None:
        """The channel, if it is a new one."""
        before = self.channels.get(message["Uniqueid"])
        channel = self.channels.seen(message, at)
        if channel is None:
            return None
        bridge = message["BridgeId"]
        if bridge:
            self.channels.enter(channel, bridge, technologies.get(bridge, ""))
        else:
            self.channels.leave(channel)
        if before is not None:
            return None
        channel.created_at = _created_at(message, at)
        channel.alerting_at, channel.up_at = None, None
        channel.incoming = not channel.hidden and not message["Application"].startswith("AppDial")
        channel.first_exten = (status["DNID"] if status is not None else "") or channel.exten
        if status is not None:
            variables = dict(value.partition("=")[::2] for value in status.every("Variable"))
            self._recall(channel, variables)
        return channel

    def _recall(self, channel: Channel, variables: Mapping[str, str]) -> None:
        """What an earlier gateway wrote on the channel: which leg of ours it is."""
        call, leg = variables.get(CALL_VARIABLE, ""), variables.get(LEG_VARIABLE, "")
        number = variables.get(NUMBER_VARIABLE) or None
        if leg and channel.is_phone:
            self.expect(channel.uid, Ordered(call or channel.linked, leg, channel.endpoint, number=number))

    def _adopt(self, channel: Channel, message: Message, at: datetime) -> None:
        if channel.incoming and channel.trunk:
            self._offer_inbound(channel)
            offered = self._of[channel.uid]
            waits_for_agi = message["Application"] == "AGI" and message["ApplicationData"].startswith("agi:async")
            offered.waits = channel.context == self._waiting_context or waits_for_agi
            return
        if channel.uid in self._of:
            return
        ordered = self._ordered.get(channel.uid)
        if ordered is not None and (ordered.number is not None or ordered.call in self.calls):
            self._begin_ordered(channel, ordered, at)
        elif channel.incoming and channel.is_phone:
            self._adopt_dialled(channel, at)
        elif not channel.incoming and channel.linked in self._linked:
            self._attach(channel, self._linked[channel.linked], at)

    def _adopt_dialled(self, caller: Channel, at: datetime) -> None:
        """An agent's phone that has dialled: whom it calls has the same linked id."""
        called = [c for c in self._orphans() if c.linked == caller.linked and not c.incoming]
        for channel in sorted(called, key=lambda c: c.created_at):
            call = self._of.get(caller.uid) or self._phone_dials(caller, channel)
            if call is not None:
                self._attach(channel, call, at, consults=self._consults(call, caller, caller))

    def _live_call(self, call: Call) -> LiveCall:
        customer = call.customer if call.direction is Direction.INBOUND else None
        return LiveCall(
            call=call.name,
            direction=call.direction,
            dialled=call.dialled,
            from_number=(customer.number or None) if customer is not None else None,
            from_name=customer.caller_name if customer is not None else "",
            trunk=customer.endpoint if customer is not None else None,
            offered_at=call.offered_at,
            waits=call.waits,
            customer_answered_at=call.customer_answered_at,
            legs=tuple(self._live_leg(leg) for leg in call.legs.values()),
        )

    @staticmethod
    def _live_leg(leg: Leg) -> LiveLeg:
        channel = leg.channel
        state = LegState.ALERTING if channel.alerting_at is not None else LegState.INITIATED
        if leg.answered_at is not None:
            state = LegState.HELD if leg.held else LegState.CONNECTED
        return LiveLeg(
            leg=leg.name,
            device=leg.device,
            state=state,
            consults=leg.consults if not leg.moved else None,
            initiated_at=leg.initiated_at,
            alerting_at=channel.alerting_at,
            answered_at=leg.answered_at,
            hold_known=leg.hold_known,
        )

    def tick(self, at: datetime) -> None:
        """Time passes."""
        for call in list(self.calls.values()):
            for leg in call.legs.values():
                if leg.parted_at is not None and not leg.connected and at - leg.parted_at >= LEFT_ALONE:
                    self._hold(call, leg)
            if call.three is not None and at - call.three.at > TOGETHER:
                self._stay_three(call, call.three)
            if call.left_by is not None and len(call.legs) == 1:
                self._left_alone(call, next(iter(call.legs.values())), at)
            attempt = call.attempt
            if attempt is not None and at >= attempt.until:
                call.attempt = None
                told = {"call": call.name, "leg": attempt.name, "device": attempt.device}
                self.events.append(LegInitiated(at=attempt.at, **told))
                self.events.append(LegFailed(at=at, reason=FailureReason.UNREACHABLE, cause="not-called", **told))


def _created_at(message: Message, at: datetime) -> datetime:
    """When a channel began, whose beginning was missed.

    The best guess from its age in whole seconds (``Duration``), and the whole second in which it began by the PBX's
    clock (the first part of ``Uniqueid``).
    """
    hours, _, rest = message["Duration"].partition(":")
    minutes, _, seconds = rest.partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and seconds.isdecimal() and len(hours) < 6):
        return at
    age = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
    earliest, latest = at - age - timedelta(seconds=1), at - age
    epoch = message["Uniqueid"].rpartition("-")[2].partition(".")[0]
    if epoch.isdecimal() and len(epoch) == EPOCH_DIGITS:
        second = datetime.fromtimestamp(int(epoch), UTC)
        if second < latest and second + timedelta(seconds=1) > earliest:
            earliest, latest = max(earliest, second), min(latest, second + timedelta(seconds=1))
    return earliest + (latest - earliest) / 2


_HANDLERS: dict[str, Callable[[Calls, Message, datetime], None]] = {
    "AsyncAGIStart": Calls._async_agi,
    "AttendedTransfer": Calls._attended_transfer,
    "BlindTransfer": Calls._blind_transfer,
    "BridgeEnter": Calls._bridge_enter,
    "BridgeLeave": Calls._bridge_leave,
    "DTMFEnd": Calls._digit,
    "DeviceStateChange": Calls._device_state,
    "DialBegin": Calls._dial_begin,
    "DialEnd": Calls._dial_end,
    "Hangup": Calls._hangup,
    "HangupRequest": Calls._hangup_request,
    "Hold": Calls._phone_hold,
    "LocalBridge": Calls._local_bridge,
    "MusicOnHoldStart": Calls._music,
    "NewConnectedLine": Calls._touched,
    "NewCallerid": Calls._touched,
    "Newchannel": Calls._new_channel,
    "Newstate": Calls._new_state,
    "OriginateResponse": Calls._originated,
    "QueueCallerJoin": Calls._queue,
    "QueueCallerLeave": Calls._queue,
    "Shutdown": Calls._shutdown,
    "SoftHangupRequest": Calls._soft_hangup,
    "Unhold": Calls._phone_hold,
    "UserEvent": Calls._user_event,
}
"""All others are of no interest: three quarters of what a user with all rights hears."""
