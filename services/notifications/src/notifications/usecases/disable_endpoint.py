"""Send nothing to an endpoint any more."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.notifications import Endpoint, EndpointDisabled

from notifications.storage import queries

GONE = "answered 410 Gone"
FAILED_FOR_TOO_LONG = "failed for too long"


async def disable_endpoint(uow: UnitOfWork, endpoint_id: UUID, reason: str) -> None:
    """Disable it, unless it is disabled already, and tell. What waits for it waits until it is enabled again."""
    row = await uow.one(queries.DISABLE_ENDPOINT, {"id": endpoint_id, "reason": reason})
    if row is None:
        return
    await uow.execute(queries.SUBSCRIPTIONS_CHANGED)
    endpoint = Endpoint(
        endpoint_id=row.id,
        org_path=row.org_path,
        enabled=False,
        reason=reason,
        changed_at=row.updated_at,
    )
    uow.emit(EndpointDisabled(endpoint=endpoint), subject=row.id, sequence=row.version, orgpath=row.org_path)
