"""The smallest staffing with which a scenario's callers are answered in time.

Wanted is a share of those who entered answered within a time: of all who arrive in each period, and of each type over
the whole horizon. A staffing is good enough when the lower confidence limit of each of these shares reaches the target.

The search begins with what Erlang C gives each group for its share of each period's load, adds agents where a share is
too low, then takes away wherever it can: until no group can do with one agent less in any period. With one group and
one period that is the minimum; with more it is a local one, as in the searches by simulation of Cezik and L'Ecuyer,
Staffing multiskill call centers via linear programming and simulation (Management Science 54, 2008), section 5. All
staffings meet the same callers (common random numbers), so what differs between two is what the agents make of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from routing.simulation.erlang import agents_needed
from routing.simulation.intervals import Estimate
from routing.simulation.results import ALL, Figures, Results, simulate
from routing.simulation.scenario import CallType, Scenario, servers

MAX_ROUNDS = 200
"""Of adding agents; a target that is not reached then has another reason than too few of them."""


class OutOfReach(Exception):
    """More agents do not help; says what is missing."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A share that is not shown to reach the target."""

    what: str
    """``period 3``, or the type's name."""
    level: Estimate
    period: int | None = None
    type: str | None = None

    def undecided(self, share: float) -> bool:
        """The target lies within the interval: more replications may show that it is reached."""
        return self.level.high is not None and self.level.high >= share


OneLess = dict[str, list[Shortfall | None]]
"""Per group and period, what fell short most clearly with one agent less; None where there is none to take away."""


@dataclass(frozen=True, slots=True)
class Staffed:
    """What was found."""

    staffing: dict[str, list[int]]
    agent_hours: float
    share: float
    within_s: float
    confidence: float
    """One-sided: with which each share reaches the target."""
    results: Results
    """With this staffing."""
    one_less: OneLess
    evaluations: int


@dataclass(slots=True)
class _Search:
    scenario: Scenario
    share: float
    replications: int
    seed: int
    progress: Callable[[str], None]
    evaluations: int = 0
    served_by: dict[str, list[str]] = field(default_factory=dict)

    def evaluate(self, staffing: dict[str, list[int]]) -> Results:
        self.evaluations += 1
        return simulate(self.scenario, replications=self.replications, seed=self.seed, staffing=staffing)

    def shortfalls(self, results: Results) -> Iterator[Shortfall]:
        for period, figures in enumerate(results.periods):
            level = _level(figures.types.get(ALL) or next(iter(figures.types.values())))
            if self._is_short(level):
                yield Shortfall(f"period {period + 1}", level, period=period)
        for name, one in results.types.items():
            if self._is_short(_level(one)):
                yield Shortfall(name, _level(one), type=name)

    def _is_short(self, level: Estimate) -> bool:
        return level.low is None or level.low < self.share


def staff(
    scenario: Scenario,
    *,
    share: float,
    within_s: float,
    replications: int,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Staffed:
    """Search; the scenario's own numbers of agents do not matter, its groups do.

    Raises:
        OutOfReach: no number of agents reaches the target.
        ValueError: fewer than two replications, or a warm-up (what is not counted cannot be staffed).
    """
    if replications < 2:
        raise ValueError("a search needs two replications or more")
    if scenario.time.warm_up_s and scenario.time.periods > 1:
        raise ValueError("a search over several periods counts all of them: no warm_up_s")
    one_sided = scenario.model_copy(update={"service_level_s": within_s, "confidence": 2 * scenario.confidence - 1})
    search = _Search(one_sided, share, replications, seed, progress, served_by=servers(scenario))
    staffing = _first_guess(search, within_s)
    results = _add(search, staffing)
    one_less: OneLess = {name: [None] * scenario.time.periods for name in scenario.groups}
    results = _take_away(search, staffing, results, one_less)
    return Staffed(
        staffing=staffing,
        agent_hours=sum(map(sum, staffing.values())) * scenario.time.period_s / 3600,
        share=share,
        within_s=within_s,
        confidence=scenario.confidence,
        results=results,
        one_less=one_less,
        evaluations=search.evaluations,
    )


def _first_guess(search: _Search, within_s: float) -> dict[str, list[int]]:
    scenario = search.scenario
    periods = scenario.time.periods
    loads = {name: [[0.0, 0.0] for _ in range(periods)] for name in scenario.groups}
    for name, call_type in scenario.types.items():
        groups = search.served_by[name]
        for period, rate in enumerate(_rates(scenario, call_type)):
            service = call_type.service_s[min(period, len(call_type.service_s) - 1)].mean
            for group in groups:
                loads[group][period][0] += rate * service / len(groups)
                loads[group][period][1] += rate / len(groups)
    return {
        name: [
            agents_needed(load, load / rate, search.share, within_s) if rate and load else 0 for load, rate in by_period
        ]
        for name, by_period in loads.items()
    }


def _rates(scenario: Scenario, call_type: CallType) -> list[float]:
    """Calls a second in each period."""
    periods, length = scenario.time.periods, scenario.time.period_s
    recorded = call_type.arrivals.recorded
    if recorded is not None:
        counts = [0] * periods
        for call in recorded.calls:
            if call.at_s < scenario.time.horizon_s:
                counts[int(call.at_s // length)] += 1
        return [count / length for count in counts]
    rates = call_type.arrivals.poisson_per_hour or [0.0]
    return [rate / 3600 for rate in (rates if len(rates) == periods else rates * periods)]


def _add(search: _Search, staffing: dict[str, list[int]]) -> Results:
    """Put an agent, or a few, wherever a share is too low, until none is."""
    for _ in range(MAX_ROUNDS):
        results = search.evaluate(staffing)
        short = list(search.shortfalls(results))
        if not short:
            return results
        search.progress(f"{_total(staffing)} agents: {', '.join(s.what for s in short)} below the target")
        in_periods = [s for s in short if s.period is not None]
        for shortfall in in_periods or short:
            group, period = _where(search, results, shortfall)
            staffing[group][period] += 1 + staffing[group][period] // 20
    raise OutOfReach(f"with {_total(staffing)} agents {short[0].what} still has {short[0].level.mean:.1%}")


def _where(search: _Search, results: Results, shortfall: Shortfall) -> tuple[str, int]:
    """The busiest group of those that can serve the type that suffers most; in its worst period."""
    wanted = shortfall.type if shortfall.type in search.served_by else None
    if not results.periods:
        return _busiest(search.served_by[wanted or _worst(results.types)], results.groups), 0
    period = shortfall.period
    if period is None:
        levels = [_level(figures.types[shortfall.type or ALL]).mean for figures in results.periods]
        period = levels.index(min(levels))
    figures = results.periods[period]
    return _busiest(search.served_by[wanted or _worst(figures.types)], figures.groups), period


def _worst(types: dict[str, Figures]) -> str:
    return min((name for name in types if name != ALL), key=lambda name: _level(types[name]).mean)


def _busiest(names: list[str], groups: dict[str, Figures]) -> str:
    """A group without anybody counts as the busiest."""
    return max(names, key=lambda name: groups[name]["occupancy"].mean if "occupancy" in groups[name] else 2.0)


def _take_away(search: _Search, staffing: dict[str, list[int]], results: Results, one_less: OneLess) -> Results:
    """Take agents away, many at first, wherever all shares stay up. Where it once failed it would fail again."""
    cells = [(group, period) for group, agents in staffing.items() for period in range(len(agents))]
    for group, period in sorted(cells, key=lambda cell: -staffing[cell[0]][cell[1]]):
        step = max(1, staffing[group][period] // 8)
        while staffing[group][period] and step:
            step = min(step, staffing[group][period])
            staffing[group][period] -= step
            tried = search.evaluate(staffing)
            short = min(search.shortfalls(tried), key=lambda s: s.level.high or 0.0, default=None)
            if short is None:
                results = tried
                search.progress(f"{_total(staffing)} agents: enough")
                continue
            staffing[group][period] += step
            if step == 1:
                one_less[group][period] = short
            step //= 2
    return results


def _level(figures: Figures) -> Estimate:
    """Without any callers nobody waits too long."""
    return figures.get("service_level", Estimate(1.0, 0.0))


def _total(staffing: dict[str, list[int]]) -> int:
    return sum(map(sum, staffing.values()))
