"""An agent took a lead."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.leads import LeadAccepted

from leads.domain.leads import accept
from leads.usecases.find_lead import find_lead
from leads.usecases.save_lead import save_lead


async def accept_lead(uow: UnitOfWork, lead_id: UUID, agent_id: str, item_version: int, actor: str) -> None:
    """Make it theirs, unless we know better: see `leads.domain.leads.accept`.

    Raises:
        Refused: there is no such lead.
    """
    lead = await find_lead(uow, lead_id, lock=True)
    await save_lead(uow, lead, accept(lead, agent_id, item_version), LeadAccepted, "accepted", actor)
