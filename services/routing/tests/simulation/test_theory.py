"""The engine under virtual time against exact results and published simulations.

Every bound is the run's own confidence interval (99.9 %), which must be narrow enough to notice a mistake. Seeds are
fixed: what passes once passes always, until the engine or the simulation changes.
"""

import math
from itertools import permutations
from typing import Any

import pytest
from routing.simulation.intervals import Estimate
from routing.simulation.results import Results, simulate
from routing.simulation.scenario import Scenario
from theory import Day, day, longest_idle, mean_wait, steady

NIGHTLY = [pytest.mark.nightly, pytest.mark.timeout(3600)]


def exponential(mean_s: float) -> dict[str, Any]:
    return {"exponential": {"mean": mean_s}}


def scenario(**parts: Any) -> Scenario:
    return Scenario.model_validate({"confidence": 0.999, **parts})


def one_queue(per_minute: float, service_s: float, agents: int, calls: float, **parts: Any) -> Scenario:
    """A steady queue: the first tenth of the calls is not counted."""
    horizon_s = calls / per_minute * 60
    call_type = {
        "arrivals": {"poisson_per_hour": per_minute * 60},
        "service_s": exponential(service_s),
        **parts.pop("caller", {}),
    }
    return scenario(
        time={"period_s": horizon_s, "warm_up_s": horizon_s / 10},
        types={"call": call_type},
        groups={"agents": {"agents": agents}},
        **parts,
    )


def check(estimate: Estimate, exact: float, within: float) -> None:
    """The interval contains the exact figure, and is no wider than this share of it."""
    assert estimate.half_width is not None
    assert abs(estimate.mean - exact) <= estimate.half_width, (estimate, exact)
    assert estimate.half_width <= within * exact, (estimate, exact)


def figures(results: Results, name: str = "call") -> dict[str, Estimate]:
    return results.types[name]


@pytest.mark.parametrize("calls", [60_000, pytest.param(1_000_000, marks=NIGHTLY)])
def test_erlang_c(calls: int) -> None:
    """50 agents, 48 calls a minute, mean service a minute: published .6945, 20.834 s, .96."""
    exact = steady(48, 1, 50)
    assert (exact.delayed, mean_wait(50, 48, 60)) == (pytest.approx(0.6945, abs=5e-5), pytest.approx(20.834, abs=5e-4))
    results = simulate(one_queue(48, 60, 50, calls), replications=1, seed=4)
    precision = (60_000 / calls) ** 0.5
    check(figures(results)["delayed_share"], exact.delayed, 0.23 * precision)
    check(figures(results)["wait_s"], exact.wait * 60, 0.8 * precision)
    check(results.groups["agents"]["occupancy"], 0.96, 0.027 * precision)
    # What is foreseen when a wait begins. With n ahead it is a sum of n + 1 exponential times of mean 60 / 50 s, and n
    # is geometric: who knows n and the rate and expects the mean is wrong by 4.254 s (of 30 s), on average. Ours has to
    # learn the rate; as that seems slowest when the line is longest, it expects a little too much.
    least = sum(
        0.04 * 0.96 ** (k - 1) * 2 * math.exp(k * math.log(k) - k - math.lgamma(k)) * 60 / 50 for k in range(1, 600)
    )
    assert least == pytest.approx(4.254, abs=5e-4)
    assert figures(results)["wait_error_absolute_s"].mean == pytest.approx(1.1 * least, rel=0.2)
    assert -0.05 * 30 < figures(results)["wait_error_s"].mean < 0


@pytest.mark.parametrize("calls", [60_000, pytest.param(500_000, marks=NIGHTLY)])
def test_erlang_a(calls: int) -> None:
    """The same with a mean patience of two minutes: published .03091, 3.709 s, .4678, .9303."""
    exact = steady(48, 1, 50, patience=0.5)
    assert (exact.abandoned, exact.wait * 60, exact.delayed, exact.occupancy) == (
        pytest.approx(0.03091, abs=5e-6),
        pytest.approx(3.709, abs=5e-4),
        pytest.approx(0.4678, abs=5e-5),
        pytest.approx(0.9303, abs=5e-5),
    )
    caller = {"patience_s": exponential(120)}
    results = simulate(one_queue(48, 60, 50, calls, caller=caller), replications=1, seed=1)
    precision = (60_000 / calls) ** 0.5
    check(figures(results)["abandoned_share"], exact.abandoned, 0.36 * precision)
    check(figures(results)["wait_s"], exact.wait * 60, 0.36 * precision)
    check(figures(results)["delayed_share"], exact.delayed, 0.22 * precision)
    check(results.groups["agents"]["occupancy"], exact.occupancy, 0.02 * precision)


DAYS = [25, pytest.param(250, marks=NIGHTLY)]


def eight_hours(**parts: Any) -> Scenario:
    """12 agents, 4.2 arrivals and .5 services a minute, from empty to the last caller."""
    caller = parts.pop("caller", {})
    return scenario(
        time={"period_s": 8 * 3600, "drain": True},
        types={"call": {"arrivals": {"poisson_per_hour": 252}, "service_s": exponential(120), **caller}},
        groups={"agents": {"agents": 12}},
        **parts,
    )


def same_day(results: Results, exact: Day, precision: float) -> None:
    mine = figures(results)
    check(mine["service_level"], exact.in_time_of_entered, 0.027 * precision)
    check(mine["service_level_of_served"], exact.in_time_of_served, 0.027 * precision)
    check(mine["wait_s"], exact.wait * 60, 0.41 * precision)
    check(results.groups["agents"]["occupancy"], exact.occupancy, 0.041 * precision)


@pytest.mark.parametrize("days", DAYS)
def test_days_of_patient_callers(days: int) -> None:
    """Published, of 1,000 simulated days: service level .902, mean wait .099 min, occupancy .695."""
    exact = day(4.2, 0.5, 12, 8, 1 / 3)
    assert (exact.in_time_of_entered, exact.wait, exact.occupancy) == (
        pytest.approx(0.902, abs=0.004),
        pytest.approx(0.099, abs=0.006),
        pytest.approx(0.695, abs=0.004),
    )
    same_day(simulate(eight_hours(), replications=days, seed=1), exact, (25 / days) ** 0.5)


@pytest.mark.parametrize("days", DAYS)
def test_days_of_impatient_callers(days: int) -> None:
    """Published, with a mean patience of a minute: 58.6 abandonments a day, service level of the served .975."""
    exact = day(4.2, 0.5, 12, 8, 1 / 3, patience=1)
    assert (exact.abandoned, exact.in_time_of_served) == (
        pytest.approx(58.6, rel=0.02),
        pytest.approx(0.975, abs=0.001),
    )
    results = simulate(eight_hours(caller={"patience_s": exponential(60)}), replications=days, seed=1)
    same_day(results, exact, (25 / days) ** 0.5)
    check(figures(results)["abandoned"], exact.abandoned, 0.2 * (25 / days) ** 0.5)


@pytest.mark.parametrize("days", DAYS)
def test_days_with_a_small_waiting_room(days: int) -> None:
    """Published, with room for 5 to wait: 18.7 blocked a day, service level .929."""
    exact = day(4.2, 0.5, 12, 8, 1 / 3, room=5)
    assert (exact.blocked, exact.in_time_of_entered) == (pytest.approx(18.7, rel=0.02), pytest.approx(0.929, abs=0.002))
    results = simulate(eight_hours(lines={"waiting_room": 5}), replications=days, seed=1)
    same_day(results, exact, (25 / days) ** 0.5)
    check(figures(results)["blocked"], exact.blocked, 0.47 * (25 / days) ** 0.5)


@pytest.mark.parametrize("calls", [40_000, pytest.param(400_000, marks=NIGHTLY)])
def test_longest_idle_with_servers_of_different_speed(calls: int) -> None:
    """Rates 2, 1, .5, .5 an hour, 3 arrivals: utilisations .68878, .77296, .84949, .84949; all busy .55102."""
    rates = (2.0, 1.0, 0.5, 0.5)
    exact = longest_idle(3, rates)
    assert [*exact.utilisations, exact.all_busy, exact.wait] == pytest.approx(
        [0.68878, 0.77296, 0.84949, 0.84949, 0.55102, 0.55102], abs=5e-6
    )
    horizon_s = calls / 3 * 3600
    results = simulate(
        scenario(
            time={"period_s": horizon_s, "warm_up_s": horizon_s / 10},
            types={"call": {"arrivals": {"poisson_per_hour": 3}, "service_s": exponential(3600)}},
            groups={
                f"server{n}": {"agents": 1, "service_s": {"call": exponential(3600 / rate)}}
                for n, rate in enumerate(rates)
            },
            agent_order="longest_idle",
        ),
        replications=1,
        seed=1,
    )
    precision = (40_000 / calls) ** 0.5
    for n, utilisation in enumerate(exact.utilisations):
        check(results.groups[f"server{n}"]["occupancy"], utilisation, 0.045 * precision)
    check(figures(results)["delayed_share"], exact.all_busy, 0.09 * precision)
    check(figures(results)["wait_s"], exact.wait * 3600, 0.3 * precision)


SKILLS = [f"skill{n}" for n in range(6)]


def pooled(groups: dict[str, Any], calls: int) -> Results:
    """6 types, 84 Erlang of 10 minutes each, 30 waiting places."""
    horizon_s = calls / 8.4 * 60
    return simulate(
        scenario(
            time={"period_s": horizon_s, "warm_up_s": horizon_s / 20},
            types={
                skill: {
                    "arrivals": {"poisson_per_hour": 84},
                    "service_s": exponential(600),
                    "requirement": {skill: 1},
                }
                for skill in SKILLS
            },
            groups=groups,
            lines={"trunks": 120},
            agent_order="longest_idle",
        ),
        replications=1,
        seed=3,
    )


POOLED_CALLS = [60_000, pytest.param(500_000, marks=NIGHTLY)]


@pytest.mark.parametrize("calls", POOLED_CALLS)
def test_pooling_with_all_skills(calls: int) -> None:
    """Published: blocking .00364, delayed .3797, mean wait .450 min. As one queue of 90."""
    exact = steady(8.4, 0.1, 90, room=30)
    assert (exact.blocked, exact.delayed, exact.wait) == (
        pytest.approx(0.00364, abs=5e-6),
        pytest.approx(0.3797, abs=5e-5),
        pytest.approx(0.450, abs=5e-4),
    )
    results = pooled({"generalists": {"agents": 90, "skills": dict.fromkeys(SKILLS, 50)}}, calls)
    precision = (60_000 / calls) ** 0.5
    check(figures(results, "all")["blocked_share"], exact.blocked, 1.2 * precision)
    check(figures(results, "all")["delayed_share"], exact.delayed, 0.36 * precision)
    check(figures(results, "all")["wait_s"], exact.wait * 60, 0.61 * precision)


@pytest.mark.parametrize("calls", POOLED_CALLS)
def test_pooling_with_two_skills_each(calls: int) -> None:
    """Published (Wallace and Whitt, 2005): a mean wait of about .545 min, little more than with all skills.

    Three agents for each ordered pair of skills. There the first skill goes before the second, here both are equal.
    """
    groups = {f"{one}-{other}": {"agents": 3, "skills": {one: 50, other: 50}} for one, other in permutations(SKILLS, 2)}
    wait = figures(pooled(groups, calls), "all")["wait_s"]
    assert wait.half_width is not None
    assert abs(wait.mean / 60 - 0.545) <= wait.half_width / 60 + 0.05
    assert wait.half_width / 60 <= 0.27 * (60_000 / calls) ** 0.5
