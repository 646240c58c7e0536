"""Keep routing's own picture of a customer, so that a call never waits for another service."""

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.accounts import Customer, CustomerStatus

from routing.storage import queries


async def remember_customer(uow: UnitOfWork, customer: Customer, sequence: int) -> bool:
    """Take over a customer with all numbers, their contacts' too; False when a newer version is here already."""
    own = set(customer.phones)
    numbers = own.union(number for contact in customer.contacts for number in contact.phones)
    return await queries.remember_customer(
        uow,
        {
            "customer_id": customer.customer_id,
            "org_path": customer.org_path,
            "name": customer.name,
            "active": customer.status is CustomerStatus.ACTIVE,
            "tier": customer.tier,
            "owner_agent_id": customer.owner_agent_id,
            "language": customer.language,
            "territory": customer.territory,
            "known_since": customer.created_at,
            "sequence": sequence,
            "own": sorted(own),
            "numbers": sorted(numbers),
        },
    )
