"""Give a partner a key."""

from datetime import datetime
from typing import Any

from cordboard_chassis.auth.api_keys import new_api_key
from cordboard_chassis.auth.org_paths import require_within
from cordboard_chassis.refusals import Invalid
from cordboard_chassis.unit_of_work import UnitOfWork
from sqlalchemy import Row

from notifications.storage import queries


async def issue_api_key(
    uow: UnitOfWork,
    *,
    partner_id: str,
    org_path: str,
    description: str,
    expires_at: datetime | None,
    issued_by: str,
) -> tuple[Row[Any], str]:
    """What is kept of the key, and its text, which nobody can read again.

    Raises:
        Forbidden, Invalid: the org path is not the caller's, or the key would have expired already.
    """
    require_within(org_path, uow.scope)
    if expires_at is not None and expires_at <= uow.now:
        raise Invalid("is in the past", "expires_at")
    key = new_api_key()
    row = await uow.one(
        queries.INSERT_API_KEY,
        {
            "id": key.id,
            "partner_id": partner_id,
            "org_path": org_path,
            "description": description,
            "digest": key.digest,
            "created_by": issued_by,
            "expires_at": expires_at,
        },
    )
    assert row is not None
    return row, key.text
