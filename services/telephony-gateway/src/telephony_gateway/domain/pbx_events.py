"""What a PBX says, normalised. Drivers make these, `domain.call` understands them.

``call`` and ``leg`` are the PBX's own names. A driver keeps them stable: a call is named once, by whatever
survives transfers, masquerades and requeueing (as a rule the customer's channel), and a leg that the gateway
asked for (`pbx_commands.Connect`) keeps the name that the gateway gave it. Names are not used again.

``at`` is aware UTC: the PBX's own time of the event where the PBX tells one, else the time of receipt.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from telephony_gateway.domain.words import DeviceState, Direction, FailureReason, LegState, Party


@dataclass(frozen=True, kw_only=True)
class PbxEvent:
    """Something happened at the PBX, or to our connection with it."""

    at: datetime


@dataclass(frozen=True, kw_only=True)
class LiveLeg:
    """A leg that is up at the moment of a snapshot. Times that the PBX does not know are missing."""

    leg: str
    device: str
    state: LegState
    """INITIATED, ALERTING, CONNECTED or HELD."""
    consults: str | None = None
    """The leg whose agent asks this one for advice, while the customer is not connected to this one."""
    initiated_at: datetime | None = None
    alerting_at: datetime | None = None
    answered_at: datetime | None = None
    held_since: datetime | None = None
    hold_known: bool = True
    """False: the PBX does not tell whether it is held; whoever knew it before is believed."""


@dataclass(frozen=True, kw_only=True)
class LiveCall:
    """A call that is up at the moment of a snapshot."""

    call: str
    direction: Direction
    dialled: str
    from_number: str | None = None
    from_name: str = ""
    trunk: str | None = None
    diverted_from: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    offered_at: datetime
    waits: bool = True
    """See `CallOffered.waits`; false also of a call that has not waited yet and is connected by the PBX itself."""
    customer_answered_at: datetime | None = None
    """Outbound calls: when the customer picked up."""
    legs: tuple[LiveLeg, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LiveDevice:
    """A device at the moment of a snapshot."""

    device: str
    state: DeviceState


@dataclass(frozen=True, kw_only=True)
class ConnectionUp(PbxEvent):
    """We are connected, and this is all that is up. The first event of every connection.

    What the gateway believes alive and is not in ``calls`` has ended; what it does not know is new.
    Events that follow happened after the snapshot, or are in it already and do no harm.
    """

    calls: tuple[LiveCall, ...] = ()
    devices: tuple[LiveDevice, ...] = ()
    ended: "tuple[CallEvent, ...]" = ()
    """What ended lately, if the PBX remembers that: better than our guess of when and why. With what went before it
    and cannot be seen in ``calls``: who had answered."""
    started_at: datetime | None = None
    """When the PBX itself came up. Calls from before that died no later than it."""


@dataclass(frozen=True, kw_only=True)
class ConnectionLost(PbxEvent):
    """We are blind from now on. ``at`` is when the PBX was last heard."""

    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class CallEvent(PbxEvent):
    """Something happened to a call."""

    call: str


@dataclass(frozen=True, kw_only=True)
class CallOffered(CallEvent):
    """A call is new. Outbound: ``dialled`` is the customer.

    Inbound: it waits for the gateway to connect it, or will when `CustomerWaits` says so (``waits`` is false): until
    then it is in an IVR, or the PBX's own queue distributes it.

    ``from_number`` is as it stood on the wire: national, international, ``sip:`` address, ``anonymous``; None
    when there was none. ``from_name`` is decoded text. ``trunk`` is the PBX's name of the line it came in on.
    """

    direction: Direction
    dialled: str
    from_number: str | None = None
    from_name: str = ""
    trunk: str | None = None
    diverted_from: str | None = None
    """The number that was called at first, when the call was diverted to ``dialled``."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    waits: bool = True


@dataclass(frozen=True, kw_only=True)
class CustomerAlerting(CallEvent):
    """Outbound: the customer's phone rings."""


@dataclass(frozen=True, kw_only=True)
class CustomerAnswered(CallEvent):
    """Outbound: the customer picked up."""


@dataclass(frozen=True, kw_only=True)
class CustomerWaits(CallEvent):
    """The customer waits for whomever the gateway connects: for the first time, or again as the last agent is gone."""


@dataclass(frozen=True, kw_only=True)
class CustomerFailed(CallEvent):
    """Outbound: the customer was not reached. `CallCleared` follows."""

    reason: FailureReason
    cause: str = ""
    """The PBX's word for it."""


@dataclass(frozen=True, kw_only=True)
class CustomerLeft(CallEvent):
    """The customer is gone, agents may still be there. `CallCleared` follows once the last of them is gone, too.

    Needed only where agents stay for a while: in a conference, on a phone that keeps its leg.
    """

    by: Party
    cause: str = ""
    """The PBX's word for it."""


@dataclass(frozen=True, kw_only=True)
class LegEvent(CallEvent):
    """Something happened to an agent's leg. ``device`` helps when the leg's beginning was missed."""

    leg: str
    device: str | None = None


@dataclass(frozen=True, kw_only=True)
class LegInitiated(LegEvent):
    """The PBX calls a device: asked for by the gateway, by a phone's transfer, or by a dialplan."""

    consults: str | None = None
    """See `LiveLeg.consults`."""


@dataclass(frozen=True, kw_only=True)
class LegAlerting(LegEvent):
    """The device rings."""


@dataclass(frozen=True, kw_only=True)
class LegAnswered(LegEvent):
    """Picked up and connected: with the customer, or with the agent that this leg ``consults``."""


@dataclass(frozen=True, kw_only=True)
class LegFailed(LegEvent):
    """The device was not connected. The leg is over, the customer waits (again).

    CANCELLED may also mean that the customer left: `CustomerWaits` or `CallCleared` says which.
    """

    reason: FailureReason
    cause: str = ""
    """The PBX's word for it."""


@dataclass(frozen=True, kw_only=True)
class LegDiverted(LegEvent):
    """The device passed the call on to another (302): the leg is over, the leg of ``to`` is the next."""

    to: str
    """A device or number."""
    cause: str = ""


@dataclass(frozen=True, kw_only=True)
class LegHeld(LegEvent):
    """This agent put the customer on hold."""

    by: Party = Party.AGENT
    """AGENT: on the phone. GATEWAY: it took the customer out of the conversation."""


@dataclass(frozen=True, kw_only=True)
class LegRetrieved(LegEvent):
    """This agent came back."""


@dataclass(frozen=True, kw_only=True)
class LegCleared(LegEvent):
    """A leg that had been answered is over.

    If that leaves the customer alone, another event says what that means: `CustomerWaits`, `CallTransferred` or
    `CallCleared`. Until then the leg counts as there, so that nobody takes a caller who hangs up for one who waits.
    """

    cause: str = ""


@dataclass(frozen=True, kw_only=True)
class CallTransferred(LegEvent):
    """The customer is given to ``leg``, which rings (blind) or talks (attended) already.

    A `LegCleared` of ``from_leg`` comes too, before or after.
    """

    from_leg: str | None = None
    by: Party = Party.AGENT
    """AGENT: on the phone. GATEWAY: by command."""


@dataclass(frozen=True, kw_only=True)
class CallConferenced(LegEvent):
    """``leg`` joined the customer and the agents who were there."""


@dataclass(frozen=True, kw_only=True)
class DigitPressed(CallEvent):
    """A DTMF key, one of ``0123456789*#ABCD``."""

    digit: str
    leg: str | None = None
    """Who pressed it: an agent's leg, or the customer."""


@dataclass(frozen=True, kw_only=True)
class AttributesSet(CallEvent):
    """The IVR, the dialplan or a command set attributes; others keep their values."""

    attributes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class CallCleared(CallEvent):
    """The customer is gone and so are all legs. Nothing more comes of this call.

    ``by`` is who hung up first. After `CustomerLeft` its word counts.
    """

    by: Party
    leg: str | None = None
    """By an agent: whose leg it was."""
    cause: str = ""
    """The PBX's word for it."""


@dataclass(frozen=True, kw_only=True)
class DeviceChanged(PbxEvent):
    """A device registered, vanished, is in a call or is free."""

    device: str
    state: DeviceState


@dataclass(frozen=True, kw_only=True)
class CommandDone(PbxEvent):
    """The PBX took the command. What comes of it (ringing, no answer ...) are other events."""

    command_id: UUID


@dataclass(frozen=True, kw_only=True)
class CommandRefused(PbxEvent):
    """The PBX will not do it: no such call, leg or device, or not in this state. Repeating will not help."""

    command_id: UUID
    reason: str
    """A stable word: ``no-such-call``, ``no-such-leg``, ``no-such-device``, ``wrong-state`` ..."""
    detail: str = ""
