"""The smallest staffing, where it is known."""

from pathlib import Path
from typing import Any

import pytest
from routing.simulation import staffing
from routing.simulation.erlang import agents_needed, within
from routing.simulation.scenario import Scenario
from routing.simulation.staffing import OutOfReach, staff
from scenarios import scenario


def queue(folder: Path, periods: int = 1, **parts: Any) -> Scenario:
    caller = {"service_s": {"exponential": {"mean": 180}}, **parts.pop("caller", {})}
    return scenario(
        folder,
        time={"period_s": 36_000 / periods, "periods": periods, "drain": True},
        types={"call": caller},
        groups={"team": {"agents": 1}},
        **parts,
    )


def test_one_queue_needs_what_erlang_c_says(tmp_path: Path) -> None:
    """10 Erlang: 14 agents answer .888 in time, 13 only .7956."""
    found = staff(
        queue(tmp_path, caller={"arrivals": {"poisson_per_hour": 200}}), share=0.8, within_s=20, replications=20, seed=1
    )
    assert found.staffing == {"team": [agents_needed(10, 180, 0.8, 20)]} == {"team": [14]}
    (one_less,) = found.one_less["team"]
    assert one_less is not None
    assert one_less.level.mean < within(14, 10, 180, 20)
    assert found.agent_hours == 140


def test_periods_are_staffed_apart_and_impatience_saves_agents(tmp_path: Path) -> None:
    rates = [100, 300]
    caller = {"arrivals": {"poisson_per_hour": rates}, "patience_s": {"exponential": {"mean": 60}}}
    found = staff(queue(tmp_path, 2, caller=caller), share=0.8, within_s=20, replications=6, seed=1)
    by_erlang_c = [agents_needed(rate / 20, 180, 0.8, 20) for rate in rates]
    assert all(mine < theirs for mine, theirs in zip(found.staffing["team"], by_erlang_c, strict=True))
    for period in found.results.periods:
        level = period.types["call"]["service_level"]
        assert level.low is not None and level.low >= 0.8
    assert all(short is not None for short in found.one_less["team"])


def test_agents_are_added_to_who_can_help(tmp_path: Path) -> None:
    """Bursts need more than Erlang C's steady state: the search has to add, and only to the group with the skill."""
    calls = tmp_path / "calls.csv"
    calls.write_text("at\n" + "".join(f"{burst * 3600 + n}\n" for burst in range(10) for n in range(20)))
    given = scenario(
        tmp_path,
        time={"period_s": 36_000, "drain": True},
        types={
            "burst": {
                "arrivals": {"recorded": {"file": "calls.csv", "time": "at"}},
                "service_s": {"exponential": {"mean": 180}},
                "requirement": {"rare": 1},
            },
            "rest": {"arrivals": {"poisson_per_hour": 20}, "service_s": {"exponential": {"mean": 180}}},
        },
        groups={"experts": {"agents": 1, "skills": {"rare": 1}}, "others": {"agents": 1}},
    )
    found = staff(given, share=0.8, within_s=20, replications=4, seed=1)
    assert found.staffing["experts"][0] >= 14
    assert found.staffing["others"][0] <= 4


def test_nobody_is_needed_where_nobody_enters(tmp_path: Path) -> None:
    given = queue(tmp_path, caller={"arrivals": {"poisson_per_hour": 1}}, lines={"trunks": 0})
    assert staff(given, share=0.8, within_s=20, replications=2, seed=1).staffing == {"team": [0]}


def test_what_more_agents_do_not_mend_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for what nobody has waits 30 s before asking for less, however many are there."""
    monkeypatch.setattr(staffing, "MAX_ROUNDS", 5)
    caller = {"arrivals": {"poisson_per_hour": 10}, "queue": "slow", "requirement": {"rare": 1}}
    given = queue(tmp_path, caller=caller, queues={"slow": {"steps": [{"after_s": 30, "levels": {"rare": 0}}]}})
    with pytest.raises(OutOfReach, match=r"call still has 0\.0%"):
        staff(given, share=0.8, within_s=20, replications=2, seed=1)


def test_a_search_needs_something_to_tell_from(tmp_path: Path) -> None:
    given = queue(tmp_path, caller={"arrivals": {"poisson_per_hour": 1}})
    with pytest.raises(ValueError, match="two replications"):
        staff(given, share=0.8, within_s=20, replications=1, seed=1)
