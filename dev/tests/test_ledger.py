"""Whatever ends a launcher, its children end with it; nothing else does."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cordboard_chassis.testing.deployment import eventually

from dev.ledger import AlreadyRunning, Child, Ledger, birth, stop

ENVIRONMENT = {"PATH": os.environ["PATH"]}
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)
LAUNCHER = """
import sys, time
from pathlib import Path
from dev.ledger import Ledger
ledger = Ledger(Path(sys.argv[1])).__enter__()
print(ledger.spawn("sleeper", ["sleep", "60"], environment={"PATH": sys.argv[2]}, log=None).pid, flush=True)
time.sleep(60)
"""


def launcher(path: Path) -> "tuple[subprocess.Popen[str], int]":
    """A launcher of its own with one child, whose process id is returned."""
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(path), os.environ["PATH"]],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_leaving_the_ledger_stops_its_children(tmp_path: Path) -> None:
    with Ledger(tmp_path / "processes.json") as ledger:
        sleeper = ledger.spawn("sleeper", ["sleep", "60"], environment=ENVIRONMENT, log=None)
        assert birth(sleeper.pid)
    assert not birth(sleeper.pid)
    assert json.loads((tmp_path / "processes.json").read_text()) == []


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Ledger(tmp_path / "processes.json") as ledger, log.open("wb") as output:
        child = ledger.spawn(
            "stubborn", [sys.executable, "-c", STUBBORN], environment=ENVIRONMENT, log=output, grace_s=0.2
        )
        while "deaf" not in log.read_text():
            assert child.poll() is None
        ledger.stop("stubborn")
        assert child.returncode == -signal.SIGKILL


def test_a_paused_child_is_stopped(tmp_path: Path) -> None:
    with Ledger(tmp_path / "processes.json") as ledger:
        child = ledger.spawn("sleeper", ["sleep", "60"], environment=ENVIRONMENT, log=None)
        child.send_signal(signal.SIGSTOP)
        ledger.stop("sleeper")
        assert child.returncode == -signal.SIGTERM


async def test_children_of_a_killed_launcher_are_stopped_by_its_guardian(tmp_path: Path) -> None:
    process, child = launcher(tmp_path / "processes.json")
    assert birth(child)
    process.kill()
    process.wait()
    await eventually(lambda: not birth(child))


def test_one_launcher_at_a_time(tmp_path: Path) -> None:
    process, child = launcher(tmp_path / "processes.json")
    with pytest.raises(AlreadyRunning, match=str(process.pid)), Ledger(tmp_path / "processes.json"):
        pass
    assert birth(child), "the second one stopped what belongs to the first"
    process.kill()
    process.wait()


def test_what_is_left_of_an_earlier_launcher_is_stopped_first(tmp_path: Path) -> None:
    path = tmp_path / "processes.json"
    left = subprocess.Popen(["sleep", "60"], start_new_session=True)
    known = {"label": "sleeper", "pid": left.pid, "born": birth(left.pid), "argv": []}
    path.write_text(json.dumps([known]))
    with Ledger(path):
        assert left.wait() == -signal.SIGTERM


def test_a_process_that_got_an_old_id_is_left_alone() -> None:
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    stop([Child("sleeper", pid=stranger.pid, born="another time")])
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
