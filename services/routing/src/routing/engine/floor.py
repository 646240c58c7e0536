"""The floor: agents, open items and queues, and the moves that keep their indexes true.

A move does one thing and writes down its effect. Which moves an input means is in ``engine.py``.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from routing.engine.effects import (
    AgentChanged,
    AssignmentAccepted,
    AssignmentCancelled,
    AssignmentCompleted,
    AssignmentDeclined,
    AssignmentExpired,
    AssignmentFailed,
    AssignmentOffered,
    Effect,
    ItemChanged,
    ItemQueued,
)
from routing.engine.matching import Demand, Matching
from routing.engine.model import (
    AgentOrder,
    AgentState,
    AgentStatus,
    Assignment,
    AssignmentState,
    DeviceState,
    Item,
    ItemState,
    Mode,
    QueueConfig,
    Reason,
    Settings,
    WrapUp,
)
from routing.engine.orders import urgency_at, work_key
from routing.engine.relaxation import next_step_at, requirement_of
from routing.engine.state import CALL, KINDS, AgentEntry, Kinds, Place, Seat, WorkEntry
from routing.engine.timers import Timer, Timers
from routing.engine.waiting import Line, is_avoided

ALL_KINDS: Kinds = tuple(range(len(KINDS)))

_ENDINGS: dict[AssignmentState, Callable[[Assignment], Effect]] = {
    AssignmentState.DECLINED: AssignmentDeclined,
    AssignmentState.EXPIRED: AssignmentExpired,
    AssignmentState.FAILED: AssignmentFailed,
    AssignmentState.CANCELLED: AssignmentCancelled,
    AssignmentState.COMPLETED: AssignmentCompleted,
}


class Floor:
    """One workspace. ``now``, ``happened`` and ``effects`` are those of the step under way."""

    def __init__(self, new_assignment_id: Callable[[int], str], settings: Settings, order: AgentOrder) -> None:
        self.settings = settings
        self.now = self.happened = 0
        self.effects: list[Effect] = []
        self.token = 0
        self.queues: dict[str, QueueConfig] = {}
        self.agents: dict[str, AgentEntry] = {}
        self.items: dict[str, WorkEntry] = {}
        self.assigned: dict[str, WorkEntry] = {}
        """Items by the id of their open assignment."""
        self.waiting = [0] * len(KINDS)
        """Items that wait, per kind."""
        self.avoided: dict[str, int] = {}
        """How many waiting items name an agent as the one to avoid."""
        self.paused: dict[str, Line] = {}
        """What waits in queues that are paused, where no agent finds it."""
        self.matching = Matching()
        self.timers = Timers()
        self._new_assignment_id = new_assignment_id
        self._order = order
        self._weights = [settings.weights.get(kind, 1) for kind in KINDS]
        self._exclusive = [kind in settings.exclusive for kind in KINDS]
        self._interrupts = [
            [other for other in ALL_KINDS if KINDS[other] in settings.interrupts.get(kind, ())] for kind in KINDS
        ]
        self._touched: dict[AgentEntry, None] = {}

    def begin(self, now: int, happened: int | None) -> None:
        """A step begins; time does not go back."""
        self.now = max(self.now, now)
        self.happened = self.now if happened is None else min(self.now, happened)
        self.effects = []

    def commit(self) -> list[Effect]:
        """The step is over: what was decided."""
        if self._touched:
            self._report_agents()
        return self.effects

    def is_as_stored(self) -> None:
        """What was restored is nothing to be told."""
        self._touched.clear()

    # What an agent could take

    def order_of(self, queue: QueueConfig) -> AgentOrder:
        """In which order agents are chosen for its items."""
        return queue.order or self._order

    def put_queue(self, queue: QueueConfig) -> None:
        """The queue is treated like this from now on; its open items still are where they were."""
        self.queues[queue.queue_id] = queue
        lanes = len(self.matching.lanes)
        self.matching.lane(self.order_of(queue))
        if len(self.matching.lanes) > lanes:
            for agent in self.agents.values():
                if agent.pool is not None:
                    self.seat(agent)

    def has_room(self, agent: AgentEntry, kind: int) -> bool:
        """Whether one more item of this kind fits beside what a signed-in agent holds, and can get through."""
        agent_class = agent.agent_class
        assert agent_class is not None
        return (
            agent.counts[kind] < agent_class.limits[kind]
            and (
                agent_class.total is None or self.weight_beside(agent, kind) + self._weights[kind] <= agent_class.total
            )
            and (kind != CALL or agent.device is not DeviceState.UNREACHABLE)
        )

    def weight_beside(self, agent: AgentEntry, kind: int) -> int:
        """The weight in hand that an item of this kind does not interrupt."""
        weight = agent.weight
        for other in self._interrupts[kind]:
            weight -= agent.counts[other] * self._weights[other]
        return weight

    def open_kinds(self, agent: AgentEntry) -> Kinds:
        """The kinds of which the agent can be offered one more item."""
        if (
            agent.exclusive
            or agent.wrap_up is not None
            or agent.mode is not Mode.READY
            or agent.device is DeviceState.IN_USE
        ):
            return ()
        return tuple([kind for kind in ALL_KINDS if self.has_room(agent, kind)])

    def _is_overfull(self, agent: AgentEntry, kind: int) -> bool:
        """Whether the agent holds more of this kind, or more in all, than the agent's capacity."""
        capacity = agent.profile.capacity
        return agent.counts[kind] > capacity.items.get(KINDS[kind], 0) or (
            capacity.total is not None and self.weight_beside(agent, kind) > capacity.total
        )

    def seat(self, agent: AgentEntry) -> None:
        """Bring the agent's place in the pools up to date."""
        self._seat_for(agent, self.open_kinds(agent))

    def _seat_for(self, agent: AgentEntry, kinds: Kinds) -> None:
        if agent.pool is not None:
            agent.pool.remove(agent)
        if kinds and agent.agent_class is not None:
            self.matching.pool(agent.agent_class, kinds).add(agent, self.matching.lanes)

    def unseat(self, agent: AgentEntry) -> None:
        """Take the agent out of the pools."""
        if agent.pool is not None:
            agent.pool.remove(agent)

    def sign_out(self, agent: AgentEntry) -> None:
        """The agent is no longer one of those who could take anything."""
        if agent.agent_class is not None:
            self.unseat(agent)
            self.matching.sign_out(agent.agent_class)
            agent.agent_class = None

    # Matching

    def place(self, work: WorkEntry) -> None:
        """Give an item that is nowhere to the best eligible agent, or let it wait."""
        agent_id = work.item.preferred_agent
        if work.item.preferred_until is not None and (work.avoid == agent_id or not self._could_take(agent_id, work)):
            self.open_to_all(work)
        if not self.offer_to_best(work):
            self.join_line(work)
            avoid_until = None if work.avoid is None else work.avoid_until
            self.effects.append(ItemQueued(work.item, work.avoid, avoid_until))

    def offer_to_best(self, work: WorkEntry) -> bool:
        """Give an item to the best eligible agent, if there is one. It leaves its line then."""
        if self.queues[work.item.queue].paused:
            return False
        if work.item.preferred_until is not None:
            return self._offer_to_preferred(work)
        demand = work.demand
        avoided = self._unseat_avoided(work)
        first, second, eligible = demand.best()
        if first is not None:
            seat: Seat = first
            preferred = work.item.preferred_agent
            if preferred is not None:
                other = self.agents.get(preferred)
                seat = (demand.seat_of(other) if other is not None else None) or first
            agent: AgentEntry = seat[-1]
            pool, agent_class = agent.pool, agent.agent_class
            assert pool is not None and agent_class is not None
            pool.remove(agent)
            next_best: Seat | None = None
            if seat is not first:
                next_best = first
            elif eligible > 1:
                next_best = demand.best_after(agent_class, pool, second)
            if work.place is not None:
                self.leave_line(work)
            self._offer(
                work,
                agent,
                Reason(
                    eligible,
                    demand.key_at(seat),
                    next_best[-1].agent_id if next_best else None,
                    demand.key_at(next_best) if next_best else None,
                    preferred == agent.agent_id,
                    work.item.step,
                ),
            )
            self.seat(agent)
        if avoided is not None:
            self.seat(avoided)
        return first is not None

    def _offer_to_preferred(self, work: WorkEntry) -> bool:
        agent = self.agents[work.item.preferred_agent or ""]
        if work.demand.seat_of(agent) is None:
            return False
        self.unseat(agent)
        if work.place is not None:
            self.leave_line(work)
        self._offer(work, agent, Reason(1, work.demand.key_of(agent), None, None, True, work.item.step))
        self.seat(agent)
        return True

    def _could_take(self, agent_id: str | None, work: WorkEntry) -> bool:
        """Whether this agent is signed in and able, be there room or not."""
        agent = self.agents.get(agent_id or "")
        return agent is not None and agent.agent_class in work.demand.classes

    def open_to_all(self, work: WorkEntry) -> None:
        """The item, which is nowhere, waits for its preferred agent no longer."""
        work.item = replace(work.item, preferred_until=None)
        self.effects.append(ItemChanged(work.item))

    def release(self, agent: AgentEntry) -> list[WorkEntry]:
        """What waits for this agent alone and cannot be taken by them any more is for all. It is nowhere then."""
        lines = [*agent.own_lines.values(), *self.paused.values()]
        waiting = [
            place[2]
            for line in lines
            for place in line.places
            if place[2].place is place
            and place[2].item.preferred_until is not None
            and place[2].item.preferred_agent == agent.agent_id
        ]
        released = [work for work in waiting if not self._could_take(agent.agent_id, work)]
        for work in released:
            self.leave_line(work)
            self.open_to_all(work)
        return released

    def pass_on(self, withdrawn: Iterable[WorkEntry], released: Iterable[WorkEntry]) -> None:
        """Place, the most urgent first, what an agent was offered and what waited for that agent."""
        waited = set(released)
        for work in self.by_urgency([*withdrawn, *waited]):
            if work not in waited:
                self.place(work)
            elif not self.offer_to_best(work):
                self.join_line(work)

    def serve(self, agent: AgentEntry) -> None:
        """Give the agent the most urgent items that there is room for, then the agent's places in the pools."""
        while kinds := self.open_kinds(agent):
            work = self._most_urgent_for(agent, kinds)
            if work is None:
                break
            key = work.demand.key_of(agent)
            self.leave_line(work)
            preferred = work.item.preferred_agent == agent.agent_id
            self._offer(work, agent, Reason(1, key, None, None, preferred, work.item.step))
        self._seat_for(agent, kinds)

    def _most_urgent_for(self, agent: AgentEntry, kinds: Kinds) -> WorkEntry | None:
        agent_class = agent.agent_class
        assert agent_class is not None
        avoided = agent.agent_id in self.avoided
        now = self.now
        best: Place | None = None
        for kind in kinds:
            if not self.waiting[kind]:
                continue
            lines: Iterable[Line] = agent_class.lines[kind]
            if agent.own_lines:
                lines = [*lines, *(line for key, line in agent.own_lines.items() if key[0] == kind)]
            for line in lines:
                head = line.head
                if head is not None and avoided and is_avoided(head[2], agent, now):
                    head = line.head_for(agent, now)
                if head is None:
                    continue
                if line.acceleration != 1:
                    head = (urgency_at(head[0], line.acceleration, now), head[1], head[2])
                if best is None or head < best:
                    best = head
        return best[2] if best else None

    def _unseat_avoided(self, work: WorkEntry) -> AgentEntry | None:
        """The agent whom the item avoids just now, if there is one; no longer seated for this kind."""
        if work.avoid is None or self.now >= work.avoid_until:
            return None
        agent = self.agents.get(work.avoid)
        if agent is None or work.demand.seat_of(agent) is None:
            return None
        self.unseat(agent)
        return agent

    # Assignments

    def assignment(self, work: WorkEntry) -> Assignment:
        """Of an item that is offered or accepted."""
        assert work.assignment is not None
        return work.assignment

    def _offer(self, work: WorkEntry, agent: AgentEntry, reason: Reason) -> None:
        self.token += 1
        assignment = Assignment(
            self._new_assignment_id(self.token),
            self.token,
            work.item.item_id,
            agent.agent_id,
            agent.profile.device_id,
            AssignmentState.OFFERED,
            self.now,
            self.now + self.queues[work.item.queue].offer_timeout_ms,
        )
        work.avoid = None
        agent.offers += 1
        agent.last_token = self.token
        self.hand_over(work, agent, assignment)
        self.effects.append(AssignmentOffered(assignment, reason))

    def take(self, work: WorkEntry, agent: AgentEntry) -> None:
        """The agent, to be served later, has an item that is nowhere, without an offer."""
        self.unseat(agent)
        self.token += 1
        assignment = Assignment(
            self._new_assignment_id(self.token),
            self.token,
            work.item.item_id,
            agent.agent_id,
            agent.profile.device_id,
            AssignmentState.ACCEPTED,
            self.happened,
            self.happened,
            self.happened,
        )
        work.avoid = None
        agent.misses = 0
        agent.offers += 1
        agent.last_token = self.token
        self.hand_over(work, agent, assignment)
        self.effects.append(AssignmentAccepted(assignment))

    def hand_over(self, work: WorkEntry, agent: AgentEntry, assignment: Assignment) -> None:
        """Put an item that is nowhere into the agent's hands, under an open assignment."""
        kind = work.kind
        work.assignment = assignment
        self.assigned[assignment.assignment_id] = work
        agent.held[work.item.item_id] = work
        agent.counts[kind] += 1
        agent.weight += self._weights[kind]
        if self._exclusive[kind]:
            agent.exclusive += 1
        if assignment.state is AssignmentState.OFFERED:
            work.state = ItemState.OFFERED
            self.timers.set(Timer.OFFER_EXPIRES, assignment.assignment_id, assignment.expires_at)
        else:
            work.state = ItemState.ACCEPTED
        self.touch(agent)

    def accept(self, work: WorkEntry) -> None:
        """The agent takes what was offered."""
        was = self.assignment(work)
        agent = self.agents[was.agent_id]
        self.timers.cancel(Timer.OFFER_EXPIRES, was.assignment_id)
        work.assignment = Assignment(
            was.assignment_id,
            was.token,
            was.item_id,
            was.agent_id,
            was.device_id,
            AssignmentState.ACCEPTED,
            was.offered_at,
            was.expires_at,
            max(was.offered_at, self.happened),
        )
        work.state = ItemState.ACCEPTED
        if agent.misses:
            agent.misses = 0
            self.touch(agent)
        self.effects.append(AssignmentAccepted(work.assignment))

    def end(self, work: WorkEntry, state: AssignmentState, outcome: str | None) -> AgentEntry:
        """End the item's assignment. The item is nowhere then and the agent without a seat.

        Others come first: place what is to be placed, then :meth:`serve` the agent that is returned.
        """
        was = self.assignment(work)
        agent = self.agents[was.agent_id]
        kind = work.kind
        if was.state is AssignmentState.OFFERED:
            self.timers.cancel(Timer.OFFER_EXPIRES, was.assignment_id)
        del self.assigned[was.assignment_id]
        work.assignment = None
        del agent.held[work.item.item_id]
        agent.counts[kind] -= 1
        agent.weight -= self._weights[kind]
        if self._exclusive[kind]:
            agent.exclusive -= 1
        self.effects.append(
            _ENDINGS[state](
                Assignment(
                    was.assignment_id,
                    was.token,
                    was.item_id,
                    was.agent_id,
                    was.device_id,
                    state,
                    was.offered_at,
                    was.expires_at,
                    was.accepted_at,
                    self.now if was.accepted_at is None else max(was.accepted_at, self.happened),
                    outcome,
                )
            )
        )
        self.unseat(agent)
        self.touch(agent)
        return agent

    def finish(self, work: WorkEntry, outcome: str | None) -> AgentEntry:
        """End accepted work: the agent's idle time begins, after the queue's wrap-up if it has one."""
        agent = self.end(work, AssignmentState.COMPLETED, outcome)
        agent.idle_since = self.now
        wrap_up = self.queues[work.item.queue].wrap_up(self.now)
        if wrap_up is not None and agent.mode is not Mode.OFFLINE:
            self.wrap_up(agent, wrap_up.joined(agent.wrap_up))
        return agent

    def withdraw_offers(self, agent: AgentEntry, outcome: str, kinds: Iterable[int] | None = None) -> list[WorkEntry]:
        """Cancel what is only offered to the agent. Returns the items, most urgent first, to be placed."""
        withdrawn = [
            work
            for work in agent.held.values()
            if work.state is ItemState.OFFERED and (kinds is None or work.kind in kinds)
        ]
        for work in withdrawn:
            self.end(work, AssignmentState.CANCELLED, outcome)
        return self.by_urgency(withdrawn)

    def withdraw_overfull(self, agent: AgentEntry) -> list[WorkEntry]:
        """Cancel the newest offers to an agent who holds too much, as far as that helps."""
        withdrawn = []
        for work in reversed(list(agent.held.values())):
            if work.state is ItemState.OFFERED and self._is_overfull(agent, work.kind):
                self.end(work, AssignmentState.CANCELLED, "no_room")
                withdrawn.append(work)
        return self.by_urgency(withdrawn)

    def avoid(self, work: WorkEntry, agent: AgentEntry) -> None:
        """Do not offer the item to this agent for a while, unless no other signed-in agent could take it."""
        classes = work.demand.classes
        others = len(classes) > 1 or any(
            agent_class is not agent.agent_class or agent_class.signed_in > 1 for agent_class in classes
        )
        if others and self.settings.reoffer_after_ms:
            work.avoid = agent.agent_id
            work.avoid_until = self.now + self.settings.reoffer_after_ms

    def avoid_no_longer(self, work: WorkEntry) -> None:
        """A waiting item avoids nobody from now on."""
        if work.avoid is not None:
            self._forget_avoided(work.avoid, work)
            work.avoid = None

    def _forget_avoided(self, agent_id: str, work: WorkEntry) -> None:
        self.timers.cancel(Timer.AVOIDANCE_ENDS, work.item.item_id)
        self.avoided[agent_id] -= 1
        if not self.avoided[agent_id]:
            del self.avoided[agent_id]

    # Items

    def open(self, item: Item) -> WorkEntry:
        """A new item, which is nowhere yet."""
        demand = self._demand_of(item)
        work = self.items[item.item_id] = WorkEntry(item, demand)
        return work

    def change(self, work: WorkEntry, item: Item) -> None:
        """An item that is nowhere asks for something else."""
        demand = self._demand_of(item)
        self.matching.close_item(work.demand)
        work.item = item
        work.demand = demand

    def _demand_of(self, item: Item) -> Demand:
        """What it asks for now."""
        queue = self.queues[item.queue]
        asked = requirement_of(item, queue) if item.step else item.requirement
        return self.matching.open_item(item.kind, asked, queue.order or self._order, queue.acceleration)

    def join_line(self, work: WorkEntry) -> None:
        """An item that is nowhere waits."""
        queue = self.queues[work.item.queue]
        work.state = ItemState.WAITING
        self.waiting[work.kind] += 1
        line = work.demand.line
        if work.item.preferred_until is not None:
            own = self.agents[work.item.preferred_agent or ""].own_lines
            if not queue.paused:
                line = own.setdefault((work.kind, queue.acceleration), Line(queue.acceleration))
            self.timers.set(Timer.PATIENCE_ENDS, work.item.item_id, work.item.preferred_until)
        if queue.paused:
            line = self.paused.setdefault(queue.queue_id, Line(queue.acceleration))
        line.add(work, work_key(work.item, queue))
        if queue.steps:
            due = next_step_at(work.item, queue)
            if due is not None:
                self.timers.set(Timer.STEP_IS_DUE, work.item.item_id, due)
        if work.avoid is not None and work.avoid_until <= self.now:
            work.avoid = None
        if work.avoid is not None:
            self.avoided[work.avoid] = self.avoided.get(work.avoid, 0) + 1
            self.timers.set(Timer.AVOIDANCE_ENDS, work.item.item_id, work.avoid_until)

    def leave_line(self, work: WorkEntry) -> None:
        """A waiting item waits no longer; it is nowhere then, and still avoids whom it avoided."""
        line = work.line
        assert line is not None
        line.remove(work)
        self.waiting[work.kind] -= 1
        self.timers.cancel(Timer.STEP_IS_DUE, work.item.item_id)
        if work.item.preferred_until is not None:
            self.timers.cancel(Timer.PATIENCE_ENDS, work.item.item_id)
            own = self.agents[work.item.preferred_agent or ""].own_lines
            if not line.count and own.get((work.kind, line.acceleration)) is line:
                del own[work.kind, line.acceleration]
        if work.avoid is not None:
            self._forget_avoided(work.avoid, work)

    def forget(self, work: WorkEntry) -> None:
        """An item that is nowhere is over."""
        del self.items[work.item.item_id]
        self.matching.close_item(work.demand)

    def by_urgency(self, works: Iterable[WorkEntry]) -> list[WorkEntry]:
        """Most urgent first."""

        def urgency(work: WorkEntry) -> tuple[int, str]:
            queue = self.queues[work.item.queue]
            return urgency_at(work_key(work.item, queue), queue.acceleration, self.now), work.item.item_id

        return sorted(works, key=urgency)

    # Agents

    def wrap_up(self, agent: AgentEntry, wrap_up: WrapUp | None) -> None:
        """The agent wraps up, or does so no longer."""
        if wrap_up is not None and wrap_up.until is not None:
            self.timers.set(Timer.WRAP_UP_ENDS, agent.agent_id, wrap_up.until)
        else:
            self.timers.cancel(Timer.WRAP_UP_ENDS, agent.agent_id)
        agent.wrap_up = wrap_up
        self.touch(agent)

    def watch(self, agent: AgentEntry) -> None:
        """Look at the agent again when the phone, or the desktop, is lost."""
        for timer, lost_at in (
            (Timer.DEVICE_LOST, agent.device_lost_at),
            (Timer.DESKTOP_LOST, agent.desktop_lost_at),
        ):
            if lost_at is None:
                self.timers.cancel(timer, agent.agent_id)
            else:
                self.timers.set(timer, agent.agent_id, lost_at)

    def _note_presence(self, agent: AgentEntry) -> None:
        """The grace for a phone begins when it cannot be reached; nobody looks for who is offline."""
        grace_ms = self.settings.presence_grace_ms
        device, desktop = agent.device_lost_at, agent.desktop_lost_at
        if agent.mode is Mode.OFFLINE or grace_ms is None:
            device = desktop = None
        elif agent.device is not DeviceState.UNREACHABLE:
            device = None
        elif device is None:
            device = self.now + grace_ms
        if device != agent.device_lost_at or desktop != agent.desktop_lost_at:
            agent.device_lost_at, agent.desktop_lost_at = device, desktop
            self.watch(agent)

    def touch(self, agent: AgentEntry) -> None:
        """Something of the agent's status may have changed."""
        self._touched[agent] = None

    def _report_agents(self) -> None:
        """Write down what became of the agents' status in this step."""
        for agent in self._touched:
            if agent.agent_id not in self.agents:
                continue
            was = agent.status
            if agent.mode is Mode.LEAVING and not agent.held and agent.wrap_up is None:
                agent.mode = Mode.OFFLINE
            self._note_presence(agent)
            state = self.state_of(agent)
            reason = agent.mode_reason if state in (AgentState.NOT_READY, AgentState.OFFLINE) else None
            if agent.mode is Mode.LEAVING and state is AgentState.NOT_READY:
                reason = reason or Mode.LEAVING
            visible = state is not was.state or reason != was.reason
            if (
                visible
                or agent.idle_since != was.idle_since
                or agent.mode is not was.mode
                or agent.wrap_up != was.wrap_up
                or agent.misses != was.misses
                or agent.last_token != was.last_token
                or agent.offers != was.offers
                or agent.device is not was.device
                or agent.device_lost_at != was.device_lost_at
                or agent.desktop_lost_at != was.desktop_lost_at
                or agent.mode_reason != was.mode_reason
            ):
                agent.status = AgentStatus(
                    state,
                    reason,
                    self.now if visible else was.since,
                    agent.mode,
                    agent.mode_reason,
                    agent.device,
                    agent.idle_since,
                    agent.wrap_up,
                    agent.misses,
                    agent.offers,
                    agent.last_token,
                    agent.device_lost_at,
                    agent.desktop_lost_at,
                )
                self.effects.append(AgentChanged(agent.agent_id, agent.status, visible))
        self._touched.clear()

    def state_of(self, agent: AgentEntry) -> AgentState:
        """What others see; the order of the questions is that of ``AgentState``."""
        if agent.exclusive:
            return AgentState.BUSY
        if agent.mode is Mode.OFFLINE:
            return AgentState.OFFLINE
        if agent.wrap_up is not None:
            return AgentState.WRAP_UP
        if agent.mode is not Mode.READY:
            return AgentState.NOT_READY
        if agent.held and not any(self.has_room(agent, kind) for kind in ALL_KINDS):
            return AgentState.BUSY
        return AgentState.READY
