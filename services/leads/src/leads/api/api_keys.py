"""``/v1/api-keys``: what partners submit leads with."""

from datetime import datetime
from typing import Annotated

from cordboard_chassis.auth.org_paths import require_within
from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.paging import Page, Paging
from cordboard_contracts import OrgPath
from cordboard_contracts.vocabulary import Identifier
from fastapi import APIRouter, Path
from pydantic import AwareDatetime, Field, StringConstraints

from leads.api.callers import Administrator
from leads.api.views import ApiKeyView, NewApiKeyView
from leads.storage import queries
from leads.usecases.create_api_key import create_api_key
from leads.usecases.revoke_api_key import revoke_api_key

router = APIRouter(prefix="/v1/api-keys", tags=["api-keys"])


class ApiKeyForm(Body):
    """A key to be made."""

    partner_id: Identifier
    org_path: OrgPath = Field(description="Where the partner's leads belong.")
    label: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    expires_at: AwareDatetime | None = None


@router.post("", status_code=201)
async def make_api_key(form: ApiKeyForm, caller: Administrator, database: Db) -> NewApiKeyView:
    """Make a key for a partner.

    It takes no `Idempotency-Key`: the answer would have to be stored, and with it the secret. After a lost answer make
    another key and revoke this one.
    """
    require_within(form.org_path, caller.org_path)
    async with database.transaction(caller.org_path) as uow:
        key = await create_api_key(
            uow,
            partner_id=form.partner_id,
            org_path=form.org_path,
            label=form.label,
            expires_at=form.expires_at,
            actor=caller.subject,
        )
    return NewApiKeyView(key_id=key.id, key=key.text)


@router.get("")
async def list_api_keys(caller: Administrator, database: Db, paging: Paging) -> Page[ApiKeyView]:
    """Keys, the newest first; also those that are revoked or expired."""
    async with database.transaction(caller.org_path) as uow:
        found = await queries.list_api_keys(uow, paging.after(datetime, str), paging.fetch)
    return paging.page(found, lambda row: (row.created_at, row.key_id), ApiKeyView.of)


@router.delete("/{key_id}", status_code=204)
async def delete_api_key(
    key_id: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")], caller: Administrator, database: Db
) -> None:
    """Revoke a key. Again changes nothing."""
    async with database.transaction(caller.org_path) as uow:
        await revoke_api_key(uow, key_id, caller.subject)
