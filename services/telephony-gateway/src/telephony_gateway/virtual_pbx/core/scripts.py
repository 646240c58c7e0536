"""How callers, agents at their phones, and called parties behave. Durations are seconds of the PBX's clock."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Chance = Callable[[], float]
"""Evenly distributed in [0, 1); seeded by whoever builds the switch."""

SECOND_US = 1_000_000


def microseconds(seconds: float) -> int:
    """Seconds as the whole microseconds that timers count in."""
    return round(seconds * SECOND_US)


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Uniform:
    """Anything in between, equally likely."""

    low_s: float
    high_s: float


@dataclass(frozen=True, slots=True)
class Exponential:
    """Memoryless, as talk and patience are in queueing theory."""

    mean_s: float


Duration = Fixed | Uniform | Exponential


def draw_us(duration: Duration, chance: Chance) -> int:
    """One sample, in microseconds."""
    match duration:
        case Fixed(seconds):
            return microseconds(seconds)
        case Uniform(low_s, high_s):
            return microseconds(low_s + (high_s - low_s) * chance())
        case Exponential(mean_s):
            return microseconds(-mean_s * math.log(1.0 - chance()))


class Side(StrEnum):
    """Who puts the phone down when everything is said."""

    CUSTOMER = "customer"
    AGENT = "agent"


class NameEncoding(StrEnum):
    """How the caller's name goes over the wire. Old switches pass GBK bytes on as they come."""

    UTF8 = "utf-8"
    GBK = "gbk"


@dataclass(frozen=True, slots=True)
class Keys:
    """DTMF that a caller presses, ``after_s`` into the call (or after the keys before)."""

    after_s: float
    digits: str


@dataclass(frozen=True, slots=True)
class CallerScript:
    """Somebody who calls, and what they will do."""

    did: str
    number: str | None = None
    """As on the wire: national, international, ``anonymous``; None when the network sends none."""
    name: str = ""
    name_encoding: NameEncoding = NameEncoding.UTF8
    diverted_from: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What the IVR has learned before the call is offered."""
    keys: tuple[Keys, ...] = ()
    patience: Duration | None = None
    """How long they wait for an agent, each time they wait; None: for ever."""
    talk: Duration | None = None
    """How long the conversation lasts, without holds; None: what the agent's behaviour says."""
    hang_up: Side = Side.CUSTOMER
    retries: int = 0
    """How many times they call again after giving up, being turned away, or losing the call with the PBX."""
    retry_after_s: float = 30.0
    tag: str = ""
    """For whoever placed the call; the PBX only hands it back."""


@dataclass(frozen=True, slots=True)
class HoldHabit:
    """With ``chance``, put the customer on hold ``after`` into the conversation, for ``duration``."""

    chance: float
    after: Duration
    duration: Duration


class MoveKind(StrEnum):
    """What an agent does to bring in a colleague."""

    BLIND = "blind"
    ATTENDED = "attended"
    CONFERENCE = "conference"


@dataclass(frozen=True, slots=True)
class MoveHabit:
    """With ``chance``, bring in one of ``to`` (devices), ``after`` into the conversation.

    ATTENDED and CONFERENCE talk with the colleague for ``consult`` before.
    """

    chance: float
    kind: MoveKind
    after: Duration
    to: tuple[str, ...]
    consult: Duration = Fixed(5.0)
    timeout_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the agent at a device does when it rings, and in a conversation."""

    answer_after: Duration | None = Fixed(2.0)
    """From ringing to answer; None: never answers."""
    ignore_chance: float = 0.0
    decline_chance: float = 0.0
    """Of the calls that ring, how many are left to ring, and how many are refused instead of answered."""
    ring_after_s: float = 0.02
    """How long the device needs until it rings."""
    talk: Duration | None = None
    """How long they talk when the caller leaves it to them; None: until somebody hangs up."""
    talk_factor: float = 1.0
    """How long they need compared with what the caller's script says."""
    hold: HoldHabit | None = None
    move: MoveHabit | None = None


@dataclass(frozen=True, slots=True)
class PartyScript:
    """Whoever answers, or does not, at a number that is called from here."""

    ring_after_s: float = 0.5
    answer_after: Duration | None = Fixed(3.0)
    """From ringing to answer; None: nobody is there."""
    busy: bool = False
    talk: Duration | None = Fixed(60.0)
    hang_up: Side = Side.CUSTOMER
    patience: Duration | None = Fixed(60.0)
    """How long they wait when they are left alone on the line."""
