"""Something a customer wants done: open, assigned to an agent, resolved or cancelled."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from accounts.domain.rules import RuleBroken


class RequestStatus(StrEnum):
    """Where it is."""

    OPEN = "open"
    ASSIGNED = "assigned"
    RESOLVED = "resolved"
    CANCELLED = "cancelled"


ENDED = frozenset({RequestStatus.RESOLVED, RequestStatus.CANCELLED})


@dataclass(frozen=True)
class ServiceRequest:
    """A service request as it is at one version."""

    service_request_id: UUID
    workspace: str
    org_path: str
    customer_id: UUID
    customer_name: str
    subject: str
    priority: int
    opened_at: datetime
    status: RequestStatus = RequestStatus.OPEN
    skills: Mapping[str, int] = field(default_factory=dict)
    language: str | None = None
    territory: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    agent_id: str | None = None
    ended_at: datetime | None = None
    resolution: str = ""
    """What was done, or why it was cancelled."""
    work_item_sequence: int = 0
    """Version of the work item that told who has it."""
    version: int = 1


def assign(request: ServiceRequest, agent_id: str, work_item_sequence: int) -> ServiceRequest:
    """An agent took it, at this version of its work item. What is older than what we know, or too late, is nothing."""
    if request.status in ENDED or work_item_sequence <= request.work_item_sequence:
        return request
    return replace(request, status=RequestStatus.ASSIGNED, agent_id=agent_id, work_item_sequence=work_item_sequence)


def end(request: ServiceRequest, status: RequestStatus, resolution: str, now: datetime) -> ServiceRequest:
    """Resolve or cancel it; one that was never routed may be resolved, too.

    Raises:
        RuleBroken: it has ended already.
    """
    assert status in ENDED
    if request.status in ENDED:
        raise RuleBroken("service-request-ended", f"the service request is {request.status}")
    return replace(request, status=status, resolution=resolution, ended_at=now)
