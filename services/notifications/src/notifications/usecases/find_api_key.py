"""Find partners' keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cordboard_chassis.auth.api_keys import StoredApiKey
from cordboard_chassis.unit_of_work import UnitOfWork
from sqlalchemy import Row

from notifications.storage import queries


async def find_valid_api_key(uow: UnitOfWork, key_id: str) -> StoredApiKey | None:
    """The key with this id, unless it is revoked or expired."""
    row = await uow.one(queries.VALID_API_KEY, {"id": key_id})
    return None if row is None else StoredApiKey(row.digest, row.partner_id, row.org_path)


async def list_api_keys(
    uow: UnitOfWork, *, partner_id: str | None, after: tuple[datetime, str] | None, limit: int
) -> Sequence[Row[Any]]:
    """Keys, newest first, with those that are no longer good."""
    return await uow.all(queries.api_keys_page(uow.scope, partner_id=partner_id, after=after, limit=limit))
