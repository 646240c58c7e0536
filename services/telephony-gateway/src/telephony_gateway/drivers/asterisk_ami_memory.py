"""What the driver over the Manager Interface remembers of a call: its legs, and what is under way with it."""

from dataclasses import dataclass, field
from datetime import datetime

from telephony_gateway.domain.words import Direction, Party
from telephony_gateway.drivers.asterisk_ami_channels import Channel


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
