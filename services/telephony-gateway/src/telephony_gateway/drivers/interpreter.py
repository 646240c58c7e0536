"""The pure part of a driver for a real PBX: what is heard becomes events, commands become what is said.

No asyncio, no clock, no chance: times come in, so the same input always leads to the same output. The asyncio part of a
driver (`connection`) feeds it from a socket, ``replay`` feeds it from a recorded trace: both run the same code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from telephony_gateway.domain.pbx_commands import Command
from telephony_gateway.domain.pbx_events import PbxEvent


@dataclass(frozen=True)
class Wire:
    """What passes over the wire: a piece of a stream of bytes, cut anywhere; or one message, where there are such."""

    data: bytes
    channel: str = ""
    """Where a driver has several: ``ws`` and ``rest`` of ARI, ``outbound-1`` of ESL; empty for the only one."""
    exchange: str = ""
    """Pairs a REST request with its answer."""
    method: str = ""
    path: str = ""
    status: int = 0


@dataclass
class Outbox:
    """What an interpreter has to hand out."""

    events: list[PbxEvent] = field(default_factory=list)
    says: list[Wire] = field(default_factory=list)
    broken: str | None = None
    """Why the connection is of no use any more: login refused, protocol not understood, another gateway took over."""


class Refusal(Exception):
    """A command cannot be carried out, and repeating it will not help; ``reason`` is a stable word."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class Interpreter(Protocol):
    """One PBX as one driver understands it. It outlives connections: what it has named keeps its name."""

    def opened(self, at: datetime, *, asks: bool = True) -> None:
        """A connection is up: log in and ask what is up; `ConnectionUp` follows when all of that is told.

        Without ``asks`` (only in traces) whoever was recorded did not ask: `ConnectionUp` says at once that nothing is.
        """

    def heard(self, wire: Wire, at: datetime) -> None:
        """The PBX said something. Whatever it is, this never raises and keeps bounded memory."""

    def said(self, wire: Wire, at: datetime) -> None:
        """Traces only: the gateway that was recorded said this. Its requests count as if this one had made them."""

    def asks_for_snapshot(self, wire: Wire) -> bool:
        """Traces only: whether this, said by a gateway, begins to ask what is up."""

    def lost(self, at: datetime, reason: str) -> None:
        """The connection is gone; `ConnectionLost` follows if there was a `ConnectionUp`."""

    def order(self, commands: Sequence[Command], at: datetime) -> None:
        """The gateway wants this done."""

    def tick(self, at: datetime) -> None:
        """Time passes: what waits for too long is given up. Called about four times a second."""

    def take(self) -> Outbox:
        """What has come of all this since it was asked last."""


InterpreterFactory = Callable[[], Interpreter]
