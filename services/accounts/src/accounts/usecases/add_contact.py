"""Add a person at a customer."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import new_id

from accounts.domain.customers import Contact, Customer, Phone
from accounts.domain.customers import add_contact as with_contact
from accounts.usecases.create_customer import NewContact
from accounts.usecases.decide import decide
from accounts.usecases.find_customer import find_customer
from accounts.usecases.save_customer import save_customer


async def add_contact(uow: UnitOfWork, customer_id: UUID, new: NewContact, by: str) -> tuple[Customer, Contact]:
    """Add the contact with phones; returns the customer as it is now, and the contact.

    Raises:
        Refused: there is no such customer, or something about the contact is wrong.
    """
    before = await find_customer(uow, customer_id, lock=True)
    contact = Contact(new_id(), new.name, new.role, new.email)
    numbers = [Phone(new_id(), number, contact.contact_id) for number in new.numbers]
    return await save_customer(uow, before, decide(with_contact, before, contact, numbers), by), contact
