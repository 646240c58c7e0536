"""Commands as lines of the event socket, see mod_commands at https://developer.signalwire.com/freeswitch.

What comes from elsewhere, a name, a number, an attribute, becomes part of a line only here, and only what cannot mean
anything to FreeSWITCH: no quote, comma, pipe, bracket, dollar sign or line break gets into one.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import quote
from uuid import UUID, uuid5

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
    Originate,
    Retrieve,
    SetAttributes,
)
from telephony_gateway.drivers.freeswitch_esl_calls import Calls
from telephony_gateway.drivers.freeswitch_esl_channels import Channel
from telephony_gateway.drivers.freeswitch_esl_memory import Call, Leg, Ordered
from telephony_gateway.drivers.freeswitch_esl_placing import (
    CALL_VARIABLE,
    CONSULTS_VARIABLE,
    LEG_VARIABLE,
    NUMBER_VARIABLE,
    TIMEOUT_VARIABLE,
)
from telephony_gateway.drivers.freeswitch_esl_waiting import ATTRIBUTE_PREFIX
from telephony_gateway.drivers.interpreter import Refusal

ORIGINATE_MARGIN_S = 5
"""FreeSWITCH counts whole seconds of the clock and may ring a second too short: the driver ends ringing itself."""

_LEGS = UUID("b9a2f6de-6a0e-5c3f-9f4e-2f0e7a4d8c55")
_DEVICE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}(?:@[A-Za-z0-9][A-Za-z0-9.-]{0,79})?$")
_NUMBER = re.compile(r"^\+?[0-9*#]{1,20}$")
_TO_DIAL = re.compile(r"^\+?[0-9]{2,20}$")
_PLAIN = re.compile(r"^[A-Za-z0-9._:@+-]{1,200}$")
_SAFE = "-_.~+@:/"
_NAME_MARKS = frozenset(" -_.")


@dataclass(frozen=True)
class Dialplan:
    """Where in the PBX's dialplan things are; see the guide for what these contexts have to do."""

    waiting_context: str = "cc-hold"
    waiting_exten: str = "waiting"
    """Whoever is transferred here waits, with music, and `cc::waiting` is sent."""
    conference_context: str = "cc-conference"
    conference_prefix: str = "8"
    outbound_context: str = "from-agent"
    """Numbers outside are dialled here."""
    music: str = "local_stream://moh"
    """Played to callers that the dialplan only parks; empty: nothing is."""
    ringing: str = "tone_stream://%(1000,4000,450);loops=-1"
    """Played while the customer is given to another agent without asking: China's ring-back tone (GB/T 3380)."""


@dataclass(frozen=True)
class Api:
    """An ``api`` command; its answer comes before anything else that we ask for."""

    text: str


@dataclass(frozen=True)
class Job:
    """A ``bgapi originate``; its result comes as BACKGROUND_JOB with ``uid`` as Job-UUID."""

    text: str
    uid: str


@dataclass(frozen=True)
class Awaited:
    """A leg that is being called, and what is to happen when it is picked up."""

    call: str
    uid: str
    until: datetime
    then: tuple[Api, ...] = ()

    def instead(self, uid: str) -> "Awaited":
        """The same for another channel, which was picked up in place of the one that was called."""
        then = tuple(Api(step.text.replace(self.uid, uid)) for step in self.then)
        return replace(self, uid=uid, then=then)


@dataclass
class Plan:
    """What carries a command out."""

    says: list[Api | Job] = field(default_factory=list)
    awaits: list[Awaited] = field(default_factory=list)


def plan_for(command: Command, calls: Calls, dialplan: Dialplan, at: datetime) -> Plan:
    """What carries a command out; nothing to say if it is done already.

    Raises:
        Refusal: it cannot be.
    """
    if isinstance(command, Originate):
        return _originate(command, calls, dialplan, at)
    call = calls.calls.get(command.call)
    if call is None:
        raise Refusal("no-such-call")
    plan = _PLANS.get(type(command))
    if plan is None:
        raise Refusal("unsupported")
    return plan(command, call, calls, dialplan, at)


def uid_of(leg: str) -> str:
    """The id of the channel of a leg: its name where that is a UUID, as the gateway's are."""
    try:
        return str(UUID(leg))
    except ValueError:
        return str(uuid5(_LEGS, leg))


# ---- single steps


def kill(uid: str, cause: str = "NORMAL_CLEARING") -> Api:
    """End a channel."""
    return Api(f"uuid_kill {uid} {cause}")


def bridge(one: str, other: str) -> Api:
    """Have two channels hear each other."""
    return Api(f"uuid_bridge {one} {other}")


def play(uid: str, what: str) -> Api:
    """Have a parked channel hear something."""
    return Api(f"uuid_broadcast {uid} {what} aleg")


def _set(uid: str, name: str, value: str) -> Api:
    return Api(f"uuid_setvar {uid} {name} {value}".rstrip())


def _to_waiting(channel: Channel, reason: str, dialplan: Dialplan) -> list[Api]:
    return [
        _set(channel.uid, "cc_reason", reason),
        Api(f"uuid_transfer {channel.uid} {dialplan.waiting_exten} XML {dialplan.waiting_context}"),
    ]


# ---- what comes from elsewhere


def _customer(call: Call) -> Channel:
    if call.customer is None or not call.customer.is_live:
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


def encoded(text: str) -> str:
    """Text as the value of a variable: what means something to FreeSWITCH, and all that is not ASCII, as ``%24``."""
    return quote(text, safe=_SAFE, errors="replace")


def number_to_show(number: str) -> str:
    """A caller's number as a phone may show it; ``anonymous`` for what is none."""
    return number if _NUMBER.match(number) else "anonymous"


def name_to_show(name: str) -> str:
    """A caller's name as a phone may show it: letters, digits and spaces of any script."""
    kept = "".join(c if c in _NAME_MARKS or unicodedata.category(c)[0] in "LMN" else " " for c in name[:200])
    return " ".join(kept.split())[:60]


def _variables(variables: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{name}={value}" for name, value in variables.items()) + "}"


def _call_device(
    leg: str, device: str, timeout_s: float, call: str, target: str, number: str, name: str, **more: str
) -> Job:
    uid = uid_of(leg)
    shown = number_to_show(number)
    variables = {
        "origination_uuid": uid,
        "originate_timeout": str(math.ceil(min(max(timeout_s, 1), 3600)) + ORIGINATE_MARGIN_S),
        "ignore_early_media": "true",
        "origination_caller_id_number": shown,
        "origination_caller_id_name": f"'{name_to_show(name) or shown}'",
        CALL_VARIABLE: encoded(call),
        LEG_VARIABLE: encoded(leg),
        **more,
    }
    return Job(f"originate {_variables(variables)}user/{_device(device)} {target}", uid)


def _until(timeout_s: float, at: datetime) -> datetime:
    return at + timedelta(seconds=min(max(timeout_s, 0.5), 3600))


# ---- commands


def _connect(command: Connect, call: Call, calls: Calls, _dialplan: Dialplan, at: datetime) -> Plan:
    uid = uid_of(command.leg)
    if calls.is_expected(uid) or calls.channels.was(uid):
        return Plan()
    customer = _customer(call)
    number = command.caller_number or customer.number
    job = _call_device(
        command.leg, command.device, command.timeout_s, call.name, "&park()", number, command.caller_name
    )
    calls.expect(uid, Ordered(call.name, command.leg, command.device))
    then: tuple[Api, ...] = (bridge(customer.uid, uid),)
    if call.kept:
        call.kept = False
        then = (_set(customer.uid, "park_after_bridge", ""), *then)
    return Plan([job], [Awaited(call.name, uid, _until(command.timeout_s, at), then)])


def _clear_leg(command: ClearLeg, call: Call, calls: Calls, _dialplan: Dialplan, _at: datetime) -> Plan:
    leg = call.leg(command.leg)
    if leg is None:
        uid = uid_of(command.leg)
        if not calls.is_expected(uid):
            raise Refusal("no-such-leg")
        return Plan([kill(uid, "ORIGINATOR_CANCEL")])
    says: list[Api | Job] = []
    if leg.connected and call.customer is not None and call.customer.is_live:
        # Else the PBX would hang up whom the agent talks to.
        says.append(_set(call.customer.uid, "park_after_bridge", "true"))
        call.kept = True
    calls.killed(leg.channel.uid)
    answered = leg.channel.answered_at is not None
    return Plan([*says, kill(leg.channel.uid, "NORMAL_CLEARING" if answered else "ORIGINATOR_CANCEL")])


def _answer(command: AnswerLeg, call: Call, _calls: Calls, _dialplan: Dialplan, _at: datetime) -> Plan:
    return Plan([Api(f"uuid_phone_event {_leg(call, command.leg).channel.uid} talk")])


def _held(call: Call, leg: Leg, calls: Calls, dialplan: Dialplan) -> list[Api | Job]:
    if leg.taken:
        return []
    customer = _customer(call)
    if not leg.connected:
        raise Refusal("wrong-state", "the agent and the customer are not connected")
    calls.moves(customer.uid)
    return [_set(leg.channel.uid, "park_after_bridge", "true"), *_to_waiting(customer, "hold", dialplan)]


def _hold(command: Hold, call: Call, calls: Calls, dialplan: Dialplan, _at: datetime) -> Plan:
    return Plan(_held(call, _leg(call, command.leg), calls, dialplan))


def _retrieve(command: Retrieve, call: Call, calls: Calls, _dialplan: Dialplan, _at: datetime) -> Plan:
    leg, customer = _leg(call, command.leg), _customer(call)
    if leg.connected:
        return Plan()
    calls.moves(customer.uid)
    return Plan([_set(leg.channel.uid, "park_after_bridge", ""), bridge(customer.uid, leg.channel.uid)])


def _blind_transfer(command: BlindTransfer, call: Call, calls: Calls, dialplan: Dialplan, at: datetime) -> Plan:
    uid = uid_of(command.new_leg)
    if calls.is_expected(uid) or calls.channels.was(uid):
        return Plan()
    leg, customer = _leg(call, command.leg), _customer(call)
    job = _call_device(
        command.new_leg,
        command.device,
        command.timeout_s,
        call.name,
        "&park()",
        customer.number,
        customer.caller_name,
    )
    calls.expect(uid, Ordered(call.name, command.new_leg, command.device))
    calls.transfers(call, leg, command.new_leg, at)
    return Plan(
        [
            _set(leg.channel.uid, "park_after_bridge", ""),
            *_to_waiting(customer, "transfer", dialplan),
            kill(leg.channel.uid),
            job,
        ],
        [Awaited(call.name, uid, _until(command.timeout_s, at), (bridge(customer.uid, uid),))],
    )


def _consult(command: Consult, call: Call, calls: Calls, dialplan: Dialplan, at: datetime) -> Plan:
    uid = uid_of(command.new_leg)
    if calls.is_expected(uid) or calls.channels.was(uid):
        return Plan()
    leg = _leg(call, command.leg)
    job = _call_device(
        command.new_leg,
        command.device,
        command.timeout_s,
        call.name,
        "&park()",
        leg.device,
        "",
        **{CONSULTS_VARIABLE: encoded(leg.name)},
    )
    says = [*_held(call, leg, calls, dialplan), job]
    calls.expect(uid, Ordered(call.name, command.new_leg, command.device, consults=leg.name))
    then = (bridge(leg.channel.uid, uid),)
    return Plan(says, [Awaited(call.name, uid, _until(command.timeout_s, at), then)])


def _attended_transfer(command: AttendedTransfer, call: Call, calls: Calls, _dialplan: Dialplan, at: datetime) -> Plan:
    leg, to, customer = _leg(call, command.leg), _leg(call, command.to_leg), _customer(call)
    calls.moves(customer.uid)
    calls.killed(leg.channel.uid)
    bridged = bridge(customer.uid, to.channel.uid)
    if to.channel.answered_at is None:
        # Given while it rings: whoever asked leaves, the customer is joined when it is picked up.
        return Plan([kill(leg.channel.uid)], [Awaited(call.name, to.channel.uid, at, (bridged,))])
    return Plan([bridged, kill(leg.channel.uid)])


def _conference(command: Conference, call: Call, calls: Calls, dialplan: Dialplan, at: datetime) -> Plan:
    leg, customer = _leg(call, command.leg), _customer(call)
    room = customer.room or f"{dialplan.conference_prefix}{UUID(uid_of(customer.uid)).int % 10**9:09d}"
    place = f"{room} XML {dialplan.conference_context}"
    calls.moves(customer.uid)
    says: list[Api | Job] = []
    if leg.connected and not leg.channel.room:
        says.append(Api(f"uuid_transfer {customer.uid} -both {place}"))
    else:
        says += [
            Api(f"uuid_transfer {channel.uid} {place}") for channel in (customer, leg.channel) if channel.room != room
        ]
    joining = call.leg(command.new_leg)
    uid = uid_of(command.new_leg)
    if joining is not None:
        return Plan([*says, Api(f"uuid_transfer {joining.channel.uid} {place}")])
    if calls.is_expected(uid) or calls.channels.was(uid):
        return Plan()
    job = _call_device(command.new_leg, command.device, command.timeout_s, call.name, place, customer.number, "")
    calls.expect(uid, Ordered(call.name, command.new_leg, command.device))
    return Plan([*says, job], [Awaited(call.name, uid, _until(command.timeout_s, at))])


def _hang_up(_command: HangUp, call: Call, calls: Calls, _dialplan: Dialplan, _at: datetime) -> Plan:
    channels = [leg.channel for leg in call.legs]
    if call.customer is not None and call.customer.is_live:
        channels.insert(0, call.customer)
    call.killed = True
    for channel in channels:
        calls.killed(channel.uid)
    return Plan([kill(channel.uid) for channel in channels])


def _set_attributes(command: SetAttributes, call: Call, _calls: Calls, _dialplan: Dialplan, _at: datetime) -> Plan:
    uid = _customer(call).uid
    return Plan([_set(uid, _variable(name), encoded(value)) for name, value in command.attributes.items()])


def _originate(command: Originate, calls: Calls, dialplan: Dialplan, at: datetime) -> Plan:
    uid = uid_of(command.leg)
    if calls.is_expected(uid) or calls.channels.was(uid):
        return Plan()
    if _TO_DIAL.match(command.number) is None:
        raise Refusal("no-such-number")
    more = {NUMBER_VARIABLE: command.number}
    if command.trunk and _PLAIN.match(command.trunk):
        more["cc_trunk"] = command.trunk
    job = _call_device(
        command.leg,
        command.device,
        command.timeout_s,
        command.call,
        f"{command.number} XML {dialplan.outbound_context}",
        command.number,
        "",
        **more,
    )
    calls.expect(uid, Ordered(command.call, command.leg, command.device, number=command.number))
    return Plan([job], [Awaited(command.call, uid, _until(command.timeout_s, at))])


def _variable(name: str) -> str:
    """``tier.level`` as a name of a channel's variable."""
    return ATTRIBUTE_PREFIX + re.sub(r"[^A-Za-z0-9]", "_", name)[:64]


_Planner = Callable[..., Plan]
_PLANS: Mapping[type[Command], _Planner] = {
    Connect: _connect,
    ClearLeg: _clear_leg,
    AnswerLeg: _answer,
    Hold: _hold,
    Retrieve: _retrieve,
    BlindTransfer: _blind_transfer,
    Consult: _consult,
    AttendedTransfer: _attended_transfer,
    Conference: _conference,
    HangUp: _hang_up,
    SetAttributes: _set_attributes,
}


def awaited_again(calls: Calls) -> list[Awaited]:
    """Legs that an earlier gateway has called, and that are to be bridged when they are picked up."""
    found = []
    for call in calls.calls.values():
        for leg in call.legs:
            channel, other = leg.channel, leg.consults.channel if leg.consults is not None else call.customer
            noted = channel.variables
            if LEG_VARIABLE not in noted or NUMBER_VARIABLE in noted or other is None or leg.joined or channel.room:
                continue
            told = noted.get(TIMEOUT_VARIABLE, "")
            rings_s = int(told) - ORIGINATE_MARGIN_S if told.isdecimal() and len(told) <= 4 else 0
            until = channel.created_at + timedelta(seconds=max(rings_s, 1))
            found.append(Awaited(call.name, channel.uid, until, (bridge(other.uid, channel.uid),)))
    return found


# ---- what other gateways say, for traces


@dataclass(frozen=True)
class Originated:
    """A ``bgapi originate`` taken apart."""

    variables: Mapping[str, str]
    devices: Sequence[str]
    target: str

    @property
    def uid(self) -> str:
        """The id that was chosen for its channel."""
        return self.variables.get("origination_uuid", "")

    @property
    def number(self) -> str:
        """What the phone shows: the caller."""
        return self.variables.get("origination_caller_id_number", "")

    @property
    def number_to_dial(self) -> str:
        """Whom the agent will talk to, if the dialplan is to call them."""
        number = self.target.partition(" ")[0]
        return number if _TO_DIAL.match(number) else ""


def originated(argument: str) -> Originated | None:
    """``{a=1,b=2}user/1001@pbx &park()``; None if it is none."""
    variables: dict[str, str] = {}
    rest = argument.strip()
    if rest.startswith("{"):
        inside, closed, rest = rest[1:].partition("}")
        if not closed:
            return None
        variables = dict(pair.partition("=")[::2] for pair in inside.split(","))
    endpoints, _, target = rest.strip().partition(" ")
    devices = [endpoint.rpartition("/")[2].partition("@")[0] for endpoint in endpoints.split(",")]
    if endpoints.startswith("loopback/"):
        devices = [endpoints.split("/")[1]]
    return Originated(variables, devices, target.strip()) if endpoints else None
