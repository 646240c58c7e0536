"""``python -m routing simulate`` and ``python -m routing staff``."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import click

from routing.document import BadDocument
from routing.simulation.intervals import Estimate
from routing.simulation.results import ALL, Figures, Results
from routing.simulation.results import simulate as played
from routing.simulation.scenario import Scenario, load
from routing.simulation.staffing import OutOfReach, Staffed
from routing.simulation.staffing import staff as staffed

_SHOWN = (
    "offered",
    "retried",
    "blocked",
    "served",
    "abandoned",
    "unfinished",
    "blocked_share",
    "delayed_share",
    "abandoned_share",
    "wait_s",
    "wait_of_served_s",
    "wait_of_served_p50_s",
    "wait_of_served_p90_s",
    "wait_of_served_p99_s",
    "wait_error_s",
    "wait_error_absolute_s",
    "service_level",
    "service_level_abandoned_ignored",
    "service_level_abandoned_good",
    "service_level_of_served",
)
_IF_ANY = {"retried", "blocked", "blocked_share", "unfinished"}
"""Left out of the table when they are 0 everywhere."""


@click.command()
@click.argument("path", metavar="SCENARIO", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replications", default=1, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--seed", default=1, show_default=True, help="The same seed meets the same callers.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures.")
@click.option("--plot", "plots", type=click.Path(file_okay=False, path_type=Path), help="Draw charts into it.")
def simulate(path: Path, replications: int, seed: int, json_path: Path | None, plots: Path | None) -> None:
    """Play a SCENARIO (YAML) against the routing engine under virtual time.

    One replication is cut into batches for its confidence intervals; several are compared with each other.
    """
    draw = _plotter() if plots is not None else None
    scenario = _scenario(path)
    results = played(scenario, replications=replications, seed=seed)
    for line in _in_words(scenario, results):
        click.echo(line)
    if json_path is not None:
        _write(json_path, {"scenario": scenario.name, **results.as_json(), "happened": scenario.happened})
    if plots is not None and draw is not None:
        for file in draw(scenario, results, plots):
            click.echo(f"drawn: {file}")


@click.command()
@click.argument("path", metavar="SCENARIO", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--target", required=True, metavar="SHARE/SECONDS", help="80/20: 80 % answered within 20 s.")
@click.option("--replications", default=20, show_default=True, type=click.IntRange(2, 10_000))
@click.option("--seed", default=1, show_default=True, help="The same seed meets the same callers.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write what was found.")
def staff(path: Path, target: str, replications: int, seed: int, json_path: Path | None) -> None:
    """Find the smallest staffing of a SCENARIO's groups that reaches a target in each period and for each type.

    How many agents the scenario has does not matter. More replications tell apart what fewer cannot.
    """
    match = re.fullmatch(r"(\d{1,2}(?:\.\d+)?)/(\d+(?:\.\d+)?)", target)
    if match is None or not float(match[1]):
        raise click.BadParameter("a share in per cent and seconds, as in 80/20", param_hint="--target")
    scenario = _scenario(path)
    try:
        found = staffed(
            scenario,
            share=float(match[1]) / 100,
            within_s=float(match[2]),
            replications=replications,
            seed=seed,
            progress=lambda text: click.echo(text, err=True),
        )
    except (OutOfReach, ValueError) as error:
        raise click.ClickException(str(error)) from error
    for line in _staffing_in_words(scenario, found):
        click.echo(line)
    if json_path is not None:
        _write(json_path, {"scenario": scenario.name, **asdict(found)})


def _scenario(path: Path) -> Scenario:
    try:
        return load(path)
    except (BadDocument, OSError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from error


def _plotter() -> Callable[[Scenario, Results, Path], list[Path]]:
    try:
        from routing.simulation.plots import draw  # noqa: PLC0415 - matplotlib is there only where it was asked for
    except ModuleNotFoundError as error:
        raise click.ClickException(f"--plot needs cordboard-routing[plot]: {error}") from error
    return draw


def _write(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _in_words(scenario: Scenario, results: Results) -> Iterator[str]:
    yield (
        f"{scenario.name}: {results.calls} calls in {results.took_s:.1f} s"
        f" ({results.calls / max(results.took_s, 1e-9):.0f} calls/s), seed {results.seed};"
        f" {results.confidence:.0%} intervals by {results.method}"
        + (f" ({results.replications})" if results.replications > 1 else "")
    )
    yield f"counts are per replication, times in seconds, in time is within {scenario.service_level_s:g} s"
    for name, figures in results.types.items():
        yield ""
        yield f"type {name}" if name != ALL else "all types"
        happened = scenario.happened if name == ALL or len(results.types) == 1 else {}
        for measure in _SHOWN:
            estimate = figures.get(measure)
            if estimate is not None and (estimate.mean or measure not in _IF_ANY):
                really = f"   really {happened[measure]:g}" if measure in happened else ""
                yield f"  {measure:<34}{_plain(measure, estimate)}{really}"
    for name, figures in results.groups.items():
        yield ""
        yield f"group {name}"
        for measure, estimate in figures.items():
            yield f"  {measure:<34}{_plain(measure, estimate)}"


def _plain(measure: str, estimate: Estimate) -> str:
    digits = 2 if measure.endswith("_s") or measure == "staffed_hours" else 4 if _is_share(measure) else 1
    spread = "" if estimate.half_width is None else f" +- {estimate.half_width:.{digits}f}"
    return f"{estimate.mean:>12.{digits}f}{spread}"


def _is_share(measure: str) -> bool:
    return measure.endswith("_share") or measure.startswith("service_level") or measure == "occupancy"


def _staffing_in_words(scenario: Scenario, found: Staffed) -> Iterator[str]:
    yield (
        f"{scenario.name}: {found.agent_hours:g} agent hours reach {found.share:.0%} within {found.within_s:g} s"
        f" in each period and for each type, each with {found.confidence:.0%} confidence"
    )
    yield (
        f"{found.evaluations} staffings tried, {found.results.replications} replications each;"
        f" +- are {found.results.confidence:.0%} intervals, whose lower ends reach the target"
    )
    names = list(found.staffing)
    yield ""
    yield f"{'from (s)':>10}  " + "  ".join(f"{name:>10}" for name in names) + "   answered in time"
    figures = [period.types for period in found.results.periods] or [found.results.types]
    for period in range(scenario.time.periods):
        agents = "  ".join(f"{found.staffing[name][period]:>10}" for name in names)
        level = _level(figures[period]) if period < len(figures) else ""
        yield f"{period * scenario.time.period_s:>10g}  {agents}   {level}"
    yield ""
    for name, one in found.results.types.items():
        yield f"{name}: {_level({name: one})}"
    yield ""
    undecided = [
        f"  {name} in period {period + 1}: with one less {short.level.mean:.1%} ({short.what})"
        for name, by_period in found.one_less.items()
        for period, short in enumerate(by_period)
        if short is not None and short.undecided(found.share)
    ]
    if undecided:
        yield "one less might do here, which takes more replications to show:"
        yield from undecided
    else:
        yield "with one agent less anywhere the target is missed"


def _level(types: dict[str, Figures]) -> str:
    figures = types.get(ALL) or next(iter(types.values()))
    level = figures.get("service_level")
    if level is None:
        return "nobody called"
    return f"{level.mean:.1%}" + ("" if level.half_width is None else f" +- {level.half_width:.1%}")
