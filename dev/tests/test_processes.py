"""Programs are started, waited for, restarted after a crash, and stopped."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cordboard_chassis.testing.deployment import eventually

from dev.ledger import Ledger
from dev.ports import free_port
from dev.processes import Processes, Program, StartFailed


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """An empty set of processes."""
    with Ledger(tmp_path / "processes.json") as ledger:
        yield Processes(ledger, tmp_path / "logs", say=lambda _: None)


def web_server(port: int) -> Program:
    """Answers 200 on /."""
    return Program("web", ("-m", "http.server", str(port), "--bind", "127.0.0.1"), {}, port, readiness="/")


def test_a_program_runs_until_it_is_stopped(processes: Processes) -> None:
    processes.start(web_server(free_port()))
    processes.wait_ready(timeout_s=30)
    assert processes.problem("web") is None
    with pytest.raises(RuntimeError, match="runs already"):
        processes.start(processes.program("web"))
    processes.stop("web")
    assert not processes.alive("web")
    assert processes.watch() == [], "it was meant to stop"


async def test_a_crashed_program_comes_back_on_the_same_port(processes: Processes) -> None:
    processes.start(web_server(free_port()))
    processes.wait_ready(timeout_s=30)
    first = processes.pid("web")
    processes.kill("web")
    assert processes.watch() == ["web"]
    processes.wait_ready(timeout_s=30)
    assert processes.pid("web") != first
    processes.kill("web")
    assert processes.watch() == [], "the second crash in a row waits"
    await eventually(lambda: processes.watch() == ["web"])


def test_a_program_that_ends_at_once_shows_the_end_of_its_log(processes: Processes) -> None:
    port = free_port()
    processes.start(Program("broken", ("-c", "raise SystemExit('no such thing')"), {}, port))
    with pytest.raises(StartFailed, match="no such thing"):
        processes.wait_ready(timeout_s=30)
