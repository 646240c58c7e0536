"""The configuration of a whole workspace as one document: exported, compared and applied."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cordboard_chassis.auth.principal import Principal
from cordboard_chassis.database import Database
from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import IfMatch, require_match, set_etag
from cordboard_chassis.http.owner_inputs import ask_owner, caller_document
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.vocabulary import Identifier
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Row

from routing.api.access import Administrator, WorkspaceId, configurable_workspace
from routing.api.agents import AgentProfileBody
from routing.api.calendars import CalendarBody
from routing.api.queues import QueueBody
from routing.api.rules import Rule
from routing.api.workspaces import WorkspaceBody
from routing.domain.differences import Change, Kind, Section
from routing.storage import queries
from routing.usecases.plan_config import Plan, Present, check_plan, plan_config
from routing.usecases.put_agent import MAX_AGENTS
from routing.usecases.put_calendar import MAX_CALENDARS
from routing.usecases.put_queue import MAX_QUEUES

router = APIRouter(prefix="/v1/workspaces/{workspace_id}/config", tags=["config"])

MAX_BYTES = 32 * 1_048_576
"""A document of 100,000 agents."""
WAIT_S = 30.0

Rows = Sequence[Row[Any]]


class ConfigBody(Body):
    """A workspace as it shall be.

    A section that is left out stays as it is; one that is there is complete, so that what it does not name is removed
    (but for the queue `default`). A field that is left out has its default.
    """

    settings: WorkspaceBody | None = None
    calendars: dict[Identifier, CalendarBody] | None = Field(
        default=None, max_length=MAX_CALENDARS, description="By id."
    )
    queues: dict[Identifier, QueueBody] | None = Field(default=None, max_length=MAX_QUEUES, description="By id.")
    rules: Annotated[list[Rule], Field(min_length=1, max_length=500)] | None = Field(
        default=None, description="In order; the last one must have no condition."
    )
    agents: dict[Identifier, AgentProfileBody] | None = Field(default=None, max_length=MAX_AGENTS, description="By id.")


class FieldChange(BaseModel):
    """What a field was and shall be."""

    before: Any
    after: Any


class ChangeView(BaseModel):
    """A difference."""

    section: Section
    id: str = Field(
        description="Of what is changed, the name of a rule; empty for the settings and the order of the rules."
    )
    change: Kind
    fields: dict[str, FieldChange] = Field(description="Of what is changed.")


class Differences(BaseModel):
    """What is different, and so would change or has changed."""

    changes: list[ChangeView]


def _view(changes: list[Change]) -> Differences:
    return Differences(
        changes=[
            ChangeView(
                section=change.section,
                id=change.id,
                change=change.kind,
                fields={name: FieldChange(before=was, after=now) for name, (was, now) in change.fields.items()},
            )
            for change in changes
        ]
    )


@router.get("", response_model_exclude_defaults=True)
async def get_config(response: Response, caller: Administrator, database: Db, workspace_id: WorkspaceId) -> ConfigBody:
    """All that is configured, without what is as by default."""
    async with database.transaction(caller.org_path) as uow:
        present = await _present(uow, workspace_id)
    set_etag(response, present.version)
    return ConfigBody.model_validate(present.document)


@router.post("/diff", max_body_size=MAX_BYTES)
async def diff_config(
    response: Response, caller: Administrator, database: Db, workspace_id: WorkspaceId, body: ConfigBody
) -> Differences:
    """What applying this would change. Changes nothing; what would be refused is refused here in the same way.

    The ETag is that of the present configuration: send it as `If-Match` to apply just these changes.
    """
    present, plan = await _plan(caller, database, workspace_id, body)
    set_etag(response, present.version)
    return _view(plan.changes)


@router.put("", max_body_size=MAX_BYTES)
async def put_config(
    request: Request,
    response: Response,
    caller: Administrator,
    database: Db,
    workspace_id: WorkspaceId,
    body: ConfigBody,
    if_match: IfMatch = None,
) -> Differences:
    """Change all that is different, at once or not at all; what waits or is in hand is kept. Answers with what changed.

    Send the ETag of the configuration as `If-Match`, unless nothing is different.
    """
    present, plan = await _plan(caller, database, workspace_id, body)
    if plan.changes or if_match is not None:
        require_match(if_match, present.version)
    if plan.changes:
        await ask_owner(
            request,
            caller,
            database,
            kind="workspace",
            owner_id=workspace_id,
            name="apply_config",
            payload=plan.payload,
            key=None,
            wait_s=WAIT_S,
        )
    async with database.transaction(caller.org_path) as uow:
        set_etag(response, (await _present(uow, workspace_id)).version)
    return _view(plan.changes)


async def _plan(caller: Principal, database: Database, workspace_id: str, body: ConfigBody) -> tuple[Present, Plan]:
    async with database.transaction(caller.org_path) as uow:
        present = await _present(uow, workspace_id)
        wanted = await asyncio.to_thread(body.model_dump, mode="json")
        plan = await asyncio.to_thread(plan_config, present, wanted)
        if plan.changes:
            await check_plan(uow, database, workspace_id, plan.payload, caller_document(caller))
    return present, plan


async def _present(uow: UnitOfWork, workspace_id: str) -> Present:
    workspace: Row[Any] = await configurable_workspace(uow, workspace_id)
    queues = await queries.list_queues(uow, workspace_id, None, MAX_QUEUES)
    calendars = await queries.list_calendars(uow, workspace_id, None, MAX_CALENDARS)
    agents = await queries.list_agents(uow, workspace_id, None, None, MAX_AGENTS)
    rules = await queries.find_rules(uow, workspace_id)
    return await asyncio.to_thread(_read, workspace, calendars, queues, agents, rules)


def _read(workspace: Row[Any], calendars: Rows, queues: Rows, agents: Rows, rules: Row[Any] | None) -> Present:
    listed = None if rules is None else rules.rules["rules"]
    document = {
        "settings": _fields(WorkspaceBody, workspace),
        "calendars": {row.calendar_id: _body(CalendarBody, row.document) for row in calendars},
        "queues": {row.queue_id: _fields(QueueBody, row) for row in queues},
        "rules": None if listed is None else [_body(Rule, rule) for rule in listed],
        "agents": {row.agent_id: _fields(AgentProfileBody, row) for row in agents},
    }
    versions = {("settings", ""): workspace.version}
    versions |= {("calendars", row.calendar_id): row.version for row in calendars}
    versions |= {("queues", row.queue_id): row.version for row in queues}
    versions |= {("agents", row.agent_id): row.profile_version for row in agents}
    if rules is not None:
        versions["rules", ""] = rules.version
    return Present(document, versions)


def _fields(model: type[BaseModel], row: Row[Any]) -> dict[str, Any]:
    """What a row says of the fields that are configured over HTTP: a new field comes along by itself."""
    return _body(model, {name: getattr(row, name) for name in model.model_fields})


def _body(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    return model.model_validate(given).model_dump(mode="json")
