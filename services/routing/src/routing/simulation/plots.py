"""Charts of a simulation, as SVG. Needs matplotlib: ``cordboard-routing[plot]``."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from routing.simulation.intervals import Estimate
from routing.simulation.results import ALL, PERCENTILES, Figures, Results
from routing.simulation.scenario import Scenario


def draw(scenario: Scenario, results: Results, folder: Path) -> list[Path]:
    """One chart of the waits and, with several periods and replications, one of the day. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    charts = {"waits": _waits(scenario, results)}
    if results.periods:
        charts["day"] = _day(scenario, results)
    files = []
    for name, figure in charts.items():
        file = folder / f"{name}.svg"
        figure.savefig(file, metadata={"Date": None})
        files.append(file)
    return files


def _waits(scenario: Scenario, results: Results) -> Figure:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, figures in results.types.items():
        points = [figures.get(f"wait_of_served_p{share}_s") for share in PERCENTILES]
        _line(axes, list(PERCENTILES), points, name)
    axes.axhline(scenario.service_level_s, linestyle=":", color="grey", label=f"{scenario.service_level_s:g} s")
    axes.set_xlabel("per cent of the served waited no longer than")
    axes.set_ylabel("seconds")
    axes.set_title(scenario.name)
    axes.legend()
    return figure


def _day(scenario: Scenario, results: Results) -> Figure:
    figure = Figure(figsize=(10, 8), layout="constrained")
    calls, levels, occupancy = figure.subplots(3, sharex=True)
    hours = [period.begins_s / 3600 for period in results.periods]
    for measure in ("offered", "served", "abandoned", "blocked"):
        _line(calls, hours, [_all(period.types).get(measure) for period in results.periods], measure)
    for name in results.types:
        _line(levels, hours, [period.types[name].get("service_level") for period in results.periods], name)
    for name in results.groups:
        _line(occupancy, hours, [period.groups[name].get("occupancy") for period in results.periods], name)
    calls.set_ylabel("calls in the period")
    levels.set_ylabel(f"share answered within {scenario.service_level_s:g} s")
    occupancy.set_ylabel("occupancy")
    occupancy.set_xlabel("hours since the first period began")
    calls.set_title(scenario.name)
    for axes in (calls, levels, occupancy):
        axes.legend()
    return figure


def _line(axes: Axes, x: Sequence[float], estimates: Sequence[Estimate | None], label: str) -> None:
    """What there is, with its confidence interval."""
    there = [(at, estimate) for at, estimate in zip(x, estimates, strict=True) if estimate is not None]
    axes.errorbar(
        [at for at, _ in there],
        [estimate.mean for _, estimate in there],
        yerr=[estimate.half_width or 0 for _, estimate in there],
        label=label,
        marker=".",
        capsize=2,
    )


def _all(types: dict[str, Figures]) -> Figures:
    return types.get(ALL) or next(iter(types.values()))
