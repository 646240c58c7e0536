"""The processes that a launcher started, on disk, so that they end with it whatever ends it.

Every child is written down with its process id and its time of birth (ids are used again, births are not). A guardian
process waits for the launcher's end, by a pipe that closes with it, and stops what is still written down: after
kill -9 too. What even a guardian could not stop, the next launcher of the same name stops first.

Runs as a program of its own (the guardian) with nothing but the standard library.
"""

import contextlib
import fcntl
import json
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

KILLED_AFTER_S = 5.0
"""How long SIGKILL may take to show."""


@dataclass(frozen=True)
class Child:
    """A process that we started, or, with ``argv``, a command that stops something that we started."""

    label: str
    stage: int = 0
    """Higher stages are stopped first: services before their servers."""
    pid: int = 0
    born: str = ""
    signal: int = signal.SIGTERM
    """Asks it to end."""
    grace_s: float = 15.0
    """How long it may take to end; then it is killed."""
    group: bool = True
    """Whether it leads a process group of its own, which is killed with it."""
    argv: tuple[str, ...] = ()

    def alive(self) -> bool:
        """Whether it is still there, and still the same process."""
        return bool(self.argv) or (self.pid > 0 and birth(self.pid) == self.born != "")


def birth(pid: int) -> str:
    """When a process was born, as text to compare; empty when there is none or only its remains."""
    if sys.platform == "linux":
        try:
            # The name in parentheses may hold anything; state is field 3, start time field 22.
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in ("Z", "X") else fields[19]
    found = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = found.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()


class AlreadyRunning(Exception):
    """Another launcher has an instance of this name."""


class Ledger:
    """The children of this process. Use as a context manager: leaving it stops all of them.

    Raises on entering:
        AlreadyRunning: another process has this ledger.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._children: dict[str, Child] = {}
        self._handles: dict[int, subprocess.Popen[bytes]] = {}
        self._guardian: subprocess.Popen[bytes] | None = None
        self._claim: IO[str] | None = None

    def __enter__(self) -> "Ledger":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        claim = self._path.with_suffix(".lock").open("a+")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            claim.seek(0)
            owner = claim.read().strip()
            claim.close()
            raise AlreadyRunning(f"process {owner} runs {self._path.parent.name} already") from error
        claim.truncate(0)
        claim.write(f"{os.getpid()}\n")
        claim.flush()
        self._claim = claim
        # What an earlier launcher left behind.
        stop(_read(self._path))
        self._write()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def spawn(
        self,
        label: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: IO[bytes] | None,
        cwd: Path | str = "/",
        user: str | None = None,
        ask: int = signal.SIGTERM,
        grace_s: float = 15.0,
        stage: int = 0,
        own_group: bool = True,
    ) -> subprocess.Popen[bytes]:
        """Start a program; its output goes to ``log`` (or to ours). Replaces an ended child of this label."""
        with self._lock:
            self._start_guardian()
            process = subprocess.Popen(
                argv,
                env=dict(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL if own_group else None,
                stdout=log,
                stderr=subprocess.STDOUT if log else None,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
                start_new_session=own_group,
            )
            self._handles = {pid: handle for pid, handle in self._handles.items() if handle.poll() is None}
            self._handles[process.pid] = process
            self._children[label] = Child(label, stage, process.pid, birth(process.pid), ask, grace_s, group=own_group)
            self._write()
            return process

    def note_command(self, label: str, argv: Sequence[str], stage: int = 0) -> None:
        """Something that is not our child, such as containers, is stopped by this command."""
        with self._lock:
            self._start_guardian()
            self._children[label] = Child(label, stage, argv=tuple(argv), grace_s=60)
            self._write()

    def child(self, label: str) -> Child | None:
        """What is written down under this label."""
        with self._lock:
            return self._children.get(label)

    def stop(self, *labels: str) -> None:
        """Stop these children, all at once; returns when they have ended."""
        with self._lock:
            wanted = [self._children[label] for label in labels if label in self._children]
        stop(wanted, self._handles)
        with self._lock:
            for child in wanted:
                if self._children.get(child.label) == child:
                    del self._children[child.label]
                self._handles.pop(child.pid, None)
            self._write()

    def close(self) -> None:
        """Stop everything, services before servers, and send the guardian home."""
        with self._lock:
            stages = sorted({child.stage for child in self._children.values()}, reverse=True)
        for stage in stages:
            self.stop(*[child.label for child in list(self._children.values()) if child.stage == stage])
        if self._guardian is not None:
            assert self._guardian.stdin is not None
            self._guardian.stdin.close()
            self._guardian.wait()
            self._guardian = None
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def _start_guardian(self) -> None:
        if self._guardian is None or self._guardian.poll() is not None:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, str(self._path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )

    def _write(self) -> None:
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        draft.write_text(json.dumps([asdict(child) for child in self._children.values()], indent=1))
        draft.replace(self._path)


def _read(path: Path) -> list[Child]:
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text())
        return [Child(**{**row, "argv": tuple(row["argv"])}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def stop(children: Iterable[Child], handles: Mapping[int, "subprocess.Popen[bytes]"] | None = None) -> None:
    """Stop processes, the highest stage first: ask, wait, kill."""
    handles = handles or {}
    wanted = list(children)
    for stage in sorted({child.stage for child in wanted}, reverse=True):
        _stop_together([child for child in wanted if child.stage == stage], handles)


def _stop_together(children: list[Child], handles: Mapping[int, "subprocess.Popen[bytes]"]) -> None:
    began = time.monotonic()
    commands = [
        subprocess.Popen(child.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for child in children
        if child.argv
    ]
    running = [child for child in children if not child.argv and child.alive()]
    for child in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, child.signal)
            os.kill(child.pid, signal.SIGCONT)
    asked = list(running)
    while running:
        for child in running:
            if child.pid in handles:
                handles[child.pid].poll()  # takes the remains away
        running = [child for child in running if child.alive()]
        waited_s = time.monotonic() - began
        for child in running:
            if waited_s > child.grace_s:
                _kill(child)
        if any(waited_s > child.grace_s + KILLED_AFTER_S for child in running):
            break
        time.sleep(0.02)
    for child in asked:
        if child.group:
            # Whatever the leader left in its group; a group's number is not given away while it has members.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
    for command in commands:
        command.wait()


def _kill(child: Child) -> None:
    with contextlib.suppress(ProcessLookupError):
        if child.group:
            os.killpg(child.pid, signal.SIGKILL)
        else:
            os.kill(child.pid, signal.SIGKILL)


def _guard(path: Path) -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    stop(_read(path))


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
