"""Every statement on the service's own tables. Each reads only what the unit of work's scope may see."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from cordboard_chassis.auth.org_paths import ROOT, within
from cordboard_chassis.unit_of_work import UnitOfWork
from sqlalchemy import ColumnElement, Row, Text, and_, bindparam, func, insert, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_or

from leads.domain.leads import OPEN, Lead, Profile, Source, Status
from leads.storage.tables import api_keys, audit_entries, lead_imports, leads

Item = TypeVar("Item")

_BATCH = 500
"""Rows of one statement."""

_LEAD_COLUMNS = ", ".join(column.name for column in leads.columns)
_INSERT_LEADS = text(
    f"""
    INSERT INTO leads ({_LEAD_COLUMNS})
    SELECT {_LEAD_COLUMNS} FROM jsonb_populate_recordset(NULL::leads, CAST(:rows AS jsonb))
    ON CONFLICT DO NOTHING
    RETURNING lead_id
    """
)
_AUDIT_COLUMNS = ", ".join(column.name for column in audit_entries.columns if column.name != "audit_id")
_INSERT_AUDIT = text(
    f"""
    INSERT INTO audit_entries ({_AUDIT_COLUMNS})
    SELECT {_AUDIT_COLUMNS} FROM jsonb_populate_recordset(NULL::audit_entries, CAST(:rows AS jsonb))
    """
)


# --- leads ---


async def insert_leads(uow: UnitOfWork, new: Sequence[Lead]) -> set[UUID]:
    """Store leads; returns the ids of those that are stored.

    The others are not, because there is an open lead about the same person in the same part of the organisation
    (perhaps one earlier in ``new``), or because what they are made from was made into a lead before.
    """
    rows = json.dumps([_lead_row(lead) | {"updated_at": uow.now} for lead in new], default=str)
    return {row.lead_id for row in await uow.all(_INSERT_LEADS, {"rows": rows})}


async def update_lead(uow: UnitOfWork, lead: Lead) -> None:
    """Store another version of a lead that was read with a lock.

    Raises:
        IntegrityError: its number is that of another open lead.
    """
    await uow.execute(
        update(leads).where(leads.c.lead_id == lead.lead_id).values(**_lead_row(lead), updated_at=uow.now)
    )


async def find_lead(
    uow: UnitOfWork, lead_id: UUID, *, partner_id: str | None = None, lock: bool = False
) -> Lead | None:
    """The lead; with ``partner_id`` only if that partner submitted it; with ``lock`` nobody else changes it."""
    statement = select(leads).where(leads.c.lead_id == lead_id, within(leads.c.org_path, uow.scope))
    if partner_id is not None:
        statement = statement.where(leads.c.partner_id == partner_id)
    row = await uow.one(statement.with_for_update() if lock else statement)
    return None if row is None else _lead(row)


async def find_twin(uow: UnitOfWork, org_path: str, contact_key: str) -> Lead | None:
    """The open lead about this person in this part of the organisation, locked."""
    row = await uow.one(
        select(leads)
        .where(leads.c.org_path == org_path, leads.c.contact_key == contact_key, _open())
        .where(within(leads.c.org_path, uow.scope))
        .with_for_update()
    )
    return None if row is None else _lead(row)


async def find_by_source(uow: UnitOfWork, org_path: str, source_ref: str) -> Lead | None:
    """The lead that was made from this."""
    row = await uow.one(
        select(leads).where(
            leads.c.org_path == org_path, leads.c.source_ref == source_ref, within(leads.c.org_path, uow.scope)
        )
    )
    return None if row is None else _lead(row)


async def find_twins(
    uow: UnitOfWork, org_path: str, contact_keys: Collection[str], source_refs: Collection[str]
) -> tuple[Mapping[str, UUID], Mapping[str, UUID]]:
    """Open leads by contact key, and leads of any status by what they were made from."""
    own = (leads.c.org_path == org_path, within(leads.c.org_path, uow.scope))
    by_key: dict[str, UUID] = {}
    by_source: dict[str, UUID] = {}
    for keys in _batches(list(contact_keys)):
        found = select(leads.c.contact_key, leads.c.lead_id).where(*own, _open(), leads.c.contact_key == _any(keys))
        by_key |= {row.contact_key: row.lead_id for row in await uow.all(found)}
    for refs in _batches(list(source_refs)):
        made = select(leads.c.source_ref, leads.c.lead_id).where(*own, leads.c.source_ref == _any(refs))
        by_source |= {row.source_ref: row.lead_id for row in await uow.all(made)}
    return by_key, by_source


@dataclass(frozen=True)
class LeadFilter:
    """Which leads are listed; None does not filter. ``phone`` is E.164, ``org_path`` means everything below it."""

    status: str | None = None
    source: str | None = None
    workspace: str | None = None
    owner_agent_id: str | None = None
    partner_id: str | None = None
    phone: str | None = None
    org_path: str | None = None


async def list_leads(
    uow: UnitOfWork, wanted: LeadFilter, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Lead]:
    """Leads, the newest first."""
    c = leads.c
    statement = select(leads).where(within(c.org_path, uow.scope))
    if wanted.org_path not in {None, ROOT}:
        statement = statement.where(_in_subtree(c.org_path, str(wanted.org_path)))
    for column, value in (
        (c.status, wanted.status),
        (c.source, wanted.source),
        (c.workspace, wanted.workspace),
        (c.owner_agent_id, wanted.owner_agent_id),
        (c.partner_id, wanted.partner_id),
        (c.phone, wanted.phone),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if after is not None:
        statement = statement.where(tuple_(c.created_at, c.lead_id) < tuple_(*after))
    rows = await uow.all(statement.order_by(c.created_at.desc(), c.lead_id.desc()).limit(limit))
    return [_lead(row) for row in rows]


# --- audit ---


@dataclass(frozen=True)
class AuditEntry:
    """Who did what to a lead, and what differs since then."""

    lead_id: UUID
    org_path: str
    version: int
    action: str
    actor: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


async def insert_audit(uow: UnitOfWork, entries: Iterable[AuditEntry]) -> None:
    """Write them, with the time and what caused them."""
    about = {"at": uow.now, "cause": uow.cause.id if uow.cause else None}
    rows = json.dumps([vars(entry) | about for entry in entries], default=str)
    await uow.execute(_INSERT_AUDIT, {"rows": rows})


async def list_audit(uow: UnitOfWork, lead_id: UUID, after: int | None, limit: int) -> Sequence[Row[Any]]:
    """What happened to a lead, the oldest first."""
    c = audit_entries.c
    statement = select(audit_entries).where(c.lead_id == lead_id, within(c.org_path, uow.scope))
    if after is not None:
        statement = statement.where(c.audit_id > after)
    return await uow.all(statement.order_by(c.audit_id).limit(limit))


# --- uploaded files ---


async def claim_import(uow: UnitOfWork, values: Mapping[str, Any]) -> bool:
    """Begin an import; False when the same file was taken before. Waits while another request takes it."""
    statement = insert_or(lead_imports).values(**values).on_conflict_do_nothing()
    return await uow.scalar(statement.returning(lead_imports.c.import_id)) is not None


async def finish_import(uow: UnitOfWork, import_id: UUID, values: Mapping[str, Any]) -> None:
    """Store what came of it."""
    await uow.execute(update(lead_imports).where(lead_imports.c.import_id == import_id).values(**values))


async def find_import(uow: UnitOfWork, import_id: UUID) -> Row[Any] | None:
    """An import."""
    c = lead_imports.c
    return await uow.one(select(lead_imports).where(c.import_id == import_id, within(c.org_path, uow.scope)))


async def find_import_by_digest(uow: UnitOfWork, org_path: str, digest: str) -> Row[Any] | None:
    """The import of this very file."""
    c = lead_imports.c
    return await uow.one(
        select(lead_imports).where(c.org_path == org_path, c.digest == digest, within(c.org_path, uow.scope))
    )


async def list_imports(uow: UnitOfWork, after: tuple[datetime, UUID] | None, limit: int) -> Sequence[Row[Any]]:
    """Imports, the newest first."""
    c = lead_imports.c
    statement = select(lead_imports).where(within(c.org_path, uow.scope))
    if after is not None:
        statement = statement.where(tuple_(c.imported_at, c.import_id) < tuple_(*after))
    return await uow.all(statement.order_by(c.imported_at.desc(), c.import_id.desc()).limit(limit))


# --- API keys ---


async def insert_api_key(uow: UnitOfWork, values: Mapping[str, Any]) -> None:
    """Store a key; of its secret only the digest."""
    await uow.execute(insert(api_keys).values(**values))


async def find_api_key(uow: UnitOfWork, key_id: str) -> Row[Any] | None:
    """A key, valid or not."""
    c = api_keys.c
    return await uow.one(select(api_keys).where(c.key_id == key_id, within(c.org_path, uow.scope)))


async def revoke_api_key(uow: UnitOfWork, key_id: str, by: str) -> None:
    """From now on it proves nothing. Who revoked it first stays known."""
    c = api_keys.c
    await uow.execute(
        update(api_keys).where(c.key_id == key_id, c.revoked_at.is_(None)).values(revoked_at=uow.now, revoked_by=by)
    )


async def list_api_keys(uow: UnitOfWork, after: tuple[datetime, str] | None, limit: int) -> Sequence[Row[Any]]:
    """Keys, the newest first."""
    c = api_keys.c
    statement = select(api_keys).where(within(c.org_path, uow.scope))
    if after is not None:
        statement = statement.where(tuple_(c.created_at, c.key_id) < tuple_(*after))
    return await uow.all(statement.order_by(c.created_at.desc(), c.key_id.desc()).limit(limit))


# --- rows and values ---


def _open() -> ColumnElement[bool]:
    # Literals, so that the planner sees that the index of open leads will do.
    return text(f"leads.status IN ({', '.join(repr(str(status)) for status in sorted(OPEN))})")  # type: ignore[return-value]


def _any(values: Sequence[str]) -> ColumnElement[str]:
    return func.any(bindparam(None, list(values), ARRAY(Text)))


def _in_subtree(column: ColumnElement[str], path: str) -> ColumnElement[bool]:
    # As `within`, but as a range that an index can serve ("0" is what follows "/").
    return or_(column == path, and_(column >= path + "/", column < path + "0"))


def _batches(items: Sequence[Item]) -> Iterable[Sequence[Item]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))


def _lead_row(lead: Lead) -> dict[str, Any]:
    profile = lead.profile
    return {
        "lead_id": lead.lead_id,
        "workspace": lead.workspace,
        "org_path": lead.org_path,
        "source": lead.source,
        "status": lead.status,
        "name": profile.name,
        "company": profile.company,
        "phone": profile.phone,
        "email": profile.email,
        "contact_key": profile.contact_key,
        "language": profile.language,
        "territory": profile.territory,
        "interest": profile.interest,
        "attributes": dict(profile.attributes),
        "priority": profile.priority,
        "submitted_by": lead.submitted_by,
        "partner_id": lead.partner_id,
        "source_ref": lead.source_ref,
        "owner_agent_id": lead.owner_agent_id,
        "call_id": lead.call_id,
        "customer_id": lead.customer_id,
        "rejected_because": lead.rejected_because,
        "conversion_id": lead.conversion_id,
        "conversion_refused_because": lead.conversion_refused_because,
        "item_version": lead.item_version,
        "version": lead.version,
        "created_at": lead.created_at,
    }


def _lead(row: Row[Any]) -> Lead:
    return Lead(
        lead_id=row.lead_id,
        workspace=row.workspace,
        org_path=row.org_path,
        source=Source(row.source),
        status=Status(row.status),
        profile=Profile(
            name=row.name,
            company=row.company,
            phone=row.phone,
            email=row.email,
            language=row.language,
            territory=row.territory,
            interest=row.interest,
            attributes=row.attributes,
            priority=row.priority,
        ),
        submitted_by=row.submitted_by,
        created_at=row.created_at,
        partner_id=row.partner_id,
        source_ref=row.source_ref,
        owner_agent_id=row.owner_agent_id,
        call_id=row.call_id,
        customer_id=row.customer_id,
        rejected_because=row.rejected_because,
        conversion_id=row.conversion_id,
        conversion_refused_because=row.conversion_refused_because,
        item_version=row.item_version,
        version=row.version,
    )
