"""Send an endpoint a message that means nothing, to see whether it arrives."""

from typing import Any
from uuid import UUID

from cordboard_chassis.refusals import Conflict
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import new_id
from pydantic_core import to_json
from sqlalchemy import Row

from notifications.domain.endpoints import PING_TYPE
from notifications.storage import queries
from notifications.usecases.find_endpoint import hold_endpoint


async def ping_endpoint(uow: UnitOfWork, partner_id: str | None, endpoint_id: UUID, keep_s: float) -> Row[Any]:
    """The delivery, which takes the same way as every other.

    Raises:
        NotFound: there is no such endpoint.
        Conflict: it is disabled.
    """
    held = await hold_endpoint(uow, partner_id, endpoint_id)
    if not held.enabled:
        raise Conflict("the endpoint is disabled; enable it first", code="endpoint-disabled")
    event_id = new_id()
    document = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/{uow.service}",
        "type": PING_TYPE,
        "subject": endpoint_id,
        "time": uow.now,
        "datacontenttype": "application/json",
        "data": {"endpoint_id": endpoint_id},
        "orgpath": held.org_path,
        "sequence": 1,
        "correlationid": endpoint_id,
        "timestamp": uow.now,
    }
    message = {"id": event_id, "type": PING_TYPE, "org_path": held.org_path, "now": uow.now, "keep_s": keep_s}
    await uow.execute(queries.INSERT_PING, {**message, "body": to_json(document).decode()})
    row = await uow.one(
        queries.INSERT_DELIVERY,
        {
            "id": new_id(),
            "event_id": event_id,
            "endpoint_id": endpoint_id,
            "org_path": held.org_path,
            "event_type": PING_TYPE,
        },
    )
    assert row is not None
    await uow.execute(queries.WAKE, {"channel": queries.DELIVERIES_CHANNEL})
    return row
