"""Change fields of a customer's profile."""

from collections.abc import Mapping
from typing import Any

from cordboard_chassis.unit_of_work import UnitOfWork

from accounts.domain.customers import Customer, change
from accounts.usecases.decide import decide
from accounts.usecases.save_customer import save_customer


async def change_customer(uow: UnitOfWork, before: Customer, changes: Mapping[str, Any], by: str) -> Customer:
    """Change those fields; ``before`` was read with a lock.

    Raises:
        Refused: the result may not be.
    """
    return await save_customer(uow, before, decide(change, before, changes, uow.now.date()), by)
