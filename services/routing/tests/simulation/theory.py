"""Exact figures to hold the simulation against."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from routing.simulation.erlang import erlang_c


def mean_wait(agents: int, load: float, service: float) -> float:
    """Of all calls (M/M/n), in the unit of the mean service time."""
    return erlang_c(agents, load) * service / (agents - load)


@dataclass(frozen=True, slots=True)
class Steady:
    """A queue in its steady state, times in the unit of the rates."""

    blocked: float
    delayed: float
    """Share of those who entered that has to wait."""
    abandoned: float
    """Share of those who entered."""
    wait: float
    """Mean, of those who entered, whether served or not."""
    occupancy: float


def steady(arrivals: float, service: float, agents: int, patience: float = 0, room: int | None = None) -> Steady:
    """M/M/n + M with ``room`` places to wait, all rates: Erlang A, C without ``patience``, B without room.

    From the stationary distribution of the number in the system, a birth-death process (Mandelbaum and Zeltyn, Service
    engineering in action: the Palm/Erlang-A queue, 2007).
    """
    assert room is not None or patience or arrivals < agents * service
    weights = [1.0]
    while room is None or len(weights) <= agents + room:
        n = len(weights)
        rate = min(n, agents) * service + max(0, n - agents) * patience
        weights.append(weights[-1] * arrivals / rate)
        if n > agents and arrivals < rate and weights[-1] < 1e-16 * max(weights):
            break
    total = math.fsum(weights)
    shares = [weight / total for weight in weights]
    blocked = shares[agents + room] if room is not None else 0.0
    waiting = _mean(shares, lambda n: max(0, n - agents))
    entered = 1 - blocked
    return Steady(
        blocked=blocked,
        delayed=(math.fsum(shares[agents:]) - blocked) / entered,
        abandoned=patience * waiting / (arrivals * entered),
        wait=waiting / (arrivals * entered),
        occupancy=_mean(shares, lambda n: min(n, agents)) / agents,
    )


@dataclass(frozen=True, slots=True)
class Day:
    """Means of a day."""

    blocked: float
    """Calls."""
    abandoned: float
    """Calls, also those who were still waiting when the day ended."""
    in_time_of_entered: float
    in_time_of_served: float
    wait: float
    """Of those who entered."""
    occupancy: float
    """Until the day's end."""


def day(
    arrivals: float,
    service: float,
    agents: int,
    hours: float,
    within: float,
    *,
    patience: float = 0,
    room: int | None = None,
) -> Day:
    """M/M/n + M with ``room`` places from empty, rates per minute; who is there at the end is served or gives up.

    The transient distribution by uniformization (Jensen, Markoff chains as an aid in the study of Markoff processes,
    1953), cut off where far more wait than ever do.
    """
    end = 60 * hours
    most = agents + (room if room is not None else 45)
    served_rate = [min(n, agents) * service for n in range(most + 1)]
    gone_rate = [max(0, n - agents) * patience for n in range(most + 1)]
    pace = arrivals + agents * service + (most - agents) * patience
    mean_events = pace * end
    now = [1.0] + [0.0] * most
    spent = [0.0] * (most + 1)
    last = [0.0] * (most + 1)
    happened = 0.0
    for events in range(int(mean_events + 8 * math.sqrt(mean_events))):
        exactly = math.exp(events * math.log(mean_events) - mean_events - math.lgamma(events + 1))
        happened += exactly
        for n, share in enumerate(now):
            spent[n] += share * (1 - happened) / pace
            last[n] += share * exactly
        moved = [0.0] * (most + 1)
        for n, share in enumerate(now):
            down = served_rate[n] + gone_rate[n]
            up = arrivals if n < most else 0.0
            moved[n] += share * (1 - (down + up) / pace)
            if n:
                moved[n - 1] += share * down / pace
            if n < most:
                moved[n + 1] += share * up / pace
        now = moved
    averaged = [time / end for time in spent]
    enter = list(averaged)
    if room is not None:
        enter[most] = 0.0
    entered = math.fsum(enter)
    good = _served_within(service * agents, patience, within, most - agents)
    waits = _waits(service * agents, patience, most - agents)
    leave_in_drain = [0.0] * (agents + 1)
    for n in range(agents + 1, most + 1):
        leave_in_drain.append(leave_in_drain[-1] + gone_rate[n] / (gone_rate[n] + served_rate[n]))
    abandoned = end * _mean(averaged, lambda n: gone_rate[n]) + _mean(last, lambda n: leave_in_drain[n])
    in_time = _mean(enter, lambda n: 1.0 if n < agents else good[n - agents]) * arrivals * end
    return Day(
        blocked=(1 - entered) * arrivals * end if room is not None else 0.0,
        abandoned=abandoned,
        in_time_of_entered=in_time / (entered * arrivals * end),
        in_time_of_served=in_time / (entered * arrivals * end - abandoned),
        wait=_mean(enter, lambda n: 0.0 if n < agents else waits[n - agents]) / entered,
        occupancy=_mean(averaged, lambda n: min(n, agents)) / agents,
    )


def _served_within(pace: float, patience: float, within: float, most: int) -> list[float]:
    """The chance to be served within a time, by how many wait before one; ``pace`` is that of all agents."""
    clock = pace + (most + 1) * patience
    mean_events = clock * within
    chance = [0.0] * (most + 1)
    total = [0.0] * (most + 1)
    for events in range(int(mean_events + 20 * math.sqrt(mean_events) + 20)):
        exactly = math.exp(events * math.log(mean_events) - mean_events - math.lgamma(events + 1))
        total = [t + exactly * c for t, c in zip(total, chance, strict=True)]
        chance = [
            ((pace + n * patience) * (chance[n - 1] if n else 1.0) + (clock - pace - (n + 1) * patience) * chance[n])
            / clock
            for n in range(most + 1)
        ]
    return total


def _waits(pace: float, patience: float, most: int) -> list[float]:
    """The mean wait, until service or giving up, by how many wait before one."""
    waits: list[float] = []
    for n in range(most + 1):
        before = waits[-1] if n else 0.0
        all_rates = pace + (n + 1) * patience
        waits.append((1 + (pace + n * patience) * before) / all_rates)
    return waits


@dataclass(frozen=True, slots=True)
class LongestIdle:
    """Servers of different speed, the one who is idle longest first."""

    utilisations: tuple[float, ...]
    all_busy: float
    wait: float


def longest_idle(arrivals: float, rates: Sequence[float]) -> LongestIdle:
    """One queue. Product form of Adan and Weiss, A skill based parallel service system under FCFS-ALIS (Stochastic
    Systems 4, 2014): any order of idle servers has weight product(rates) / arrivals ** number of them.
    """
    load = arrivals / sum(rates)
    busy_weight = 1 / (1 - load)
    idle_weights = [
        (idle, math.factorial(size) * math.prod(rates[s] for s in idle) / arrivals**size)
        for size in range(1, len(rates) + 1)
        for idle in combinations(range(len(rates)), size)
    ]
    total = busy_weight + math.fsum(weight for _, weight in idle_weights)
    all_busy = busy_weight / total
    return LongestIdle(
        tuple(1 - math.fsum(weight for idle, weight in idle_weights if s in idle) / total for s in range(len(rates))),
        all_busy,
        all_busy / (sum(rates) - arrivals),
    )


def _mean(shares: Sequence[float], of: Callable[[int], float]) -> float:
    return math.fsum(share * of(n) for n, share in enumerate(shares))
