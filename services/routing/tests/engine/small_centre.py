"""A small contact centre for examples that a supervisor would recognise. Times are seconds."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from routing.engine import (
    AcceptAssignment,
    AgentProfile,
    AgentState,
    Assignment,
    AssignmentOffered,
    Capacity,
    CompleteAssignment,
    Effect,
    Engine,
    FireTimers,
    Input,
    Item,
    Miss,
    MissAssignment,
    Mode,
    PutAgent,
    PutQueue,
    QueueConfig,
    Requirement,
    SetMode,
    SubmitItem,
    WorkKind,
)

CALL, LEAD, REQUEST = WorkKind.CALL, WorkKind.LEAD, WorkKind.SERVICE_REQUEST
EVERYTHING = {CALL: 1, LEAD: 3, REQUEST: 3}


class Centre:
    """A small contact centre with a clock. Methods return the step's effects; ids are as short as can be."""

    def __init__(self, **options: Any) -> None:
        self.engine = Engine(lambda token: f"assignment-{token}", **options)
        self.seconds = 1_000
        self.queue("support")

    def step(self, input: Input) -> list[Effect]:
        return self.engine.step(input, self.seconds * 1000)

    def wait(self, seconds: int) -> list[Effect]:
        """Time passes, and timers fire when they are due."""
        end, effects = self.seconds + seconds, []
        while (due := self.engine.next_due()) is not None and due <= end * 1000:
            self.seconds = due // 1000
            effects += self.step(FireTimers())
        self.seconds = end
        return effects

    def queue(self, queue: str, **config: Any) -> None:
        self.step(PutQueue(QueueConfig(queue, **config)))

    def agent(
        self,
        agent: str,
        skills: dict[str, int] | None = None,
        items: dict[WorkKind, int] | None = None,
        total: int | None = None,
        territories: Iterable[str] = (),
    ) -> list[Effect]:
        """A ready agent with a phone, a second after the one before."""
        self.seconds += 1
        capacity = Capacity({CALL: 1} if items is None else items, total)
        self.step(PutAgent(agent, AgentProfile(skills or {}, tuple(territories), capacity, f"phone-{agent}")))
        return self.step(SetMode(agent, Mode.READY))

    def submit(
        self,
        item: str,
        kind: WorkKind = CALL,
        queue: str = "support",
        skills: dict[str, int] | None = None,
        territory: str | None = None,
        priority: int = 0,
        waited: int = 0,
        prefer: str | None = None,
        any_of: Iterable[dict[str, int]] = (),
        wanted: dict[str, int] | None = None,
        patience: int | None = None,
    ) -> list[Effect]:
        requirement = Requirement.of(skills or {}, territory, any_of, wanted)
        made = Item(item, kind, queue, requirement, priority, (self.seconds - waited) * 1000, prefer)
        if patience is not None:
            made = replace(made, preferred_until=(self.seconds + patience) * 1000)
        return self.step(SubmitItem(made))

    def submit_many(self, *items: str, **options: Any) -> None:
        for item in items:
            self.submit(item, **options)

    def accept(self, item: str) -> list[Effect]:
        return self.step(AcceptAssignment(self.assignment(item).assignment_id))

    def miss(self, item: str, reason: Miss = Miss.DECLINED) -> list[Effect]:
        return self.step(MissAssignment(self.assignment(item).assignment_id, reason))

    def complete(self, item: str) -> list[Effect]:
        if self.assignment(item).accepted_at is None:
            self.accept(item)
        return self.step(CompleteAssignment(self.assignment(item).assignment_id))

    def assignment(self, item: str) -> Assignment:
        assignment = self.engine.assignment_of(item)
        assert assignment is not None, f"{item} waits"
        return assignment

    def holder(self, item: str) -> str | None:
        assignment = self.engine.assignment_of(item)
        return assignment.agent_id if assignment else None

    def state(self, agent: str) -> tuple[AgentState, str | None]:
        status = self.engine.agent(agent).status
        return status.state, status.reason


def offers(effects: list[Effect]) -> list[tuple[str, str]]:
    return [(e.assignment.item_id, e.assignment.agent_id) for e in effects if isinstance(e, AssignmentOffered)]


def kinds(effects: list[Effect]) -> list[type]:
    return [type(effect) for effect in effects]
