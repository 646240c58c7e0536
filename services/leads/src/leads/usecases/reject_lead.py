"""Nothing will come of a lead."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.leads import LeadRejected

from leads.domain.leads import Actor, Lead, reject, require_own
from leads.usecases.decide import decide
from leads.usecases.find_lead import find_lead
from leads.usecases.save_lead import save_lead


async def reject_lead(uow: UnitOfWork, lead_id: UUID, reason: str, actor: Actor) -> Lead:
    """Reject it; again for the same reason changes nothing.

    Raises:
        Refused: there is none, it is another agent's, or it is over.
    """
    lead = await find_lead(uow, lead_id, lock=True)
    decide(require_own, lead, actor)
    return await save_lead(uow, lead, decide(reject, lead, reason), LeadRejected, "rejected", actor.name)
