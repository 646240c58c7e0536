"""The engine: one workspace's routing as a state machine. Each input has a method that says what it means."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from routing.engine.effects import (
    AgentPut,
    AgentRemoved,
    Effect,
    ItemCancelled,
    ItemChanged,
    ItemCompleted,
    QueueChanged,
    QueueRemoved,
)
from routing.engine.explain import Explanation, ahead_of, explain
from routing.engine.floor import Floor
from routing.engine.inputs import (
    AcceptAssignment,
    CancelItem,
    ChangePriority,
    CompleteAssignment,
    EndWrapUp,
    ExtendWrapUp,
    FireTimers,
    Input,
    MissAssignment,
    PutAgent,
    PutQueue,
    RemoveAgent,
    RemoveQueue,
    RequeueItem,
    SeeDesktop,
    SetDevice,
    SetMode,
    Settle,
    SubmitItem,
    TakeItem,
)
from routing.engine.matching import class_key
from routing.engine.model import (
    AgentOrder,
    AgentRecord,
    Assignment,
    AssignmentState,
    DeviceState,
    ItemRecord,
    ItemState,
    Miss,
    Mode,
    QueueConfig,
    Requirement,
    Settings,
    Snapshot,
)
from routing.engine.orders import least_loaded, work_key
from routing.engine.refusals import (
    AssignmentNotOpen,
    CyclicOverflow,
    ItemAlreadyOpen,
    ItemNotOpen,
    StillInUse,
    UnknownAgent,
    UnknownQueue,
    WrongState,
)
from routing.engine.relaxation import next_step
from routing.engine.state import CALL, AgentEntry, WorkEntry, new_status
from routing.engine.timers import Timer

PRESENCE_LOST = "presence_lost"


class Engine:
    """The state of one workspace. Same inputs at same times give same effects, also after a restore.

    ``new_assignment_id`` makes an assignment's id from its fencing token; it may be called for several
    tokens in one step. If the transaction that stores the effects of a step fails, throw the engine away
    and restore one from storage.
    """

    def __init__(
        self,
        new_assignment_id: Callable[[int], str],
        settings: Settings | None = None,
        order: AgentOrder = least_loaded,
    ) -> None:
        self._floor = Floor(new_assignment_id, settings or Settings(), order)
        self._methods: dict[type, Callable[[Any], None]] = {
            PutQueue: self._put_queue,
            RemoveQueue: self._remove_queue,
            PutAgent: self._put_agent,
            RemoveAgent: self._remove_agent,
            SetMode: self._set_mode,
            SetDevice: self._set_device,
            SeeDesktop: self._see_desktop,
            SubmitItem: self._submit_item,
            CancelItem: self._cancel_item,
            ChangePriority: self._change_priority,
            RequeueItem: self._requeue_item,
            TakeItem: self._take_item,
            AcceptAssignment: self._accept_assignment,
            MissAssignment: self._miss_assignment,
            CompleteAssignment: self._complete_assignment,
            EndWrapUp: self._end_wrap_up,
            ExtendWrapUp: self._extend_wrap_up,
            FireTimers: self._fire_timers,
            Settle: self._settle,
        }

    @classmethod
    def restore(
        cls,
        snapshot: Snapshot,
        new_assignment_id: Callable[[int], str],
        settings: Settings | None = None,
        order: AgentOrder = least_loaded,
    ) -> "Engine":
        """An engine that goes on where the one whose effects were stored stopped."""
        engine = cls(new_assignment_id, settings, order)
        engine._load(snapshot)
        return engine

    def step(self, input: Input, now: int, happened: int | None = None) -> list[Effect]:
        """Apply one input at ``now`` (ms). A ``now`` before that of the last step counts as that one.

        ``happened`` (ms) is when accepted work really began or ended, if that is heard of later: what it says stands
        in the assignment, while timers and idle times, which are decisions, count from ``now``.

        Raises:
            EngineRefusal: it cannot be done; nothing has changed.
        """
        floor = self._floor
        floor.begin(now, happened)
        self._methods[type(input)](input)
        return floor.commit()

    def next_due(self) -> int | None:
        """When the next :class:`FireTimers` is wanted (ms)."""
        return self._floor.timers.next_due()

    def explain(self, item_id: str, now: int) -> Explanation:
        """Every agent's chances for an open item. Looks at every agent: on demand only.

        Raises:
            ItemNotOpen: it is over, or never was.
        """
        return explain(self._floor, self._open(item_id), now)

    # Reading

    @property
    def token(self) -> int:
        """The greatest fencing token given so far."""
        return self._floor.token

    def agent(self, agent_id: str) -> AgentRecord:
        """Raises: UnknownAgent."""
        agent = self._known(agent_id)
        return AgentRecord(agent_id, agent.profile, agent.status)

    def item(self, item_id: str) -> ItemRecord:
        """Raises: ItemNotOpen."""
        return _record(self._open(item_id))

    def assignment(self, assignment_id: str) -> Assignment:
        """Raises: AssignmentNotOpen."""
        return self._floor.assignment(self._assigned(assignment_id))

    def assignment_of(self, item_id: str) -> Assignment | None:
        """The open assignment of an open item; None while it waits. Raises: ItemNotOpen."""
        return self._open(item_id).assignment

    def line_of(self, item_id: str) -> tuple[int, Requirement]:
        """What an open item asks for now; what waits for the same stands in one line. Raises: ItemNotOpen."""
        demand = self._open(item_id).demand
        return demand.kind, demand.requirement

    def beside(self, item_id: str) -> int:
        """How many others wait in an open item's line; 0 when it does not wait. Raises: ItemNotOpen."""
        line = self._open(item_id).line
        return 0 if line is None else line.count - 1

    def ahead(self, item_id: str) -> int | None:
        """How many of its line go before it; None unless it waits. Looks at all of the line: on demand only.

        Raises: ItemNotOpen.
        """
        return ahead_of(self._open(item_id))

    def waiting(self) -> int:
        """How many items wait."""
        return sum(self._floor.waiting)

    def snapshot(self) -> Snapshot:
        """All that storage keeps; ``restore(snapshot())`` behaves as this engine does."""
        floor = self._floor
        return Snapshot(
            token=floor.token,
            queues=tuple(floor.queues.values()),
            agents=tuple(AgentRecord(a.agent_id, a.profile, a.status) for a in floor.agents.values()),
            items=tuple(_record(work) for work in floor.items.values()),
            assignments=tuple(work.assignment for work in floor.items.values() if work.assignment),
        )

    def _load(self, snapshot: Snapshot) -> None:
        floor = self._floor
        floor.token = snapshot.token
        for queue in snapshot.queues:
            floor.put_queue(queue)
        for stored in snapshot.agents:
            agent = floor.agents[stored.agent_id] = AgentEntry(stored.agent_id, stored.profile, stored.status)
            if agent.mode.signed_in:
                agent.agent_class = floor.matching.sign_in(agent.profile)
            if agent.wrap_up is not None:
                floor.wrap_up(agent, agent.wrap_up)
            floor.watch(agent)
        for record in snapshot.items:
            work = floor.open(record.item)
            if record.state is ItemState.WAITING:
                work.avoid, work.avoid_until = record.avoid, record.avoid_until or 0
                floor.join_line(work)
        for assignment in sorted(snapshot.assignments, key=lambda a: a.token):
            floor.hand_over(floor.items[assignment.item_id], floor.agents[assignment.agent_id], assignment)
        for agent in floor.agents.values():
            floor.seat(agent)
        floor.is_as_stored()

    # Queues

    def _put_queue(self, input: PutQueue) -> None:
        floor, queue = self._floor, input.queue
        was = floor.queues.get(queue.queue_id)
        if was == queue:
            return
        self._check_overflow(queue)
        floor.put_queue(queue)
        floor.effects.append(QueueChanged(queue))
        if was is None:
            return
        asks = (queue.steps, queue.order, queue.acceleration, queue.paused)
        if (was.steps, was.order, was.acceleration, was.paused) != asks:
            self._ask_again(queue, from_the_first_step=was.steps != queue.steps)
        else:
            for work in floor.items.values():
                if work.place is not None and work.item.queue == queue.queue_id:
                    _move(work, queue)

    def _check_overflow(self, queue: QueueConfig) -> None:
        """An item that overflows ends up somewhere."""
        passed = [queue.queue_id]
        while queue.steps and (target := queue.steps[-1].queue) is not None:
            if target in passed:
                raise CyclicOverflow(f"items would go round: {' > '.join([*passed, target])}")
            passed.append(target)
            queue = self._queue(target)

    def _ask_again(self, queue: QueueConfig, *, from_the_first_step: bool) -> None:
        """Each open item asks by what the queue says now. Steps that are due already are taken at once."""
        floor = self._floor
        for work in floor.by_urgency(w for w in floor.items.values() if w.item.queue == queue.queue_id):
            waits = work.place is not None
            if waits:
                floor.leave_line(work)
            again = from_the_first_step and work.item.step > 0
            floor.change(work, replace(work.item, step=0) if again else work.item)
            if again:
                floor.effects.append(ItemChanged(work.item))
            if waits and not floor.offer_to_best(work):
                floor.join_line(work)

    def _remove_queue(self, input: RemoveQueue) -> None:
        floor = self._floor
        self._queue(input.queue_id)
        if any(work.item.queue == input.queue_id for work in floor.items.values()):
            raise StillInUse(f"queue {input.queue_id} has open items")
        for queue in floor.queues.values():
            if any(step.queue == input.queue_id for step in queue.steps):
                raise StillInUse(f"items of queue {queue.queue_id} overflow to queue {input.queue_id}")
        del floor.queues[input.queue_id]
        floor.effects.append(QueueRemoved(input.queue_id))

    # Agents

    def _put_agent(self, input: PutAgent) -> None:
        floor = self._floor
        agent = floor.agents.get(input.agent_id)
        if agent is None:
            agent = AgentEntry(input.agent_id, input.profile, new_status(floor.now))
            floor.agents[input.agent_id] = agent
        elif agent.profile == input.profile:
            return
        old_profile, old_class = agent.profile, agent.agent_class
        agent.profile = input.profile
        floor.effects.append(AgentPut(AgentRecord(agent.agent_id, agent.profile, agent.status)))
        floor.touch(agent)
        if old_class is not None and class_key(old_profile) != class_key(agent.profile):
            floor.unseat(agent)
            agent.agent_class = floor.matching.sign_in(agent.profile)
            floor.matching.sign_out(old_class)
            floor.pass_on([], floor.release(agent))
            floor.serve(agent)

    def _remove_agent(self, input: RemoveAgent) -> None:
        floor = self._floor
        agent = self._known(input.agent_id)
        if any(work.state is ItemState.ACCEPTED for work in agent.held.values()):
            raise StillInUse(f"agent {input.agent_id} has accepted work")
        floor.sign_out(agent)
        released = floor.release(agent)
        withdrawn = floor.withdraw_offers(agent, "agent_removed")
        floor.wrap_up(agent, None)
        agent.device_lost_at = agent.desktop_lost_at = None
        floor.watch(agent)
        del floor.agents[agent.agent_id]
        floor.effects.append(AgentRemoved(agent.agent_id))
        floor.pass_on(withdrawn, released)

    def _set_mode(self, input: SetMode) -> None:
        floor = self._floor
        agent = self._known(input.agent_id)
        ready = input.mode is Mode.READY
        if input.mode is Mode.LEAVING and agent.mode is Mode.OFFLINE:
            return
        if agent.mode is Mode.OFFLINE and input.mode is not Mode.OFFLINE:
            agent.offers = 0
        if ready and (agent.mode is not Mode.READY or agent.wrap_up is not None):
            agent.idle_since = floor.now
        agent.mode = input.mode
        agent.mode_reason = None if ready else input.reason
        agent.misses = 0
        floor.touch(agent)
        if input.mode is not Mode.LEAVING:
            floor.wrap_up(agent, None)
        if not input.mode.signed_in:
            floor.sign_out(agent)
        elif agent.agent_class is None:
            agent.agent_class = floor.matching.sign_in(agent.profile)
        if not ready:
            self._withdraw(agent, f"agent_{input.mode}")
        if agent.agent_class is not None:
            floor.serve(agent)

    def _set_device(self, input: SetDevice) -> None:
        floor = self._floor
        agent = self._known(input.agent_id)
        if agent.device is input.device:
            return
        agent.device = input.device
        floor.touch(agent)
        if input.device is DeviceState.UNREACHABLE:
            self._withdraw(agent, "device_unreachable", (CALL,))
        elif (
            input.device is DeviceState.IDLE
            and agent.mode is Mode.NOT_READY
            and agent.misses
            and agent.mode_reason in (Miss.UNREACHABLE, Miss.BUSY)
        ):
            agent.mode = Mode.READY
            agent.mode_reason = None
            agent.misses = 0
            agent.idle_since = floor.now
        if agent.agent_class is not None:
            floor.serve(agent)

    def _see_desktop(self, input: SeeDesktop) -> None:
        floor = self._floor
        agent = self._known(input.agent_id)
        grace_ms = floor.settings.presence_grace_ms
        if agent.mode is not Mode.OFFLINE and grace_ms is not None:
            agent.desktop_lost_at = max(floor.now, input.until) + grace_ms
            floor.watch(agent)
            floor.touch(agent)

    def _give_up(self, agent: AgentEntry) -> None:
        """The agent is gone; what others can do for them goes back to where it was."""
        floor = self._floor
        agent.mode, agent.mode_reason = Mode.OFFLINE, PRESENCE_LOST
        agent.misses = 0
        floor.wrap_up(agent, None)
        floor.sign_out(agent)
        returned = floor.withdraw_offers(agent, PRESENCE_LOST)
        for work in [work for work in agent.held.values() if work.kind != CALL]:
            floor.finish(work, PRESENCE_LOST)
            returned.append(work)
        floor.pass_on(returned, floor.release(agent))

    def _withdraw(self, agent: AgentEntry, outcome: str, kinds: Iterable[int] | None = None) -> None:
        """Offers to the agent go to others; the agent is to be served after it."""
        floor = self._floor
        floor.unseat(agent)
        withdrawn = floor.withdraw_offers(agent, outcome, kinds)
        for work in withdrawn:
            floor.avoid(work, agent)
        floor.pass_on(withdrawn, floor.release(agent))

    def _end_wrap_up(self, input: EndWrapUp) -> None:
        agent = self._known(input.agent_id)
        if agent.wrap_up is None:
            raise WrongState(f"agent {input.agent_id} is not in wrap-up")
        self._wrap_up_is_over(agent)

    def _extend_wrap_up(self, input: ExtendWrapUp) -> None:
        floor = self._floor
        agent = self._known(input.agent_id)
        if agent.wrap_up is None:
            raise WrongState(f"agent {input.agent_id} is not in wrap-up")
        if agent.wrap_up.until is None:
            raise WrongState(f"the wrap-up of agent {input.agent_id} ends when they say so")
        if input.until <= floor.now:
            raise WrongState("a wrap-up ends in the future")
        if input.until > agent.wrap_up.limit:
            left_s = (agent.wrap_up.limit - agent.wrap_up.until) // 1000
            raise WrongState(f"the wrap-up of agent {input.agent_id} can be extended by {left_s} s more")
        floor.wrap_up(agent, replace(agent.wrap_up, until=input.until))

    def _wrap_up_is_over(self, agent: AgentEntry) -> None:
        floor = self._floor
        floor.wrap_up(agent, None)
        agent.idle_since = floor.now
        if agent.agent_class is not None:
            floor.serve(agent)

    # Items

    def _submit_item(self, input: SubmitItem) -> None:
        floor, item = self._floor, input.item
        self._queue(item.queue)
        if item.item_id in floor.items:
            raise ItemAlreadyOpen(f"item {item.item_id} is open already")
        floor.place(floor.open(item))

    def _cancel_item(self, input: CancelItem) -> None:
        floor = self._floor
        work = self._open(input.item_id)
        if work.state is ItemState.ACCEPTED:
            self._complete(work, input.outcome)
            return
        agent = None
        if work.state is ItemState.OFFERED:
            agent = floor.end(work, AssignmentState.CANCELLED, input.outcome)
        else:
            floor.leave_line(work)
        floor.forget(work)
        floor.effects.append(ItemCancelled(work.item, input.outcome))
        if agent is not None:
            floor.serve(agent)

    def _change_priority(self, input: ChangePriority) -> None:
        work = self._open(input.item_id)
        if work.item.priority == input.priority:
            return
        work.item = replace(work.item, priority=input.priority)
        self._floor.effects.append(ItemChanged(work.item))
        if work.place is not None:
            _move(work, self._queue(work.item.queue))

    def _requeue_item(self, input: RequeueItem) -> None:
        floor = self._floor
        work = self._open(input.item_id)
        was = work.item
        item = replace(
            was,
            queue=was.queue if input.queue is None else input.queue,
            requirement=was.requirement if input.requirement is None else input.requirement,
            priority=was.priority if input.priority is None else input.priority,
            due_at=was.due_at if input.due_at is None else input.due_at,
        )
        if input.preferred_agent is not None:
            self._known(input.preferred_agent)
            item = replace(item, preferred_agent=input.preferred_agent, preferred_until=input.preferred_until)
        self._queue(item.queue)
        if item.queue != was.queue:
            item = replace(item, step=0, queued_at=floor.now)
        agent = None
        if work.state is ItemState.WAITING:
            if item == was:
                return
            floor.leave_line(work)
        elif work.state is ItemState.OFFERED:
            agent = floor.end(work, AssignmentState.CANCELLED, input.outcome)
        else:
            agent = floor.finish(work, input.outcome)
        if item != was:
            floor.change(work, item)
            floor.effects.append(ItemChanged(item))
        if agent is not None:
            floor.avoid(work, agent)
        floor.place(work)
        if agent is not None:
            floor.serve(agent)

    def _take_item(self, input: TakeItem) -> None:
        floor = self._floor
        work = self._open(input.item_id)
        taker = self._known(input.agent_id)
        if work.assignment is not None and work.assignment.agent_id == taker.agent_id:
            if work.state is ItemState.OFFERED:
                floor.accept(work)
            return
        giver = None
        if work.state is ItemState.WAITING:
            floor.leave_line(work)
        elif work.state is ItemState.OFFERED:
            giver = floor.end(work, AssignmentState.CANCELLED, input.outcome)
        else:
            giver = floor.finish(work, input.outcome)
        floor.take(work, taker)
        withdrawn = floor.withdraw_overfull(taker)
        for other in withdrawn:
            floor.avoid(other, taker)
            floor.place(other)
        if giver is not None:
            floor.serve(giver)
        floor.serve(taker)

    # Assignments

    def _accept_assignment(self, input: AcceptAssignment) -> None:
        work = self._assigned(input.assignment_id)
        if work.state is ItemState.OFFERED:
            self._floor.accept(work)

    def _miss_assignment(self, input: MissAssignment) -> None:
        work = self._assigned(input.assignment_id)
        if work.state is not ItemState.OFFERED:
            raise WrongState(f"assignment {input.assignment_id} is accepted")
        declined = input.reason is Miss.DECLINED
        self._miss(work, AssignmentState.DECLINED if declined else AssignmentState.FAILED, input.reason)

    def _miss(self, work: WorkEntry, state: AssignmentState, reason: Miss) -> None:
        """The item goes on to another agent; this one becomes not ready if it happened often enough.

        What an agent misses while in a call does not count.
        """
        floor = self._floor
        agent = floor.end(work, state, reason)
        agent.idle_since = floor.now
        placed = [work]
        if not agent.exclusive:
            agent.misses += 1
            allowed = floor.settings.misses_allowed.get(reason)
            if agent.mode is Mode.READY and allowed is not None and agent.misses >= allowed:
                agent.mode = Mode.NOT_READY
                agent.mode_reason = reason
                placed = floor.by_urgency([work, *floor.withdraw_offers(agent, "agent_not_ready")])
        for item in placed:
            floor.avoid(item, agent)
            floor.place(item)
        floor.serve(agent)

    def _complete_assignment(self, input: CompleteAssignment) -> None:
        work = self._assigned(input.assignment_id)
        if work.state is not ItemState.ACCEPTED:
            raise WrongState(f"assignment {input.assignment_id} is not accepted yet")
        self._complete(work, input.outcome)

    def _complete(self, work: WorkEntry, outcome: str | None) -> None:
        floor = self._floor
        agent = floor.finish(work, outcome)
        floor.forget(work)
        floor.effects.append(ItemCompleted(work.item, outcome))
        floor.serve(agent)

    # Time

    def _fire_timers(self, _: FireTimers) -> None:
        floor = self._floor
        while due := floor.timers.pop_due(floor.now):
            timer, id = due
            if timer is Timer.OFFER_EXPIRES:
                self._miss(floor.assigned[id], AssignmentState.EXPIRED, Miss.NO_ANSWER)
            elif timer is Timer.WRAP_UP_ENDS:
                self._wrap_up_is_over(floor.agents[id])
            elif timer is Timer.DEVICE_LOST or timer is Timer.DESKTOP_LOST:
                self._give_up(floor.agents[id])
            elif timer is Timer.STEP_IS_DUE:
                self._take_step(floor.items[id])
            elif timer is Timer.PATIENCE_ENDS:
                work = floor.items[id]
                floor.leave_line(work)
                floor.open_to_all(work)
                if not floor.offer_to_best(work):
                    floor.join_line(work)
            else:
                work = floor.items[id]
                floor.avoid_no_longer(work)
                floor.offer_to_best(work)

    def _take_step(self, work: WorkEntry) -> None:
        """A waiting item gives something up, or goes to another queue."""
        floor = self._floor
        step = next_step(work.item, floor.queues[work.item.queue])
        assert step is not None
        floor.leave_line(work)
        item = work.item
        if step.queue is not None:
            item = replace(item, queue=step.queue, step=0, queued_at=floor.now)
        else:
            item = replace(item, step=item.step + 1)
        floor.change(work, item)
        floor.effects.append(ItemChanged(item))
        if step.queue is not None:
            floor.place(work)
        elif not floor.offer_to_best(work):
            floor.join_line(work)

    def _settle(self, _: Settle) -> None:
        floor = self._floor
        for agent in floor.agents.values():
            if agent.device is DeviceState.UNREACHABLE or agent.desktop_lost_at is not None:
                floor.touch(agent)
        for work in floor.by_urgency(work for work in floor.items.values() if work.place is not None):
            floor.offer_to_best(work)

    # Looking up

    def _known(self, agent_id: str) -> AgentEntry:
        agent = self._floor.agents.get(agent_id)
        if agent is None:
            raise UnknownAgent(f"no agent {agent_id}")
        return agent

    def _queue(self, queue_id: str) -> QueueConfig:
        queue = self._floor.queues.get(queue_id)
        if queue is None:
            raise UnknownQueue(f"no queue {queue_id}")
        return queue

    def _open(self, item_id: str) -> WorkEntry:
        work = self._floor.items.get(item_id)
        if work is None:
            raise ItemNotOpen(f"item {item_id} is not open")
        return work

    def _assigned(self, assignment_id: str) -> WorkEntry:
        work = self._floor.assigned.get(assignment_id)
        if work is None:
            raise AssignmentNotOpen(f"assignment {assignment_id} is not open")
        return work


def _move(work: WorkEntry, queue: QueueConfig) -> None:
    """Put a waiting item at its place in its line after its urgency changed."""
    line = work.line
    assert line is not None
    line.remove(work)
    line.add(work, work_key(work.item, queue))


def _record(work: WorkEntry) -> ItemRecord:
    if work.place is None or work.avoid is None:
        return ItemRecord(work.item, work.state)
    return ItemRecord(work.item, work.state, work.avoid, work.avoid_until)
