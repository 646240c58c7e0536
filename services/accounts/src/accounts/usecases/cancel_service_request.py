"""Withdraw a service request."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork

from accounts.domain.service_requests import RequestStatus, ServiceRequest, end
from accounts.usecases.decide import decide
from accounts.usecases.find_service_request import find_service_request
from accounts.usecases.save_service_request import save_service_request


async def cancel_service_request(uow: UnitOfWork, service_request_id: UUID, resolution: str, by: str) -> ServiceRequest:
    """Cancel it. Routing ends its work item.

    Raises:
        Refused: there is no such service request, or it has ended already.
    """
    before = await find_service_request(uow, service_request_id, lock=True)
    after = decide(end, before, RequestStatus.CANCELLED, resolution, uow.now)
    return await save_service_request(uow, before, after, by)
