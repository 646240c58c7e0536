"""A scenario for ``python -m routing simulate`` from a recorded day of a bank's calls.

    python -m dev.recorded_day anonymous-bank-1999-02.tsv --day 990203 --out day
    python -m routing simulate day/scenario.yaml

Arrivals, types, service times and the customers' credited waiting are the recorded ones. The recording does not say who
was at work: an agent is taken to be there from the first call they served to the last, but for the minutes in which
they served nobody although somebody waited for them. What agents took from one call to the next while somebody waited
is wrap-up. How long those who were answered would have waited is drawn, see ``dev.demo.traffic.replayed``.
"""

import argparse
import csv
import math
import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from dev.demo.traffic import CREDIT_S, BadRecording, Caller, Day, Seat, replayed

PERIOD_S = 60.0

_MEASURES = {
    "offered": "offered",
    "answered": "served",
    "abandoned": "abandoned",
    "wait_mean_s": "wait_of_served_s",
    "service_level_20s": "service_level",
}
"""The names of what really happened, there and here."""

Span = tuple[float, float]


def write(day: Day, folder: Path) -> Path:
    """Write the scenario and its calls into a folder. Returns the scenario's path."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "calls.tsv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(("at_s", "type", "service_s", "patience_s"))
        for caller in day.callers:
            writer.writerow((f"{caller.at_s:.3f}", _type(caller), f"{caller.talk_s:.3f}", f"{caller.patience_s:.3f}"))
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(_scenario(day), sort_keys=False, allow_unicode=True, width=110), encoding="utf-8")
    return path


def _type(caller: Caller) -> str:
    return f"{caller.type}-2" if caller.credit_s else caller.type


def _scenario(day: Day) -> dict[str, Any]:
    periods = math.ceil((day.callers[-1].at_s + 1) / PERIOD_S)
    types = {_type(caller): caller for caller in day.callers}
    spans = sorted(((c.at_s, c.at_s + c.waited_s), c.type) for c in day.callers if c.waited_s)
    waited = {seat.name: [span for span, kind in spans if kind in seat.skills] for seat in day.seats}
    return {
        "name": day.source,
        "time": {"period_s": PERIOD_S, "periods": periods, "drain": True, "batches": 10},
        "types": {name: _call_type(name, caller) for name, caller in sorted(types.items())},
        # With a point of priority worth the credit, the most urgent is who has waited longest with it.
        "queues": {"bank": {"priority_credit_s": CREDIT_S, "wrap_up_s": _pause_s(day, waited)}},
        "groups": {
            seat.name: {
                "agents": _at_work(seat, periods, waited[seat.name]),
                "skills": dict.fromkeys(sorted(seat.skills), 1),
            }
            for seat in day.seats
        },
        "agent_order": "longest_idle",
        "happened": {_MEASURES[name]: value for name, value in day.recorded.items()},
    }


def _at_work(seat: Seat, periods: int, waited: list[Span]) -> list[int]:
    """For each period whether the agent was there: served somebody, or nobody whom they could serve waited for most of
    it. Who lets callers wait is on a break; the recording does not say so itself.
    """
    spans = [(n * PERIOD_S, (n + 1) * PERIOD_S) for n in range(periods)]
    return [
        int(
            _overlap(seat.served, span) > 0
            or (seat.from_s <= span[0] < seat.until_s and _overlap(waited, span) < PERIOD_S / 2)
        )
        for span in spans
    ]


def _pause_s(day: Day, waited: dict[str, list[Span]]) -> float:
    """How long agents took from one call to the next while somebody waited for them; more than a period is a break."""
    pauses = [
        next_began - ended
        for seat in day.seats
        for (_, ended), (next_began, _) in pairwise(seat.served)
        if 0 < next_began - ended <= PERIOD_S
        and _overlap(waited[seat.name], (ended, next_began)) >= 0.9 * (next_began - ended)
    ]
    return round(sum(pauses) / len(pauses), 1) if pauses else 0.0


def _overlap(spans: Iterable[Span], within: Span) -> float:
    """Seconds of a span that lie in one of the others, which are in order."""
    (begin, end), covered = within, 0.0
    for from_s, until_s in spans:
        if from_s >= end:
            break
        if until_s > begin:
            covered += min(until_s, end) - max(from_s, begin)
            begin = max(begin, min(until_s, end))
    return covered


def _call_type(name: str, caller: Caller) -> dict[str, Any]:
    recorded = {"file": "calls.tsv", "time": "at_s", "service": "service_s", "patience": "patience_s"}
    return {
        "arrivals": {"recorded": {**recorded, "where": {"type": name}}},
        "service_s": {"constant": 0},  # each call of the file has its own
        "queue": "bank",
        "requirement": {caller.type: 1},
        "priority": 1 if caller.credit_s else 0,
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m dev.recorded_day", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="a month of a bank's calls, tab separated")
    parser.add_argument("--day", metavar="YYMMDD", help="which day of it; the busiest when not given")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where scenario and calls go")
    options = parser.parse_args()
    try:
        day = replayed(options.file, options.day)
    except (BadRecording, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(day.callers)} calls, {len(day.seats)} agents: {write(day, options.out)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
