"""Give a partner a key."""

from datetime import datetime

from cordboard_chassis.auth.api_keys import NewApiKey, new_api_key
from cordboard_chassis.refusals import Invalid
from cordboard_chassis.unit_of_work import UnitOfWork

from leads.storage import queries


async def create_api_key(
    uow: UnitOfWork, *, partner_id: str, org_path: str, label: str, expires_at: datetime | None, actor: str
) -> NewApiKey:
    """A new key of the partner, for this part of the organisation. Its text is known now and never again.

    Raises:
        Refused: it would have expired already.
    """
    if expires_at is not None and expires_at <= uow.now:
        raise Invalid("lies in the past", "expires_at")
    key = new_api_key()
    await queries.insert_api_key(
        uow,
        {
            "key_id": key.id,
            "digest": key.digest,
            "org_path": org_path,
            "partner_id": partner_id,
            "label": label,
            "created_by": actor,
            "created_at": uow.now,
            "expires_at": expires_at,
        },
    )
    return key
