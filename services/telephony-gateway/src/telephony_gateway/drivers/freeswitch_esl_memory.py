"""What the driver for FreeSWITCH remembers of calls and of what was ordered for them."""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from telephony_gateway.domain.pbx_events import (
    PbxEvent,
)
from telephony_gateway.domain.words import Direction, Party
from telephony_gateway.drivers.freeswitch_esl_channels import Channel, Channels, known_number

JUST_BEFORE = timedelta(seconds=2)
UNDECIDED = timedelta(seconds=1)
"""Who hung up is not waited for longer."""
MAX_ORDERED = 20_000


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


class Memory:
    """All calls of one FreeSWITCH, whose its channels are, and what is to be told of them."""

    def __init__(self) -> None:
        self.channels = Channels()
        self.calls: dict[str, Call] = {}
        self.events: list[PbxEvent] = []
        self.unnoticed: Counter[str] = Counter()
        """Events that were of no use, by why."""
        self.customer_of: dict[Channel, Call] = {}
        self.leg_of: dict[Channel, tuple[Call, Leg]] = {}
        self.past_of: dict[Channel, Call] = {}
        """Legs that are over, while their call is not."""
        self.orphans: list[str] = []
        """Channels that the gateway has asked for and nobody needs any more."""
        self.asks: dict[Channel, tuple[Call, Leg]] = {}
        """A phone's second line, from which it consults somebody: for which of its legs."""
        self.ordered: OrderedDict[str, Ordered] = OrderedDict()

    def tell(self, event: PbxEvent) -> None:
        """This has happened."""
        self.events.append(event)

    def expect(self, uid: str, ordered: Ordered) -> None:
        """A leg is being asked for, whose channel will have this id."""
        self.ordered[uid] = ordered
        while len(self.ordered) > MAX_ORDERED:
            self.ordered.popitem(last=False)

    def is_expected(self, uid: str) -> bool:
        """Whether such a leg has been asked for already."""
        return uid in self.ordered

    def call_of(self, channel: Channel) -> Call | None:
        """The call to which a channel belongs."""
        if channel in self.customer_of:
            return self.customer_of[channel]
        found = self.leg_of.get(channel)
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

    def has_place(self, channel: Channel) -> bool:
        return channel in self.customer_of or channel in self.leg_of or channel in self.asks

    def forget(self, channel: Channel) -> None:
        self.channels.unbridge(channel)
        self.channels.remove(channel)
        self.ordered.pop(channel.uid, None)
        self.asks.pop(channel, None)
        self.past_of.pop(channel, None)
        self.customer_of.pop(channel, None)
        self.leg_of.pop(channel, None)


def named(call: Call, leg: Leg) -> dict[str, str]:
    """The fields by which events name a leg."""
    return {"call": call.name, "leg": leg.name, "device": leg.device}
