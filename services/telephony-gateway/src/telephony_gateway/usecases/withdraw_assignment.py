"""Routing gave an assignment up: stop ringing."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork

from telephony_gateway.domain.call import call_id_of
from telephony_gateway.domain.control import withdraw
from telephony_gateway.usecases.board import Board
from telephony_gateway.usecases.call_back import call_back_name


async def withdraw_assignment(uow: UnitOfWork, board: Board, call_id: UUID, assignment_id: UUID) -> None:
    """End the leg of an assignment, if it still rings. Anything else was settled before.

    It is one of the call that waits, or of the call that calls its caller back.
    """
    for found in (call_id, call_id_of(board.pbx.pbx_id, call_back_name(assignment_id))):
        call = await board.find(uow, found)
        if call is not None and not call.is_cleared:
            await board.keep(uow, call, withdraw(call, assignment_id, uow.now), uow.now)
            return
