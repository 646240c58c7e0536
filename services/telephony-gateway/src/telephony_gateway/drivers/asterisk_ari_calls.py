"""What the ARI driver remembers: calls, their legs, and which leg belongs to which call.

A call is named after the customer's channel; one that the gateway dials, as the gateway says. Channels and bridges
that we make carry both names (``agent~CALL~LEG``, ``talk~CALL``): whoever sees them, after whatever restart, knows
what they are. Channels that somebody else originated into our application are joined to a call by what they have in
common with it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from telephony_gateway.domain.words import Direction

AGENT = "agent"
CUSTOMER = "customer"
TALK = "talk"
WAIT = "wait"
MAX_CALLS = 10_000
MAX_LEGS = 20_000
MAX_BRIDGES = 40_000
MAX_OVER = 20_000
"""So many channels that are over are remembered: late and doubled events about them mean nothing."""

_WORD = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:+-]{0,99}$")


class Purpose(StrEnum):
    """What a leg of ours was called for."""

    CONNECT = "connect"
    TRANSFER = "transfer"
    CONSULT = "consult"
    CONFERENCE = "conference"
    DIAL = "dial"
    """Click-to-dial: once it is picked up, the customer is called."""


@dataclass
class Party:
    """A channel of a call: the customer's, or (`Leg`) an agent's."""

    channel: str
    up_at: datetime | None = None
    ringing_at: datetime | None = None
    bridge: str | None = None
    last_bridge: str | None = None
    hung_up_at: datetime | None = None
    hung_up_itself: bool = False
    """Who is at this channel hung up, not somebody who ended it for them."""
    hung_up_cause: int | None = None
    dial_status: str = ""
    ended_by_us: bool = False
    """The gateway had this channel ended."""
    told: set[str] = field(default_factory=set)
    """What was reported: ``initiated``, ``alerting``, ``answered``."""


@dataclass
class Leg(Party):
    """An agent's channel."""

    leg: str = ""
    device: str = ""
    """Empty until it is known; then nothing is told of it."""
    alias: str = ""
    """How whoever originated it calls the call."""
    presented: str = ""
    """The number, or else the name, that it was called with."""
    originator: str = ""
    purpose: Purpose | None = None
    """None: somebody else's."""
    consults: str | None = None
    call: "Call | None" = None
    initiated_at: datetime | None = None
    joined_at: datetime | None = None
    """When it was first connected with the customer."""
    held_at: datetime | None = None
    """The gateway took the customer out of their conversation then."""
    hold_told: bool = False
    retrieved_at: datetime | None = None
    """It brought the customer back then."""
    holds_itself: bool = False
    """The phone holds."""
    gave_to: str | None = None
    """The leg to which this one gave the customer."""
    got_from: str | None = None
    """The leg whose place this one took."""

    @property
    def answered(self) -> bool:
        """Whether it was reported as answered."""
        return "answered" in self.told


@dataclass
class Outgoing:
    """The customer's side of a call that we dial."""

    number: str
    trunk: str
    timeout_s: int


@dataclass
class Call:
    """A call that is up."""

    name: str
    direction: Direction
    offered_at: datetime
    dialled: str
    number: str = ""
    caller_name: str = ""
    trunk: str | None = None
    diverted_from: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    customer: Party | None = None
    outgoing: Outgoing | None = None
    legs: dict[str, Leg] = field(default_factory=dict)
    """By channel."""
    left_by: Leg | None = None
    """The agent who was the last to leave, unless somebody came since; and when."""
    left_at: datetime | None = None
    gives: tuple[str, str] | None = None
    """A transfer that is under way: the leg that gets the customer, and the leg that gives."""
    waits_in_bridge: bool = False
    """A holding bridge of ours is there."""
    talks_in_bridge: bool = False
    """A mixing bridge of ours is there."""

    @property
    def customer_number(self) -> str:
        """As it stands on the wire."""
        return self.dialled if self.direction is Direction.OUTBOUND else self.number

    def leg(self, name: str) -> Leg | None:
        """The leg that is called so."""
        return next((leg for leg in self.legs.values() if leg.leg == name), None)

    def parties(self) -> Iterator[Party]:
        """All its channels."""
        if self.customer is not None:
            yield self.customer
        yield from self.legs.values()


def is_word(name: str) -> bool:
    """Whether a name of a call or leg can be part of a channel's id."""
    return _WORD.match(name) is not None


def agent_channel(call: str, leg: str) -> str:
    """The id of an agent's channel."""
    return f"{AGENT}~{call}~{leg}"


def customer_channel(call: str) -> str:
    """The id of the channel on which we call a customer."""
    return f"{CUSTOMER}~{call}"


def talk_bridge(call: str) -> str:
    """The id of the bridge in which they talk."""
    return f"{TALK}~{call}"


def wait_bridge(call: str) -> str:
    """The id of the bridge in which the customer waits, with music."""
    return f"{WAIT}~{call}"


def our_names(channel: str) -> tuple[str, str, str] | None:
    """Role, call and leg that the id of one of our channels says; None if it is not ours."""
    parts = channel.split("~")
    match parts:
        case ["agent", call, leg]:
            return AGENT, call, leg
        case ["customer", call]:
            return CUSTOMER, call, ""
        case _:
            return None


class Memory:
    """All calls, and the legs of whose call nothing is known yet."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}
        self.channels: dict[str, tuple[Call | None, Party]] = {}
        self.holding: dict[str, bool] = {}
        """Bridges, and whether one waits in them."""
        self._aliases: dict[str, str] = {}
        self._over: dict[str, None] = {}

    def is_over(self, channel: str) -> bool:
        """Whether the channel ended a while ago."""
        return channel in self._over

    def is_full(self) -> bool:
        """Whether there is no room for another call or leg."""
        return len(self.calls) >= MAX_CALLS or len(self.channels) >= MAX_LEGS

    def find(self, channel: str) -> tuple[Call | None, Party] | None:
        """The call, if it is known, and the party at this channel."""
        return self.channels.get(channel)

    def add_call(self, call: Call) -> None:
        """A new call."""
        self.calls[call.name] = call
        if call.customer is not None:
            self.set_customer(call, call.customer)

    def set_customer(self, call: Call, party: Party) -> None:
        """The customer is at this channel from now on."""
        if call.customer is not None and call.customer.channel != party.channel:
            self.end(call.customer.channel)
        call.customer = party
        self.channels[party.channel] = (call, party)

    def add_leg(self, leg: Leg) -> None:
        """A new leg; its call may be known later."""
        self.channels[leg.channel] = (leg.call, leg)
        if leg.call is not None:
            self.bind(leg, leg.call)

    def bind(self, leg: Leg, call: Call) -> None:
        """The leg belongs to the call, and so do all others that were originated under the same alias."""
        leg.call = call
        call.legs[leg.channel] = leg
        self.channels[leg.channel] = (call, leg)
        self.name(call, leg.alias)

    def name(self, call: Call, alias: str) -> None:
        """Whoever originates legs of the call calls it so."""
        if alias:
            self._aliases.setdefault(alias, call.name)

    def orphans(self) -> list[Leg]:
        """Legs whose call is not known."""
        return [party for call, party in self.channels.values() if call is None and isinstance(party, Leg)]

    def by_alias(self, alias: str) -> Call | None:
        """The call that is called so by whoever originates its legs."""
        return self.calls.get(alias) or self.calls.get(self._aliases.get(alias, ""))

    def is_holding(self, bridge: str | None) -> bool:
        """Whether one waits in that bridge."""
        return bridge is not None and self.holding.get(bridge, False)

    def end(self, channel: str) -> None:
        """The channel is over."""
        self.forget(channel)
        self._over[channel] = None
        while len(self._over) > MAX_OVER:
            del self._over[next(iter(self._over))]

    def forget(self, channel: str) -> None:
        """The channel is not there, or not yet."""
        found = self.channels.pop(channel, None)
        if found is not None and isinstance(found[1], Leg) and found[0] is not None:
            found[0].legs.pop(channel, None)

    def end_call(self, call: Call) -> None:
        """The call is over, with all its channels."""
        for party in list(call.parties()):
            self.end(party.channel)
        self.calls.pop(call.name, None)
        for alias in [alias for alias, name in self._aliases.items() if name == call.name]:
            del self._aliases[alias]
        for bridge in (talk_bridge(call.name), wait_bridge(call.name)):
            self.holding.pop(bridge, None)

    def call_of(self, leg: Leg) -> Call | None:
        """To which call a leg belongs, by the first evidence that is not ambiguous: the name or alias under which it
        was originated, the channel for which it was, the bridge in which it is, the number that it was called with.
        """
        if leg.alias and (named := self.by_alias(leg.alias)) is not None:
            return named
        if (found := self.channels.get(leg.originator)) is not None and found[0] is not None:
            return found[0]
        if leg.bridge is not None:
            for call in self.calls.values():
                if any(party.bridge == leg.bridge for party in call.parties()):
                    return call
        return self._by_number(leg)

    def _by_number(self, leg: Leg) -> Call | None:
        inbound = [call for call in self.calls.values() if call.direction is Direction.INBOUND]
        if any(c.isdecimal() for c in leg.presented):
            asking = [
                call
                for call in self.calls.values()
                if any(other.device == leg.presented and other.joined_at is not None for other in call.legs.values())
            ]
            calls = asking or [call for call in self.calls.values() if call.customer_number == leg.presented]
        else:
            calls = [call for call in inbound if not any(c.isdecimal() for c in call.number) and not call.legs]
        return calls[0] if len(calls) == 1 else None
