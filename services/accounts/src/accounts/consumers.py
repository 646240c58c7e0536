"""What comes over the bus: calls for the history, assignments of service requests, customers to register."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from cordboard_chassis.messaging import GroupHandler, Message, Queue
from cordboard_chassis.phones import normalise_all
from cordboard_chassis.refusals import Refused
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import EVENTS, Envelope, accounts, names, routing, telephony

from accounts.domain.customers import Kind
from accounts.domain.interactions import Interaction, agents_in_order, outcome_of
from accounts.usecases.assign_service_request import assign_service_request
from accounts.usecases.create_customer import NewContact, NewCustomer
from accounts.usecases.record_interactions import record_interactions
from accounts.usecases.register_customer import register_customer


async def on_calls(uow: UnitOfWork, envelopes: Sequence[Envelope[telephony.CallEvent]]) -> None:
    """Every change of a call carries the whole call, so the newest of each call is enough."""
    newest: dict[UUID, Envelope[telephony.CallEvent]] = {}
    for envelope in envelopes:
        known = newest.get(envelope.data.call.call_id)
        if known is None or known.sequence < envelope.sequence:
            newest[envelope.data.call.call_id] = envelope
    calls = [interaction_of(envelope.data.call, envelope.sequence) for envelope in newest.values()]
    await record_interactions(uow, calls, newest)


async def on_assignment_accepted(uow: UnitOfWork, envelope: Envelope[routing.AssignmentAccepted]) -> None:
    """An agent has a work item; here only service requests matter."""
    item, assignment = envelope.data.work_item, envelope.data.assignment
    if item.kind is routing.WorkKind.SERVICE_REQUEST:
        await assign_service_request(uow, item.subject_id, assignment.agent_id, envelope.sequence, _speaker(envelope))


async def on_register_customer(uow: UnitOfWork, envelope: Envelope[accounts.RegisterCustomer]) -> None:
    """Answered by an event in any case: registered, or refused with the reason."""
    command = envelope.data
    try:
        await register_customer(uow, _new_customer(command), _speaker(envelope))
    except Refused as refused:
        # Use cases check before they write, so there is nothing to take back.
        reason = f"{refused.field}: {refused.detail}" if refused.field else refused.detail
        uow.emit(
            accounts.CustomerRegistrationRefused(source_ref=command.source_ref, reason=reason[:500]),
            subject=command.source_ref,
            sequence=1,
            orgpath=command.org_path,
        )


def interaction_of(call: telephony.Call, sequence: int) -> Interaction:
    """A call as the history shows it. Agents are those who were connected with the customer, not those who only rang
    or were asked for advice.
    """
    joined = [
        (at, connection.agent_id)
        for connection in call.connections
        if connection.agent_id is not None
        and (at := connection.joined_at or (None if connection.consultation else connection.answered_at)) is not None
    ]
    return Interaction(
        interaction_id=call.call_id,
        sequence=sequence,
        workspace=call.workspace,
        org_path=call.org_path,
        direction=call.direction,
        from_number=call.from_number,
        dialled=call.dialled,
        agent_ids=agents_in_order(joined),
        outcome=outcome_of(call.answered_at, call.cleared_at),
        started_at=call.offered_at,
        answered_at=call.answered_at,
        ended_at=call.cleared_at,
    )


def _new_customer(command: accounts.RegisterCustomer) -> NewCustomer:
    return NewCustomer(
        org_path=command.org_path,
        kind=Kind(command.kind),
        name=command.name,
        numbers=normalise_all(list(command.phones), None, "phones"),
        contacts=[
            NewContact(
                name=contact.name,
                role=contact.role,
                email=contact.email,
                numbers=normalise_all(list(contact.phones), None, f"contacts.{position}.phones"),
            )
            for position, contact in enumerate(command.contacts)
        ],
        owner_agent_id=command.owner_agent_id,
        language=command.language,
        territory=command.territory,
        source_ref=command.source_ref,
    )


def _speaker(envelope: Envelope[Any]) -> str:
    """Who did it, for the audit: ``/leads`` -> ``service:leads``."""
    return "service:" + envelope.source.removeprefix("/")


_CALLS: dict[Message, GroupHandler] = {
    model: on_calls for model in EVENTS.values() if issubclass(model, telephony.CallEvent)
}
LINGER_S = 0.1
"""Whoever looks into the history may wait so much longer for a call that is just going on."""

QUEUES = (
    Queue(names.queue("accounts", "interactions"), group_handlers=_CALLS, linger_s=LINGER_S),
    Queue(
        names.queue("accounts", "assignments"), {routing.AssignmentAccepted: on_assignment_accepted}, linger_s=LINGER_S
    ),
    Queue(names.queue("accounts", "registrations"), {accounts.RegisterCustomer: on_register_customer}),
)
