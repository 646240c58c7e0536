"""Open a service request for a customer; routing finds an agent for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import new_id

from accounts.domain.customers import require_served
from accounts.domain.service_requests import ServiceRequest
from accounts.usecases.decide import decide
from accounts.usecases.find_customer import find_customer
from accounts.usecases.save_service_request import save_new_service_request


@dataclass(frozen=True)
class NewServiceRequest:
    """What is wanted. Language and territory are the customer's where missing."""

    customer_id: UUID
    workspace: str
    subject: str
    priority: int = 0
    skills: Mapping[str, int] = field(default_factory=dict)
    language: str | None = None
    territory: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


async def open_service_request(uow: UnitOfWork, new: NewServiceRequest, by: str) -> ServiceRequest:
    """Open it where the customer belongs in the organisation.

    Raises:
        Refused: there is no such customer, or it is frozen.
    """
    customer = await find_customer(uow, new.customer_id)
    decide(require_served, customer)
    request = ServiceRequest(
        service_request_id=new_id(),
        workspace=new.workspace,
        org_path=customer.org_path,
        customer_id=customer.customer_id,
        customer_name=customer.name,
        subject=new.subject,
        priority=new.priority,
        opened_at=uow.now,
        skills=dict(new.skills),
        language=new.language or customer.language,
        territory=new.territory or customer.territory,
        attributes=dict(new.attributes),
    )
    await save_new_service_request(uow, request, by)
    return request
