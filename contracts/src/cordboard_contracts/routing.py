"""Routing: work items, their assignments, and the agents who take them."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from cordboard_contracts.envelope import EventData, OrgPath, OwnerId, Value
from cordboard_contracts.registry import event
from cordboard_contracts.vocabulary import E164, Attributes, Identifier, Language, Name, SkillLevel, Territory


class WorkKind(StrEnum):
    """What waits for an agent."""

    CALL = "call"
    LEAD = "lead"
    SERVICE_REQUEST = "service_request"


class WorkItemState(StrEnum):
    """Where a work item is."""

    WAITING = "waiting"
    OFFERED = "offered"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    """It went away before an agent took it: the caller hung up, the lead was withdrawn."""


class CallAddress(Value):
    """Where the gateway finds the call of a work item."""

    call_id: UUID
    pbx_id: OwnerId
    from_number: E164 | None = None
    call_back: E164 | None = None
    """The number to call: whoever waited in this call asked to be called back, and hangs up or has done so."""


class WorkItem(Value):
    """Something that waits for an agent, or has one."""

    work_item_id: UUID
    workspace: OwnerId
    org_path: OrgPath
    kind: WorkKind
    subject_id: UUID
    """Id of the call, lead or service request."""
    state: WorkItemState
    queue: Identifier
    priority: Annotated[int, Field(ge=0, le=1000)]
    requirement: dict[Identifier, SkillLevel] = Field(default_factory=dict)
    """Skills it needs with their least levels."""
    any_of: tuple[dict[Identifier, SkillLevel], ...] = ()
    """Of each of these groups, one skill is enough."""
    territory: Territory | None = None
    language: Language | None = None
    customer_id: UUID | None = None
    customer_name: Name = ""
    call: CallAddress | None = None
    """Only for calls."""
    attributes: Attributes = Field(default_factory=dict)
    rule: Identifier | None = None
    """The rule that chose queue and requirement, and the version of its rule set."""
    rule_version: int | None = None
    submitted_at: AwareDatetime
    ended_at: AwareDatetime | None = None


class AssignmentState(StrEnum):
    """Where an assignment is. All but the first two are final."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """The device was busy, dead or not answered."""
    COMPLETED = "completed"


class Reason(Value):
    """Why this agent got it."""

    eligible: int
    """How many agents could have taken it at that moment."""
    winner_key: tuple[float | str, ...]
    """By what the winner was chosen, smallest first; see the routing engine's agent order."""
    runner_up: Identifier | None = None
    runner_up_key: tuple[float | str, ...] | None = None
    rule: Identifier | None = None
    rule_version: int | None = None
    step: int = 0
    """How many steps of its queue the work item had taken by then."""


class Assignment(Value):
    """A work item in the hands of an agent, or on its way there."""

    assignment_id: UUID
    work_item_id: UUID
    workspace: OwnerId
    org_path: OrgPath
    agent_id: Identifier
    device_id: Identifier | None = None
    token: Annotated[int, Field(ge=1)]
    """Fencing token: grows with each assignment of a workspace. Whoever acts on it refuses a smaller one."""
    state: AssignmentState
    offered_at: AwareDatetime
    expires_at: AwareDatetime
    """Until when the agent may take it."""
    accepted_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    reason: Reason | None = None
    outcome: Annotated[str, StringConstraints(max_length=100)] | None = None
    """Why it ended as it did: ``no_answer``, ``busy``, a disposition code ..."""


class WorkItemEvent(EventData):
    """A change of a work item."""

    work_item: WorkItem


@event("routing.work-item.queued.v1")
class WorkItemQueued(WorkItemEvent):
    """It waits: new, or again because an assignment failed (it kept its place)."""


@event("routing.work-item.completed.v1")
class WorkItemCompleted(WorkItemEvent):
    """An agent finished it."""


@event("routing.work-item.cancelled.v1")
class WorkItemCancelled(WorkItemEvent):
    """It went away before an agent took it."""


class AssignmentEvent(EventData):
    """A change of an assignment, with the work item as it is after it.

    Its ``subject`` is the assignment; ``partitionkey`` is the work item and ``sequence`` the work item's
    version, so that everything about one work item is in order.
    """

    assignment: Assignment
    work_item: WorkItem


@event("routing.assignment.offered.v1")
class AssignmentOffered(AssignmentEvent):
    """An agent was chosen. For a call, this tells the gateway to connect it; one that is over and has a ``call_back``
    is called back. The outbound call has the work item's id in its attribute ``call_back_of``."""


@event("routing.assignment.accepted.v1")
class AssignmentAccepted(AssignmentEvent):
    """The agent took it."""


@event("routing.assignment.declined.v1")
class AssignmentDeclined(AssignmentEvent):
    """The agent refused it."""


@event("routing.assignment.expired.v1")
class AssignmentExpired(AssignmentEvent):
    """The agent did not react in time."""


@event("routing.assignment.failed.v1")
class AssignmentFailed(AssignmentEvent):
    """The agent's device could not be connected."""


@event("routing.assignment.cancelled.v1")
class AssignmentCancelled(AssignmentEvent):
    """It was withdrawn, for example because the caller left."""


@event("routing.assignment.completed.v1")
class AssignmentCompleted(AssignmentEvent):
    """The agent is done with it."""


class AgentState(StrEnum):
    """What an agent does."""

    OFFLINE = "offline"
    READY = "ready"
    NOT_READY = "not_ready"
    BUSY = "busy"
    WRAP_UP = "wrap_up"


class Agent(Value):
    """An agent as routing sees them."""

    agent_id: Identifier
    workspace: OwnerId
    org_path: OrgPath
    name: Name = ""
    device_id: Identifier | None = None
    state: AgentState
    reason: Annotated[str, StringConstraints(max_length=100)] | None = None
    """Why not ready: ``lunch``, ``no_answer`` ..."""
    since: AwareDatetime
    skills: dict[Identifier, SkillLevel] = Field(default_factory=dict)
    territories: tuple[Territory, ...] = ()


@event("routing.agent.changed.v1")
class AgentChanged(EventData):
    """An agent's state or profile changed."""

    agent: Agent
