"""Serve a customer no longer."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork

from accounts.domain.customers import Customer, freeze
from accounts.usecases.find_customer import find_customer
from accounts.usecases.save_customer import save_customer


async def freeze_customer(uow: UnitOfWork, customer_id: UUID, by: str, reason: str) -> Customer:
    """Freeze it; one that is frozen stays so.

    Raises:
        NotFound: there is no such customer.
    """
    before = await find_customer(uow, customer_id, lock=True)
    return await save_customer(uow, before, freeze(before), by, reason)
