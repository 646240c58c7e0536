"""The owner of a PBX: one loop that takes what the PBX, routing and people say, in one order.

Each round drains what waits, decides, writes calls and events in one transaction, and only then acknowledges
messages and sends commands. What is sent was committed before, so a crash at any point repeats, and loses nothing.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from cordboard_chassis.messaging import Delivery
from cordboard_chassis.ownership import OwnerInput, Ownership
from cordboard_chassis.refusals import Invalid, Refused
from cordboard_chassis.supervision import cancel
from cordboard_chassis.telemetry import span
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import CommandData, EventData
from cordboard_contracts.routing import (
    AssignmentCancelled,
    AssignmentEvent,
    AssignmentExpired,
    AssignmentFailed,
    AssignmentOffered,
)
from cordboard_contracts.telephony import HangUpCall, SetCallAttributes
from prometheus_client import Gauge, Histogram
from pydantic import ValidationError
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from telephony_gateway.domain.pbx_commands import Command
from telephony_gateway.domain.pbx_events import ConnectionLost, PbxEvent
from telephony_gateway.domain.transitions import waiting_again
from telephony_gateway.drivers.interface import Disconnected, Driver, DriverFactory, Endpoint
from telephony_gateway.storage import queries
from telephony_gateway.usecases.board import Board
from telephony_gateway.usecases.connect_call import connect_call
from telephony_gateway.usecases.control_call import Action, Control, control_call
from telephony_gateway.usecases.dial_number import Dial, dial_number
from telephony_gateway.usecases.hear_adapter import EventsGiven, SnapshotGiven, hear_events, hear_snapshot
from telephony_gateway.usecases.hear_pbx import EVENTS, hear_pbx, lose_connection
from telephony_gateway.usecases.withdraw_assignment import withdraw_assignment

log = logging.getLogger(__name__)

MESSAGES: tuple[type[EventData] | type[CommandData], ...] = (
    AssignmentOffered,
    AssignmentCancelled,
    AssignmentExpired,
    AssignmentFailed,
    HangUpCall,
    SetCallAttributes,
)
"""What reaches the owner's queue when its ``pbx`` header names it."""

GROUP_LIMIT = 200
SEND_TIMEOUT_S = 2.0
LOOK_S = 1.0
"""How often the configuration is looked at."""

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
HEARD = Histogram("telephony_event_commit_seconds", "From a PBX's event in our hands to its commit.", buckets=_BUCKETS)
ASSIGNED = Histogram(
    "telephony_assignment_command_seconds",
    "From routing's decision to the command on the wire to the PBX.",
    buckets=_BUCKETS,
)
CONNECTED = Gauge("telephony_pbx_connected", "1 while the owner's connection to the PBX is up.", ("pbx",))
LIVE = Gauge("telephony_calls_live", "Calls that are not over, at the PBXs that this process owns.", ("pbx",))


@dataclass(frozen=True)
class _Heard:
    event: PbxEvent
    at_s: float


class _Reconfigured:
    """The configuration has another version, or is gone."""


class DriverEnded(Exception):
    """A driver must not end by itself; the owner begins anew."""


class Watch:
    """Which of the PBXs that this process owns are not connected, and since when; for the readiness probe."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._down: dict[str, float] = {}

    def see(self, pbx_id: str, *, connected: bool) -> None:
        """The connection is up, or not."""
        CONNECTED.labels(pbx_id).set(int(connected))
        if connected:
            self._down.pop(pbx_id, None)
        else:
            self._down.setdefault(pbx_id, time.monotonic())

    def leave(self, pbx_id: str) -> None:
        """It is somebody else's business now."""
        self._down.pop(pbx_id, None)
        for gauge in (CONNECTED, LIVE):
            with contextlib.suppress(KeyError):
                gauge.remove(pbx_id)

    async def problem(self) -> str | None:
        """PBXs that have been away for longer than a reconnect takes."""
        now = time.monotonic()
        down = {pbx_id: now - since for pbx_id, since in self._down.items() if now - since > self._grace_s}
        if not down:
            return None
        return ", ".join(f"{pbx_id} not connected for {seconds:.0f} s" for pbx_id, seconds in sorted(down.items()))


async def own_pbx(own: Ownership, drivers: Mapping[str, DriverFactory], watch: Watch, instance: str) -> None:
    """Be the owner until cancelled, or until the PBX is configured to be somewhere else."""
    async with own.transaction() as uow:
        row = await queries.find_pbx(uow, own.owner_id)
        if row is None or not row.enabled:
            return
        board = await Board.load(uow, queries.to_pbx(row))
        await queries.write_connection(uow, own.owner_id, connected=False, detail="connecting", owned_by=instance)
    pbx = board.pbx
    driver = drivers[pbx.driver](
        Endpoint(pbx.pbx_id, pbx.host, pbx.port, tuple(trunk.trunk_id for trunk in pbx.trunks))
    )
    watch.see(pbx.pbx_id, connected=False)
    tasks = [asyncio.create_task(_drive(own, driver)), asyncio.create_task(_look(own, board, row.devices_version))]
    try:
        while await _one_round(own, board, driver, instance):
            watch.see(pbx.pbx_id, connected=board.connected)
            LIVE.labels(pbx.pbx_id).set(len(board.calls))
    finally:
        watch.leave(pbx.pbx_id)
        await cancel(*tasks)


async def _drive(own: Ownership, driver: Driver) -> None:
    async def report(event: PbxEvent) -> None:
        await own.intake.put(_Heard(event, time.perf_counter()))

    try:
        await driver.run(report)
    except Exception as error:
        own.intake.put_nowait(DriverEnded(f"{type(error).__name__}: {error}"))
        raise
    own.intake.put_nowait(DriverEnded("without a reason"))


async def _look(own: Ownership, board: Board, devices_version: int) -> None:
    """Notice that the configuration was changed. The owner's session is not for waiting."""
    seen: tuple[int, int] | None = (board.pbx.version, devices_version)
    while True:
        await asyncio.sleep(LOOK_S)
        async with own.database.transaction() as uow:
            found = await queries.pbx_versions(uow, own.owner_id)
        if found != seen:
            seen = found
            own.intake.put_nowait(_Reconfigured())


async def _one_round(own: Ownership, board: Board, driver: Driver, instance: str) -> bool:
    """Take what waits; False when there is nothing to own any more."""
    items = await own.intake.drain(GROUP_LIMIT, timeout_s=board.patience_s())
    if not items:
        await _presume(own, board, instance)
        return True
    try:
        goes_on = await _one_group(own, board, driver, instance, items)
        if board.patience_s() == 0:  # others may never be silent for so long
            await _presume(own, board, instance)
        return goes_on
    except Exception as error:
        if _is_trouble_with_the_database(error):
            raise
        log.exception("a group failed; its items go one by one", extra={"items": len(items)})
    goes_on = True
    for item in items:
        async with own.transaction() as uow:
            await board.reload(uow)
        try:
            goes_on = await _one_group(own, board, driver, instance, [item]) and goes_on
        except Exception as error:
            if _is_trouble_with_the_database(error):
                raise
            await _set_aside(own, item, error)
            async with own.transaction() as uow:
                await board.reload(uow)
    return goes_on


async def _presume(own: Ownership, board: Board, instance: str) -> None:
    """The PBX does not say what became of customers whose agents left: they wait. It says nothing at all: nobody can
    be reached until it is back."""
    async with own.transaction() as uow:
        silent_s = board.silent_s()
        if silent_s is not None:
            lost = ConnectionLost(at=uow.now - timedelta(seconds=silent_s), reason=f"silent for {silent_s:.0f} s")
            await lose_connection(uow, board, lost, instance)
        if board.presume_unreachable(uow):
            log.warning("the PBX is away for long", extra={"pbx": board.pbx.pbx_id, "devices": len(board.devices)})
        for call in board.left_alone():
            log.warning("nothing is said of a customer left alone", extra={"call": str(call.call_id)})
            await board.keep(uow, call, waiting_again(call), uow.now)
        await board.write(uow)


def _is_trouble_with_the_database(error: Exception) -> bool:
    """Not the fault of an item: whoever owns next shall try again."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or not isinstance(error, DataError | IntegrityError)
    if isinstance(error, StatementError):
        return False  # a value that cannot be written
    return isinstance(error, SQLAlchemyError | OSError | DriverEnded)


async def _set_aside(own: Ownership, item: Any, error: Exception) -> None:
    """Something that fails whenever it is tried. The others shall not wait for it."""
    log.error("an item fails", exc_info=error, extra={"item": type(item).__name__})
    match item:
        case Delivery():
            await item.fail(error)
        case OwnerInput():
            async with own.transaction() as uow:
                failed = Refused("failed", "this could not be carried out; it has been logged", status=503)
                await own.refuse(uow, item, failed)
        case _Heard(event=event):
            EVENTS.labels(type(event).__name__, "failed").inc()


async def _one_group(own: Ownership, board: Board, driver: Driver, instance: str, items: list[Any]) -> bool:
    """All items in one transaction, then what follows from its commit."""
    deliveries = [item for item in items if isinstance(item, Delivery)]
    goes_on = True
    async with own.transaction() as uow:
        fresh = {id(delivery) for delivery in await own.admit(uow, deliveries)}
        for item in items:
            match item:
                case _Heard(event=event):
                    await hear_pbx(uow, board, event, instance)
                case Delivery():
                    if id(item) in fresh:
                        await _deliver(own, uow, board, item)
                case OwnerInput():
                    await _ask(own, uow, board, driver, item, instance)
                case _Reconfigured():
                    goes_on = await _reconfigure(uow, board) and goes_on
                case DriverEnded():
                    raise item
        await board.write(uow)
    committed_s = time.perf_counter()
    for item in items:
        if isinstance(item, _Heard):
            HEARD.observe(committed_s - item.at_s)
    # Commands first: a phone shall ring; the broker has time.
    await _send(driver, board.take_commands())
    for delivery in deliveries:
        if isinstance(delivery.envelope.data, AssignmentOffered) and id(delivery) in fresh:
            ASSIGNED.observe(max(0.0, time.time() - delivery.envelope.time.timestamp()))
    await own.acknowledgements.begin(deliveries)
    return goes_on


async def _deliver(own: Ownership, uow: UnitOfWork, board: Board, delivery: Delivery) -> None:
    envelope = delivery.envelope
    uow.cause = envelope
    try:
        with span(f"telephony {envelope.type}", envelope.traceparent):
            match envelope.data:
                case AssignmentOffered() as offered:
                    await connect_call(uow, board, offered)
                case AssignmentEvent(assignment=assignment, work_item=work_item) if work_item.call is not None:
                    await withdraw_assignment(uow, board, work_item.call.call_id, assignment.assignment_id)
                case HangUpCall(call_id=call_id):
                    await control_call(uow, board, "hang-up", Control(call_id=call_id), envelope.id)
                case SetCallAttributes(call_id=call_id, attributes=attributes):
                    asked = Control(call_id=call_id, attributes=attributes)
                    await control_call(uow, board, "attributes", asked, envelope.id)
    except Refused as refused:
        await own.record_refusal(uow, delivery, refused)
    finally:
        uow.cause = None


async def _ask(own: Ownership, uow: UnitOfWork, board: Board, driver: Driver, asked: OwnerInput, instance: str) -> None:
    try:
        match asked.name:
            case "snapshot":
                snapshot = SnapshotGiven.model_validate(asked.payload)
                answer = await hear_snapshot(uow, board, driver, snapshot, instance)
            case "events":
                events = EventsGiven.model_validate(asked.payload)
                answer = await hear_events(uow, board, driver, events, instance)
            case "dial":
                call = await dial_number(uow, board, Dial.model_validate(asked.payload), asked.id)
                answer = _receipt(call.call_id, asked.id, asked.name)
            case _:
                action: Action = asked.name  # type: ignore[assignment]
                call = await control_call(uow, board, action, Control.model_validate(asked.payload), asked.id)
                answer = _receipt(call.call_id, asked.id, asked.name)
    except Refused as refused:
        await own.refuse(uow, asked, refused)
    except ValidationError as error:
        # Written by another release of the API.
        first = error.errors(include_url=False)[0]
        await own.refuse(uow, asked, Invalid(first["msg"], ".".join(map(str, first["loc"])) or "body"))
    else:
        await own.answer(uow, asked, answer)


def _receipt(call_id: UUID, order_id: UUID, action: str) -> dict[str, Any]:
    return {"call_id": str(call_id), "order_id": str(order_id), "action": action}


async def _reconfigure(uow: UnitOfWork, board: Board) -> bool:
    row = await queries.find_pbx(uow, board.pbx.pbx_id)
    if row is None or not row.enabled:
        return False
    pbx = queries.to_pbx(row)
    same_place = replace(pbx, driver=board.pbx.driver, host=board.pbx.host, port=board.pbx.port) == pbx
    board.pbx = pbx
    await board.load_devices(uow)
    return same_place


async def _send(driver: Driver, commands: list[Command]) -> None:
    if not commands:
        return
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await driver.send(commands)
    except (Disconnected, TimeoutError) as error:
        # They are part of their calls, and sent again after the next `ConnectionUp`.
        log.warning("commands not sent", extra={"commands": len(commands), "reason": str(error)[:200]})
