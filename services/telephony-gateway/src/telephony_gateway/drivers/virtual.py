"""The driver for the built-in virtual PBX: JSON lines over TCP, see ``virtual_pbx/PROTOCOL.md``.

A connection is hello, login, snapshot, events. When an event is missing in the sequence, the connection is given up and
the next one begins with a fresh snapshot. A line that makes no sense is counted, kept for inspection, and passed over.
"""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prometheus_client import Counter

from telephony_gateway.drivers.connection import (
    CONNECT_S,
    READ_BYTES,
    UNSENT_BYTES,
    Broken,
    Replaced,
    keep_connected,
)
from telephony_gateway.drivers.interface import (
    AnswerLeg,
    AttendedTransfer,
    AttributesSet,
    BlindTransfer,
    CallCleared,
    CallConferenced,
    CallEvent,
    CallOffered,
    CallTransferred,
    ClearLeg,
    Command,
    CommandDone,
    CommandRefused,
    Conference,
    Connect,
    ConnectionLost,
    ConnectionUp,
    Consult,
    CustomerAlerting,
    CustomerAnswered,
    CustomerWaits,
    DeviceChanged,
    DeviceState,
    DigitPressed,
    Direction,
    Disconnected,
    Endpoint,
    FailureReason,
    HangUp,
    Hold,
    LegAlerting,
    LegAnswered,
    LegCleared,
    LegEvent,
    LegFailed,
    LegHeld,
    LegInitiated,
    LegRetrieved,
    LegState,
    LiveCall,
    LiveDevice,
    LiveLeg,
    Mute,
    Originate,
    Party,
    PbxEvent,
    Report,
    Retrieve,
    SetAttributes,
)
from telephony_gateway.virtual_pbx import messages
from telephony_gateway.virtual_pbx.lines import LineSplitter, line
from telephony_gateway.virtual_pbx.link_commands import PROTOCOL
from telephony_gateway.virtual_pbx.messages import Malformed, moment

log = logging.getLogger(__name__)

LOGIN_NAME = "gateway"
"""Who logs in under a name that is in use takes the connection over: a gateway that was paused has lost it."""
GREETING_S = 5.0
SNAPSHOT_S = 30.0
SILENT_HEARTBEATS = 3
SET_ASIDE = 50
"""How many malformed lines are kept."""

MALFORMED = Counter("telephony_pbx_lines_malformed_total", "Lines of a PBX that made no sense.", ("pbx",))


@dataclass(frozen=True)
class SetAside:
    """A line that made no sense: its beginning, and why."""

    line: bytes
    why: str


@dataclass
class _Session:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    splitter: LineSplitter = field(default_factory=LineSplitter)
    lines: deque[bytes] = field(default_factory=deque)
    seq: int = 0
    """Number of the last event seen."""
    heard_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """The PBX's time when it was last heard."""
    listening_since_s: float | None = None
    """By the loop's clock; None while the gateway is busy with what was heard."""
    silent: bool = False
    """It was given up because nothing came for too long."""


class VirtualDriver:
    """A connection to one virtual PBX; see `interface.Driver`."""

    def __init__(self, endpoint: Endpoint, *, chance: Callable[[], float] = random.random) -> None:
        self._endpoint = endpoint
        self._chance = chance
        self._session: _Session | None = None
        self._malformed = MALFORMED.labels(endpoint.pbx_id)
        self.malformed = 0
        """How many lines made no sense."""
        self.set_aside: deque[SetAside] = deque(maxlen=SET_ASIDE)

    async def run(self, report: Report) -> None:
        """See `interface.Driver.run`."""
        await keep_connected(self._endpoint, lambda: self._connection(report), self._chance)

    async def send(self, commands: Sequence[Command]) -> None:
        """See `interface.Driver.send`."""
        session = self._session
        if session is None or session.writer.is_closing():
            raise Disconnected(f"no connection to {self._endpoint.pbx_id}")
        session.writer.write(b"".join([line(_to_row(command)) for command in commands]))
        try:
            await session.writer.drain()
        except OSError as error:
            raise Disconnected(str(error)) from error

    # ---- one connection

    async def _connection(self, report: Report) -> Exception:
        """Connect, report until it breaks; why it did."""
        try:
            session = await self._open()
        except (OSError, TimeoutError) as error:
            return error
        was_up = False
        beating: asyncio.Task[None] | None = None
        try:
            heartbeat_s = await self._greet(session)
            up, followed_by = await self._snapshot(session)
            beating = asyncio.create_task(_beat(session, heartbeat_s))
            self._session = session
            was_up = True
            await report(up)
            for event in followed_by:
                await report(event)
            log.info("connected to the PBX", extra={"pbx": self._endpoint.pbx_id, "calls": len(up.calls)})
            while True:
                await self._take(await self._next(session), session, report)
        except (Broken, OSError, TimeoutError) as error:
            reason: Exception = error
        finally:
            self._session = None
            if beating is not None:
                beating.cancel()
            session.writer.transport.abort()
        if was_up:
            await report(ConnectionLost(at=session.heard_at, reason=str(reason) or type(reason).__name__))
        return reason

    async def _open(self) -> _Session:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(self._endpoint.host, self._endpoint.port, limit=READ_BYTES)
        return _Session(reader, writer)

    async def _greet(self, session: _Session) -> float:
        """Hello and login; the PBX's pace of heartbeats."""
        async with asyncio.timeout(GREETING_S):
            hello = await self._next(session)
            if not isinstance(hello, messages.Hello):
                raise Broken("whoever listens there is no virtual PBX")
            if hello.protocol != PROTOCOL:
                raise Broken(f"the PBX speaks protocol {hello.protocol}, we speak {PROTOCOL}")
            session.writer.write(
                line({"command": "login", "id": "login", "name": LOGIN_NAME, "protocol": PROTOCOL})
                + line({"command": "snapshot", "id": "snapshot"})
            )
            while True:
                match await self._next(session):
                    case messages.Reply(reply="login", ok=True):
                        return hello.heartbeat_s
                    case messages.Reply(reply="login", reason=reason):
                        raise Broken(f"login refused: {reason}")
                    case _:
                        pass

    async def _snapshot(self, session: _Session) -> tuple[ConnectionUp, list[CallCleared]]:
        """Everything that is up; and what ended while nobody listened, as if it ended a moment after the snapshot.

        A call that came, was answered and went in our absence is thus heard of like any other.
        """
        calls: list[LiveCall] = []
        devices: list[LiveDevice] = []
        ended: list[CallEvent] = []
        followed_by: list[CallCleared] = []
        begin: messages.SnapshotBegin | None = None
        async with asyncio.timeout(SNAPSHOT_S):
            while True:
                match await self._next(session):
                    case messages.SnapshotBegin() as begin:
                        session.seq = begin.seq
                    case messages.SnapshotDevice(device=device, state=state):
                        devices.append(LiveDevice(device=device, state=DeviceState(state)))
                    case messages.SnapshotCall() as call:
                        calls.append(_live_call(call))
                    case messages.SnapshotPastLeg() as leg:
                        ended.append(_past_leg(leg))
                    case messages.SnapshotPastCall() as call:
                        calls.append(_live_call(call))
                        at = moment(call.ended_us)
                        followed_by.append(CallCleared(at=at, call=call.call, by=Party(call.by), cause=call.cause))
                    case messages.SnapshotEnd() if begin is not None:
                        break
                    case messages.Bye() as bye:
                        raise _farewell(bye)
                    case _:
                        pass
        up = ConnectionUp(
            at=moment(begin.at_us),
            calls=tuple(calls),
            devices=tuple(devices),
            ended=tuple(ended),
            started_at=moment(begin.started_us),
        )
        session.heard_at = up.at
        return up, followed_by

    async def _next(self, session: _Session) -> messages.Line:
        """The next line that makes sense.

        Raises:
            Broken: the PBX closed the connection, or was silent for too long.
        """
        while True:
            while session.lines:
                raw = session.lines.popleft()
                try:
                    found = messages.parse(raw)
                except Malformed as error:
                    self._put_aside(raw, str(error))
                else:
                    if found is not None:
                        return found
            session.listening_since_s = asyncio.get_running_loop().time()
            data = b""
            with contextlib.suppress(OSError):
                data = await session.reader.read(READ_BYTES)
            session.listening_since_s = None
            if session.silent:
                raise Broken("silent for too long")
            if not data:
                raise Broken("closed by the PBX")
            too_long = session.splitter.too_long
            session.lines.extend(session.splitter.feed(data))
            for _ in range(session.splitter.too_long - too_long):
                self._put_aside(b"", f"more than {session.splitter.limit} bytes")

    def _put_aside(self, raw: bytes, why: str) -> None:
        self.malformed += 1
        self._malformed.inc()
        self.set_aside.append(SetAside(raw[:200], why))
        if self.malformed.bit_count() == 1:  # the 1st, 2nd, 4th, 8th ... is enough
            log.warning("malformed line", extra={"pbx": self._endpoint.pbx_id, "why": why, "malformed": self.malformed})

    async def _take(self, found: messages.Line, session: _Session, report: Report) -> None:
        match found:
            case messages.Heartbeat(heartbeat=seq, at_us=at_us):
                session.heard_at = moment(at_us)
                if seq != session.seq:
                    raise Broken(f"event {session.seq + 1} to {seq} missing")
            case messages.Reply():
                session.heard_at = moment(found.at_us)
                answer = _answer(found)
                if answer is not None:
                    await report(answer)
            case messages.Bye():
                raise _farewell(found)
            case messages.Hello() | messages.SnapshotBegin() | messages.SnapshotEnd():
                pass
            case (
                messages.SnapshotDevice()
                | messages.SnapshotCall()
                | messages.SnapshotPastLeg()
                | messages.SnapshotPastCall()
            ):
                pass
            case _:
                if found.seq <= session.seq:
                    return  # heard before
                if found.seq != session.seq + 1:
                    raise Broken(f"event {session.seq + 1} missing, got {found.seq}")
                session.seq = found.seq
                session.heard_at = moment(found.at_us)
                event = _to_event(found)
                if event is not None:
                    await report(event)


async def _beat(session: _Session, heartbeat_s: float) -> None:
    """Tell the PBX that we live, however busy we are with what it said; give it up when it does not say so itself."""
    loop = asyncio.get_running_loop()
    data = line({"command": "heartbeat"})
    transport = session.writer.transport
    while not transport.is_closing():
        if transport.get_write_buffer_size() > UNSENT_BYTES:
            transport.abort()  # it does not read
            return
        session.writer.write(data)
        woken_s = loop.time() + heartbeat_s
        await asyncio.sleep(heartbeat_s)  # rule: sleep (the pace of heartbeats, which the PBX sets)
        now_s = loop.time()
        if session.listening_since_s is None:
            continue
        if now_s - woken_s > heartbeat_s:
            session.listening_since_s = now_s  # this process slept itself: what came meanwhile is still to be read
        elif now_s - session.listening_since_s > SILENT_HEARTBEATS * heartbeat_s:
            session.silent = True
            transport.abort()


def _farewell(bye: messages.Bye) -> Broken:
    return Replaced("another gateway took over") if bye.bye == "replaced" else Broken(f"the PBX said {bye.bye}")


# ---- what the PBX says


def _live_call(call: messages.SnapshotCall | messages.SnapshotPastCall) -> LiveCall:
    return LiveCall(
        call=call.call,
        direction=Direction(call.direction),
        dialled=call.dialled,
        from_number=call.number,
        from_name=call.name,
        trunk=call.trunk,
        diverted_from=call.diverted_from,
        attributes=call.attributes,
        offered_at=moment(call.offered_us),
        customer_answered_at=_moment_or_none(call.customer_answered_us),
        legs=tuple(_live_leg(leg) for leg in call.legs),
    )


def _live_leg(leg: messages.LiveLeg) -> LiveLeg:
    return LiveLeg(
        leg=leg.leg,
        device=leg.device,
        state=_LEG_STATES[leg.state],
        consults=leg.consults,
        initiated_at=_moment_or_none(leg.initiated_us),
        alerting_at=_moment_or_none(leg.ringing_us),
        answered_at=_moment_or_none(leg.answered_us),
        held_since=_moment_or_none(leg.held_us),
    )


_LEG_STATES = {
    "initiated": LegState.INITIATED,
    "ringing": LegState.ALERTING,
    "connected": LegState.CONNECTED,
    "held": LegState.HELD,
}


def _moment_or_none(at_us: int | None) -> datetime | None:
    return None if at_us is None else moment(at_us)


def _past_leg(past: messages.SnapshotPastLeg) -> LegEvent:
    named: dict[str, Any] = {"at": moment(past.at_us), "call": past.call, "leg": past.leg, "device": past.device}
    match past.event:
        case "leg_initiated":
            return LegInitiated(consults=past.consults, **named)
        case "leg_answered":
            return LegAnswered(**named)
        case "transferred":
            return CallTransferred(from_leg=past.from_leg, **named)
        case "conferenced":
            return CallConferenced(**named)
        case "leg_failed" if past.reason is not None:
            return LegFailed(reason=FailureReason(past.reason), cause=past.cause, **named)
        case _:
            return LegCleared(cause=past.cause, **named)


def _answer(reply: messages.Reply) -> CommandDone | CommandRefused | None:
    """None for an answer to nothing that the gateway sent."""
    try:
        command_id = UUID(reply.reply or "")
    except ValueError:
        return None
    if reply.ok:
        return CommandDone(at=moment(reply.at_us), command_id=command_id)
    return CommandRefused(at=moment(reply.at_us), command_id=command_id, reason=reply.reason, detail=reply.detail)


def _to_event(event: messages.Event) -> PbxEvent | None:  # noqa: PLR0911, PLR0912 (one line per kind)
    at = moment(event.at_us)
    match event:
        case messages.Offered():
            return CallOffered(
                at=at,
                call=event.call,
                direction=Direction(event.direction),
                dialled=event.dialled,
                from_number=event.number,
                from_name=event.name,
                trunk=event.trunk,
                diverted_from=event.diverted_from,
                attributes=event.attributes,
            )
        case messages.LegInitiated(call=call, leg=leg, device=device, consults=consults):
            return LegInitiated(at=at, call=call, leg=leg, device=device, consults=consults)
        case messages.LegRinging(call=call, leg=leg, device=device):
            return LegAlerting(at=at, call=call, leg=leg, device=device)
        case messages.LegAnswered(call=call, leg=leg, device=device):
            return LegAnswered(at=at, call=call, leg=leg, device=device)
        case messages.LegFailed(call=call, leg=leg, device=device, reason=reason, cause=cause):
            return LegFailed(at=at, call=call, leg=leg, device=device, reason=FailureReason(reason), cause=cause)
        case messages.LegHeld(call=call, leg=leg, device=device):
            return LegHeld(at=at, call=call, leg=leg, device=device)
        case messages.LegRetrieved(call=call, leg=leg, device=device):
            return LegRetrieved(at=at, call=call, leg=leg, device=device)
        case messages.LegEnded(call=call, leg=leg, device=device, cause=cause):
            return LegCleared(at=at, call=call, leg=leg, device=device, cause=cause)
        case messages.Transferred(call=call, leg=leg, device=device, from_leg=from_leg):
            return CallTransferred(at=at, call=call, leg=leg, device=device, from_leg=from_leg)
        case messages.Conferenced(call=call, leg=leg, device=device):
            return CallConferenced(at=at, call=call, leg=leg, device=device)
        case messages.CustomerRinging(call=call):
            return CustomerAlerting(at=at, call=call)
        case messages.CustomerAnswered(call=call):
            return CustomerAnswered(at=at, call=call)
        case messages.Digit(call=call, digit=digit, leg=leg_or_none):
            return DigitPressed(at=at, call=call, digit=digit, leg=leg_or_none)
        case messages.AttributesSet(call=call, attributes=attributes):
            return AttributesSet(at=at, call=call, attributes=attributes)
        case messages.Ended(call=call, by=by, cause=cause):
            return CallCleared(at=at, call=call, by=Party(by), cause=cause)
        case messages.DeviceChanged(device=device, state=state):
            return DeviceChanged(at=at, device=device, state=DeviceState(state))
        case messages.Waiting(call=call):
            return CustomerWaits(at=at, call=call)


# ---- what we say


def _to_row(command: Command) -> dict[str, Any]:
    return {"id": str(command.command_id), "call": command.call, **_particulars(command)}


def _particulars(command: Command) -> dict[str, Any]:  # noqa: PLR0911, PLR0912 (one line per kind)
    match command:
        case Connect():
            return {
                "command": "connect",
                "leg": command.leg,
                "device": command.device,
                "timeout_s": _bounded(command.timeout_s),
                "caller_number": command.caller_number[:80],
                "caller_name": command.caller_name[:200],
            }
        case ClearLeg():
            return {"command": "clear_leg", "leg": command.leg}
        case AnswerLeg():
            return {"command": "answer", "leg": command.leg}
        case Hold():
            return {"command": "hold", "leg": command.leg}
        case Retrieve():
            return {"command": "retrieve", "leg": command.leg}
        case Mute():
            return {"command": "mute", "leg": command.leg, "on": command.on}
        case BlindTransfer():
            return {"command": "transfer_blind", **_bringing_in(command)}
        case Consult():
            return {"command": "consult", **_bringing_in(command)}
        case Conference():
            return {"command": "confer", **_bringing_in(command)}
        case AttendedTransfer():
            return {"command": "transfer_attended", "leg": command.leg, "to_leg": command.to_leg}
        case HangUp():
            return {"command": "hang_up"}
        case SetAttributes():
            return {"command": "set_attributes", "attributes": dict(command.attributes)}
        case Originate():
            return {
                "command": "originate",
                "leg": command.leg,
                "device": command.device,
                "number": command.number,
                "timeout_s": _bounded(command.timeout_s),
                "trunk": command.trunk,
            }
        case _:
            raise TypeError(f"{type(command).__name__} is no command that this driver knows")


def _bringing_in(command: BlindTransfer | Consult | Conference) -> dict[str, Any]:
    return {
        "leg": command.leg,
        "new_leg": command.new_leg,
        "device": command.device,
        "timeout_s": _bounded(command.timeout_s),
    }


def _bounded(timeout_s: float) -> float:
    return min(max(timeout_s, 0.1), 3600.0)
