"""Deliveries: what was sent where, and what came of it."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from cordboard_chassis.http.app import Db
from cordboard_chassis.http.idempotency import Answer, Once
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.unit_of_work import UnitOfWork
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Row

from notifications.api.access import Manager, partner_of
from notifications.domain.deliveries import DeliveryState
from notifications.settings import NotificationsSettings
from notifications.usecases.find_delivery import find_delivery, list_deliveries
from notifications.usecases.redeliver import redeliver

router = APIRouter(prefix="/v1", tags=["deliveries"])


class DeliveryView(BaseModel):
    """One event on its way to one endpoint."""

    id: UUID = Field(description="Also the header `webhook-id` of every attempt.")
    endpoint_id: UUID
    event_id: UUID
    event_type: str
    org_path: str
    state: DeliveryState
    attempts: int = Field(description="How many were begun.")
    next_attempt_at: datetime | None = Field(description="While an attempt is under way: when it is taken for lost.")
    last_status: int | None
    last_error: str | None
    created_at: datetime
    ended_at: datetime | None


class AttemptView(BaseModel):
    """One POST."""

    number: int
    started_at: datetime
    ended_at: datetime | None = Field(description="Null while it is under way.")
    status: int | None = Field(description="HTTP status of the answer, if there was one.")
    error: str | None
    excerpt: str | None = Field(description="The beginning of the answer's body.")
    duration_ms: int | None


class DeliveryWithAttempts(DeliveryView):
    """A delivery with its history."""

    payload: dict[str, Any] = Field(description="The body that is sent.")
    history: list[AttemptView] = Field(description="The newest 100 attempts, newest first.")


def delivery_view(row: Row[Any]) -> DeliveryView:
    """A row of the ledger as it is shown."""
    return DeliveryView.model_validate(dict(row._mapping))


@router.get("/deliveries")
async def list_all_deliveries(
    caller: Manager,
    database: Db,
    paging: Paging,
    endpoint_id: Annotated[UUID | None, Query()] = None,
    state: Annotated[DeliveryState | None, Query()] = None,
    event_type: Annotated[str | None, Query(max_length=200)] = None,
) -> Page[DeliveryView]:
    """Deliveries, newest first."""
    (after,) = paging.after(UUID) or (None,)
    async with database.transaction(caller.org_path) as uow:
        rows = await list_deliveries(
            uow,
            partner_of(caller),
            endpoint_id=endpoint_id,
            state=state,
            event_type=event_type,
            after=after,
            limit=paging.fetch,
        )
    return paging.page(rows, lambda row: (row.id,), delivery_view)


@router.get("/deliveries/{delivery_id}")
async def get_delivery(delivery_id: UUID, caller: Manager, database: Db) -> DeliveryWithAttempts:
    """One delivery with its attempts and the body that is sent."""
    async with database.transaction(caller.org_path) as uow:
        row, attempts = await find_delivery(uow, partner_of(caller), delivery_id)
    history = [AttemptView.model_validate(dict(attempt._mapping)) for attempt in attempts]
    return DeliveryWithAttempts(**delivery_view(row).model_dump(), payload=json.loads(row.body), history=history)


@router.post("/deliveries/{delivery_id}/redeliver", status_code=202, response_model=DeliveryView)
async def redeliver_delivery(delivery_id: UUID, request: Request, caller: Manager, once: Once) -> Response:
    """Send it again, or now instead of later, with the same `webhook-id`. Retries begin anew."""
    partner_id = partner_of(caller)
    settings: NotificationsSettings = request.app.state.settings

    async def act(uow: UnitOfWork) -> Answer:
        return Answer(delivery_view(await redeliver(uow, partner_id, delivery_id, settings.ledger_retention_s)), 202)

    return await once(act)
