"""The conversation with an adapter of the open interface: which of its events are new, and whether one is missing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

SILENCE_S = 10.0
"""An adapter that says nothing for so long is not heard any more."""
HEARTBEAT_S = 2.0
"""How often it shall say something; so soon it also notices that another process owns the PBX."""

EventT = TypeVar("EventT")


class OutOfStep(Exception):
    """The adapter cannot go on like this. ``code`` tells it what to do, ``field`` what is wrong."""

    def __init__(self, code: str, field: str, detail: str) -> None:
        super().__init__(code, field, detail)
        self.code = code
        self.field = field
        self.detail = detail


@dataclass(frozen=True)
class AdapterSession:
    """It begins with a snapshot; events are numbered from there."""

    session: str
    sequence: int
    """Of the last event that was taken."""
    heard_s: float
    """When (monotonic) the adapter last said something."""

    @property
    def silent_at_s(self) -> float:
        """When (monotonic) it will have been silent for too long."""
        return self.heard_s + SILENCE_S


def begin(known: AdapterSession | None, session: str, sequence: int, now_s: float) -> AdapterSession:
    """A snapshot that has everything up to the event of this number.

    Raises:
        OutOfStep: events of this session that are newer were taken already.
    """
    if known is not None and known.session == session and sequence < known.sequence:
        raise OutOfStep("stale-snapshot", "sequence", f"events up to {known.sequence} have been taken already")
    return AdapterSession(session, sequence, now_s)


def take(
    known: AdapterSession | None, session: str, first: int, events: Sequence[EventT], now_s: float
) -> tuple[AdapterSession, Sequence[EventT]]:
    """The events that are new, of those numbered from ``first``.

    Raises:
        OutOfStep: there is no session, or another; or an event before ``first`` is missing.
    """
    if known is None:
        raise OutOfStep("snapshot-needed", "session", "nothing is known of the PBX: send a snapshot")
    if known.session != session:
        raise OutOfStep("session-replaced", "session", "another adapter, or a newer run of it, has taken over")
    if first > known.sequence + 1:
        raise OutOfStep("sequence-gap", "first", f"event {known.sequence + 1} is missing: send it, or a snapshot")
    new = events[known.sequence + 1 - first :]
    return replace(known, sequence=known.sequence + len(new), heard_s=now_s), new
