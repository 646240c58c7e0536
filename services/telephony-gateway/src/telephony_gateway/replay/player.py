"""Feeds a trace through a driver's pure part into the call model."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from telephony_gateway.domain.lines import Pbx, Trunk
from telephony_gateway.drivers.interpreter import Interpreter, InterpreterFactory
from telephony_gateway.replay.conclusions import conclude
from telephony_gateway.replay.switchboard import Switchboard
from telephony_gateway.replay.trace import Kind, Line, Trace

TICK_S = 0.25
AFTERWARDS_S = 10.0
"""So long after the last line time goes on: what waits for something to be said is given up."""


def play(
    trace: Trace, interpreter: Interpreter, region: str = "CN", successor: InterpreterFactory | None = None
) -> Switchboard:
    """What the gateway knows after the trace. ``region``: whose national numbers callers send.

    With ``successor`` the gateway dies with its connection, and another takes over that knows what was stored.
    """
    trunk = Trunk(trunk_id="trunk", region=region)
    pbx = Pbx("replayed", "replayed", "127.0.0.1", 0, "replay", "/replay", trunks=(trunk,))
    switchboard = Switchboard(pbx)
    lines = trace.lines
    for number, line in enumerate(lines):
        at = trace.at(line.t)
        match line.kind:
            case Kind.OPENED:
                interpreter = successor() if successor is not None and number > 0 else interpreter
                interpreter.opened(at, asks=_asks(interpreter, lines[number + 1 :]))
            case Kind.CLOSED:
                interpreter.lost(at, line.reason)
            case Kind.HEARD:
                interpreter.heard(line.wire, at)
            case Kind.SAID:
                interpreter.said(line.wire, at)
        _report(interpreter, switchboard)
        for moment in _ticks(at, trace.at(_next_t(lines, number))):
            interpreter.tick(moment)
            _report(interpreter, switchboard)
    return switchboard


def conclusions(trace: Trace, switchboard: Switchboard) -> list[dict[str, Any]]:
    """What is known of each call, in the words of ``expected.json``, in the order in which they came."""
    calls = sorted(switchboard.calls.values(), key=lambda call: call.offered_at)
    return [conclude(call, trace.seconds) for call in calls]


def _report(interpreter: Interpreter, switchboard: Switchboard) -> None:
    for event in interpreter.take().events:
        switchboard.hear(event)


def _asks(interpreter: Interpreter, following: tuple[Line, ...]) -> bool:
    """Whether the gateway that was recorded asked, on this connection, what is up."""
    for line in following:
        if line.kind is Kind.OPENED:
            return False
        if line.kind is Kind.SAID and interpreter.asks_for_snapshot(line.wire):
            return True
    return False


def _next_t(lines: tuple[Line, ...], number: int) -> float:
    return lines[number + 1].t if number + 1 < len(lines) else lines[number].t + AFTERWARDS_S


def _ticks(since: datetime, until: datetime) -> Iterator[datetime]:
    moment = since + timedelta(seconds=TICK_S)
    while moment < until:
        yield moment
        moment += timedelta(seconds=TICK_S)
