"""Routing chose an agent: ring their device, or tell routing at once that it cannot be."""

from cordboard_chassis.refusals import NotFound
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.routing import AssignmentOffered
from prometheus_client import Counter

from telephony_gateway.domain.control import Assigned, connect
from telephony_gateway.storage import queries
from telephony_gateway.usecases.board import Board
from telephony_gateway.usecases.call_back import call_customer_back

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
    address = offered.work_item.call
    call = await board.find(uow, address.call_id)
    gone = call is None or call.is_cleared or call.customer_left_at is not None
    if address.call_back is not None and gone:
        assigned = await _assigned(uow, offered)
        await call_customer_back(uow, board, offered, address.call_back, assigned, call)
        return
    if call is None:
        REFUSED.labels("unknown-call").inc()
        raise NotFound(f"there is no call {address.call_id} at {board.pbx.pbx_id}")
    connected = connect(call, await _assigned(uow, offered), uow.now)
    leg = connected.leg(str(assignment.assignment_id))
    if connected is not call and leg is not None and not leg.is_live:
        stale = assignment.token < call.newest_token
        REFUSED.labels("stale-token" if stale else "call-cleared" if call.is_cleared else "not-possible").inc()
    await board.keep(uow, call, connected, uow.now)


async def _assigned(uow: UnitOfWork, offered: AssignmentOffered) -> Assigned:
    made = offered.assignment
    return Assigned(
        assignment_id=made.assignment_id,
        agent_id=made.agent_id,
        device_id=made.device_id or await queries.device_of(uow, made.workspace, made.agent_id),
        token=made.token,
        expires_at=made.expires_at,
    )
