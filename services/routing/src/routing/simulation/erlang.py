"""Exact results for one queue with Poisson arrivals, exponential service and agents who are all alike.

``load`` is in Erlangs: arrivals per unit of time by services per unit of time of one agent. Source: Erlang, Solution of
some problems in the theory of probabilities of significance in automatic telephone exchanges (1917).
"""

import math


def erlang_b(agents: int, load: float) -> float:
    """The share of calls that find all agents busy when nobody waits (M/M/n/n)."""
    blocked = 1.0
    for agent in range(1, agents + 1):
        blocked = load * blocked / (agent + load * blocked)
    return blocked


def erlang_c(agents: int, load: float) -> float:
    """The share of calls that have to wait (M/M/n); 1 when there are not enough agents for ever."""
    if load >= agents:
        return 1.0
    blocked = erlang_b(agents, load)
    return blocked / (1 - load / agents * (1 - blocked))


def within(agents: int, load: float, service: float, threshold: float) -> float:
    """The share of calls that wait no longer than ``threshold`` (M/M/n)."""
    if load >= agents:
        return 0.0
    return 1 - erlang_c(agents, load) * math.exp(-(agents - load) * threshold / service)


def agents_needed(load: float, service: float, share: float, threshold: float) -> int:
    """The fewest agents with whom ``share`` of the calls wait no longer than ``threshold`` (M/M/n)."""
    agents = max(1, math.floor(load) + 1) if load else 0
    while load and within(agents, load, service, threshold) < share:
        agents += 1
    return agents
