"""An unknown caller becomes a lead of the agent who answered."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import new_id
from cordboard_contracts.leads import LeadCaptured, LeadUpdated

from leads.domain.leads import Lead, Profile, Source, Status, link_call
from leads.storage import queries
from leads.usecases.save_lead import save_lead, save_new_leads


async def capture_caller(
    uow: UnitOfWork, *, call_id: UUID, agent_id: str, workspace: str, org_path: str, profile: Profile, actor: str
) -> None:
    """Make a lead of the number. One call makes one lead, and a number has one open lead: if there is one already,
    waiting for an agent or in the hands of one, the call is linked to it and it stays theirs."""
    source_ref = f"call:{call_id}"
    lead = Lead(
        lead_id=new_id(),
        workspace=workspace,
        org_path=org_path,
        source=Source.CALL,
        status=Status.ACCEPTED,
        profile=profile,
        submitted_by=actor,
        created_at=uow.now,
        source_ref=source_ref,
        owner_agent_id=agent_id,
        call_id=call_id,
    )
    while not await save_new_leads(uow, [lead], actor, LeadCaptured):
        twin = await queries.find_twin(uow, org_path, profile.contact_key)
        if twin is not None:
            await save_lead(uow, twin, link_call(twin, call_id), LeadUpdated, "called", actor)
            return
        if await queries.find_by_source(uow, org_path, source_ref) is not None:
            return  # the call was transferred; its lead is closed already
