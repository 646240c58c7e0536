"""Send a webhook again, or now instead of later."""

from typing import Any
from uuid import UUID

from cordboard_chassis.refusals import Conflict, NotFound
from cordboard_chassis.unit_of_work import UnitOfWork
from sqlalchemy import Row

from notifications.storage import queries
from notifications.usecases.find_endpoint import find_endpoint


async def redeliver(uow: UnitOfWork, partner_id: str | None, delivery_id: UUID, keep_s: float) -> Row[Any]:
    """The delivery, due now and with the whole schedule before it; its id stays.

    Raises:
        NotFound: there is no such delivery.
        Conflict: it is being sent, or its endpoint is disabled.
    """
    held = await uow.one(queries.delivery_for_update(delivery_id))
    if held is None:
        raise NotFound(f"no delivery {delivery_id}", "delivery_id")
    try:
        endpoint = await find_endpoint(uow, partner_id, held.endpoint_id)
    except NotFound as error:
        raise NotFound(f"no delivery {delivery_id}", "delivery_id") from error
    if held.sending:
        raise Conflict("it is being sent just now", code="being-sent")
    if not endpoint.enabled:
        raise Conflict("the endpoint is disabled; enable it first", code="endpoint-disabled")
    row = await uow.one(queries.REDELIVER, {"id": delivery_id})
    assert row is not None
    await uow.execute(queries.KEEP_EVENTS, {"ids": [held.event_id], "keep_s": keep_s})
    await uow.execute(queries.WAKE, {"channel": queries.DELIVERIES_CHANNEL})
    return row
