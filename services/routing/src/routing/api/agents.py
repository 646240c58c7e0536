"""Agents: what they can do, and whether they are ready."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from cordboard_chassis.auth.org_paths import require_within
from cordboard_chassis.auth.principal import Principal
from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import IfMatch, set_etag
from cordboard_chassis.http.idempotency import IdempotencyKey
from cordboard_chassis.http.owner_inputs import ask_owner
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.refusals import Conflict, NotFound
from cordboard_contracts import OrgPath, OwnerId
from cordboard_contracts.routing import AgentState
from cordboard_contracts.vocabulary import Identifier, Name, SkillLevel, Territory
from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from sqlalchemy import Row

from routing.api.access import AgentId, Leader, Manager, Staff, scope_for_agent, workspace_of
from routing.engine import WorkKind
from routing.storage import queries

router = APIRouter(prefix="/v1/agents", tags=["agents"])


class AgentProfileBody(Body):
    """An agent as they shall be."""

    org_path: OrgPath
    name: Name = ""
    device_id: Identifier | None = Field(default=None, description="Their phone; without one they get no calls.")
    skills: dict[Identifier, SkillLevel] = Field(default={}, max_length=200)
    territories: Annotated[list[Territory], AfterValidator(lambda codes: sorted(set(codes)))] = Field(
        default=[], max_length=200, description="The areas that they cover, with all within; none means all."
    )
    capacity: dict[WorkKind, Annotated[int, Field(ge=0, le=100)]] = Field(
        default={WorkKind.CALL: 1, WorkKind.LEAD: 1, WorkKind.SERVICE_REQUEST: 1},
        description="How many items of each kind they can have at once; a kind that is missing they do not do.",
    )
    capacity_total: int | None = Field(
        default=None, ge=0, le=10_000, description="How much weight they can have in total; null is no limit."
    )


class AgentBody(AgentProfileBody):
    """An agent as they shall be, and where."""

    workspace: OwnerId = Field(description="Where they work; fixed once they exist.")


class AgentView(BaseModel):
    """An agent."""

    agent_id: str
    workspace: str
    org_path: str
    name: str
    device_id: str | None
    skills: dict[str, int]
    territories: list[str]
    capacity: dict[str, int]
    capacity_total: int | None
    version: int = Field(description="Of what is configured; the ETag.")
    state: AgentState
    reason: str | None = Field(description="Why not ready, or offline: `presence_lost`.")
    since: datetime
    wrap_up_until: datetime | None = Field(description="Null in state `wrap_up`: until the agent says so.")
    wrap_up_limit: datetime | None = Field(description="How far the agent may extend it.")
    device_state: str


class Readiness(StrEnum):
    """What an agent says."""

    READY = "ready"
    NOT_READY = "not_ready"
    LEAVING = "leaving"
    """Offline when all is done that is in hand."""
    OFFLINE = "offline"


class StateBody(Body):
    """What an agent says about themselves."""

    state: Readiness
    reason: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        default=None, description="Why not ready: `lunch`."
    )


class PresenceBody(Body):
    """How long a desktop will be there at least."""

    for_s: int = Field(ge=0, le=3600, description="By then it says so again; 0 when it is being closed.")


class ExtensionBody(Body):
    """How much more time an agent needs."""

    seconds: int = Field(ge=1, le=3600, description="Is added to when the wrap-up would end.")


def _view(row: Row[Any]) -> AgentView:
    return AgentView(
        agent_id=row.agent_id,
        workspace=row.workspace_id,
        org_path=row.org_path,
        name=row.name,
        device_id=row.device_id,
        skills=row.skills,
        territories=row.territories,
        capacity=row.capacity,
        capacity_total=row.capacity_total,
        version=row.profile_version,
        state=row.state,
        reason=row.reason,
        since=row.since,
        wrap_up_until=row.wrap_up_until,
        wrap_up_limit=row.wrap_up_limit,
        device_state=row.device_state,
    )


@router.put("/{agent_id}", responses={201: {"model": AgentView, "description": "They are new, and offline."}})
async def put_agent(
    request: Request,
    response: Response,
    caller: Manager,
    database: Db,
    agent_id: AgentId,
    body: AgentBody,
    if_match: IfMatch = None,
) -> AgentView:
    """Create an agent or change what they can do. What they have in hand stays with them.

    To change one, send the ETag as `If-Match`; sending the same again needs none.
    """
    require_within(body.org_path, caller.org_path)
    async with database.transaction(caller.org_path) as uow:
        await workspace_of(uow, body.workspace, "workspace")
        row = await queries.find_agent(uow, agent_id)
        if row is not None and row.workspace_id != body.workspace:
            raise Conflict(f"works in the workspace {row.workspace_id}", "workspace", code="workspace-fixed")
    done = await ask_owner(
        request,
        caller,
        database,
        kind="workspace",
        owner_id=body.workspace,
        name="put_agent",
        payload={**body.model_dump(mode="json"), "agent_id": agent_id, "if_match": if_match},
        key=None,
    )
    response.status_code = 201 if done["created"] else 200
    return await get_agent(response, caller, database, agent_id)


@router.get("/{agent_id}")
async def get_agent(response: Response, caller: Staff, database: Db, agent_id: AgentId) -> AgentView:
    """One agent. Agents see themselves only."""
    async with database.transaction(scope_for_agent(caller, agent_id)) as uow:
        row = await queries.find_agent(uow, agent_id)
    if row is None:
        raise NotFound(f"there is no agent {agent_id}", "agent_id")
    set_etag(response, row.profile_version)
    return _view(row)


@router.get("")
async def list_agents(
    caller: Leader,
    database: Db,
    paging: Paging,
    workspace: Annotated[OwnerId, Query(description="Where they work.")],
    state: Annotated[AgentState | None, Query(description="Only those in this state.")] = None,
) -> Page[AgentView]:
    """The agents of a workspace, by id."""
    (after,) = paging.after(str) or (None,)
    async with database.transaction(caller.org_path) as uow:
        await workspace_of(uow, workspace, "workspace")
        rows = await queries.list_agents(uow, workspace, state, after, paging.fetch)
    return paging.page(rows, lambda row: (row.agent_id,), _view)


@router.delete("/{agent_id}", status_code=204)
async def delete_agent(
    request: Request, caller: Manager, database: Db, agent_id: AgentId, if_match: IfMatch = None
) -> None:
    """Remove an agent who has no accepted work; what they are only offered goes to others."""
    async with database.transaction(caller.org_path) as uow:
        row = await queries.find_agent(uow, agent_id)
    if row is None:
        raise NotFound(f"there is no agent {agent_id}", "agent_id")
    await ask_owner(
        request,
        caller,
        database,
        kind="workspace",
        owner_id=row.workspace_id,
        name="remove_agent",
        payload={"agent_id": agent_id, "if_match": if_match},
        key=None,
    )


@router.put("/{agent_id}/state")
async def put_agent_state(
    request: Request, response: Response, caller: Staff, database: Db, agent_id: AgentId, body: StateBody
) -> AgentView:
    """Ready, not ready, leaving or offline. By the agents themselves or whoever leads them.

    Work in hand stays with the agent; what is only offered goes to others. Ends a wrap-up, unless the agent is leaving:
    who leaves finishes what is in hand, the wrap-up too, gets nothing new, and is offline then.
    """
    payload = {"mode": body.state, "reason": body.reason}
    return await _change(request, response, caller, database, agent_id, "set_agent_mode", payload, None)


@router.put("/{agent_id}/presence")
async def put_presence(
    request: Request, response: Response, caller: Staff, database: Db, agent_id: AgentId, body: PresenceBody
) -> AgentView:
    """The agent's desktop is there. Said again in time, it keeps the agent signed in.

    When it is late by more than the workspace's `presence_grace_s` the agent is offline. Desktops that never say so are
    not missed. Every time costs a transaction: every minute or two is often enough.
    """
    return await _change(request, response, caller, database, agent_id, "see_desktop", body.model_dump(), None)


@router.post("/{agent_id}/wrap-up/extend")
async def extend_wrap_up(
    request: Request,
    response: Response,
    caller: Staff,
    database: Db,
    agent_id: AgentId,
    body: ExtensionBody,
    key: IdempotencyKey = None,
) -> AgentView:
    """More time for the wrap-up, as far as its queue allows."""
    return await _change(request, response, caller, database, agent_id, "extend_wrap_up", body.model_dump(), key)


@router.post("/{agent_id}/wrap-up/end")
async def end_wrap_up(
    request: Request,
    response: Response,
    caller: Staff,
    database: Db,
    agent_id: AgentId,
    key: IdempotencyKey = None,
) -> AgentView:
    """The wrap-up is over; the agent is what they were before: ready, or not."""
    return await _change(request, response, caller, database, agent_id, "end_wrap_up", {}, key)


async def _change(
    request: Request,
    response: Response,
    caller: Principal,
    database: Db,
    agent_id: str,
    name: str,
    payload: dict[str, Any],
    key: str | None,
) -> AgentView:
    """Something that agents do themselves, or whoever leads them for them."""
    async with database.transaction(scope_for_agent(caller, agent_id)) as uow:
        row = await queries.find_agent(uow, agent_id)
    if row is None:
        raise NotFound(f"there is no agent {agent_id}", "agent_id")
    await ask_owner(
        request,
        caller,
        database,
        kind="workspace",
        owner_id=row.workspace_id,
        name=name,
        payload={**payload, "agent_id": agent_id},
        key=key,
    )
    return await get_agent(response, caller, database, agent_id)
