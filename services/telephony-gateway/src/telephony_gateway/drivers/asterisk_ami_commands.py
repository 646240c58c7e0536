"""Commands as actions of the Manager Interface, see AMI Actions at https://docs.asterisk.org.

What comes from elsewhere, a name, a number, an attribute, is checked or encoded here; `asterisk_ami_messages.action`
refuses what would break out of its line all the same.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

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
from telephony_gateway.drivers.asterisk_ami_calls import NOT_CALLED, Calls
from telephony_gateway.drivers.asterisk_ami_channels import Channel
from telephony_gateway.drivers.asterisk_ami_memory import OUTSIDE, Attempt, Call, Leg, Ordered
from telephony_gateway.drivers.asterisk_ami_snapshot import CALL_VARIABLE, LEG_VARIABLE, NUMBER_VARIABLE
from telephony_gateway.drivers.interpreter import Refusal

Action = tuple[str, Sequence[tuple[str, str]]]
"""Its name and its headers."""

RING_VARIABLE = "RING_SECONDS"
_DEVICE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
_NUMBER = re.compile(r"^\+?[0-9]{2,20}$")


@dataclass(frozen=True)
class Dialplan:
    """Where in the PBX's dialplan things are; see the guide for what these contexts have to do."""

    technology: str = "PJSIP"
    agent_context: str = "cc-agent"
    """``Redirect`` to an agent's extension here rings the agent; in vain, the call waits again and says so."""
    waiting_context: str = "cc-hold"
    waiting_exten: str = "answered"
    conference_context: str = "cc-conference"
    conference_prefix: str = "8"
    outbound_context: str = "from-agent"
    """Numbers outside are dialled here."""

    @staticmethod
    def is_outside(number: str) -> bool:
        """Whether it is no extension."""
        return OUTSIDE.match(number) is not None


def actions_for(command: Command, calls: Calls, dialplan: Dialplan, at: datetime) -> Sequence[Action]:  # noqa: PLR0911, PLR0912 (one line per kind)
    """What carries a command out; none if it is done already.

    Raises:
        Refusal: it cannot be.
    """
    if isinstance(command, Originate):
        return _originate(command, calls, dialplan)
    call = calls.calls.get(command.call)
    if call is None:
        raise Refusal("no-such-call")
    match command:
        case Connect():
            return _connect(command, call, calls, dialplan, at)
        case ClearLeg():
            return _clear_leg(command, call, calls, dialplan, at)
        case AnswerLeg():
            raise Refusal("unsupported", "the Manager Interface cannot have a phone pick up")
        case Hold():
            return _hold(call, _leg(call, command.leg), dialplan)
        case Retrieve():
            return [bridge(_customer(call), _leg(call, command.leg).channel)]
        case Mute():
            return [_mute(_leg(call, command.leg).channel, on=command.on)]
        case BlindTransfer():
            _leg(call, command.leg)
            return _send_to_agent(command.new_leg, command.device, command.timeout_s, call, calls, dialplan, at)
        case Consult():
            return _consult(command, call, calls, dialplan)
        case AttendedTransfer():
            asking, asked = _leg(call, command.leg), _leg(call, command.to_leg)
            return [bridge(_customer(call), asked.channel), hang_up(asking.channel)]
        case Conference():
            return _conference(command, call, calls, dialplan)
        case HangUp():
            return _hang_up(call, calls)
        case SetAttributes():
            channel = _customer(call)
            return [_setvar(channel, _variable(name), value) for name, value in command.attributes.items()]
        case _:
            raise Refusal("unsupported")


def _customer(call: Call) -> Channel:
    if call.customer is None or call.customer.gone:
        raise Refusal("wrong-state", "the customer is not there")
    return call.customer


def _leg(call: Call, name: str) -> Leg:
    leg = call.leg(name)
    if leg is None:
        raise Refusal("no-such-leg")
    return leg


def _device(device: str) -> str:
    if _DEVICE.match(device) is None:
        raise Refusal("no-such-device")
    return device


def _connect(command: Connect, call: Call, calls: Calls, dialplan: Dialplan, at: datetime) -> Sequence[Action]:
    attempt = call.attempt
    if call.leg(command.leg) is not None or (attempt is not None and attempt.leg == command.leg):
        return ()
    return _send_to_agent(command.leg, command.device, command.timeout_s, call, calls, dialplan, at)


def _send_to_agent(
    leg: str, device: str, timeout_s: float, call: Call, calls: Calls, dialplan: Dialplan, at: datetime
) -> Sequence[Action]:
    channel = _customer(call)
    device = _device(device)
    calls.redirected(channel, Attempt(device, leg, at, at + NOT_CALLED), at)
    # Two underscores: the agent's channel inherits it, for a gateway that takes over.
    return [
        _setvar(channel, f"__{CALL_VARIABLE}", call.name),
        _setvar(channel, f"__{LEG_VARIABLE}", leg),
        _setvar(channel, RING_VARIABLE, str(_seconds(timeout_s))),
        _redirect(channel, dialplan.agent_context, device),
    ]


def _clear_leg(command: ClearLeg, call: Call, calls: Calls, dialplan: Dialplan, at: datetime) -> Sequence[Action]:
    attempt = call.attempt
    if attempt is not None and attempt.leg == command.leg:
        channel = _customer(call)
        calls.redirected(channel, None, at)
        return [_redirect(channel, dialplan.waiting_context, dialplan.waiting_exten)]
    leg = _leg(call, command.leg)
    calls.hung_up(leg.channel)
    customer = call.customer
    if leg.answered_at is None and customer is not None and leg.channel.dialled_from == customer.uid:
        # Were the phone hung up, what comes next would be for the dialplan to say. So the PBX stops calling by itself.
        return [_redirect(customer, dialplan.waiting_context, dialplan.waiting_exten)]
    return [hang_up(leg.channel)]


def _hold(call: Call, leg: Leg, dialplan: Dialplan) -> Sequence[Action]:
    """Both go into the dialplan: a channel whose partner is redirected alone would be hung up."""
    place = (dialplan.waiting_context, dialplan.waiting_exten)
    return [_redirect_both(_customer(call), leg.channel, *place)]


def _consult(command: Consult, call: Call, calls: Calls, dialplan: Dialplan) -> Sequence[Action]:
    leg = _leg(call, command.leg)
    device = _device(command.device)
    ordered = Ordered(call.name, command.new_leg, device, consults=leg.name, joins=leg.channel.uid)
    calls.expect(command.new_leg, ordered)
    return [
        *_hold(call, leg, dialplan),
        _call_device(
            command.new_leg, device, command.timeout_s, call, dialplan, ("Application", "Wait"), ("Data", "3600")
        ),
    ]


def _conference(command: Conference, call: Call, calls: Calls, dialplan: Dialplan) -> Sequence[Action]:
    leg = _leg(call, command.leg)
    customer = _customer(call)
    room = next(iter(sorted(call.rooms)), None)
    actions: list[Action] = []
    if room is None:
        room = f"{dialplan.conference_prefix}{_room_number(call):03d}"
        calls.joins_room(customer, room)
        actions.append(_redirect_both(customer, leg.channel, dialplan.conference_context, room))
    joining = call.leg(command.new_leg)
    if joining is not None:
        return [*actions, _redirect(joining.channel, dialplan.conference_context, room)]
    device = _device(command.device)
    calls.expect(command.new_leg, Ordered(call.name, command.new_leg, device))
    place = (("Context", dialplan.conference_context), ("Exten", room), ("Priority", "1"))
    return [*actions, _call_device(command.new_leg, device, command.timeout_s, call, dialplan, *place)]


def _room_number(call: Call) -> int:
    return sum(call.name.encode()) % 1000


def _hang_up(call: Call, calls: Calls) -> Sequence[Action]:
    channels = [leg.channel for leg in call.legs.values()]
    if call.customer is not None and not call.customer.gone:
        channels.insert(0, call.customer)
    for channel in channels:
        calls.hung_up(channel)
    return [hang_up(channel) for channel in channels]


def _originate(command: Originate, calls: Calls, dialplan: Dialplan) -> Sequence[Action]:
    if calls.channels.get(command.leg) is not None:
        return ()
    if _NUMBER.match(command.number) is None:
        raise Refusal("no-such-number")
    device = _device(command.device)
    calls.expect(command.leg, Ordered(command.call, command.leg, device, number=command.number))
    return [
        (
            "Originate",
            [
                ("Channel", f"{dialplan.technology}/{device}"),
                ("Context", dialplan.outbound_context),
                ("Exten", command.number),
                ("Priority", "1"),
                ("CallerID", f'"{command.number}" <{command.number}>'),
                ("Timeout", str(int(command.timeout_s * 1000))),
                ("Async", "true"),
                ("ChannelId", command.leg),
                ("Variable", f"{CALL_VARIABLE}={command.call}"),
                ("Variable", f"{LEG_VARIABLE}={command.leg}"),
                ("Variable", f"{NUMBER_VARIABLE}={command.number}"),
            ],
        )
    ]


def _call_device(
    leg: str, device: str, timeout_s: float, call: Call, dialplan: Dialplan, *place: tuple[str, str]
) -> Action:
    shown = call.customer.number if call.customer is not None else ""
    number = shown if _NUMBER.match(shown) else ""
    return (
        "Originate",
        [
            ("Channel", f"{dialplan.technology}/{device}"),
            *place,
            ("CallerID", f"<{number}>" if number else ""),
            ("Timeout", str(int(timeout_s * 1000))),
            ("Async", "true"),
            ("ChannelId", leg),
            ("Variable", f"{LEG_VARIABLE}={leg}"),
        ],
    )


def _redirect(channel: Channel, context: str, exten: str) -> Action:
    return "Redirect", [("Channel", channel.name), ("Context", context), ("Exten", exten), ("Priority", "1")]


def _redirect_both(one: Channel, other: Channel, context: str, exten: str) -> Action:
    name, headers = _redirect(one, context, exten)
    extra = [("ExtraChannel", other.name), ("ExtraContext", context), ("ExtraExten", exten), ("ExtraPriority", "1")]
    return name, [*headers, *extra]


def bridge(one: Channel, other: Channel) -> Action:
    """Connect two channels."""
    return "Bridge", [("Channel1", one.name), ("Channel2", other.name), ("Tone", "no")]


def hang_up(channel: Channel) -> Action:
    """End a channel."""
    return "Hangup", [("Channel", channel.name), ("Cause", "16")]


def _mute(channel: Channel, *, on: bool) -> Action:
    """What comes from the phone is replaced by silence; needs Asterisk's res_mutestream."""
    return "MuteAudio", [("Channel", channel.name), ("Direction", "in"), ("State", "on" if on else "off")]


def _setvar(channel: Channel, variable: str, value: str) -> Action:
    return "Setvar", [("Channel", channel.name), ("Variable", variable), ("Value", value)]


def _variable(name: str) -> str:
    """``tier.level`` as a name of a channel's variable: a function (``SHELL(...)``) can never be one."""
    return "CC_ATTRIBUTE_" + re.sub(r"[^A-Za-z0-9]", "_", name)[:64]


def _seconds(timeout_s: float) -> int:
    return min(max(math.ceil(timeout_s), 1), 3600)
