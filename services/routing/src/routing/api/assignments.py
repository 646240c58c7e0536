"""Assignments: work items in the hands of agents, or on their way there."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from cordboard_chassis.auth.org_paths import ROOT
from cordboard_chassis.auth.principal import Principal
from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.idempotency import IdempotencyKey
from cordboard_chassis.http.owner_inputs import ask_owner
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.refusals import NotFound
from cordboard_contracts.routing import AssignmentState
from cordboard_contracts.vocabulary import Identifier
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import Row

from routing.api.access import Staff, own_agent_id, scope_for_agent
from routing.engine import WorkKind
from routing.storage import queries

router = APIRouter(prefix="/v1/assignments", tags=["assignments"])


class ReasonView(BaseModel):
    """Why this agent was chosen."""

    eligible: int = Field(description="How many agents could have taken it at that moment.")
    winner_key: list[int | str] = Field(description="By what agents were compared, smallest first.")
    runner_up: str | None
    runner_up_key: list[int | str] | None
    preferred: bool = Field(description="It is the customer's own agent, whatever the keys say.")
    step: int = Field(default=0, description="How many steps of its queue the item had taken.")


class AssignmentSummary(BaseModel):
    """An assignment."""

    assignment_id: UUID
    work_item_id: UUID
    agent_id: str
    device_id: str | None
    token: int = Field(description="Grows with each assignment of a workspace.")
    state: AssignmentState
    offered_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    reason: ReasonView | None = Field(description="Null when it was not our choice, such as after a transfer.")


class Subject(BaseModel):
    """What the work item is about, as the agent's screen needs it."""

    kind: WorkKind
    subject_id: UUID
    queue: str
    customer_id: UUID | None
    customer_name: str
    customer_tier: str | None
    from_number: str | None
    dialled: str | None
    language: str | None
    territory: str | None
    attributes: dict[str, str]
    submitted_at: datetime


class AssignmentView(AssignmentSummary):
    """An assignment with what it is about."""

    workspace: str
    org_path: str
    work_item: Subject


class OutcomeBody(Body):
    """What came of it."""

    outcome: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None


async def _views(database: Db, rows: list[Row[Any]]) -> list[AssignmentView]:
    # Who may see an assignment may see what it is about, wherever in the organisation that belongs.
    async with database.transaction(ROOT) as uow:
        items = await queries.work_items_of(uow, [row.work_item_id for row in rows])
    return [
        AssignmentView(
            workspace=row.workspace_id,
            org_path=row.org_path,
            work_item=Subject.model_validate(items[row.work_item_id], from_attributes=True),
            **AssignmentSummary.model_validate(row, from_attributes=True).model_dump(),
        )
        for row in rows
    ]


async def _visible(database: Db, caller: Principal, assignment_id: UUID) -> Row[Any]:
    own = own_agent_id(caller)
    async with database.transaction(caller.org_path if own is None else ROOT) as uow:
        row = await queries.find_assignment(uow, assignment_id)
    if row is None or own not in (None, row.agent_id):
        raise NotFound(f"there is no assignment {assignment_id}", "assignment_id")
    return row


@router.get("")
async def list_assignments(
    caller: Staff,
    database: Db,
    paging: Paging,
    agent_id: Annotated[Identifier, Query(description="Whose assignments; agents see their own only.")],
    open: Annotated[bool, Query(description="Only what is offered or accepted now.")] = False,
) -> Page[AssignmentView]:
    """An agent's assignments, the latest first."""
    before = paging.after(datetime, UUID)
    async with database.transaction(scope_for_agent(caller, agent_id)) as uow:
        if await queries.find_agent(uow, agent_id) is None:
            raise NotFound(f"there is no agent {agent_id}", "agent_id")
        rows = await queries.list_assignments(uow, agent_id, open, before, paging.fetch)
    views = await _views(database, list(rows))
    return paging.page(views, lambda view: (view.offered_at, view.assignment_id), lambda view: view)


@router.get("/{assignment_id}")
async def get_assignment(caller: Staff, database: Db, assignment_id: UUID) -> AssignmentView:
    """One assignment."""
    return (await _views(database, [await _visible(database, caller, assignment_id)]))[0]


@router.post("/{assignment_id}/accept")
async def accept_assignment(
    request: Request, caller: Staff, database: Db, assignment_id: UUID, key: IdempotencyKey = None
) -> AssignmentView:
    """Take a lead or service request. A call is taken by picking up the phone."""
    return await _change(request, caller, database, assignment_id, "accept_assignment", {}, key)


@router.post("/{assignment_id}/decline")
async def decline_assignment(
    request: Request, caller: Staff, database: Db, assignment_id: UUID, key: IdempotencyKey = None
) -> AssignmentView:
    """Do not take what is offered; it keeps its place and goes on to another agent."""
    return await _change(request, caller, database, assignment_id, "decline_assignment", {}, key)


@router.post("/{assignment_id}/complete")
async def complete_assignment(
    request: Request,
    caller: Staff,
    database: Db,
    assignment_id: UUID,
    body: OutcomeBody | None = None,
    key: IdempotencyKey = None,
) -> AssignmentView:
    """Be done with a lead or service request; the wrap-up begins. A call is completed by hanging up."""
    payload = (body or OutcomeBody.model_construct()).model_dump()
    return await _change(request, caller, database, assignment_id, "complete_assignment", payload, key)


async def _change(
    request: Request,
    caller: Principal,
    database: Db,
    assignment_id: UUID,
    name: str,
    payload: dict[str, Any],
    key: str | None,
) -> AssignmentView:
    row = await _visible(database, caller, assignment_id)
    await ask_owner(
        request,
        caller,
        database,
        kind="workspace",
        owner_id=row.workspace_id,
        name=name,
        payload={**payload, "assignment_id": str(assignment_id)},
        key=key,
    )
    return await get_assignment(caller, database, assignment_id)
