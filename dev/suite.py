"""``script/test``: the tests, on servers that are found or started."""

import argparse
import contextlib
import signal
import subprocess
import sys
from pathlib import Path

from dev.ledger import AlreadyRunning, Ledger
from dev.places import ROOT, state_directory
from dev.processes import python_environment
from dev.servers import CannotProvide, Servers
from dev.stopping import exit_on_signals

WORKERS = 2
INTERRUPTED_GRACE_S = 20.0


def main(arguments: list[str]) -> int:
    """See ``--help``."""
    parser = argparse.ArgumentParser(
        prog="script/test",
        description="Find or start PostgreSQL, RabbitMQ and Redis and run the tests on them; exits as pytest does."
        " Two tests at a time; -n 0 for one. Everything else is passed to pytest:"
        " script/test services/routing -k failover",
        allow_abbrev=False,
    )
    parser.add_argument("--nightly", action="store_true", help="the long runs, too")
    options, for_pytest = parser.parse_known_args(arguments)
    paths = [argument for argument in for_pytest if Path(argument.partition("::")[0]).exists()]
    exit_on_signals()
    try:
        directory = state_directory("test")
        with (
            Ledger(directory / "processes.json") as ledger,
            Servers(directory, fresh=True, durable=False, ledger=ledger, say=_say) as servers,
        ):
            contracts_hold = bool(paths) or _contracts_hold()
            code = _pytest(options.nightly, for_pytest, bool(paths), servers.environment, ledger)
    except (CannotProvide, AlreadyRunning) as error:
        print(f"script/test: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code or (0 if contracts_hold else 1)


def _contracts_hold() -> bool:
    checked = subprocess.run([sys.executable, "-m", "dev.contracts", "check"], check=False, cwd=ROOT)
    return checked.returncode == 0


def _say(line: str) -> None:
    print(f"test: {line}", flush=True)


def _pytest(nightly: bool, arguments: list[str], names_paths: bool, environment: dict[str, str], ledger: Ledger) -> int:
    command = [sys.executable, "-m", "pytest"]
    if not any(argument == "--pdb" for argument in arguments):
        command += ["-n", str(WORKERS)]
    if nightly:
        command += ["-m", ""]
    # In our own process group, so that Ctrl-C reaches it and a debugger can read the terminal.
    process = ledger.spawn(
        "pytest",
        [*command, *arguments],
        environment={**python_environment(), **environment},
        log=None,
        cwd=Path.cwd() if names_paths else ROOT,
        ask=signal.SIGINT,
        grace_s=INTERRUPTED_GRACE_S,
        stage=1,
        own_group=False,
    )
    try:
        return process.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(INTERRUPTED_GRACE_S)  # it got the same signal
        raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
