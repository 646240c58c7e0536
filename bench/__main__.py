"""``script/bench``; see ``--help``."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench import assignments, bus, events, routing_core, telephony, work_items
from dev.ledger import AlreadyRunning
from dev.processes import StartFailed
from dev.servers import CannotProvide
from dev.stopping import exit_on_signals

SCALES = {
    "small": {"agents": 1_000, "profiles": 200, "queues": 500, "waiting": 1_000},
    "large": {"agents": 10_000, "profiles": 200, "queues": 500, "waiting": 100_000},
}
RATES = (20.0, 100.0)
SIMULTANEOUS, QUICK_SIMULTANEOUS = 2_000, 100
NEW_PER_S, QUICK_NEW_PER_S = 50.0, 20.0
SECONDS, QUICK_SECONDS = 30.0, 5.0


def main() -> int:
    """Measure and print; JSON on standard output, progress on standard error."""
    options = _options()
    exit_on_signals()
    parts = _parts(quick=options.quick)
    results: dict[str, Any] = {
        "began_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": _cores(), "python": platform.python_version(), "quick": options.quick},
    }
    for name in options.parts or parts:
        began = time.monotonic()
        print(f"bench: {name} ...", file=sys.stderr, flush=True)
        try:
            results[name] = parts[name]()
        except (CannotProvide, StartFailed, AlreadyRunning) as error:
            print(f"script/bench: {error}", file=sys.stderr)
            return 1
        print(f"bench: {name} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(json.dumps(results, indent=2))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/bench",
        description="Measure how fast the system is, one part after the other on this machine. Prints JSON. Let nothing"
        " else run meanwhile.",
        epilog="bus: what RabbitMQ carries at most. events: from one service's outbox into another's inbox. routing:"
        " decisions of its core on one core, and work items with storage and bus. telephony: the gateway's own share of"
        " the time from a PBX's event to a phone's ringing, and how many calls one process carries. assignments: the"
        " whole system, from the PBX's event to the command to ring a phone.",
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"what to measure (all of {', '.join(_parts(quick=True))})"
    )
    parser.add_argument("--quick", action="store_true", help="a fifth of the time, to see that it works")
    options = parser.parse_args()
    for part in options.parts:
        if part not in _parts(quick=True):
            parser.error(f"PART: {part!r} is none of {', '.join(_parts(quick=True))}")
    return options


def _parts(*, quick: bool) -> dict[str, Callable[[], Any]]:
    seconds = QUICK_SECONDS if quick else SECONDS
    return {
        "bus": lambda: bus.run(4_000 if quick else 20_000),
        "events": lambda: events.run(4_000 if quick else 20_000),
        "routing": lambda: {"core": _core(quick=quick), "service": work_items.run(seconds)},
        "telephony": lambda: telephony.run(
            seconds,
            simultaneous=QUICK_SIMULTANEOUS if quick else SIMULTANEOUS,
            new_per_s=QUICK_NEW_PER_S if quick else NEW_PER_S,
        ),
        "assignments": lambda: assignments.run(RATES[:1] if quick else RATES, seconds, highest=not quick),
    }


def _core(*, quick: bool) -> dict[str, Any]:
    return {name: routing_core.run(**scale, decisions=5_000 if quick else 50_000) for name, scale in SCALES.items()}


def _cores() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    sys.exit(main())
