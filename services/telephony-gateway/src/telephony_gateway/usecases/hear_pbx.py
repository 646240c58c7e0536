"""Take in what a PBX says."""

from cordboard_chassis.unit_of_work import UnitOfWork
from prometheus_client import Counter

from telephony_gateway.domain import text
from telephony_gateway.domain.lines import line_of
from telephony_gateway.domain.pbx_events import (
    CallEvent,
    CallOffered,
    CommandDone,
    CommandRefused,
    ConnectionLost,
    ConnectionUp,
    DeviceChanged,
    PbxEvent,
)
from telephony_gateway.domain.transitions import Outcome, apply, new_call, settle
from telephony_gateway.storage import queries
from telephony_gateway.usecases.board import Board
from telephony_gateway.usecases.resynchronise import resynchronise

EVENTS = Counter("telephony_pbx_events_total", "What PBXs said, and what became of it.", ("event", "outcome"))


async def hear_pbx(uow: UnitOfWork, board: Board, event: PbxEvent, instance: str) -> None:
    """Apply one event. Whatever it says, it is counted and never an error."""
    outcome = Outcome.APPLIED
    match event:
        case CallEvent():
            outcome = await _hear_call(uow, board, event)
        case DeviceChanged(device=device):
            board.keep_device(uow, text.identifier(device), event.state, event.at)
        case CommandDone() | CommandRefused():
            outcome = await _hear_answer(uow, board, event)
        case ConnectionUp():
            await resynchronise(uow, board, event, instance)
        case ConnectionLost():
            await lose_connection(uow, board, event, instance)
        case _:
            outcome = Outcome.IRRELEVANT
    EVENTS.labels(type(event).__name__, outcome.value).inc()


async def _hear_call(uow: UnitOfWork, board: Board, event: CallEvent) -> Outcome:
    call = board.calls.get(event.call)
    if call is not None:
        changed, outcome = apply(call, event)
        await board.keep(uow, call, changed, event.at)
        return outcome
    if board.was_cleared(event.call):
        return Outcome.AFTER_END
    if not isinstance(event, CallOffered):
        return Outcome.UNKNOWN_CALL
    if not text.is_name(event.call):
        return Outcome.MALFORMED
    line = line_of(board.pbx, event.trunk, event.dialled)
    await board.keep(uow, None, new_call(board.pbx.pbx_id, line, event), event.at)
    return Outcome.APPLIED


async def _hear_answer(uow: UnitOfWork, board: Board, event: CommandDone | CommandRefused) -> Outcome:
    call = board.call_of_order(event.command_id)
    if call is None:
        return Outcome.DUPLICATE
    settled = settle(call, event)
    requested = any(order.order_id == event.command_id for order in settled.orders)
    if isinstance(event, CommandDone) and not requested:
        # Nobody asks for it, and after a crash the command is simply sent again.
        board.keep_quietly(settled)
    else:
        await board.keep(uow, call, settled, event.at)
    return Outcome.APPLIED


async def lose_connection(uow: UnitOfWork, board: Board, event: ConnectionLost, instance: str) -> None:
    """We are blind. The calls go on, as far as we know."""
    board.see_connection(event.at, connected=False)
    await queries.write_connection(
        uow, board.pbx.pbx_id, connected=False, detail=text.clean(event.reason, 200), owned_by=instance
    )
