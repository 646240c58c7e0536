"""What the engine can be told. Each is refused (see ``refusals``) or applied as a whole."""

from routing.engine.model import (
    AgentProfile,
    DeviceState,
    Item,
    Miss,
    Mode,
    QueueConfig,
    Requirement,
)
from routing.engine.values import value


@value
class PutQueue:
    """A queue is new or has other settings. Waiting items are put in order by the new ones at once."""

    queue: QueueConfig


@value
class RemoveQueue:
    """A queue is gone. Refused while it has open items."""

    queue_id: str


@value
class PutAgent:
    """An agent is new (then offline) or has another profile. What the agent holds stays with them."""

    agent_id: str
    profile: AgentProfile


@value
class RemoveAgent:
    """An agent is gone. What is only offered goes to others; refused while the agent has accepted work."""

    agent_id: str


@value
class SetMode:
    """An agent is ready, not ready (with a reason), leaving or offline. Ends a wrap-up, except for who is leaving.

    All but ready withdraw what is only offered. Accepted work stays with the agent. Who is offline cannot leave.
    """

    agent_id: str
    mode: Mode
    reason: str | None = None


@value
class SetDevice:
    """The agent's device changed. Unreachable withdraws calls that are only offered.

    Idle makes an agent ready again who was put not ready because the device was ``unreachable`` or ``busy``.
    """

    agent_id: str
    device: DeviceState


@value
class SeeDesktop:
    """The agent's desktop is there, and will say so again by ``until``.

    Silence from then on is what a lost presence begins with. Nothing for an agent who is offline, or without a grace.
    """

    agent_id: str
    until: int


@value
class SubmitItem:
    """Something wants an agent. Refused if the item is open already or the queue is unknown."""

    item: Item


@value
class CancelItem:
    """The caller hung up, the lead was withdrawn. If an agent had accepted it, it is completed instead."""

    item_id: str
    outcome: str


@value
class ChangePriority:
    """An open item is more or less urgent from now on."""

    item_id: str
    priority: int


@value
class RequeueItem:
    """An offered or accepted item goes back into a queue; its place is still that of ``submitted_at``.

    With a ``preferred_agent`` the item is for that agent, until ``preferred_until`` for nobody else.

    The offer is cancelled, accepted work is completed for that agent. A waiting item only changes place.
    Missing fields stay as they are.
    """

    item_id: str
    outcome: str
    queue: str | None = None
    requirement: Requirement | None = None
    priority: int | None = None
    due_at: int | None = None
    preferred_agent: str | None = None
    preferred_until: int | None = None


@value
class TakeItem:
    """An agent has the item without an offer: it was transferred or picked up.

    Whatever assignment it had is over (completed if accepted, else cancelled) and a new, accepted one
    begins, even above the agent's capacity: this is what happened, not what we chose. Offers to the agent
    that do not fit beside it are withdrawn. The agent who has it already keeps it as it is.
    """

    item_id: str
    agent_id: str
    outcome: str = "transferred"
    """Of the assignment that is over."""


@value
class AcceptAssignment:
    """The agent takes it. Good as long as the offer's expiry was not announced, however late."""

    assignment_id: str


@value
class MissAssignment:
    """The agent did not take it; the item keeps its place and goes on to another agent."""

    assignment_id: str
    reason: Miss


@value
class CompleteAssignment:
    """The agent is done with an accepted assignment, and with its item; the queue's wrap-up begins."""

    assignment_id: str
    outcome: str | None = None


@value
class EndWrapUp:
    """The agent is done with the wrap-up. Refused if there is none."""

    agent_id: str


@value
class ExtendWrapUp:
    """The agent's wrap-up ends at ``until`` instead.

    Refused if there is none, it has no end, or ``until`` is not ahead, or later than the queue allows.
    """

    agent_id: str
    until: int


@value
class FireTimers:
    """Time has passed: do all that is due. To be given when ``Engine.next_due()`` has come."""


@value
class Settle:
    """Match all that can be matched; to be given once after a restore.

    Changes nothing unless settings or rules became others since the stored state was written.
    """


Input = (
    PutQueue
    | RemoveQueue
    | PutAgent
    | RemoveAgent
    | SetMode
    | SetDevice
    | SeeDesktop
    | SubmitItem
    | CancelItem
    | ChangePriority
    | RequeueItem
    | TakeItem
    | AcceptAssignment
    | MissAssignment
    | CompleteAssignment
    | EndWrapUp
    | ExtendWrapUp
    | FireTimers
    | Settle
)
