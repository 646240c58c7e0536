"""The routing core: which agent gets which item, decided without I/O, clock or chance.

`engine.step(input, now)` applies one input to one workspace's state and returns what it decided.
Times are integer milliseconds since the epoch. Only the standard library is imported.

How a decision is made:

* **Who is eligible**: signed in and ready, not in wrap-up, device neither in use nor (for calls) unreachable,
  all skill levels reached, territory covered, room for the kind and the weight, nothing exclusive in hand,
  and not *avoided* by the item.
* **Avoided**: an agent whose offer of an item ended without success (declined, expired, failed, withdrawn,
  requeued) is not offered that item again before somebody else was offered it or `reoffer_after_ms` have
  passed, whichever comes first. If at that moment no other signed-in agent could serve its kind, skills
  and territory, nobody is avoided.
* **Which agent**: the item's preferred one if eligible. An item may wait for that agent alone for a while, but not for
  one who is offline, could not take it whatever the room, or did not take it. Else who has most of the skills that
  are wanted but not needed, else the first by the order of the item's queue, or of the workspace (see
  :mod:`routing.engine.orders`).
* **Which item** for an agent with room: of the highest priority class the most urgent, then by id, over all kinds
  for which there is room. Urgency is `acceleration * (now - since) + priority * credit`, where `since` is when the item
  was submitted or, for a queue with deadlines, when it is due. Nothing waits while an eligible agent is there.
* **Presence**: a signed-in agent whose phone cannot be reached, or whose desktop was not heard of, for the workspace's
  grace is offline, and offers, accepted leads and requests go back to where they were; a call that is accepted stays.
* **What a waiting item gives up**: the steps of its queue, each when the item has waited so long in that queue:
  lower levels, other skills instead, a wider territory, more priority, at last another queue. An item that an agent
  did not take keeps the steps that it took; one that goes to another queue begins there at the first.
"""

from routing.engine.effects import (
    AgentChanged,
    AgentPut,
    AgentRemoved,
    AssignmentAccepted,
    AssignmentCancelled,
    AssignmentCompleted,
    AssignmentDeclined,
    AssignmentExpired,
    AssignmentFailed,
    AssignmentOffered,
    Effect,
    ItemCancelled,
    ItemChanged,
    ItemCompleted,
    ItemQueued,
    QueueChanged,
    QueueRemoved,
)
from routing.engine.engine import Engine
from routing.engine.explain import Candidate, Explanation
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
from routing.engine.matching import lacking
from routing.engine.model import (
    AgentOrder,
    AgentProfile,
    AgentRecord,
    AgentState,
    AgentStatus,
    Assignment,
    AssignmentState,
    Capacity,
    DeviceState,
    Item,
    ItemRecord,
    ItemState,
    Miss,
    Mode,
    OrderKey,
    QueueConfig,
    Reason,
    Requirement,
    Settings,
    Skill,
    Snapshot,
    Standing,
    Step,
    WorkKind,
    WrapUp,
    language_skill,
)
from routing.engine.orders import (
    ORDERS,
    best_skill,
    fewest_assignments,
    least_loaded,
    longest_idle,
    most_spare,
    round_robin,
    specialists_first,
)
from routing.engine.refusals import (
    AssignmentNotOpen,
    CyclicOverflow,
    EngineRefusal,
    ItemAlreadyOpen,
    ItemNotOpen,
    StillInUse,
    UnknownAgent,
    UnknownQueue,
    WrongState,
)
from routing.engine.relaxation import requirement_of

__all__ = [
    "ORDERS",
    "AcceptAssignment",
    "AgentChanged",
    "AgentOrder",
    "AgentProfile",
    "AgentPut",
    "AgentRecord",
    "AgentRemoved",
    "AgentState",
    "AgentStatus",
    "Assignment",
    "AssignmentAccepted",
    "AssignmentCancelled",
    "AssignmentCompleted",
    "AssignmentDeclined",
    "AssignmentExpired",
    "AssignmentFailed",
    "AssignmentNotOpen",
    "AssignmentOffered",
    "AssignmentState",
    "CancelItem",
    "Candidate",
    "Capacity",
    "ChangePriority",
    "CompleteAssignment",
    "CyclicOverflow",
    "DeviceState",
    "Effect",
    "EndWrapUp",
    "Engine",
    "EngineRefusal",
    "Explanation",
    "ExtendWrapUp",
    "FireTimers",
    "Input",
    "Item",
    "ItemAlreadyOpen",
    "ItemCancelled",
    "ItemChanged",
    "ItemCompleted",
    "ItemNotOpen",
    "ItemQueued",
    "ItemRecord",
    "ItemState",
    "Miss",
    "MissAssignment",
    "Mode",
    "OrderKey",
    "PutAgent",
    "PutQueue",
    "QueueChanged",
    "QueueConfig",
    "QueueRemoved",
    "Reason",
    "RemoveAgent",
    "RemoveQueue",
    "RequeueItem",
    "Requirement",
    "SeeDesktop",
    "SetDevice",
    "SetMode",
    "Settings",
    "Settle",
    "Skill",
    "Snapshot",
    "Standing",
    "Step",
    "StillInUse",
    "SubmitItem",
    "TakeItem",
    "UnknownAgent",
    "UnknownQueue",
    "WorkKind",
    "WrapUp",
    "WrongState",
    "best_skill",
    "fewest_assignments",
    "lacking",
    "language_skill",
    "least_loaded",
    "longest_idle",
    "most_spare",
    "requirement_of",
    "round_robin",
    "specialists_first",
]
