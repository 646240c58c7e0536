"""Accounts: the customer master, interactions and service requests."""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from cordboard_contracts.envelope import CommandData, EventData, OrgPath, OwnerId, Value
from cordboard_contracts.registry import command, event
from cordboard_contracts.vocabulary import E164, Attributes, Identifier, Language, Name, Territory

ShortText = Annotated[str, StringConstraints(max_length=500)]


class CustomerKind(StrEnum):
    """An organisation has contacts; a person is their own contact."""

    ORGANISATION = "organisation"
    PERSON = "person"


class CustomerStatus(StrEnum):
    """Whether we serve them."""

    ACTIVE = "active"
    FROZEN = "frozen"


class Contact(Value):
    """A person at a customer."""

    contact_id: UUID
    name: Name
    role: Annotated[str, StringConstraints(max_length=100)] = ""
    email: Annotated[str, StringConstraints(max_length=320)] | None = None
    phones: Annotated[tuple[E164, ...], Field(max_length=20)] = ()


class Customer(Value):
    """A customer as others may know them."""

    customer_id: UUID
    org_path: OrgPath
    kind: CustomerKind
    status: CustomerStatus
    name: Name
    phones: Annotated[tuple[E164, ...], Field(max_length=20)] = ()
    """The customer's own numbers; those of the contacts stand with them."""
    contacts: Annotated[tuple[Contact, ...], Field(max_length=500)] = ()
    tier: Identifier | None = None
    owner_agent_id: Identifier | None = None
    language: Language | None = None
    territory: Territory | None = None
    born_on: date | None = None
    source_ref: Annotated[str, StringConstraints(max_length=200)] | None = None
    """What it was made from: ``lead:<id>``."""
    created_at: AwareDatetime


class CustomerEvent(EventData):
    """A change of a customer."""

    customer: Customer


@event("accounts.customer.registered.v1")
class CustomerRegistered(CustomerEvent):
    """A customer is new, or a command asked for one that was there already.

    There already means: the same ``source_ref``, or one of the numbers.
    """


@event("accounts.customer.updated.v1")
class CustomerUpdated(CustomerEvent):
    """Something about a customer changed."""


@event("accounts.customer.registration-refused.v1")
class CustomerRegistrationRefused(EventData):
    """A command to register a customer was refused; nothing changed."""

    source_ref: Annotated[str, StringConstraints(max_length=200)]
    reason: ShortText


class NewContact(Value):
    """A contact to be made with its customer."""

    name: Name
    role: Annotated[str, StringConstraints(max_length=100)] = ""
    email: Annotated[str, StringConstraints(max_length=320)] | None = None
    phones: Annotated[tuple[E164, ...], Field(max_length=20)] = ()


@command("accounts.customer.register.v1")
class RegisterCustomer(CommandData):
    """Make a customer of a lead. Idempotent by ``source_ref``; answered by one of the two events above."""

    source_ref: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    org_path: OrgPath
    kind: CustomerKind
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    phones: Annotated[tuple[E164, ...], Field(max_length=20)] = ()
    contacts: Annotated[tuple[NewContact, ...], Field(max_length=20)] = ()
    owner_agent_id: Identifier | None = None
    language: Language | None = None
    territory: Territory | None = None


class InteractionChannel(StrEnum):
    """How customer and we met."""

    CALL = "call"


class InteractionOutcome(StrEnum):
    """What came of it so far."""

    WAITING = "waiting"
    ANSWERED = "answered"
    ABANDONED = "abandoned"


class Interaction(Value):
    """A caller's contact with us, in the customer's history."""

    interaction_id: UUID
    org_path: OrgPath
    channel: InteractionChannel
    customer_id: UUID | None
    """Missing while the number is nobody's."""
    call_id: UUID
    direction: Annotated[str, StringConstraints(max_length=20)]
    from_number: E164 | None
    dialled: Annotated[str, StringConstraints(max_length=80)]
    agent_ids: tuple[Identifier, ...] = ()
    outcome: InteractionOutcome
    started_at: AwareDatetime
    answered_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None


@event("accounts.interaction.recorded.v1")
class InteractionRecorded(EventData):
    """A call is over and stands in the history."""

    interaction: Interaction


class ServiceRequestStatus(StrEnum):
    """Where a service request is."""

    OPEN = "open"
    ASSIGNED = "assigned"
    RESOLVED = "resolved"
    CANCELLED = "cancelled"


class ServiceRequest(Value):
    """Something a customer wants done."""

    service_request_id: UUID
    workspace: OwnerId
    org_path: OrgPath
    customer_id: UUID
    customer_name: Name
    subject: ShortText
    status: ServiceRequestStatus
    priority: Annotated[int, Field(ge=0, le=1000)]
    skills: dict[Identifier, Annotated[int, Field(ge=0, le=100)]] = Field(default_factory=dict)
    language: Language | None = None
    territory: Territory | None = None
    attributes: Attributes = Field(default_factory=dict)
    agent_id: Identifier | None = None
    opened_at: AwareDatetime
    ended_at: AwareDatetime | None = None


class ServiceRequestEvent(EventData):
    """A change of a service request."""

    service_request: ServiceRequest


@event("accounts.service-request.opened.v1")
class ServiceRequestOpened(ServiceRequestEvent):
    """It is new and wants an agent."""


@event("accounts.service-request.assigned.v1")
class ServiceRequestAssigned(ServiceRequestEvent):
    """An agent took it."""


@event("accounts.service-request.resolved.v1")
class ServiceRequestResolved(ServiceRequestEvent):
    """It is done."""


@event("accounts.service-request.cancelled.v1")
class ServiceRequestCancelled(ServiceRequestEvent):
    """It is no longer wanted."""
