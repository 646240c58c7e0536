"""The engine's rules without its indexes: every decision looks at everything. The tests compare the two.

Written from the rules in ``routing.engine``, not from its code: where they differ, one of them is wrong.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from routing.engine import (
    AcceptAssignment,
    AgentOrder,
    AgentProfile,
    AgentState,
    CancelItem,
    ChangePriority,
    CompleteAssignment,
    DeviceState,
    EndWrapUp,
    ExtendWrapUp,
    FireTimers,
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
    SeeDesktop,
    SetDevice,
    SetMode,
    Settings,
    Settle,
    Step,
    SubmitItem,
    TakeItem,
    WorkKind,
)

Offer = tuple[str, str, int, Any, str | None, Any]
"""agent, item, eligible, winner's key, runner-up, runner-up's key"""


class Refuses(Exception):
    """The input cannot be applied."""


@dataclass(eq=False)
class NaiveItem:
    item: Item
    state: ItemState = ItemState.WAITING
    agent: str | None = None
    assignment_id: str | None = None
    token: int = 0
    expires_at: int = 0
    avoid: str | None = None
    avoid_until: int = 0


@dataclass(eq=False)
class NaiveAgent:
    agent_id: str
    profile: AgentProfile
    idle_since: int
    mode: Mode = Mode.OFFLINE
    reason: str | None = None
    device: DeviceState = DeviceState.IDLE
    wrap_up: bool = False
    wrap_up_until: int | None = None
    """None in a wrap-up: until the agent says so."""
    wrap_up_limit: int = 0
    misses: int = 0
    offers: int = 0
    last_token: int = 0
    device_lost_at: int | None = None
    desktop_lost_at: int | None = None


@dataclass
class NaiveStanding:
    """An agent as orders see them."""

    agent_id: str
    weight: int
    spare: int
    idle_since: int
    offers: int
    last_token: int


def reaches(profile: AgentProfile, one_of: set[tuple[str, int]]) -> bool:
    return any(profile.skills.get(skill, 0) >= level for skill, level in one_of)


def lowered(skill: str, level: int, step: Step) -> int:
    """What is enough after the step."""
    for name, enough in step.levels:
        if name == skill or (name == "language:*" and skill.startswith("language:")):
            level = min(level, enough)
    return level


@dataclass
class NaiveEngine:
    settings: Settings
    order: AgentOrder
    queues: dict[str, QueueConfig] = field(default_factory=dict)
    agents: dict[str, NaiveAgent] = field(default_factory=dict)
    items: dict[str, NaiveItem] = field(default_factory=dict)
    token: int = 0
    now: int = 0

    def step(self, input: Any, now: int) -> list[Offer]:
        """The offers that the input leads to, in their order."""
        self.now = max(now, self.now)
        self.offers: list[Offer] = []
        self.freed: list[NaiveAgent] = []
        """Agents who look for waiting items only after all else in this step."""
        getattr(self, "on_" + type(input).__name__)(input)
        for agent in self.agents.values():
            if agent.mode == Mode.LEAVING and not agent.wrap_up and not self.held(agent):
                agent.mode = Mode.OFFLINE
            self.note_presence(agent)
        return self.offers

    def note_presence(self, agent: NaiveAgent) -> None:
        grace_ms = self.settings.presence_grace_ms
        if agent.mode == Mode.OFFLINE:
            agent.device_lost_at = agent.desktop_lost_at = None
        elif agent.device != DeviceState.UNREACHABLE or grace_ms is None:
            agent.device_lost_at = None
        elif agent.device_lost_at is None:
            agent.device_lost_at = self.now + grace_ms

    # The rules

    def held(self, agent: NaiveAgent, state: ItemState | None = None) -> list[NaiveItem]:
        mine = [w for w in self.items.values() if w.agent == agent.agent_id and state in (None, w.state)]
        return sorted(mine, key=lambda w: w.token)

    def weight(self, agent: NaiveAgent, beside: WorkKind | None = None) -> int:
        ignored = self.settings.interrupts.get(beside, ()) if beside else ()
        return sum(self.settings.weights.get(w.item.kind, 1) for w in self.held(agent) if w.item.kind not in ignored)

    def key(self, work: NaiveItem, agent: NaiveAgent) -> Any:
        order = self.queues[work.item.queue].order or self.order
        capacity, weight = agent.profile.capacity, self.weight(agent)
        spare = sum(capacity.items.values()) - len(self.held(agent))
        if capacity.total is not None:
            spare = capacity.total - weight
        key = order.key(NaiveStanding(agent.agent_id, weight, spare, agent.idle_since, agent.offers, agent.last_token))
        levels = {skill: level for skill, level in agent.profile.skills.items() if level}
        if order.name == "best_skill":
            asked = self.asked(work.item)
            key = (-sum(max(levels.get(skill, 0) for skill, _ in group) for group in asked), *key)
        elif order.name == "specialists_first":
            key = (len(levels), *key)
        if wanted := work.item.requirement.wanted:
            key = (-sum(times * levels.get(skill, 0) for skill, times in wanted), *key)
        return key

    def urgency(self, work: NaiveItem) -> tuple[int, int, str]:
        queue = self.queues[work.item.queue]
        raised = sum(step.priority for step in queue.steps[: work.item.step])
        urgency = (queue.priority + work.item.priority + raised) * queue.priority_credit_ms
        due_at = work.item.submitted_at + queue.due_after_ms if work.item.due_at is None else work.item.due_at
        urgency += queue.acceleration * (self.now - due_at)
        return (-queue.priority_class, -urgency, work.item.item_id)

    def can_do(self, work: NaiveItem, agent: NaiveAgent) -> bool:
        """Channel, skills, territory; signed in."""
        profile, item = agent.profile, work.item
        return (
            agent.mode in (Mode.READY, Mode.NOT_READY)
            and profile.capacity.items.get(item.kind, 0) > 0
            and (item.kind != WorkKind.CALL or profile.device_id is not None)
            and self.satisfies(item, profile)
        )

    def satisfies(self, item: Item, profile: AgentProfile) -> bool:
        """Skills and territory."""
        if not all(reaches(profile, group) for group in self.asked(item)):
            return False
        territory, steps = item.requirement.territory, self.queues[item.queue].steps[: item.step]
        parts = territory.split("-") if territory else []
        parts = parts[: max(0, len(parts) - sum(step.wider for step in steps))]
        if not parts or not profile.territories:
            return True
        wanted, widened = "-".join(parts) + "-", any(step.wider for step in steps)
        return any(
            wanted.startswith(root + "-") or (widened and (root + "-").startswith(wanted))
            for root in profile.territories
        )

    def asked(self, item: Item) -> list[set[tuple[str, int]]]:
        """Of each of these groups one skill is needed, after the steps taken."""
        groups = [{skill} for skill in item.requirement.skills] + [set(group) for group in item.requirement.any_of]
        for step in self.queues[item.queue].steps[: item.step]:
            groups = [{(skill, lowered(skill, level, step)) for skill, level in group} for group in groups]
            groups = [group | set(step.also) for group in groups if all(level > 0 for _, level in group)]
        return groups

    def has_room(self, kind: WorkKind, agent: NaiveAgent) -> bool:
        capacity = agent.profile.capacity
        limit = capacity.items.get(kind, 0)
        if kind == WorkKind.CALL and (agent.profile.device_id is None or agent.device == DeviceState.UNREACHABLE):
            limit = 0
        weight = self.settings.weights.get(kind, 1)
        return sum(w.item.kind == kind for w in self.held(agent)) < limit and (
            capacity.total is None or self.weight(agent, kind) + weight <= capacity.total
        )

    def is_eligible(self, work: NaiveItem, agent: NaiveAgent) -> bool:
        return (
            self.can_do(work, agent)
            and not self.queues[work.item.queue].paused
            and agent.mode == Mode.READY
            and not agent.wrap_up
            and agent.device != DeviceState.IN_USE
            and not any(w.item.kind in self.settings.exclusive for w in self.held(agent))
            and self.has_room(work.item.kind, agent)
            and not (work.avoid == agent.agent_id and self.now < work.avoid_until)
            and (work.item.preferred_until is None or work.item.preferred_agent == agent.agent_id)
        )

    def state_of(self, agent: NaiveAgent) -> AgentState:
        held = self.held(agent)
        if any(w.item.kind in self.settings.exclusive for w in held):
            return AgentState.BUSY
        if agent.mode == Mode.OFFLINE:
            return AgentState.OFFLINE
        if agent.wrap_up:
            return AgentState.WRAP_UP
        if agent.mode in (Mode.NOT_READY, Mode.LEAVING):
            return AgentState.NOT_READY
        if held and not any(self.has_room(kind, agent) for kind in WorkKind):
            return AgentState.BUSY
        return AgentState.READY

    # Deciding

    def offer(self, work: NaiveItem, agents: list[NaiveAgent]) -> bool:
        eligible = sorted((a for a in agents if self.is_eligible(work, a)), key=lambda a: self.key(work, a))
        if not eligible:
            return False
        winner = next((a for a in eligible if a.agent_id == work.item.preferred_agent), eligible[0])
        others = [a for a in eligible if a is not winner]
        runner_up = (others[0].agent_id, self.key(work, others[0])) if others else (None, None)
        self.offers.append(
            (winner.agent_id, work.item.item_id, len(eligible), self.key(work, winner), runner_up[0], runner_up[1])
        )
        self.give(work, winner, ItemState.OFFERED)
        work.expires_at = self.now + self.queues[work.item.queue].offer_timeout_ms
        return True

    def give(self, work: NaiveItem, agent: NaiveAgent, state: ItemState) -> None:
        self.token += 1
        work.state, work.agent, work.token = state, agent.agent_id, self.token
        agent.offers, agent.last_token = agent.offers + 1, self.token
        work.assignment_id = f"assignment-{self.token}"
        work.avoid = None

    def place(self, work: NaiveItem) -> None:
        work.state, work.agent, work.assignment_id = ItemState.WAITING, None, None
        self.give_up_preferred(work)
        self.offer(work, [a for a in self.agents.values() if a not in self.freed])

    def give_up_preferred(self, work: NaiveItem) -> bool:
        """No item waits for an agent alone who cannot have it."""
        item = work.item
        agent = self.agents.get(item.preferred_agent or "")
        if item.preferred_until is None or (
            agent is not None and self.can_do(work, agent) and work.avoid != agent.agent_id
        ):
            return False
        work.item = replace(item, preferred_until=None)
        return True

    def released(self) -> list[NaiveItem]:
        """What waited for an agent alone who cannot have it any more."""
        return [w for w in self.items.values() if w.state == ItemState.WAITING and self.give_up_preferred(w)]

    def place_all(self, works: list[NaiveItem]) -> None:
        for work in sorted(works, key=self.urgency):
            self.place(work)

    def serve_freed(self) -> None:
        while self.freed:
            agent = self.freed.pop(0)
            while waiting := [
                w for w in self.items.values() if w.state == ItemState.WAITING and self.is_eligible(w, agent)
            ]:
                self.offer(min(waiting, key=self.urgency), [agent])

    def free(self, work: NaiveItem) -> NaiveAgent:
        agent = self.agents[work.agent or ""]
        work.agent = work.assignment_id = None
        if agent not in self.freed:
            self.freed.append(agent)
        return agent

    def finish(self, work: NaiveItem) -> NaiveAgent:
        agent = self.free(work)
        agent.idle_since = self.now
        queue = self.queues[work.item.queue]
        if queue.wrap_up_ms != 0 and agent.mode != Mode.OFFLINE:
            endless = queue.wrap_up_ms is None or (agent.wrap_up and agent.wrap_up_until is None)
            ends = self.now + (queue.wrap_up_ms or 0)
            limit = ends + (queue.wrap_up_extension_ms if queue.wrap_up_ms else 0)
            agent.wrap_up_limit = max(agent.wrap_up_limit if agent.wrap_up else 0, limit)
            agent.wrap_up_until = None if endless else max(agent.wrap_up_until or 0, ends)
            agent.wrap_up = True
        return agent

    def avoid(self, work: NaiveItem, agent: NaiveAgent) -> None:
        others = [a for a in self.agents.values() if a is not agent and self.can_do(work, a)]
        if others and self.settings.reoffer_after_ms:
            work.avoid, work.avoid_until = agent.agent_id, self.now + self.settings.reoffer_after_ms

    def pass_on(self, works: list[NaiveItem], agent: NaiveAgent) -> None:
        for work in sorted(works, key=self.urgency):
            self.avoid(work, agent)
            self.place(work)

    # Inputs

    def on_PutQueue(self, input: PutQueue) -> None:  # noqa: N802
        was, queue = self.queues.get(input.queue.queue_id), input.queue
        seen, follow = {queue.queue_id}, queue
        while (target := follow.steps[-1].queue if follow.steps else None) is not None:
            if target in seen or target not in self.queues:
                raise Refuses
            seen.add(target)
            follow = self.queues[target]
        self.queues[queue.queue_id] = queue
        if was and (was.steps, was.paused) != (queue.steps, queue.paused):
            for work in sorted(self.items.values(), key=self.urgency):
                if work.item.queue == queue.queue_id:
                    if was.steps != queue.steps:
                        work.item = replace(work.item, step=0)
                    self.retry(work)

    def retry(self, work: NaiveItem) -> None:
        """Whoever can take it now, takes it."""
        if work.state == ItemState.WAITING:
            self.offer(work, list(self.agents.values()))

    def on_RemoveQueue(self, input: RemoveQueue) -> None:  # noqa: N802
        if input.queue_id not in self.queues or any(w.item.queue == input.queue_id for w in self.items.values()):
            raise Refuses
        if any(step.queue == input.queue_id for queue in self.queues.values() for step in queue.steps):
            raise Refuses
        del self.queues[input.queue_id]

    def on_PutAgent(self, input: PutAgent) -> None:  # noqa: N802
        agent = self.agents.get(input.agent_id)
        if agent is None:
            self.agents[input.agent_id] = NaiveAgent(input.agent_id, input.profile, self.now)
        else:
            agent.profile = input.profile
            self.freed.append(agent)
            self.place_all(self.released())
            self.serve_freed()

    def on_RemoveAgent(self, input: RemoveAgent) -> None:  # noqa: N802
        agent = self.known(input.agent_id)
        if self.held(agent, ItemState.ACCEPTED):
            raise Refuses
        agent.mode = Mode.OFFLINE
        self.freed.append(agent)
        works = self.released() + self.held(agent, ItemState.OFFERED)
        for work in self.held(agent, ItemState.OFFERED):
            self.free(work)
        self.freed.clear()
        del self.agents[input.agent_id]
        self.place_all(works)

    def on_SetMode(self, input: SetMode) -> None:  # noqa: N802
        agent = self.known(input.agent_id)
        if input.mode == Mode.LEAVING and agent.mode == Mode.OFFLINE:
            return
        if input.mode == Mode.READY and (agent.mode != Mode.READY or agent.wrap_up):
            agent.idle_since = self.now
        if agent.mode == Mode.OFFLINE and input.mode != Mode.OFFLINE:
            agent.offers = 0
        agent.mode = input.mode
        agent.reason = None if input.mode == Mode.READY else input.reason
        if input.mode != Mode.LEAVING:
            agent.wrap_up, agent.wrap_up_until = False, None
        agent.misses = 0
        self.freed.append(agent)
        works = self.released()
        if input.mode != Mode.READY:
            for work in self.held(agent, ItemState.OFFERED):
                self.free(work)
                self.avoid(work, agent)
                works.append(work)
        self.place_all(works)
        self.serve_freed()

    def on_SetDevice(self, input: SetDevice) -> None:  # noqa: N802
        agent = self.known(input.agent_id)
        if agent.device == input.device:
            return
        agent.device = input.device
        self.freed.append(agent)
        if input.device == DeviceState.UNREACHABLE:
            calls = [w for w in self.held(agent, ItemState.OFFERED) if w.item.kind == WorkKind.CALL]
            for work in calls:
                self.free(work)
            self.pass_on(calls, agent)
        was_missing = agent.mode == Mode.NOT_READY and agent.misses
        if input.device == DeviceState.IDLE and was_missing and agent.reason in ("unreachable", "busy"):
            agent.mode, agent.reason, agent.misses = Mode.READY, None, 0
            agent.idle_since = self.now
        self.serve_freed()

    def on_SeeDesktop(self, input: SeeDesktop) -> None:  # noqa: N802
        agent = self.known(input.agent_id)
        if agent.mode != Mode.OFFLINE and self.settings.presence_grace_ms is not None:
            agent.desktop_lost_at = max(self.now, input.until) + self.settings.presence_grace_ms

    def give_up(self, agent: NaiveAgent) -> None:
        agent.mode, agent.reason, agent.misses = Mode.OFFLINE, "presence_lost", 0
        agent.device_lost_at = agent.desktop_lost_at = None
        agent.wrap_up, agent.wrap_up_until = False, None
        works = self.released()
        for work in self.held(agent):
            if work.state == ItemState.ACCEPTED and work.item.kind != WorkKind.CALL:
                self.finish(work)
                works.append(work)
            elif work.state == ItemState.OFFERED:
                self.free(work)
                works.append(work)
        self.freed.clear()
        self.place_all(works)

    def on_EndWrapUp(self, input: EndWrapUp) -> None:  # noqa: N802
        agent = self.known(input.agent_id)
        if not agent.wrap_up:
            raise Refuses
        self.end_wrap_up(agent)

    def end_wrap_up(self, agent: NaiveAgent) -> None:
        agent.wrap_up, agent.wrap_up_until = False, None
        agent.idle_since = self.now
        self.freed.append(agent)
        self.serve_freed()

    def on_ExtendWrapUp(self, input: ExtendWrapUp) -> None:  # noqa: N802
        agent = self.known(input.agent_id)
        if agent.wrap_up_until is None or not self.now < input.until <= agent.wrap_up_limit:
            raise Refuses
        agent.wrap_up_until = input.until

    def on_SubmitItem(self, input: SubmitItem) -> None:  # noqa: N802
        if input.item.item_id in self.items or input.item.queue not in self.queues:
            raise Refuses
        work = self.items[input.item.item_id] = NaiveItem(input.item)
        self.place(work)

    def on_CancelItem(self, input: CancelItem) -> None:  # noqa: N802
        work = self.open(input.item_id)
        if work.state == ItemState.OFFERED:
            self.free(work)
        elif work.state == ItemState.ACCEPTED:
            self.finish(work)
        del self.items[input.item_id]
        self.serve_freed()

    def on_ChangePriority(self, input: ChangePriority) -> None:  # noqa: N802
        work = self.open(input.item_id)
        work.item = replace(work.item, priority=input.priority)

    def on_RequeueItem(self, input: RequeueItem) -> None:  # noqa: N802
        work = self.open(input.item_id)
        changes = {
            name: value
            for name in ("queue", "requirement", "priority", "due_at")
            if (value := getattr(input, name)) is not None
        }
        if changes.get("queue", work.item.queue) not in self.queues:
            raise Refuses
        item = replace(work.item, **changes)
        if input.preferred_agent is not None:
            self.known(input.preferred_agent)
            item = replace(item, preferred_agent=input.preferred_agent, preferred_until=input.preferred_until)
        if item.queue != work.item.queue:
            item = replace(item, step=0, queued_at=self.now)
        agent = None
        if work.state == ItemState.WAITING:
            if item == work.item:
                return
        else:
            agent = self.free(work) if work.state == ItemState.OFFERED else self.finish(work)
        work.item = item
        if agent is not None:
            self.avoid(work, agent)
        self.place(work)
        self.serve_freed()

    def on_TakeItem(self, input: TakeItem) -> None:  # noqa: N802
        work = self.open(input.item_id)
        taker = self.known(input.agent_id)
        if work.agent == taker.agent_id:
            if work.state == ItemState.OFFERED:
                work.state = ItemState.ACCEPTED
                taker.misses = 0
            return
        if work.state == ItemState.OFFERED:
            self.free(work)
        elif work.state == ItemState.ACCEPTED:
            self.finish(work)
        self.give(work, taker, ItemState.ACCEPTED)
        taker.misses = 0
        self.freed.append(taker)
        withdrawn = []
        for other in reversed(self.held(taker, ItemState.OFFERED)):
            capacity = taker.profile.capacity
            count = sum(w.item.kind == other.item.kind for w in self.held(taker))
            if count > capacity.items.get(other.item.kind, 0) or (
                capacity.total is not None and self.weight(taker, other.item.kind) > capacity.total
            ):
                self.free(other)
                withdrawn.append(other)
        self.pass_on(withdrawn, taker)
        self.serve_freed()

    def on_AcceptAssignment(self, input: AcceptAssignment) -> None:  # noqa: N802
        work = self.assigned(input.assignment_id)
        if work.state == ItemState.OFFERED:
            work.state = ItemState.ACCEPTED
            self.agents[work.agent or ""].misses = 0

    def on_MissAssignment(self, input: MissAssignment) -> None:  # noqa: N802
        work = self.assigned(input.assignment_id)
        if work.state != ItemState.OFFERED:
            raise Refuses
        self.miss(work, input.reason)

    def miss(self, work: NaiveItem, reason: Miss) -> None:
        agent = self.free(work)
        agent.idle_since = self.now
        works = [work]
        if not any(w.item.kind in self.settings.exclusive for w in self.held(agent)):
            agent.misses += 1
            allowed = self.settings.misses_allowed.get(reason)
            if agent.mode == Mode.READY and allowed is not None and agent.misses >= allowed:
                agent.mode, agent.reason = Mode.NOT_READY, reason
                for other in self.held(agent, ItemState.OFFERED):
                    self.free(other)
                    works.append(other)
        self.pass_on(works, agent)
        self.serve_freed()

    def on_CompleteAssignment(self, input: CompleteAssignment) -> None:  # noqa: N802
        work = self.assigned(input.assignment_id)
        if work.state != ItemState.ACCEPTED:
            raise Refuses
        self.finish(work)
        del self.items[work.item.item_id]
        self.serve_freed()

    def on_FireTimers(self, input: FireTimers) -> None:  # noqa: N802
        while due := min(self.timers(), default=None):
            when, what, id = due
            if when > self.now:
                break
            if what == 0:
                self.miss(self.assigned(id), Miss.NO_ANSWER)
            elif what == 1:
                self.end_wrap_up(self.agents[id])
            elif what == 2:
                self.items[id].avoid = None
                self.retry(self.items[id])
            elif what == 3:
                self.take_step(self.items[id])
            elif what in (5, 6):
                self.give_up(self.agents[id])
            else:
                self.items[id].item = replace(self.items[id].item, preferred_until=None)
                self.retry(self.items[id])

    def take_step(self, work: NaiveItem) -> None:
        step = self.queues[work.item.queue].steps[work.item.step]
        if step.queue is None:
            work.item = replace(work.item, step=work.item.step + 1)
        else:
            work.item = replace(work.item, queue=step.queue, step=0, queued_at=self.now)
        self.retry(work)

    def timers(self) -> list[tuple[int, int, str]]:
        found = [(w.expires_at, 0, w.assignment_id) for w in self.items.values() if w.state == ItemState.OFFERED]
        for a in self.agents.values():
            found += [(a.device_lost_at, 5, a.agent_id)] if a.device_lost_at is not None else []
            found += [(a.desktop_lost_at, 6, a.agent_id)] if a.desktop_lost_at is not None else []
        found += [(a.wrap_up_until, 1, a.agent_id) for a in self.agents.values() if a.wrap_up_until is not None]
        found += [
            (w.avoid_until, 2, w.item.item_id)
            for w in self.items.values()
            if w.state == ItemState.WAITING and w.avoid is not None
        ]
        for w in self.items.values():
            steps = self.queues[w.item.queue].steps[w.item.step :]
            if w.state == ItemState.WAITING and steps:
                since = w.item.submitted_at if w.item.queued_at is None else w.item.queued_at
                found.append((since + steps[0].after_ms, 3, w.item.item_id))
            if w.state == ItemState.WAITING and w.item.preferred_until is not None:
                found.append((w.item.preferred_until, 4, w.item.item_id))
        return found  # type: ignore[return-value]

    def on_Settle(self, input: Settle) -> None:  # noqa: N802
        pass

    # Looking up

    def known(self, agent_id: str) -> NaiveAgent:
        if agent_id not in self.agents:
            raise Refuses
        return self.agents[agent_id]

    def open(self, item_id: str) -> NaiveItem:
        if item_id not in self.items:
            raise Refuses
        return self.items[item_id]

    def assigned(self, assignment_id: str) -> NaiveItem:
        for work in self.items.values():
            if work.assignment_id == assignment_id:
                return work
        raise Refuses
