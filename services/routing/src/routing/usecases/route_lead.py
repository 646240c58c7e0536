"""Bring a work item into agreement with the newest picture of its lead."""

from datetime import datetime

from cordboard_contracts.leads import Lead, LeadSource, LeadStatus

from routing import engine as core
from routing.domain.customers import Customer
from routing.live import LiveWorkspace
from routing.usecases.route_work import Arrival, work_item_id, work_of

_OVER = (LeadStatus.REJECTED, LeadStatus.CONVERTED)


def route_lead(
    live: LiveWorkspace, lead: Lead, sequence: int, customer: Customer | None, *, known: bool, now: datetime
) -> None:
    """Submit it while it wants an agent; close it when it is rejected or converted, whatever came first."""
    item_id = work_item_id(core.WorkKind.LEAD, lead.lead_id)
    work = live.works.get(item_id)
    if work is not None:
        if sequence <= work.subject_sequence:
            return
        work.subject_sequence = sequence
        live.touch(work)
        if lead.status in _OVER:
            live.step(core.CancelItem(work.item_id, lead.status))
        return
    captured = lead.source is LeadSource.CALL  # belongs to the agent who answered; it never wanted one
    in_hand = lead.status in (LeadStatus.ACCEPTED, LeadStatus.CONVERTING)
    if known or live.is_closed(item_id) or captured or in_hand:
        return
    work, _ = work_of(
        live,
        Arrival(
            kind=core.WorkKind.LEAD,
            subject_id=lead.lead_id,
            sequence=sequence,
            org_path=lead.org_path,
            arrived_at=min(lead.created_at, now),
            customer=customer,
            customer_name=lead.name or lead.company,
            language=lead.language,
            territory=lead.territory,
            priority=lead.priority,
            attributes=lead.attributes,
            from_number=lead.phone,
            owner_agent_id=lead.owner_agent_id,
        ),
    )
    if lead.status in _OVER:
        live.submit_closed(work, completed=lead.status is LeadStatus.CONVERTED, outcome=lead.status)
    else:
        live.submit(work)
