"""Notes on a customer."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.idempotency import Answer, Once
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.refusals import Invalid
from cordboard_chassis.unit_of_work import UnitOfWork
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, StringConstraints

from accounts.api.access import Staff
from accounts.api.fields import CustomerId
from accounts.storage import queries
from accounts.usecases.find_customer import find_customer
from accounts.usecases.write_note import write_note

router = APIRouter(prefix="/v1/customers/{customer_id}", tags=["notes"])

NoteText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4000),
    Field(description="Not blank.", examples=["Prefers to be called in the morning."]),
]


class NoteIn(Body):
    """A note to be kept."""

    text: NoteText


class NoteView(BaseModel):
    """A note."""

    note_id: UUID
    author: str = Field(description="Who wrote it: the subject of the token.")
    text: str
    created_at: datetime


@router.post("/notes", status_code=201, summary="Write a note", response_model=NoteView)
async def create_note(customer_id: CustomerId, body: NoteIn, caller: Staff, once: Once) -> Response:
    """Keeps a note on the customer. Notes are not changed afterwards."""
    if not body.text.strip():
        raise Invalid("must not be blank", "text")

    async def act(uow: UnitOfWork) -> Answer:
        note_id = await write_note(uow, customer_id, body.text, caller.subject)
        note = NoteView(note_id=note_id, author=caller.subject, text=body.text, created_at=uow.now)
        return Answer(note, 201)

    return await once(act)


@router.get("/notes", summary="List notes")
async def list_notes(customer_id: CustomerId, caller: Staff, database: Db, paging: Paging) -> Page[NoteView]:
    """The latest first."""
    after = paging.after(datetime, UUID)
    async with database.transaction(caller.org_path) as uow:
        await find_customer(uow, customer_id)
        rows = await queries.list_notes(uow, customer_id, after, paging.fetch)
    return paging.page(
        rows,
        lambda row: (row.created_at, row.note_id),
        lambda row: NoteView(note_id=row.note_id, author=row.author, text=row.text, created_at=row.created_at),
    )
