"""What the gateway concludes of a call, in the words and fields of a recording's ``expected.json``.

Times are seconds on the trace's clock.
"""

import itertools
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from telephony_gateway.domain.call import Call, Connection, Joining
from telephony_gateway.domain.words import Direction, FailureReason, Party

Seconds = Callable[[datetime], float]
CUSTOMER = "customer"
TIME_OUT = "time-out"
"""As a call's cause, ended by the gateway: the time that it gave was up."""

_RESULTS = {
    FailureReason.NO_ANSWER: "no_answer",
    FailureReason.BUSY: "busy",
    FailureReason.DECLINED: "declined",
    FailureReason.UNREACHABLE: "unreachable",
    FailureReason.CANCELLED: "cancelled",
}


def conclude(call: Call, seconds: Seconds) -> dict[str, Any]:
    """A call as ``calls[]`` of ``expected.json`` has it."""
    found: dict[str, Any] = {
        "direction": call.direction.value,
        "customer": _customer(call),
        "customer_name": call.from_name or None,
        "did": call.dialled if call.direction is Direction.INBOUND else None,
        "offered_at": seconds(call.offered_at),
        "agents": [_agent(call, connection, seconds) for connection in call.connections],
        "talk": _talk(call, seconds),
        "holds": _holds(call, seconds),
        "transfers": _transfers(call, seconds),
        "keys": [{"key": digit.key, "by": CUSTOMER, "at_about": seconds(digit.at)} for digit in call.digits],
        "outcome": _outcome(call),
        "ended_at": _seconds(call.customer_left_at or call.cleared_at, seconds),
        "ended_by": _ended_by(call),
        "diverted_from": call.diverted_from,
    }
    if call.direction is not Direction.INBOUND:
        found["agent"] = call.connections[0].device_id if call.connections else None
        found["customer_ringing_at"] = _seconds(call.customer_alerting_at, seconds)
        found["customer_answered_at"] = _seconds(call.customer_answered_at, seconds)
    return found


def _seconds(at: datetime | None, seconds: Seconds) -> float | None:
    return None if at is None else seconds(at)


def _customer(call: Call) -> str | None:
    """The number as it stood on the wire; None when it was withheld."""
    match call.direction:
        case Direction.INBOUND:
            number = call.from_raw
        case Direction.OUTBOUND:
            number = call.dialled
        case Direction.INTERNAL:
            return None
    return number if any(c.isdecimal() for c in number) else None


def _agent(call: Call, connection: Connection, seconds: Seconds) -> dict[str, Any]:
    found: dict[str, Any] = {
        "agent": connection.device_id,
        "ringing_at": _seconds(_rang_at(connection), seconds),
        "result": _result(call, connection),
    }
    ended_at = _seconds(connection.ended_at, seconds)
    match found["result"]:
        case "answered":
            found["answered_at"] = _seconds(connection.answered_at, seconds)
            found["left_at"] = ended_at
        case "cancelled" if connection.answered_at is not None:
            found["answered_too_late_at"] = seconds(connection.answered_at)
            found["stopped_at"] = ended_at
        case "talking" | "ringing":
            found["answered_at"] = _seconds(connection.answered_at, seconds)
        case _:
            found["stopped_at"] = ended_at
    return found


def _rang_at(connection: Connection) -> datetime | None:
    """A phone that refuses a call was reached, even if it did not ring first."""
    refused = connection.failure in (FailureReason.BUSY, FailureReason.DECLINED, FailureReason.DIVERTED)
    return connection.alerting_at or (connection.initiated_at if refused else None)


def _result(call: Call, connection: Connection) -> str:
    if connection.failure is FailureReason.DIVERTED:
        return f"forwarded to {connection.diverted_to}"
    if connection.failure is not None:
        return _RESULTS[connection.failure]
    if connection.is_live:
        return "ringing" if connection.answered_at is None else "talking"
    in_time = call.joined_at(connection) is not None or connection.is_consultation or connection.consults is not None
    alone = call.direction is not Direction.INBOUND
    return "answered" if in_time or alone else "cancelled"


# ---- who was connected with whom


def _talk(call: Call, seconds: Seconds) -> list[dict[str, Any]]:
    spans = [
        {"from": started_at, "to": ended_at, "parties": parties}
        for started_at, ended_at, parties in sorted([*_with_the_customer(call), *_consultations(call)])
    ]
    return [
        {"from": seconds(s["from"]), "to": _seconds(s["to"], seconds), "parties": s["parties"]}  # type: ignore[arg-type]
        for s in spans
    ]


_Span = tuple[datetime, datetime, list[str]]


def _with_the_customer(call: Call) -> Iterable[_Span]:
    internal = call.direction is Direction.INTERNAL
    present: list[tuple[datetime, datetime, str]] = []
    for connection in call.connections:
        joined_at = call.joined_at(connection)
        parted_at = call.parted_at(connection) or call.cleared_at
        if joined_at is not None and parted_at is not None and parted_at >= joined_at:
            present.append((joined_at, parted_at, connection.device_id))
    edges = sorted({at for started_at, ended_at, _ in present for at in (started_at, ended_at)})
    for started_at, ended_at in itertools.pairwise(edges):
        agents = [device for since, until, device in present if since <= started_at and until >= ended_at]
        if len(agents) > internal:
            yield started_at, ended_at, agents if internal else [CUSTOMER, *agents]


def _consultations(call: Call) -> Iterable[_Span]:
    for connection in call.connections:
        asking = call.leg(connection.consults) if connection.consults is not None else None
        if asking is None or connection.answered_at is None:
            continue
        over_at = [
            at for at in (connection.moved_at, connection.ended_at, asking.ended_at, call.cleared_at) if at is not None
        ]
        if over_at and min(over_at) > connection.answered_at:
            yield connection.answered_at, min(over_at), [asking.device_id, connection.device_id]


def _holds(call: Call, seconds: Seconds) -> list[dict[str, Any]]:
    found = []
    for connection in call.connections:
        for hold in connection.holds:
            over_at = [at for at in (hold.ended_at, call.given_away_at(connection), call.cleared_at) if at is not None]
            by = "gateway" if hold.by is Party.GATEWAY else connection.device_id
            until = _seconds(min(over_at, default=None), seconds)
            found.append({"by": by, "from": seconds(hold.started_at), "to": until})
    return sorted(found, key=lambda hold: hold["from"])


def _transfers(call: Call, seconds: Seconds) -> list[dict[str, Any]]:
    found = []
    for connection in call.connections:
        if connection.moved_by is not Joining.TRANSFER or connection.moved_at is None:
            continue
        giver = call.leg(connection.moved_from) if connection.moved_from is not None else None
        by_gateway = connection.given_by is Party.GATEWAY or giver is None
        found.append(
            {
                "kind": "attended" if _had_answered(connection) else "blind",
                "by": "gateway" if by_gateway or giver is None else giver.device_id,
                "to": connection.device_id,
                "at": seconds(connection.moved_at),
            }
        )
    return sorted(found, key=lambda transfer: transfer["at"])


def _had_answered(connection: Connection) -> bool:
    if connection.answered_at is None or connection.moved_at is None:
        return False
    return connection.answered_at < connection.moved_at


# ---- what came of it


def _outcome(call: Call) -> str | None:
    if call.answered_at is not None:
        return "answered"
    if not call.is_cleared:
        return None
    if call.cleared_by is Party.PBX and call.customer_failure is None and call.direction is Direction.INBOUND:
        return "lost"
    match call.direction:
        case Direction.INBOUND:
            return "abandoned"
        case Direction.OUTBOUND if any(c.answered_at is not None for c in call.connections):
            return "customer_busy" if call.customer_failure is FailureReason.BUSY else "customer_no_answer"
        case _:
            return "agent_no_answer"


def _ended_by(call: Call) -> str | None:
    match call.cleared_by:
        case Party.AGENT:
            return f"agent {_who_hung_up(call)}"
        case Party.GATEWAY if call.cause == TIME_OUT:
            return "gateway time-out"
        case None:
            return None
        case party:
            return party.value


def _who_hung_up(call: Call) -> str | None:
    leg = call.leg(call.cleared_by_leg) if call.cleared_by_leg is not None else None
    if leg is None:
        answered = [c for c in call.connections if c.answered_at is not None and c.ended_at is not None]
        leg = max(answered, key=lambda c: (call.joined_at(c) is not None, c.ended_at), default=None)
    return leg.device_id if leg is not None else None
