"""A lead: submitted, accepted by an agent, then rejected or converted into a customer.

    submitted --accept--> accepted --convert--> converting --registered--> converted
        |                  |    ^                   |
        +----reject--------+    +-----refused-------+
        v
    rejected

Every function returns the lead as it is afterwards; the same object when nothing happened, because what was asked had
been done before, or came too late. That makes each of them safe to repeat.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from leads.domain.rules import NotYours, RuleBroken, Wrong

MAX_EMAIL_LENGTH = 320
WITHDRAWN = "withdrawn"
"""Why a lead is rejected that its submitter took back."""


class Source(StrEnum):
    """Where it came from."""

    CALL = "call"
    WEB = "web"
    CSV = "csv"


class Status(StrEnum):
    """Where it is."""

    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CONVERTING = "converting"
    CONVERTED = "converted"


OPEN = frozenset({Status.SUBMITTED, Status.ACCEPTED, Status.CONVERTING})
"""Somebody is, or shall be, in touch with this person: a second lead about them would make two."""
EDITABLE = frozenset({Status.SUBMITTED, Status.ACCEPTED})


class CustomerKind(StrEnum):
    """What a lead can become."""

    ORGANISATION = "organisation"
    PERSON = "person"


@dataclass(frozen=True)
class Profile:
    """What we know about the person, and what they want. Phone or e-mail is there."""

    name: str = ""
    company: str = ""
    phone: str | None = None
    """E.164."""
    email: str | None = None
    language: str | None = None
    territory: str | None = None
    interest: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0

    @property
    def contact_key(self) -> str:
        """Two open leads with the same key are about the same person: the number, or else the address."""
        return self.phone or f"mailto:{(self.email or '').lower()}"


@dataclass(frozen=True)
class Lead:
    """A lead as it is at one version."""

    lead_id: UUID
    workspace: str
    org_path: str
    source: Source
    status: Status
    profile: Profile
    submitted_by: str
    created_at: datetime
    partner_id: str | None = None
    """The partner who submitted it."""
    source_ref: str | None = None
    """What it was made from, if that may come again: ``call:<id>``, ``csv:<digest>:<line>``."""
    owner_agent_id: str | None = None
    call_id: UUID | None = None
    customer_id: UUID | None = None
    rejected_because: str | None = None
    conversion_id: UUID | None = None
    """Id of the last command that asked accounts for a customer."""
    conversion_refused_because: str | None = None
    """What accounts said to it; gone as soon as it is asked again."""
    item_version: int = 0
    """Version of the work item that told who has it."""
    version: int = 1


@dataclass(frozen=True)
class Actor:
    """Who does something. ``agent_id`` is set for agents, who work on their own leads only."""

    name: str
    agent_id: str | None = None
    supervises: bool = False
    """May act on anybody's lead."""


@dataclass(frozen=True)
class Registration:
    """The customer that a lead shall become."""

    kind: CustomerKind
    name: str
    phones: tuple[str, ...]
    contact_name: str | None
    """The person to make with it; for a person only to keep the e-mail address."""
    contact_email: str | None
    contact_phones: tuple[str, ...]


def require_reachable(profile: Profile) -> None:
    """A lead whom nobody can reach is none.

    Raises:
        Wrong: there is neither phone nor e-mail, or the address cannot be one.
    """
    if profile.phone is None and profile.email is None:
        raise Wrong("give a phone number or an e-mail address", "phone")
    if profile.email is not None and not is_email(profile.email):
        raise Wrong("is not an e-mail address", "email")


def is_email(text: str) -> bool:
    """Whether this could be an address: one ``@`` between a name and a domain, nothing unprintable."""
    name, at, domain = text.rpartition("@")
    return (
        bool(at and name and domain)
        and "@" not in name
        and len(text) <= MAX_EMAIL_LENGTH
        and text.isprintable()
        and " " not in text
        and all(domain.split("."))
    )


def require_own(lead: Lead, actor: Actor) -> None:
    """Agents work on the leads that they have accepted; supervisors on all.

    Raises:
        NotYours: it is another agent's, or nobody's yet.
    """
    if actor.supervises or (actor.agent_id is not None and lead.owner_agent_id == actor.agent_id):
        return
    whose = "nobody has accepted it yet" if lead.owner_agent_id is None else "it belongs to another agent"
    raise NotYours(f"only its own agent or a supervisor may do this: {whose}")


def accept(lead: Lead, agent_id: str, item_version: int) -> Lead:
    """An agent took it, at this version of its work item. What is older than what we know, or too late, is nothing."""
    if lead.status not in EDITABLE or item_version <= lead.item_version:
        return lead
    if lead.status is Status.ACCEPTED and lead.owner_agent_id == agent_id:
        return lead
    return _next(lead, status=Status.ACCEPTED, owner_agent_id=agent_id, item_version=item_version)


def edit(lead: Lead, profile: Profile) -> Lead:
    """Know something else about the person.

    Raises:
        RuleBroken: it is too late, or the result may not be.
    """
    if lead.status not in EDITABLE:
        raise RuleBroken(f"lead-{lead.status}", f"the lead is {lead.status} and can no longer be changed")
    require_reachable(profile)
    return lead if profile == lead.profile else _next(lead, profile=profile)


def link_call(lead: Lead, call_id: UUID) -> Lead:
    """The person called; the first such call stays with the lead."""
    return lead if lead.call_id is not None else _next(lead, call_id=call_id)


def reject(lead: Lead, reason: str) -> Lead:
    """Nothing will come of it.

    Raises:
        RuleBroken: it is becoming a customer or is one, or was rejected for another reason.
    """
    if lead.status is Status.REJECTED and lead.rejected_because == reason:
        return lead
    if lead.status not in EDITABLE:
        raise RuleBroken(f"lead-{lead.status}", f"the lead is {lead.status}")
    return _next(lead, status=Status.REJECTED, rejected_because=reason)


def withdraw(lead: Lead) -> Lead:
    """Its submitter takes it back, as long as no agent has it.

    Raises:
        RuleBroken: an agent has it, or it is over.
    """
    if lead.status is Status.ACCEPTED:
        raise RuleBroken("lead-accepted", "an agent has accepted the lead")
    return reject(lead, WITHDRAWN)


def registration(lead: Lead, kind: CustomerKind | None) -> Registration:
    """The customer to ask accounts for; by default an organisation when there is a company, else a person.

    Raises:
        Wrong: it has no name yet that a customer of this kind could have.
    """
    known = lead.profile
    phones = (known.phone,) if known.phone else ()
    wanted = kind or (CustomerKind.ORGANISATION if known.company else CustomerKind.PERSON)
    if wanted is CustomerKind.PERSON:
        if not known.name:
            raise Wrong("give the lead a name first: a customer has one", "name")
        return Registration(wanted, known.name, phones, known.name if known.email else None, known.email, ())
    if not known.company:
        raise Wrong("give the lead a company first: an organisation has a name", "company")
    if known.name:
        return Registration(wanted, known.company, (), known.name, known.email, phones)
    return Registration(wanted, known.company, phones, known.company if known.email else None, known.email, ())


def needs_conversion(lead: Lead) -> bool:
    """Whether accounts has still to be asked; False when it was asked already.

    Raises:
        RuleBroken: nobody has accepted it, or it was rejected.
    """
    if lead.status in {Status.CONVERTING, Status.CONVERTED}:
        return False
    if lead.status is Status.SUBMITTED:
        raise RuleBroken("lead-submitted", "no agent has accepted the lead yet")
    if lead.status is Status.REJECTED:
        raise RuleBroken("lead-rejected", "the lead is rejected")
    return True


def converting(lead: Lead, conversion_id: UUID) -> Lead:
    """Accounts is asked by the command with this id."""
    assert lead.status is Status.ACCEPTED
    return _next(lead, status=Status.CONVERTING, conversion_id=conversion_id, conversion_refused_because=None)


def registered(lead: Lead, customer_id: UUID) -> Lead:
    """Accounts has the customer. Also true when a refusal of an earlier try came in between."""
    if lead.status is Status.CONVERTING or (lead.status is Status.ACCEPTED and lead.conversion_id is not None):
        return _next(lead, status=Status.CONVERTED, customer_id=customer_id, conversion_refused_because=None)
    return lead


def refused(lead: Lead, conversion_id: UUID | None, reason: str) -> Lead:
    """Accounts said no to the command with this id: the agent has it again. The answer to an earlier try is nothing."""
    if lead.status is not Status.CONVERTING or conversion_id not in {None, lead.conversion_id}:
        return lead
    return _next(lead, status=Status.ACCEPTED, conversion_refused_because=reason)


def _next(lead: Lead, **changes: Any) -> Lead:
    return replace(lead, version=lead.version + 1, **changes)
