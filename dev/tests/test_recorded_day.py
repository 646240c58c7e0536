"""A recorded day as a scenario, and what the engine would have made of it."""

import os
from pathlib import Path

import pytest
from routing.simulation.results import simulate
from routing.simulation.scenario import load

from dev.demo.traffic import replayed
from dev.places import ROOT
from dev.recorded_day import write

SHARED = Path(os.environ.get("CORDBOARD_SHARED", ROOT.parent / "shared"))
MONTH = SHARED / "data" / "anonymous-bank-1999-02.tsv"

COLUMNS = "customer_id priority type date vru_exit vru_time q_time outcome ser_start ser_exit ser_time server"
CALLS = """\
0 0 PS 990201 9:00:00 9 0 AGENT 9:00:00 9:03:00 180 DORIT
7 2 PS 990201 9:01:00 9 130 AGENT 9:03:10 9:04:00 50 DORIT
0 0 PS 990201 9:00:30 9 60 HANG 0:00:00 0:00:00 0 NO_SERVER
0 0 PS 990201 9:02:00 9 0 AGENT 9:02:00 9:04:00 120 TOVA
"""


def test_a_day_becomes_a_scenario(tmp_path: Path) -> None:
    month = tmp_path / "month.tsv"
    month.write_text("\n".join("\t".join(line.split()) for line in [COLUMNS, *CALLS.splitlines()]) + "\n")
    scenario = load(write(replayed(month, "990201"), tmp_path / "day"))
    assert scenario.queues["bank"].wrap_up_s == 10
    assert (scenario.types["PS"].priority, scenario.types["PS-2"].priority) == (0, 1)
    assert set(scenario.groups) == {"DORIT", "TOVA"}
    assert scenario.happened == {
        "offered": 4,
        "served": 3,
        "abandoned": 1,
        "wait_of_served_s": pytest.approx(43.3),
        "service_level": 0.5,
    }


@pytest.mark.skipif(
    not MONTH.exists(), reason=f"NO RECORDED CALLS: {MONTH} is not there; name the directory above by CORDBOARD_SHARED"
)
@pytest.mark.parametrize("day", ["990203", "990210", "990217"])
def test_a_real_day_is_replayed(day: str, tmp_path: Path) -> None:
    """The engine keeps agents busier than the bank did: more are served and they wait less, but not by far."""
    scenario = load(write(replayed(MONTH, day), tmp_path))
    figures = simulate(scenario, replications=1, seed=1).types["all"]
    really = scenario.happened
    assert figures["offered"].mean == really["offered"] == figures["served"].mean + figures["abandoned"].mean
    assert really["served"] <= figures["served"].mean <= 1.2 * really["served"]
    assert really["wait_of_served_s"] / 4 <= figures["wait_of_served_s"].mean <= really["wait_of_served_s"]
