"""Accounts has answered: there is a customer, or there will be none."""

from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts.leads import LeadConverted, LeadUpdated

from leads.domain.leads import refused, registered
from leads.usecases.find_lead import find_lead
from leads.usecases.save_lead import save_lead


async def become_customer(uow: UnitOfWork, lead_id: UUID, customer_id: UUID, actor: str) -> None:
    """The lead is this customer now.

    Raises:
        Refused: there is no such lead.
    """
    lead = await find_lead(uow, lead_id, lock=True)
    await save_lead(uow, lead, registered(lead, customer_id), LeadConverted, "converted", actor)


async def return_to_agent(uow: UnitOfWork, lead_id: UUID, command_id: UUID | None, reason: str, actor: str) -> None:
    """Accounts refused the command ``command_id``; the agent reads why and has the lead again.

    Raises:
        Refused: there is no such lead.
    """
    lead = await find_lead(uow, lead_id, lock=True)
    await save_lead(uow, lead, refused(lead, command_id, reason), LeadUpdated, "conversion-refused", actor)
