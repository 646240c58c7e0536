"""Remove an endpoint. Its deliveries are removed later, a bounded number at a time."""

from uuid import UUID

from cordboard_chassis.http.etags import require_match
from cordboard_chassis.unit_of_work import UnitOfWork

from notifications.storage import queries
from notifications.usecases.find_endpoint import hold_endpoint


async def delete_endpoint(uow: UnitOfWork, partner_id: str | None, endpoint_id: UUID, if_match: str | None) -> None:
    """From the commit on nothing is sent there.

    Raises:
        Refused: there is no such endpoint, or it has changed since.
    """
    held = await hold_endpoint(uow, partner_id, endpoint_id)
    require_match(if_match, held.version)
    await uow.execute(queries.DELETE_ENDPOINT, {"id": endpoint_id})
    await uow.execute(queries.SUBSCRIPTIONS_CHANGED)
