"""What a scenario says wrongly is told with its line, field and reason, all of it at once."""

from pathlib import Path

import pytest
from routing.document import BadDocument
from routing.simulation.scenario import load

GOOD = """\
time: {period_s: 3600, periods: 2}
types:
  sales:
    arrivals:
      poisson_per_hour: [10, 20]
    service_s:
      exponential: {mean: 60}
    requirement: {sales: 50}
groups:
  team:
    agents: [2, 3]
    skills: {sales: 50}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(folder: Path, text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(BadDocument) as refused:
        load(written(folder, text))
    assert str(folder / "scenario.yaml") in str(refused.value)
    return [(fault.line, fault.field, fault.reason) for fault in refused.value.faults]


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, GOOD))
    assert (scenario.service_level_s, scenario.agent_order, scenario.time.drain) == (20, "longest_idle", False)


@pytest.mark.parametrize(
    ("was", "now", "line", "field", "reason"),
    [
        ("{mean: 60}", "{mean: -1}", 7, "types.sales.service_s.exponential.mean", "greater than 0"),
        ("{mean: 60}", "{median: 60}", 7, "types.sales.service_s.exponential.mean", "required"),
        ("exponential: {mean: 60}", "pareto: {mean: 60}", 7, "types.sales.service_s.pareto", "Extra inputs"),
        ("exponential: {mean: 60}", "constant: .nan", 7, "types.sales.service_s.constant", "finite"),
        ("exponential: {mean: 60}", "uniform: {from: 9, to: 1}", 7, "types.sales.service_s.uniform", "not above"),
        ("exponential: {mean: 60}", "empirical: {file: no.csv, column: s}", 7, "types.sales.service_s", "no.csv"),
        ("[10, 20]", "[10, 20, 30]", 5, "types.sales.arrivals.poisson_per_hour", "each of the 2 periods, not 3"),
        ("[10, 20]", "[10, many]", 5, "types.sales.arrivals.poisson_per_hour.1", "number"),
        ("agents: [2, 3]", "agents: [2, -3]", 11, "groups.team.agents.1", "greater than or equal to 0"),
        ("skills: {sales: 50}", "skills: {sales: 40}", 4, "types.sales", "no group can serve it"),
        ("skills: {sales: 50}", "skills: {sales: 500}", 12, "groups.team.skills.sales", "less than or equal to 100"),
        ("groups:", "agent_order: alphabetical\ngroups:", 9, "agent_order", "longest_idle"),
        ("groups:", "rules: [{name: all, then: {}}]\ngroups:", 9, "rules.0", "queue is missing"),
        ("groups:", "rules: [{name: a, then: {queue: nowhere}}]\ngroups:", 9, "rules.0.then.queue", "no queue nowhere"),
        (
            "groups:",
            "rules: [{name: a, when: {time_zone: UTC, time: [09:00-10:00]}, then: {queue: default}}]\ngroups:",
            9,
            "rules.0.when.time_zone",
            "no date",
        ),
        ("groups:", "queues: {a: {steps: [{after_s: 9, queue: a}]}}\ngroups:", 9, "queues", "round"),
        ("groups:", "queues: {a: {steps: [{after_s: 9}, {after_s: 1}]}}\ngroups:", 9, "queues.a", "steps"),
        ("    requirement", "    queue: nowhere\n    requirement", 8, "types.sales.queue", "no queue nowhere"),
        ("periods: 2}", "periods: 2, warm_up_s: 7200}", 1, "time.warm_up_s", "nothing would be counted"),
        ("  team:", "  team: {agents: 1}\n  team:", 11, "groups.team", "twice"),
        ("  team:", "  team: [", 12, "", "expected"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, was: str, now: str, line: int, field: str, reason: str) -> None:
    assert was in GOOD
    found = faults(tmp_path, GOOD.replace(was, now, 1))
    assert any(at == line and where.startswith(field) and reason in why for at, where, why in found), found


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("[10, 20]", "[10, -20]").replace("{sales: 50}", "{sales: 101}")
    assert [line for line, _, _ in faults(tmp_path, text)] == [5, 8, 12]


def test_a_recording_with_a_bad_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text("at,type\n5,x\nlater,x\n")
    recorded = "{recorded: {file: calls.csv, time: at}}"
    text = GOOD.replace("    arrivals:\n      poisson_per_hour: [10, 20]", f"    arrivals: {recorded}")
    ((line, field, reason),) = faults(tmp_path, text)
    assert (line, field) == (4, "types.sales.arrivals.recorded")
    assert "calls.csv, line 3: at is a number of 0 or more, not 'later'" in reason


@pytest.mark.parametrize("text", ["", "[]", "just words", "types: {}\n"])
def test_what_is_no_scenario_is_refused(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text)
