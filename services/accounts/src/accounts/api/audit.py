"""Who changed what about a customer."""

from datetime import datetime
from typing import Any
from uuid import UUID

from cordboard_chassis.http.app import Db
from cordboard_chassis.http.paging import Page, Paging
from fastapi import APIRouter
from pydantic import BaseModel, Field

from accounts.api.access import Leader
from accounts.api.fields import CustomerId
from accounts.domain.changes import Action, Entity
from accounts.storage import queries
from accounts.usecases.find_customer import find_customer

router = APIRouter(prefix="/v1/customers/{customer_id}", tags=["audit"])


class AuditEntry(BaseModel):
    """One change of one thing."""

    entry_id: int
    entity: Entity
    entity_id: UUID
    action: Action
    changed_by: str = Field(description="The subject of the token, or `service:<name>` for a message.")
    changed_at: datetime
    cause_id: UUID | None = Field(description="Id of the message that made it happen, if one did.")
    reason: str = Field(description="What was given as the reason, if one was asked for.")
    before: dict[str, Any] | None = Field(description="The fields that differ, as they were; null when it was made.")
    after: dict[str, Any] | None = Field(description="The fields that differ, as they are; null when it was removed.")


@router.get("/audit", summary="Who changed what")
async def list_audit(customer_id: CustomerId, caller: Leader, database: Db, paging: Paging) -> Page[AuditEntry]:
    """Every change of the customer, its contacts, phones, notes and service requests, the latest first.

    For supervisors and above.
    """
    (before,) = paging.after(int) or (None,)
    async with database.transaction(caller.org_path) as uow:
        await find_customer(uow, customer_id)
        rows = await queries.list_audit(uow, customer_id, before, paging.fetch)
    return paging.page(
        rows,
        lambda row: (row.entry_id,),
        lambda row: AuditEntry(**{name: getattr(row, name) for name in AuditEntry.model_fields}),
    )
