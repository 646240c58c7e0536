"""Ask accounts to make a customer of a lead."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import accounts
from cordboard_contracts.leads import LeadUpdated

from leads.domain.leads import (
    Actor,
    CustomerKind,
    Lead,
    Registration,
    converting,
    needs_conversion,
    registration,
    require_own,
)
from leads.usecases.decide import decide
from leads.usecases.find_lead import find_lead
from leads.usecases.save_lead import save_lead


async def convert_lead(uow: UnitOfWork, lead_id: UUID, kind: CustomerKind | None, actor: Actor) -> Lead:
    """Send the command, once: a lead that is being converted, or is a customer already, is returned as it is.

    Raises:
        Refused: there is none, it is another agent's, nobody has accepted it, or it has no name.
    """
    lead = await find_lead(uow, lead_id, lock=True)
    decide(require_own, lead, actor)
    if not decide(needs_conversion, lead):
        return lead
    command = uow.emit(
        _command(lead, decide(registration, lead, kind)),
        subject=source_ref(lead_id),
        sequence=lead.version,
        orgpath=lead.org_path,
        partitionkey=str(lead_id),
    )
    return await save_lead(uow, lead, converting(lead, command.id), LeadUpdated, "converting", actor.name)


def source_ref(lead_id: UUID) -> str:
    """How accounts calls what a customer was made from."""
    return f"lead:{lead_id}"


def lead_of(ref: str | None) -> UUID | None:
    """Back from `source_ref`; None when the customer was made from something else."""
    kind, _, lead_id = (ref or "").partition(":")
    try:
        return UUID(lead_id) if kind == "lead" else None
    except ValueError:
        return None


def _command(lead: Lead, wanted: Registration) -> accounts.RegisterCustomer:
    contacts = (
        (accounts.NewContact(name=wanted.contact_name, email=wanted.contact_email, phones=wanted.contact_phones),)
        if wanted.contact_name
        else ()
    )
    return accounts.RegisterCustomer(
        source_ref=source_ref(lead.lead_id),
        org_path=lead.org_path,
        kind=accounts.CustomerKind(wanted.kind),
        name=wanted.name,
        phones=wanted.phones,
        contacts=contacts,
        owner_agent_id=lead.owner_agent_id,
        language=lead.profile.language,
        territory=lead.profile.territory,
    )
