"""Put something new before the agents: what is known of its customer, what the rules say, then the engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid5

from cordboard_contracts.vocabulary import Language
from pydantic import TypeAdapter, ValidationError

from routing import engine as core
from routing.domain import rules
from routing.domain.customers import Customer
from routing.domain.times import moment
from routing.live import LiveWorkspace, Work

MAX_PRIORITY = 1000
LANGUAGE = "language"
"""Attribute in which an IVR or a form says what language the customer chose."""

ValueT = TypeVar("ValueT")

_language = TypeAdapter[str](Language)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call, lead or service request that wants an agent."""

    kind: core.WorkKind
    subject_id: UUID
    sequence: int
    org_path: str
    arrived_at: datetime
    customer: Customer | None = None
    customer_name: str = ""
    language: str | None = None
    territory: str | None = None
    priority: int = 0
    skills: Mapping[str, int] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    owner_agent_id: str | None = None
    """Whose it is, if the customer has no agent of their own."""
    pbx_id: str | None = None
    from_number: str | None = None
    dialled: str | None = None


def work_item_id(kind: core.WorkKind, subject_id: UUID) -> UUID:
    """The same subject is the same work item, however often it is told of."""
    return uuid5(subject_id, kind)


def work_of(live: LiveWorkspace, arrival: Arrival) -> tuple[Work, rules.Choice]:
    """The work item of an arrival, as the rules of now would treat it."""
    customer = arrival.customer
    work = Work(
        work_item_id=work_item_id(arrival.kind, arrival.subject_id),
        kind=arrival.kind,
        subject_id=arrival.subject_id,
        subject_sequence=arrival.sequence,
        org_path=arrival.org_path,
        queue=rules.DEFAULT_QUEUE,
        priority=arrival.priority,
        requirement=dict(arrival.skills),
        submitted_at=arrival.arrived_at,
        territory=(customer.territory if customer else None) or arrival.territory,
        language=chosen_language(arrival.attributes) or (customer.language if customer else None) or arrival.language,
        customer_id=customer.customer_id if customer else None,
        customer_name=customer.name if customer else arrival.customer_name,
        customer_tier=customer.tier if customer else None,
        preferred_agent=customer.owner_agent_id if customer else None,
        pbx_id=arrival.pbx_id,
        from_number=arrival.from_number,
        dialled=arrival.dialled,
        attributes=dict(arrival.attributes),
    )
    choice = choose(live, work, priority=arrival.priority, skills=arrival.skills)
    work.queue, work.priority = choice.queue, choice.priority
    work.requirement, work.any_of, work.required_territory = choice.requirement, choice.any_of, choice.territory
    work.wanted, work.due_at = choice.wanted, due_at(work, choice)
    work.preferred_agent = (
        choice.preferred_agent or _last_agent(live, customer, choice) or work.preferred_agent or arrival.owner_agent_id
    )
    if work.preferred_agent is not None and choice.patience_s:
        work.preferred_until = moment(live.now) + timedelta(seconds=choice.patience_s)
    work.rule, work.rule_version = choice.rule, choice.rule_version
    return work, choice


def _last_agent(live: LiveWorkspace, customer: Customer | None, choice: rules.Choice) -> str | None:
    """The customer's last agent, if the rules want them, it is not too long ago and they are signed in."""
    if customer is None or customer.last_accepted_at is None or choice.last_agent_within_s is None:
        return None
    if moment(live.now) - customer.last_accepted_at > timedelta(seconds=choice.last_agent_within_s):
        return None
    agent = live.agents.get(customer.last_agent_id or "")
    return agent.agent_id if agent is not None and agent.status.mode.signed_in else None


def choose(
    live: LiveWorkspace, work: Work, *, priority: int = 0, skills: Mapping[str, int] | None = None
) -> rules.Choice:
    """What the rules say about a work item."""
    return rules.choose(
        live.rule_set,
        rules.Facts(
            kind=work.kind,
            dialled=work.dialled,
            known=work.customer_id is not None,
            tier=work.customer_tier,
            language=work.language,
            territory=work.territory,
            attributes=work.attributes,
            clock=live.clock(),
        ),
        priority=min(priority, MAX_PRIORITY),
        skills=skills,
        hours=live.hours,
    )


def due_at(work: Work, choice: rules.Choice) -> datetime | None:
    """When a work item should be accepted, if the rules say so."""
    return None if choice.due_after_s is None else work.submitted_at + timedelta(seconds=choice.due_after_s)


def chosen_language(attributes: Mapping[str, str]) -> str | None:
    """The language that the customer chose, if it is one."""
    return valid(_language, attributes.get(LANGUAGE))


def valid(adapter: TypeAdapter[ValueT], value: str | None) -> ValueT | None:
    """The value, if it is one."""
    if value is None:
        return None
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return None
