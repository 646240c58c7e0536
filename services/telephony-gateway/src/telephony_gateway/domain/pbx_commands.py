"""What the gateway tells a PBX. Each has an id; a driver or PBX that gets the same id again does nothing new.

Commands are sent again after a reconnect or a takeover when it is not known whether they arrived. Each is
answered by `CommandDone` or `CommandRefused`; what it causes comes as other events.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class Command:
    """Do something about a call. ``call`` and ``leg`` are names as in `pbx_events`."""

    command_id: UUID
    call: str


@dataclass(frozen=True, kw_only=True)
class Connect(Command):
    """Ring a device and connect the waiting customer when it answers.

    ``leg`` is named by the gateway. A leg of that name which is there, or was there, is not called again.
    Not answered within ``timeout_s`` seconds: `LegFailed` with NO_ANSWER. The customer never hears of it.
    """

    leg: str
    device: str
    timeout_s: float
    caller_number: str = ""
    """What the device shall display."""
    caller_name: str = ""


@dataclass(frozen=True, kw_only=True)
class ClearLeg(Command):
    """End a leg in whatever state it is: stop ringing, or leave.

    A leg that rang or was answered a moment ago ends with `LegFailed` (CANCELLED) or `LegCleared`. While
    another agent is connected the conversation goes on; else the customer waits again.
    """

    leg: str


@dataclass(frozen=True, kw_only=True)
class AnswerLeg(Command):
    """Have a ringing device pick up (auto-answer, ``Event: talk``); unsupported where phones cannot."""

    leg: str


@dataclass(frozen=True, kw_only=True)
class Hold(Command):
    """Put the customer on hold, in the name of this leg's agent."""

    leg: str


@dataclass(frozen=True, kw_only=True)
class Retrieve(Command):
    """Connect the customer with this leg again."""

    leg: str


@dataclass(frozen=True, kw_only=True)
class Mute(Command):
    """Keep what this leg's agent says from the others; not ``on``: no longer. The agent hears on."""

    leg: str
    on: bool


@dataclass(frozen=True, kw_only=True)
class BlindTransfer(Command):
    """Give the customer to ``device`` without asking. ``leg`` ends at once, the customer hears ringing.

    Comes with `CallTransferred`; if ``device`` does not answer: `LegFailed`, and the customer waits again.
    """

    leg: str
    new_leg: str
    """The gateway's name for the target's leg."""
    device: str
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class Consult(Command):
    """Put the customer on hold and ring ``device`` for this leg's agent: `LegHeld`, then the new leg."""

    leg: str
    new_leg: str
    device: str
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class AttendedTransfer(Command):
    """After `Consult`: give the customer to ``to_leg`` and end ``leg``."""

    leg: str
    to_leg: str


@dataclass(frozen=True, kw_only=True)
class Conference(Command):
    """Bring ``device`` into the conversation of ``leg`` and the customer.

    A leg called ``new_leg`` that is up already (a consultation) joins at once; else the device is rung and
    joins when it answers.
    """

    leg: str
    new_leg: str
    device: str
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class HangUp(Command):
    """End the call, all of it."""


@dataclass(frozen=True, kw_only=True)
class SetAttributes(Command):
    """Attach attributes to the call at the PBX, for its dialplan and for the next snapshot."""

    attributes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Originate(Command):
    """Click-to-dial, agent first: ring ``device`` as ``leg``, then dial ``number`` and connect both.

    ``call`` is named by the gateway. Comes with `CallOffered` (OUTBOUND).
    """

    leg: str
    device: str
    number: str
    timeout_s: float
    trunk: str | None = None
