"""What the engine decided. Each effect carries what storage has to write; nothing else changed.

Within one step they stand in the order in which they happened, but what became of the agents comes last,
once per agent.
"""

from routing.engine.model import AgentRecord, AgentStatus, Assignment, Item, QueueConfig, Reason
from routing.engine.values import value


@value
class QueueChanged:
    """A queue is new or has other settings."""

    queue: QueueConfig


@value
class QueueRemoved:
    """A queue is gone."""

    queue_id: str


@value
class AgentPut:
    """An agent is new or has another profile; the status is as before, or that of a new agent."""

    agent: AgentRecord


@value
class AgentRemoved:
    """An agent is gone."""

    agent_id: str


@value
class AgentChanged:
    """An agent's status changed. Others need to hear of it only if ``visible``: state or reason changed."""

    agent_id: str
    status: AgentStatus
    visible: bool


@value
class ItemQueued:
    """The item waits: it is new, or its assignment ended without success, or it was put elsewhere.

    An item for which an agent is free goes straight to :class:`AssignmentOffered` without this.
    """

    item: Item
    avoid: str | None
    avoid_until: int | None


@value
class ItemChanged:
    """Queue, requirement or priority of an open item changed. What else became of it is said beside this."""

    item: Item


@value
class ItemCompleted:
    """An agent finished it."""

    item: Item
    outcome: str | None


@value
class ItemCancelled:
    """It went away before an agent took it."""

    item: Item
    outcome: str


@value
class AssignmentOffered:
    """An agent was chosen; the item is offered until ``assignment.expires_at``."""

    assignment: Assignment
    reason: Reason


@value
class AssignmentAccepted:
    """The agent took it, after an offer or without one (then ``offered_at`` = ``expires_at`` = now)."""

    assignment: Assignment


@value
class AssignmentDeclined:
    """The agent refused it."""

    assignment: Assignment


@value
class AssignmentExpired:
    """The agent did not react in time."""

    assignment: Assignment


@value
class AssignmentFailed:
    """The agent's device was busy, dead or not answered: the outcome is a ``Miss``."""

    assignment: Assignment


@value
class AssignmentCancelled:
    """It was withdrawn. The outcome says why.

    ``agent_not_ready``, ``agent_leaving``, ``agent_offline``, ``agent_removed``, ``presence_lost``,
    ``device_unreachable``, ``no_room`` (the agent took something else), or what a CancelItem, RequeueItem or TakeItem
    said.
    """

    assignment: Assignment


@value
class AssignmentCompleted:
    """The agent is done with it."""

    assignment: Assignment


Effect = (
    QueueChanged
    | QueueRemoved
    | AgentPut
    | AgentRemoved
    | AgentChanged
    | ItemQueued
    | ItemChanged
    | ItemCompleted
    | ItemCancelled
    | AssignmentOffered
    | AssignmentAccepted
    | AssignmentDeclined
    | AssignmentExpired
    | AssignmentFailed
    | AssignmentCancelled
    | AssignmentCompleted
)
