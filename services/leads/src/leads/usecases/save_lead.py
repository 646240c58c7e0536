"""Store a version of a lead, audit what differs, and tell everybody."""

from collections.abc import Sequence
from uuid import UUID

from cordboard_chassis.refusals import Conflict
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import leads as contract
from sqlalchemy.exc import IntegrityError

from leads.domain.changes import between
from leads.domain.leads import Lead
from leads.storage import queries
from leads.storage.queries import AuditEntry

BATCH = 200
"""Leads in one statement: between two of them the process serves others."""


async def save_new_leads(
    uow: UnitOfWork, new: Sequence[Lead], actor: str, event: type[contract.LeadEvent] = contract.LeadSubmitted
) -> set[UUID]:
    """Store leads that are new and tell of them; returns the ids of those that are, see `queries.insert_leads`."""
    stored_ids: set[UUID] = set()
    for start in range(0, len(new), BATCH):
        batch = new[start : start + BATCH]
        stored_ids |= await queries.insert_leads(uow, batch)
        stored = [lead for lead in batch if lead.lead_id in stored_ids]
        await queries.insert_audit(uow, [_entry(None, lead, "submitted", actor) for lead in stored])
        for lead in stored:
            _announce(uow, lead, event)
    return stored_ids


async def save_lead(
    uow: UnitOfWork, before: Lead, after: Lead, event: type[contract.LeadEvent], action: str, actor: str
) -> Lead:
    """Store what the domain made of a lead that was read with a lock; nothing happens when that is nothing.

    Raises:
        Conflict: its new number is that of another open lead.
    """
    if after is before:
        return before
    if after.profile.contact_key == before.profile.contact_key:
        await queries.update_lead(uow, after)
    else:
        await _update_contact(uow, after)
    await queries.insert_audit(uow, [_entry(before, after, action, actor)])
    _announce(uow, after, event)
    return after


async def _update_contact(uow: UnitOfWork, after: Lead) -> None:
    try:
        async with uow.connection.begin_nested():
            await queries.update_lead(uow, after)
    except IntegrityError as error:
        twin = await queries.find_twin(uow, after.org_path, after.profile.contact_key)
        if twin is None:
            raise
        detail = f"there is an open lead about this person: {twin.lead_id}"
        raise Conflict(detail, "phone" if after.profile.phone else "email", "lead-duplicate") from error


def _entry(before: Lead | None, after: Lead, action: str, actor: str) -> AuditEntry:
    old, new = between(before, after)
    return AuditEntry(after.lead_id, after.org_path, after.version, action, actor, old, new)


def _announce(uow: UnitOfWork, lead: Lead, event: type[contract.LeadEvent]) -> None:
    uow.emit(
        event(lead=as_contract(lead)),
        subject=lead.lead_id,
        sequence=lead.version,
        orgpath=lead.org_path,
        workspace=lead.workspace,
    )


def as_contract(lead: Lead) -> contract.Lead:
    """A lead as others may know it."""
    profile = lead.profile
    return contract.Lead(
        lead_id=lead.lead_id,
        workspace=lead.workspace,
        org_path=lead.org_path,
        source=contract.LeadSource(lead.source),
        status=contract.LeadStatus(lead.status),
        name=profile.name,
        company=profile.company,
        phone=profile.phone,
        email=profile.email,
        language=profile.language,
        territory=profile.territory,
        interest=profile.interest,
        attributes=dict(profile.attributes),
        priority=profile.priority,
        owner_agent_id=lead.owner_agent_id,
        call_id=lead.call_id,
        customer_id=lead.customer_id,
        rejected_because=lead.rejected_because,
        conversion_refused_because=lead.conversion_refused_because,
        created_at=lead.created_at,
    )
