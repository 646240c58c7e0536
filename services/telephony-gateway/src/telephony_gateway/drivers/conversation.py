"""What interpreters of a stream have in common: connections come and go, each begins with a login and the question what
is up, and is watched until it is lost."""

from abc import ABC, abstractmethod
from datetime import datetime, timedelta

from telephony_gateway.domain.pbx_commands import Command
from telephony_gateway.domain.pbx_events import CommandRefused, ConnectionLost, ConnectionUp, PbxEvent
from telephony_gateway.drivers.interpreter import Outbox, Wire

PING_AFTER = timedelta(seconds=5)
SILENT = timedelta(seconds=10)
"""A question that is not answered for so long: the connection is dead."""
LOGIN = timedelta(seconds=5)
SNAPSHOT = timedelta(seconds=30)
SETTLED = timedelta(seconds=1)
"""A recorded gateway that asks no more for so long has asked what it wanted."""
MAX_LATER = 20_000
"""Messages that may come while the snapshot does: 2,000 calls are asked about in a few seconds."""


class Conversation(ABC):
    """The part of an `interpreter.Interpreter` that is the same whatever is spoken."""

    def __init__(self) -> None:
        self._events: list[PbxEvent] = []
        self._says: list[Wire] = []
        self._broken: str | None = None
        self._up = False
        self._opened_at: datetime | None = None
        self._heard_at: datetime | None = None
        self._pinged_at: datetime | None = None
        self._started_at: datetime | None = None
        self._logged_in = False
        self._silent = False

    @abstractmethod
    def _collect(self) -> None:
        """Take what has come of the calls into what is handed out."""

    @abstractmethod
    def _ping(self) -> None:
        """Ask something that is answered at once."""

    def _restart(self, at: datetime) -> None:
        """A new connection is up."""
        self._opened_at = self._heard_at = at
        self._pinged_at = self._broken = None
        self._logged_in = self._silent = False

    def _hear(self, at: datetime) -> None:
        """The PBX is there."""
        self._heard_at = at
        self._pinged_at = None

    def _begin(self, up: ConnectionUp) -> None:
        """What is up is known."""
        self._collect()
        self._up = True
        self._events.append(up)

    def _end(self, at: datetime, reason: str) -> None:
        """The connection is gone. Who closes it is heard; who is silent was heard last before."""
        self._collect()
        if self._up:
            last = self._heard_at if self._silent and self._heard_at is not None else at
            self._events.append(ConnectionLost(at=last, reason=reason[:200]))
        self._up = False

    def _watch(self, at: datetime, asked_at: datetime | None) -> None:
        """Time passes. ``asked_at``: since when it is not told what is up."""
        if self._opened_at is None or self._heard_at is None:
            return
        if not self._logged_in and at - self._opened_at > LOGIN:
            self._broken = self._broken or "no answer to the login"
        elif asked_at is not None and at - asked_at > SNAPSHOT:
            self._broken = self._broken or "what is up was not told"
        elif self._pinged_at is not None and at - self._pinged_at > SILENT:
            self._silent = True
            self._broken = self._broken or "silent for too long"
        elif self._pinged_at is None and self._logged_in and at - self._heard_at > PING_AFTER:
            self._pinged_at = at
            self._ping()

    def take(self) -> Outbox:
        """See `interpreter.Interpreter.take`."""
        self._collect()
        outbox = Outbox(self._events, self._says, self._broken)
        self._events, self._says = [], []
        return outbox

    def _refuse(self, command: Command, at: datetime, reason: str, detail: str) -> None:
        self._events.append(CommandRefused(at=at, command_id=command.command_id, reason=reason, detail=detail[:200]))
