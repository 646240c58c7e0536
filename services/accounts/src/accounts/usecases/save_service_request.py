"""Store a version of a service request, audit what differs, and tell everybody."""

from dataclasses import asdict, replace
from typing import Any

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import accounts as contract

from accounts.domain.changes import Entity, between_values
from accounts.domain.service_requests import RequestStatus, ServiceRequest
from accounts.storage import queries

_EVENTS: dict[RequestStatus, type[contract.ServiceRequestEvent]] = {
    RequestStatus.OPEN: contract.ServiceRequestOpened,
    RequestStatus.ASSIGNED: contract.ServiceRequestAssigned,
    RequestStatus.RESOLVED: contract.ServiceRequestResolved,
    RequestStatus.CANCELLED: contract.ServiceRequestCancelled,
}
_NOT_AUDITED = frozenset({"service_request_id", "customer_id", "customer_name", "version", "work_item_sequence"})


async def save_new_service_request(uow: UnitOfWork, request: ServiceRequest, by: str) -> None:
    """Store a service request that is new."""
    await queries.insert_service_request(uow, request)
    await _tell(uow, None, request, by)


async def save_service_request(
    uow: UnitOfWork, before: ServiceRequest, after: ServiceRequest, by: str
) -> ServiceRequest:
    """Store what was changed, as the next version; nothing happens when nothing differs.

    ``before`` must have been read with a lock. Returns the service request as it is now.
    """
    if after == before:
        return before
    saved = replace(after, version=before.version + 1)
    await queries.update_service_request(uow, saved)
    await _tell(uow, before, saved, by)
    return saved


async def _tell(uow: UnitOfWork, before: ServiceRequest | None, request: ServiceRequest, by: str) -> None:
    changes = between_values(
        Entity.SERVICE_REQUEST,
        request.service_request_id,
        None if before is None else _audited(before),
        _audited(request),
    )
    await queries.insert_audit(uow, request.customer_id, request.org_path, changes, by, "")
    uow.emit(
        _EVENTS[request.status](service_request=_as_contract(request)),
        subject=request.service_request_id,
        sequence=request.version,
        orgpath=request.org_path,
        workspace=request.workspace,
    )


def _audited(request: ServiceRequest) -> dict[str, Any]:
    return {name: value for name, value in asdict(request).items() if name not in _NOT_AUDITED}


def _as_contract(request: ServiceRequest) -> contract.ServiceRequest:
    return contract.ServiceRequest(
        service_request_id=request.service_request_id,
        workspace=request.workspace,
        org_path=request.org_path,
        customer_id=request.customer_id,
        customer_name=request.customer_name,
        subject=request.subject,
        status=contract.ServiceRequestStatus(request.status),
        priority=request.priority,
        skills=dict(request.skills),
        language=request.language,
        territory=request.territory,
        attributes=dict(request.attributes),
        agent_id=request.agent_id,
        opened_at=request.opened_at,
        ended_at=request.ended_at,
    )
