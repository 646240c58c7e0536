"""Workspaces: contact centres whose agents, queues and rules route together."""

from datetime import datetime
from typing import Annotated, Any, Literal

from cordboard_chassis.auth.org_paths import require_within
from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import IfMatch, set_etag
from cordboard_chassis.http.owner_inputs import ask_owner
from cordboard_chassis.http.paging import Page, Paging
from cordboard_contracts import OrgPath
from cordboard_contracts.vocabulary import Name
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Row

from routing.api.access import Administrator, Staff, WorkspaceId, configurable_workspace, workspace_of
from routing.engine import Miss, WorkKind
from routing.storage import queries
from routing.usecases.create_workspace import create_workspace
from routing.usecases.require_match import require_match

router = APIRouter(prefix="/v1/workspaces", tags=["workspaces"])


AgentOrderName = Literal[
    "least_loaded",
    "longest_idle",
    "most_spare",
    "fewest_assignments",
    "round_robin",
    "best_skill",
    "specialists_first",
]
"""The orders of agents, see `routing.engine.orders`."""


class WorkspaceBody(Body):
    """A workspace as it shall be."""

    org_path: OrgPath = Field(description="Where it is in the organisation; fixed once it exists.")
    name: Name = ""
    agent_order: AgentOrderName = Field(
        default="least_loaded",
        description="Which of the eligible agents is first, where a queue does not say: with the least weight in hand;"
        " the longest idle; with the most room left, by number; who was given the least since the sign-in; in turns;"
        " with the highest levels of what is asked; with the fewest skills. Equal ones: the longest idle, then by id.",
    )
    misses_allowed: dict[Miss, Annotated[int, Field(ge=1, le=100)]] = Field(
        default={Miss.NO_ANSWER: 1, Miss.UNREACHABLE: 1, Miss.BUSY: 3, Miss.DECLINED: 3},
        description="After so many offers in a row not taken, the last of them for this reason, an agent becomes"
        " not ready; never for a reason that is missing.",
    )
    weights: dict[WorkKind, Annotated[int, Field(ge=1, le=100)]] = Field(
        default={},
        description="How much of an agent's total capacity an item of each kind takes; 1 when missing.",
    )
    reoffer_after_s: int = Field(
        default=5,
        ge=0,
        le=3600,
        description="An agent who did not take an item is not offered it again for so long, unless alone.",
    )
    interrupts: dict[WorkKind, Annotated[list[WorkKind], Field(max_length=3)]] = Field(
        default={},
        description="Which kinds an item of each kind interrupts: their weight does not count when there is to be room"
        ' for it. `{"call": ["lead"]}`: an agent whose total weight is full of leads can still be called.',
    )
    presence_grace_s: int | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="When the phone of an agent cannot be reached, or their desktop is silent, for so long, they are"
        " offline and their work goes back; a call that they are in stays with them. Null: never.",
    )


class WorkspaceView(BaseModel):
    """A workspace."""

    workspace_id: str
    org_path: str
    name: str
    agent_order: str
    misses_allowed: dict[str, int]
    weights: dict[str, int]
    reoffer_after_s: int
    presence_grace_s: int | None
    interrupts: dict[str, list[str]]
    version: int
    created_at: datetime
    updated_at: datetime


class AuditEntry(BaseModel):
    """Something that was done to a workspace."""

    entry_id: int
    action: str = Field(description="`put_queue`, `assign_work_item` ...")
    done_by: str = Field(description="The subject of the token.")
    done_at: datetime
    details: dict[str, Any] = Field(description="What was asked for.")


def _view(row: Row[Any]) -> WorkspaceView:
    return WorkspaceView.model_validate(row, from_attributes=True)


@router.put("/{workspace_id}", responses={201: {"model": WorkspaceView, "description": "It is new."}})
async def put_workspace(
    request: Request,
    response: Response,
    caller: Administrator,
    database: Db,
    workspace_id: WorkspaceId,
    body: WorkspaceBody,
    if_match: IfMatch = None,
) -> WorkspaceView:
    """Create a workspace or change how it routes. A new one begins to route within a second or two.

    To change one, send its ETag as `If-Match`; sending the same again needs none.
    """
    require_within(body.org_path, caller.org_path)
    payload = {**body.model_dump(mode="json"), "if_match": if_match}
    async with database.transaction(caller.org_path) as uow:
        if await queries.find_workspace(uow, workspace_id) is None:
            require_match(if_match, None)
            await create_workspace(uow, workspace_id, payload)
            row = await workspace_of(uow, workspace_id)
            response.status_code = 201
            set_etag(response, row.version)
            return _view(row)
        require_within((await workspace_of(uow, workspace_id)).org_path, caller.org_path)
    await ask_owner(
        request,
        caller,
        database,
        kind="workspace",
        owner_id=workspace_id,
        name="change_workspace",
        payload=payload,
        key=None,
    )
    return await get_workspace(response, caller, database, workspace_id)


@router.get("/{workspace_id}")
async def get_workspace(response: Response, caller: Staff, database: Db, workspace_id: WorkspaceId) -> WorkspaceView:
    """One workspace."""
    async with database.transaction(caller.org_path) as uow:
        row = await workspace_of(uow, workspace_id)
    set_etag(response, row.version)
    return _view(row)


@router.get("")
async def list_workspaces(caller: Staff, database: Db, paging: Paging) -> Page[WorkspaceView]:
    """The workspaces that the caller sees, by id."""
    (after,) = paging.after(str) or (None,)
    async with database.transaction(caller.org_path) as uow:
        rows = await queries.list_workspaces(uow, after, paging.fetch)
    return paging.page(rows, lambda row: (row.workspace_id,), _view)


@router.get("/{workspace_id}/audit")
async def list_audit(
    caller: Administrator, database: Db, workspace_id: WorkspaceId, paging: Paging
) -> Page[AuditEntry]:
    """What supervisors and administrators did, the latest first. What agents do themselves is in their assignments."""
    (before,) = paging.after(int) or (None,)
    async with database.transaction(caller.org_path) as uow:
        await configurable_workspace(uow, workspace_id)
        rows = await queries.list_audit(uow, workspace_id, before, paging.fetch)
    return paging.page(
        rows, lambda row: (row.entry_id,), lambda row: AuditEntry.model_validate(row, from_attributes=True)
    )
