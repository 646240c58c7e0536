"""What the driver over the Manager Interface remembers of a call: its legs, and what is under way with it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from telephony_gateway.domain.pbx_events import PbxEvent
from telephony_gateway.domain.words import Direction, Party
from telephony_gateway.drivers.asterisk_ami_channels import Channel, Channels, known

TOGETHER = timedelta(seconds=1)
"""An agent's hang-up ends the call if the customer goes within this time; who picks up is connected within it."""
LEFT_ALONE = timedelta(seconds=0.5)
"""A customer who is in no conversation for so long, while the agent is there, is on hold."""
MAX_CALLS = 20_000
OUTSIDE = re.compile(r"^\+?[0-9]{7,20}$")
"""Numbers that are no extension."""


@dataclass(eq=False)
class Leg:
    """An agent's channel in a call."""

    name: str
    channel: Channel
    device: str
    consults: str | None = None
    asks_on: str | None = None
    """The channel on which the agent who consults this one talks to them."""
    initiated_at: datetime | None = None
    answered_at: datetime | None = None
    connected: bool = False
    parted_at: datetime | None = None
    """When it was connected with the customer last, while it is not."""
    taken: bool = False
    """Whether it was the customer who left the bridge in which they were connected."""
    held: bool = False
    hold_known: bool = True
    """False of a leg that was found when a connection came up, until its phone says something about it."""
    told: bool = False
    moved: bool = False
    """Whether it has the customer from another agent."""
    gave: bool = False
    """Whether it gave the customer to another agent."""


@dataclass
class Moving:
    """The customer was sent to somebody else, who is not called yet."""

    at: datetime
    from_leg: str | None
    by: Party


@dataclass
class Three:
    """The customer, an agent, and whom that one consulted are together: a conference, or a transfer in the making."""

    at: datetime
    asking: Leg
    asked: Leg


@dataclass
class Attempt:
    """The gateway had the PBX call a device for a waiting customer, by redirecting them."""

    device: str
    leg: str
    """Empty: the gateway that was recorded had no name for it."""
    at: datetime
    until: datetime

    @property
    def name(self) -> str:
        """Of a leg that never came to be."""
        return self.leg or f"{self.device}@{self.at.isoformat()}"


@dataclass(eq=False)
class Call:
    """A call as this driver needs to know it: to name its legs and to see what an event means."""

    name: str
    direction: Direction
    dialled: str
    offered_at: datetime
    customer: Channel | None = None
    legs: dict[str, Leg] = field(default_factory=dict)
    """Live ones, by the channel's unique id."""
    waits: bool = False
    parked: bool = False
    """Whether the gateway took it out of a conversation, to somewhere else in the dialplan."""
    queued: bool = False
    """Whether it is in a queue of the PBX."""
    rooms: set[str] = field(default_factory=set)
    moving: Moving | None = None
    attempt: Attempt | None = None
    three: Three | None = None
    customer_answered_at: datetime | None = None
    left_by: Party | None = None
    """Who ended it, once the customer is gone."""
    ended_by: Party | None = None
    """By order of the gateway."""
    alone_since: datetime | None = None
    last_left: tuple[datetime, str] | None = None
    """When an agent hung up last, and whose leg it was."""
    was_reached: bool = False
    """Outbound: whether the customer picked up."""
    failed_at: datetime | None = None
    """When a device was called in vain, while nobody else has been connected or the customer waits."""
    timed_out: bool = False
    """Whether the time was up that the gateway gave."""

    @property
    def talking(self) -> Leg | None:
        """A leg that is connected with the customer."""
        return next((leg for leg in self.legs.values() if leg.connected), None)

    @property
    def is_leaving(self) -> bool:
        """Whether the customer is gone or going."""
        if self.customer is None:
            return self.direction is Direction.INBOUND
        return self.customer.gone or self.customer.requested_at is not None

    def leg(self, name: str | None) -> Leg | None:
        """The live leg of this name."""
        return next((leg for leg in self.legs.values() if leg.name == name), None)

    def leg_at(self, device: str) -> Leg | None:
        """The live leg at a device."""
        return next((leg for leg in self.legs.values() if leg.device == device), None)


@dataclass(frozen=True)
class Ordered:
    """A channel that the gateway orders by a unique id of its own choice."""

    call: str
    leg: str
    device: str
    number: str | None = None
    """Click-to-dial: whom to call then."""
    consults: str | None = None
    joins: str | None = None
    """The channel with which it is to be connected once somebody answers."""


class Memory:
    """All calls of one Asterisk, whose its channels are, and what is to be told of them."""

    def __init__(self, trunks: tuple[str, ...] = ()) -> None:
        self.channels = Channels(trunks)
        self.calls: dict[str, Call] = {}
        self.events: list[PbxEvent] = []
        self.over_limit = 0
        self.of: dict[str, Call] = {}
        """By a channel's unique id, its call."""
        self.linked: dict[str, Call] = {}
        self.asking: dict[str, tuple[Call, str]] = {}
        """By an agent's channel on which they consult somebody: the call that this is about, and their leg of it."""
        self.ordered: dict[str, Ordered] = {}
        self.ordering = False
        """Whether we know what a gateway orders, because it is us."""
        self.stopping = False
        """Whether the PBX is."""

    def tell(self, event: PbxEvent) -> None:
        """This has happened."""
        self.events.append(event)

    def call_in_room(self, room: str) -> Call | None:
        """The call that is in this conference room."""
        return next((call for call in self.calls.values() if room in call.rooms), None)

    def call_of(self, channel: Channel) -> Call | None:
        """The call of a channel."""
        return self.of.get(channel.uid)

    def expect(self, uid: str, ordered: Ordered) -> None:
        """A channel with this unique id is ours."""
        self.ordering = True
        self.ordered[uid] = ordered
        while len(self.ordered) > MAX_CALLS:
            del self.ordered[next(iter(self.ordered))]

    def leg_at(self, device: str) -> tuple[Call, Leg] | None:
        """The call that an agent has at this device: the one on hold, else any."""
        found = [(call, leg) for call in self.calls.values() for leg in call.legs.values() if leg.device == device]
        return max(found, key=lambda pair: (pair[1].held, pair[1].answered_at is not None), default=None)

    def orphans(self) -> Iterable[Channel]:
        """Real channels that belong to no call yet."""
        return (c for c in self.channels if not c.hidden and c.uid not in self.of and c.uid not in self.asking)

    def calls_around(self, channel: Channel) -> dict[Call, None]:
        """The calls of whoever is connected with a channel, and its own, in an order that is always the same."""
        uids = [channel.uid, *(other.uid for other in self.channels.reached_from(channel))]
        found = [self.of.get(uid) or (self.asking[uid][0] if uid in self.asking else None) for uid in uids]
        return {call: None for call in found if call is not None}

    def is_customer(self, number: str) -> bool:
        """Whether a customer who is there has this number."""
        return any(call.customer is not None and call.customer.number == number for call in self.calls.values())

    def waiting_with(self, number: str) -> Call | None:
        """The call of a customer who is with nobody: with this number, or the only one if they have none."""
        waiting = [
            call
            for call in self.calls.values()
            if call.direction is Direction.INBOUND and call.customer is not None and call.talking is None
        ]
        if not known(number) or not any(c.isdecimal() for c in number):
            nameless = [
                c for c in waiting if c.customer is not None and not any(d.isdecimal() for d in c.customer.number)
            ]
            return nameless[0] if len(nameless) == 1 else None
        return next((c for c in waiting if c.customer is not None and c.customer.number == number), None)

    def forget(self, call: Call) -> None:
        """It is over."""
        self.calls.pop(call.name, None)
        for mapping in (self.of, self.linked):
            for key in [key for key, known_call in mapping.items() if known_call is call]:
                del mapping[key]
        for uid in [uid for uid, (about, _) in self.asking.items() if about is call]:
            del self.asking[uid]

    def origin(self, channel: Channel) -> Channel:
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


def named(call: Call, leg: Leg) -> dict[str, str]:
    """The fields by which events name a leg."""
    return {"call": call.name, "leg": leg.name, "device": leg.device}
