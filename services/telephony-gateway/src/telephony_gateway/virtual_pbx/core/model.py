"""Trunks, devices, calls, legs: what the switch keeps, and what it says about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from telephony_gateway.virtual_pbx.core.scripts import Behaviour, CallerScript, NameEncoding, PartyScript
from telephony_gateway.virtual_pbx.core.timers import Timer


class Direction(StrEnum):
    """Who began the call, seen from the phones of this PBX."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class LegState(StrEnum):
    """Where a leg is while it is up."""

    INITIATED = "initiated"
    RINGING = "ringing"
    CONNECTED = "connected"
    HELD = "held"


class DeviceState(StrEnum):
    """What a device could do just now."""

    IDLE = "idle"
    IN_USE = "in_use"
    UNREACHABLE = "unreachable"


class Failure(StrEnum):
    """Why a device was not connected."""

    NO_ANSWER = "no_answer"
    BUSY = "busy"
    DECLINED = "declined"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"


class By(StrEnum):
    """Who ended a call."""

    CUSTOMER = "customer"
    AGENT = "agent"
    GATEWAY = "gateway"
    PBX = "pbx"


class Refused(Exception):
    """The PBX will not do what it was told. ``reason`` is a stable word, ``detail`` is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened. ``body`` goes over the wire as it is, with ``kind``, ``seq`` and the time."""

    kind: str
    seq: int
    at_us: int
    body: Mapping[str, Any]
    name_encoding: NameEncoding = NameEncoding.UTF8
    """Of ``body["name"]``."""


@dataclass(slots=True)
class Trunk:
    """A line to the outside: the numbers that lead in over it, and how many calls fit."""

    id: str
    dids: tuple[str, ...]
    channels: int
    in_use: int = 0


@dataclass(slots=True, eq=False, repr=False)
class Device:
    """A phone."""

    id: str
    registered: bool = True
    powered: bool = True
    """A phone that is switched off but still registered neither rings nor refuses."""
    behaviour: Behaviour = field(default_factory=Behaviour)
    leg: "Leg | None" = None
    private: Timer | None = None
    """Set while the phone is used for something that is no call of ours."""
    announced: DeviceState = DeviceState.UNREACHABLE
    counted_free: bool = False

    @property
    def busy(self) -> bool:
        """Whether it cannot take a call now, although it could be reached."""
        return self.leg is not None or self.private is not None


@dataclass(slots=True, eq=False, repr=False)
class Leg:
    """One device in one call."""

    id: str
    call: "Call"
    device_id: str
    device: Device | None
    """Set while the leg occupies the device."""
    state: LegState
    initiated_us: int
    ringing_us: int | None = None
    answered_us: int | None = None
    held_us: int | None = None
    consults: "Leg | None" = None
    """The leg whose agent asks this one; the customer is not connected with this one."""
    conference: bool = False
    """It joins those who are there instead of taking the customer over."""
    origin: bool = False
    """It is the phone from which an outbound call is made."""
    scripted: bool = False
    """Its agent acts by behaviour, not by the gateway's command."""
    muted: bool = False
    """The others do not hear its agent."""
    timers: list[Timer] = field(default_factory=list)

    @property
    def up(self) -> bool:
        """Whether it has been answered."""
        return self.state in (LegState.CONNECTED, LegState.HELD)


@dataclass(slots=True, eq=False, repr=False)
class Call:
    """A customer, and the legs that are up for them."""

    id: str
    direction: Direction
    trunk: Trunk
    dialled: str
    number: str | None
    script: CallerScript
    """Of an outbound call: empty but for what is attached to it."""
    party: PartyScript | None
    """Of an outbound call: who is called."""
    tries_left: int
    attributes: dict[str, str]
    offered_us: int
    customer_there: bool
    """Inbound: always. Outbound: since the customer picked up."""
    customer_answered_us: int | None = None
    answered_us: int | None = None
    """When customer and agent were first connected."""
    legs: dict[str, Leg] = field(default_factory=dict)
    attempts: int = 0
    talked_with: list[str] = field(default_factory=list)
    """Devices of the agents who spoke with the customer."""
    patience: Timer | None = None
    key_timers: list[Timer] = field(default_factory=list)
    dialling: list[Timer] = field(default_factory=list)
    talk: Timer | None = None
    talk_left_us: int | None = None
    """What is left of the conversation while it is interrupted, or when ``talk`` was set."""

    def connected(self) -> list[Leg]:
        """The legs that are in conversation with the customer, or hold them."""
        return [leg for leg in self.legs.values() if leg.up and leg.consults is None]


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call that is over, as it was in its last moment."""

    call: Call
    legs: tuple[Leg, ...]
    ended_us: int
    by: By
    cause: str


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call that is over, as the PBX's own books have it. Times are of the PBX's clock."""

    call: str
    tag: str
    direction: str
    trunk: str
    dialled: str
    number: str | None
    offered_us: int
    answered_us: int | None
    ended_us: int
    by: str
    cause: str
    outcome: str
    """``answered``, ``abandoned`` (the customer left before), ``dropped`` (the gateway ended it before),
    ``failed`` (outbound, in vain), ``died`` (with the PBX; whether it had been answered or not)."""
    attempts: int
    """How many devices were tried."""
    devices: tuple[str, ...]
    """Who spoke with the customer."""


@dataclass(slots=True)
class Counts:
    """What happened since the process began; a crash of the PBX does not reset it.

    Inbound: ``placed = offered + rejected``, and ``offered = waiting + in conversation + answered and over +
    abandoned + dropped + died``, of which ``died`` counts calls in either state.
    """

    placed: int = 0
    rejected: int = 0
    offered: int = 0
    answered: int = 0
    completed: int = 0
    """Answered before, and over."""
    abandoned: int = 0
    dropped: int = 0
    died: int = 0
    died_answered: int = 0
    """Those of ``died`` that were in conversation, or had been."""
    outbound: int = 0
    outbound_answered: int = 0
    outbound_ended: int = 0
    connects: int = 0
    """Connect commands that named a new leg."""
    connects_to_dead_calls: int = 0
    connects_repeated: int = 0
    """Connect commands for a leg that was there already."""
    double_connects: int = 0
    """A connect command for a call that had another agent's leg up at that moment."""
    double_answers: int = 0
    """Two agents picked up the same call."""
    legs_failed: dict[str, int] = field(default_factory=dict)
    transfers: int = 0
    conferences: int = 0
    holds: int = 0
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class Offence:
    """Something a gateway must not do, kept for the report."""

    kind: str
    """``double_connect`` or ``double_answer``."""
    at_us: int
    call: str
    leg: str
    device: str
    others: tuple[str, ...]
    """The other legs of the call, ``leg@device``."""
