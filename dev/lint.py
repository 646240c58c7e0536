"""``script/lint``: every check that needs no server."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dev.places import ROOT

AT_ONCE = 2


@dataclass(frozen=True)
class Check:
    """A command that fails when something is wrong."""

    name: str
    command: Sequence[str]
    wanted: bool = True
    """False where the machine has no such tool."""


def checks() -> list[Check]:
    """All of them, the slowest first."""
    python, tools = sys.executable, Path(sys.executable).parent
    scripts = [str(path) for path in sorted((ROOT / "script").iterdir()) if path.is_file()]
    sources = [str(path) for path in typed_sources()]
    return [
        Check("mypy --strict", [python, "-m", "mypy", "--strict", *sources]),
        Check("contracts", [python, "-m", "dev.contracts", "check"]),
        Check("import-linter", [str(tools / "lint-imports")]),
        Check("ruff check", [python, "-m", "ruff", "check", "--quiet", "."]),
        Check("ruff format", [python, "-m", "ruff", "format", "--quiet", "--diff", "."]),
        Check("our own rules", [python, "-m", "dev.lint_rules"]),
        Check("bash", ["bash", "-c", 'for file; do bash -n "$file" || exit; done', "bash", *scripts, ".ci/run"]),
        Check("docker-compose.yml", ["docker", "compose", "config", "--quiet"], has_compose()),
        *(
            Check(f"promtool {command[1]} {command[2]}", [*command, f"deploy/prometheus/{file}"], has_promtool())
            for command, file in _PROMETHEUS
        ),
    ]


def typed_sources() -> list[Path]:
    """What is checked with mypy: all packages' sources, the launcher, the benchmarks, the tests of the whole system."""
    packages = [ROOT / "contracts", ROOT / "chassis", *sorted((ROOT / "services").iterdir())]
    sources = [package / "src" for package in packages if (package / "pyproject.toml").exists()]
    return [*sources, *(ROOT / name for name in ("dev", "bench", "tests") if (ROOT / name).is_dir())]


def has_compose() -> bool:
    """Whether there is a Docker client with Compose; an engine is not needed."""
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "compose", "version"], check=False, capture_output=True)
    return asked.returncode == 0


_PROMETHEUS = (
    (["promtool", "check", "config"], "prometheus.yml"),
    (["promtool", "test", "rules"], "alerts.test.yml"),
)


def has_promtool() -> bool:
    """Whether Prometheus' checker is installed."""
    return shutil.which("promtool") is not None


def run(check: Check) -> bool:
    """Run a check and say how it went; its output only when it failed."""
    began = time.monotonic()
    done = subprocess.run(
        check.command,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    verdict = "ok" if done.returncode == 0 else "FAILED"
    output = "" if done.returncode == 0 else "\n" + done.stdout.rstrip()
    print(f"lint: {check.name}: {verdict} ({time.monotonic() - began:.1f} s){output}", flush=True)
    return done.returncode == 0


def main() -> int:
    """See ``--help``."""
    parser = argparse.ArgumentParser(
        prog="script/lint",
        description="Check style, types, imports, our own rules, the contracts, the compose file and Prometheus' rules."
        " To mend what can be mended: .venv/bin/ruff check --fix . && .venv/bin/ruff format .",
    )
    parser.parse_args()
    wanted = checks()
    for check in wanted:
        if not check.wanted:
            print(f"lint: {check.name}: skipped, its tool is not on this machine")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        passed = list(pool.map(run, [check for check in wanted if check.wanted]))
    failed = passed.count(False)
    print(f"lint: {failed} of {len(passed)} checks failed" if failed else f"lint: all {len(passed)} checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
