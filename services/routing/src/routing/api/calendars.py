"""Calendars: business hours, holidays and make-up workdays, by which queues are open and which rules can ask."""

from datetime import UTC, date, datetime
from typing import Annotated, Any

from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import IfMatch, set_etag
from cordboard_chassis.http.owner_inputs import ask_owner
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.refusals import NotFound
from cordboard_contracts.vocabulary import Identifier, Name
from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Row

from routing.api.access import Administrator, Staff, WorkspaceId, configurable_workspace, workspace_of
from routing.api.hours import Hours, TimeZone, Weekday
from routing.domain.calendars import HORIZON_DAYS, read
from routing.storage import queries

router = APIRouter(prefix="/v1/workspaces/{workspace_id}/calendars", tags=["calendars"])

CalendarId = Annotated[Identifier, Path(description="Id of a calendar, unique within its workspace.")]


class CalendarBody(Body):
    """A calendar as it shall be."""

    name: Name = ""
    time_zone: TimeZone = Field(description="All times and days are by the clock of this zone: `Asia/Shanghai`.")
    weekly: dict[Weekday, Annotated[list[Hours], Field(max_length=20)]] = Field(
        default={}, description='`{"monday": ["09:00-12:00", "13:30-18:00"]}`; a day that is missing is closed.'
    )
    holidays: list[date] = Field(default=[], max_length=1000, description="Days that are closed.")
    workdays: dict[date, Weekday] = Field(
        default={},
        max_length=1000,
        description="Days that have the hours of another weekday, such as make-up workdays:"
        ' `{"2026-10-10": "thursday"}`.',
    )


class CalendarView(BaseModel):
    """A calendar, and how it is now."""

    workspace_id: str
    calendar_id: str
    name: str
    time_zone: str
    weekly: dict[Weekday, list[str]]
    holidays: list[date]
    workdays: dict[date, Weekday]
    open: bool = Field(description="Whether it is open now.")
    changes_at: datetime | None = Field(
        description=f"When it opens or closes next; null: not within {HORIZON_DAYS} days."
    )
    version: int
    updated_at: datetime


class CalendarSummary(BaseModel):
    """A calendar, in short."""

    calendar_id: str
    name: str
    time_zone: str
    version: int
    updated_at: datetime


def _view(row: Row[Any]) -> CalendarView:
    now, calendar = datetime.now(UTC), read(row.document)
    return CalendarView(
        **row.document,
        workspace_id=row.workspace_id,
        calendar_id=row.calendar_id,
        open=calendar.is_open(now),
        changes_at=calendar.next_change(now),
        version=row.version,
        updated_at=row.updated_at,
    )


def _summary(row: Row[Any]) -> CalendarSummary:
    return CalendarSummary(
        calendar_id=row.calendar_id,
        name=row.document["name"],
        time_zone=row.document["time_zone"],
        version=row.version,
        updated_at=row.updated_at,
    )


@router.put("/{calendar_id}", responses={201: {"model": CalendarView, "description": "It is new."}})
async def put_calendar(
    request: Request,
    response: Response,
    caller: Administrator,
    database: Db,
    workspace_id: WorkspaceId,
    calendar_id: CalendarId,
    body: CalendarBody,
    if_match: IfMatch = None,
) -> CalendarView:
    """Create a calendar or change it; it holds for what arrives from now on.

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
        name="put_calendar",
        payload={"calendar_id": calendar_id, "calendar": body.model_dump(mode="json"), "if_match": if_match},
        key=None,
    )
    response.status_code = 201 if done["created"] else 200
    return await get_calendar(response, caller, database, workspace_id, calendar_id)


@router.get("/{calendar_id}")
async def get_calendar(
    response: Response, caller: Staff, database: Db, workspace_id: WorkspaceId, calendar_id: CalendarId
) -> CalendarView:
    """One calendar, and whether it is open now."""
    async with database.transaction(caller.org_path) as uow:
        await workspace_of(uow, workspace_id)
        row = await queries.find_calendar(uow, workspace_id, calendar_id)
    if row is None:
        raise NotFound(f"there is no calendar {calendar_id}", "calendar_id")
    set_etag(response, row.version)
    return _view(row)


@router.get("")
async def list_calendars(
    caller: Staff, database: Db, workspace_id: WorkspaceId, paging: Paging
) -> Page[CalendarSummary]:
    """The calendars of a workspace, by id."""
    (after,) = paging.after(str) or (None,)
    async with database.transaction(caller.org_path) as uow:
        await workspace_of(uow, workspace_id)
        rows = await queries.list_calendars(uow, workspace_id, after, paging.fetch)
    return paging.page(rows, lambda row: (row.calendar_id,), _summary)


@router.delete("/{calendar_id}", status_code=204)
async def delete_calendar(
    request: Request,
    caller: Administrator,
    database: Db,
    workspace_id: WorkspaceId,
    calendar_id: CalendarId,
    if_match: IfMatch = None,
) -> None:
    """Remove a calendar that no queue and no rule asks."""
    async with database.transaction(caller.org_path) as uow:
        await configurable_workspace(uow, workspace_id)
    await ask_owner(
        request,
        caller,
        database,
        kind="workspace",
        owner_id=workspace_id,
        name="remove_calendar",
        payload={"calendar_id": calendar_id, "if_match": if_match},
        key=None,
    )
