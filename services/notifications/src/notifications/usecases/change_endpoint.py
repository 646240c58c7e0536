"""Change an endpoint's URL, event types or description."""

from typing import Any
from uuid import UUID

from cordboard_chassis.http.etags import require_match
from cordboard_chassis.unit_of_work import UnitOfWork
from sqlalchemy import Row

from notifications.storage import queries
from notifications.usecases.create_endpoint import Rules, require_acceptable
from notifications.usecases.find_endpoint import find_endpoint, hold_endpoint


async def change_endpoint(
    uow: UnitOfWork,
    partner_id: str | None,
    endpoint_id: UUID,
    if_match: str | None,
    rules: Rules,
    *,
    url: str | None,
    event_types: list[str] | None,
    description: str | None,
) -> Row[Any]:
    """The endpoint after the change; what is None stays. What waits for it goes to the new URL.

    Raises:
        Refused: there is no such endpoint, it has changed since, or a field is wrong.
    """
    held = await hold_endpoint(uow, partner_id, endpoint_id)
    require_match(if_match, held.version)
    url = held.url if url is None else url
    event_types = list(held.event_types) if event_types is None else event_types
    description = held.description if description is None else description
    require_acceptable(url, event_types, rules)
    await uow.execute(
        queries.UPDATE_ENDPOINT,
        {"id": endpoint_id, "url": url, "event_types": event_types, "description": description},
    )
    await uow.execute(queries.SUBSCRIPTIONS_CHANGED)
    return await find_endpoint(uow, partner_id, endpoint_id)
