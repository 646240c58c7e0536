"""What happened in each queue, quarter of an hour by quarter of an hour."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from cordboard_chassis.http.app import Db
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.refusals import Invalid
from cordboard_contracts.vocabulary import Identifier
from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import Row

from routing.api.access import Leader, WorkspaceId, workspace_of
from routing.domain import figures
from routing.storage import queries

router = APIRouter(prefix="/v1/workspaces/{workspace_id}/intervals", tags=["wallboard"])

LONGEST = timedelta(days=366)


class Interval(BaseModel):
    """One queue within one interval, as far as it lies within the caller's part of the organisation."""

    begins_at: datetime
    queue_id: str
    submitted: int
    answered: int
    answered_in_time: int = Field(description="Within `service_level_s` of the queue as it was then.")
    completed: int
    cancelled: int
    wait_mean_s: float | None = Field(description="Mean time from submission to acceptance.")
    service_level: float | None = Field(
        description="Share of those that were accepted or went away which were accepted in time."
    )


def _view(row: Row[Any]) -> Interval:
    return Interval(
        begins_at=row.begins_at,
        queue_id=row.queue_id,
        submitted=row.submitted,
        answered=row.accepted,
        answered_in_time=row.accepted_in_time,
        completed=row.completed,
        cancelled=row.cancelled,
        wait_mean_s=figures.wait_mean_s(int(row.accepted), int(row.waited_ms)),
        service_level=figures.service_level(int(row.accepted), int(row.accepted_in_time), int(row.cancelled)),
    )


@router.get("")
async def list_intervals(
    caller: Leader,
    database: Db,
    workspace_id: WorkspaceId,
    paging: Paging,
    minutes: Annotated[Literal["15", "30", "60"], Query(description="How long an interval is.")] = "15",
    queue: Annotated[Identifier | None, Query(description="Only this one.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="A day ago if not given.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Now if not given; a year after `since` at most.")] = None,
) -> Page[Interval]:
    """Figures per queue and interval, by time; nothing for an interval in which nothing happened."""
    end = until or datetime.now(UTC)
    begin = since or end - timedelta(days=1)
    if not begin < end <= begin + LONGEST:
        raise Invalid("must be after since, and a year after it at most", "until")
    after = paging.after(datetime, str)
    async with database.transaction(caller.org_path) as uow:
        await workspace_of(uow, workspace_id)
        rows = await queries.interval_figures(
            uow,
            workspace_id,
            queue,
            int(minutes),
            (begin, end),
            None if after is None else (after[0], after[1]),
            paging.fetch,
        )
    return paging.page(rows, lambda row: (row.begins_at, row.queue_id), _view)
