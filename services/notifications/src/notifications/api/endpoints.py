"""Endpoints: where partners want their webhooks."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import IfMatch, etag, set_etag
from cordboard_chassis.http.idempotency import Answer, Once
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.keyring import Keyring
from cordboard_chassis.refusals import Forbidden
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import EVENTS, OrgPath
from cordboard_contracts.vocabulary import Identifier
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import Row

from notifications.api.access import Manager, partner_of
from notifications.api.deliveries import DeliveryView, delivery_view
from notifications.domain.addresses import MAX_URL_LENGTH
from notifications.domain.endpoints import MAX_PATTERNS
from notifications.domain.patterns import MAX_LENGTH
from notifications.settings import DAY_S, NotificationsSettings
from notifications.usecases.change_endpoint import change_endpoint
from notifications.usecases.create_endpoint import NewEndpoint, Rules, create_endpoint
from notifications.usecases.delete_endpoint import delete_endpoint
from notifications.usecases.disable_endpoint import disable_endpoint
from notifications.usecases.enable_endpoint import enable_endpoint
from notifications.usecases.find_endpoint import find_endpoint, hold_endpoint, list_endpoints
from notifications.usecases.ping_endpoint import ping_endpoint
from notifications.usecases.rotate_secret import rotate_secret

router = APIRouter(prefix="/v1", tags=["endpoints"])

Url = Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL_LENGTH)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LENGTH)]
Patterns = Annotated[
    list[Pattern],
    Field(
        min_length=1,
        max_length=MAX_PATTERNS,
        description="Event types; `*` stands for one segment, and at the end for all that follow: "
        "`telephony.call.*`, `*.call.cleared.v1`, `*`.",
        examples=[["telephony.call.*", "leads.lead.converted.v1"]],
    ),
]
Description = Annotated[str, StringConstraints(max_length=500)]


class EndpointView(BaseModel):
    """An endpoint."""

    id: UUID
    org_path: str = Field(description="Events from this part of the organisation are sent.")
    partner_id: str | None = Field(description="Whose it is; null for the house's own.")
    url: str
    description: str
    event_types: list[str]
    enabled: bool
    disabled_reason: str | None
    consecutive_failures: int = Field(description="Failed attempts since the last success.")
    failing_since: datetime | None
    blocked_until: datetime | None = Field(
        description="It is left alone until then, because it failed or asked for it."
    )
    version: int
    created_at: datetime
    updated_at: datetime


class NewEndpointBody(Body):
    """An endpoint to be made."""

    url: Url = Field(description="Where to POST; `https://` only.", examples=["https://partner.example/hooks"])
    event_types: Patterns
    org_path: OrgPath | None = Field(default=None, description="The caller's own when not given.")
    description: Description = ""
    partner_id: Identifier | None = Field(default=None, description="Only for administrators.")


class EndpointWithSecret(EndpointView):
    """An endpoint that was just made."""

    secret: str = Field(description="The signing secret; it is not shown again.")


class EndpointChange(Body):
    """What shall change; what is not given stays."""

    url: Url | None = None
    event_types: Patterns | None = None
    description: Description | None = None


class Rotation(Body):
    """How to replace the signing secret."""

    overlap_s: Annotated[int, Field(ge=0, le=int(7 * DAY_S))] = Field(
        default=int(DAY_S), description="For so long the old secret signs, too."
    )


class NewSecret(BaseModel):
    """The signing secret from now on."""

    secret: str = Field(description="It is not shown again.")
    previous_until: datetime = Field(description="Until then both sign.")


class Disabling(Body):
    """Why to disable."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)] = "switched off"


class EventType(BaseModel):
    """A type of event that can be subscribed to."""

    type: str
    description: str


def _rules(request: Request) -> Rules:
    settings: NotificationsSettings = request.app.state.settings
    return Rules(settings.webhook_allow_private, settings.endpoint_limit)


def _fields(row: Row[Any]) -> dict[str, Any]:
    untroubled = {"consecutive_failures": 0, "failing_since": None, "blocked_until": None}
    return {**untroubled, **row._mapping}


def _view(row: Row[Any]) -> EndpointView:
    return EndpointView.model_validate(_fields(row))


@router.get("/event-types")
async def list_event_types(_caller: Manager) -> list[EventType]:
    """Every type of event there is."""
    return [EventType(type=name, description=" ".join((EVENTS[name].__doc__ or "").split())) for name in sorted(EVENTS)]


@router.post("/endpoints", status_code=201, response_model=EndpointWithSecret)
async def add_endpoint(body: NewEndpointBody, request: Request, caller: Manager, once: Once) -> Response:
    """Make an endpoint. The answer holds its signing secret, which is not shown again."""
    own = partner_of(caller)
    if own is not None and body.partner_id not in (None, own):
        raise Forbidden("a partner makes endpoints for itself only", "partner_id")
    wanted = NewEndpoint(
        url=body.url,
        org_path=body.org_path or caller.org_path,
        event_types=body.event_types,
        description=body.description,
        partner_id=own or body.partner_id,
    )

    async def act(uow: UnitOfWork) -> Answer:
        row, secret = await create_endpoint(uow, wanted, _rules(request), request.app.state.keyring)
        view = EndpointWithSecret.model_validate({**_fields(row), "secret": secret})
        headers = {"Location": f"/v1/endpoints/{row.id}", "ETag": etag(row.version)}
        return Answer(view, 201, headers, confidential=True)

    return await once(act)


@router.get("/endpoints")
async def list_all_endpoints(
    caller: Manager,
    database: Db,
    paging: Paging,
    partner_id: Annotated[Identifier | None, Query(description="Only this partner's.")] = None,
    enabled: Annotated[bool | None, Query()] = None,
) -> Page[EndpointView]:
    """Endpoints, newest first."""
    own = partner_of(caller)
    (after,) = paging.after(UUID) or (None,)
    if own is not None and partner_id not in (None, own):
        return Page(items=[])
    async with database.transaction(caller.org_path) as uow:
        rows = await list_endpoints(uow, own or partner_id, enabled=enabled, after=after, limit=paging.fetch)
    return paging.page(rows, lambda row: (row.id,), _view)


@router.get("/endpoints/{endpoint_id}")
async def get_endpoint(endpoint_id: UUID, caller: Manager, database: Db, response: Response) -> EndpointView:
    """One endpoint."""
    async with database.transaction(caller.org_path) as uow:
        row = await find_endpoint(uow, partner_of(caller), endpoint_id)
    set_etag(response, row.version)
    return _view(row)


@router.patch("/endpoints/{endpoint_id}")
async def edit_endpoint(
    endpoint_id: UUID,
    body: EndpointChange,
    request: Request,
    caller: Manager,
    database: Db,
    response: Response,
    if_match: IfMatch = None,
) -> EndpointView:
    """Change URL, event types or description. What waits for the endpoint goes to the new URL."""
    async with database.transaction(caller.org_path) as uow:
        row = await change_endpoint(
            uow,
            partner_of(caller),
            endpoint_id,
            if_match,
            _rules(request),
            url=body.url,
            event_types=body.event_types,
            description=body.description,
        )
    set_etag(response, row.version)
    return _view(row)


@router.delete("/endpoints/{endpoint_id}", status_code=204)
async def remove_endpoint(endpoint_id: UUID, caller: Manager, database: Db, if_match: IfMatch = None) -> None:
    """Remove an endpoint, and with it, a little later, its deliveries."""
    async with database.transaction(caller.org_path) as uow:
        await delete_endpoint(uow, partner_of(caller), endpoint_id, if_match)


@router.post("/endpoints/{endpoint_id}/rotate-secret", response_model=NewSecret)
async def replace_secret(endpoint_id: UUID, body: Rotation, request: Request, caller: Manager, once: Once) -> Response:
    """Make a new signing secret. During the overlap every message carries a signature by each."""
    partner_id = partner_of(caller)

    async def act(uow: UnitOfWork) -> Answer:
        keyring: Keyring = request.app.state.keyring
        secret, previous_until = await rotate_secret(uow, partner_id, endpoint_id, body.overlap_s, keyring)
        return Answer(NewSecret(secret=secret, previous_until=previous_until), confidential=True)

    return await once(act)


@router.post("/endpoints/{endpoint_id}/enable")
async def switch_endpoint_on(endpoint_id: UUID, caller: Manager, database: Db, response: Response) -> EndpointView:
    """Send again: what still waits goes out. Events that came while it was disabled are not made up for."""
    async with database.transaction(caller.org_path) as uow:
        row = await enable_endpoint(uow, partner_of(caller), endpoint_id)
    set_etag(response, row.version)
    return _view(row)


@router.post("/endpoints/{endpoint_id}/disable")
async def switch_endpoint_off(
    endpoint_id: UUID, body: Disabling, caller: Manager, database: Db, response: Response
) -> EndpointView:
    """Send nothing any more, and record nothing new. What waits, waits."""
    partner_id = partner_of(caller)
    async with database.transaction(caller.org_path) as uow:
        await hold_endpoint(uow, partner_id, endpoint_id)
        await disable_endpoint(uow, endpoint_id, body.reason)
        row = await find_endpoint(uow, partner_id, endpoint_id)
    set_etag(response, row.version)
    return _view(row)


@router.post("/endpoints/{endpoint_id}/ping", status_code=202, response_model=DeliveryView)
async def test_endpoint(endpoint_id: UUID, request: Request, caller: Manager, once: Once) -> Response:
    """Send a message of type `notifications.endpoint.pinged.v1`; the delivery tells what came of it."""
    partner_id = partner_of(caller)
    settings: NotificationsSettings = request.app.state.settings

    async def act(uow: UnitOfWork) -> Answer:
        row = await ping_endpoint(uow, partner_id, endpoint_id, settings.ledger_retention_s)
        return Answer(delivery_view(row), 202, {"Location": f"/v1/deliveries/{row.id}"})

    return await once(act)
