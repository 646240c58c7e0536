"""Service requests."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import etag, set_etag
from cordboard_chassis.http.idempotency import Answer, Once
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.refusals import Invalid
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import OwnerId
from cordboard_contracts.vocabulary import Attributes, Identifier, SkillLevel
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field, StringConstraints

from accounts.api.access import Staff
from accounts.api.fields import LanguageTag, Reason, TerritoryCode, Workspace
from accounts.domain.service_requests import RequestStatus, ServiceRequest
from accounts.storage import queries
from accounts.usecases.cancel_service_request import cancel_service_request
from accounts.usecases.find_service_request import find_service_request
from accounts.usecases.open_service_request import NewServiceRequest, open_service_request
from accounts.usecases.resolve_service_request import resolve_service_request

router = APIRouter(prefix="/v1", tags=["service requests"])

Subject = Annotated[
    str,
    StringConstraints(min_length=1, max_length=500),
    Field(description="What the customer wants done. Not blank.", examples=["Replace the broken terminal"]),
]
Skills = Annotated[
    dict[Identifier, SkillLevel],
    Field(
        max_length=50,
        description="Skills that the agent needs, with their least levels (0 to 100).",
        examples=[{"repairs": 40}],
    ),
]
ServiceRequestId = Annotated[UUID, Path(description="A service request's id.")]


class ServiceRequestIn(Body):
    """A service request to be opened."""

    customer_id: UUID
    workspace: Workspace
    subject: Subject
    priority: Annotated[int, Field(ge=0, le=1000, description="Higher goes first.")] = 0
    skills: Skills = Field(default_factory=dict)
    language: LanguageTag | None = Field(default=None, description="BCP 47; the customer's when missing.")
    territory: TerritoryCode | None = Field(default=None, description="The customer's when missing.")
    attributes: Attributes = Field(default_factory=dict, description="More for the routing rules to look at.")


class Resolution(Body):
    """What was done."""

    resolution: Annotated[
        str, StringConstraints(max_length=500), Field(examples=["Sent a technician; works again."])
    ] = ""


class Cancellation(Body):
    """Why it is withdrawn."""

    reason: Reason


class ServiceRequestView(BaseModel):
    """A service request."""

    service_request_id: UUID
    workspace: str = Field(examples=["main"])
    org_path: str
    customer_id: UUID
    customer_name: str = Field(description="As it was when the request was opened.")
    subject: str
    status: RequestStatus
    priority: int
    skills: dict[str, int]
    language: str | None
    territory: str | None
    attributes: dict[str, str]
    agent_id: str | None = Field(description="Who has it, or had it last.")
    opened_at: datetime
    ended_at: datetime | None
    resolution: str = Field(description="What was done, or why it was cancelled.")
    version: int = Field(description="Grows with each change; also the `ETag`.")

    @classmethod
    def of(cls, request: ServiceRequest) -> Self:
        """From the domain."""
        return cls(**{name: getattr(request, name) for name in cls.model_fields})


@router.post("/service-requests", status_code=201, summary="Open a service request", response_model=ServiceRequestView)
async def create_service_request(body: ServiceRequestIn, caller: Staff, once: Once) -> Response:
    """Opens it for an active customer, in the customer's place in the organisation; routing finds an agent for it."""
    if not body.subject.strip():
        raise Invalid("must not be blank", "subject")
    new = NewServiceRequest(
        customer_id=body.customer_id,
        workspace=body.workspace,
        subject=body.subject,
        priority=body.priority,
        skills=body.skills,
        language=body.language,
        territory=body.territory,
        attributes=body.attributes,
    )

    async def act(uow: UnitOfWork) -> Answer:
        request = await open_service_request(uow, new, caller.subject)
        location = f"/v1/service-requests/{request.service_request_id}"
        return _answer(request, 201, {"Location": location})

    return await once(act)


@router.get("/service-requests", summary="List service requests")
async def list_service_requests(
    caller: Staff,
    database: Db,
    paging: Paging,
    customer_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[RequestStatus | None, Query()] = None,
    workspace: Annotated[OwnerId | None, Query()] = None,
    agent_id: Annotated[Identifier | None, Query()] = None,
) -> Page[ServiceRequestView]:
    """The latest first. Filters that are given must all hold."""
    wanted = queries.RequestFilter(customer_id, status, workspace, agent_id)
    after = paging.after(datetime, UUID)
    async with database.transaction(caller.org_path) as uow:
        found = await queries.list_service_requests(uow, wanted, after, paging.fetch)
    return paging.page(found, lambda request: (request.opened_at, request.service_request_id), ServiceRequestView.of)


@router.get("/service-requests/{service_request_id}", summary="Get a service request")
async def get_service_request(
    service_request_id: ServiceRequestId, caller: Staff, database: Db, response: Response
) -> ServiceRequestView:
    """One service request."""
    async with database.transaction(caller.org_path) as uow:
        request = await find_service_request(uow, service_request_id)
    set_etag(response, request.version)
    return ServiceRequestView.of(request)


@router.post(
    "/service-requests/{service_request_id}/resolve",
    summary="Resolve a service request",
    response_model=ServiceRequestView,
)
async def resolve(service_request_id: ServiceRequestId, body: Resolution, caller: Staff, once: Once) -> Response:
    """It is done. Routing frees the agent who has it, or takes it out of its queue."""

    async def act(uow: UnitOfWork) -> Answer:
        return _answer(await resolve_service_request(uow, service_request_id, body.resolution, caller.subject))

    return await once(act)


@router.post(
    "/service-requests/{service_request_id}/cancel",
    summary="Cancel a service request",
    response_model=ServiceRequestView,
)
async def cancel(service_request_id: ServiceRequestId, body: Cancellation, caller: Staff, once: Once) -> Response:
    """It is no longer wanted. Routing takes it out of its queue, or from the agent who has it."""

    async def act(uow: UnitOfWork) -> Answer:
        return _answer(await cancel_service_request(uow, service_request_id, body.reason, caller.subject))

    return await once(act)


def _answer(request: ServiceRequest, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(ServiceRequestView.of(request), status, {"ETag": etag(request.version)} | (headers or {}))
