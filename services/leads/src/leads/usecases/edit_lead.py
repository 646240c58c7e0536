"""Know something else about a lead."""

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.leads import LeadUpdated

from leads.domain.leads import Actor, Lead, Profile, edit, require_own
from leads.usecases.decide import decide
from leads.usecases.save_lead import save_lead


async def edit_lead(uow: UnitOfWork, before: Lead, profile: Profile, actor: Actor) -> Lead:
    """Store another profile; ``before`` was read with a lock.

    Raises:
        Refused: it is another agent's lead, or over, or the profile may not be.
    """
    decide(require_own, before, actor)
    return await save_lead(uow, before, decide(edit, before, profile), LeadUpdated, "edited", actor.name)
