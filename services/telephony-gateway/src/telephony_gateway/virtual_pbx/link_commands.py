"""What a gateway writes on the switch link, checked and handed to the core. See PROTOCOL.md."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from telephony_gateway.virtual_pbx.core import commands
from telephony_gateway.virtual_pbx.core.model import Refused
from telephony_gateway.virtual_pbx.core.switch import Switch

PROTOCOL = 1

Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]
DeviceId = Annotated[str, StringConstraints(min_length=1, max_length=100)]
TimeoutS = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
"""Seconds of the world, however fast the PBX's clock runs."""
Attributes = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=1000)],
    ],
    Field(max_length=commands.MAX_ATTRIBUTES),
]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Id


class _OfCall(_Line):
    call: Id


class _OfLeg(_OfCall):
    leg: Id


class Login(_Line):
    """The first line of a client."""

    command: Literal["login"]
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    protocol: int
    watch: bool = False


class Snapshot(_Line):
    """Tell everything that is up, and from then on what happens."""

    command: Literal["snapshot"]


class Heartbeat(BaseModel):
    """The client lives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: Literal["heartbeat"]


class Connect(_OfLeg):
    """See `commands.connect`; the caller's number and name are for the device's display."""

    command: Literal["connect"]
    device: DeviceId
    timeout_s: TimeoutS
    caller_number: Annotated[str, StringConstraints(max_length=80)] = ""
    caller_name: Annotated[str, StringConstraints(max_length=200)] = ""


class ClearLeg(_OfLeg):
    """See `commands.clear_leg`."""

    command: Literal["clear_leg"]


class Answer(_OfLeg):
    """See `commands.answer`."""

    command: Literal["answer"]


class Hold(_OfLeg):
    """See `commands.hold`."""

    command: Literal["hold"]


class Retrieve(_OfLeg):
    """See `commands.retrieve`."""

    command: Literal["retrieve"]


class Mute(_OfLeg):
    """See `commands.mute`."""

    command: Literal["mute"]
    on: bool


class _BringIn(_OfLeg):
    new_leg: Id
    device: DeviceId
    timeout_s: TimeoutS


class TransferBlind(_BringIn):
    """See `commands.transfer_blind`."""

    command: Literal["transfer_blind"]


class Consult(_BringIn):
    """See `commands.consult`."""

    command: Literal["consult"]


class Confer(_BringIn):
    """See `commands.confer`."""

    command: Literal["confer"]


class TransferAttended(_OfLeg):
    """See `commands.transfer_attended`."""

    command: Literal["transfer_attended"]
    to_leg: Id


class HangUp(_OfCall):
    """See `commands.hang_up`."""

    command: Literal["hang_up"]


class SetAttributes(_OfCall):
    """See `commands.attach`."""

    command: Literal["set_attributes"]
    attributes: Attributes


class Originate(_OfLeg):
    """See `commands.originate`."""

    command: Literal["originate"]
    device: DeviceId
    number: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    timeout_s: TimeoutS
    trunk: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None


Order = (
    Connect
    | ClearLeg
    | Answer
    | Hold
    | Retrieve
    | Mute
    | TransferBlind
    | Consult
    | Confer
    | TransferAttended
    | HangUp
    | SetAttributes
    | Originate
)
"""A line that does something about calls."""

_LINES: TypeAdapter[Login | Snapshot | Heartbeat | Order] = TypeAdapter(
    Annotated[Login | Snapshot | Heartbeat | Order, Field(discriminator="command")]
)


def read(line: bytes) -> Login | Snapshot | Heartbeat | Order:
    """Understand one line.

    Raises:
        Refused: with ``malformed`` and what is wrong where.
    """
    try:
        return _LINES.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "line"
        raise Refused("malformed", f"{where}: {first['msg']}"[:300]) from error


def perform(switch: Switch, order: Order, speed: float) -> None:  # noqa: PLR0912 (one line per kind)
    """Have the switch do it.

    Raises:
        Refused: it cannot be done.
    """
    match order:
        case Connect():
            commands.connect(switch, order.call, order.leg, order.device, order.timeout_s * speed)
        case ClearLeg():
            commands.clear_leg(switch, order.call, order.leg)
        case Answer():
            commands.answer(switch, order.call, order.leg)
        case Hold():
            commands.hold(switch, order.call, order.leg)
        case Retrieve():
            commands.retrieve(switch, order.call, order.leg)
        case Mute():
            commands.mute(switch, order.call, order.leg, order.on)
        case TransferBlind():
            timeout_s = order.timeout_s * speed
            commands.transfer_blind(switch, order.call, order.leg, order.new_leg, order.device, timeout_s)
        case Consult():
            timeout_s = order.timeout_s * speed
            commands.consult(switch, order.call, order.leg, order.new_leg, order.device, timeout_s)
        case Confer():
            timeout_s = order.timeout_s * speed
            commands.confer(switch, order.call, order.leg, order.new_leg, order.device, timeout_s)
        case TransferAttended():
            commands.transfer_attended(switch, order.call, order.leg, order.to_leg)
        case HangUp():
            commands.hang_up(switch, order.call)
        case SetAttributes():
            commands.attach(switch, order.call, order.attributes)
        case Originate():
            commands.originate(
                switch,
                order.call,
                order.leg,
                order.device,
                order.number,
                order.timeout_s * speed,
                order.trunk,
            )
