"""Leads: strangers who may become customers."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from cordboard_contracts.envelope import EventData, OrgPath, OwnerId, Value
from cordboard_contracts.registry import event
from cordboard_contracts.vocabulary import E164, Attributes, Identifier, Language, Name, Territory


class LeadSource(StrEnum):
    """Where it came from."""

    CALL = "call"
    WEB = "web"
    CSV = "csv"


class LeadStatus(StrEnum):
    """Where it is."""

    SUBMITTED = "submitted"
    """It waits for an agent."""
    ACCEPTED = "accepted"
    """An agent has it."""
    REJECTED = "rejected"
    CONVERTING = "converting"
    """Accounts was asked to make it a customer."""
    CONVERTED = "converted"


class Lead(Value):
    """A lead as others may know it."""

    lead_id: UUID
    workspace: OwnerId
    org_path: OrgPath
    source: LeadSource
    status: LeadStatus
    name: Name = ""
    company: Name = ""
    phone: E164 | None = None
    email: Annotated[str, StringConstraints(max_length=320)] | None = None
    language: Language | None = None
    territory: Territory | None = None
    interest: Annotated[str, StringConstraints(max_length=500)] = ""
    attributes: Attributes = Field(default_factory=dict)
    priority: Annotated[int, Field(ge=0, le=1000)] = 0
    owner_agent_id: Identifier | None = None
    call_id: UUID | None = None
    customer_id: UUID | None = None
    rejected_because: Annotated[str, StringConstraints(max_length=200)] | None = None
    conversion_refused_because: Annotated[str, StringConstraints(max_length=500)] | None = None
    """Why accounts made no customer of it the last time it was asked; the lead is its agent's again."""
    created_at: AwareDatetime


class LeadEvent(EventData):
    """A change of a lead."""

    lead: Lead


@event("leads.lead.submitted.v1")
class LeadSubmitted(LeadEvent):
    """It is new and wants an agent."""


@event("leads.lead.captured.v1")
class LeadCaptured(LeadEvent):
    """It was made from an unknown caller and belongs to the agent who answered; no routing is wanted."""


@event("leads.lead.updated.v1")
class LeadUpdated(LeadEvent):
    """Something about it changed."""


@event("leads.lead.accepted.v1")
class LeadAccepted(LeadEvent):
    """An agent took it."""


@event("leads.lead.rejected.v1")
class LeadRejected(LeadEvent):
    """It will not become a customer; the lead says why."""


@event("leads.lead.converted.v1")
class LeadConverted(LeadEvent):
    """It became the customer ``customer_id``."""
