"""The words of the open interface: what an adapter says of its PBX, and what it is told to do; see docs/guides/http.md.

Each is what the dataclass of the same name in `domain` is, and both are made of each other by their fields.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar, get_args
from uuid import UUID

from cordboard_contracts.vocabulary import Attributes, Identifier
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from telephony_gateway.domain import pbx_commands, pbx_events, text
from telephony_gateway.domain.words import DeviceState, Direction, FailureReason, LegState, Party

MAX_EVENTS = 500
"""In one request."""
MAX_CALLS = 5_000
MAX_LEGS = 50
MAX_DEVICES = 20_000


def _printable(name: str) -> str:
    if not text.is_name(name):
        raise ValueError("must have printable characters only")
    return name


Name = Annotated[str, StringConstraints(min_length=1, max_length=text.MAX_NAME), AfterValidator(_printable)]
"""The PBX's name of a call or leg; not used again. A leg that a command made has the command's name for it."""
Device = Annotated[str, StringConstraints(min_length=1, max_length=100), Field(examples=["1001"])]
Number = Annotated[str, StringConstraints(max_length=text.MAX_ADDRESS), Field(examples=["13800138000"])]
Cause = Annotated[str, StringConstraints(max_length=text.MAX_CAUSE), Field(description="The PBX's word for it.")]
Trunk = Annotated[str, StringConstraints(max_length=100), Field(description="What the PBX calls the line.")]
Seconds = Annotated[float, Field(description="Seconds.")]


class _Item(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Event(_Item):
    at: Annotated[AwareDatetime, Field(description="When it happened.")]


class _CallEvent(_Event):
    call: Name


class _LegEvent(_CallEvent):
    leg: Name
    device: Annotated[Device | None, Field(description="Helps when the leg's beginning was missed.")] = None


class CallOffered(_CallEvent):
    """A call is new. Outbound: `dialled` is the customer."""

    event: Literal["call-offered"]
    direction: Direction
    dialled: Number
    from_number: Annotated[
        Number | None, Field(description="As on the wire: national, `sip:`, `anonymous`; null if there was none.")
    ] = None
    from_name: Annotated[str, StringConstraints(max_length=text.MAX_NAME)] = ""
    trunk: Trunk | None = None
    diverted_from: Number | None = None
    attributes: Attributes = Field(default_factory=dict)
    waits: Annotated[bool, Field(description="False: not to be connected before `customer-waits` says so.")] = True


class CustomerAlerting(_CallEvent):
    """Outbound: the customer's phone rings."""

    event: Literal["customer-alerting"]


class CustomerAnswered(_CallEvent):
    """Outbound: the customer picked up."""

    event: Literal["customer-answered"]


class CustomerWaits(_CallEvent):
    """The customer waits for whom the gateway connects: for the first time, or again as the last agent is gone."""

    event: Literal["customer-waits"]


class CustomerFailed(_CallEvent):
    """Outbound: the customer was not reached; `call-cleared` follows."""

    event: Literal["customer-failed"]
    reason: FailureReason
    cause: Cause = ""


class CustomerLeft(_CallEvent):
    """The customer is gone while agents stay; `call-cleared` follows."""

    event: Literal["customer-left"]
    by: Party
    cause: Cause = ""


class LegInitiated(_LegEvent):
    """The PBX calls a device."""

    event: Literal["leg-initiated"]
    consults: Annotated[Name | None, Field(description="The leg whose agent asks this one for advice.")] = None


class LegAlerting(_LegEvent):
    """The device rings."""

    event: Literal["leg-alerting"]


class LegAnswered(_LegEvent):
    """Picked up and connected, with the customer or with the agent whom it `consults`."""

    event: Literal["leg-answered"]


class LegFailed(_LegEvent):
    """The device was not connected; the customer waits (again)."""

    event: Literal["leg-failed"]
    reason: FailureReason
    cause: Cause = ""


class LegDiverted(_LegEvent):
    """The device passed the call on to another (302)."""

    event: Literal["leg-diverted"]
    to: Device
    cause: Cause = ""


class LegHeld(_LegEvent):
    """This agent put the customer on hold."""

    event: Literal["leg-held"]
    by: Party = Party.AGENT


class LegRetrieved(_LegEvent):
    """This agent came back."""

    event: Literal["leg-retrieved"]


class LegCleared(_LegEvent):
    """A leg that had been answered is over; another event says what becomes of the customer."""

    event: Literal["leg-cleared"]
    cause: Cause = ""


class CallTransferred(_LegEvent):
    """The customer is given to `leg`, which rings (blind) or talks (attended) already."""

    event: Literal["call-transferred"]
    from_leg: Name | None = None
    by: Party = Party.AGENT


class CallConferenced(_LegEvent):
    """`leg` joined the customer and the agents who were there."""

    event: Literal["call-conferenced"]


class DigitPressed(_CallEvent):
    """A DTMF key."""

    event: Literal["digit-pressed"]
    digit: Annotated[str, StringConstraints(pattern=r"^[0-9*#A-D]$")]
    leg: Annotated[Name | None, Field(description="Who pressed it; null: the customer.")] = None


class AttributesSet(_CallEvent):
    """The IVR, the dialplan or a command set attributes; others keep their values."""

    event: Literal["attributes-set"]
    attributes: Attributes


class CallCleared(_CallEvent):
    """The customer is gone and so are all legs. Nothing more comes of this call."""

    event: Literal["call-cleared"]
    by: Annotated[Party, Field(description="Who hung up first.")]
    leg: Annotated[Name | None, Field(description="By an agent: whose leg it was.")] = None
    cause: Cause = ""


class DeviceChanged(_Event):
    """A device registered, vanished, is in a call or is free."""

    event: Literal["device-changed"]
    device: Device
    state: DeviceState


class CommandDone(_Event):
    """The PBX took the command; what comes of it are other events."""

    event: Literal["command-done"]
    command_id: UUID


class CommandRefused(_Event):
    """The PBX will not do it, and repeating will not help."""

    event: Literal["command-refused"]
    command_id: UUID
    reason: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z0-9-]{1,60}$"),
        Field(examples=["no-such-call", "no-such-leg", "no-such-device", "wrong-state", "unsupported"]),
    ]
    detail: Annotated[str, StringConstraints(max_length=200)] = ""


class ConnectionLost(_Event):
    """The adapter does not hear its PBX any more. It ends the session: a snapshot begins the next."""

    event: Literal["connection-lost"]
    reason: Annotated[str, StringConstraints(max_length=200)] = ""


CallEvent = (
    CallOffered
    | CustomerAlerting
    | CustomerAnswered
    | CustomerWaits
    | CustomerFailed
    | CustomerLeft
    | LegInitiated
    | LegAlerting
    | LegAnswered
    | LegFailed
    | LegDiverted
    | LegHeld
    | LegRetrieved
    | LegCleared
    | CallTransferred
    | CallConferenced
    | DigitPressed
    | AttributesSet
    | CallCleared
)
Event = CallEvent | DeviceChanged | CommandDone | CommandRefused | ConnectionLost


class LiveLeg(_Item):
    """A leg that is up."""

    leg: Name
    device: Device
    state: LegState
    consults: Name | None = None
    initiated_at: AwareDatetime | None = None
    alerting_at: AwareDatetime | None = None
    answered_at: AwareDatetime | None = None
    held_since: AwareDatetime | None = None
    hold_known: Annotated[bool, Field(description="False: the PBX does not tell whether it is held.")] = True


class LiveCall(_Item):
    """A call that is up."""

    call: Name
    direction: Direction
    dialled: Number
    from_number: Number | None = None
    from_name: Annotated[str, StringConstraints(max_length=text.MAX_NAME)] = ""
    trunk: Trunk | None = None
    diverted_from: Number | None = None
    attributes: Attributes = Field(default_factory=dict)
    offered_at: AwareDatetime
    waits: bool = True
    customer_answered_at: AwareDatetime | None = None
    legs: Annotated[tuple[LiveLeg, ...], Field(max_length=MAX_LEGS)] = ()


class LiveDevice(_Item):
    """A device, and what it could do now."""

    device: Device
    state: DeviceState


Ended = Annotated[CallEvent, Field(discriminator="event")]
AnyEvent = Annotated[Event, Field(discriminator="event")]


class Snapshot(_Item):
    """All that is up."""

    at: AwareDatetime
    calls: Annotated[tuple[LiveCall, ...], Field(max_length=MAX_CALLS)]
    devices: Annotated[tuple[LiveDevice, ...], Field(max_length=MAX_DEVICES)]
    ended: Annotated[
        tuple[Ended, ...], Field(max_length=MAX_CALLS, description="What ended lately, if the PBX remembers that.")
    ] = ()
    started_at: Annotated[
        AwareDatetime | None, Field(description="When the PBX itself came up: calls from before have died.")
    ] = None


# ---- commands


class _Command(_Item):
    command_id: UUID
    call: Name


class Connect(_Command):
    """Ring `device` as `leg`, and connect the waiting customer when it answers."""

    command: Literal["connect"]
    leg: Name
    device: Device
    timeout_s: Seconds
    caller_number: str = ""
    caller_name: str = ""


class ClearLeg(_Command):
    """End a leg, in whatever state it is."""

    command: Literal["clear-leg"]
    leg: Name


class AnswerLeg(_Command):
    """Have a ringing device pick up."""

    command: Literal["answer-leg"]
    leg: Name


class Hold(_Command):
    """Put the customer on hold, in the name of this leg's agent."""

    command: Literal["hold"]
    leg: Name


class Retrieve(_Command):
    """Connect the customer with this leg again."""

    command: Literal["retrieve"]
    leg: Name


class Mute(_Command):
    """Keep what this leg's agent says from the others; not `on`: no longer."""

    command: Literal["mute"]
    leg: Name
    on: bool


class BlindTransfer(_Command):
    """Give the customer to `device`, as `new_leg`, without asking. `leg` ends at once."""

    command: Literal["blind-transfer"]
    leg: Name
    new_leg: Name
    device: Device
    timeout_s: Seconds


class Consult(_Command):
    """Put the customer on hold and ring `device`, as `new_leg`, for this leg's agent."""

    command: Literal["consult"]
    leg: Name
    new_leg: Name
    device: Device
    timeout_s: Seconds


class AttendedTransfer(_Command):
    """After `consult`: give the customer to `to_leg` and end `leg`."""

    command: Literal["attended-transfer"]
    leg: Name
    to_leg: Name


class Conference(_Command):
    """Bring `device` into the conversation, as `new_leg`; a leg of that name that is up (a consultation) joins."""

    command: Literal["conference"]
    leg: Name
    new_leg: Name
    device: Device
    timeout_s: Seconds


class HangUp(_Command):
    """End the call, all of it."""

    command: Literal["hang-up"]


class SetAttributes(_Command):
    """Attach attributes to the call at the PBX."""

    command: Literal["set-attributes"]
    attributes: Attributes


class Originate(_Command):
    """Ring `device` as `leg`, then dial `number`, and connect both as the call that is named `call`."""

    command: Literal["originate"]
    leg: Name
    device: Device
    number: Number
    timeout_s: Seconds
    trunk: Identifier | None = None


Command = (
    Connect
    | ClearLeg
    | AnswerLeg
    | Hold
    | Retrieve
    | Mute
    | BlindTransfer
    | Consult
    | AttendedTransfer
    | Conference
    | HangUp
    | SetAttributes
    | Originate
)
AnyCommand = Annotated[Command, Field(discriminator="command")]


# ---- to and from the domain

PbxT = TypeVar("PbxT")


def to_event(item: Event) -> pbx_events.PbxEvent:
    """What the adapter said."""
    made: pbx_events.PbxEvent = getattr(pbx_events, type(item).__name__)(**_fields(item, "event"))
    return made


def of_event(event: pbx_events.PbxEvent) -> dict[str, Any]:
    """An event as an adapter writes it; the way back from `to_event`.

    Raises:
        KeyError: `ConnectionUp`, which is a snapshot.
    """
    return {"event": _EVENTS[type(event).__name__], **vars(event)}


def to_snapshot(item: Snapshot) -> pbx_events.ConnectionUp:
    """What the adapter says is up."""
    calls = tuple(
        pbx_events.LiveCall(**{**_fields(call), "legs": tuple(pbx_events.LiveLeg(**_fields(leg)) for leg in call.legs)})
        for call in item.calls
    )
    return pbx_events.ConnectionUp(
        at=item.at,
        calls=calls,
        devices=tuple(pbx_events.LiveDevice(**_fields(device)) for device in item.devices),
        ended=tuple(event for event in map(to_event, item.ended) if isinstance(event, pbx_events.CallEvent)),
        started_at=item.started_at,
    )


def of_snapshot(up: pbx_events.ConnectionUp) -> dict[str, Any]:
    """A snapshot as an adapter writes it; the way back from `to_snapshot`."""
    return {
        "at": up.at,
        "calls": [{**vars(call), "legs": [vars(leg) for leg in call.legs]} for call in up.calls],
        "devices": [vars(device) for device in up.devices],
        "ended": [of_event(event) for event in up.ended],
        "started_at": up.started_at,
    }


def of_command(command: pbx_commands.Command) -> Command:
    """What an adapter is told.

    Raises:
        KeyError: a command that the interface has no word for.
    """
    found = _COMMANDS[type(command).__name__]
    made: Command = found(command=get_args(found.model_fields["command"].annotation)[0], **vars(command))
    return made


def to_command(item: Command) -> pbx_commands.Command:
    """The way back from `of_command`, for adapters that are written with our drivers."""
    made: pbx_commands.Command = getattr(pbx_commands, type(item).__name__)(**_fields(item, "command"))
    return made


def times_of(item: Event | Snapshot) -> list[tuple[str, datetime]]:
    """Every time that an item names, with its field."""
    if not isinstance(item, Snapshot):
        return [("at", item.at)]
    found = [("at", item.at)]
    for index, call in enumerate(item.calls):
        found.append((f"calls.{index}.offered_at", call.offered_at))
    found += [(f"ended.{index}.at", event.at) for index, event in enumerate(item.ended)]
    return found


def _fields(item: BaseModel, *without: str) -> dict[str, Any]:
    return {name: getattr(item, name) for name in type(item).model_fields if name not in without}


_EVENTS = {cls.__name__: get_args(cls.model_fields["event"].annotation)[0] for cls in get_args(Event)}
_COMMANDS: dict[str, Any] = {cls.__name__: cls for cls in get_args(Command)}
