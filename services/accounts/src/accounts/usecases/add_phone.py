"""Give a customer, or a contact, one more number."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import new_id

from accounts.domain.customers import Customer, Phone
from accounts.domain.customers import add_phone as with_phone
from accounts.usecases.decide import decide
from accounts.usecases.find_customer import find_customer
from accounts.usecases.save_customer import save_customer


async def add_phone(
    uow: UnitOfWork, customer_id: UUID, number: str, contact_id: UUID | None, by: str
) -> tuple[Customer, Phone]:
    """Add ``number`` (E.164); returns the customer as it is now, and the phone.

    Raises:
        Refused: there is no such customer or contact, they have it already, or they have too many.
    """
    before = await find_customer(uow, customer_id, lock=True)
    phone = Phone(new_id(), number, contact_id)
    return await save_customer(uow, before, decide(with_phone, before, phone), by), phone
