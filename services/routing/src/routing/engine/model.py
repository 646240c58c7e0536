"""What the engine knows about: agents, queues, items and assignments, as plain values.

Times are integer milliseconds since the epoch and end in ``_at``, ``_until`` or ``since``; durations are
milliseconds and end in ``_ms``. Ids are strings that others chose. The enums have the same words as
``cordboard_contracts.routing``, which the engine does not import.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Protocol

from routing.engine.values import value

OrderKey = tuple[int | str, ...]
"""By what agents are compared; the smallest is offered first. It ends with the agent's id, so no two are equal."""

Rank = tuple[int, ...]
"""How well agents who can do the same suit an item; it stands before their own keys."""


Skill = tuple[str, int]
"""A skill and the least level of it."""


class WorkKind(StrEnum):
    """What waits for an agent; the channel whose capacity it takes."""

    CALL = "call"
    LEAD = "lead"
    SERVICE_REQUEST = "service_request"


class Mode(StrEnum):
    """What an agent (or a missed offer) said about the agent's readiness."""

    OFFLINE = "offline"
    LEAVING = "leaving"
    """Offline as soon as nothing is in hand and no wrap-up goes on; gets nothing new until then."""
    NOT_READY = "not_ready"
    READY = "ready"

    @property
    def signed_in(self) -> bool:
        """Whether such agents count among those who may get work."""
        return self is Mode.READY or self is Mode.NOT_READY


class AgentState(StrEnum):
    """What an agent does, as others see it. It follows from mode, wrap-up and work in hand.

    The first that applies: holds a call -> busy; mode offline -> offline; in wrap-up -> wrap_up; mode not
    ready or leaving -> not_ready; no room for anything -> busy; else ready.
    """

    OFFLINE = "offline"
    READY = "ready"
    NOT_READY = "not_ready"
    BUSY = "busy"
    WRAP_UP = "wrap_up"


class DeviceState(StrEnum):
    """What the agent's phone could do just now. Unreachable: no calls are offered. In use: nothing is."""

    IDLE = "idle"
    IN_USE = "in_use"
    UNREACHABLE = "unreachable"


class ItemState(StrEnum):
    """Where an open item is. The engine forgets an item when it is completed or cancelled."""

    WAITING = "waiting"
    OFFERED = "offered"
    ACCEPTED = "accepted"


class AssignmentState(StrEnum):
    """Where an assignment is. The engine forgets it when it is in any but the first two."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"
    COMPLETED = "completed"


class Miss(StrEnum):
    """Why an agent did not take what was offered. An offer that expired is a miss for ``no_answer``."""

    NO_ANSWER = "no_answer"
    BUSY = "busy"
    UNREACHABLE = "unreachable"
    DECLINED = "declined"


@value
class Requirement:
    """What an item asks of its agent.

    ``skills`` holds (skill, least level) pairs, all of which the agent must reach, ``any_of`` groups of such
    pairs, of each of which the agent must reach one; use :meth:`of`, which sorts them, so that equal
    requirements are equal values. A language is a skill, see :func:`language_skill`. ``territory`` is a
    hierarchical code, ``CN-31-0115``, which the agent must cover; without one every agent's territory will
    do. ``area`` is wider: an agent who covers it or any part of it will do. ``wanted`` excludes nobody: among
    the eligible, the greatest sum of (weight * level) over these skills comes before all other orders.
    """

    skills: tuple[Skill, ...] = ()
    territory: str | None = None
    any_of: tuple[tuple[Skill, ...], ...] = ()
    area: str | None = None
    wanted: tuple[tuple[str, int], ...] = ()
    """(skill, weight) pairs."""

    @staticmethod
    def of(
        skills: Mapping[str, int],
        territory: str | None = None,
        any_of: Iterable[Mapping[str, int]] = (),
        wanted: Mapping[str, int] | None = None,
    ) -> "Requirement":
        """Least levels of 0 ask nothing and are left out, as is a group in which one is 0 or of which there is none."""
        groups = {_sorted(group) for group in any_of if group and all(group.values())}
        return Requirement(_sorted(skills), territory, tuple(sorted(groups)), wanted=_sorted(wanted or {}))


def _sorted(skills: Mapping[str, int]) -> tuple[Skill, ...]:
    return tuple(sorted((skill, level) for skill, level in skills.items() if level > 0))


def language_skill(language: str) -> str:
    """The skill of speaking a language: ``language:zh-CN``."""
    return f"language:{language}"


@value
class Capacity:
    """How much an agent can have at once, offered or accepted: items of each kind, and weight in total.

    A kind that is missing is a channel that the agent does not work. ``total`` None is no limit of its own.
    """

    items: Mapping[WorkKind, int] = field(default_factory=lambda: {WorkKind.CALL: 1})
    total: int | None = None

    def __post_init__(self) -> None:
        if any(count < 0 for count in self.items.values()):
            raise ValueError("capacity: the number of items of a kind is 0 or more")
        if self.total is not None and self.total < 0:
            raise ValueError("capacity: the total weight is 0 or more")


@value
class AgentProfile:
    """What an agent can do. Agents with equal profiles are interchangeable but for load and idle time.

    ``territories`` are the roots of the sub-trees that the agent covers; none means everywhere. An agent
    without a device gets no calls.
    """

    skills: Mapping[str, int] = field(default_factory=dict)
    territories: tuple[str, ...] = ()
    capacity: Capacity = field(default_factory=Capacity)
    device_id: str | None = None

    def __post_init__(self) -> None:
        for skill, level in self.skills.items():
            if not 0 <= level <= 100:
                raise ValueError(f"skill {skill}: a level is 0 to 100, not {level}")


@value
class WrapUp:
    """What an agent does after an item, until ``until``, or for None until they say so.

    They may ask for more time, up to ``limit``.
    """

    until: int | None
    limit: int

    def joined(self, other: "WrapUp | None") -> "WrapUp":
        """Two items to wrap up: the longer of the two, and what either allows."""
        if other is None:
            return self
        until = None if self.until is None or other.until is None else max(self.until, other.until)
        return WrapUp(until, max(self.limit, other.limit))


@value
class AgentStatus:
    """Everything about an agent that changes while working; stored as it is.

    ``state``, ``reason`` and ``since`` are for others to see. ``mode`` and ``mode_reason`` are what the
    agent said last, ``idle_since`` is when the agent last became ready or finished something,
    ``misses`` counts offers not taken since the last one taken, ``offers`` what the agent was given since the last
    sign-in, offered or not; ``last_token`` is the token of the last of it. At ``device_lost_at`` the agent is given up
    unless the phone can be reached again, at ``desktop_lost_at`` unless the desktop is heard of again.
    """

    state: AgentState
    reason: str | None
    since: int
    mode: Mode
    mode_reason: str | None
    device: DeviceState
    idle_since: int
    wrap_up: WrapUp | None
    misses: int
    offers: int = 0
    last_token: int = 0
    device_lost_at: int | None = None
    desktop_lost_at: int | None = None


@value
class AgentRecord:
    """An agent as stored."""

    agent_id: str
    profile: AgentProfile
    status: AgentStatus


@value
class Step:
    """What is given up, or done, for an item that has waited ``after_ms`` in its queue. Steps add up.

    ``levels``: skills of which a lower level is enough from now on, 0 for none at all; a name may end in ``*``
    to mean all that begin like this. ``also``: skills each of which is enough instead of all that is asked.
    ``wider``: by how many parts of its code the territory grows, ``CN-31-0115`` by one to ``CN-31``; when none is
    left, every territory will do. ``priority`` is added. ``queue``: the item goes there instead, keeps its place by
    time, asks for what it asked at first, and begins with that queue's own steps.
    """

    after_ms: int
    levels: tuple[Skill, ...] = ()
    also: tuple[Skill, ...] = ()
    wider: int = 0
    priority: int = 0
    queue: str | None = None

    def __post_init__(self) -> None:
        if self.after_ms < 0 or self.wider < 0:
            raise ValueError("a step: after_ms and wider are 0 or more")
        if any(level < 0 for _, level in self.levels) or any(level < 1 for _, level in self.also):
            raise ValueError("a step: a level in levels is 0 or more, one in also 1 or more")


@value
class QueueConfig:
    """How the items of a queue are treated.

    ``priority`` is added to that of each item, and each point of priority counts as ``priority_credit_ms``
    of waiting: with a minute per point, an item's urgency is minutes waited + priority. With an ``acceleration`` each
    minute counts as so many. With ``due_after_ms`` time counts from when an item is due, so that of two queues
    without priorities the item with less time left goes first. All of a higher ``priority_class`` come before all of
    a lower one. While it is ``paused`` none of its items is offered; they wait, and take their steps. ``order`` says
    which of the eligible agents is first, if not that of the workspace. ``steps`` are taken one after the other
    while an item waits; none comes before an earlier one, nor after one that names a queue. The wrap-up after an item
    lasts ``wrap_up_ms``, or for None until the agent says so; agents may make it ``wrap_up_extension_ms`` longer.
    """

    queue_id: str
    offer_timeout_ms: int = 20_000
    wrap_up_ms: int | None = 0
    wrap_up_extension_ms: int = 0
    priority: int = 0
    priority_credit_ms: int = 60_000
    acceleration: int = 1
    due_after_ms: int = 0
    priority_class: int = 0
    paused: bool = False
    steps: tuple[Step, ...] = ()
    order: "AgentOrder | None" = None

    def wrap_up(self, now: int) -> WrapUp | None:
        """What follows an item that is finished now."""
        if self.wrap_up_ms is None:
            return WrapUp(None, now)
        until = now + self.wrap_up_ms
        return WrapUp(until, until + self.wrap_up_extension_ms) if self.wrap_up_ms else None

    def __post_init__(self) -> None:
        if any(later.after_ms < step.after_ms or step.queue is not None for step, later in pairwise(self.steps)):
            raise ValueError("steps: each comes after those before it, and none after one that names a queue")
        if self.offer_timeout_ms <= 0:
            raise ValueError("offer_timeout_ms: an offer lasts 1 ms or longer")
        if (self.wrap_up_ms or 0) < 0 or self.wrap_up_extension_ms < 0 or self.priority_credit_ms < 0:
            raise ValueError("wrap_up_ms, wrap_up_extension_ms and priority_credit_ms are 0 or more")
        if not 1 <= self.acceleration <= 1_000 or self.due_after_ms < 0:
            raise ValueError("acceleration is 1 to 1000, due_after_ms 0 or more")


@value
class Item:
    """Something that waits for an agent, or has one.

    ``preferred_agent`` gets it before all others if that agent is eligible and has room when it is placed. Until
    ``preferred_until`` the item waits for that agent alone; the engine gives this up when the agent cannot take it at
    all, is offline, or did not take it. ``step`` is how many steps of its queue were taken, ``queued_at`` when it came
    to that queue if not when it was submitted; the engine changes both. ``due_at`` is when it should be accepted, if
    not as its queue says.
    """

    item_id: str
    kind: WorkKind
    queue: str
    requirement: Requirement
    priority: int
    submitted_at: int
    preferred_agent: str | None = None
    step: int = 0
    queued_at: int | None = None
    due_at: int | None = None
    preferred_until: int | None = None


@value
class ItemRecord:
    """An open item as stored. ``avoid`` is not offered the item before ``avoid_until``."""

    item: Item
    state: ItemState
    avoid: str | None = None
    avoid_until: int | None = None


@value
class Assignment:
    """An item in the hands of an agent, or on its way there.

    ``token`` is the fencing token: it grows with each assignment of the workspace. ``outcome`` says why it
    ended as it did.
    """

    assignment_id: str
    token: int
    item_id: str
    agent_id: str
    device_id: str | None
    state: AssignmentState
    offered_at: int
    expires_at: int
    accepted_at: int | None = None
    ended_at: int | None = None
    outcome: str | None = None


@value
class Reason:
    """Why this agent got it: of how many, by which key, and who would have been next.

    When an agent became free and took a waiting item, that agent is the only eligible one: were there
    another, the item would not have waited.
    """

    eligible: int
    winner_key: OrderKey
    runner_up: str | None = None
    runner_up_key: OrderKey | None = None
    preferred: bool = False
    """It was the item's preferred agent, whatever the keys say."""
    step: int = 0
    """How many steps of its queue the item had taken."""


class Standing(Protocol):
    """What agents are compared by."""

    @property
    def agent_id(self) -> str: ...
    @property
    def weight(self) -> int:
        """In hand, offered or accepted."""

    @property
    def spare(self) -> int:
        """How much more the agent could have: of the total weight if it is limited, else of items of all kinds."""

    @property
    def idle_since(self) -> int: ...
    @property
    def offers(self) -> int: ...
    @property
    def last_token(self) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class AgentOrder:
    """Which of several eligible agents is first: the smallest ``(*rank, *key)``.

    ``key`` must end with the agent's id and change only when something of the agent's standing does. ``rank``
    compares what agents can do: (skill levels, what is asked) -> rank.
    """

    name: str
    key: Callable[[Standing], OrderKey]
    rank: Callable[[Mapping[str, int], Requirement], Rank] | None = None

    def rank_of(self, levels: Mapping[str, int], asked: Requirement) -> Rank:
        """How well agents with these skills suit it, wanted skills first."""
        rank = () if self.rank is None else self.rank(levels, asked)
        if asked.wanted:
            return (-sum(weight * levels.get(skill, 0) for skill, weight in asked.wanted), *rank)
        return rank


@value
class Settings:
    """How a workspace's engine works. Another value needs a restored engine.

    ``weights`` says how much of an agent's total capacity an item of each kind takes (1 when missing). While
    an agent holds an item of an ``exclusive`` kind, nothing else is offered. After ``misses_allowed`` offers
    in a row that were not taken, the last for that reason, the agent becomes not ready with it (never, when
    the reason is missing). ``reoffer_after_ms``: see ``avoid`` in :mod:`routing.engine`.
    An agent whose phone cannot be reached, or whose desktop is silent, for ``presence_grace_ms`` is given up (never,
    when it is None). Kinds that a kind ``interrupts`` do not weigh when there is to be room for one of it: with leads
    in hand as heavy as the agent's total, there may still be room for a call.
    """

    weights: Mapping[WorkKind, int] = field(default_factory=dict)
    exclusive: frozenset[WorkKind] = frozenset({WorkKind.CALL})
    misses_allowed: Mapping[Miss, int] = field(
        default_factory=lambda: {Miss.NO_ANSWER: 1, Miss.UNREACHABLE: 1, Miss.BUSY: 3, Miss.DECLINED: 3}
    )
    reoffer_after_ms: int = 5_000
    presence_grace_ms: int | None = None
    interrupts: Mapping[WorkKind, frozenset[WorkKind]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(weight < 1 for weight in self.weights.values()):
            raise ValueError("weights: an item weighs 1 or more")
        if any(count < 1 for count in self.misses_allowed.values()):
            raise ValueError("misses_allowed: 1 or more; leave a reason out for never")
        if self.presence_grace_ms is not None and self.presence_grace_ms < 0:
            raise ValueError("presence_grace_ms is 0 or more")


@value
class Snapshot:
    """All that an engine is restored from, and all that storage keeps for it.

    ``token`` is the greatest fencing token ever given.
    """

    token: int = 0
    queues: tuple[QueueConfig, ...] = ()
    agents: tuple[AgentRecord, ...] = ()
    items: tuple[ItemRecord, ...] = ()
    """Open ones only."""
    assignments: tuple[Assignment, ...] = ()
    """Offered and accepted ones only."""
