"""``python -m routing simulate`` and ``staff`` as a user calls them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from routing.simulation.command import simulate, staff

SCENARIO = """\
name: half a day
time: {period_s: 3600, periods: 4, drain: true}
types:
  sales:
    arrivals: {poisson_per_hour: [30, 60, 60, 30]}
    service_s: {lognormal: {mean: 180, sd: 120}}
    patience_s: {exponential: {mean: 120}}
    requirement: {sales: 50}
  help:
    arrivals: {poisson_per_hour: 20}
    service_s: {exponential: {mean: 240}}
    requirement: {help: 50}
groups:
  sellers: {agents: [3, 4, 4, 3], skills: {sales: 80}}
  both: {agents: 2, skills: {sales: 50, help: 80}}
happened: {abandoned: 7}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    return path


def call(command: object, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])  # type: ignore[arg-type]


def test_simulate(path: Path, tmp_path: Path) -> None:
    out, plots = tmp_path / "results.json", tmp_path / "plots"
    done = call(simulate, path, "--replications", 5, "--seed", 3, "--json", out, "--plot", plots)
    assert done.exit_code == 0, done.output
    assert "half a day" in done.output and "95% intervals by replications (5)" in done.output
    assert "really 7" in done.output
    results = json.loads(out.read_text())
    assert set(results["types"]) == {"sales", "help", "all"} and len(results["periods"]) == 4
    assert results["types"]["sales"]["service_level"].keys() == {"mean", "half_width"}
    for file in ("waits.svg", "day.svg"):
        assert "<svg" in (plots / file).read_text()[:1000]
    again = tmp_path / "again.json"
    call(simulate, path, "--replications", 5, "--seed", 3, "--json", again)
    assert {**json.loads(again.read_text()), "took_s": 0} == {**results, "took_s": 0}


def test_one_replication_has_batches(path: Path) -> None:
    assert "95% intervals by batch means" in call(simulate, path).output


def test_staff(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    done = call(staff, path, "--target", "80/20", "--replications", 4, "--json", out)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert set(found["staffing"]) == {"sellers", "both"} and len(found["staffing"]["both"]) == 4
    assert f"{found['agent_hours']:g} agent hours reach 80% within 20 s" in done.output


@pytest.mark.parametrize("target", ["80", "0/20", "120/20", "80/", "a/b"])
def test_a_target_is_a_share_and_seconds(path: Path, target: str) -> None:
    assert call(staff, path, "--target", target).exit_code == 2


def test_a_bad_scenario_is_refused_with_its_line(path: Path) -> None:
    path.write_text(SCENARIO.replace("mean: 240", "mean: 0"))
    done = call(simulate, path)
    assert done.exit_code == 1
    assert f"{path}:11: types.help.service_s.exponential.mean: " in done.output
