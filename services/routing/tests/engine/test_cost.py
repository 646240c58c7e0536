"""The cost of a decision does not depend on how many agents or items there are. Counted, not timed."""

import sys
from collections.abc import Callable
from types import FrameType

from routing.engine import (
    AcceptAssignment,
    AgentOrder,
    AgentProfile,
    AgentRecord,
    AgentState,
    AgentStatus,
    AssignmentOffered,
    CompleteAssignment,
    DeviceState,
    Effect,
    Engine,
    Input,
    Item,
    ItemRecord,
    ItemState,
    Mode,
    OrderKey,
    QueueConfig,
    Requirement,
    Snapshot,
    Standing,
    SubmitItem,
    WorkKind,
)

DIFFERENT = 40
"""Profiles of agents, or requirements of items."""
DECISIONS = 200


class Counted(int):
    """A part of a sort key that counts how often it is compared."""

    comparisons = 0

    def __lt__(self, other: object) -> bool:
        Counted.comparisons += 1
        return int(self) < int(other)  # type: ignore[call-overload, no-any-return]

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return int(self) == int(other)  # type: ignore[call-overload, no-any-return]

    def __add__(self, other: int) -> "Counted":
        return Counted(int(self) + other)

    def __sub__(self, other: int) -> "Counted":
        return Counted(int(self) - other)

    def __rmul__(self, other: int) -> "Counted":
        return Counted(other * int(self))

    __hash__ = int.__hash__


def counted_key(agent: Standing) -> OrderKey:
    return (Counted(agent.weight), Counted(agent.idle_since), agent.agent_id)


COUNTED = AgentOrder("counted", counted_key)


def agent(n: int, profile: AgentProfile) -> AgentRecord:
    status = AgentStatus(AgentState.READY, None, 0, Mode.READY, None, DeviceState.IDLE, n, None, 0)
    return AgentRecord(f"agent-{n}", profile, status)


def can(*skills: str) -> AgentProfile:
    return AgentProfile(dict.fromkeys(skills, 50), device_id="phone")


def item(n: int, skill: str) -> Item:
    requirement = Requirement.of({skill: 50})
    return Item(f"item-{n}", WorkKind.CALL, "queue", requirement, n % 10, Counted(n))


def skill(n: int) -> str:
    return f"skill-{n % DIFFERENT}"


class Centre:
    """An engine in the middle of its day. Whatever is offered is accepted and completed."""

    def __init__(self, agents: tuple[AgentRecord, ...], waiting: int) -> None:
        items = tuple(ItemRecord(item(n, skill(n)), ItemState.WAITING) for n in range(waiting))
        self.engine = Engine.restore(Snapshot(0, (QueueConfig("queue"),), agents, items), str, order=COUNTED)
        self.items = waiting
        self.now = 1_000_000

    def submit(self) -> str:
        """One more item that each agent can take; the id of its assignment."""
        self.items += 1
        return self.offered(SubmitItem(item(self.items, "all")))

    def complete(self, assignment_id: str) -> list[Effect]:
        self.step(AcceptAssignment(assignment_id))
        return self.step(CompleteAssignment(assignment_id))

    def step(self, input: Input) -> list[Effect]:
        self.now += 1
        return self.engine.step(input, self.now)

    def offered(self, input: Input) -> str:
        [offer] = [effect for effect in self.step(input) if isinstance(effect, AssignmentOffered)]
        return offer.assignment.assignment_id


def work_per_decision(decide: Callable[[], object]) -> tuple[float, float]:
    """Comparisons of keys, and calls of other functions."""
    calls = 0
    comparing = {Counted.__lt__.__code__, Counted.__eq__.__code__}

    def on_event(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call") and frame.f_code not in comparing

    decide()
    Counted.comparisons = 0
    sys.setprofile(on_event)
    try:
        for _ in range(DECISIONS):
            decide()
    finally:
        sys.setprofile(None)
    return Counted.comparisons / DECISIONS, calls / DECISIONS


def arrivals(agents: int) -> tuple[float, float]:
    profiles = [can(skill(n), "all") for n in range(DIFFERENT)]
    centre = Centre(tuple(agent(n, profiles[n % DIFFERENT]) for n in range(agents)), waiting=0)

    def decide() -> None:
        centre.complete(centre.submit())

    return work_per_decision(decide)


def completions(waiting: int) -> tuple[float, float]:
    centre = Centre((agent(0, can("all", *(skill(n) for n in range(DIFFERENT)))),), waiting)
    current = centre.submit()

    def decide() -> None:
        nonlocal current
        centre.step(AcceptAssignment(current))
        current = centre.offered(CompleteAssignment(current))

    return work_per_decision(decide)


def test_an_arriving_item_costs_the_same_among_100_000_agents() -> None:
    few_comparisons, few_calls = arrivals(1_000)
    many_comparisons, many_calls = arrivals(100_000)
    assert few_comparisons > DIFFERENT, "the best of each class was compared"
    assert many_comparisons < 1.5 * few_comparisons
    assert many_calls < 1.1 * few_calls


def test_an_agent_with_room_costs_the_same_among_100_000_items() -> None:
    few_comparisons, few_calls = completions(1_000)
    many_comparisons, many_calls = completions(100_000)
    assert few_comparisons > DIFFERENT, "the head of each line was compared"
    assert many_comparisons < 1.5 * few_comparisons
    assert many_calls < 1.1 * few_calls


def test_an_arriving_item_does_not_look_at_each_of_1_000_profiles() -> None:
    """Every agent has a profile of their own."""
    centre = Centre(tuple(agent(n, can(f"own-{n}", "all")) for n in range(1_000)), waiting=0)
    comparisons, calls = work_per_decision(lambda: centre.complete(centre.submit()))
    assert comparisons < 200
    assert calls < 200
