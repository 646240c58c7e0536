"""The processes of the system: started, waited for, restarted, stopped."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.ledger import Ledger
from dev.ports import answers
from dev.servers.server import Say, last_lines

READY_TIMEOUT_S = 120.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
HEALTHY_AFTER_S = 30.0
"""A process that lived so long was well; its next end is a first one again."""
STAGE = 1
"""In the ledger: stopped before the servers."""


class StartFailed(Exception):
    """A process ended, or did not become ready; the text ends with the last lines of its log."""


@dataclass(frozen=True)
class Program:
    """A Python program of ours that serves on a port."""

    name: str
    arguments: tuple[str, ...]
    """What follows ``python``: ``-m accounts all``."""
    environment: Mapping[str, str]
    port: int
    readiness: str | None = "/readyz"
    """Path that answers 200 when it is ready; without one it is ready when the port is open."""
    grace_s: float = 15.0

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"


@dataclass
class _Running:
    program: Program
    process: "subprocess.Popen[bytes]"
    started_at: float
    wanted: bool = True
    ends: int = 0
    """Ends in a row that nobody asked for."""
    restart_at: float | None = None


def python_environment() -> dict[str, str]:
    """Our environment without what would make a child import from the checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}


class Processes:
    """Processes by name. Every call may come from any thread and blocks until it is done."""

    def __init__(self, ledger: Ledger, logs: Path, say: Say = print) -> None:
        self._ledger = ledger
        self.logs = logs
        self._say = say
        self._running: dict[str, _Running] = {}
        self._lock = threading.RLock()
        logs.mkdir(parents=True, exist_ok=True)
        for old in logs.glob("*.log"):
            old.unlink()

    def names(self) -> list[str]:
        """All processes that were ever started here."""
        return list(self._running)

    def program(self, name: str) -> Program:
        """How a process was started."""
        return self._running[name].program

    def log(self, name: str) -> Path:
        """Where its output goes."""
        return self.logs / f"{name}.log"

    def pid(self, name: str) -> int:
        """Its process id; another one after a restart."""
        return self._running[name].process.pid

    def alive(self, name: str) -> bool:
        """Whether it runs (paused counts)."""
        return self._running[name].process.poll() is None

    def start(self, program: Program) -> None:
        """Start a program, or start it again; does not wait until it is ready."""
        with self._lock:
            known = self._running.get(program.name)
            if known is not None and known.process.poll() is None:
                raise RuntimeError(f"{program.name} runs already")
            process = self._spawn(program)
            self._running[program.name] = _Running(program, process, time.monotonic())

    def _spawn(self, program: Program) -> "subprocess.Popen[bytes]":
        with self.log(program.name).open("ab") as log:
            return self._ledger.spawn(
                program.name,
                [sys.executable, *program.arguments],
                environment={**python_environment(), **program.environment},
                log=log,
                cwd=self.logs,
                grace_s=program.grace_s,
                stage=STAGE,
            )

    def wait_ready(self, names: Iterable[str] | None = None, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until these (all) are ready.

        Raises:
            StartFailed: one of them ended, or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        for name in list(self._running if names is None else names):
            while (missing := self.problem(name)) is not None:
                if not self.alive(name):
                    code = self._running[name].process.returncode
                    raise StartFailed(f"{name} ended with {code}{last_lines(self.log(name))}")
                if time.monotonic() > deadline:
                    raise StartFailed(
                        f"{name} is not ready after {timeout_s:.0f} s: {missing}{last_lines(self.log(name))}"
                    )
                time.sleep(0.1)

    def problem(self, name: str) -> str | None:
        """Why it is not ready; None when it is."""
        program = self._running[name].program
        if program.readiness is None:
            return None if answers("127.0.0.1", program.port) else "its port is closed"
        try:
            with urllib.request.urlopen(program.url + program.readiness, timeout=3):
                return None
        except urllib.error.HTTPError as error:
            return error.read(500).decode(errors="replace")
        except (OSError, ValueError) as error:
            return str(error)

    def stop(self, *names: str) -> None:
        """End processes in an orderly way: SIGTERM, and SIGKILL when that takes too long. They are not restarted."""
        with self._lock:
            for name in names:
                self._running[name].wanted = False
        self._ledger.stop(*names)

    def kill(self, name: str) -> None:
        """SIGKILL, as in a crash; `watch` restarts it."""
        process = self._running[name].process
        process.kill()
        process.wait()

    def pause(self, name: str) -> None:
        """SIGSTOP: it is there, but does nothing."""
        os.kill(self.pid(name), signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        os.kill(self.pid(name), signal.SIGCONT)

    def restart(self, name: str) -> None:
        """Stop it and start it again; does not wait until it is ready."""
        self.stop(name)
        self.start(self._running[name].program)

    def watch(self) -> list[str]:
        """Restart what ended though nobody asked for it, at once or, if it keeps ending, later; returns their names.

        To be called now and then.
        """
        restarted = []
        with self._lock:
            now = time.monotonic()
            for name, running in self._running.items():
                if not running.wanted or running.process.poll() is None:
                    continue
                if running.restart_at is None:
                    running.ends = 1 if now - running.started_at > HEALTHY_AFTER_S else running.ends + 1
                    pause_s = 0.0 if running.ends == 1 else FIRST_PAUSE_S * 2 ** (running.ends - 2)
                    running.restart_at = now + min(LONGEST_PAUSE_S, pause_s)
                    self._say(f"{name} ended with {running.process.returncode}; see {self.log(name)}")
                if now >= running.restart_at:
                    running.process = self._spawn(running.program)
                    running.started_at, running.restart_at = now, None
                    restarted.append(name)
        return restarted
