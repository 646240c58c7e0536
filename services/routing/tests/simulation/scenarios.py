"""Scenarios for tests, as a user would write them."""

from pathlib import Path
from typing import Any

from routing.simulation.results import Results, simulate
from routing.simulation.scenario import Scenario


def every(seconds: float, count: int, folder: Path) -> dict[str, Any]:
    """Arrivals at the end of each so many seconds."""
    file = folder / f"every{seconds:g}x{count}.csv"
    file.write_text("at\n" + "".join(f"{seconds * n}\n" for n in range(1, count + 1)))
    return {"recorded": {"file": file.name, "time": "at"}}


def scenario(folder: Path, **parts: Any) -> Scenario:
    return Scenario.model_validate(parts, context={"folder": folder})


def once(given: Scenario, seed: int = 1) -> Results:
    return simulate(given, replications=1, seed=seed)


def means(results: Results, name: str) -> dict[str, float]:
    """Of a type."""
    return {measure: estimate.mean for measure, estimate in results.types[name].items()}
