"""What a PBX's event makes of a call.

Rules for the events that should not be:

* A call that is cleared, and a leg that is over, stay so; what comes later is dropped (`Outcome.AFTER_END`).
* An event that says what is known already is dropped (`DUPLICATE`).
* An event that comes late is a fact all the same: the call ends up as if it had come in time.
* A leg may begin with any event but its *cleared*, if the event names the device.
* When the last agent leaves and it is not said what becomes of the customer, the leg is kept until that is known:
  a caller who hangs up must not be offered to somebody else in the last milliseconds.
* A leg that is picked up although it was given up, or while another agent whom a queue chose already talks, is
  taken down again: two agents never get one call.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

from telephony_gateway.domain import text
from telephony_gateway.domain.call import (
    DIGITS,
    MAX_ATTRIBUTES,
    MAX_DIGITS,
    MAX_HOLD_MARKS,
    Attribute,
    Call,
    Connection,
    Digit,
    HoldMark,
    Joining,
    Order,
    OrderState,
    call_id_of,
    connection_id_of,
    with_connection,
    with_order,
    with_settled_order,
)
from telephony_gateway.domain.lines import Line
from telephony_gateway.domain.numbers import to_e164
from telephony_gateway.domain.pbx_commands import ClearLeg, Connect, HangUp, Originate
from telephony_gateway.domain.pbx_events import (
    AttributesSet,
    CallCleared,
    CallConferenced,
    CallEvent,
    CallOffered,
    CallTransferred,
    CommandDone,
    CommandRefused,
    CustomerAlerting,
    CustomerAnswered,
    CustomerFailed,
    CustomerLeft,
    CustomerWaits,
    DigitPressed,
    LegAlerting,
    LegAnswered,
    LegCleared,
    LegDiverted,
    LegEvent,
    LegFailed,
    LegHeld,
    LegInitiated,
    LegRetrieved,
    LiveCall,
)
from telephony_gateway.domain.words import Direction, FailureReason, Party

KEYS = "0123456789*#ABCD"

LEFT_ALONE_S = 2.0
"""A PBX that says for so long not what became of a customer whose agent left: they wait."""


class Outcome(StrEnum):
    """What became of an event."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    AFTER_END = "after-end"
    UNKNOWN_CALL = "unknown-call"
    UNKNOWN_LEG = "unknown-leg"
    MALFORMED = "malformed"
    OVER_LIMIT = "over-limit"
    IRRELEVANT = "irrelevant"
    """An agent pressed a key, for example."""


Applied = tuple[Call, Outcome]


def new_call(pbx_id: str, line: Line, event: CallOffered | LiveCall) -> Call:
    """The call that an event or a snapshot tells of for the first time."""
    offered_at = event.at if isinstance(event, CallOffered) else event.offered_at
    raw = text.clean(event.from_number or "", text.MAX_ADDRESS)
    dialled = text.clean(event.dialled, text.MAX_ADDRESS)
    outbound = event.direction is Direction.OUTBOUND
    return _with_attributes(
        Call(
            call_id=call_id_of(pbx_id, event.call),
            pbx_id=pbx_id,
            pbx_call=event.call,
            workspace=line.workspace,
            org_path=line.org_path,
            direction=event.direction,
            from_number=to_e164(dialled if outbound else raw, line.region),
            from_raw=raw,
            from_name=text.clean(event.from_name, text.MAX_NAME),
            dialled=dialled,
            offered_at=offered_at,
            waits=event.waits,
            trunk=line.trunk,
            territory=line.territory,
            diverted_from=text.clean(event.diverted_from or "", text.MAX_ADDRESS) or None,
        ),
        event.attributes,
        offered_at,
    )[0]


def apply(call: Call, event: CallEvent) -> Applied:
    """The call after ``event``; the same call unless the outcome is APPLIED."""
    if call.is_cleared:
        return call, Outcome.AFTER_END
    changed, outcome = _apply(call, event)
    if outcome is Outcome.APPLIED and changed == call:
        return call, Outcome.DUPLICATE
    return (changed, outcome) if outcome is Outcome.APPLIED else (call, outcome)


def _apply(call: Call, event: CallEvent) -> Applied:  # noqa: PLR0911 (one line per kind of event)
    match event:
        case LegEvent():
            return _apply_to_leg(call, event)
        case CallOffered():
            return call, Outcome.DUPLICATE
        case CustomerAlerting():
            return replace(call, customer_alerting_at=earliest(call.customer_alerting_at, event.at)), Outcome.APPLIED
        case CustomerAnswered():
            return replace(call, customer_answered_at=earliest(call.customer_answered_at, event.at)), Outcome.APPLIED
        case DigitPressed():
            return _press(call, event)
        case AttributesSet():
            return _with_attributes(call, event.attributes, event.at)
        case CustomerWaits():
            return replace(waiting_again(call), waits=True), Outcome.APPLIED
        case CustomerFailed():
            return replace(call, customer_failure=call.customer_failure or event.reason), Outcome.APPLIED
        case CustomerLeft():
            return _left(call, event), Outcome.APPLIED
        case CallCleared():
            return cleared(call, event.at, event.by, event.cause, event.leg), Outcome.APPLIED
        case _:
            return call, Outcome.IRRELEVANT


def _apply_to_leg(call: Call, event: LegEvent) -> Applied:  # noqa: PLR0911 (each rule for odd events is one)
    connection = call.leg(event.leg)
    if connection is None:
        if isinstance(event, LegCleared) or not event.device:
            return call, Outcome.UNKNOWN_LEG
        if not text.is_name(event.leg):
            return call, Outcome.MALFORMED
        connection = pbx_leg(call, event.leg, event.device, event.at)
    elif not connection.is_live:
        if isinstance(event, LegAnswered) and connection.failure is not None:
            return _taken_down(call, event.leg, event.at), Outcome.APPLIED
        over = isinstance(event, LegFailed | LegCleared)
        return call, Outcome.DUPLICATE if over else Outcome.AFTER_END
    if isinstance(event, LegAnswered) and _is_surplus(call, connection):
        given_up = replace(connection, answered_at=None, failure=FailureReason.CANCELLED, ended_at=event.at)
        return _taken_down(with_connection(call, given_up), event.leg, event.at), Outcome.APPLIED
    if isinstance(event, LegHeld | LegRetrieved) and len(connection.hold_marks) >= MAX_HOLD_MARKS:
        return call, Outcome.OVER_LIMIT
    return _released(with_connection(call, _changed_leg(connection, event))), Outcome.APPLIED


def _released(call: Call) -> Call:
    """Agents who have left are gone once the customer is known to be with somebody else."""
    given_by = {c.moved_from for c in call.connections if c.moved_from is not None}
    stay = any(c.leaving_at is None for c in call.joined())
    for connection in call.leaving():
        if stay or connection.leg in given_by or connection.is_consultation:
            call = with_connection(call, left_leg(connection))
    return call


def waiting_again(call: Call) -> Call:
    """Agents who have left are gone, and the customer is not."""
    for connection in call.leaving():
        call = with_connection(call, left_leg(connection))
    return call


def left_leg(connection: Connection) -> Connection:
    """The leg of an agent who was leaving, over."""
    assert connection.leaving_at is not None
    return failed_leg(connection, FailureReason.CANCELLED, connection.leaving_at)


def _changed_leg(connection: Connection, event: LegEvent) -> Connection:  # noqa: PLR0911 (one per kind of event)
    at = event.at
    match event:
        case LegInitiated():
            initiated_at = min(connection.initiated_at, at)
            return replace(connection, initiated_at=initiated_at, consults=connection.consults or event.consults)
        case LegAlerting():
            return replace(connection, alerting_at=earliest(connection.alerting_at, at))
        case LegAnswered():
            return replace(connection, answered_at=earliest(connection.answered_at, at))
        case LegFailed(reason=reason) if reason is not FailureReason.CANCELLED:
            return failed_leg(connection, reason, at)
        case LegDiverted(to=to):
            diverted_to = text.clean(to, text.MAX_ADDRESS) or None
            return replace(failed_leg(connection, FailureReason.DIVERTED, at), diverted_to=diverted_to)
        case LegFailed() | LegCleared():
            return replace(connection, leaving_at=earliest(connection.leaving_at, at))
        case LegHeld():
            return _marked(connection, HoldMark(at, retrieved=False, by=event.by))
        case LegRetrieved():
            return _marked(connection, HoldMark(at, retrieved=True))
        case CallTransferred():
            moved_from = connection.moved_from or event.from_leg
            moved = _moved(connection, at, Joining.TRANSFER)
            # What the phone did is told for certain, what the gateway did is also inferred.
            given_by = event.by if connection.given_by is not Party.AGENT else Party.AGENT
            return replace(moved, moved_from=moved_from, given_by=given_by)
        case CallConferenced():
            return _moved(connection, at, Joining.CONFERENCE)
        case _:
            return connection


def settle(call: Call, event: CommandDone | CommandRefused) -> Call:
    """What the PBX's answer to a command makes of the call."""
    order = next((order for order in call.pending if order.order_id == event.command_id), None)
    if order is None:
        return call
    if isinstance(event, CommandDone):
        return with_settled_order(call, order.order_id, OrderState.DONE, event.at)
    reason = text.clean(event.reason, text.MAX_CAUSE) or "refused"
    call = with_settled_order(call, order.order_id, OrderState.REFUSED, event.at, reason, text.clean(event.detail, 200))
    if call.is_cleared:
        return call
    match order.command:
        case Connect(leg=leg) | Originate(leg=leg):
            failure = FailureReason.UNREACHABLE if reason == "no-such-device" else FailureReason.CANCELLED
            connection = call.leg(leg)
            if connection is not None and connection.is_live and connection.answered_at is None:
                call = with_connection(call, failed_leg(connection, failure, event.at))
            if isinstance(order.command, Originate) and not call.live():
                call = cleared(call, event.at, Party.PBX, reason)
        case HangUp() if reason == "no-such-call":
            call = cleared(call, event.at, Party.PBX, reason)
    return call


def _left(call: Call, event: CustomerLeft) -> Call:
    if call.customer_left_at is not None and call.customer_left_at <= event.at:
        return call
    cause = text.clean(event.cause, text.MAX_CAUSE) or None
    return replace(call, customer_left_at=event.at, cleared_by=event.by, cause=cause)


def cleared(call: Call, at: datetime, by: Party, cause: str, by_leg: str | None = None) -> Call:
    """The call, over. So are its legs; those that rang had no chance to answer."""
    if call.customer_left_at is not None and call.cleared_by is not None:
        by, by_leg, cause = call.cleared_by, None, call.cause or ""
    for connection in call.live():
        over = failed_leg(connection, FailureReason.CANCELLED, at)
        if over.answered_at is None and over.initiated_at > at:
            # Begun by our own clock, when the customer had just left.
            over = replace(over, initiated_at=at, alerting_at=over.alerting_at and at)
        call = with_connection(call, over)
    # A leg that the gateway gave up by its own clock was over when the PBX says that everything was.
    for connection in call.connections:
        if connection.ended_at is not None and (connection.answered_at or connection.initiated_at) <= at:
            call = with_connection(call, replace(connection, ended_at=min(connection.ended_at, at)))
    ended_at = [c.ended_at for c in call.connections if c.ended_at is not None]
    return replace(
        call,
        cleared_at=max(at, call.offered_at, *ended_at),
        cleared_by=by,
        cleared_by_leg=by_leg,
        cause=text.clean(cause, text.MAX_CAUSE) or None,
        orders=tuple(order for order in call.orders if order.state is not OrderState.PENDING),
    )


def failed_leg(connection: Connection, reason: FailureReason, at: datetime) -> Connection:
    """The leg, over: failed, unless it had been picked up."""
    ended_at = earliest(connection.leaving_at, at)
    if connection.answered_at is not None:
        return replace(connection, ended_at=ended_at)
    return replace(connection, failure=reason, ended_at=ended_at)


def pbx_leg(call: Call, leg: str, device: str, at: datetime) -> Connection:
    """A leg that the PBX made by itself; whose device it is will be looked up."""
    return Connection(
        connection_id=connection_id_of(call.call_id, leg),
        leg=leg,
        device_id=text.identifier(device),
        agent_id=None,
        initiated_at=at,
    )


def earliest(known: datetime | None, told: datetime) -> datetime:
    """The earlier of two times at which the same is said to have happened."""
    return told if known is None else min(known, told)


def command_id_of(call: Call, what: str) -> UUID:
    """The id of a command that follows from the call's facts: the same when it is decided once more."""
    return uuid5(call.call_id, f"command/{what}")


def _is_surplus(call: Call, connection: Connection) -> bool:
    chosen_by_queue = connection.assignment_id is not None and connection.moved_at is None
    talking = (other for other in call.joined() if other.leaving_at is None)
    return chosen_by_queue and any(other.leg != connection.leg for other in talking)


def _taken_down(call: Call, leg: str, at: datetime) -> Call:
    if any(isinstance(order.command, ClearLeg) and order.command.leg == leg for order in call.pending):
        return call
    command_id = command_id_of(call, f"take-down/{leg}/{at.isoformat()}")
    return with_order(call, Order(ClearLeg(command_id=command_id, call=call.pbx_call, leg=leg), at))


def _marked(connection: Connection, mark: HoldMark) -> Connection:
    if mark in connection.hold_marks:
        return connection
    return replace(connection, hold_marks=tuple(sorted((*connection.hold_marks, mark))))


def _moved(connection: Connection, at: datetime, by: Joining) -> Connection:
    """The earlier move counts; of two at the same time the transfer, whichever is told first."""
    known = connection.moved_at
    if known is None or at < known or (at == known and by is Joining.TRANSFER):
        return replace(connection, moved_at=at, moved_by=by)
    return connection


def _press(call: Call, event: DigitPressed) -> Applied:
    if event.leg is not None:
        return call, Outcome.IRRELEVANT
    key = event.digit.upper()
    if len(key) != 1 or key not in KEYS:
        return call, Outcome.MALFORMED
    digit = Digit(event.at, key)
    if digit in call.digits:
        return call, Outcome.DUPLICATE
    if len(call.digits) >= MAX_DIGITS:
        return call, Outcome.OVER_LIMIT
    return replace(call, digits=tuple(sorted((*call.digits, digit), key=lambda d: (d.at, d.key)))), Outcome.APPLIED


def _with_attributes(call: Call, attributes: Mapping[str, str], at: datetime) -> Applied:
    facts = dict(call.facts)
    outcome = Outcome.APPLIED
    for name, value in attributes.items():
        if not text.is_attribute_name(name) or name == DIGITS:
            outcome = Outcome.MALFORMED if outcome is Outcome.APPLIED else outcome
            continue
        told = Attribute(at, text.clean(value, text.MAX_VALUE))
        known = facts.get(name)
        if known is None and len(facts) >= MAX_ATTRIBUTES:
            outcome = Outcome.OVER_LIMIT
            continue
        if known is None or (told.at, told.value) > (known.at, known.value):
            facts[name] = told
    if facts == dict(call.facts):
        return call, Outcome.DUPLICATE if outcome is Outcome.APPLIED else outcome
    return replace(call, facts=dict(sorted(facts.items()))), Outcome.APPLIED
