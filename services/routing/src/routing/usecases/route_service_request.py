"""Bring a work item into agreement with the newest picture of its service request."""

from datetime import datetime

from cordboard_contracts.accounts import ServiceRequest, ServiceRequestStatus

from routing import engine as core
from routing.domain.customers import Customer
from routing.live import LiveWorkspace
from routing.usecases.route_work import Arrival, work_item_id, work_of

_OVER = (ServiceRequestStatus.RESOLVED, ServiceRequestStatus.CANCELLED)


def route_service_request(
    live: LiveWorkspace,
    request: ServiceRequest,
    sequence: int,
    customer: Customer | None,
    *,
    known: bool,
    now: datetime,
) -> None:
    """Submit it while it wants an agent; close it when it is resolved or cancelled, whatever came first."""
    item_id = work_item_id(core.WorkKind.SERVICE_REQUEST, request.service_request_id)
    work = live.works.get(item_id)
    if work is not None:
        if sequence <= work.subject_sequence:
            return
        work.subject_sequence = sequence
        live.touch(work)
        if request.status in _OVER:
            live.step(core.CancelItem(work.item_id, request.status))
        return
    if known or live.is_closed(item_id) or request.status is ServiceRequestStatus.ASSIGNED:
        return
    work, _ = work_of(
        live,
        Arrival(
            kind=core.WorkKind.SERVICE_REQUEST,
            subject_id=request.service_request_id,
            sequence=sequence,
            org_path=request.org_path,
            arrived_at=min(request.opened_at, now),
            customer=customer or Customer(request.customer_id, request.customer_name),
            language=request.language,
            territory=request.territory,
            priority=request.priority,
            skills=request.skills,
            attributes=request.attributes,
        ),
    )
    if request.status in _OVER:
        resolved = request.status is ServiceRequestStatus.RESOLVED
        live.submit_closed(work, completed=resolved, outcome=request.status)
    else:
        live.submit(work)
