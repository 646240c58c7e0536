"""Take in what an adapter of the open interface says: a snapshot, or events."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from cordboard_chassis.refusals import Conflict, Invalid
from cordboard_chassis.unit_of_work import UnitOfWork
from pydantic import BaseModel, Field, StringConstraints

from telephony_gateway.domain import adapter_session
from telephony_gateway.domain.adapter_session import OutOfStep
from telephony_gateway.domain.pbx_events import CommandDone, CommandRefused, ConnectionLost, PbxEvent
from telephony_gateway.drivers.http import HttpDriver
from telephony_gateway.drivers.http_messages import (
    MAX_EVENTS,
    AnyEvent,
    Snapshot,
    times_of,
    to_event,
    to_snapshot,
)
from telephony_gateway.drivers.interface import Driver
from telephony_gateway.usecases.adapter_commands import forget_commands
from telephony_gateway.usecases.board import Board
from telephony_gateway.usecases.hear_pbx import hear_pbx

AHEAD = timedelta(minutes=5)
BEHIND = timedelta(days=30)
"""Times beyond these are mistakes."""

Session = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9._-]{8,64}$"),
    Field(description="The adapter's name for the time since it connected to its PBX; a new one each time."),
]


class SnapshotGiven(BaseModel):
    """A session begins, or goes on from here."""

    session: Session
    sequence: Annotated[int, Field(ge=0, le=2**53, description="Number of the last event that the snapshot has.")] = 0
    commands: Annotated[
        Literal["poll", "webhook"], Field(description="How the adapter takes commands: asks, or is sent them.")
    ] = "poll"
    snapshot: Snapshot


class EventsGiven(BaseModel):
    """What happened since."""

    session: Session
    first: Annotated[int, Field(ge=1, le=2**53, description="Number of the first of the events; each has the next.")]
    events: Annotated[
        tuple[AnyEvent, ...], Field(max_length=MAX_EVENTS, description="None: the adapter and its PBX are well.")
    ]


async def hear_snapshot(
    uow: UnitOfWork, board: Board, driver: Driver, given: SnapshotGiven, instance: str
) -> dict[str, Any]:
    """Resynchronise with all that is up; what waited for the adapter is sent again as far as it is still wanted.

    Raises:
        Conflict: the PBX has another driver, or the snapshot is older than events that were taken.
        Invalid: a time that cannot be.
    """
    adapter = _adapter(board, driver)
    _require_possible(((f"snapshot.{field}", at) for field, at in times_of(given.snapshot)), uow.now)
    try:
        session = adapter_session.begin(board.session, given.session, given.sequence, time.monotonic())
    except OutOfStep as refused:
        raise Conflict(refused.detail, refused.field, code=refused.code) from None
    adapter.begin(pushes=given.commands == "webhook")
    await forget_commands(uow, board.pbx.pbx_id, None)
    await hear_pbx(uow, board, to_snapshot(given.snapshot), instance)
    board.session = session
    return {"session": session.session, "sequence": session.sequence}


async def hear_events(
    uow: UnitOfWork, board: Board, driver: Driver, given: EventsGiven, instance: str
) -> dict[str, Any]:
    """Apply the events that are new, in their order; all of them, or none.

    Raises:
        Conflict: the PBX has another driver; there is no such session, or an event is missing.
        Invalid: a time that cannot be.
    """
    _adapter(board, driver)
    times = ((f"events.{index}.at", event.at) for index, event in enumerate(given.events))
    _require_possible(times, uow.now)
    try:
        session, new = adapter_session.take(board.session, given.session, given.first, given.events, time.monotonic())
    except OutOfStep as refused:
        raise Conflict(refused.detail, refused.field, code=refused.code) from None
    board.session = session
    events: list[PbxEvent] = [to_event(item) for item in new]
    answered = [event.command_id for event in events if isinstance(event, CommandDone | CommandRefused)]
    if answered:
        await forget_commands(uow, board.pbx.pbx_id, answered)
    for event in events:
        await hear_pbx(uow, board, event, instance)
        if isinstance(event, ConnectionLost):
            break
    return {"session": session.session, "sequence": session.sequence}


def _adapter(board: Board, driver: Driver) -> HttpDriver:
    if not isinstance(driver, HttpDriver):
        raise Conflict(f"{board.pbx.pbx_id} is reached by the driver {board.pbx.driver}", code="other-driver")
    return driver


def _require_possible(times: Iterator[tuple[str, datetime]], now: datetime) -> None:
    for field, at in times:
        if not now - BEHIND <= at <= now + AHEAD:
            raise Invalid("must be within the last 30 days, and not ahead of our clock by more than 5 minutes", field)
