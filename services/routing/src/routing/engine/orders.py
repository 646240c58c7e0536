"""In which order: work by urgency, agents by load and idle time."""

from routing.engine.model import Item, OrderKey, QueueConfig


def work_key(item: Item, queue: QueueConfig) -> int:
    """When an item of priority 0 would have had to come to be as urgent; the smallest goes first.

    Waiting counts the same for every item, so this does not change with time and can be sorted by.
    """
    priority = queue.priority + item.priority
    if item.step:
        priority += sum(step.priority for step in queue.steps[: item.step])
    return item.submitted_at - priority * queue.priority_credit_ms


def least_loaded(agent_id: str, weight: int, idle_since: int) -> OrderKey:
    """Least weight in hand first, then longest idle, then by id."""
    return (weight, idle_since, agent_id)


def longest_idle(agent_id: str, _weight: int, idle_since: int) -> OrderKey:
    """Longest idle first whatever is in hand, then by id."""
    return (idle_since, agent_id)
