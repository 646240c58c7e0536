"""A storage that knows only the effects: what it holds must be enough to restore an engine."""

from dataclasses import replace

from routing.engine import (
    AgentChanged,
    AgentPut,
    AgentRecord,
    AgentRemoved,
    Assignment,
    AssignmentAccepted,
    AssignmentOffered,
    Effect,
    Item,
    ItemCancelled,
    ItemChanged,
    ItemCompleted,
    ItemQueued,
    ItemRecord,
    ItemState,
    QueueChanged,
    QueueConfig,
    QueueRemoved,
    Snapshot,
    SubmitItem,
)


class StorageMirror:
    """Tables as dicts. ``write`` is what a storage layer does with one step's input and effects."""

    def __init__(self) -> None:
        self.token = 0
        self.queues: dict[str, QueueConfig] = {}
        self.agents: dict[str, AgentRecord] = {}
        self.items: dict[str, ItemRecord] = {}
        self.assignments: dict[str, Assignment] = {}

    def write(self, input: object, effects: list[Effect]) -> None:
        if isinstance(input, SubmitItem):
            self._put(input.item, ItemState.WAITING)
        for effect in effects:
            self._apply(effect)

    def _apply(self, effect: Effect) -> None:
        match effect:
            case QueueChanged(queue):
                self.queues[queue.queue_id] = queue
            case QueueRemoved(queue_id):
                del self.queues[queue_id]
            case AgentPut(agent):
                self.agents[agent.agent_id] = agent
            case AgentChanged(agent_id, status, _):
                self.agents[agent_id] = replace(self.agents[agent_id], status=status)
            case AgentRemoved(agent_id):
                del self.agents[agent_id]
            case ItemQueued(item, avoid, avoid_until):
                self.items[item.item_id] = ItemRecord(item, ItemState.WAITING, avoid, avoid_until)
            case ItemChanged(item):
                self.items[item.item_id] = replace(self.items[item.item_id], item=item)
            case ItemCompleted(item, _) | ItemCancelled(item, _):
                del self.items[item.item_id]
            case AssignmentOffered(assignment, _):
                self._assign(assignment, ItemState.OFFERED)
            case AssignmentAccepted(assignment):
                self._assign(assignment, ItemState.ACCEPTED)
            case _:
                del self.assignments[effect.assignment.assignment_id]

    def _assign(self, assignment: Assignment, state: ItemState) -> None:
        self.token = max(self.token, assignment.token)
        self.assignments[assignment.assignment_id] = assignment
        self._put(self.items[assignment.item_id].item, state)

    def _put(self, item: Item, state: ItemState) -> None:
        self.items[item.item_id] = ItemRecord(item, state)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            token=self.token,
            queues=tuple(self.queues.values()),
            agents=tuple(self.agents.values()),
            items=tuple(self.items.values()),
            assignments=tuple(self.assignments.values()),
        )
