"""Telephony: calls and devices, in the words of CSTA (ECMA-269).

Every call event carries the whole call as it is after the change, so an event that is lost in between
or comes late does no harm: a consumer keeps the newest ``sequence`` that it saw.
"""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from cordboard_contracts.envelope import CommandData, EventData, OrgPath, OwnerId, Value
from cordboard_contracts.registry import command, event
from cordboard_contracts.vocabulary import E164, Attributes, Identifier, Name, Territory

Dialled = Annotated[str, StringConstraints(max_length=80)]
"""A number or address as it stood on the wire."""


class Direction(StrEnum):
    """Who began the call, seen from the contact centre."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class CallState(StrEnum):
    """Where a call is, from the customer's point of view."""

    OFFERED = "offered"
    """It waits; no agent's device rings."""
    ALERTING = "alerting"
    """An agent's device rings."""
    ESTABLISHED = "established"
    """Customer and agent are connected (or held)."""
    CLEARED = "cleared"


class ConnectionState(StrEnum):
    """Where one agent's leg is."""

    INITIATED = "initiated"
    """Asked for; the device does not ring yet."""
    ALERTING = "alerting"
    CONNECTED = "connected"
    HELD = "held"
    FAILED = "failed"
    CLEARED = "cleared"


class FailureReason(StrEnum):
    """Why an agent's device was not connected."""

    NO_ANSWER = "no_answer"
    BUSY = "busy"
    DECLINED = "declined"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"
    """The caller left, or the assignment was withdrawn."""


class Party(StrEnum):
    """Who ended a call."""

    CUSTOMER = "customer"
    AGENT = "agent"
    GATEWAY = "gateway"
    PBX = "pbx"


class Span(Value):
    """A stretch of time; ``ended_at`` is missing while it lasts."""

    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None


class AgentConnection(Value):
    """One attempt to connect the call to an agent's device, and what came of it."""

    connection_id: UUID
    agent_id: Identifier | None
    device_id: Identifier
    assignment_id: UUID | None = None
    token: int | None = None
    """Fencing token of the assignment; missing when no assignment asked for it."""
    state: ConnectionState
    failure: FailureReason | None = None
    initiated_at: AwareDatetime
    alerting_at: AwareDatetime | None = None
    answered_at: AwareDatetime | None = None
    """When the device was picked up."""
    joined_at: AwareDatetime | None = None
    """When this agent was first connected with the customer: later than ``answered_at`` after a consultation,
    or when the customer of an outbound call picked up last. They talk from here to ``ended_at``."""
    consultation: bool = False
    """Another agent asks this one for advice; the customer is not connected to this one (yet)."""
    ended_at: AwareDatetime | None = None
    holds: Annotated[tuple[Span, ...], Field(max_length=1000)] = ()


class Call(Value):
    """A call as the gateway knows it."""

    call_id: UUID
    pbx_id: OwnerId
    pbx_call_id: Annotated[str, StringConstraints(max_length=200)]
    """What the PBX calls it."""
    workspace: OwnerId
    org_path: OrgPath
    direction: Direction
    state: CallState
    from_number: E164 | None
    """The customer's number; missing when withheld or not a phone number."""
    from_raw: Dialled = ""
    from_name: Name = ""
    dialled: Dialled
    """The number the customer called (DID), or that was called."""
    diverted_from: Dialled | None = None
    """The number that was called at first, when the call was diverted to ``dialled``."""
    trunk: Identifier | None = None
    territory: Territory | None = None
    """Where the trunk's callers are, as far as the trunk tells."""
    attributes: Attributes = Field(default_factory=dict)
    """What the IVR learned; ``digits`` holds the keys pressed while waiting."""
    connections: Annotated[tuple[AgentConnection, ...], Field(max_length=200)] = ()
    offered_at: AwareDatetime
    answered_at: AwareDatetime | None = None
    """When customer and agent were first connected."""
    cleared_at: AwareDatetime | None = None
    cleared_by: Party | None = None
    cause: Annotated[str, StringConstraints(max_length=100)] | None = None
    """The PBX's word for why it ended, or ``number-not-allowed``: the gateway did not even begin it."""


class CallEvent(EventData):
    """A change of a call."""

    call: Call


class ConnectionEvent(CallEvent):
    """A change of one agent's leg; the connection is one of ``call.connections``."""

    connection_id: UUID


@event("telephony.call.offered.v1")
class CallOffered(CallEvent):
    """A call arrived and waits for an agent."""


@event("telephony.call.alerting.v1")
class CallAlerting(ConnectionEvent):
    """An agent's device rings."""


@event("telephony.call.originated.v1")
class CallOriginated(ConnectionEvent):
    """The agent of an outbound call picked up; the customer is being called."""


@event("telephony.call.answered.v1")
class CallAnswered(ConnectionEvent):
    """An agent picked up and is connected."""


@event("telephony.call.connection-failed.v1")
class ConnectionFailed(ConnectionEvent):
    """An agent's device was not connected; the connection says why. The call waits again."""


@event("telephony.call.connection-cleared.v1")
class ConnectionCleared(ConnectionEvent):
    """An agent who had answered left the call while it goes on, for example after a transfer."""


@event("telephony.call.held.v1")
class CallHeld(ConnectionEvent):
    """The agent put the customer on hold."""


@event("telephony.call.retrieved.v1")
class CallRetrieved(ConnectionEvent):
    """The agent came back."""


@event("telephony.call.transferred.v1")
class CallTransferred(ConnectionEvent):
    """The call moved; the connection is the new agent's."""


@event("telephony.call.conferenced.v1")
class CallConferenced(ConnectionEvent):
    """Another agent joined; the connection is theirs."""


@event("telephony.call.attributes-changed.v1")
class CallAttributesChanged(CallEvent):
    """Keys were pressed, or somebody set attributes."""


@event("telephony.call.cleared.v1")
class CallCleared(CallEvent):
    """The call is over."""


class DeviceState(StrEnum):
    """What a device could do just now."""

    IDLE = "idle"
    IN_USE = "in_use"
    UNREACHABLE = "unreachable"


class Device(Value):
    """A phone that an agent uses."""

    device_id: Identifier
    pbx_id: OwnerId
    workspace: OwnerId
    org_path: OrgPath
    state: DeviceState
    changed_at: AwareDatetime


@event("telephony.device.changed.v1")
class DeviceChanged(EventData):
    """A device became reachable, unreachable, or busy with something else."""

    device: Device


@command("telephony.call.hang-up.v1")
class HangUpCall(CommandData):
    """End a call."""

    call_id: UUID


@command("telephony.call.set-attributes.v1")
class SetCallAttributes(CommandData):
    """Add attributes to a call, replacing those of the same names."""

    call_id: UUID
    attributes: Attributes
