"""A workspace as its owner holds it: the engine, and what others want to know beside what the engine needs.

Everything here is memory. What a group of messages changed is collected in `Changes`, which `storage.owner_rows`
writes; when that fails, the whole object is thrown away and restored from the database.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from cordboard_chassis.refusals import Conflict, Invalid, NotFound, Refused
from cordboard_contracts import CommandData, Envelope, EventData, new_id, telephony

from routing import engine as core
from routing.announcements import agent_changed, announcement_of
from routing.domain import calendars
from routing.domain.rules import Hours, RuleSet
from routing.domain.times import milliseconds, moment
from routing.domain.waits import Waits

MAX_CLOSED = 20_000
"""Items over since the owner began that are remembered, so that most late messages need no look-up."""
REFUSED = "refused"
"""Outcome of a call that nobody takes: it is hung up."""
ROUTED_TO = "routed_to"
"""Attribute by which the PBX is told what to do with a call that stays with it, such as ``voicemail``."""
OFFER_CALL_BACK = "offer_call_back"
"""Attribute by which the PBX is told to offer the caller to be called back."""
INTERVAL_MS = 15 * 60_000


class HalfDone(Exception):
    """Something was refused after a part of it had been applied: the workspace must be restored."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused)
        self.refused = refused


@dataclass(slots=True)
class WorkspaceConfig:
    """How a workspace routes."""

    workspace_id: str
    org_path: str
    name: str
    agent_order: str
    misses_allowed: dict[str, int]
    weights: dict[str, int]
    reoffer_after_s: int
    version: int
    presence_grace_s: int | None = None
    interrupts: dict[str, list[str]] = field(default_factory=dict)

    def settings(self) -> core.Settings:
        """As the engine wants it."""
        return core.Settings(
            weights={core.WorkKind(kind): weight for kind, weight in self.weights.items()},
            misses_allowed={core.Miss(miss): count for miss, count in self.misses_allowed.items()},
            reoffer_after_ms=self.reoffer_after_s * 1000,
            interrupts={
                core.WorkKind(kind): frozenset(map(core.WorkKind, others)) for kind, others in self.interrupts.items()
            },
            presence_grace_ms=None if self.presence_grace_s is None else self.presence_grace_s * 1000,
        )

    def order(self) -> core.AgentOrder:
        """By what agents are compared."""
        return core.ORDERS[self.agent_order]


@dataclass(slots=True)
class QueueEntry:
    """A queue with what the engine does not need to know."""

    queue_id: str
    name: str
    priority: int
    offer_timeout_s: int
    wrap_up_s: int | None
    """None: until the agent says so."""
    service_level_s: int
    version: int
    steps: list[dict[str, Any]] = field(default_factory=list)
    """As over HTTP."""
    agent_order: str | None = None
    priority_class: int = 0
    acceleration: int = 1
    due_after_s: int = 0
    paused: bool = False
    wrap_up_extension_s: int = 0
    hours: str | None = None
    """The calendar by which it is open."""
    after_hours: dict[str, Any] | None = None
    """As over HTTP."""

    def opening(self) -> Hours | None:
        """As rules want it; None: it is always open."""
        return None if self.hours is None else Hours(self.hours, **(self.after_hours or {}))

    def config(self) -> core.QueueConfig:
        """As the engine wants it."""
        return core.QueueConfig(
            self.queue_id,
            offer_timeout_ms=self.offer_timeout_s * 1000,
            wrap_up_ms=None if self.wrap_up_s is None else self.wrap_up_s * 1000,
            wrap_up_extension_ms=self.wrap_up_extension_s * 1000,
            priority=self.priority,
            priority_class=self.priority_class,
            acceleration=self.acceleration,
            due_after_ms=self.due_after_s * 1000,
            paused=self.paused,
            steps=tuple(_step(step) for step in self.steps),
            order=None if self.agent_order is None else core.ORDERS[self.agent_order],
        )


@dataclass(slots=True)
class CalendarEntry:
    """A calendar as it is stored, and as it is asked."""

    calendar_id: str
    document: dict[str, Any]
    """As over HTTP."""
    version: int
    calendar: calendars.Calendar = field(init=False, compare=False)

    def __post_init__(self) -> None:
        self.calendar = calendars.read(self.document)


@dataclass(slots=True)
class AgentEntry:
    """An agent with what the engine does not need to know."""

    agent_id: str
    org_path: str
    name: str
    profile_version: int
    """Grows when somebody configures the agent; the entity tag."""
    version: int
    """Grows with each change that others hear of; the sequence of ``routing.agent.changed``."""
    profile: core.AgentProfile
    status: core.AgentStatus


@dataclass(slots=True)
class Work:
    """A work item with what the engine does not need to know."""

    work_item_id: UUID
    kind: core.WorkKind
    subject_id: UUID
    subject_sequence: int
    """Version of the call, lead or service request that was last looked at."""
    org_path: str
    queue: str
    priority: int
    requirement: Mapping[str, int]
    submitted_at: datetime
    any_of: Sequence[Mapping[str, int]] = ()
    wanted: Mapping[str, int] = field(default_factory=dict)
    step: int = 0
    queued_at: datetime | None = None
    due_at: datetime | None = None
    state: str = "waiting"
    required_territory: str | None = None
    territory: str | None = None
    language: str | None = None
    customer_id: UUID | None = None
    customer_name: str = ""
    customer_tier: str | None = None
    preferred_agent: str | None = None
    preferred_until: datetime | None = None
    pbx_id: str | None = None
    from_number: str | None = None
    dialled: str | None = None
    call_back: str | None = None
    """The number to call, when the caller asked for it instead of waiting in the line."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    rule: str | None = None
    rule_version: int | None = None
    avoid: str | None = None
    avoid_until: int | None = None
    version: int = 0
    accepted_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: str | None = None
    joined_at: int | None = None
    """Since when (ms) it waits in its line, as far as its present owner saw; this and the next are not stored."""
    expected_ms: int | None = None
    """How long it was then expected to wait."""

    @property
    def item_id(self) -> str:
        """As the engine calls it."""
        return str(self.work_item_id)

    def item(self) -> core.Item:
        """As the engine wants it."""
        return core.Item(
            item_id=self.item_id,
            kind=self.kind,
            queue=self.queue,
            requirement=core.Requirement.of(self.requirement, self.required_territory, self.any_of, self.wanted),
            priority=self.priority,
            submitted_at=milliseconds(self.submitted_at),
            preferred_agent=self.preferred_agent,
            step=self.step,
            queued_at=None if self.queued_at is None else milliseconds(self.queued_at),
            due_at=None if self.due_at is None else milliseconds(self.due_at),
            preferred_until=None if self.preferred_until is None else milliseconds(self.preferred_until),
        )


@dataclass(slots=True)
class Placed:
    """An assignment with what the engine does not need to know."""

    assignment: core.Assignment
    org_path: str
    """That of the agent: whoever may see the agent may see what the agent does."""
    reason: core.Reason | None


@dataclass(slots=True)
class DeviceEntry:
    """What a phone could do when it was last heard of."""

    state: core.DeviceState
    sequence: int


@dataclass(slots=True)
class Announcement:
    """Something to be published when the group commits."""

    data: EventData | CommandData
    subject: str
    sequence: int
    org_path: str
    partition_key: str
    pbx: str | None
    cause: Envelope[Any] | None
    case: UUID | None = None
    """The call, lead or service request; an agent's own changes belong to what caused them."""


@dataclass(slots=True)
class Figures:
    """What happened in a queue within an interval."""

    submitted: int = 0
    accepted: int = 0
    accepted_in_time: int = 0
    completed: int = 0
    cancelled: int = 0
    waited_ms: int = 0


@dataclass(slots=True)
class Changes:
    """What has to be written and said."""

    works: dict[UUID, Work] = field(default_factory=dict)
    placed: dict[str, Placed] = field(default_factory=dict)
    statuses: dict[str, AgentEntry] = field(default_factory=dict)
    profiles: dict[str, AgentEntry] = field(default_factory=dict)
    removed_agents: set[str] = field(default_factory=set)
    queues: dict[str, QueueEntry] = field(default_factory=dict)
    removed_queues: set[str] = field(default_factory=set)
    calendars: dict[str, CalendarEntry] = field(default_factory=dict)
    removed_calendars: set[str] = field(default_factory=set)
    devices: dict[str, DeviceEntry] = field(default_factory=dict)
    rule_sets: list[tuple[int, dict[str, Any], str]] = field(default_factory=list)
    """(version, document, written by)"""
    config: WorkspaceConfig | None = None
    figures: dict[tuple[str, str, int], Figures] = field(default_factory=dict)
    """By queue, org path and begin of the interval (ms)."""
    audit: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """(what was done, by whom, details)"""
    announcements: list[Announcement] = field(default_factory=list)
    heard: dict[str, Envelope[Any] | None] = field(default_factory=dict)
    """Agents that others shall hear of, and why."""
    waits: list[tuple[int, int]] = field(default_factory=list)
    """(expected, really waited), ms, of what was offered after it waited."""


class LiveWorkspace:
    """What the owner of a workspace works with. ``begin`` a group, apply what it holds, write ``changes``."""

    def __init__(
        self,
        config: WorkspaceConfig,
        *,
        queues: Mapping[str, QueueEntry],
        calendars: Mapping[str, CalendarEntry],
        agents: Mapping[str, AgentEntry],
        works: Mapping[UUID, Work],
        placed: Mapping[str, Placed],
        devices: Mapping[str, DeviceEntry],
        rule_set: RuleSet | None,
        token: int,
    ) -> None:
        self.config = config
        self.queues = dict(queues)
        self.calendars = dict(calendars)
        self.agents = dict(agents)
        self.works = dict(works)
        self.placed = dict(placed)
        self.devices = dict(devices)
        self.rule_set = rule_set
        self.agent_at = {
            entry.profile.device_id: entry.agent_id for entry in agents.values() if entry.profile.device_id
        }
        self._closed: OrderedDict[UUID, None] = OrderedDict()
        self.engine = self._engine(token)
        self.waits = Waits()
        self.changes = Changes()
        self.now = 0
        self.cause: Envelope[Any] | None = None

    def clock(self) -> calendars.Clock:
        """What time it is, for rules and queues that ask."""
        return calendars.Clock(
            moment(self.now), {entry.calendar_id: entry.calendar for entry in self.calendars.values()}
        )

    def hours(self, queue_id: str) -> Hours | None:
        """When a queue is open, if not always."""
        entry = self.queues.get(queue_id)
        return None if entry is None else entry.opening()

    def begin(self, now: datetime) -> None:
        """A new group: nothing is changed yet."""
        self.changes = Changes()
        self.now = milliseconds(now)
        self.cause = None

    def finish(self) -> Changes:
        """What the group changed. Of several changes of one agent, others hear the last."""
        changes = self.changes
        for agent_id, cause in changes.heard.items():
            entry = self.agents.get(agent_id)
            if entry is None:
                continue
            entry.version += 1
            changes.statuses[agent_id] = entry
            changes.announcements.append(
                Announcement(
                    agent_changed(self.config.workspace_id, entry),
                    agent_id,
                    entry.version,
                    entry.org_path,
                    agent_id,
                    None,
                    cause,
                )
            )
        return changes

    def wait_s(self, now: datetime) -> float | None:
        """How long nothing has to be done, if nothing comes; None: until something comes."""
        due = self.engine.next_due()
        return None if due is None else max(0, due - milliseconds(now)) / 1000

    def fire_timers(self) -> None:
        """Do what is due."""
        due = self.engine.next_due()
        if due is not None and due <= self.now:
            self.step(core.FireTimers())

    def step(self, given: core.Input, happened: datetime | None = None) -> None:
        """Tell the engine, and take over what it decides. ``happened``: when somebody really began or ended a talk.

        Raises:
            Refused: the engine says no; nothing has changed.
        """
        try:
            effects = self.engine.step(given, self.now, None if happened is None else milliseconds(happened))
        except core.EngineRefusal as refusal:
            raise _refused(refusal) from refusal
        for effect in effects:
            self._take_over(effect)

    def is_closed(self, work_item_id: UUID) -> bool:
        """Whether an item is known to be over."""
        return work_item_id in self._closed

    def remember_closed(self, work_item_id: UUID) -> None:
        """An item is over; what comes for it from now on comes late."""
        self._closed[work_item_id] = None
        if len(self._closed) > MAX_CLOSED:
            self._closed.popitem(last=False)

    def submit(self, work: Work) -> None:
        """Something new wants an agent."""
        self.works[work.work_item_id] = work
        self.touch(work)
        self._figures(work).submitted += 1
        self.step(core.SubmitItem(work.item()))

    def submit_closed(self, work: Work, *, completed: bool, outcome: str) -> None:
        """Something that we hear of only now that it is over."""
        self.touch(work)
        self._figures(work).submitted += 1
        closed = core.ItemCompleted if completed else core.ItemCancelled
        self._close(work, closed(work.item(), outcome))

    def end_call(self, work: Work, outcome: str) -> None:
        """Routing is done with a call before any agent had it: it is hung up, or left to the PBX, which is told."""
        if outcome == REFUSED:
            self._tell_pbx(work, telephony.HangUpCall(call_id=work.subject_id))
        else:
            self._tell_pbx(work, telephony.SetCallAttributes(call_id=work.subject_id, attributes={ROUTED_TO: outcome}))

    def _tell_pbx(self, work: Work, asked: CommandData) -> None:
        call_id = work.subject_id
        self.changes.announcements.append(
            Announcement(
                asked,
                str(call_id),
                work.version,
                work.org_path,
                str(call_id),
                work.pbx_id,
                self.cause,
                call_id,
            )
        )

    def touch(self, work: Work) -> None:
        """The row of this item has to be written."""
        self.changes.works[work.work_item_id] = work

    def open_assignment(self, work: Work) -> core.Assignment | None:
        """Who is offered an item, or has it."""
        return self.engine.assignment_of(work.item_id) if work.work_item_id in self.works else None

    def hear_of(self, agent_id: str) -> None:
        """Others shall be told how this agent is now."""
        self.changes.heard[agent_id] = self.cause

    def say_removed(self, entry: AgentEntry) -> None:
        """Others shall be told that this agent is gone: offline, without a device."""
        entry.version += 1
        gone = replace(
            entry,
            profile=replace(entry.profile, device_id=None),
            status=replace(entry.status, state=core.AgentState.OFFLINE, reason="removed"),
        )
        self.changes.announcements.append(
            Announcement(
                agent_changed(self.config.workspace_id, gone),
                entry.agent_id,
                entry.version,
                entry.org_path,
                entry.agent_id,
                None,
                self.cause,
            )
        )

    def reconfigure(self, config: WorkspaceConfig) -> None:
        """Route by other settings from now on."""
        self.config = config
        self.changes.config = config
        self.engine = core.Engine.restore(self.engine.snapshot(), _assignment_id, config.settings(), config.order())
        self.step(core.Settle())

    def _engine(self, token: int) -> core.Engine:
        snapshot = core.Snapshot(
            token=token,
            queues=tuple(queue.config() for queue in self.queues.values()),
            agents=tuple(core.AgentRecord(a.agent_id, a.profile, a.status) for a in self.agents.values()),
            items=tuple(
                core.ItemRecord(work.item(), core.ItemState(work.state), work.avoid, work.avoid_until)
                for work in self.works.values()
            ),
            assignments=tuple(placed.assignment for placed in self.placed.values()),
        )
        return core.Engine.restore(snapshot, _assignment_id, self.config.settings(), self.config.order())

    def _take_over(self, effect: core.Effect) -> None:
        match effect:
            case core.AgentChanged(agent_id, status, visible):
                entry = self.agents[agent_id]
                entry.status = status
                self.changes.statuses[agent_id] = entry
                if visible:
                    self.hear_of(agent_id)
            case core.AgentPut(record):
                # The use case that put the agent makes the entry; a new one's status comes from the engine.
                if record.agent_id in self.agents:
                    self.agents[record.agent_id].status = record.status
            case core.ItemQueued(item, avoid, avoid_until):
                work = self._changed(item)
                work.state, work.avoid, work.avoid_until = "waiting", avoid, avoid_until
                self._expect(work)
                self._announce(effect, work)
            case core.ItemChanged(item):
                self._changed(item)
            case core.ItemCompleted(item) | core.ItemCancelled(item):
                self._close(self.works[UUID(item.item_id)], effect)
            case core.QueueChanged() | core.QueueRemoved() | core.AgentRemoved():
                pass  # rows of configuration are the business of the use case that changed it
            case _:
                self._place(effect)

    def _changed(self, item: core.Item) -> Work:
        work = self.works[UUID(item.item_id)]
        self._offer_call_back(work, item)
        work.queue, work.priority = item.queue, item.priority
        work.step, work.queued_at = item.step, None if item.queued_at is None else moment(item.queued_at)
        work.due_at = None if item.due_at is None else moment(item.due_at)
        work.preferred_until = None if item.preferred_until is None else moment(item.preferred_until)
        work.preferred_agent = item.preferred_agent
        work.requirement = dict(item.requirement.skills)
        work.any_of = [dict(group) for group in item.requirement.any_of]
        work.wanted = dict(item.requirement.wanted)
        work.required_territory = item.requirement.territory
        self.touch(work)
        work.version += 1
        return work

    def _offer_call_back(self, work: Work, item: core.Item) -> None:
        """The PBX is told when the steps taken just now say so."""
        if work.kind is not core.WorkKind.CALL or work.call_back is not None or item.queue not in self.queues:
            return
        before = work.step if work.queue == item.queue else 0
        if any(step.get("offer_call_back") for step in self.queues[item.queue].steps[before : item.step]):
            self._tell_pbx(
                work, telephony.SetCallAttributes(call_id=work.subject_id, attributes={OFFER_CALL_BACK: "yes"})
            )

    def _close(self, work: Work, effect: core.ItemCompleted | core.ItemCancelled) -> None:
        figures = self._figures(work)
        if isinstance(effect, core.ItemCompleted):
            work.state = "completed"
            figures.completed += 1
        else:
            work.state = "cancelled"
            figures.cancelled += 1
        work.outcome = effect.outcome
        work.ended_at = moment(self.now)
        work.avoid = work.avoid_until = None
        work.version += 1
        self.touch(work)
        self._announce(effect, work)
        self.works.pop(work.work_item_id, None)
        self.remember_closed(work.work_item_id)

    def _place(
        self,
        effect: core.AssignmentOffered
        | core.AssignmentAccepted
        | core.AssignmentDeclined
        | core.AssignmentExpired
        | core.AssignmentFailed
        | core.AssignmentCancelled
        | core.AssignmentCompleted,
    ) -> None:
        assignment = effect.assignment
        work = self.works[UUID(assignment.item_id)]
        placed = self.placed.get(assignment.assignment_id)
        if placed is None:
            reason = effect.reason if isinstance(effect, core.AssignmentOffered) else None
            placed = Placed(assignment, self.agents[assignment.agent_id].org_path, reason)
            self.placed[assignment.assignment_id] = placed
        placed.assignment = assignment
        match effect:
            case core.AssignmentOffered():
                work.state = "offered"
                self._compare(work)
            case core.AssignmentAccepted():
                assert assignment.accepted_at is not None
                work.state = "accepted"
                self._count_accepted(work, assignment.accepted_at)
            case core.AssignmentCompleted():
                pass  # either the item is completed next, or it goes on with somebody else
            case _:
                work.state = "waiting"
        if assignment.ended_at is not None:
            del self.placed[assignment.assignment_id]
        work.version += 1
        self.touch(work)
        self.changes.placed[assignment.assignment_id] = placed
        self._announce(effect, work, placed)

    def _expect(self, work: Work) -> None:
        """It begins to wait: behind all of its line, as nearly all do."""
        if work.preferred_until is None:
            item_id = work.item_id
            line = self.engine.line_of(item_id)
            work.joined_at, work.expected_ms = self.now, self.waits.expected_ms(line, self.engine.beside(item_id))

    def _compare(self, work: Work) -> None:
        """It has waited: was it as expected?"""
        if work.joined_at is None:
            return
        self.waits.departed(self.engine.line_of(work.item_id), work.joined_at, work.expected_ms, self.now)
        if work.expected_ms is not None:
            self.changes.waits.append((work.expected_ms, self.now - work.joined_at))
        work.joined_at = work.expected_ms = None

    def _count_accepted(self, work: Work, accepted_at: int) -> None:
        if work.accepted_at is not None:
            return
        work.accepted_at = moment(accepted_at)
        waited_ms = max(0, accepted_at - milliseconds(work.submitted_at))
        figures = self._figures(work)
        figures.accepted += 1
        figures.waited_ms += waited_ms
        queue = self.queues.get(work.queue)
        if queue is not None and waited_ms <= queue.service_level_s * 1000:
            figures.accepted_in_time += 1

    def _announce(self, effect: core.Effect, work: Work, placed: Placed | None = None) -> None:
        data = announcement_of(effect, self.config.workspace_id, work, placed)
        self.changes.announcements.append(
            Announcement(
                data,
                str(work.work_item_id) if placed is None else placed.assignment.assignment_id,
                work.version,
                work.org_path if placed is None else placed.org_path,
                str(work.work_item_id),
                None if placed is None else work.pbx_id,
                self.cause,
                work.subject_id,
            )
        )

    def _figures(self, work: Work) -> Figures:
        begin = self.now - self.now % INTERVAL_MS
        return self.changes.figures.setdefault((work.queue, work.org_path, begin), Figures())


def _step(step: Mapping[str, Any]) -> core.Step:
    return core.Step(
        after_ms=step["after_s"] * 1000,
        levels=tuple(step["levels"].items()),
        also=tuple(step["also"].items()),
        wider=step["wider"],
        priority=step["priority"],
        queue=step["queue"],
    )


def _assignment_id(_token: int) -> str:
    return str(new_id())


def _refused(refusal: core.EngineRefusal) -> Refused:
    detail = str(refusal) or refusal.code.replace("-", " ")
    match refusal:
        case core.UnknownAgent():
            return NotFound(detail, "agent_id")
        case core.CyclicOverflow():
            return Invalid(detail, "steps", code=refusal.code)
        case core.UnknownQueue():
            return Invalid(detail, "queue")
        case _:
            return Conflict(detail, code=refusal.code)
