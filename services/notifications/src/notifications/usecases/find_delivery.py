"""Find webhooks in the ledger."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from cordboard_chassis.auth.org_paths import is_within
from cordboard_chassis.refusals import NotFound
from cordboard_chassis.unit_of_work import UnitOfWork
from sqlalchemy import Row

from notifications.domain.deliveries import DeliveryState
from notifications.storage import queries

MAX_ATTEMPTS_SHOWN = 100


async def find_delivery(
    uow: UnitOfWork, partner_id: str | None, delivery_id: UUID
) -> tuple[Row[Any], Sequence[Row[Any]]]:
    """The delivery with its body, and its attempts, newest first.

    Raises:
        NotFound: there is none that the caller may see.
    """
    row = await uow.one(queries.delivery(delivery_id))
    if row is None or not is_within(row.org_path, uow.scope):
        raise NotFound(f"no delivery {delivery_id}", "delivery_id")
    if await uow.one(queries.endpoint(uow.scope, partner_id, row.endpoint_id)) is None:
        raise NotFound(f"no delivery {delivery_id}", "delivery_id")
    return row, await uow.all(queries.attempts_of(delivery_id, MAX_ATTEMPTS_SHOWN))


async def list_deliveries(
    uow: UnitOfWork,
    partner_id: str | None,
    *,
    endpoint_id: UUID | None,
    state: DeliveryState | None,
    event_type: str | None,
    after: UUID | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Deliveries, newest first."""
    return await uow.all(
        queries.deliveries_page(
            uow.scope,
            partner_id=partner_id,
            endpoint_id=endpoint_id,
            state=state,
            event_type=event_type,
            after=after,
            limit=limit,
        )
    )
