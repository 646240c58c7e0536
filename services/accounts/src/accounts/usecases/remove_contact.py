"""Remove a person from a customer."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork

from accounts.domain.customers import Customer
from accounts.domain.customers import remove_contact as without_contact
from accounts.usecases.decide import decide
from accounts.usecases.find_customer import find_customer
from accounts.usecases.save_customer import save_customer


async def remove_contact(uow: UnitOfWork, customer_id: UUID, contact_id: UUID, by: str) -> Customer:
    """Remove the contact and their phones; their interactions stay the customer's.

    Raises:
        NotFound: there is no such customer or contact.
    """
    before = await find_customer(uow, customer_id, lock=True)
    return await save_customer(uow, before, decide(without_contact, before, contact_id), by)
