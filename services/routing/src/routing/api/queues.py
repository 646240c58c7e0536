"""Queues: how the work that rules send there is treated."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import IfMatch, set_etag
from cordboard_chassis.http.owner_inputs import ask_owner
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.refusals import NotFound
from cordboard_contracts.vocabulary import Identifier, Name
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, StringConstraints, model_validator
from sqlalchemy import Row

from routing.api.access import Administrator, QueueId, Staff, WorkspaceId, configurable_workspace, workspace_of
from routing.api.workspaces import AgentOrderName
from routing.storage import queries

router = APIRouter(prefix="/v1/workspaces/{workspace_id}/queues", tags=["queues"])


_Skill = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._:@-]{0,99}\*?$")]


class StepBody(Body):
    """What an item gives up when it has waited so long in the queue. Steps add up."""

    after_s: int = Field(ge=0, le=2_592_000, description="How long it has waited in this queue.")
    levels: dict[_Skill, Annotated[int, Field(ge=0, le=100)]] = Field(
        default={},
        max_length=20,
        description="Skills of which a lower level is enough from now on, 0 for none; `language:*` means all of these.",
    )
    also: dict[Identifier, Annotated[int, Field(ge=1, le=100)]] = Field(
        default={}, max_length=20, description="Skills each of which is enough instead of those that are asked for."
    )
    wider: int = Field(
        default=0,
        ge=0,
        le=9,
        description="By how many parts of its code the territory grows: by one, `CN-31-0115` to all of `CN-31`.",
    )
    priority: int = Field(default=0, ge=0, le=1000, description="Is added.")
    offer_call_back: bool = Field(
        default=False,
        description="The PBX is told to offer a caller to be called back: the call's attribute `offer_call_back` is"
        " `yes` from then on. Whoever wants it gets the attribute `call_back` from the PBX.",
    )
    queue: Identifier | None = Field(
        default=None, description="The item goes to this queue instead and begins with its steps; only the last may."
    )


class AfterHours(Body):
    """What comes of an item that arrives when the queue is closed: one of the two."""

    queue: Identifier | None = Field(default=None, description="It goes to this queue instead, by that queue's hours.")
    outcome: Literal["refused", "voicemail"] | None = Field(
        default=None,
        description="A call ends with this outcome, other work waits. `refused`: it is hung up. `voicemail`: it stays"
        " with the PBX, with the attribute `routed_to` = `voicemail`.",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.queue is None) == (self.outcome is None):
            raise ValueError("say one of queue and outcome")
        return self


class QueueBody(Body):
    """A queue as it shall be."""

    name: Name = ""
    priority: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Added to that of each item; a point of priority counts as much as a minute of waiting.",
    )
    offer_timeout_s: int = Field(default=20, ge=1, le=3600, description="How long an agent may take to accept.")
    wrap_up_s: int | None = Field(
        default=0,
        ge=0,
        le=3600,
        description="How long after an item an agent gets no other; null: until the agent says so.",
    )
    wrap_up_extension_s: int = Field(
        default=0, ge=0, le=3600, description="By how much longer in all, if the agent asks for more time."
    )
    service_level_s: int = Field(
        default=20, ge=1, le=86_400, description="Within how many seconds an item should be accepted."
    )
    priority_class: int = Field(
        default=0,
        ge=0,
        le=9,
        description="All of a higher class come before all of a lower one, whatever they waited.",
    )
    acceleration: int = Field(
        default=1, ge=1, le=1000, description="How many points of priority an item gains with each minute of waiting."
    )
    due_after_s: int = Field(
        default=0,
        ge=0,
        le=2_592_000,
        description="When an item is due after it was submitted. Its minutes count from then, so that of two queues"
        " without priorities the item with less time left goes first.",
    )
    hours: Identifier | None = Field(
        default=None, description="The calendar by which it is open; null: always. It counts when an item arrives."
    )
    after_hours: AfterHours | None = Field(
        default=None, description="What comes of an item that arrives when it is closed; null: it waits."
    )
    paused: bool = Field(default=False, description="Nothing of it is offered for the time being.")
    agent_order: AgentOrderName | None = Field(
        default=None, description="Which of the eligible agents is first; null: as the workspace says."
    )
    steps: list[StepBody] = Field(
        default=[], max_length=20, description="What waiting items give up, in the order of time."
    )


class QueueView(BaseModel):
    """A queue."""

    workspace_id: str
    queue_id: str
    name: str
    priority: int
    offer_timeout_s: int
    wrap_up_s: int | None
    wrap_up_extension_s: int
    service_level_s: int
    priority_class: int
    acceleration: int
    due_after_s: int
    paused: bool
    hours: str | None
    after_hours: AfterHours | None
    agent_order: AgentOrderName | None
    steps: list[StepBody]
    version: int
    updated_at: datetime


def _view(row: Row[Any]) -> QueueView:
    return QueueView.model_validate(row, from_attributes=True)


@router.put("/{queue_id}", responses={201: {"model": QueueView, "description": "It is new."}})
async def put_queue(
    request: Request,
    response: Response,
    caller: Administrator,
    database: Db,
    workspace_id: WorkspaceId,
    queue_id: QueueId,
    body: QueueBody,
    if_match: IfMatch = None,
) -> QueueView:
    """Create a queue or change it; what waits in it is put in order at once.

    To change one, send its ETag as `If-Match`; sending the same again needs none.
    """
    async with database.transaction(caller.org_path) as uow:
        await configurable_workspace(uow, workspace_id)
    done = await ask_owner(
        request,
        caller,
        database,
        kind="workspace",
        owner_id=workspace_id,
        name="put_queue",
        payload={**body.model_dump(mode="json"), "queue_id": queue_id, "if_match": if_match},
        key=None,
    )
    response.status_code = 201 if done["created"] else 200
    return await get_queue(response, caller, database, workspace_id, queue_id)


@router.get("/{queue_id}")
async def get_queue(
    response: Response, caller: Staff, database: Db, workspace_id: WorkspaceId, queue_id: QueueId
) -> QueueView:
    """One queue."""
    async with database.transaction(caller.org_path) as uow:
        await workspace_of(uow, workspace_id)
        row = await queries.find_queue(uow, workspace_id, queue_id)
    if row is None:
        raise NotFound(f"there is no queue {queue_id}", "queue_id")
    set_etag(response, row.version)
    return _view(row)


@router.get("")
async def list_queues(caller: Staff, database: Db, workspace_id: WorkspaceId, paging: Paging) -> Page[QueueView]:
    """The queues of a workspace, by id."""
    (after,) = paging.after(str) or (None,)
    async with database.transaction(caller.org_path) as uow:
        await workspace_of(uow, workspace_id)
        rows = await queries.list_queues(uow, workspace_id, after, paging.fetch)
    return paging.page(rows, lambda row: (row.queue_id,), _view)


@router.delete("/{queue_id}", status_code=204)
async def delete_queue(
    request: Request,
    caller: Administrator,
    database: Db,
    workspace_id: WorkspaceId,
    queue_id: QueueId,
    if_match: IfMatch = None,
) -> None:
    """Remove a queue that no rule and no step names and in which nothing is."""
    async with database.transaction(caller.org_path) as uow:
        await configurable_workspace(uow, workspace_id)
    await ask_owner(
        request,
        caller,
        database,
        kind="workspace",
        owner_id=workspace_id,
        name="remove_queue",
        payload={"queue_id": queue_id, "if_match": if_match},
        key=None,
    )
