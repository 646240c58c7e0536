"""Write down something about a customer."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import new_id

from accounts.domain.changes import Entity, between_values
from accounts.storage import queries
from accounts.usecases.find_customer import find_customer


async def write_note(uow: UnitOfWork, customer_id: UUID, words: str, by: str) -> UUID:
    """Keep the note; returns its id. A note is no part of what others know of the customer, so nobody is told.

    Raises:
        NotFound: there is no such customer.
    """
    customer = await find_customer(uow, customer_id)
    note_id = new_id()
    await queries.insert_note(uow, note_id, customer, by, words)
    changes = between_values(Entity.NOTE, note_id, None, {"text": words})
    await queries.insert_audit(uow, customer_id, customer.org_path, changes, by, "")
    return note_id
