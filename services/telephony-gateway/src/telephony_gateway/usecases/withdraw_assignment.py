"""Routing gave an assignment up: stop ringing."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork

from telephony_gateway.domain.control import withdraw
from telephony_gateway.usecases.board import Board


async def withdraw_assignment(uow: UnitOfWork, board: Board, call_id: UUID, assignment_id: UUID) -> None:
    """End the leg of an assignment, if it still rings. Anything else was settled before."""
    call = await board.find(uow, call_id)
    if call is not None and not call.is_cleared:
        await board.keep(uow, call, withdraw(call, assignment_id, uow.now), uow.now)
