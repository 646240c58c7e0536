"""What the measurements share: who used the processor, and silence."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.system import System


def quiet(_text: str) -> None:
    """Say nothing."""


@contextmanager
def cpu_s(system: System) -> Iterator[dict[str, float]]:
    """CPU seconds that each process used while the block ran; ``machine`` is all of it, whoever used it."""
    used: dict[str, float] = {}
    pids = {name: system.processes.pid(name) for name in system.processes.names() if system.processes.alive(name)}
    before = {name: _process_s(pid) for name, pid in pids.items()}
    machine = _machine_s()
    yield used
    used.update({name: _process_s(pid) - before[name] for name, pid in pids.items()})
    used["machine"] = _machine_s() - machine


def _process_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _machine_s() -> float:
    user, nice, system = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=4)[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")
