"""What every PBX driver is: a connection that reports `PbxEvent`s and takes `Command`s.

The dataclasses live in `domain`, which understands them; drivers import them from here.

Rules that hold for every driver:

* `ConnectionUp` with a full snapshot is the first event of each connection, `ConnectionLost` the last.
* Events are reported one after the other. ``report`` waits while the gateway is busy; a driver reads no
  further meanwhile, so nothing piles up in memory.
* Events may be duplicated, late, or contradict each other, as real PBXs do; the model tolerates that.
  A driver does not remember calls beyond what it needs to name them and their legs.
* No answer and no event is not an error of the caller: `send` only hands over.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from telephony_gateway.domain.pbx_commands import (
    AnswerLeg,
    AttendedTransfer,
    BlindTransfer,
    ClearLeg,
    Command,
    Conference,
    Connect,
    Consult,
    HangUp,
    Hold,
    Mute,
    Originate,
    Retrieve,
    SetAttributes,
)
from telephony_gateway.domain.pbx_events import (
    AttributesSet,
    CallCleared,
    CallConferenced,
    CallEvent,
    CallOffered,
    CallTransferred,
    CommandDone,
    CommandRefused,
    ConnectionLost,
    ConnectionUp,
    CustomerAlerting,
    CustomerAnswered,
    CustomerWaits,
    DeviceChanged,
    DigitPressed,
    LegAlerting,
    LegAnswered,
    LegCleared,
    LegEvent,
    LegFailed,
    LegHeld,
    LegInitiated,
    LegRetrieved,
    LiveCall,
    LiveDevice,
    LiveLeg,
    PbxEvent,
)
from telephony_gateway.domain.words import DeviceState, Direction, FailureReason, LegState, Party

__all__ = [
    "AnswerLeg",
    "AttendedTransfer",
    "AttributesSet",
    "BlindTransfer",
    "CallCleared",
    "CallConferenced",
    "CallEvent",
    "CallOffered",
    "CallTransferred",
    "ClearLeg",
    "Command",
    "CommandDone",
    "CommandRefused",
    "Conference",
    "Connect",
    "ConnectionLost",
    "ConnectionUp",
    "Consult",
    "CustomerAlerting",
    "CustomerAnswered",
    "CustomerWaits",
    "DeviceChanged",
    "DeviceState",
    "DigitPressed",
    "Direction",
    "Disconnected",
    "Driver",
    "DriverFactory",
    "Endpoint",
    "FailureReason",
    "HangUp",
    "Hold",
    "LegAlerting",
    "LegAnswered",
    "LegCleared",
    "LegEvent",
    "LegFailed",
    "LegHeld",
    "LegInitiated",
    "LegRetrieved",
    "LegState",
    "LiveCall",
    "LiveDevice",
    "LiveLeg",
    "Mute",
    "Originate",
    "Party",
    "PbxEvent",
    "Report",
    "Retrieve",
    "SetAttributes",
]


class Disconnected(Exception):
    """There is no connection to the PBX, or it broke before all commands were written."""


@dataclass(frozen=True)
class Endpoint:
    """Where a PBX is and what we call it."""

    pbx_id: str
    host: str
    port: int
    trunks: tuple[str, ...] = ()
    """What the PBX calls the lines to the public network, as far as that is configured."""


Report = Callable[[PbxEvent], Awaitable[None]]
"""Takes an event; returns when there is room for the next."""


class Driver(Protocol):
    """A connection to one PBX."""

    async def run(self, report: Report) -> None:
        """Connect, report, reconnect after a loss with growing, jittered pauses of 5 s at most; never end.

        Never raises because of the PBX or the network: that is `ConnectionLost`. When cancelled it closes the
        connection and reports nothing more.
        """

    async def send(self, commands: Sequence[Command]) -> None:
        """Write commands in this order; return once they are written, before anything comes of them.

        Raises:
            Disconnected: some may not have been written. The gateway sends what is unanswered again after the
                next `ConnectionUp`.
        """


DriverFactory = Callable[[Endpoint], Driver]
"""How a driver's class is called: ``VirtualDriver(Endpoint("pbx-1", "127.0.0.1", 5099))``."""
