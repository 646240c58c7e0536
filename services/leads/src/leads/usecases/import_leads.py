"""Take the leads of an uploaded file."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import new_id
from sqlalchemy import Row

from leads.domain.leads import Profile, Source
from leads.storage import queries
from leads.usecases.save_lead import save_new_leads
from leads.usecases.submit_lead import NewLead, make_lead

MAX_KEPT = 500
"""Errors and duplicates of one file that are kept line by line; all of them are counted."""


@dataclass(frozen=True)
class LineError:
    """What is wrong with one field of one line."""

    line: int
    field: str
    reason: str


@dataclass(frozen=True)
class LeadFile:
    """A file that was read: its good lines and its bad ones."""

    name: str
    content_digest: str
    """SHA-256 of its bytes, in hex."""
    reading: Mapping[str, Any]
    """How it was read: the same bytes read differently are another import."""
    encoding: str
    columns: Mapping[str, str]
    ignored_columns: Sequence[str]
    profiles: Mapping[int, Profile]
    """By line."""
    errors: Sequence[LineError]


async def import_leads(
    uow: UnitOfWork, file: LeadFile, *, org_path: str, workspace: str, actor: str
) -> tuple[Row[Any], bool]:
    """The import, and whether it is new: the same file read the same way is imported once.

    Good lines become leads, each at most once however often and with whatever settings its file comes; bad ones are
    reported; those about somebody with an open lead point to that.
    """
    reading = json.dumps([file.content_digest, workspace, dict(file.reading)], sort_keys=True)
    digest = hashlib.sha256(reading.encode()).hexdigest()
    bad_lines = {error.line for error in file.errors}
    import_id = new_id()
    begun = await queries.claim_import(
        uow,
        {
            "import_id": import_id,
            "org_path": org_path,
            "workspace": workspace,
            "digest": digest,
            "file_name": file.name,
            "encoding": file.encoding,
            "columns": dict(file.columns),
            "ignored_columns": list(file.ignored_columns),
            "rows": len(file.profiles) + len(bad_lines),
            "created": 0,
            "duplicates": 0,
            "rejected": len(bad_lines),
            "errors": [vars(error) for error in file.errors[:MAX_KEPT]],
            "duplicate_rows": [],
            "imported_by": actor,
            "imported_at": uow.now,
        },
    )
    if begun:
        outcome = await _take(uow, file, org_path, workspace, actor)
        await queries.finish_import(uow, import_id, outcome)
    found = await queries.find_import_by_digest(uow, org_path, digest)
    assert found is not None
    return found, begun


async def _take(uow: UnitOfWork, file: LeadFile, org_path: str, workspace: str, actor: str) -> dict[str, Any]:
    new = {
        line: NewLead(workspace, org_path, Source.CSV, profile, source_ref=f"csv:{file.content_digest}:{line}")
        for line, profile in file.profiles.items()
    }
    made = {line: make_lead(uow, lead, actor) for line, lead in new.items()}
    stored = await save_new_leads(uow, list(made.values()), actor)
    others = {line: lead for line, lead in made.items() if lead.lead_id not in stored}
    by_key, by_source = await queries.find_twins(
        uow,
        org_path,
        {lead.profile.contact_key for lead in others.values()},
        {lead.source_ref for lead in others.values() if lead.source_ref},
    )
    duplicate_rows = []
    for line, lead in list(others.items())[:MAX_KEPT]:
        twin = by_source.get(lead.source_ref or "") or by_key.get(lead.profile.contact_key)
        duplicate_rows.append({"line": line, "duplicate_of": str(twin) if twin else None})
    return {"created": len(stored), "duplicates": len(others), "duplicate_rows": duplicate_rows}
