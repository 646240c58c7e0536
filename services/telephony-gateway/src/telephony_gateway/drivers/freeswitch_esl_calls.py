"""What FreeSWITCH's channels and bridges mean for calls: customers, agents' legs, transfers, conferences, ends.

A call is the customer's channel (inbound), or whoever an agent calls (outbound, internal). Legs are found by whom the
PBX made them for (Other-Leg), by what the gateway ordered, by mod_callcenter's member, by the number they are shown, or
at the latest when they are bridged with the customer. Within a channel events are in order, between channels they are
not: what means one thing together with another channel's event is decided when both are known.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import unquote

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
from telephony_gateway.drivers.freeswitch_esl_channels import Channel, Channels, Kind, known_number, moment
from telephony_gateway.drivers.freeswitch_esl_messages import Event

CALL_VARIABLE, LEG_VARIABLE, CONSULTS_VARIABLE = "cordboard_call", "cordboard_leg", "cordboard_consults"
NUMBER_VARIABLE, TIMEOUT_VARIABLE = "cordboard_number", "originate_timeout"
ATTRIBUTE_PREFIX = "cc_attribute_"
TIME_OUT = "time-out"

SETTLED = timedelta(seconds=0.5)
"""After a bridge ended: nothing has come of it, so the gateway (or another programme) took the customer away."""
UNHOLD_LAG = timedelta(seconds=0.13)
"""CHANNEL_UNHOLD comes when FreeSWITCH has answered the phone's re-INVITE, up to a quarter second after that came (seen
in recorded traces of 1.11.2), or at once when the leg ends: the middle is never wrong by more than half of it."""
UNDECIDED = timedelta(seconds=1)
"""Who hung up is not waited for longer."""
JUST_BEFORE = timedelta(seconds=2)
MAX_SEEN = 20_000
MAX_ORDERED = 20_000

_REASONS = {
    "USER_BUSY": FailureReason.BUSY,
    "CALL_REJECTED": FailureReason.DECLINED,
    "ORIGINATOR_CANCEL": FailureReason.CANCELLED,
    "LOSE_RACE": FailureReason.CANCELLED,
    "PICKED_OFF": FailureReason.CANCELLED,
    "NORMAL_CLEARING": FailureReason.CANCELLED,
    "MANAGER_REQUEST": FailureReason.CANCELLED,
    "SYSTEM_SHUTDOWN": FailureReason.CANCELLED,
    "NO_ANSWER": FailureReason.NO_ANSWER,
    "NO_USER_RESPONSE": FailureReason.NO_ANSWER,
    "ALLOTTED_TIMEOUT": FailureReason.NO_ANSWER,
    "PROGRESS_TIMEOUT": FailureReason.NO_ANSWER,
    "MEDIA_TIMEOUT": FailureReason.NO_ANSWER,
    "RECOVERY_ON_TIMER_EXPIRE": FailureReason.NO_ANSWER,
    "REDIRECTION_TO_NEW_DESTINATION": FailureReason.DIVERTED,
}
"""FreeSWITCH's causes of hang-up; every other means that there was nobody to reach."""
_SHUTDOWN = frozenset({"SYSTEM_SHUTDOWN", "CRASH"})
_NOT_THERE = frozenset({"USER_NOT_REGISTERED", "SUBSCRIBER_ABSENT"})


def failure_of(cause: str, *, rang: bool) -> FailureReason:
    """Why a phone was not connected; one that never rang and never answered was not there."""
    reason = _REASONS.get(cause, FailureReason.UNREACHABLE)
    return FailureReason.UNREACHABLE if reason is FailureReason.NO_ANSWER and not rang else reason


@dataclass
class Ordered:
    """A leg that the gateway has asked for, under the id that it gave the channel."""

    call: str
    leg: str
    device: str
    consults: str = ""
    number: str = ""
    """Click-to-dial: whom the agent will talk to."""


@dataclass(eq=False)
class Leg:
    """An agent's leg of a call."""

    name: str
    device: str
    channel: Channel
    consults: "Leg | None" = None
    alerting_told: bool = False
    answered_told: bool = False
    connected: bool = False
    """With the customer, in a bridge or a conference."""
    joined: bool = False
    """Connected once, with whomever it was called for."""
    moved: bool = False
    taken: bool = False
    """The customer was taken out of the conversation, and that has been told."""
    parted_at: datetime | None = None
    ended_with: bool = False
    """It was connected with the customer until it ended."""


@dataclass(frozen=True)
class Transfer:
    """The customer has been taken from a leg, to whom is not known yet."""

    from_leg: Leg
    at: datetime
    by: Party
    to: str = ""
    """The leg that the gateway has ordered for them."""


@dataclass(eq=False)
class Call:
    """A call."""

    name: str
    direction: Direction
    offered_at: datetime
    dialled: str
    customer: Channel | None = None
    legs: list[Leg] = field(default_factory=list)
    past: list[Leg] = field(default_factory=list)
    """Legs that are over, the last few."""
    waits: bool = False
    ready: bool = False
    """Parked, or announced by the dialplan: the customer can be connected."""
    announced: bool = False
    """It was told that the customer waits, and nobody was connected since."""
    transfer: Transfer | None = None
    commanded: bool = False
    """The gateway has ordered to move the customer, or somebody to them."""
    killed: bool = False
    kept: bool = False
    """The PBX has been told not to hang up the customer when the agent leaves."""
    customer_alerting_told: bool = False
    customer_answered_told: bool = False
    left_told: bool = False
    diverted: tuple[Leg, datetime] | None = None
    """A leg that passed the call on (302), to whom the next leg tells."""
    hung_at: datetime | None = None

    def leg(self, name: str) -> Leg | None:
        """The live leg of this name."""
        return next((leg for leg in self.legs if leg.name == name), None)

    def device_leg(self, device: str) -> Leg | None:
        """The live leg of a device that is, or was, connected."""
        return next((leg for leg in self.legs if leg.device == device and leg.joined), None)

    @property
    def has_agent(self) -> bool:
        """Whether somebody is connected with the customer or has them on hold, or is just being changed for another."""
        return any(leg.connected or leg.taken or leg.parted_at is not None for leg in self.legs)


class Calls:
    """All calls that are up, made of events."""

    def __init__(self, waiting_context: str = "cc-hold") -> None:
        self.channels = Channels()
        self.calls: dict[str, Call] = {}
        self.events: list[PbxEvent] = []
        self.unnoticed: Counter[str] = Counter()
        """Events that were of no use, by why."""
        self.registered: dict[str, DeviceState] = {}
        self._waiting_context = waiting_context
        self._customer_of: dict[Channel, Call] = {}
        self._leg_of: dict[Channel, tuple[Call, Leg]] = {}
        self._past_of: dict[Channel, Call] = {}
        """Legs that are over, while their call is not."""
        self.orphans: list[str] = []
        """Channels that the gateway has asked for and nobody needs any more."""
        self._asks: dict[Channel, tuple[Call, Leg]] = {}
        """A phone's second line, from which it consults somebody: for which of its legs."""
        self._ordered: OrderedDict[str, Ordered] = OrderedDict()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._in_use: Counter[str] = Counter()

    # ---- what was ordered

    def expect(self, uid: str, ordered: Ordered) -> None:
        """A leg is being asked for, whose channel will have this id."""
        self._ordered[uid] = ordered
        while len(self._ordered) > MAX_ORDERED:
            self._ordered.popitem(last=False)

    def is_expected(self, uid: str) -> bool:
        """Whether such a leg has been asked for already."""
        return uid in self._ordered

    def killed(self, uid: str) -> None:
        """The gateway has a channel ended."""
        channel = self.channels.get(uid)
        if channel is None:
            return
        channel.killed = True
        call = self._customer_of.get(channel)
        if call is not None:
            call.killed = True

    def moves(self, *uids: str) -> None:
        """The gateway has channels moved, by transfer or bridge."""
        for uid in uids:
            channel = self.channels.get(uid)
            call = self.call_of(channel) if channel is not None else None
            if call is not None:
                call.commanded = True

    def transfers(self, call: Call, leg: Leg, to: str, at: datetime) -> None:
        """The gateway gives the customer to a leg that it has ordered."""
        call.commanded = True
        call.transfer = Transfer(leg, at, Party.GATEWAY, to)

    def call_of(self, channel: Channel) -> Call | None:
        """The call to which a channel belongs."""
        if channel in self._customer_of:
            return self._customer_of[channel]
        found = self._leg_of.get(channel)
        return found[0] if found is not None else None

    def find_waiting(self, number: str, at: datetime) -> list[Call]:
        """Inbound calls of this caller that nobody has answered yet."""
        number = known_number(number)
        return [
            call
            for call in self.calls.values()
            if call.direction is Direction.INBOUND
            and call.customer is not None
            and call.customer.is_live
            and call.offered_at <= at
            and known_number(call.customer.number) == number
            and not call.has_agent
        ]

    # ---- events

    def hear(self, event: Event, heard_at: datetime) -> None:
        """Take in an event. What makes no sense is counted and does nothing."""
        name = event["Event-Name"]
        handler = _HANDLERS.get(event["Event-Subclass"] if name == "CUSTOM" else name)
        if handler is None:
            return
        if self._is_repeated(event):
            self.unnoticed["repeated"] += 1
            return
        handler(self, event, moment(event, heard_at))

    def _is_repeated(self, event: Event) -> bool:
        sequence = event["Event-Sequence"]
        if not sequence:
            return False
        key = f"{event['Core-UUID']}/{sequence}"
        if key in self._seen:
            return True
        self._seen[key] = None
        while len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        return False

    def _channel(self, event: Event, at: datetime) -> Channel | None:
        """The channel that an event tells of, with its place in a call."""
        channel = self.channels.get(event["Unique-ID"])
        if channel is not None:
            self.channels.update(channel, event, at)
            return channel
        channel = self.channels.make(event, at)
        if channel is None:
            self.unnoticed["no-channel"] += 1
            return None
        note_variables(channel, event)
        self._count_device(channel, 1, at)
        self._place(channel)
        return channel

    def _touched(self, event: Event, at: datetime) -> None:
        channel = self._channel(event, at)
        if channel is None:
            return
        match event["Event-Name"]:
            case "CHANNEL_PROGRESS" | "CHANNEL_PROGRESS_MEDIA" if not channel.incoming:
                channel.alerting_at = channel.alerting_at or at
            case "CHANNEL_ANSWER":
                channel.answered_at = channel.answered_at or at
        self._tell_progress(channel)

    def _renamed(self, event: Event, at: datetime) -> None:
        old = self.channels.get(event["Old-Unique-ID"])
        if old is not None:
            self.channels.rename(old, event["Unique-ID"])
        else:
            self._touched(event, at)

    def _tell_progress(self, channel: Channel) -> None:
        """Ringing and answers that are known and not told yet."""
        call = self._customer_of.get(channel)
        if call is not None and call.direction is Direction.OUTBOUND:
            if channel.alerting_at is not None and not call.customer_alerting_told:
                call.customer_alerting_told = True
                self.events.append(CustomerAlerting(at=channel.alerting_at, call=call.name))
            if channel.answered_at is not None and not call.customer_answered_told:
                call.customer_answered_told = True
                self.events.append(CustomerAnswered(at=channel.answered_at, call=call.name))
        found = self._leg_of.get(channel)
        if found is None:
            return
        call, leg = found
        if channel.alerting_at is not None and not leg.alerting_told:
            leg.alerting_told = True
            self.events.append(LegAlerting(at=channel.alerting_at, **_named(call, leg)))
        # A queue's agent is connected when bridged with the customer; who dials talks to whoever will be there.
        if call.direction is not Direction.INBOUND and leg.consults is None:
            self._tell_answered(call, leg)

    def _tell_answered(self, call: Call, leg: Leg) -> None:
        channel = leg.channel
        answered_at = channel.created_at if channel.incoming else channel.answered_at
        if answered_at is not None and not leg.answered_told:
            leg.answered_told = leg.joined = True
            self.events.append(LegAnswered(at=answered_at, **_named(call, leg)))

    # ---- whose channel it is

    def _place(self, channel: Channel) -> None:
        if channel.kind is Kind.HIDDEN:
            return
        ordered = self._ordered_for(channel)
        if ordered is not None and self._place_ordered(channel, ordered):
            return
        if channel.incoming:
            if channel.kind is Kind.TRUNK:
                self._offer_inbound(channel)
            return
        parent, passed = self.channels.real_parent(channel)
        if parent is not None:
            self._place_child(channel, parent)
        elif not self._place_behind(channel, passed):
            self._place_stray(channel)

    def _ordered_for(self, channel: Channel) -> Ordered | None:
        """What was ordered under the channel's own id, or that of the loopback by way of which it is called."""
        ordered = self._ordered.get(channel.uid)
        if ordered is not None or channel.incoming:
            return ordered or self._recalled(channel)
        if channel.kind is Kind.PHONE:
            _, passed = self.channels.real_parent(channel)
            for hidden in passed:
                ordered = self._ordered.get(hidden.uid)
                if ordered is not None and not self._is_up(ordered):
                    return ordered
        return self._recalled(channel)

    def _is_up(self, ordered: Ordered) -> bool:
        call = self.calls.get(ordered.call)
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

    def _place_ordered(self, channel: Channel, ordered: Ordered) -> bool:
        call = self.calls.get(ordered.call)
        if call is None and not ordered.number and channel.uid in self._ordered and channel.is_live:
            self.orphans.append(channel.uid)  # the call ended before its phone began to ring
        if call is None and ordered.number:
            call = self._offer(ordered.call, Direction.OUTBOUND, channel.created_at, ordered.number)
        if call is None or call.leg(ordered.leg) is not None:
            return False
        self.expect(channel.uid, ordered)
        self._attach(channel, call, ordered.leg, ordered.device, call.leg(ordered.consults))
        return True

    def _offer_inbound(self, channel: Channel) -> Call:
        call = self._offer(channel.uid, Direction.INBOUND, channel.created_at, channel.dialled, channel)
        call.customer = channel
        self._customer_of[channel] = call
        return call

    def _offer(
        self, name: str, direction: Direction, at: datetime, dialled: str, customer: Channel | None = None
    ) -> Call:
        call = self.calls[name] = Call(name, direction, at, dialled)
        self.events.append(
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
        if parent in self._customer_of:
            self._attach(channel, self._customer_of[parent])
        elif parent in self._leg_of:
            call, leg = self._leg_of[parent]
            if call.direction is Direction.OUTBOUND and (call.customer is None or not call.customer.is_live):
                self._take_customer(call, channel)
            else:
                self._attach(channel, call, consults=leg)
        elif parent in self._asks:
            call, leg = self._asks[parent]
            self._attach(channel, call, consults=leg)
        elif (asking := self._asking(parent)) is not None:
            self._asks[parent] = asking
            self._attach(channel, asking[0], consults=asking[1])
        else:
            self._pair(parent, channel)

    def _asking(self, channel: Channel) -> tuple[Call, Leg] | None:
        """Of a phone that talks with a customer already: for which leg it has taken another line."""
        if channel.kind is not Kind.PHONE or not channel.incoming:
            return None
        for call in self.calls.values():
            leg = call.device_leg(channel.user)
            if leg is not None and leg.channel is not channel and leg.channel.is_live:
                return call, leg
        return None

    def _place_behind(self, channel: Channel, passed: Sequence[Channel]) -> bool:
        """It was made by way of a loopback that the gateway ordered: this is who is to be talked to."""
        for hidden in passed:
            ordered = self._ordered.get(hidden.uid)
            call = self.calls.get(ordered.call) if ordered is not None else None
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
                    for other in self.channels
                    if self._is_stray_phone(other) and channel.dialled and other.number == channel.dialled
                ),
                None,
            )
            if agent is not None:
                self._pair(agent, channel)
            return
        member = self.channels.get(channel.member)
        if member is not None and member in self._customer_of:
            self._attach(channel, self._customer_of[member])
            return
        waiting = self.find_waiting(channel.number, channel.created_at)
        if len(waiting) == 1:
            self._attach(channel, waiting[0])

    def _is_stray_phone(self, channel: Channel) -> bool:
        return channel.kind is Kind.PHONE and channel.is_live and not channel.incoming and not self._has_place(channel)

    def _has_place(self, channel: Channel) -> bool:
        return channel in self._customer_of or channel in self._leg_of or channel in self._asks

    def _pair(self, agent: Channel, other: Channel) -> None:
        """A call of two channels of which neither is a caller from outside."""
        if agent.kind is not Kind.PHONE:
            agent, other = other, agent
        if agent.kind is not Kind.PHONE or self._has_place(agent) or self._has_place(other):
            return
        outside = other.kind is Kind.TRUNK
        dialled = (other.dialled or other.user) if outside else (agent.dialled if agent.incoming else other.user)
        direction = Direction.OUTBOUND if outside else Direction.INTERNAL
        call = self._offer(agent.uid, direction, min(agent.created_at, other.created_at), dialled)
        self._attach(agent, call)
        if outside:
            self._take_customer(call, other)
        else:
            self._attach(other, call)

    def _take_customer(self, call: Call, channel: Channel) -> None:
        if call.customer is not None:
            self._customer_of.pop(call.customer, None)
        call.customer = channel
        call.hung_at = None
        self._customer_of[channel] = call
        self._tell_progress(channel)

    def _attach(
        self, channel: Channel, call: Call, name: str = "", device: str = "", consults: Leg | None = None
    ) -> Leg:
        self._tell_diverted(call, channel)
        leg = Leg(name or channel.uid, device or channel.user or "unknown", channel, consults)
        leg.joined = channel.was_bridged
        call.legs.append(leg)
        self._leg_of[channel] = call, leg
        self.events.append(
            LegInitiated(
                at=channel.created_at,
                consults=consults.name if consults is not None else None,
                **_named(call, leg),
            )
        )
        self._receive(call, leg)
        self._tell_progress(channel)
        return leg

    def _tell_diverted(self, call: Call, channel: Channel | None) -> None:
        """The phone passed the call on to whoever is called next, whose channel may still bear the old one's name."""
        if call.diverted is None:
            return
        (leg, at), call.diverted = call.diverted, None
        to = ""
        if channel is not None:
            if channel.user == leg.device and channel.called_user:
                channel.user = channel.called_user
            to = channel.user
        self.events.append(LegDiverted(at=at, to=to, cause=leg.channel.cause, **_named(call, leg)))

    def _receive(self, call: Call, leg: Leg) -> None:
        """If the customer has just been taken from another leg: this is to whom they are given."""
        transfer = call.transfer
        if leg.consults is None and transfer is not None and transfer.to in ("", leg.name):
            call.transfer = None
            if transfer.from_leg is not leg and leg.channel.created_at >= transfer.at - UNDECIDED:
                self._move(call, leg, transfer.from_leg, transfer.at, transfer.by)
                return
        giver = next((other for other in call.legs if other.taken and not other.connected), None)
        if giver is not None and leg.consults is None and leg.channel.parent:
            self._move(call, leg, giver, leg.channel.created_at, Party.GATEWAY)

    def _move(self, call: Call, leg: Leg, giver: Leg, at: datetime, by: Party) -> None:
        leg.moved = True
        self.events.append(CallTransferred(at=at, from_leg=giver.name, by=by, **_named(call, leg)))

    # ---- who hears whom

    def _bridged(self, event: Event, at: datetime) -> None:
        channel = self._channel(event, at)
        other = self.channels.get(
            event["Bridge-B-Unique-ID"]
            if event["Bridge-A-Unique-ID"] == event["Unique-ID"]
            else event["Bridge-A-Unique-ID"]
        ) or self.channels.get(event["Other-Leg-Unique-ID"])
        if channel is None or other is None or channel is other:
            self.unnoticed["no-channel"] += 1
            return
        self.join(channel, other, at)

    def join(self, channel: Channel, other: Channel, at: datetime) -> None:
        """Two channels are bridged."""
        self.channels.bridge(channel, other)
        for one in (channel, other):
            peer = self.channels.peer(one)
            if one.kind is not Kind.HIDDEN and peer is not None:
                self._together(one, peer, at)
                return
        if channel.kind is Kind.HIDDEN and other.kind is Kind.HIDDEN:
            return

    def _together(self, one: Channel, other: Channel, at: datetime) -> None:
        if other in self._customer_of and one not in self._customer_of:
            one, other = other, one
        if one in self._customer_of:
            call = self._customer_of[one]
            found = self._leg_of.get(other)
            if found is not None and found[0] is not call:
                if found[1].joined:
                    return
                self._detach(*found, at)
                found = None
            if found is None and other in self._customer_of:
                return
            self._connect(call, found[1] if found is not None else self._attach(other, call), at)
            return
        for asking, asked in ((one, other), (other, one)):
            asks = self._asks.get(asking) or self._leg_of.get(asking)
            if asks is not None and not self._has_place(asked) and asked.kind is not Kind.HIDDEN:
                self._attach(asked, asks[0], consults=asks[1])
        for channel in (one, other):
            found = self._leg_of.get(channel)
            if found is not None and found[1].consults is not None:
                self._tell_answered(*found)
        if not self._has_place(one) and not self._has_place(other):
            self._pair(one, other)

    def _detach(self, call: Call, leg: Leg, at: datetime) -> None:
        """It turns out not to be for this call."""
        call.legs.remove(leg)
        del self._leg_of[leg.channel]
        self.events.append(LegFailed(at=at, reason=FailureReason.CANCELLED, **_named(call, leg)))

    def _connect(self, call: Call, leg: Leg, at: datetime) -> None:
        """Customer and agent hear each other."""
        parted_at = leg.parted_at
        leg.parted_at, leg.connected = None, True
        self._tell_answered(call, leg)
        if leg.taken:
            leg.taken = False
            self.events.append(LegRetrieved(at=at, **_named(call, leg)))
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
        self._move(call, leg, giver, min(over_at, default=at), by)

    def _unbridged(self, event: Event, at: datetime) -> None:
        channel = self._channel(event, at)
        if channel is None:
            return
        pair = {channel, self.channels.peer(channel), *self._bridge_ends(event)}
        self.channels.unbridge(channel)
        for customer in pair:
            call = self._customer_of.get(customer) if customer is not None else None
            if call is None or customer is None:
                continue
            for leg in call.legs:
                if leg.connected and leg.channel in pair and not leg.channel.room:
                    self._part(call, leg, at, referred=event["variable_sip_refer_to"])
            self._look_around(call, at)

    def _bridge_ends(self, event: Event) -> Iterable[Channel | None]:
        return (self.channels.get(event[f"Bridge-{end}-Unique-ID"]) for end in "AB")

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

    def _look_around(self, call: Call, at: datetime) -> None:
        """What has become of agents whose bridge with the customer is over."""
        for leg in call.legs:
            if leg.parted_at is None or leg.taken or not leg.channel.is_live:
                continue
            if leg.channel.parked or at - leg.parted_at >= SETTLED:
                leg.taken = True
                self.events.append(LegHeld(at=leg.parted_at, by=Party.GATEWAY, **_named(call, leg)))

    def _parked(self, event: Event, at: datetime) -> None:
        channel = self._channel(event, at)
        if channel is None or not channel.is_live:
            return
        channel.parked = True
        call = self._customer_of.get(channel)
        if call is None and channel.incoming and not self._has_place(channel):
            call = self._offer_inbound(channel)
        if call is not None:
            self._waits(call, at)
        elif channel in self._leg_of:
            self._look_around(self._leg_of[channel][0], at)
        self._tell_progress(channel)

    def _unparked(self, event: Event, at: datetime) -> None:
        channel = self._channel(event, at)
        if channel is None:
            return
        channel.parked = False
        call = self._customer_of.get(channel)
        if call is not None:
            call.ready = call.announced = False

    def _waiting(self, event: Event, at: datetime) -> None:
        """The dialplan says that a call waits."""
        channel = self._channel(event, at)
        if channel is None or not channel.is_live:
            return
        call = self._customer_of.get(channel)
        if call is None and not self._has_place(channel):
            call = self._offer_inbound(channel)
        if call is None or call.direction is not Direction.INBOUND:
            return
        attributes = attributes_of(event)
        if attributes:
            self.events.append(AttributesSet(at=at, call=call.name, attributes=attributes))
        call.announced = False
        self._waits(call, at)

    def _waits(self, call: Call, at: datetime) -> None:
        """The customer waits, unless an agent keeps them waiting, or they are on their way to another."""
        if call.direction is not Direction.INBOUND:
            return
        call.ready = True
        if call.transfer is not None and not call.transfer.to:
            call.transfer = None
        for leg in call.past:
            leg.ended_with = False
        if call.announced or call.transfer is not None or call.has_agent:
            return
        call.announced = call.waits = True
        self.events.append(CustomerWaits(at=at, call=call.name))

    def _held(self, event: Event, at: datetime) -> None:
        channel = self._channel(event, at)
        if channel is None:
            return
        began = event["Event-Name"] == "CHANNEL_HOLD"
        changed = channel.held is not began
        channel.held = began
        channel.held_since = at if began else None
        found = self._leg_of.get(channel)
        if found is None or not changed or not channel.is_live:
            return
        told = _named(*found)
        if began:
            self.events.append(LegHeld(at=at, by=Party.AGENT, **told))
        else:
            self.events.append(LegRetrieved(at=at - UNHOLD_LAG, **told))

    # ---- conferences

    def _conference(self, event: Event, at: datetime) -> None:
        action = event["Action"]
        if action not in ("add-member", "del-member") or not event["Unique-ID"]:
            return
        room = event["Conference-Name"]
        if action == "del-member":
            channel = self.channels.get(event["Unique-ID"])
            if channel is not None and channel.room == room:
                self._leave_room(channel, at)
            return
        channel = self._channel(event, at)
        if channel is not None and channel.is_live and room:
            self.enter_room(channel, room, at)

    def enter_room(self, channel: Channel, room: str, at: datetime) -> None:
        """A channel is in a conference now."""
        self.channels.unbridge(channel)
        channel.room = room
        present = self.channels.in_room(room)
        for call in {c for other in present if (c := self._customer_of.get(other)) is not None}:
            call.transfer = None
            for other in present:
                self._confer(call, other, at)

    def _confer(self, call: Call, channel: Channel, at: datetime) -> None:
        if channel is call.customer or channel.kind is Kind.HIDDEN:
            return
        found = self._leg_of.get(channel)
        if found is None and not self._has_place(channel):
            found = call, self._attach(channel, call)
        if found is None or found[0] is not call or found[1].connected:
            return
        leg = found[1]
        new = not leg.joined or (leg.consults is not None and not leg.moved)
        others = any(other.connected for other in call.legs)
        if new and others:
            leg.moved = True
        self._connect(call, leg, at)
        if new and others:
            self.events.append(CallConferenced(at=at, **_named(call, leg)))

    def _leave_room(self, channel: Channel, at: datetime) -> None:
        channel.room = ""
        found = self._leg_of.get(channel)
        if found is not None and found[1].connected:
            self._part(*found, at)
        call = self._customer_of.get(channel)
        if call is not None:
            for leg in call.legs:
                if leg.connected:
                    self._part(call, leg, at)

    # ---- keys, attributes, devices

    def _digit(self, event: Event, at: datetime) -> None:
        channel = self._channel(event, at)
        digit = event["DTMF-Digit"][:1]
        if channel is None or not digit:
            return
        call, found = self._customer_of.get(channel), self._leg_of.get(channel)
        if call is not None:
            self.events.append(DigitPressed(at=at, call=call.name, digit=digit))
        elif found is not None:
            self.events.append(DigitPressed(at=at, call=found[0].name, digit=digit, leg=found[1].name))

    def _registered(self, event: Event, at: datetime) -> None:
        device = event["username"] or event["from-user"]
        state = DeviceState.IDLE if event["Event-Subclass"] == "sofia::register" else DeviceState.UNREACHABLE
        if device:
            self.device(device, state, at)

    def device(self, device: str, state: DeviceState, at: datetime) -> None:
        """A phone has signed in, or cannot be reached."""
        device = device[:100]
        if len(self.registered) < MAX_ORDERED or device in self.registered:
            self.registered[device] = state
        if state is DeviceState.IDLE and self._in_use[device] > 0:
            state = DeviceState.IN_USE
        self.events.append(DeviceChanged(at=at, device=device, state=state))

    def _count_device(self, channel: Channel, difference: int, at: datetime) -> None:
        if channel.kind is not Kind.PHONE or not channel.user:
            return
        device = channel.user[:100]
        before = self._in_use[device]
        self._in_use[device] = max(0, before + difference)
        if before == 0 and difference > 0:
            self.events.append(DeviceChanged(at=at, device=device, state=DeviceState.IN_USE))
        elif self._in_use[device] == 0:
            del self._in_use[device]
            state = self.registered.get(device, DeviceState.IDLE)
            self.events.append(DeviceChanged(at=at, device=device, state=state))

    # ---- ends

    def _hangup(self, event: Event, at: datetime) -> None:
        channel = self.channels.get(event["Unique-ID"])
        if channel is None:
            self.unnoticed["no-channel"] += 1
            return
        self.channels.update(channel, event, at)
        name = event["Event-Name"]
        channel.disposition = event["variable_sip_hangup_disposition"] or channel.disposition
        self._tell_progress(channel)
        if channel.hung_at is None:
            channel.hung_at = at
            channel.cause = event["Hangup-Cause"]
            channel.parked = False
            self._count_device(channel, -1, at)
            self._over(channel, event, at)
        if name != "CHANNEL_HANGUP":
            channel.complete = True
        call = self.call_of(channel) or self._past_of.get(channel)
        if call is not None:
            self._close(call, at)
        if name == "CHANNEL_DESTROY":
            self._forget(channel)

    def _forget(self, channel: Channel) -> None:
        self.channels.unbridge(channel)
        self.channels.remove(channel)
        self._ordered.pop(channel.uid, None)
        self._asks.pop(channel, None)
        self._past_of.pop(channel, None)
        self._customer_of.pop(channel, None)
        self._leg_of.pop(channel, None)

    def _over(self, channel: Channel, event: Event, at: datetime) -> None:
        if channel in self._customer_of:
            self._customer_over(self._customer_of[channel], channel, at)
        elif channel in self._leg_of:
            self._leg_over(*self._leg_of[channel], event, at)
        elif self._is_unplaced_agent(channel):
            self._stray_over(channel, at)

    def _is_unplaced_agent(self, channel: Channel) -> bool:
        return channel.kind is Kind.PHONE and not channel.incoming and not self._has_place(channel)

    def _stray_over(self, channel: Channel, at: datetime) -> None:
        """An agent was called in vain, and several callers may have been meant: the one who has waited longest."""
        waiting = self.find_waiting(channel.number, channel.created_at)
        if channel.answered_at is None and waiting:
            first = min(waiting, key=lambda call: (len(call.legs), call.offered_at))
            self._leg_failed(first, self._attach(channel, first), "", at)

    def _customer_over(self, call: Call, channel: Channel, at: datetime) -> None:
        call.hung_at = at
        call.transfer = None
        for leg in call.legs:
            if leg.connected:
                leg.ended_with = True
        if call.direction is Direction.OUTBOUND and channel.answered_at is None:
            reason = failure_of(channel.cause, rang=channel.alerting_at is not None)
            self.events.append(CustomerFailed(at=at, call=call.name, reason=reason, cause=channel.cause))

    def _leg_over(self, call: Call, leg: Leg, event: Event, at: datetime) -> None:
        channel = leg.channel
        by_phone = event["variable_transfer_disposition"] == "recv_replace"
        if by_phone and (leg.connected or leg.parted_at is not None):
            self._referred(call, leg, event["variable_transfer_to"], at)
        elif leg.connected and call.transfer is None and call.commanded:
            call.transfer = Transfer(leg, at, Party.GATEWAY)
        just_parted = leg.parted_at is not None and not leg.taken and at - leg.parted_at <= SETTLED
        leg.ended_with = leg.ended_with or leg.connected or just_parted
        call.legs.remove(leg)
        call.past = [*call.past[-9:], leg]
        self._past_of[channel] = call
        self._leg_of.pop(channel)
        if leg.joined:
            self.events.append(LegCleared(at=at, cause=channel.cause, **_named(call, leg)))
        else:
            to = event["variable_sip_redirect_contact_user_0"] or event["variable_sip_redirected_to"]
            self._leg_failed(call, leg, to, at)
        leg.connected = False
        customer = call.customer
        if customer is not None and customer.is_live and call.ready:
            self._waits(call, at)

    def _referred(self, call: Call, leg: Leg, to: str, at: datetime) -> None:
        """The phone has given the customer away (REFER, RFC 3515 and 3891)."""
        kind, _, uid = to.partition(":")
        target = next((other for other in call.legs if other.channel.uid == uid), None)
        if kind == "att" and target is not None and not target.moved:
            self._move(call, target, leg, at, Party.AGENT)
        else:
            call.transfer = Transfer(leg, min(at, leg.parted_at or at), Party.AGENT)

    def _leg_failed(self, call: Call, leg: Leg, to: str, at: datetime) -> None:
        channel = leg.channel
        reason = failure_of(channel.cause, rang=channel.alerting_at is not None or channel.answered_at is not None)
        told = _named(call, leg)
        if leg in call.legs:
            call.legs.remove(leg)
            self._leg_of.pop(channel, None)
        if channel.answered_at is not None:
            # Picked up, and there was no one left to talk to.
            self.events.append(LegAnswered(at=channel.answered_at, **told))
            reason = FailureReason.CANCELLED
        if reason is FailureReason.DIVERTED and not to:
            call.diverted = leg, at
        elif reason is FailureReason.DIVERTED:
            user = to.rpartition("<")[2].partition("@")[0].rpartition(":")[2].strip(">")
            self.events.append(LegDiverted(at=at, to=user or to, cause=channel.cause, **told))
        else:
            self.events.append(LegFailed(at=at, reason=reason, cause=channel.cause, **told))

    def _close(self, call: Call, at: datetime, *, finally_: bool = False) -> None:
        """The call is over if the customer is gone, or there never was one, and so is everybody else."""
        if self.calls.get(call.name) is not call:
            return
        customer = call.customer
        unreached = customer is None or (call.direction is Direction.OUTBOUND and customer.answered_at is None)
        if unreached:
            if call.legs or (customer is not None and customer.is_live):
                return
        elif customer is None or customer.is_live:
            return
        decided = self._who(call)
        if decided is None:
            if not finally_ and at - self._ended_at(call, at) < UNDECIDED:
                return
            decided = Party.PBX, None, ""
        by, leg, cause = decided
        self._give_up_waiting(call)
        if not unreached and customer is not None and customer.hung_at is not None:
            staying = any(other.joined for other in call.legs)
            if staying and not call.left_told:
                call.left_told = True
                self.events.append(CustomerLeft(at=customer.hung_at, call=call.name, by=by, cause=cause))
            if staying:
                return
        ended_at = self._ended_at(call, at)
        for other in call.legs:
            self._leg_of.pop(other.channel, None)
        for other in call.past:
            self._past_of.pop(other.channel, None)
        if customer is not None:
            self._customer_of.pop(customer, None)
        self._tell_diverted(call, None)
        self.calls.pop(call.name)
        self.events.append(
            CallCleared(at=ended_at, call=call.name, by=by, leg=leg.name if leg is not None else None, cause=cause)
        )

    def _give_up_waiting(self, call: Call) -> None:
        """Phones that ring, or have nobody to talk to, because the gateway wanted it so: the PBX leaves them alone."""
        for leg in call.legs:
            channel = leg.channel
            if channel.uid in self._ordered and channel.is_live and (channel.parked or channel.answered_at is None):
                self.orphans.append(channel.uid)

    @staticmethod
    def _ended_at(call: Call, at: datetime) -> datetime:
        """The customer's own end, unless agents stayed behind or the customer was never there."""
        customer = call.customer
        was_there = customer is not None and (call.direction is Direction.INBOUND or customer.answered_at is not None)
        if customer is not None and customer.hung_at is not None and was_there and not call.left_told:
            return customer.hung_at
        ends = [leg.channel.hung_at for leg in call.past if leg.channel.hung_at is not None]
        if customer is not None and customer.hung_at is not None:
            ends.append(customer.hung_at)
        return max(ends, default=at)

    def _who(self, call: Call) -> tuple[Party, Leg | None, str] | None:
        """Who hung up first; None while it may still be told."""
        customer = call.customer
        ended = [customer] if customer is not None else []
        own = [leg for leg in (*call.past, *call.legs) if leg.ended_with and self._at_the_end(call, leg)]
        if customer is None or customer.answered_at is None:
            own = (
                [leg for leg in call.past if self._at_the_end(call, leg)]
                if call.direction is not Direction.INBOUND
                else own
            )
        cause = customer.cause if customer is not None else (own[-1].channel.cause if own else "")
        if any(channel.cause in _SHUTDOWN for channel in (*ended, *(leg.channel for leg in own))):
            return Party.PBX, None, cause
        if customer is not None and customer.ended_it and (customer.answered_at or call.direction is Direction.INBOUND):
            return Party.CUSTOMER, None, cause
        if any(not channel.complete for channel in (*ended, *(leg.channel for leg in own)) if not channel.disposition):
            return None
        by_agent = sorted(
            (leg for leg in own if self._hung_up(leg)), key=lambda leg: leg.channel.hung_at or call.offered_at
        )
        if by_agent:
            return Party.AGENT, by_agent[0], by_agent[0].channel.cause
        return self._who_else(call, own, cause)

    def _who_else(self, call: Call, own: Sequence[Leg], cause: str) -> tuple[Party, Leg | None, str]:
        """Neither customer nor agent has said goodbye in SIP."""
        customer = call.customer
        if call.killed or any(leg.channel.killed and leg.channel.cause != "NO_ANSWER" for leg in own):
            return Party.GATEWAY, None, cause
        if customer is None and call.direction is Direction.OUTBOUND:
            reasons = {failure_of(leg.channel.cause, rang=True) for leg in own}
            if FailureReason.NO_ANSWER in reasons:
                return Party.GATEWAY, None, TIME_OUT
        if customer is not None and not customer.disposition:
            first = min(own, key=lambda leg: leg.channel.hung_at or call.offered_at, default=None)
            hung_at = first.channel.hung_at if first is not None else None
            if hung_at is None or customer.hung_at is None or hung_at >= customer.hung_at:
                return Party.CUSTOMER, None, cause
            return Party.AGENT, first, cause
        return Party.PBX, None, cause

    @staticmethod
    def _hung_up(leg: Leg) -> bool:
        """A phone that hung up; not one that refused the call or gave it away."""
        return leg.channel.disposition in ("recv_bye", "recv_cancel")

    @staticmethod
    def _at_the_end(call: Call, leg: Leg) -> bool:
        if leg.channel.hung_at is None or call.hung_at is None:
            return call.hung_at is None
        return abs(call.hung_at - leg.channel.hung_at) <= JUST_BEFORE

    def originate_failed(self, uid: str, device: str, number: str, cause: str, at: datetime) -> None:
        """A leg that was asked for never came to be: its phone is not registered, for example."""
        if self.channels.was(uid) or not device or (not uid and cause not in _NOT_THERE):
            return
        channel = Channel(uid, device, at, Kind.PHONE, incoming=False, user=device, hung_at=at, cause=cause)
        ordered = self._ordered.pop(uid, None)
        if ordered is None:
            waiting = sorted(self.find_waiting(number, at), key=lambda call: call.offered_at)
            ordered = Ordered(waiting[0].name, uid or f"never-{at.timestamp()}", device) if waiting else None
        if ordered is None or not self._place_ordered(channel, ordered):
            return
        call, leg = self._leg_of[channel]
        channel.complete = True
        call.past = [*call.past[-9:], leg]
        self._leg_failed(call, leg, "", at)
        if failure_of(cause, rang=False) is FailureReason.UNREACHABLE and cause in _NOT_THERE:
            self.device(device, DeviceState.UNREACHABLE, at)
        if call.transfer is not None and call.transfer.to == leg.name:
            call.transfer = None
        if call.ready:
            self._waits(call, at)
        self._close(call, at)

    def tick(self, at: datetime) -> None:
        """Time passes."""
        for call in list(self.calls.values()):
            self._look_around(call, at)
            if call.diverted is not None and at - call.diverted[1] >= UNDECIDED:
                self._tell_diverted(call, None)
            self._close(call, at)

    def lost(self, at: datetime) -> None:
        """Nothing more will be heard: what is over but for who ended it is told."""
        for call in list(self.calls.values()):
            self._close(call, at, finally_=True)

    # ---- what is up after a connection came up

    def snapshot(
        self,
        at: datetime,
        channels: Mapping[str, tuple[Event, Mapping[str, str]]],
        registered: Iterable[str],
        started_at: datetime | None,
    ) -> ConnectionUp:
        """What is up, of ``show channels`` (rows, by channel) and ``uuid_dump`` (descriptions).

        Legs and calls that were known keep their names; what is not up any more is forgotten without a word.
        """
        told = len(self.events)
        for gone in self.channels:
            if gone.uid not in channels:
                self._lose(gone)
        for call in list(self.calls.values()):
            if call.customer is None and not call.legs:
                del self.calls[call.name]
        new = []
        for uid, (event, row) in channels.items():
            known = self.channels.get(uid)
            channel = known or self.channels.make(event, at)
            if channel is None:
                continue
            self._refresh(channel, event, row, at)
            if known is None:
                new.append(channel)
            elif channel in self._leg_of:
                leg = self._leg_of[channel][1]
                leg.joined = leg.joined or channel.was_bridged
        for fresh in sorted(new, key=lambda channel: (channel.created_at, channel.uid)):
            self._place(fresh)
        self._rejoin(channels, at)
        self._in_use = Counter(c.user[:100] for c in self.channels if c.kind is Kind.PHONE and c.user)
        devices = self._live_devices(registered)
        del self.events[told:]
        return ConnectionUp(
            at=at,
            calls=tuple(self._live_call(call) for call in self.calls.values()),
            devices=devices,
            started_at=started_at,
        )

    def _lose(self, channel: Channel) -> None:
        """It ended while nobody listened."""
        call = self._customer_of.get(channel)
        found = self._leg_of.get(channel)
        if call is not None:
            call.customer = None
            if call.direction is Direction.INBOUND:
                self.calls.pop(call.name, None)
        if found is not None:
            found[0].legs.remove(found[1])
        self._forget(channel)

    def _refresh(self, channel: Channel, event: Event, row: Mapping[str, str], at: datetime) -> None:
        self.channels.update(channel, event, at)
        note_variables(channel, event)
        channel.attributes = attributes_of(event)
        channel.application = row.get("application", "")
        channel.dialled = event["variable_cc_did"] or row.get("initial_dest", "") or channel.dialled
        channel.number = row.get("initial_cid_num", "") or channel.number if channel.incoming else channel.number
        channel.parked = channel.application == "park"
        channel.held = "HELD" in (row.get("callstate"), event["Channel-Call-State"])
        if channel.answered_at is None and event["Answer-State"] == "answered":
            channel.answered_at = at
        if not channel.incoming and channel.alerting_at is None and row.get("callstate") == "RINGING":
            channel.alerting_at = at
        channel.room = ""
        if channel.application == "conference":
            channel.room = row.get("application_data", "").partition("@")[0].partition("+")[0]
        channel.bridged = ""
        channel.was_bridged = event["Caller-Channel-Bridged-Time"] not in ("", "0")

    def _rejoin(self, channels: Mapping[str, tuple[Event, Mapping[str, str]]], at: datetime) -> None:
        """Who hears whom."""
        for call in self.calls.values():
            for leg in call.legs:
                leg.connected = False
        for uid, (event, _) in channels.items():
            one, other = self.channels.get(uid), self.channels.get(event["Other-Leg-Unique-ID"])
            if one is None or other is None or one.bridged or other.bridged or one.room or other.room:
                continue
            linked = channels[other.uid][0]["Other-Leg-Unique-ID"] == uid
            talking = all(c.answered_at is not None and not c.parked for c in (one, other))
            if linked and talking:
                self.join(one, other, at)
        for channel in self.channels:
            if channel.room:
                self.enter_room(channel, channel.room, at)
        for call in self.calls.values():
            self._reconsider(call)

    def _reconsider(self, call: Call) -> None:
        for leg in call.legs:
            leg.parted_at = None
            leg.taken = (
                leg.joined
                and not leg.connected
                and leg.consults is None
                and leg.channel.answered_at is not None
                and call.direction is Direction.INBOUND
                and call.customer is not None
                and call.customer.is_live
            )
        customer = call.customer
        call.transfer = None
        if customer is None or call.direction is not Direction.INBOUND:
            return
        call.ready = customer.parked or customer.context == self._waiting_context
        call.announced = call.ready and not call.has_agent
        call.waits = call.waits or call.ready

    def _live_call(self, call: Call) -> LiveCall:
        customer = call.customer if call.direction is Direction.INBOUND else None
        answered_at = None
        if call.direction is Direction.OUTBOUND and call.customer is not None:
            answered_at = call.customer.answered_at
        return LiveCall(
            call=call.name,
            direction=call.direction,
            dialled=call.dialled,
            from_number=(customer.number or None) if customer is not None else None,
            from_name=customer.caller_name if customer is not None else "",
            trunk=(customer.profile or None) if customer is not None else None,
            diverted_from=(customer.diverted_from or None) if customer is not None else None,
            attributes=customer.attributes if customer is not None else {},
            offered_at=call.offered_at,
            waits=call.waits,
            customer_answered_at=answered_at,
            legs=tuple(self._live_leg(leg) for leg in call.legs),
        )

    @staticmethod
    def _live_leg(leg: Leg) -> LiveLeg:
        channel = leg.channel
        answered_at = channel.created_at if channel.incoming else channel.answered_at
        state = LegState.INITIATED if channel.alerting_at is None else LegState.ALERTING
        if answered_at is not None:
            state = LegState.HELD if leg.taken or channel.held else LegState.CONNECTED
        return LiveLeg(
            leg=leg.name,
            device=leg.device,
            state=state,
            consults=leg.consults.name if leg.consults is not None and not leg.moved else None,
            initiated_at=channel.created_at,
            alerting_at=channel.alerting_at,
            answered_at=answered_at,
            held_since=channel.held_since,
        )

    def _live_devices(self, registered: Iterable[str]) -> tuple[LiveDevice, ...]:
        present = {device[:100] for device in registered if device}
        for device in self.registered:
            self.registered[device] = DeviceState.IDLE if device in present else DeviceState.UNREACHABLE
        for device in sorted(present)[:MAX_ORDERED]:
            self.registered[device] = DeviceState.IDLE
        states = dict(self.registered) | dict.fromkeys(self._in_use, DeviceState.IN_USE)
        return tuple(LiveDevice(device=device, state=state) for device, state in sorted(states.items()))


def _named(call: Call, leg: Leg) -> dict[str, str]:
    return {"call": call.name, "leg": leg.name, "device": leg.device}


def note_variables(channel: Channel, event: Event) -> None:
    """What a gateway has written on a channel."""
    for name in (CALL_VARIABLE, LEG_VARIABLE, CONSULTS_VARIABLE, NUMBER_VARIABLE, TIMEOUT_VARIABLE):
        if value := event[f"variable_{name}"]:
            channel.variables[name] = unquote(value)


def attributes_of(event: Event) -> dict[str, str]:
    """What the dialplan, an IVR or the gateway has noted about the call: variables ``cc_attribute_...``."""
    prefix = f"variable_{ATTRIBUTE_PREFIX}"
    return {name.removeprefix(prefix): unquote(event[name]) for name in event if name.startswith(prefix)}


_HANDLERS: dict[str, Callable[[Calls, Event, datetime], None]] = {
    "CHANNEL_CREATE": Calls._touched,
    "CHANNEL_ORIGINATE": Calls._touched,
    "CHANNEL_PROGRESS": Calls._touched,
    "CHANNEL_PROGRESS_MEDIA": Calls._touched,
    "CHANNEL_ANSWER": Calls._touched,
    "CHANNEL_UUID": Calls._renamed,
    "CHANNEL_BRIDGE": Calls._bridged,
    "CHANNEL_UNBRIDGE": Calls._unbridged,
    "CHANNEL_PARK": Calls._parked,
    "CHANNEL_UNPARK": Calls._unparked,
    "CHANNEL_HOLD": Calls._held,
    "CHANNEL_UNHOLD": Calls._held,
    "CHANNEL_HANGUP": Calls._hangup,
    "CHANNEL_HANGUP_COMPLETE": Calls._hangup,
    "CHANNEL_DESTROY": Calls._hangup,
    "DTMF": Calls._digit,
    "cc::waiting": Calls._waiting,
    "conference::maintenance": Calls._conference,
    "sofia::register": Calls._registered,
    "sofia::unregister": Calls._registered,
    "sofia::expire": Calls._registered,
}
"""All others are of no interest."""
