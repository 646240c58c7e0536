"""What callers and agents do in a simulation, with times that can be followed by hand."""

from pathlib import Path
from typing import Any

import pytest
from routing.simulation.results import simulate
from routing.simulation.scenario import Scenario
from scenarios import every, means, once, scenario

CONSTANT_60 = {"constant": 60}


def small(folder: Path, **parts: Any) -> Scenario:
    """A call every 10 s for 100 s, each of a minute, one agent."""
    caller = {"arrivals": every(10, 9, folder), "service_s": CONSTANT_60, **parts.pop("caller", {})}
    return scenario(
        folder,
        **{
            "time": {"period_s": 100, "drain": True},
            "types": {"call": caller},
            "groups": {"team": {"agents": 1}},
            **parts,
        },
    )


def test_first_come_first_served(tmp_path: Path) -> None:
    call = means(once(small(tmp_path)), "call")
    assert (call["offered"], call["served"], call["delayed_share"]) == (9, 9, pytest.approx(8 / 9))
    assert call["wait_s"] == pytest.approx(sum(50 * n for n in range(9)) / 9)
    assert call["service_level"] == pytest.approx(1 / 9)


def test_impatient_callers_leave(tmp_path: Path) -> None:
    """That of 10 s is served until 70 s; then that of 40 s has waited longest and is served until all others left."""
    call = means(once(small(tmp_path, caller={"patience_s": {"constant": 35}})), "call")
    assert (call["served"], call["abandoned"]) == (2, 7)
    assert (call["wait_of_served_s"], call["wait_of_abandoned_s"]) == (15, 35)
    assert call["abandoned_share"] == pytest.approx(7 / 9)


def test_service_levels_differ_in_what_they_do_with_abandoned_calls(tmp_path: Path) -> None:
    """Served are that of 10 s, at once, and that of 60 s, after 10 s; the others leave after 15 s each."""
    given = small(tmp_path, caller={"patience_s": {"constant": 15}}, service_level_s=20)
    call = means(once(given), "call")
    assert (call["served"], call["abandoned"]) == (2, 7)
    assert call["service_level"] == pytest.approx(2 / 9)
    assert call["service_level_abandoned_ignored"] == pytest.approx(2 / 2)
    assert call["service_level_abandoned_good"] == pytest.approx(9 / 9)
    assert call["service_level_of_served"] == pytest.approx(2 / 2)


def test_the_simulation_is_cut_off_without_drain(tmp_path: Path) -> None:
    call = means(once(small(tmp_path, time={"period_s": 100})), "call")
    assert (call["offered"], call["served"], call["unfinished"]) == (9, 2, 7)


def test_the_warm_up_is_not_counted(tmp_path: Path) -> None:
    results = once(small(tmp_path, time={"period_s": 100, "warm_up_s": 50, "drain": True}))
    assert means(results, "call")["offered"] == 5
    assert results.groups["team"]["staffed_hours"].mean == pytest.approx(50 / 3600)
    assert results.groups["team"]["occupancy"].mean == 1


def test_who_finds_no_trunk_is_blocked(tmp_path: Path) -> None:
    call = means(once(small(tmp_path, lines={"trunks": 3})), "call")
    assert (call["blocked"], call["served"]) == (5, 4)


def test_who_finds_no_place_to_wait_is_blocked(tmp_path: Path) -> None:
    """With two places: those of 10, 20, 30 s have one, from 70 s one is free again."""
    call = means(once(small(tmp_path, lines={"waiting_room": 2})), "call")
    assert (call["blocked"], call["served"], call["blocked_share"]) == (5, 4, pytest.approx(5 / 9))
    assert means(once(small(tmp_path, lines={"waiting_room": 0})), "call")["blocked"] == 7


def test_leads_take_no_trunk_and_no_place_to_wait(tmp_path: Path) -> None:
    given = scenario(
        tmp_path,
        time={"period_s": 200, "drain": True},
        types={
            "lead": {"kind": "lead", "arrivals": every(10, 9, tmp_path), "service_s": CONSTANT_60},
            "call": {"arrivals": every(100, 1, tmp_path), "service_s": CONSTANT_60},
        },
        groups={"leads": {"agents": 1, "capacity": {"lead": 1}}, "calls": {"agents": 1}},
        lines={"trunks": 1, "waiting_room": 0},
    )
    results = once(given)
    assert (means(results, "lead")["served"], means(results, "call")["served"]) == (9, 1)


def test_who_was_blocked_or_gave_up_may_call_again(tmp_path: Path) -> None:
    again = {"after_blocked": 1, "after_abandoned": 1, "delay_s": {"constant": 25}}
    blocked = means(once(small(tmp_path, lines={"waiting_room": 0}, caller={"retrial": again})), "call")
    assert blocked["retried"] > 5
    assert blocked["offered"] == 9 + blocked["retried"] == blocked["served"] + blocked["blocked"]
    caller = {"retrial": again, "patience_s": {"constant": 5}}
    assert means(once(small(tmp_path, caller=caller)), "call")["retried"] > 5


def test_agents_come_and_go_with_the_periods(tmp_path: Path) -> None:
    """Nobody, then two, then one: who is too many finishes the call first."""
    given = scenario(
        tmp_path,
        time={"period_s": 100, "periods": 3, "drain": True},
        types={"call": {"arrivals": every(15, 12, tmp_path), "service_s": CONSTANT_60}},
        groups={"team": {"agents": [0, 2, 1]}},
    )
    results = simulate(given, replications=2, seed=1)
    staffed = [period.groups["team"]["staffed_hours"].mean * 3600 for period in results.periods]
    # The two calls taken at 160 s are over at 220 s: one of the two agents stays 20 s longer.
    assert staffed == pytest.approx([0, 200, 120])
    assert [period.types["call"]["offered"].mean for period in results.periods] == [6, 6, 0]
    assert means(results, "call")["served"] == 12


def test_wrap_up_occupies(tmp_path: Path) -> None:
    given = small(
        tmp_path,
        caller={"queue": "after", "arrivals": every(50, 1, tmp_path), "service_s": {"constant": 10}},
        queues={"after": {"wrap_up_s": 20}},
    )
    assert once(given).groups["team"]["occupancy"].mean == pytest.approx(0.3)


def test_a_group_may_be_faster_and_a_period_slower(tmp_path: Path) -> None:
    given = scenario(
        tmp_path,
        time={"period_s": 1000, "periods": 2, "drain": True},
        types={
            "call": {
                "arrivals": every(400, 4, tmp_path),
                "service_s": [{"constant": 10}, {"constant": 100}],
                "requirement": {"s": 1},
            },
            "quick": {"arrivals": every(400, 4, tmp_path), "service_s": {"constant": 10}, "requirement": {"q": 1}},
        },
        groups={
            "slow": {"agents": 1, "skills": {"s": 1}},
            "fast": {"agents": 1, "skills": {"q": 1}, "service_s": {"quick": {"constant": 1}}},
        },
    )
    groups = once(given).groups
    assert groups["slow"]["occupancy"].mean == pytest.approx((2 * 10 + 2 * 100) / 2000)
    assert groups["fast"]["occupancy"].mean == pytest.approx(4 * 1 / 2000)


def test_a_recording_says_when_how_long_and_how_patient(tmp_path: Path) -> None:
    (tmp_path / "calls.tsv").write_text("at\ttype\ttalk\tpatience\n10\tx\t30\t\n20\tx\t5\t8\n30\ty\t5\t8\n50\tx\t\t\n")
    given = small(
        tmp_path,
        caller={
            "arrivals": {
                "recorded": {
                    "file": "calls.tsv",
                    "time": "at",
                    "service": "talk",
                    "patience": "patience",
                    "where": {"type": "x"},
                }
            },
            "patience_s": {"constant": 500},
        },
    )
    call = means(once(given), "call")
    assert (call["offered"], call["served"], call["abandoned"]) == (3, 2, 1)
    assert call["wait_of_abandoned_s"] == 8


def test_rules_priorities_and_steps_are_those_of_the_engine(tmp_path: Path) -> None:
    """Gold calls go first; a plain one asks for the skill of nobody there until it has waited 30 s."""
    given = scenario(
        tmp_path,
        time={"period_s": 200, "drain": True},
        types={
            "gold": {"arrivals": every(10, 9, tmp_path), "service_s": {"constant": 15}, "tier": "gold"},
            "plain": {"arrivals": every(10, 9, tmp_path), "service_s": {"constant": 15}},
        },
        queues={"first": {"priority": 5}, "second": {"steps": [{"after_s": 30, "levels": {"rare": 0}}]}},
        rules=[
            {"name": "gold", "when": {"tier": ["gold"]}, "then": {"queue": "first"}},
            {"name": "others", "then": {"queue": "second", "requirement": {"rare": 1}}},
        ],
        groups={"team": {"agents": 2}},
    )
    results = once(given)
    assert means(results, "gold")["wait_s"] < 5
    assert means(results, "plain")["wait_s"] >= 30
    assert means(results, "plain")["served"] == 9


def test_a_rule_may_name_an_agent_and_how_long_to_wait_for_them(tmp_path: Path) -> None:
    """Agents are called by their group and number. The second call waits 20 s for the one who has the first."""
    given = scenario(
        tmp_path,
        time={"period_s": 100, "drain": True},
        types={"call": {"arrivals": every(10, 2, tmp_path), "service_s": CONSTANT_60}},
        rules=[
            {"name": "own", "then": {"queue": "default", "preferred_agent": "team-00002", "patience_s": 20}},
        ],
        groups={"team": {"agents": 2}},
    )
    assert means(once(given), "call")["wait_s"] == pytest.approx(20 / 2)


def test_leads_share_an_agent_up_to_the_capacity(tmp_path: Path) -> None:
    given = small(
        tmp_path,
        caller={"kind": "lead", "service_s": {"constant": 1000}},
        groups={"team": {"agents": 1, "capacity": {"lead": 4}}},
        time={"period_s": 100},
    )
    assert means(once(given), "call")["served"] == 4


def test_the_same_seed_meets_the_same_callers_whatever_the_staffing(tmp_path: Path) -> None:
    given = scenario(
        tmp_path,
        time={"period_s": 3600, "drain": True},
        types={
            "call": {
                "arrivals": {"poisson_per_hour": 300, "daily_factor": {"shape": 10}},
                "service_s": {"gamma": {"mean": 60, "sd": 30}},
                "patience_s": {"exponential": {"mean": 60}},
            }
        },
        groups={"team": {"agents": 5}},
    )
    few = simulate(given, replications=3, seed=7)
    more = simulate(given, replications=3, seed=7, staffing={"team": [6]})
    assert few.types["call"]["offered"] == more.types["call"]["offered"]
    assert few.types["call"]["abandoned"].mean > more.types["call"]["abandoned"].mean
    assert few.types == simulate(given, replications=3, seed=7).types
    assert few.types["call"]["offered"] != simulate(given, replications=3, seed=8).types["call"]["offered"]


@pytest.mark.parametrize(
    "distribution",
    [
        {"exponential": {"mean": 50}},
        {"uniform": {"from": 20, "to": 80}},
        {"lognormal": {"mean": 50, "sd": 40}},
        {"gamma": {"mean": 50, "sd": 60}},
        {"empirical": {"values": [10, 40, 100]}},
        {"constant": 50},
    ],
)
def test_distributions_have_the_mean_that_they_say(tmp_path: Path, distribution: dict[str, Any]) -> None:
    given = scenario(
        tmp_path,
        time={"period_s": 200_000, "drain": True},
        types={"call": {"arrivals": {"poisson_per_hour": 360}, "service_s": distribution}},
        groups={"team": {"agents": 40}},
        confidence=0.999,
    )
    assert given.types["call"].service_s[0].mean == pytest.approx(50)
    occupancy = once(given).groups["team"]["occupancy"]
    assert occupancy.half_width is not None
    assert abs(occupancy.mean - 50 * 360 / 3600 / 40) < occupancy.half_width < 0.01


def test_a_daily_factor_spreads_the_days_and_may_be_shared(tmp_path: Path) -> None:
    def arrivals(**factor: Any) -> dict[str, Any]:
        return {
            "arrivals": {"poisson_per_hour": 400, **({"daily_factor": factor} if factor else {})},
            "service_s": {"constant": 1},
        }

    given = scenario(
        tmp_path,
        time={"period_s": 3600, "drain": True},
        types={
            "steady": arrivals(),
            "one": arrivals(shape=16, shared=True),
            "two": arrivals(shape=16, shared=True),
            "alone": arrivals(shape=16),
        },
        groups={"team": {"agents": 9}},
    )
    spread = {
        name: f["offered"].half_width or 0.0 for name, f in simulate(given, replications=25, seed=2).types.items()
    }
    # A standard deviation of a quarter, 100 calls, beside the 20 of a Poisson process.
    assert spread["steady"] * 3 < min(spread["one"], spread["alone"])
    # Two that move together spread twice as much as one, not the square root of it.
    assert spread["all"] ** 2 > spread["steady"] ** 2 + spread["alone"] ** 2 + 3 * spread["one"] ** 2
