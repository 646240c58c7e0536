"""Get a customer that must be there."""

from uuid import UUID

from cordboard_chassis.refusals import NotFound
from cordboard_chassis.unit_of_work import UnitOfWork

from accounts.domain.customers import Customer
from accounts.storage import queries


async def find_customer(
    uow: UnitOfWork, customer_id: UUID, *, lock: bool = False, field: str = "customer_id"
) -> Customer:
    """The customer, whole. ``lock`` it to change it.

    Raises:
        NotFound: there is none, or it lies outside of the unit of work's scope.
    """
    customer = await queries.find_customer(uow, customer_id, lock=lock)
    if customer is None:
        raise NotFound(f"there is no customer {customer_id}", field)
    return customer
