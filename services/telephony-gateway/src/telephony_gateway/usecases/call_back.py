"""Routing chose an agent for a caller who has hung up: ring the agent, then call the number that was agreed."""

from dataclasses import replace
from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.routing import AssignmentOffered

from telephony_gateway.domain.call import Call, call_id_of
from telephony_gateway.domain.control import Assigned, call_back
from telephony_gateway.domain.lines import line_of
from telephony_gateway.domain.pbx_events import CallOffered
from telephony_gateway.domain.transitions import new_call
from telephony_gateway.domain.words import Direction
from telephony_gateway.usecases.board import Board

CALL_BACK_OF = "call_back_of"
"""Attribute of the outbound call: the work item that it is for."""


async def call_customer_back(
    uow: UnitOfWork, board: Board, offered: AssignmentOffered, number: str, assigned: Assigned, waited: Call | None
) -> None:
    """Begin the outbound call; what comes of it is told in its events. ``waited`` is the call that is over.

    Too late, or a second time, it does nothing. A number that may not be dialled is a call that is over at once.
    """
    name = call_back_name(assigned.assignment_id)
    late = assigned.expires_at <= uow.now
    if late or await board.find(uow, call_id_of(board.pbx.pbx_id, name)) is not None:
        return
    trunk = None if waited is None else waited.trunk
    event = CallOffered(
        at=uow.now,
        call=name,
        direction=Direction.OUTBOUND,
        dialled=number,
        trunk=trunk,
        attributes={CALL_BACK_OF: str(offered.work_item.work_item_id)},
    )
    line = replace(line_of(board.pbx, trunk, ""), org_path=offered.work_item.org_path)
    begun = call_back(
        new_call(board.pbx.pbx_id, line, event), assigned, allowed=board.pbx.may_dial(number), now=uow.now
    )
    await board.keep(uow, None, begun, uow.now)


def call_back_name(assignment_id: UUID) -> str:
    """What the outbound call is called at the PBX."""
    return f"dial-{assignment_id}"
