"""Give a partner a key."""

from datetime import datetime, timedelta

from cordboard_chassis.auth.api_keys import NewApiKey, new_api_key
from cordboard_chassis.refusals import Invalid
from cordboard_chassis.unit_of_work import UnitOfWork

from leads.storage import queries

LONGEST_LIFE = timedelta(days=3653)


async def create_api_key(
    uow: UnitOfWork, *, partner_id: str, org_path: str, label: str, expires_at: datetime | None, actor: str
) -> NewApiKey:
    """A new key of the partner, for this part of the organisation. Its text is known now and never again.

    Raises:
        Refused: it would have expired already, or be valid for ever in effect.
    """
    if expires_at is not None and not uow.now < expires_at <= uow.now + LONGEST_LIFE:
        raise Invalid("must lie in the future, within ten years", "expires_at")
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
