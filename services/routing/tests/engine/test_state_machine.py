"""The engine against a naive model that looks at everything, against its invariants, and against itself restored."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from naive_engine import NaiveEngine, Refuses
from routing.engine import (
    ORDERS,
    AcceptAssignment,
    AgentProfile,
    AssignmentAccepted,
    AssignmentCompleted,
    AssignmentOffered,
    CancelItem,
    Capacity,
    ChangePriority,
    CompleteAssignment,
    DeviceState,
    Effect,
    EndWrapUp,
    Engine,
    EngineRefusal,
    ExtendWrapUp,
    FireTimers,
    Input,
    Item,
    ItemState,
    Miss,
    MissAssignment,
    Mode,
    PutAgent,
    PutQueue,
    QueueConfig,
    RemoveAgent,
    RemoveQueue,
    RequeueItem,
    Requirement,
    SeeDesktop,
    SetDevice,
    SetMode,
    Settings,
    Settle,
    Step,
    SubmitItem,
    TakeItem,
    WorkKind,
    WrapUp,
    idle,
    matching,
)
from storage_mirror import StorageMirror

AGENTS = [f"a{n}" for n in range(6)]
QUEUES = ["q1", "q2", "q3"]
SKILLS = ["sales", "language:zh-CN"]
TERRITORIES = ["CN", "CN-31", "CN-31-0115", "CN-310", "CN-44"]

kinds = st.sampled_from(WorkKind)
capacities = st.builds(
    Capacity,
    items=st.fixed_dictionaries({}, optional={kind: st.integers(0, 3) for kind in WorkKind}),
    total=st.none() | st.integers(0, 5),
)
wide_profiles = st.builds(
    AgentProfile,
    skills=st.just(dict.fromkeys(SKILLS, 50)),
    capacity=st.just(Capacity({WorkKind.CALL: 1, WorkKind.LEAD: 2, WorkKind.SERVICE_REQUEST: 2}, 4)),
    device_id=st.just("d1"),
)
profiles = wide_profiles | st.builds(
    AgentProfile,
    skills=st.dictionaries(st.sampled_from(SKILLS), st.sampled_from([0, 30, 60])),
    territories=st.lists(st.sampled_from(TERRITORIES), max_size=2).map(tuple),
    capacity=capacities,
    device_id=st.none() | st.sampled_from(["d1", "d2"]),
)
levels = st.sampled_from([0, 30, 50])
requirements = st.builds(
    Requirement.of,
    st.dictionaries(st.sampled_from(SKILLS), levels, max_size=1),
    st.none() | st.sampled_from(TERRITORIES),
    st.lists(st.dictionaries(st.sampled_from(SKILLS), levels, max_size=2), max_size=2),
    st.dictionaries(st.sampled_from(SKILLS), st.integers(1, 2), max_size=1),
)
steps = st.lists(
    st.builds(
        Step,
        after_ms=st.integers(0, 25),
        levels=st.lists(st.tuples(st.sampled_from([*SKILLS, "language:*"]), levels), max_size=2).map(tuple),
        also=st.lists(st.tuples(st.sampled_from(SKILLS), st.sampled_from([30, 60])), max_size=1).map(tuple),
        wider=st.integers(0, 2),
        priority=st.integers(0, 2),
    ),
    max_size=3,
)
overflows = st.none() | st.builds(Step, after_ms=st.integers(0, 25), queue=st.sampled_from(QUEUES))


def in_time(some: list[Step], overflow: Step | None) -> tuple[Step, ...]:
    """Steps as a queue may have them."""
    taken = sorted(some, key=lambda step: step.after_ms)
    if overflow is not None:
        taken.append(replace(overflow, after_ms=overflow.after_ms + max((s.after_ms for s in some), default=0)))
    return tuple(taken)


queues = st.builds(
    QueueConfig,
    queue_id=st.sampled_from(QUEUES),
    offer_timeout_ms=st.sampled_from([5, 20]),
    wrap_up_ms=st.sampled_from([0, 0, 10, None]),
    wrap_up_extension_ms=st.sampled_from([0, 7]),
    priority=st.integers(0, 2),
    priority_credit_ms=st.sampled_from([0, 10]),
    acceleration=st.sampled_from([1, 1, 5]),
    due_after_ms=st.sampled_from([0, 0, 10]),
    priority_class=st.sampled_from([0, 0, 1]),
    paused=st.sampled_from([False, False, True]),
    steps=st.builds(in_time, steps, overflows),
    order=st.none() | st.sampled_from(list(ORDERS.values())),
)
workspace_settings = st.builds(
    Settings,
    weights=st.sampled_from([{}, {WorkKind.CALL: 2, WorkKind.LEAD: 2}]),
    exclusive=st.sampled_from([frozenset({WorkKind.CALL}), frozenset()]),
    misses_allowed=st.sampled_from([{}, {Miss.NO_ANSWER: 1, Miss.UNREACHABLE: 1}, dict.fromkeys(Miss, 2)]),
    reoffer_after_ms=st.sampled_from([0, 7]),
    presence_grace_ms=st.sampled_from([None, 0, 20]),
    interrupts=st.sampled_from([{}, {WorkKind.CALL: frozenset({WorkKind.LEAD, WorkKind.SERVICE_REQUEST})}]),
)


class EngineMachine(RuleBasedStateMachine):
    """Drives engines with any inputs in any order."""

    @initialize(
        settings=workspace_settings,
        order=st.sampled_from(list(ORDERS.values())),
        roster=st.lists(profiles, min_size=2, max_size=len(AGENTS)),
    )
    def begin(self, settings: Settings, order: Any, roster: list[AgentProfile]) -> None:
        self.settings, self.order = settings, order
        self.engines = [Engine(self.new_id, settings, order)]
        """The first has run from the beginning, the others were restored at some time."""
        self.naive = NaiveEngine(settings, order)
        self.storage = StorageMirror()
        self.now = 1_000
        self.submitted = 0
        self.above_capacity: set[str] = set()
        """Agents who were given work from outside since they were last within their capacity."""
        for queue in QUEUES:
            self.step(
                PutQueue(
                    QueueConfig(queue, offer_timeout_ms=20, wrap_up_ms=5, wrap_up_extension_ms=3, priority_credit_ms=10)
                )
            )
        for agent, profile in zip(AGENTS, roster, strict=False):
            self.step(PutAgent(agent, profile))
            self.step(SetMode(agent, Mode.READY))

    @staticmethod
    def new_id(token: int) -> str:
        return f"assignment-{token}"

    def step(self, input: Input, late: int = 0) -> list[Effect]:
        """Give the input to all, who hear so late (ms) of what it tells, and compare."""
        before = self.storage.snapshot()
        token = self.storage.token
        try:
            expected = self.naive.step(input, self.now)
        except Refuses:
            for engine in self.engines:
                with pytest.raises(EngineRefusal):
                    engine.step(input, self.now, self.now - late)
                assert as_sets(engine.snapshot(), self.now) == as_sets(before, self.now)
            return []
        effects, *others = [engine.step(input, self.now, self.now - late) for engine in self.engines]
        for other in others:
            assert other == effects
        offered = [effect for effect in effects if isinstance(effect, AssignmentOffered)]
        assert [
            (
                offer.assignment.agent_id,
                offer.assignment.item_id,
                offer.reason.eligible,
                offer.reason.winner_key,
                offer.reason.runner_up,
                offer.reason.runner_up_key,
            )
            for offer in offered
        ] == expected
        tokens = [offer.assignment.token for offer in offered]
        assert tokens == sorted(tokens) and all(t > token for t in tokens)
        for effect in effects:
            if isinstance(effect, AssignmentAccepted):
                began, offered_at = effect.assignment.accepted_at, effect.assignment.offered_at
                assert began == max(offered_at, self.now - late)
            if isinstance(effect, AssignmentCompleted):
                assert effect.assignment.ended_at == max(effect.assignment.accepted_at or 0, self.now - late)
        self.storage.write(input, effects)
        if isinstance(input, TakeItem | PutAgent):
            self.above_capacity.add(input.agent_id)
        return effects

    # Inputs

    @rule(ms=st.integers(0, 12))
    def pass_time(self, ms: int) -> None:
        """Timers fire when they are due, or late."""
        self.now += ms
        due = self.engines[0].next_due()
        assert due == min((when for when, _, _ in self.naive.timers()), default=None)
        if due is not None and due <= self.now:
            self.step(FireTimers())

    @rule(kind=kinds, requirement=requirements, data=st.data())
    def submit(self, kind: WorkKind, requirement: Requirement, data: Any) -> None:
        self.submitted += 1
        item = Item(
            item_id=f"i{self.submitted}",
            kind=kind,
            queue=data.draw(st.sampled_from(QUEUES)),
            requirement=requirement,
            priority=data.draw(st.integers(0, 3)),
            submitted_at=self.now - data.draw(st.integers(0, 30)),
            preferred_agent=data.draw(st.none() | st.sampled_from(AGENTS)),
            preferred_until=data.draw(st.none() | st.integers(0, 30).map(lambda ms: self.now + ms)),
            due_at=data.draw(st.none() | st.integers(-10, 30).map(lambda ms: self.now + ms)),
        )
        self.step(SubmitItem(item))

    @rule(count=st.integers(1, 6), kind=kinds)
    def submit_several(self, count: int, kind: WorkKind) -> None:
        for _ in range(count):
            self.submitted += 1
            self.step(SubmitItem(Item(f"i{self.submitted}", kind, "q1", Requirement(), 0, self.now)))

    @rule(pick=st.integers(0, 99))
    def accept(self, pick: int) -> None:
        self.with_assignment(pick, AcceptAssignment)

    @rule(pick=st.integers(0, 99), reason=st.sampled_from(Miss))
    def miss(self, pick: int, reason: Miss) -> None:
        self.with_assignment(pick, lambda id: MissAssignment(id, reason))

    @rule(pick=st.integers(0, 99), accept=st.booleans(), late=st.sampled_from([0, 0, 3, 30]))
    def complete(self, pick: int, accept: bool, late: int) -> None:
        if accept:
            self.with_assignment(pick, AcceptAssignment, late)
        self.with_assignment(pick, lambda id: CompleteAssignment(id, "done"), late)

    @rule(pick=st.integers(0, 99))
    def cancel(self, pick: int) -> None:
        self.with_item(pick, lambda id: CancelItem(id, "abandoned"))

    @rule(pick=st.integers(0, 99), priority=st.integers(0, 5))
    def change_priority(self, pick: int, priority: int) -> None:
        self.with_item(pick, lambda id: ChangePriority(id, priority))

    @rule(pick=st.integers(0, 99), queue=st.none() | st.sampled_from(QUEUES), requirement=st.none() | requirements)
    def requeue(self, pick: int, queue: str | None, requirement: Requirement | None) -> None:
        self.with_item(pick, lambda id: RequeueItem(id, "requeued", queue, requirement))

    @rule(pick=st.integers(0, 99), agent=st.sampled_from(AGENTS), ms=st.none() | st.integers(0, 30))
    def assign(self, pick: int, agent: str, ms: int | None) -> None:
        until = None if ms is None else self.now + ms
        self.with_item(pick, lambda id: RequeueItem(id, "assigned", preferred_agent=agent, preferred_until=until))

    @rule(pick=st.integers(0, 99), agent=st.sampled_from(AGENTS), late=st.sampled_from([0, 0, 3, 30]))
    def take(self, pick: int, agent: str, late: int) -> None:
        self.with_item(pick, lambda id: TakeItem(id, agent), late)

    @rule(agent=st.sampled_from(AGENTS), mode=st.sampled_from(Mode), reason=st.sampled_from(["lunch", "busy"]))
    def set_mode(self, agent: str, mode: Mode, reason: str) -> None:
        self.step(SetMode(agent, mode, reason))

    @rule(agent=st.sampled_from(AGENTS))
    def set_ready(self, agent: str) -> None:
        self.step(SetMode(agent, Mode.READY))

    @rule(agent=st.sampled_from(AGENTS), device=st.sampled_from(DeviceState))
    def set_device(self, agent: str, device: DeviceState) -> None:
        self.step(SetDevice(agent, device))

    @rule(agent=st.sampled_from(AGENTS), ms=st.integers(-5, 20))
    def see_desktop(self, agent: str, ms: int) -> None:
        self.step(SeeDesktop(agent, self.now + ms))

    @rule(agent=st.sampled_from(AGENTS), profile=profiles)
    def put_agent(self, agent: str, profile: AgentProfile) -> None:
        self.step(PutAgent(agent, profile))

    @rule(agent=st.sampled_from(AGENTS))
    def remove_agent(self, agent: str) -> None:
        self.step(RemoveAgent(agent))

    @rule(agent=st.sampled_from(AGENTS), ahead_ms=st.none() | st.integers(-1, 10))
    def change_wrap_up(self, agent: str, ahead_ms: int | None) -> None:
        self.step(EndWrapUp(agent) if ahead_ms is None else ExtendWrapUp(agent, self.now + ahead_ms))

    @rule(queue=queues)
    def put_queue(self, queue: QueueConfig) -> None:
        self.step(PutQueue(queue))

    @rule(queue=st.sampled_from(QUEUES))
    def remove_queue(self, queue: str) -> None:
        self.step(RemoveQueue(queue))

    @rule()
    def take_over(self) -> None:
        """A standby is restored from storage; from now on it must do the same as the others."""
        restored = Engine.restore(self.storage.snapshot(), self.new_id, self.settings, self.order)
        assert restored.step(Settle(), self.now) == []
        self.engines[1:] = [restored]

    def with_item(self, pick: int, make: Callable[[str], Input], late: int = 0) -> None:
        """Mostly an open item, sometimes one that is over or never was."""
        known = [*self.naive.items, "never"]
        self.step(make(known[pick % len(known)]), late)

    def with_assignment(self, pick: int, make: Callable[[str], Input], late: int = 0) -> None:
        known = [w.assignment_id for w in self.naive.items.values() if w.assignment_id] + ["assignment-1"]
        self.step(make(known[pick % len(known)] or ""), late)

    # What must hold

    @invariant()
    def storage_has_all(self) -> None:
        """The effects told storage everything."""
        if hasattr(self, "engines"):
            for engine in self.engines:
                assert as_sets(engine.snapshot(), self.now) == as_sets(self.storage.snapshot(), self.now)

    @invariant()
    def agrees_with_the_naive_model(self) -> None:
        if not hasattr(self, "engines"):
            return
        engine = self.engines[0]
        assert {a.agent_id for a in engine.snapshot().agents} == set(self.naive.agents)
        for agent in self.naive.agents.values():
            status = engine.agent(agent.agent_id).status
            assert status.state == self.naive.state_of(agent)
            assert (status.mode, status.mode_reason) == (agent.mode, agent.reason)
            assert (status.misses, status.idle_since) == (agent.misses, agent.idle_since)
            wrap_up = WrapUp(agent.wrap_up_until, agent.wrap_up_limit) if agent.wrap_up else None
            assert (status.wrap_up, status.device) == (wrap_up, agent.device)
            lost = (agent.device_lost_at, agent.desktop_lost_at)
            assert (status.device_lost_at, status.desktop_lost_at) == lost
            assert (status.offers, status.last_token) == (agent.offers, agent.last_token)
        assert {r.item.item_id for r in engine.snapshot().items} == set(self.naive.items)
        for work in self.naive.items.values():
            record = engine.item(work.item.item_id)
            assert (record.item, record.state) == (work.item, work.state)
            assignment = engine.assignment_of(work.item.item_id)
            assert (assignment.agent_id if assignment else None) == work.agent
        assert engine.waiting() == sum(w.state == ItemState.WAITING for w in self.naive.items.values())

    @invariant()
    def nothing_waits_while_an_eligible_agent_is_free(self) -> None:
        if not hasattr(self, "engines") or any(when <= self.now for when, _, _ in self.naive.timers()):
            return
        for work in self.naive.items.values():
            if work.state == ItemState.WAITING:
                assert not [a for a in self.naive.agents.values() if self.naive.is_eligible(work, a)]

    @invariant()
    def no_agent_above_capacity_and_no_item_with_two(self) -> None:
        if not hasattr(self, "engines"):
            return
        held = self.storage.assignments.values()
        assert len({assignment.item_id for assignment in held}) == len(held)
        for agent_id, record in self.storage.agents.items():
            capacity = record.profile.capacity
            mine = [self.storage.items[a.item_id].item.kind for a in held if a.agent_id == agent_id]
            within = all(mine.count(kind) <= capacity.items.get(kind, 0) for kind in set(mine))
            if capacity.total is not None:
                # A call may come beside what it interrupts; each of the two fits alone.
                interrupted = self.settings.interrupts.get(WorkKind.CALL, frozenset())
                for some in (set(interrupted), set(WorkKind) - interrupted):
                    within = (
                        within and sum(self.settings.weights.get(k, 1) for k in mine if k in some) <= capacity.total
                    )
            if within:
                self.above_capacity.discard(agent_id)
            assert within or agent_id in self.above_capacity

    @invariant()
    def explain_agrees(self) -> None:
        if not hasattr(self, "engines"):
            return
        for work in list(self.naive.items.values())[:3]:
            explanation = self.engines[0].explain(work.item.item_id, self.now)
            free = {c.agent_id for c in explanation.candidates if not c.obstacles}
            assert free == {a.agent_id for a in self.naive.agents.values() if self.naive.is_eligible(work, a)} - (
                {work.agent} if work.agent else set()
            )


def as_sets(snapshot: Any, now: int) -> tuple[Any, ...]:
    """Comparable whatever the order; an avoidance that is over is none."""
    items = {
        (r.item, r.state, *((r.avoid, r.avoid_until) if (r.avoid_until or 0) > now else ())) for r in snapshot.items
    }
    agents = {a.agent_id: a for a in snapshot.agents}
    queues = {q.queue_id: q for q in snapshot.queues}
    return snapshot.token, queues, agents, items, set(snapshot.assignments)


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        EngineMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


def test_any_inputs_in_any_order() -> None:
    run(examples=100, steps=40)


def test_with_rankings_and_without_spare_demands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The structures for many classes and many demands, at the smallest scale."""
    monkeypatch.setattr(idle, "SCAN_UP_TO", 1)
    monkeypatch.setattr(matching, "SPARE_DEMANDS", 0)
    run(examples=100, steps=40)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_a_million_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "SCAN_UP_TO", 2)
    run(examples=5_000, steps=200)
