"""The figures of a simulation, with confidence intervals, per type, group and period.

Times are in seconds, shares between 0 and 1. *Offered* are all calls, *entered* those that were not blocked; in time
means within ``service_level_s``. The service level has four definitions in use, all of them in Cisco's Unified CCX
Historical Reports User Guide (7.0, "Percentage of service level met"): negative abandon (``service_level``), without
abandon, positive abandon, only handled (``service_level_of_served``).
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

from routing.simulation.intervals import Estimate, average, percentile, quotient
from routing.simulation.observations import GroupTally, Observations, Slots, Tally, merged
from routing.simulation.scenario import Scenario
from routing.simulation.world import Staffing, play

ALL = "all"
"""All types together."""

PERCENTILES = (50, 80, 90, 95, 99)

Figures = dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class Period:
    """Figures of one period; the one in which the warm-up ends begins with its end, those before it are left out."""

    begins_s: float
    types: dict[str, Figures]
    groups: dict[str, Figures]


@dataclass(frozen=True, slots=True)
class Results:
    """What came out."""

    types: dict[str, Figures]
    """With ``ALL`` when there is more than one."""
    groups: dict[str, Figures]
    periods: list["Period"]
    """Of those who arrived in each period, and of the agents in it; empty for a single replication."""
    method: str
    """Where the intervals come from: ``replications``, or ``batch means`` of a single one."""
    replications: int
    seed: int
    confidence: float
    calls: int
    """How many were played."""
    took_s: float

    def as_json(self) -> dict[str, Any]:
        """``{"types": {name: {measure: {"mean", "half_width"}}}, ...}``."""
        return asdict(self)


def simulate(
    scenario: Scenario,
    *,
    replications: int,
    seed: int,
    staffing: Staffing | None = None,
) -> Results:
    """Play a scenario; one replication is cut into batches. Another ``staffing`` meets the same calls."""
    began = perf_counter()
    slots = slots_of(scenario, batches=replications == 1)
    played = [play(scenario, slots, seed, replication, staffing) for replication in range(replications)]
    parts = [_slot(played[0], slot) for slot in range(len(slots))] if replications == 1 else [_whole(o) for o in played]
    return Results(
        **_figures(scenario, parts, runs=len(parts) if replications == 1 else 1),
        periods=[
            Period(edge_ms / 1000, **_figures(scenario, [_slot(one, slot) for one in played], runs=1))
            for slot, edge_ms in enumerate(slots.edges_ms[:-1])
            if replications > 1 and scenario.time.periods > 1
        ],
        method="replications" if replications > 1 else "batch means",
        replications=replications,
        seed=seed,
        confidence=scenario.confidence,
        calls=sum(one.calls for one in played),
        took_s=perf_counter() - began,
    )


def slots_of(scenario: Scenario, *, batches: bool) -> Slots:
    """What is counted, from the warm-up's end to the horizon: cut into batches, or at the periods."""
    time = scenario.time
    warm_up, horizon = round(time.warm_up_s * 1000), round(time.horizon_s * 1000)
    if batches:
        return Slots([warm_up + (horizon - warm_up) * i // time.batches for i in range(time.batches + 1)])
    periods = [round(time.period_s * 1000 * period) for period in range(1, time.periods)]
    return Slots([warm_up, *periods[bisect_right(periods, warm_up) :], horizon])


_Part = tuple[dict[str, Tally], dict[str, GroupTally]]


def _slot(observed: Observations, slot: int) -> _Part:
    types = {name: tallies[slot] for name, tallies in observed.types.items()}
    return _with_all(types), {name: tallies[slot] for name, tallies in observed.groups.items()}


def _whole(observed: Observations) -> _Part:
    types = {name: merged(tallies) for name, tallies in observed.types.items()}
    groups = {
        name: GroupTally(
            sum(t.staffed_ms for t in tallies), sum(t.occupied_ms for t in tallies), sum(t.served for t in tallies)
        )
        for name, tallies in observed.groups.items()
    }
    return _with_all(types), groups


def _with_all(types: dict[str, Tally]) -> dict[str, Tally]:
    return {**types, ALL: merged(list(types.values()))} if len(types) > 1 else types


def _figures(scenario: Scenario, parts: Sequence[_Part], runs: int) -> dict[str, dict[str, Figures]]:
    weigh = _Measures(scenario, runs)
    return {
        "types": {name: weigh.type([types[name] for types, _ in parts]) for name in parts[0][0]},
        "groups": {name: weigh.group([groups[name] for _, groups in parts]) for name in scenario.groups},
    }


class _Measures:
    """From tallies of many parts to figures."""

    def __init__(self, scenario: Scenario, runs: int) -> None:
        """``runs``: how many parts make what is counted in one replication."""
        self._runs = runs
        self._in_time_ms = scenario.service_level_s * 1000
        self._confidence = scenario.confidence

    def type(self, parts: Sequence[Tally]) -> Figures:
        offered = [part.offered for part in parts]
        blocked = [part.blocked for part in parts]
        entered = [a - b for a, b in zip(offered, blocked, strict=True)]
        served = [len(part.served_waits_ms) for part in parts]
        abandoned = [len(part.abandoned_waits_ms) for part in parts]
        served_s = [sum(part.served_waits_ms) / 1000 for part in parts]
        abandoned_s = [sum(part.abandoned_waits_ms) / 1000 for part in parts]
        good = [self._in_time(part.served_waits_ms) for part in parts]
        gone = [self._in_time(part.abandoned_waits_ms) for part in parts]
        wrong = [part.wait_errors_ms for part in parts]
        compared = [len(errors) for errors in wrong]
        counts: Mapping[str, Sequence[int]] = {
            "offered": offered,
            "retried": [part.retried for part in parts],
            "blocked": blocked,
            "served": served,
            "abandoned": abandoned,
            "unfinished": [part.unfinished for part in parts],
        }
        quotients: Mapping[str, tuple[Sequence[float], Sequence[float]]] = {
            "blocked_share": (blocked, offered),
            "delayed_share": ([part.delayed for part in parts], entered),
            "abandoned_share": (abandoned, entered),
            "wait_s": (_sums(served_s, abandoned_s), _sums(served, abandoned)),
            "wait_of_served_s": (served_s, served),
            "wait_of_abandoned_s": (abandoned_s, abandoned),
            "wait_error_s": ([sum(errors) / 1000 for errors in wrong], compared),
            "wait_error_absolute_s": ([sum(map(abs, errors)) / 1000 for errors in wrong], compared),
            "service_level": (good, entered),
            "service_level_abandoned_ignored": (good, [e - g for e, g in zip(entered, gone, strict=True)]),
            "service_level_abandoned_good": (_sums(good, gone), entered),
            "service_level_of_served": (good, served),
        }
        figures = {name: self._count(values) for name, values in counts.items()}
        for name, (above, below) in quotients.items():
            estimate = quotient(above, below, self._confidence)
            if estimate is not None:
                figures[name] = estimate
        waits = [[wait / 1000 for wait in part.served_waits_ms] for part in parts]
        for share in PERCENTILES:
            estimate = percentile(waits, share / 100, self._confidence)
            if estimate is not None:
                figures[f"wait_of_served_p{share}_s"] = estimate
        return figures

    def group(self, parts: Sequence[GroupTally]) -> Figures:
        occupancy = quotient([p.occupied_ms for p in parts], [p.staffed_ms for p in parts], self._confidence)
        figures = {
            "served": self._count([part.served for part in parts]),
            "staffed_hours": self._count([part.staffed_ms / 3_600_000 for part in parts]),
        }
        return figures if occupancy is None else {**figures, "occupancy": occupancy}

    def _count(self, values: Sequence[float]) -> Estimate:
        """Per replication."""
        return average([self._runs * value for value in values], self._confidence)

    def _in_time(self, waits_ms: Sequence[int]) -> int:
        return sum(wait <= self._in_time_ms for wait in waits_ms)


def _sums(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    return [one + other for one, other in zip(ones, others, strict=True)]
