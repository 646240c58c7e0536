"""Take note of the agent who has a service request."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork

from accounts.domain.service_requests import assign
from accounts.usecases.find_service_request import find_service_request
from accounts.usecases.save_service_request import save_service_request


async def assign_service_request(
    uow: UnitOfWork, service_request_id: UUID, agent_id: str, work_item_sequence: int, by: str
) -> None:
    """The agent took it, at this version of its work item; older news and news after its end change nothing.

    Raises:
        NotFound: there is no such service request.
    """
    before = await find_service_request(uow, service_request_id, lock=True)
    await save_service_request(uow, before, assign(before, agent_id, work_item_sequence), by)
