"""Whoever submitted a lead takes it back."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.leads import LeadRejected

from leads.domain.leads import Lead, withdraw
from leads.usecases.decide import decide
from leads.usecases.find_lead import find_lead
from leads.usecases.save_lead import save_lead


async def withdraw_lead(uow: UnitOfWork, lead_id: UUID, actor: str, *, partner_id: str | None = None) -> Lead:
    """Withdraw it while nobody has it; a partner only what that partner submitted. Again changes nothing.

    Raises:
        Refused: there is none, an agent has it, or it is over.
    """
    lead = await find_lead(uow, lead_id, partner_id=partner_id, lock=True)
    return await save_lead(uow, lead, decide(withdraw, lead), LeadRejected, "withdrawn", actor)
