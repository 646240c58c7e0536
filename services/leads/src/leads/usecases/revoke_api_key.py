"""Take a partner's key away."""

from cordboard_chassis.refusals import NotFound
from cordboard_chassis.unit_of_work import UnitOfWork

from leads.storage import queries


async def revoke_api_key(uow: UnitOfWork, key_id: str, actor: str) -> None:
    """From the next request on it proves nothing. Again changes nothing.

    Raises:
        Refused: there is no such key.
    """
    if await queries.find_api_key(uow, key_id) is None:
        raise NotFound(f"there is no API key {key_id}", "key_id")
    await queries.revoke_api_key(uow, key_id, actor)
