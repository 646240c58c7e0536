"""``/v1/lead-imports``: leads from files."""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from cordboard_chassis.auth.org_paths import require_within
from cordboard_chassis.http.app import Db
from cordboard_chassis.http.idempotency import Answer, Once
from cordboard_chassis.http.paging import Page, Paging
from cordboard_chassis.http.problems import field_name
from cordboard_chassis.phones import Region
from cordboard_chassis.refusals import Invalid, NotFound, Refused
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import OrgPath, OwnerId
from fastapi import APIRouter, Query, Request, Response, UploadFile
from pydantic import StringConstraints, ValidationError

from leads.api.callers import Supervising
from leads.api.forms import PersonForm
from leads.api.views import ImportView
from leads.domain.csv_file import ATTRIBUTE, FIELDS, CsvFile, Line, read
from leads.domain.leads import Profile, require_reachable
from leads.domain.rules import RuleBroken, Wrong
from leads.storage import queries
from leads.usecases.import_leads import LeadFile, LineError, import_leads

MAX_BYTES = 4_194_304
MAX_MAPPED = 50

router = APIRouter(prefix="/v1/lead-imports", tags=["lead-imports"])

_COLUMN = re.compile(rf"({'|'.join(FIELDS)}|{re.escape(ATTRIBUTE)}[A-Za-z][A-Za-z0-9_.-]{{0,63}}):(.+)", re.DOTALL)
_FILE: dict[str, Any] = {"type": "string", "description": "The first line names the columns."}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "text/csv": {
            "schema": _FILE,
            "example": "姓名,手机,公司,需求\n王芳,138 0013 8000,云帆科技,企业宽带\n",
        },
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": {**_FILE, "format": "binary"}},
                "required": ["file"],
            }
        },
    },
}


@router.post(
    "",
    status_code=201,
    response_model=ImportView,
    responses={200: {"model": ImportView, "description": "This file was imported before; nothing was made twice."}},
    max_body_size=MAX_BYTES,
    openapi_extra={"requestBody": _BODY},
)
async def import_file(
    request: Request,
    caller: Supervising,
    once: Once,
    org_path: Annotated[
        OrgPath | None, Query(description="Where the leads belong; the caller's own by default.")
    ] = None,
    workspace: OwnerId | None = None,
    region: Annotated[Region | None, Query(description="Country of national phone numbers in the file.")] = None,
    column: Annotated[
        list[Annotated[str, StringConstraints(min_length=3, max_length=200)]] | None,
        Query(
            max_length=MAX_MAPPED,
            description="`field:header`, repeated: which field a column is, if its header is none that is known anyway."
            f" Fields: {', '.join(FIELDS)}, and `attributes.<key>`.",
        ),
    ] = None,
    file_name: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Take the leads of a CSV file: `text/csv`, or `multipart/form-data` with a part `file`.

    UTF-8 (with or without a byte order mark), UTF-16 with one, and GBK are recognised; say another charset in
    Content-Type. Commas, semicolons and tabs separate. Good lines are taken, bad ones are reported; the same file again
    makes nothing twice.
    """
    where = org_path or caller.org_path
    require_within(where, caller.org_path)
    content, charset, name = await _upload(request, file_name)
    mapping = _mapping(column or [])
    max_lines: int = request.app.state.import_rows
    # Reading thousands of numbers takes a while, in which the others want to be served.
    file = await asyncio.to_thread(_read, content, charset, name, mapping, region, max_lines)

    async def act(uow: UnitOfWork) -> Answer:
        into = workspace or request.app.state.default_workspace
        found, new = await import_leads(uow, file, org_path=where, workspace=into, actor=caller.subject)
        location = {"Location": f"/v1/lead-imports/{found.import_id}"}
        return Answer(ImportView.of(found), 201 if new else 200, location)

    return await once(act)


@router.get("")
async def list_imports(caller: Supervising, database: Db, paging: Paging) -> Page[ImportView]:
    """Imports, the newest first."""
    async with database.transaction(caller.org_path) as uow:
        found = await queries.list_imports(uow, paging.after(datetime, UUID), paging.fetch)
    return paging.page(found, lambda row: (row.imported_at, row.import_id), ImportView.of)


@router.get("/{import_id}")
async def read_import(import_id: UUID, caller: Supervising, database: Db) -> ImportView:
    """One import."""
    async with database.transaction(caller.org_path) as uow:
        row = await queries.find_import(uow, import_id)
    if row is None:
        raise NotFound(f"there is no import {import_id}", "import_id")
    return ImportView.of(row)


async def _upload(request: Request, file_name: str | None) -> tuple[bytes, str | None, str]:
    """Content, charset and name of the file that was sent."""
    body = await request.body()
    media_type, charset = _media_type(request.headers.get("content-type", ""))
    if media_type == "text/csv":
        return body, charset, file_name or ""
    if media_type != "multipart/form-data":
        raise Refused(
            "unsupported-media-type",
            f"send text/csv or multipart/form-data, not {media_type[:100] or 'nothing'}",
            "Content-Type",
            status=415,
        )
    async with request.form(max_files=1, max_fields=0) as form:
        part: Any = form.get("file")
        if not hasattr(part, "read"):
            raise Invalid("is missing: send the file as the part `file`", "file")
        upload: UploadFile = part
        _, part_charset = _media_type(upload.headers.get("content-type", ""))
        return await upload.read(), part_charset, file_name or (upload.filename or "")[:200]


def _media_type(content_type: str) -> tuple[str, str | None]:
    media_type, _, parameters = content_type.partition(";")
    found = re.search(r'charset\s*=\s*"?([^";\s]+)', parameters, re.IGNORECASE)
    return media_type.strip().lower(), found[1] if found else None


def _mapping(columns: list[str]) -> dict[str, str]:
    """``["phone:Handynummer"]`` -> ``{"Handynummer": "phone"}``."""
    mapping: dict[str, str] = {}
    for position, text in enumerate(columns):
        shape = _COLUMN.fullmatch(text)
        if shape is None:
            raise Invalid(f"must be field:header, where field is one of {', '.join(FIELDS)}", f"column.{position}")
        field, header = shape[1], shape[2].strip()
        if header in mapping or field in mapping.values():
            raise Invalid("names a field or a header for the second time", f"column.{position}")
        mapping[header] = field
    return mapping


def _read(
    content: bytes, charset: str | None, name: str, mapping: Mapping[str, str], region: str | None, max_lines: int
) -> LeadFile:
    try:
        file = read(content, charset, mapping, max_lines)
    except Wrong as wrong:
        raise Invalid(wrong.detail, wrong.field or "file") from wrong
    profiles, errors = _profiles(file, region)
    return LeadFile(
        name=name,
        content_digest=hashlib.sha256(content).hexdigest(),
        reading={"region": region, "columns": dict(mapping), "encoding": file.encoding},
        encoding=file.encoding,
        columns=file.columns,
        ignored_columns=file.ignored,
        profiles=profiles,
        errors=errors,
    )


def _profiles(file: CsvFile, region: str | None) -> tuple[dict[int, Profile], list[LineError]]:
    profiles: dict[int, Profile] = {}
    errors = [LineError(number, "line", reason) for number, reason in file.broken.items()]
    for line in file.lines:
        try:
            profile = _form(line, region).profile()
            require_reachable(profile)
            profiles[line.number] = profile
        except ValidationError as error:
            errors += [
                LineError(line.number, field_name(("line", *item["loc"])), item["msg"])
                for item in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        except Refused as refused:
            errors.append(LineError(line.number, refused.field or "line", refused.detail))
        except RuleBroken as broken:
            errors.append(LineError(line.number, broken.field or "line", broken.detail))
    return profiles, sorted(errors, key=lambda error: error.line)


def _form(line: Line, region: str | None) -> PersonForm:
    known: dict[str, Any] = {field: cell for field, cell in line.cells.items() if not field.startswith(ATTRIBUTE)}
    known["attributes"] = {
        field.removeprefix(ATTRIBUTE): cell for field, cell in line.cells.items() if field.startswith(ATTRIBUTE)
    }
    if "priority" in known and re.fullmatch(r"[0-9]{1,9}", known["priority"]):
        known["priority"] = int(known["priority"])
    return PersonForm.model_validate({**known, "region": region})
