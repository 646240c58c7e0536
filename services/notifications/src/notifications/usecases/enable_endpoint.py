"""Send to an endpoint again."""

from typing import Any
from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from sqlalchemy import Row

from notifications.storage import queries
from notifications.usecases.find_endpoint import find_endpoint, hold_endpoint


async def enable_endpoint(uow: UnitOfWork, partner_id: str | None, endpoint_id: UUID) -> Row[Any]:
    """The endpoint, enabled and as if it had never failed. What waited for it goes out; what happened meanwhile
    was not recorded for it.

    Raises:
        NotFound: there is no such endpoint.
    """
    held = await hold_endpoint(uow, partner_id, endpoint_id)
    if not held.enabled:
        await uow.execute(queries.ENABLE_ENDPOINT, {"id": endpoint_id})
        await uow.execute(queries.SUBSCRIPTIONS_CHANGED)
    await uow.execute(queries.FORGET_HEALTH, {"id": endpoint_id})
    await uow.execute(queries.WAKE, {"channel": queries.DELIVERIES_CHANNEL})
    return await find_endpoint(uow, partner_id, endpoint_id)
