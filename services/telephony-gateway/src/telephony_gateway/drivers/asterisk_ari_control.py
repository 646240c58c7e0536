"""What has to be said to Asterisk so that what the gateway wants comes about: requests, in order, no more.

A call has at most two bridges: one in which the customer waits with music, one in which they talk. To hold is to take
the customer from the second to the first. Every request may be said again: bridges and channels have names of ours, so
a second one is refused (409) or changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from telephony_gateway.domain import text
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
from telephony_gateway.drivers.asterisk_ari_calls import (
    AGENT,
    CUSTOMER,
    Call,
    Leg,
    Party,
    Purpose,
    agent_channel,
    customer_channel,
    is_word,
    talk_bridge,
    wait_bridge,
)
from telephony_gateway.drivers.asterisk_ari_messages import (
    MAX_ID,
    Request,
    caller_id,
    delete,
    endpoint_of,
    joined,
    outside,
    post,
)
from telephony_gateway.drivers.interpreter import Refusal

VARIABLE_PREFIX = "CC_"
"""Attributes are channel variables of this prefix, so that none is a variable or function that Asterisk knows."""
MAX_TIMEOUT_S = 3600
RINGING = "ring"
MUSIC = "moh"


@dataclass(frozen=True)
class Say:
    """A request; the requests of one ``call`` are said one after the other.

    With ``decides`` its answer is the answer to that command. ``channel`` is the channel that it makes.
    """

    request: Request
    call: str
    decides: UUID | None = None


class Control:
    """Makes requests for one application of one Asterisk."""

    def __init__(self, application: str) -> None:
        self._application = application

    # ---- what follows from what happened

    def receive(self, call: Call, *, answered: bool) -> list[Say]:
        """A customer came, or was found unattended: answer and let them wait."""
        assert call.customer is not None
        answer = [] if answered else [Say(post("channels", call.customer.channel, "answer"), call.name)]
        return [*answer, *self.wait(call)]

    def wait(self, call: Call) -> list[Say]:
        """Let the customer wait, with music."""
        if call.customer is None:
            return []
        bridge = wait_bridge(call.name)
        prepare = [] if call.waits_in_bridge else [_bridge(call, bridge, "holding")]
        music = [] if call.waits_in_bridge else [Say(post("bridges", bridge, MUSIC), call.name)]
        call.waits_in_bridge = True
        return [*prepare, _add(call, bridge, call.customer), *music]

    def talk(self, call: Call, *parties: Party, decides: UUID | None = None) -> list[Say]:
        """Bring these into the bridge in which they talk; whoever is there stays."""
        bridge = talk_bridge(call.name)
        prepare = [] if call.talks_in_bridge else [_bridge(call, bridge, "mixing")]
        call.talks_in_bridge = True
        return [*prepare, _add(call, bridge, *parties, decides=decides)]

    def dial_customer(self, call: Call, agent: Leg) -> list[Say]:
        """The agent has picked up: call the customer, and let the agent hear it ring."""
        assert call.outgoing is not None
        endpoint = outside(call.outgoing.number, call.outgoing.trunk)
        assert endpoint is not None
        query = {
            "endpoint": endpoint,
            "app": self._application,
            "appArgs": joined((CUSTOMER, call.name)),
            "timeout": str(call.outgoing.timeout_s),
        }
        return [
            Say(post("channels", agent.channel, RINGING), call.name),
            Say(Request("POST", ("channels", customer_channel(call.name)), query), call.name),
        ]

    def customer_answered(self, call: Call) -> list[Say]:
        """The customer whom we called picked up: connect both."""
        agents = [leg for leg in call.legs.values() if leg.up_at is not None]
        quiet = [Say(delete("channels", leg.channel, RINGING), call.name) for leg in agents]
        assert call.customer is not None
        return [*quiet, *self.talk(call, *agents, call.customer)]

    def end(self, call: Call, party: Party, decides: UUID | None = None) -> list[Say]:
        """End one channel."""
        party.ended_by_us = True
        return [Say(delete("channels", party.channel, reason="normal"), call.name, decides)]

    def clean_up(self, call: Call) -> list[Say]:
        """The customer is gone: end the rest, remove the bridges."""
        says = [say for leg in call.legs.values() for say in self.end(call, leg)]
        for there, bridge in (
            (call.waits_in_bridge, wait_bridge(call.name)),
            (call.talks_in_bridge, talk_bridge(call.name)),
        ):
            if there:
                says.append(Say(delete("bridges", bridge), call.name))
        return says

    # ---- commands

    def originate(self, command: Originate) -> list[Say]:
        """Ring the agent of a call that does not exist yet."""
        if outside(command.number, command.trunk or "") is None:
            raise Refusal("no-such-trunk" if command.trunk is None else "malformed", "no number or trunk to dial")
        arguments = (command.number, command.trunk or "", str(_seconds(command.timeout_s)))
        return [
            self._ring(
                command.call,
                command.leg,
                command.device,
                command.timeout_s,
                Purpose.DIAL,
                *arguments,
                shown=caller_id(command.number, ""),
                decides=command.command_id,
            )
        ]

    def order(self, call: Call, command: Command) -> list[Say]:  # noqa: PLR0911, PLR0912 (one per kind)
        """What to say for a command about a call that is up.

        Raises:
            Refusal: it is not possible, or not just now.
        """
        decides = command.command_id
        match command:
            case Connect():
                shown = caller_id(command.caller_number, command.caller_name)
                return [
                    self._ring(
                        call.name,
                        command.leg,
                        command.device,
                        command.timeout_s,
                        Purpose.CONNECT,
                        shown=shown,
                        decides=decides,
                    )
                ]
            case ClearLeg():
                leg = call.leg(command.leg)
                return [] if leg is None else self.end(call, leg, decides)
            case HangUp():
                if call.customer is None:
                    return [say for leg in call.legs.values() for say in self.end(call, leg, decides)]
                return self.end(call, call.customer, decides)
            case Hold():
                _talking(call, command.leg)
                return _decided(self.wait(call), decides)
            case Retrieve():
                return self._retrieve(call, _there(call, command.leg), decides)
            case Mute():
                leg = _talking(call, command.leg)
                ask = post if command.on else delete
                return [Say(ask("channels", leg.channel, "mute", direction="in"), call.name, decides)]
            case BlindTransfer():
                return self._transfer_blind(call, _talking(call, command.leg), command)
            case Consult():
                asking = _talking(call, command.leg)
                return [*self.wait(call), self._ring_colleague(call, asking, command, Purpose.CONSULT)]
            case Conference():
                return self._confer(call, _talking(call, command.leg), command)
            case AttendedTransfer():
                return self._transfer_attended(call, _talking(call, command.leg), command)
            case SetAttributes():
                return self._set_attributes(call, command.attributes, decides)
            case AnswerLeg():
                raise Refusal("unsupported", "ARI cannot have a phone pick up")
            case _:
                raise Refusal("unsupported", type(command).__name__)

    def _retrieve(self, call: Call, leg: Leg, decides: UUID) -> list[Say]:
        """Retrieving ends a consultation."""
        asked = [other for other in call.legs.values() if other.consults == leg.leg and other.joined_at is None]
        ended = [say for other in asked for say in self.end(call, other)]
        return [*ended, *self.talk(call, _customer(call), leg, decides=decides)]

    def _transfer_blind(self, call: Call, leg: Leg, command: BlindTransfer) -> list[Say]:
        ring = self._ring_colleague(call, leg, command, Purpose.TRANSFER)
        call.gives = (command.new_leg, leg.leg)
        return [*self.wait(call), *self.end(call, leg), ring]

    def _transfer_attended(self, call: Call, leg: Leg, command: AttendedTransfer) -> list[Say]:
        to = _there(call, command.to_leg)
        if to.up_at is None:
            raise Refusal("wrong-state", "the colleague has not picked up")
        call.gives = (to.leg, leg.leg)
        return [*self.talk(call, _customer(call), to, decides=command.command_id), *self.end(call, leg)]

    def _confer(self, call: Call, leg: Leg, command: Conference) -> list[Say]:
        asked = call.leg(command.new_leg)
        if asked is None:
            return [self._ring_colleague(call, leg, command, Purpose.CONFERENCE)]
        if asked.up_at is None:
            raise Refusal("wrong-state", "the colleague has not picked up")
        return self.talk(call, _customer(call), leg, asked, decides=command.command_id)

    def _set_attributes(self, call: Call, attributes: Mapping[str, str], decides: UUID) -> list[Say]:
        customer = _customer(call)
        says = []
        for name, value in attributes.items():
            if not text.is_attribute_name(name):
                raise Refusal("malformed", "no name of an attribute")
            variable = VARIABLE_PREFIX + name.replace(".", "_").replace("-", "_")
            asked = post("channels", customer.channel, "variable", variable=variable, value=text.clean(value, 1000))
            says.append(Say(asked, call.name))
        return _decided(says, decides)

    def _ring_colleague(
        self, call: Call, asking: Leg, command: BlindTransfer | Consult | Conference, purpose: Purpose
    ) -> Say:
        shown = caller_id(asking.device, "") if purpose is Purpose.CONSULT else caller_id(call.number, call.caller_name)
        return self._ring(
            call.name,
            command.new_leg,
            command.device,
            command.timeout_s,
            purpose,
            asking.leg,
            shown=shown,
            decides=command.command_id,
        )

    def _ring(
        self,
        call: str,
        leg: str,
        device: str,
        timeout_s: float,
        purpose: Purpose,
        *arguments: str,
        shown: str,
        decides: UUID,
    ) -> Say:
        endpoint = endpoint_of(device)
        if endpoint is None:
            raise Refusal("no-such-device", "no phone is called so")
        channel = agent_channel(call, leg)
        if not is_word(call) or not is_word(leg) or len(channel) > MAX_ID:
            raise Refusal("malformed", "a name that Asterisk cannot have")
        query = {
            "endpoint": endpoint,
            "app": self._application,
            "appArgs": joined((AGENT, call, purpose.value, *arguments)),
            "callerId": shown,
            "timeout": str(_seconds(timeout_s)),
        }
        return Say(Request("POST", ("channels", channel), query), call, decides)


def _decided(says: list[Say], decides: UUID) -> list[Say]:
    """The last of them answers the command."""
    return [*says[:-1], Say(says[-1].request, says[-1].call, decides)] if says else []


def _bridge(call: Call, bridge: str, kind: str) -> Say:
    return Say(post("bridges", bridge, type=kind, name=bridge), call.name)


def _add(call: Call, bridge: str, *parties: Party, decides: UUID | None = None) -> Say:
    channels = ",".join(party.channel for party in parties)
    return Say(post("bridges", bridge, "addChannel", channel=channels), call.name, decides)


def _seconds(timeout_s: float) -> int:
    """Whole seconds, as ARI wants them: rather a little less than beyond the assignment's end."""
    return int(min(max(timeout_s, 1.0), MAX_TIMEOUT_S))


def _customer(call: Call) -> Party:
    if call.customer is None:
        raise Refusal("wrong-state", "there is no customer")
    return call.customer


def _there(call: Call, name: str) -> Leg:
    leg = call.leg(name)
    if leg is None:
        raise Refusal("no-such-leg")
    return leg


def _talking(call: Call, name: str) -> Leg:
    leg = _there(call, name)
    if leg.joined_at is None or call.customer is None:
        raise Refusal("wrong-state", "the agent and the customer are not connected")
    return leg
