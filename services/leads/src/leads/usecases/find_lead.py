"""Read one lead, or say that there is none."""

from uuid import UUID

from cordboard_chassis.refusals import NotFound
from cordboard_chassis.unit_of_work import UnitOfWork

from leads.domain.leads import Lead
from leads.storage import queries


async def find_lead(uow: UnitOfWork, lead_id: UUID, *, partner_id: str | None = None, lock: bool = False) -> Lead:
    """The lead; a partner finds only what that partner submitted.

    Raises:
        NotFound: there is none, or it is out of the caller's sight.
    """
    lead = await queries.find_lead(uow, lead_id, partner_id=partner_id, lock=lock)
    if lead is None:
        raise NotFound(f"there is no lead {lead_id}", "lead_id")
    return lead
