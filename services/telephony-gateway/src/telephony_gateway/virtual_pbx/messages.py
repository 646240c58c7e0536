"""The lines that a virtual PBX writes, as its clients read them. See PROTOCOL.md.

Unknown fields are ignored: a newer PBX may say more.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from telephony_gateway.virtual_pbx.core.model import By, DeviceState, Direction, Failure, LegState
from telephony_gateway.virtual_pbx.lines import text_of

Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(max_length=1000)]
Microseconds = Annotated[int, Field(ge=0, le=10**16)]
"""Since the epoch."""
Seq = Annotated[int, Field(ge=0)]
Attributes = Annotated[dict[Text, Text], Field(max_length=1000)]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Malformed(ValueError):
    """A line that no PBX should write."""


def moment(at_us: int) -> datetime:
    """Microseconds since the epoch as a time."""
    return EPOCH + timedelta(microseconds=at_us)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Hello(_Part):
    """The first line of a connection."""

    hello: Literal["cordboard-virtual-pbx"]
    protocol: int
    pbx: str
    boot: str
    started_us: Microseconds
    heartbeat_s: Annotated[float, Field(ge=0.01, le=60)]


class Bye(_Part):
    """The PBX is about to close the connection."""

    bye: Text


class Heartbeat(_Part):
    """The PBX lives; ``heartbeat`` is the number of the last event."""

    heartbeat: Seq
    at_us: Microseconds


class Reply(_Part):
    """What became of a command."""

    reply: Id | None
    ok: bool
    reason: Text = ""
    detail: Text = ""
    at_us: Microseconds


class _Event(_Part):
    seq: Seq
    at_us: Microseconds


class _OfCall(_Event):
    call: Id


class _OfLeg(_OfCall):
    leg: Id
    device: Id


class Offered(_OfCall):
    """A call is new."""

    event: Literal["offered"]
    direction: Direction
    dialled: Text
    trunk: Text | None = None
    number: Text | None = None
    name: Text = ""
    diverted_from: Text | None = None
    attributes: Attributes = Field(default_factory=dict)


class LegInitiated(_OfLeg):
    """A device is being called."""

    event: Literal["leg_initiated"]
    consults: Id | None = None


class LegRinging(_OfLeg):
    """It rings."""

    event: Literal["leg_ringing"]


class LegAnswered(_OfLeg):
    """It was picked up."""

    event: Literal["leg_answered"]


class LegFailed(_OfLeg):
    """It was not connected."""

    event: Literal["leg_failed"]
    reason: Failure
    cause: Text = ""


class LegHeld(_OfLeg):
    """Its agent put the customer on hold."""

    event: Literal["leg_held"]


class LegRetrieved(_OfLeg):
    """Its agent came back."""

    event: Literal["leg_retrieved"]


class LegEnded(_OfLeg):
    """It had been answered, and is over."""

    event: Literal["leg_ended"]
    cause: Text = ""


class Transferred(_OfLeg):
    """The customer is given to ``leg``."""

    event: Literal["transferred"]
    from_leg: Id


class Conferenced(_OfLeg):
    """``leg`` joined those who were there."""

    event: Literal["conferenced"]


class CustomerRinging(_OfCall):
    """Outbound: it rings at the customer's."""

    event: Literal["customer_ringing"]


class CustomerAnswered(_OfCall):
    """Outbound: the customer picked up."""

    event: Literal["customer_answered"]


class Digit(_OfCall):
    """A key was pressed."""

    event: Literal["digit"]
    digit: Annotated[str, StringConstraints(pattern=r"^[0-9*#A-D]$")]
    leg: Id | None = None


class AttributesSet(_OfCall):
    """Attributes were set."""

    event: Literal["attributes"]
    attributes: Attributes


class Waiting(_OfCall):
    """Nobody rings or talks any more: the customer waits again."""

    event: Literal["waiting"]
    cause: Text = ""


class Ended(_OfCall):
    """The call is over."""

    event: Literal["ended"]
    by: By
    cause: Text = ""


class DeviceChanged(_Event):
    """A device is in another state."""

    event: Literal["device"]
    device: Id
    state: DeviceState


Event = (
    Offered
    | LegInitiated
    | LegRinging
    | LegAnswered
    | LegFailed
    | LegHeld
    | LegRetrieved
    | LegEnded
    | Transferred
    | Conferenced
    | CustomerRinging
    | CustomerAnswered
    | Digit
    | AttributesSet
    | Waiting
    | Ended
    | DeviceChanged
)


class SnapshotBegin(_Part):
    """Now everything that is up is listed."""

    snapshot: Literal["begin"]
    id: Id
    seq: Seq
    at_us: Microseconds
    started_us: Microseconds


class SnapshotDevice(_Part):
    """A device."""

    snapshot: Literal["device"]
    device: Id
    state: DeviceState


class LiveLeg(_Part):
    """A leg that is up."""

    leg: Id
    device: Id
    state: LegState
    consults: Id | None = None
    initiated_us: Microseconds | None = None
    ringing_us: Microseconds | None = None
    answered_us: Microseconds | None = None
    held_us: Microseconds | None = None


class _Call(_Part):
    call: Id
    direction: Direction
    dialled: Text
    trunk: Text | None = None
    number: Text | None = None
    name: Text = ""
    diverted_from: Text | None = None
    attributes: Attributes = Field(default_factory=dict)
    offered_us: Microseconds
    customer_answered_us: Microseconds | None = None
    legs: tuple[LiveLeg, ...] = ()


class SnapshotCall(_Call):
    """A call that is up."""

    snapshot: Literal["call"]


class SnapshotPastLeg(_Part):
    """What became of a leg, lately, in a call that is up or ended lately itself."""

    snapshot: Literal["past_leg"]
    event: Literal["leg_initiated", "leg_answered", "leg_failed", "leg_ended", "transferred", "conferenced"]
    at_us: Microseconds
    call: Id
    leg: Id
    device: Id
    consults: Id | None = None
    from_leg: Id | None = None
    reason: Failure | None = None
    cause: Text = ""


class SnapshotPastCall(_Call):
    """A call that is over, lately, as it was in its last moment."""

    snapshot: Literal["past_call"]
    ended_us: Microseconds
    by: By
    cause: Text = ""


class SnapshotEnd(_Part):
    """That was all."""

    snapshot: Literal["end"]
    id: Id


SnapshotRow = SnapshotBegin | SnapshotDevice | SnapshotCall | SnapshotPastLeg | SnapshotPastCall | SnapshotEnd
Line = Hello | Bye | Heartbeat | Reply | Event | SnapshotRow

_EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])
_ROWS: TypeAdapter[SnapshotRow] = TypeAdapter(Annotated[SnapshotRow, Field(discriminator="snapshot")])
_OTHERS: dict[str, TypeAdapter[Any]] = {
    "heartbeat": TypeAdapter(Heartbeat),
    "reply": TypeAdapter(Reply),
    "hello": TypeAdapter(Hello),
    "bye": TypeAdapter(Bye),
}


def parse(raw: bytes) -> Line | None:
    """Read one line; None if it is of a kind that we do not know, which is no fault.

    Raises:
        Malformed: it is not an object, or its fields do not fit its kind.
    """
    try:
        row = json.loads(text_of(raw))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}"[:200]) from error
    if not isinstance(row, dict):
        raise Malformed("not an object")
    try:
        return _parse(row)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "union_tag_invalid":
            return None
        where = ".".join(str(part) for part in first["loc"])
        raise Malformed(f"{where}: {first['msg']}"[:200]) from error


def _parse(row: dict[str, Any]) -> Line | None:
    if "snapshot" in row:
        return _ROWS.validate_python(row)
    if "event" in row:
        return _EVENTS.validate_python(row)
    for key, adapter in _OTHERS.items():
        if key in row:
            line: Line = adapter.validate_python(row)
            return line
    return None
