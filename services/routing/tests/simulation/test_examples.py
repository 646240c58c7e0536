"""The guide's scenarios can be simulated."""

from pathlib import Path

import pytest
from routing.simulation.results import simulate
from routing.simulation.scenario import load

SCENARIOS = Path(__file__).parents[4] / "docs" / "guides" / "scenarios"


@pytest.mark.parametrize("name", ["one-queue", "a-day", "rules-and-steps"])
def test_an_example_runs(name: str) -> None:
    scenario = load(SCENARIOS / f"{name}.yaml")
    if scenario.time.periods == 1:
        short = scenario.time.model_copy(update={"period_s": 6_000.0, "warm_up_s": 600.0})
        scenario = scenario.model_copy(update={"time": short})
    results = simulate(scenario, replications=2, seed=1)
    for figures in results.types.values():
        assert figures["offered"].mean > 10
        assert 0.3 < figures["service_level"].mean <= 1


def test_there_are_no_other_examples() -> None:
    assert {path.stem for path in SCENARIOS.glob("*.yaml")} == {"one-queue", "a-day", "rules-and-steps"}
