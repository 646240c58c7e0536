"""Find endpoints that the caller may see."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from cordboard_chassis.refusals import NotFound
from cordboard_chassis.unit_of_work import UnitOfWork
from sqlalchemy import Row

from notifications.storage import queries


async def find_endpoint(uow: UnitOfWork, partner_id: str | None, endpoint_id: UUID) -> Row[Any]:
    """The endpoint with its health; with ``partner_id`` only if it is this partner's.

    Raises:
        NotFound: there is none that the caller may see.
    """
    row = await uow.one(queries.endpoint(uow.scope, partner_id, endpoint_id))
    if row is None:
        raise NotFound(f"no endpoint {endpoint_id}", "endpoint_id")
    return row


async def hold_endpoint(uow: UnitOfWork, partner_id: str | None, endpoint_id: UUID) -> Row[Any]:
    """The endpoint, which nobody else changes until the commit.

    Raises:
        NotFound: there is none that the caller may see.
    """
    row = await uow.one(queries.endpoint_for_update(uow.scope, partner_id, endpoint_id))
    if row is None:
        raise NotFound(f"no endpoint {endpoint_id}", "endpoint_id")
    return row


async def list_endpoints(
    uow: UnitOfWork, partner_id: str | None, *, enabled: bool | None, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """Endpoints, newest first."""
    return await uow.all(
        queries.endpoints_page(uow.scope, partner_id=partner_id, enabled=enabled, after=after, limit=limit)
    )
