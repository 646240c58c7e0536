"""Notes: what the HTTP habits are tried on. Each lies at a place of the organisation and has a version."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from cordboard_chassis.auth.org_paths import require_within, within
from cordboard_chassis.auth.principal import Principal, Role, principal
from cordboard_chassis.http.app import Body, Db
from cordboard_chassis.http.etags import IfMatch, etag, require_match, set_etag
from cordboard_chassis.http.idempotency import Answer, Once
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.refusals import Conflict, NotFound
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import OrgPath, new_id
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import column, select, table, text, tuple_

NOTES = table("notes", *(column(name) for name in ("id", "org_path", "text", "version", "written_at")))
INSERT = text("INSERT INTO notes (id, org_path, text) VALUES (:id, :org_path, :text) RETURNING *")
UPDATE = text("UPDATE notes SET text = :text, version = version + 1 WHERE id = :id RETURNING *")

Anybody = Annotated[Principal, Depends(principal())]
Writer = Annotated[Principal, Depends(principal(Role.AGENT, Role.SUPERVISOR))]
router = APIRouter(prefix="/v1")


class Tag(Body):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z]+$")]
    weight: int = 1


class NewNote(Body):
    text: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    org_path: OrgPath | None = None
    tags: Annotated[tuple[Tag, ...], Field(max_length=5)] = ()


class Change(Body):
    text: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Note(BaseModel):
    id: UUID
    org_path: str
    text: str
    version: int
    written_at: datetime


class Caller(BaseModel):
    subject: str
    roles: list[str]
    org_path: str
    agent_id: str | None
    partner_id: str | None


def view(row: object) -> Note:
    return Note.model_validate(row, from_attributes=True)


async def find(uow: UnitOfWork, note_id: UUID) -> Note:
    row = await uow.one(select(NOTES).where(NOTES.c.id == note_id, within(NOTES.c.org_path, uow.scope)))
    if row is None:
        raise NotFound(f"no note {note_id}", "note_id")
    return view(row)


@router.get("/me")
async def who_am_i(caller: Anybody) -> Caller:
    return Caller.model_validate({**vars(caller), "roles": sorted(caller.roles)})


@router.post("/notes", status_code=201, response_model=Note)
async def write_note(body: NewNote, caller: Writer, once: Once) -> Response:
    async def act(uow: UnitOfWork) -> Answer:
        org_path = body.org_path or caller.org_path
        require_within(org_path, uow.scope)
        row = await uow.one(INSERT, {"id": new_id(), "org_path": org_path, "text": body.text})
        if body.text == "taken back":
            raise Conflict("this is not written", "text")
        note = view(row)
        return Answer(note, 201, {"ETag": etag(note.version), "Location": f"/v1/notes/{note.id}"})

    return await once(act)


@router.get("/notes")
async def list_notes(caller: Anybody, database: Db, paging: Paging) -> Page[Note]:
    after = paging.after(datetime, UUID)
    query = select(NOTES).where(within(NOTES.c.org_path, caller.org_path))
    if after is not None:
        query = query.where(tuple_(NOTES.c.written_at, NOTES.c.id) > after)
    async with database.transaction(caller.org_path) as uow:
        rows = await uow.all(query.order_by(NOTES.c.written_at, NOTES.c.id).limit(paging.fetch))
    return paging.page(rows, lambda row: (row.written_at, row.id), view)


@router.get("/forgetful/notes")
async def list_without_filter(caller: Anybody, database: Db) -> list[Note]:
    """A query that forgets the caller's place."""
    async with database.transaction(caller.org_path) as uow:
        return [view(row) for row in await uow.all(select(NOTES).order_by(NOTES.c.id).limit(100))]


@router.post("/forgetful/notes", status_code=201, response_model=Note)
async def write_without_check(body: NewNote, caller: Writer, once: Once) -> Response:
    """A use case that forgets to look where it writes."""

    async def act(uow: UnitOfWork) -> Answer:
        row = await uow.one(INSERT, {"id": new_id(), "org_path": body.org_path, "text": body.text})
        return Answer(view(row), 201)

    return await once(act)


@router.get("/notes/{note_id}")
async def get_note(note_id: UUID, caller: Anybody, database: Db, response: Response) -> Note:
    async with database.transaction(caller.org_path) as uow:
        note = await find(uow, note_id)
    set_etag(response, note.version)
    return note


@router.patch("/notes/{note_id}")
async def change_note(
    note_id: UUID, body: Change, caller: Writer, database: Db, response: Response, if_match: IfMatch = None
) -> Note:
    async with database.transaction(caller.org_path) as uow:
        require_match(if_match, (await find(uow, note_id)).version)
        note = view(await uow.one(UPDATE, {"id": note_id, "text": body.text}))
    set_etag(response, note.version)
    return note


@router.get("/failures/{how}")
async def fail(how: str, _request: Request, _caller: Anybody, database: Db) -> None:
    """Fails in a way that no route means to."""
    if how == "secretly":
        raise RuntimeError("the password is 12345")
    if how == "disconnected":
        raise ConnectionResetError("by peer")
    async with database.transaction() as uow:
        await uow.execute(text({"too-large": "SELECT 2147483648::int", "killed": KILL}[how]))


KILL = "SELECT pg_terminate_backend(pg_backend_pid())"
