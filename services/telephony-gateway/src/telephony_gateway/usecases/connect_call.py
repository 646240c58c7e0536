"""Routing chose an agent: ring their device, or tell routing at once that it cannot be."""

from cordboard_chassis.refusals import NotFound
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.routing import AssignmentOffered
from prometheus_client import Counter

from telephony_gateway.domain.control import Assigned, connect
from telephony_gateway.storage import queries
from telephony_gateway.usecases.board import Board

REFUSED = Counter("telephony_assignments_refused_total", "Assignments that were not carried out.", ("reason",))


async def connect_call(uow: UnitOfWork, board: Board, offered: AssignmentOffered) -> None:
    """Create the leg; the command to ring follows from it.

    Raises:
        NotFound: there is no such call at this PBX.
    """
    assignment = offered.assignment
    if offered.work_item.call is None:
        REFUSED.labels("not-a-call").inc()
        raise NotFound("the work item is not a call")
    call = await board.find(uow, offered.work_item.call.call_id)
    if call is None:
        REFUSED.labels("unknown-call").inc()
        raise NotFound(f"there is no call {offered.work_item.call.call_id} at {board.pbx.pbx_id}")
    device_id = assignment.device_id or await queries.device_of(uow, call.workspace, assignment.agent_id)
    connected = connect(
        call,
        Assigned(
            assignment_id=assignment.assignment_id,
            agent_id=assignment.agent_id,
            device_id=device_id,
            token=assignment.token,
            expires_at=assignment.expires_at,
        ),
        uow.now,
    )
    leg = connected.leg(str(assignment.assignment_id))
    if connected is not call and leg is not None and not leg.is_live:
        stale = assignment.token < call.newest_token
        REFUSED.labels("stale-token" if stale else "call-cleared" if call.is_cleared else "not-possible").inc()
    await board.keep(uow, call, connected, uow.now)
