"""The wallboard: what goes on in a workspace now."""

from datetime import datetime
from typing import Annotated

from cordboard_chassis.http.app import Db
from cordboard_contracts.routing import AgentState
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from routing.api.access import Leader, WorkspaceId, workspace_of
from routing.usecases.show_wallboard import show_wallboard

router = APIRouter(prefix="/v1/workspaces/{workspace_id}/wallboard", tags=["wallboard"])


class QueueFigures(BaseModel):
    """One queue."""

    queue_id: str
    name: str
    waiting: int
    offered: int
    accepted: int = Field(description="In the hands of agents now.")
    waiting_since: datetime | None = Field(description="Since when the first of those that wait does.")
    submitted: int = Field(description="This and what follows: within the window.")
    answered: int
    answered_in_time: int
    completed: int
    cancelled: int
    wait_mean_s: float | None = Field(description="Mean time from submission to acceptance.")
    service_level: float | None = Field(
        description="Share of those that were accepted or went away which were accepted in time."
    )


class Wallboard(BaseModel):
    """Live figures, of what lies within the caller's part of the organisation."""

    workspace_id: str
    at: datetime
    since: datetime = Field(description="Where the window begins: on a quarter of an hour.")
    queues: list[QueueFigures]
    agents: dict[AgentState, int] = Field(description="How many are in each state.")


@router.get("")
async def get_wallboard(
    caller: Leader,
    database: Db,
    workspace_id: WorkspaceId,
    window_minutes: Annotated[int, Query(ge=15, le=1440, description="How far back the window reaches.")] = 60,
) -> Wallboard:
    """Live figures per queue, and of the agents."""
    async with database.transaction(caller.org_path) as uow:
        await workspace_of(uow, workspace_id)
        shown = await show_wallboard(uow, workspace_id, window_minutes)
    return Wallboard(
        workspace_id=workspace_id,
        at=uow.now,
        since=shown.since,
        queues=[QueueFigures.model_validate(queue, from_attributes=True) for queue in shown.queues],
        agents={state: shown.agents.get(state, 0) for state in AgentState},
    )
