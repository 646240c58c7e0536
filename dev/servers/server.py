"""What the launcher asks of a server, wherever it comes from."""

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from dev.places import write_whole

START_TIMEOUT_S = 90.0

Say = Callable[[str], None]
"""Tells the user one line."""


class CannotProvide(Exception):
    """A way of getting a server does not work here; the text says why, for the user."""


class NotOurs(Exception):
    """A server that somebody else runs; the launcher neither stops nor starts it."""


class Server(Protocol):
    """PostgreSQL, RabbitMQ or Redis."""

    url: str
    """Where it answers, with an administrator's credentials."""
    source: str
    """Where it comes from, for the user."""

    def start(self) -> None:
        """Start it, unless it runs; returns when it answers. Data of earlier runs are there again."""

    def stop(self) -> None:
        """Stop it in an orderly way, unless it does not run; returns when it is gone."""


class RabbitMQ(Server, Protocol):
    """RabbitMQ, which has a management API besides."""

    management_url: str


def wait_until(what: str, ready: Callable[[], str | None], alive: Callable[[], bool], log: Path | None) -> None:
    """Ask ``ready`` (None, or what is still missing) until it is content.

    Raises:
        CannotProvide: the server ended or did not answer in time.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    pause_s = 0.05
    while (missing := ready()) is not None:
        late = time.monotonic() > deadline
        if late or not alive():
            ending = f"does not answer after {START_TIMEOUT_S:.0f} s ({missing})" if late else "ended at once"
            raise CannotProvide(f"{what} {ending}{last_lines(log)}")
        time.sleep(pause_s)
        pause_s = min(0.5, pause_s * 1.3)


def last_lines(log: Path | None, count: int = 15) -> str:
    """The end of a log, indented, to be put behind a message."""
    if log is None or not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()[-count:]
    return f"; {log} ends with\n" + "\n".join(f"    {line[:300]}" for line in lines)


def kept_secret(home: Path) -> str:
    """The password of a server, made once and kept beside its data."""
    path = home / "password"
    if not path.exists():
        write_whole(path, secrets.token_urlsafe(18), mode=0o600)
    return path.read_text()
