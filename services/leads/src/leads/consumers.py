"""What other services say that concerns leads."""

from cordboard_chassis.messaging import Queue
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import Envelope, names
from cordboard_contracts.accounts import CustomerRegistered, CustomerRegistrationRefused
from cordboard_contracts.routing import AssignmentAccepted, WorkKind

from leads.domain.leads import Profile
from leads.usecases.accept_lead import accept_lead
from leads.usecases.capture_caller import capture_caller
from leads.usecases.convert_lead import lead_of
from leads.usecases.finish_conversion import become_customer, return_to_agent


async def on_assignment_accepted(uow: UnitOfWork, envelope: Envelope[AssignmentAccepted]) -> None:
    """An agent took a lead; or a call, of which a lead is made when nobody knows the number."""
    item, assignment = envelope.data.work_item, envelope.data.assignment
    if item.kind is WorkKind.LEAD:
        await accept_lead(uow, item.subject_id, assignment.agent_id, envelope.sequence, envelope.type)
    elif item.call is not None and item.call.from_number is not None and item.customer_id is None:
        await capture_caller(
            uow,
            call_id=item.call.call_id,
            agent_id=assignment.agent_id,
            workspace=item.workspace,
            org_path=item.org_path,
            profile=Profile(phone=item.call.from_number, language=item.language, territory=item.territory),
            actor=envelope.type,
        )


async def on_customer_registered(uow: UnitOfWork, envelope: Envelope[CustomerRegistered]) -> None:
    """A customer is new, perhaps made from a lead."""
    customer = envelope.data.customer
    lead_id = lead_of(customer.source_ref)
    if lead_id is not None:
        await become_customer(uow, lead_id, customer.customer_id, envelope.type)


async def on_registration_refused(uow: UnitOfWork, envelope: Envelope[CustomerRegistrationRefused]) -> None:
    """Accounts made no customer, perhaps of a lead."""
    refusal = envelope.data
    lead_id = lead_of(refusal.source_ref)
    if lead_id is not None:
        await return_to_agent(uow, lead_id, envelope.causationid, refusal.reason, envelope.type)


LINGER_S = 0.05
QUEUES = [
    # Of every assignment of a call, too: many at once cost little more than one.
    Queue(names.queue("leads", "assignments"), {AssignmentAccepted: on_assignment_accepted}, linger_s=LINGER_S),
    Queue(
        names.queue("leads", "customers"),
        {CustomerRegistered: on_customer_registered, CustomerRegistrationRefused: on_registration_refused},
    ),
]
