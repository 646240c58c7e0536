"""Change a person at a customer."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork

from accounts.domain.customers import Customer
from accounts.domain.customers import change_contact as with_changed_contact
from accounts.usecases.decide import decide
from accounts.usecases.save_customer import save_customer


async def change_contact(
    uow: UnitOfWork, before: Customer, contact_id: UUID, changes: Mapping[str, Any], by: str
) -> Customer:
    """Change those fields; ``before`` was read with a lock.

    Raises:
        Refused: there is no such contact, or the result may not be.
    """
    return await save_customer(uow, before, decide(with_changed_contact, before, contact_id, changes), by)
