"""Work items: what waits for agents, or has one. They come from calls, leads and service requests over the bus."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from cordboard_chassis.auth.org_paths import ROOT
from cordboard_chassis.auth.principal import Principal
from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.idempotency import IdempotencyKey
from cordboard_chassis.http.owner_inputs import ask_owner
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.refusals import NotFound, Refused
from cordboard_contracts import OwnerId
from cordboard_contracts.routing import WorkItemState
from cordboard_contracts.vocabulary import E164, Identifier
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import Row

from routing.api.access import Leader, Staff, own_agent_id, workspace_of
from routing.api.assignments import AssignmentSummary
from routing.api.queues import StepBody
from routing.engine import WorkKind
from routing.storage import queries

router = APIRouter(prefix="/v1/work-items", tags=["work items"])

MAX_ASSIGNMENTS = 100
"""Of a work item, in its explanation."""


class WorkItemView(BaseModel):
    """A work item."""

    work_item_id: UUID
    workspace: str
    org_path: str
    kind: WorkKind
    subject_id: UUID = Field(description="Id of the call, lead or service request.")
    state: WorkItemState
    queue: str
    priority: int
    requirement: dict[str, int] = Field(description="Skills with their least levels.")
    any_of: list[dict[str, int]] = Field(description="Of each of these groups, one skill is enough.")
    wanted: dict[str, int] = Field(description="Skills that it would rather have, with their weights.")
    step: int = Field(description="How many steps of its queue it has taken; each asks for less.")
    queued_at: datetime | None = Field(description="When it came to its queue, if not when it was submitted.")
    due_at: datetime | None = Field(description="When it should be accepted, if not as its queue says.")
    required_territory: str | None = Field(description="Agents must cover it.")
    territory: str | None
    language: str | None
    customer_id: UUID | None
    customer_name: str
    customer_tier: str | None
    preferred_agent: str | None
    call_back: str | None = Field(description="The number at which the caller shall be called back.")
    preferred_until: datetime | None = Field(description="Until when it waits for the preferred agent alone.")
    pbx_id: str | None
    from_number: str | None
    dialled: str | None
    attributes: dict[str, str]
    rule: str | None
    rule_version: int | None
    version: int
    submitted_at: datetime
    accepted_at: datetime | None
    ended_at: datetime | None
    outcome: str | None


class CandidateView(BaseModel):
    """An agent, as one waiting work item sees them."""

    agent_id: str
    key: list[int | str] = Field(description="By what agents are compared, smallest first.")
    obstacles: list[str] = Field(description="What keeps them from getting it; none: they could have it now.")


class Asked(BaseModel):
    """What is asked of an agent, after the steps taken so far."""

    skills: dict[str, int]
    any_of: list[dict[str, int]]
    territory: str | None = Field(description="Must be covered.")
    area: str | None = Field(description="Must be covered, or a part of it.")
    wanted: dict[str, int] = Field(description="Excludes nobody: of the eligible, who has most of it is first.")


class Explanation(BaseModel):
    """Why a work item is where it is."""

    work_item: WorkItemView
    assignments: list[AssignmentSummary] = Field(description="Who was offered it so far, and why they were.")
    ahead: int | None = Field(
        default=None, description="While it is open: how many like it go before it (same kind and requirement)."
    )
    eligible: int | None = Field(default=None, description="While it is open: how many agents could take it now.")
    agents: int | None = None
    asked: Asked | None = Field(default=None, description="While it is open: what is asked of agents now.")
    next_step: StepBody | None = Field(default=None, description="While it waits: what it gives up next.")
    next_step_at: datetime | None = Field(default=None, description="When it does so.")
    candidates: list[CandidateView] = Field(
        default=[], description="The eligible in the order of offering, then the others; 100 at most."
    )


class CancelBody(Body):
    """Why it is taken out of routing."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=100)] = "cancelled"


class PriorityBody(Body):
    """How urgent it is."""

    priority: int = Field(ge=0, le=1000)


class RequeueBody(Body):
    """Where it goes."""

    queue: Identifier | None = Field(default=None, description="Null: where it is.")
    priority: int | None = Field(default=None, ge=0, le=1000, description="Null: as it is.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=100)] = "requeued"


class AssignBody(Body):
    """Who gets it."""

    agent_id: Identifier
    patience_s: int = Field(default=300, ge=0, le=86_400, description="How long a call waits for this agent alone.")


class WaitView(BaseModel):
    """What a waiting item has before it; all null when it does not wait."""

    position: int | None = Field(
        default=None, description="1 is next among those that wait for the same kind, skills and territory."
    )
    expected_s: float | None = Field(
        default=None, description="Null also before anything that waited in this line was offered to an agent."
    )
    error_s: float | None = Field(
        default=None, description="By how much such expectations were wrong lately, in the mean."
    )


class CallBackBody(Body):
    """How the caller shall be called back."""

    number: E164 | None = Field(default=None, description="Null: the number that called.")


def work_item_view(row: Row[Any]) -> WorkItemView:
    """A row of work_items."""
    fields = dict(row._mapping)
    return WorkItemView(workspace=fields.pop("workspace_id"), **fields)


async def _visible(database: Db, caller: Principal, work_item_id: UUID) -> Row[Any]:
    """A work item in the caller's part of the organisation, or one that was offered to the calling agent."""
    own = own_agent_id(caller)
    if own is None:
        async with database.transaction(caller.org_path) as uow:
            row = await queries.find_work_item(uow, work_item_id)
    else:
        async with database.transaction(ROOT) as uow:
            row = await queries.find_work_item_of(uow, work_item_id, own)
    if row is None:
        raise NotFound(f"there is no work item {work_item_id}", "work_item_id")
    return row


@router.get("")
async def list_work_items(
    caller: Leader,
    database: Db,
    paging: Paging,
    workspace: Annotated[OwnerId, Query(description="Where they are routed.")],
    state: Annotated[WorkItemState | None, Query()] = None,
    queue: Annotated[Identifier | None, Query()] = None,
    kind: Annotated[WorkKind | None, Query()] = None,
) -> Page[WorkItemView]:
    """Work items of a workspace, the latest first."""
    before = paging.after(datetime, UUID)
    wanted = queries.WorkFilter(workspace, state, queue, kind)
    async with database.transaction(caller.org_path) as uow:
        await workspace_of(uow, workspace, "workspace")
        rows = await queries.list_work_items(uow, wanted, before, paging.fetch)
    return paging.page(rows, lambda row: (row.submitted_at, row.work_item_id), work_item_view)


@router.get("/{work_item_id}")
async def get_work_item(caller: Staff, database: Db, work_item_id: UUID) -> WorkItemView:
    """One work item. Agents see those that they were offered."""
    return work_item_view(await _visible(database, caller, work_item_id))


@router.get("/{work_item_id}/explain")
async def explain_work_item(request: Request, caller: Leader, database: Db, work_item_id: UUID) -> Explanation:
    """Who was offered it and why; while it is open, who could take it and what excludes each other agent."""
    row = await _visible(database, caller, work_item_id)
    async with database.transaction(caller.org_path) as uow:
        made = await queries.assignments_of(uow, work_item_id, MAX_ASSIGNMENTS)
    chances: dict[str, Any] = {}
    if row.ended_at is None:
        try:
            chances = await ask_owner(
                request,
                caller,
                database,
                kind="workspace",
                owner_id=row.workspace_id,
                name="explain_work_item",
                payload={"work_item_id": str(work_item_id)},
                key=None,
            )
        except Refused as refused:
            if refused.code != "item-not-open":  # it ended just now
                raise
    return Explanation(
        work_item=work_item_view(row),
        assignments=[AssignmentSummary.model_validate(each, from_attributes=True) for each in made],
        **chances,
    )


@router.get("/{work_item_id}/wait")
async def expect_wait(request: Request, caller: Leader, database: Db, work_item_id: UUID) -> WaitView:
    """Where a waiting item stands, and how long it will still wait until it is offered to an agent."""
    row = await _visible(database, caller, work_item_id)
    expected: dict[str, Any] = {}
    if row.ended_at is None:
        try:
            expected = await ask_owner(
                request,
                caller,
                database,
                kind="workspace",
                owner_id=row.workspace_id,
                name="expect_wait",
                payload={"work_item_id": str(work_item_id)},
                key=None,
            )
        except Refused as refused:
            if refused.code != "item-not-open":  # it ended just now
                raise
    return WaitView(**expected)


@router.post("/{work_item_id}/cancel")
async def cancel_work_item(
    request: Request,
    caller: Leader,
    database: Db,
    work_item_id: UUID,
    body: CancelBody | None = None,
    key: IdempotencyKey = None,
) -> WorkItemView:
    """Take it out of routing: cancelled, or completed if an agent had accepted it. A call itself goes on."""
    return await _change(
        request,
        caller,
        database,
        work_item_id,
        "cancel_work_item",
        (body or CancelBody.model_construct()).model_dump(),
        key,
    )


@router.put("/{work_item_id}/priority")
async def put_work_item_priority(
    request: Request, caller: Leader, database: Db, work_item_id: UUID, body: PriorityBody
) -> WorkItemView:
    """Make it more or less urgent; its place in the queue changes at once."""
    return await _change(request, caller, database, work_item_id, "change_priority", body.model_dump(), None)


@router.post("/{work_item_id}/requeue")
async def requeue_work_item(
    request: Request, caller: Leader, database: Db, work_item_id: UUID, body: RequeueBody, key: IdempotencyKey = None
) -> WorkItemView:
    """Put it into a queue again, or into another: it keeps its place by time. Whoever had it has it no longer."""
    return await _change(request, caller, database, work_item_id, "requeue_work_item", body.model_dump(), key)


@router.post("/{work_item_id}/call-back")
async def call_back(
    request: Request,
    caller: Leader,
    database: Db,
    work_item_id: UUID,
    body: CallBackBody | None = None,
    key: IdempotencyKey = None,
) -> WorkItemView:
    """A waiting caller may hang up and keeps the place: the agent whose turn it is then is rung and the number called.

    The PBX asks for the same with the attribute `call_back` of the call: a number, or anything else for the one that
    called.
    """
    payload = (body or CallBackBody.model_construct()).model_dump()
    return await _change(request, caller, database, work_item_id, "request_call_back", payload, key)


@router.post("/{work_item_id}/assign")
async def assign_work_item(
    request: Request, caller: Leader, database: Db, work_item_id: UUID, body: AssignBody, key: IdempotencyKey = None
) -> WorkItemView:
    """Give it to an agent. A lead or service request is theirs at once; a call rings as soon as they can take it."""
    return await _change(request, caller, database, work_item_id, "assign_work_item", body.model_dump(), key)


async def _change(
    request: Request,
    caller: Principal,
    database: Db,
    work_item_id: UUID,
    name: str,
    payload: dict[str, Any],
    key: str | None,
) -> WorkItemView:
    row = await _visible(database, caller, work_item_id)
    await ask_owner(
        request,
        caller,
        database,
        kind="workspace",
        owner_id=row.workspace_id,
        name=name,
        payload={**payload, "work_item_id": str(work_item_id)},
        key=key,
    )
    return work_item_view(await _visible(database, caller, work_item_id))
