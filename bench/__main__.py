"""``script/bench``; see ``--help``."""

import argparse
import json
import sys
import time

from bench import routing_core

SCALES = {
    "small": {"agents": 1_000, "profiles": 200, "queues": 500, "waiting": 1_000},
    "large": {"agents": 10_000, "profiles": 200, "queues": 500, "waiting": 100_000},
}


def main() -> int:
    """Measure and print; JSON on standard output, progress on standard error."""
    parser = argparse.ArgumentParser(
        prog="script/bench",
        description="Measure how fast a part of the system is. So far: routing, the decisions of its core on one core"
        " without storage and bus. Prints JSON. Let nothing else run meanwhile.",
    )
    parser.add_argument("part", nargs="?", choices=["routing"], default="routing", help="what to measure (routing)")
    parser.add_argument("--decisions", type=int, default=50_000, metavar="N", help="how many decisions a scale (50000)")
    options = parser.parse_args()
    if not 100 <= options.decisions <= 10_000_000:
        parser.error("--decisions: 100 to 10000000")
    results = {}
    for name, scale in SCALES.items():
        began = time.monotonic()
        print(f"bench: routing, {name}: {scale}", file=sys.stderr, flush=True)
        results[name] = routing_core.run(**scale, decisions=options.decisions)
        print(f"bench: took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(json.dumps({"routing": results}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
