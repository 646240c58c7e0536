"""What routing and people may do with a call: each decision is the call with an `Order` more, or `NotPossible`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from telephony_gateway.domain import text
from telephony_gateway.domain.call import (
    Call,
    Connection,
    Order,
    OrderState,
    connection_id_of,
    with_connection,
    with_order,
    with_settled_order,
)
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
from telephony_gateway.domain.transitions import command_id_of, failed_leg
from telephony_gateway.domain.words import Direction, FailureReason, LegState, Party

RING_MARGIN_S = 1.0
"""The PBX gives up ringing so much before the assignment expires, or a tenth of the time if that is less; so the
two do not cross."""
NUMBER_NOT_ALLOWED = "number-not-allowed"
"""Cause of a call that was not even begun."""
REQUEST_LIFETIME_S = 30.0
"""What somebody asked for and the PBX did not confirm within this time is not sent again: it would surprise."""


class NotPossible(Exception):
    """The call is in a state in which this cannot be done."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Assigned:
    """What routing says: this agent shall have the call, until ``expires_at``."""

    assignment_id: UUID
    agent_id: str
    device_id: str | None
    token: int
    expires_at: datetime


def connect(call: Call, assigned: Assigned, now: datetime) -> Call:
    """Ring the agent's device, or say why not as a failed leg, so that routing frees the agent.

    Refused are tokens smaller than the newest of the call, calls that are over, assignments that have expired, and
    calls that another agent has by now. A newer assignment takes the place of one that still rings.
    """
    leg = str(assigned.assignment_id)
    if call.leg(leg) is not None:
        return call
    connection = Connection(
        connection_id=connection_id_of(call.call_id, leg),
        leg=leg,
        device_id=assigned.device_id or "none",
        agent_id=assigned.agent_id,
        initiated_at=now,
        assignment_id=assigned.assignment_id,
        token=assigned.token,
    )
    remaining_s = (assigned.expires_at - now).total_seconds()
    failure: FailureReason | None = None
    has_agent = any(c.assignment_id is None and not c.is_consultation for c in call.live()) or call.joined()
    gone = call.is_cleared or call.customer_left_at is not None
    if gone or assigned.token < call.newest_token or has_agent or remaining_s <= 0:
        failure = FailureReason.CANCELLED
    elif assigned.device_id is None:
        failure = FailureReason.UNREACHABLE
    call = replace(call, newest_token=max(call.newest_token, assigned.token))
    if failure is not None:
        return with_connection(call, failed_leg(connection, failure, now))
    for other in call.live():
        if other.assignment_id is not None:
            call = _given_up(call, other, now)
    ring = Connect(
        command_id=command_id_of(call, f"connect/{leg}"),
        call=call.pbx_call,
        leg=leg,
        device=connection.device_id,
        timeout_s=ring_time_s(remaining_s),
        caller_number=call.from_number or call.from_raw,
        caller_name=call.from_name,
    )
    return with_order(with_connection(call, connection), Order(ring, now))


def ring_time_s(remaining_s: float) -> float:
    """How long the PBX may ring when the assignment expires in so many seconds."""
    return round(remaining_s - min(RING_MARGIN_S, remaining_s / 10), 3)


def withdraw(call: Call, assignment_id: UUID, now: datetime) -> Call:
    """Stop ringing for an assignment. An agent who has picked up keeps the call."""
    connection = next((c for c in call.live() if c.assignment_id == assignment_id), None)
    if connection is None or connection.answered_at is not None:
        return call
    return _given_up(call, connection, now)


def _given_up(call: Call, connection: Connection, now: datetime) -> Call:
    if connection.answered_at is None:
        call = with_connection(call, failed_leg(connection, FailureReason.CANCELLED, now))
    for order in call.pending:
        if isinstance(order.command, Connect | Originate) and order.command.leg == connection.leg:
            call = with_settled_order(call, order.order_id, OrderState.REFUSED, now)
    command_id = command_id_of(call, f"give-up/{connection.leg}")
    if call.direction is Direction.OUTBOUND:
        return with_order(call, Order(HangUp(command_id=command_id, call=call.pbx_call), now))
    return with_order(call, Order(ClearLeg(command_id=command_id, call=call.pbx_call, leg=connection.leg), now))


def hang_up(call: Call, order_id: UUID, now: datetime) -> Call:
    """End the call."""
    if call.is_cleared:
        raise NotPossible("call-cleared", "the call is over")
    return _requested(call, HangUp(command_id=order_id, call=call.pbx_call), now)


def leave(call: Call, agent: Connection, order_id: UUID, now: datetime) -> Call:
    """The agent hangs up. Rings the device: the agent declines. Else the call ends, unless others go on talking."""
    _require_live(call, agent)
    if call.joined_at(agent) is not None and not any(other.leg != agent.leg for other in call.joined()):
        return hang_up(call, order_id, now)
    if agent.answered_at is None:
        call = with_connection(call, failed_leg(agent, FailureReason.DECLINED, now))
    return _requested(call, ClearLeg(command_id=order_id, call=call.pbx_call, leg=agent.leg), now)


def answer(call: Call, agent: Connection, order_id: UUID, now: datetime) -> Call:
    """Have the agent's ringing phone pick up."""
    if agent.state is not LegState.ALERTING:
        raise NotPossible("not-ringing", "the agent's device does not ring")
    return _requested(call, AnswerLeg(command_id=order_id, call=call.pbx_call, leg=agent.leg), now)


def hold(call: Call, agent: Connection, order_id: UUID, now: datetime) -> Call:
    """Put the customer on hold."""
    _require_talking(call, agent)
    if agent.on_hold:
        raise NotPossible("already-held", "the customer is on hold already")
    return _requested(call, Hold(command_id=order_id, call=call.pbx_call, leg=agent.leg), now)


def retrieve(call: Call, agent: Connection, order_id: UUID, now: datetime) -> Call:
    """Take the customer off hold."""
    _require_talking(call, agent)
    if not agent.on_hold:
        raise NotPossible("not-held", "the customer is not on hold")
    return _requested(call, Retrieve(command_id=order_id, call=call.pbx_call, leg=agent.leg), now)


def mute(call: Call, agent: Connection, on: bool, order_id: UUID, now: datetime) -> Call:
    """Keep what the agent says from the others, or no longer. Whether it is so already, only the PBX knows."""
    _require_talking(call, agent)
    return _requested(call, Mute(command_id=order_id, call=call.pbx_call, leg=agent.leg, on=on), now)


def transfer_blind(
    call: Call, agent: Connection, device_id: str, timeout_s: float, order_id: UUID, now: datetime
) -> Call:
    """Give the customer to a device without asking."""
    _require_talking(call, agent)
    _require_elsewhere(call, device_id)
    command = BlindTransfer(
        command_id=order_id,
        call=call.pbx_call,
        leg=agent.leg,
        new_leg=str(order_id),
        device=device_id,
        timeout_s=timeout_s,
    )
    return _requested(call, command, now)


def consult(call: Call, agent: Connection, device_id: str, timeout_s: float, order_id: UUID, now: datetime) -> Call:
    """Ask another agent while the customer waits on hold."""
    _require_talking(call, agent)
    _require_elsewhere(call, device_id)
    if consultation_of(call, agent) is not None:
        raise NotPossible("already-consulting", "the agent consults somebody already")
    command = Consult(
        command_id=order_id,
        call=call.pbx_call,
        leg=agent.leg,
        new_leg=str(order_id),
        device=device_id,
        timeout_s=timeout_s,
    )
    return _requested(call, command, now)


def transfer_attended(call: Call, agent: Connection, order_id: UUID, now: datetime) -> Call:
    """Give the customer to whom the agent consults."""
    _require_talking(call, agent)
    asked = consultation_of(call, agent)
    if asked is None:
        raise NotPossible("not-consulting", "the agent consults nobody")
    command = AttendedTransfer(command_id=order_id, call=call.pbx_call, leg=agent.leg, to_leg=asked.leg)
    return _requested(call, command, now)


def confer(
    call: Call, agent: Connection, device_id: str | None, timeout_s: float, order_id: UUID, now: datetime
) -> Call:
    """Bring a device into the conversation; without ``device_id``, whom the agent consults."""
    _require_talking(call, agent)
    new_leg = str(order_id)
    if device_id is None:
        asked = consultation_of(call, agent)
        if asked is None:
            raise NotPossible("not-consulting", "the agent consults nobody, so say whom to bring in")
        device_id, new_leg = asked.device_id, asked.leg
    else:
        _require_elsewhere(call, device_id)
    command = Conference(
        command_id=order_id,
        call=call.pbx_call,
        leg=agent.leg,
        new_leg=new_leg,
        device=device_id,
        timeout_s=timeout_s,
    )
    return _requested(call, command, now)


def tell_attributes(call: Call, attributes: Iterable[tuple[str, str]], order_id: UUID, now: datetime) -> Call:
    """Have the PBX know attributes that were set on our side."""
    command = SetAttributes(command_id=order_id, call=call.pbx_call, attributes=dict(attributes))
    return with_order(call, Order(command, now))


def originate(
    call: Call, agent_id: str | None, device_id: str, timeout_s: float, order_id: UUID, now: datetime
) -> Call:
    """Ring the agent; once they have picked up, dial the customer."""
    leg = str(order_id)
    connection = Connection(
        connection_id=connection_id_of(call.call_id, leg),
        leg=leg,
        device_id=device_id,
        agent_id=agent_id,
        initiated_at=now,
    )
    command = Originate(
        command_id=order_id,
        call=call.pbx_call,
        leg=leg,
        device=device_id,
        number=call.from_number or call.dialled,
        timeout_s=timeout_s,
        trunk=call.trunk,
    )
    return _requested(with_connection(call, connection), command, now)


def call_back(call: Call, assigned: Assigned, *, allowed: bool, now: datetime) -> Call:
    """Ring the agent whom routing chose; once they have picked up, dial the customer. Or say why not, and end it."""
    leg = str(assigned.assignment_id)
    connection = Connection(
        connection_id=connection_id_of(call.call_id, leg),
        leg=leg,
        device_id=assigned.device_id or "none",
        agent_id=assigned.agent_id,
        initiated_at=now,
        assignment_id=assigned.assignment_id,
        token=assigned.token,
    )
    if not allowed or assigned.device_id is None:
        failure = FailureReason.UNREACHABLE if allowed else FailureReason.CANCELLED
        call = with_connection(call, failed_leg(connection, failure, now))
        return replace(call, cleared_at=now, cleared_by=Party.GATEWAY, cause=None if allowed else NUMBER_NOT_ALLOWED)
    command = Originate(
        command_id=command_id_of(call, f"call-back/{leg}"),
        call=call.pbx_call,
        leg=leg,
        device=assigned.device_id,
        number=call.from_number or call.dialled,
        timeout_s=ring_time_s((assigned.expires_at - now).total_seconds()),
        trunk=call.trunk,
    )
    return _requested(with_connection(call, connection), command, now)


def consultation_of(call: Call, agent: Connection) -> Connection | None:
    """The leg of whom this agent asks for advice."""
    return next((c for c in call.live() if c.is_consultation and c.consults == agent.leg), None)


def agent_leg(call: Call, agent_id: str) -> Connection | None:
    """The agent's own leg of the call, the live one if there were several."""
    own = [c for c in call.connections if c.agent_id == agent_id]
    return next((c for c in own if c.is_live), own[-1] if own else None)


def commands_to_repeat(call: Call, now: datetime) -> tuple[Call, tuple[Command, ...]]:
    """After a reconnect or takeover: what the PBX may not have got, and the call without what is too late."""
    commands: list[Command] = []
    for order in call.pending:
        command = order.command
        age_s = (now - order.ordered_at).total_seconds()
        match command:
            case Connect(leg=leg, timeout_s=timeout_s) | Originate(leg=leg, timeout_s=timeout_s):
                connection = call.leg(leg)
                if connection is None or connection.state is not LegState.INITIATED:
                    call = with_settled_order(call, order.order_id, OrderState.DONE, now)
                elif age_s >= timeout_s:
                    call = with_settled_order(call, order.order_id, OrderState.REFUSED, now, "expired")
                    call = with_connection(call, failed_leg(connection, FailureReason.CANCELLED, now))
                else:
                    commands.append(replace(command, timeout_s=round(timeout_s - max(0.0, age_s), 3)))
            case _ if order.requested and age_s > REQUEST_LIFETIME_S and not isinstance(command, HangUp):
                call = with_settled_order(call, order.order_id, OrderState.REFUSED, now, "expired")
            case _:
                commands.append(command)
    return call, tuple(commands)


def _requested(call: Call, command: Command, now: datetime) -> Call:
    return with_order(call, Order(command, now, requested=True))


def _require_live(call: Call, agent: Connection) -> None:
    if call.is_cleared or not agent.is_live:
        raise NotPossible("connection-over", "the agent is not part of the call any more")


def _require_talking(call: Call, agent: Connection) -> None:
    _require_live(call, agent)
    if call.joined_at(agent) is None:
        raise NotPossible("not-connected", "the agent and the customer are not connected")


def _require_elsewhere(call: Call, device_id: str) -> None:
    if not text.is_identifier(device_id):
        raise NotPossible("unknown-device", "there is no such device")
    if any(c.device_id == device_id for c in call.live()):
        raise NotPossible("already-there", "the device is part of the call already")
