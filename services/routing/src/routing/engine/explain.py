"""Why an item waits: who could take it, and what excludes each other agent."""

from collections.abc import Iterator

from routing.engine.floor import Floor
from routing.engine.matching import lacking
from routing.engine.model import (
    AgentProfile,
    DeviceState,
    ItemState,
    Mode,
    OrderKey,
    Requirement,
    Step,
)
from routing.engine.relaxation import next_step, next_step_at
from routing.engine.state import CALL, KINDS, AgentEntry, WorkEntry
from routing.engine.values import value
from routing.engine.waiting import is_avoided


@value
class Candidate:
    """An agent as seen by one item. Without ``obstacles`` the agent could take it now; ``key`` is the place."""

    agent_id: str
    key: OrderKey
    obstacles: tuple[str, ...]
    """In words that are stable up to the first blank: ``skill sales 30 < 50``, ``skill none of sales 50, support 30``,
    ``territory CN-31 not covered``, ``territory CN not touched`` (covers no part of it),
    ``channel lead not worked``, ``no_device``, ``mode not_ready lunch``, ``wrap_up``, ``device in_use``,
    ``exclusive call in hand``, ``full lead 3 of 3``, ``full weight 6 of 6``, ``holds_it``, ``avoided``,
    ``reserved alice`` (waits for the preferred agent alone), ``paused`` (its queue)."""


@value
class Explanation:
    """One item, every agent: the eligible first in the order in which they would be offered it."""

    item_id: str
    state: ItemState
    ahead: int
    """How many waiting items of the same kind, requirement and territory go before it."""
    candidates: tuple[Candidate, ...]
    requirement: Requirement
    """What is asked now, after the steps taken so far."""
    next_step: Step | None
    """What is given up next; None when nothing is, or while it does not wait."""
    next_step_at: int | None


def explain(floor: Floor, work: WorkEntry, now: int) -> Explanation:
    """Look at one open item and every agent."""
    candidates = [
        Candidate(agent.agent_id, work.demand.key_of(agent), tuple(_obstacles(floor, work, agent, now)))
        for agent in floor.agents.values()
    ]
    preferred = work.item.preferred_agent
    candidates.sort(key=lambda c: (bool(c.obstacles), c.agent_id != preferred, c.key))
    queue = floor.queues[work.item.queue]
    waits = work.place is not None
    step, due = (next_step(work.item, queue), next_step_at(work.item, queue)) if waits else (None, None)
    asked, ahead = work.demand.requirement, ahead_of(work) or 0
    return Explanation(work.item.item_id, work.state, ahead, tuple(candidates), asked, step, due)


def ahead_of(work: WorkEntry) -> int | None:
    """How many of its line go before an item; None unless it waits. Looks at all of that line."""
    place, line = work.place, work.line
    if place is None or line is None:
        return None
    return sum(other < place for other in line.places if other[2].place is other)


def _obstacles(floor: Floor, work: WorkEntry, agent: AgentEntry, now: int) -> Iterator[str]:
    if floor.queues[work.item.queue].paused:
        yield "paused"
    yield from _lacks(work, agent.profile)
    if agent.mode is not Mode.READY:
        yield " ".join(["mode", agent.mode, *([agent.mode_reason] if agent.mode_reason else [])])
    if agent.wrap_up is not None:
        yield "wrap_up"
    if agent.device is DeviceState.IN_USE or (agent.device is DeviceState.UNREACHABLE and work.kind == CALL):
        yield f"device {agent.device}"
    yield from _is_full(floor, work, agent)
    if work.item.item_id in agent.held:
        yield "holds_it"
    if is_avoided(work, agent, now):
        yield "avoided"
    if work.item.preferred_until is not None and agent.agent_id != work.item.preferred_agent:
        yield f"reserved {work.item.preferred_agent}"


def _lacks(work: WorkEntry, profile: AgentProfile) -> Iterator[str]:
    """What the agent cannot do at all."""
    kind = KINDS[work.kind]
    if not profile.capacity.items.get(kind, 0):
        yield f"channel {kind} not worked"
    elif work.kind == CALL and profile.device_id is None:
        yield "no_device"
    yield from lacking(work.demand.requirement, profile.skills, profile.territories)


def _is_full(floor: Floor, work: WorkEntry, agent: AgentEntry) -> Iterator[str]:
    """What the agent holds that leaves no room."""
    for other in agent.held.values():
        if KINDS[other.kind] in floor.settings.exclusive:
            yield f"exclusive {KINDS[other.kind]} in hand"
            break
    capacity = agent.profile.capacity
    kind = KINDS[work.kind]
    limit = capacity.items.get(kind, 0)
    if limit and agent.counts[work.kind] >= limit:
        yield f"full {kind} {agent.counts[work.kind]} of {limit}"
    weight = floor.settings.weights.get(kind, 1)
    beside = floor.weight_beside(agent, work.kind)
    if capacity.total is not None and beside + weight > capacity.total:
        yield f"full weight {beside} of {capacity.total}"
