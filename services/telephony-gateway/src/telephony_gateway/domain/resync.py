"""After blindness: what the PBX says is up, laid over what we believed."""

from dataclasses import replace
from datetime import datetime

from telephony_gateway.domain import text
from telephony_gateway.domain.call import (
    Call,
    Connection,
    HoldMark,
    Joining,
    Order,
    with_connection,
    with_order,
)
from telephony_gateway.domain.pbx_commands import ClearLeg, Connect, Originate
from telephony_gateway.domain.pbx_events import AttributesSet, ConnectionUp, LiveCall, LiveLeg
from telephony_gateway.domain.transitions import apply, cleared, command_id_of, earliest, failed_leg, pbx_leg
from telephony_gateway.domain.words import FailureReason, LegState, Party

RESTARTED = "pbx-restarted"
UNSEEN = "ended-while-disconnected"


def end_unseen(call: Call, up: ConnectionUp, lost_at: datetime | None) -> Call:
    """A call that is not up any more. It was alive when the PBX was last heard, if we know when that was."""
    if call.is_cleared or _is_being_made(call):
        return call
    cause = RESTARTED if _restarted(up, lost_at) else UNSEEN
    return cleared(call, _ended_at(up, lost_at), Party.PBX, cause)


def lay_over(call: Call, live: LiveCall, up: ConnectionUp, lost_at: datetime | None) -> Call:
    """A call that is up: legs that are there are as the snapshot says, others have ended."""
    if call.is_cleared:
        return call
    if live.waits and not call.waits:
        call = replace(call, waits=True)
    if live.customer_answered_at is not None:
        call = replace(call, customer_answered_at=earliest(call.customer_answered_at, live.customer_answered_at))
    call, _ = apply(call, AttributesSet(at=live.offered_at, call=live.call, attributes=live.attributes))
    legs = {leg.leg: leg for leg in live.legs if text.is_name(leg.leg)}
    for connection in call.live():
        if connection.leg not in legs:
            call = _without(call, connection, _ended_at(up, lost_at))
    for leg in legs.values():
        call = _with_leg(call, leg, up.at)
    return call


def _with_leg(call: Call, leg: LiveLeg, at: datetime) -> Call:
    connection = call.leg(leg.leg)
    if connection is None:
        connection = pbx_leg(call, leg.leg, leg.device, leg.initiated_at or at)
    elif not connection.is_live:
        command_id = command_id_of(call, f"take-down/{leg.leg}/{at.isoformat()}")
        return with_order(call, Order(ClearLeg(command_id=command_id, call=call.pbx_call, leg=leg.leg), at))
    return with_connection(call, _as_seen(connection, leg, at))


def _as_seen(connection: Connection, leg: LiveLeg, at: datetime) -> Connection:
    if leg.consults is not None and connection.moved_at is None:
        connection = replace(connection, consults=leg.consults)
    elif leg.consults is None and connection.is_consultation:
        # Given the customer while we were blind. Who else is there decides little: a transfer it is.
        connection = replace(connection, moved_at=at, moved_by=Joining.TRANSFER)
    if leg.state is LegState.ALERTING or leg.alerting_at is not None:
        connection = replace(connection, alerting_at=connection.alerting_at or leg.alerting_at or at)
    if leg.state in (LegState.CONNECTED, LegState.HELD):
        connection = replace(connection, answered_at=connection.answered_at or leg.answered_at or at)
        if leg.hold_known and (leg.state is LegState.HELD) != connection.on_hold:
            mark = HoldMark(leg.held_since or at, False) if leg.state is LegState.HELD else HoldMark(at, True)
            connection = replace(connection, hold_marks=tuple(sorted({*connection.hold_marks, mark})))
    return connection


def _without(call: Call, connection: Connection, ended_at: datetime) -> Call:
    if _is_being_called(call, connection):
        return call
    rang = connection.alerting_at is not None
    reason = FailureReason.NO_ANSWER if rang else FailureReason.UNREACHABLE
    return with_connection(call, failed_leg(connection, reason, ended_at))


def _is_being_made(call: Call) -> bool:
    return any(isinstance(order.command, Originate) for order in call.pending)


def _is_being_called(call: Call, connection: Connection) -> bool:
    return connection.state is LegState.INITIATED and any(
        isinstance(order.command, Connect | Originate) and order.command.leg == connection.leg for order in call.pending
    )


def _restarted(up: ConnectionUp, lost_at: datetime | None) -> bool:
    return up.started_at is not None and lost_at is not None and up.started_at > lost_at


def _ended_at(up: ConnectionUp, lost_at: datetime | None) -> datetime:
    if lost_at is not None:
        return min(lost_at, up.at)
    return min(up.at, up.started_at) if up.started_at is not None else up.at
