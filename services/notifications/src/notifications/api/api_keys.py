"""Partners' keys for this API."""

from datetime import datetime
from typing import Annotated, Any

from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.idempotency import Answer, Once
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import OrgPath
from cordboard_contracts.vocabulary import Identifier
from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints
from sqlalchemy import Row

from notifications.api.access import Administrator
from notifications.usecases.find_api_key import list_api_keys
from notifications.usecases.issue_api_key import issue_api_key
from notifications.usecases.revoke_api_key import revoke_api_key

router = APIRouter(prefix="/v1", tags=["api keys"])


class NewApiKeyBody(Body):
    """A key to be made."""

    partner_id: Identifier
    org_path: OrgPath | None = Field(
        default=None, description="What the partner may see; the caller's own when not given."
    )
    description: Annotated[str, StringConstraints(max_length=500)] = ""
    expires_at: AwareDatetime | None = None


class ApiKeyView(BaseModel):
    """What is known of a key."""

    id: str
    partner_id: str
    org_path: str
    description: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class ApiKeyWithText(ApiKeyView):
    """A key that was just made."""

    key: str = Field(description="Send it as `Authorization: Bearer ...`; it is not shown again.")


def _view(row: Row[Any]) -> ApiKeyView:
    return ApiKeyView.model_validate(dict(row._mapping))


@router.post("/api-keys", status_code=201, response_model=ApiKeyWithText)
async def add_api_key(body: NewApiKeyBody, caller: Administrator, once: Once) -> Response:
    """Make a key for a partner. The answer holds it; it is not shown again."""

    async def act(uow: UnitOfWork) -> Answer:
        row, text = await issue_api_key(
            uow,
            partner_id=body.partner_id,
            org_path=body.org_path or caller.org_path,
            description=body.description,
            expires_at=body.expires_at,
            issued_by=caller.subject,
        )
        return Answer(ApiKeyWithText(**_view(row).model_dump(), key=text), 201, confidential=True)

    return await once(act)


@router.get("/api-keys")
async def list_all_api_keys(
    caller: Administrator,
    database: Db,
    paging: Paging,
    partner_id: Annotated[Identifier | None, Query()] = None,
) -> Page[ApiKeyView]:
    """Keys, newest first."""
    after: Any = paging.after(datetime, str)
    async with database.transaction(caller.org_path) as uow:
        rows = await list_api_keys(uow, partner_id=partner_id, after=after, limit=paging.fetch)
    return paging.page(rows, lambda row: (row.created_at, row.id), _view)


@router.delete("/api-keys/{key_id}", status_code=204)
async def remove_api_key(
    key_id: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")], caller: Administrator, database: Db
) -> None:
    """Revoke a key. It works no more from this moment on."""
    async with database.transaction(caller.org_path) as uow:
        await revoke_api_key(uow, key_id)
