"""Take a number from a customer or a contact."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork

from accounts.domain.customers import Customer
from accounts.domain.customers import remove_phone as without_phone
from accounts.usecases.decide import decide
from accounts.usecases.find_customer import find_customer
from accounts.usecases.save_customer import save_customer


async def remove_phone(uow: UnitOfWork, customer_id: UUID, phone_id: UUID, by: str) -> Customer:
    """Remove the phone; the interactions that came from it stay the customer's.

    Raises:
        NotFound: there is no such customer or phone.
    """
    before = await find_customer(uow, customer_id, lock=True)
    return await save_customer(uow, before, decide(without_phone, before, phone_id), by)
