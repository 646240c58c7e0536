"""Take a partner's key away."""

from cordboard_chassis.refusals import NotFound
from cordboard_chassis.unit_of_work import UnitOfWork

from notifications.storage import queries


async def revoke_api_key(uow: UnitOfWork, key_id: str) -> None:
    """From the commit on it proves nothing. Revoking twice is fine.

    Raises:
        NotFound: there is no such key.
    """
    if await uow.one(queries.api_key(uow.scope, key_id)) is None:
        raise NotFound(f"no API key {key_id}", "key_id")
    await uow.execute(queries.REVOKE_API_KEY, {"id": key_id})
