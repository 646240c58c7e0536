"""In which order: work by urgency, agents by what a queue or the workspace wants."""

from collections.abc import Mapping

from routing.engine.model import AgentOrder, Item, OrderKey, QueueConfig, Rank, Requirement, Standing

CLASS_MS = 10**16
"""More than any item can be ahead of another by waiting and priority."""


def work_key(item: Item, queue: QueueConfig) -> int:
    """The item's place among those of queues with the same acceleration; the smallest goes first.

    Their items gain urgency at the same speed, so this does not change with time and can be sorted by.
    """
    priority = queue.priority + item.priority
    if item.step:
        priority += sum(step.priority for step in queue.steps[: item.step])
    since = item.submitted_at + queue.due_after_ms if item.due_at is None else item.due_at
    return queue.acceleration * since - priority * queue.priority_credit_ms - queue.priority_class * CLASS_MS


def urgency_at(key: int, acceleration: int, now: int) -> int:
    """A work key as it compares at this moment with those of other accelerations; the smallest goes first.

    It is now less the urgency in milliseconds of waiting, which for an acceleration of 1 is the key itself.
    """
    return key - (acceleration - 1) * now


def _by_load(agent: Standing) -> OrderKey:
    return (agent.weight, agent.idle_since, agent.agent_id)


def _by_skill(levels: Mapping[str, int], asked: Requirement) -> Rank:
    one_of_each = sum(max(levels.get(skill, 0) for skill, _ in group) for group in asked.any_of)
    return (-one_of_each - sum(levels.get(skill, 0) for skill, _ in asked.skills),)


least_loaded = AgentOrder("least_loaded", _by_load)
"""Least weight in hand first, then longest idle, then by id."""

longest_idle = AgentOrder("longest_idle", lambda agent: (agent.idle_since, agent.agent_id))
"""Longest idle first whatever is in hand, then by id."""

most_spare = AgentOrder("most_spare", lambda agent: (-agent.spare, agent.idle_since, agent.agent_id))
"""Whoever could have the most beside what is in hand, by number, then longest idle, then by id: with 8 of 10 in hand
before 1 of 2."""

fewest_assignments = AgentOrder("fewest_assignments", lambda agent: (agent.offers, agent.idle_since, agent.agent_id))
"""Least given since the last sign-in, then longest idle, then by id. What was offered and not taken counts."""

round_robin = AgentOrder("round_robin", lambda agent: (agent.last_token, agent.agent_id))
"""In turns: whoever was given something longest ago, then by id; who never was comes first."""

best_skill = AgentOrder("best_skill", _by_load, _by_skill)
"""Greatest sum of the levels of the skills asked for (of a group, the best one), then as ``least_loaded``."""

specialists_first = AgentOrder("specialists_first", _by_load, lambda levels, _: (len(levels),))
"""Fewest skills first, so that those who can do much stay free, then as ``least_loaded``."""

ORDERS: Mapping[str, AgentOrder] = {
    order.name: order
    for order in (
        least_loaded,
        longest_idle,
        most_spare,
        fewest_assignments,
        round_robin,
        best_skill,
        specialists_first,
    )
}
"""All of them, by name."""
