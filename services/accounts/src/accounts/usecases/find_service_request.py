"""Get a service request that must be there."""

from uuid import UUID

from cordboard_chassis.refusals import NotFound
from cordboard_chassis.unit_of_work import UnitOfWork

from accounts.domain.service_requests import ServiceRequest
from accounts.storage import queries


async def find_service_request(uow: UnitOfWork, service_request_id: UUID, *, lock: bool = False) -> ServiceRequest:
    """The service request. ``lock`` it to change it.

    Raises:
        NotFound: there is none, or it lies outside of the unit of work's scope.
    """
    request = await queries.find_service_request(uow, service_request_id, lock=lock)
    if request is None:
        raise NotFound(f"there is no service request {service_request_id}", "service_request_id")
    return request
