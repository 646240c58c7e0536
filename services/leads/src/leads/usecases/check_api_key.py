"""Find what a partner's key allows."""

from cordboard_chassis.auth.api_keys import StoredApiKey
from cordboard_chassis.unit_of_work import UnitOfWork

from leads.storage import queries


async def check_api_key(uow: UnitOfWork, key_id: str) -> StoredApiKey | None:
    """The key with this id, if it is valid now."""
    row = await queries.find_api_key(uow, key_id)
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= uow.now):
        return None
    return StoredApiKey(row.digest, row.partner_id, row.org_path)
