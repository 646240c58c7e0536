"""Why an item waits: who could take it, and what excludes each other agent."""

from dataclasses import dataclass

from routing.engine.model import ItemState, OrderKey


@dataclass(frozen=True, slots=True)
class Candidate:
    """An agent as seen by one item. Without ``obstacles`` the agent could take it now; ``key`` is the place."""

    agent_id: str
    key: OrderKey
    obstacles: tuple[str, ...]
    """In words that are stable up to the first blank: ``skill sales 30 < 50``, ``territory CN-31 not covered``,
    ``channel lead not worked``, ``no_device``, ``mode not_ready lunch``, ``wrap_up``, ``device in_use``,
    ``exclusive call in hand``, ``full lead 3 of 3``, ``full weight 6 of 6``, ``holds_it``, ``avoided``."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One item, every agent: the eligible first in the order in which they would be offered it."""

    item_id: str
    state: ItemState
    ahead: int
    """How many waiting items of the same kind, requirement and territory go before it."""
    candidates: tuple[Candidate, ...]
