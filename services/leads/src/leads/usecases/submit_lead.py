"""Take a lead from a form, or find the one that is there already."""

from dataclasses import dataclass

from cordboard_chassis.refusals import Conflict
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import new_id

from leads.domain.leads import Lead, Profile, Source, Status, require_reachable
from leads.storage import queries
from leads.storage.queries import AuditEntry
from leads.usecases.decide import decide
from leads.usecases.save_lead import save_new_leads

TRIES = 3


@dataclass(frozen=True)
class NewLead:
    """A lead to be made."""

    workspace: str
    org_path: str
    source: Source
    profile: Profile
    partner_id: str | None = None
    source_ref: str | None = None


@dataclass(frozen=True)
class Submission:
    """What became of it: a new lead, or the open one about the same person."""

    lead: Lead
    duplicate: bool


async def submit_lead(uow: UnitOfWork, new: NewLead, actor: str) -> Submission:
    """Make a lead and have it routed. If there is an open one with the same number (or, without a number, the same
    address) in the same part of the organisation, that one is returned, and its audit keeps what was sent now.

    Raises:
        Refused: nobody could reach this person.
    """
    decide(require_reachable, new.profile)
    for _ in range(TRIES):
        lead = make_lead(uow, new, actor)
        if await save_new_leads(uow, [lead], actor):
            return Submission(lead, duplicate=False)
        twin = await queries.find_twin(uow, new.org_path, new.profile.contact_key)
        if twin is not None:
            await queries.insert_audit(uow, [_again(twin, new, actor)])
            return Submission(twin, duplicate=True)
        # It was closed between the two statements.
    raise Conflict("leads about this person are being opened and closed just now, try again", code="lead-busy")


def make_lead(uow: UnitOfWork, new: NewLead, actor: str) -> Lead:
    """The lead that waits for an agent; not stored."""
    return Lead(
        lead_id=new_id(),
        workspace=new.workspace,
        org_path=new.org_path,
        source=new.source,
        status=Status.SUBMITTED,
        profile=new.profile,
        submitted_by=actor,
        created_at=uow.now,
        partner_id=new.partner_id,
        source_ref=new.source_ref,
    )


def _again(twin: Lead, new: NewLead, actor: str) -> AuditEntry:
    sent = {**vars(new.profile), "source": str(new.source), "partner_id": new.partner_id}
    return AuditEntry(twin.lead_id, twin.org_path, twin.version, "submitted-again", actor, {}, sent)
