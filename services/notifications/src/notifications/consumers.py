"""What comes from the bus: every event of every service."""

from collections.abc import Iterable, Sequence
from typing import Any

from cordboard_chassis.messaging import Queue
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import Envelope, names
from cordboard_contracts.accounts import InteractionRecorded, ServiceRequestEvent
from cordboard_contracts.leads import LeadEvent
from cordboard_contracts.routing import AgentChanged, AssignmentEvent
from cordboard_contracts.telephony import CallEvent
from pydantic_core import to_json

from notifications.domain.events import NewsItem
from notifications.usecases.record_events import KnownSubscriptions, Retention, record_events

LINGER_S = 0.04
"""Long enough for the events of a busy second to share a few transactions, and nothing to a person at a desktop."""
OUTWARD = {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data", "orgpath"} | {
    "sequence",
    "correlationid",
    "workspace",
}
"""Attributes that partners and desktops get. How we carry a message among ourselves is not theirs to rely on."""


def queues(retention: Retention) -> list[Queue]:
    """One queue; `known` lives as long as its consumer."""
    known = KnownSubscriptions()

    async def record(uow: UnitOfWork, envelopes: Sequence[Envelope[Any]]) -> None:
        await record_events(uow, known, retention, [news_of(envelope) for envelope in envelopes])

    return [Queue(names.queue("notifications", "events"), every_event=record, linger_s=LINGER_S)]


def news_of(envelope: Envelope[Any]) -> NewsItem:
    """The event as it goes out: CloudEvents in structured mode, which with ``timestamp`` is also the payload that
    Standard Webhooks describes (type, timestamp, data)."""
    document = envelope.model_dump_json(include=OUTWARD)
    return NewsItem(
        id=envelope.id,
        type=envelope.type,
        org_path=envelope.orgpath,
        agents=sorted(agents_of(envelope.data)),
        occurred_at=envelope.time,
        body=f'{document[:-1]},"timestamp":{to_json(envelope.time).decode()}}}',
    )


def agents_of(data: Any) -> set[str]:
    """Agents whom an event concerns: what a desktop that wants only its own asks for."""
    found: Iterable[str | None] = ()
    match data:
        case AssignmentEvent():
            found = [data.assignment.agent_id]
        case AgentChanged():
            found = [data.agent.agent_id]
        case CallEvent():
            found = [connection.agent_id for connection in data.call.connections]
        case LeadEvent():
            found = [data.lead.owner_agent_id]
        case ServiceRequestEvent():
            found = [data.service_request.agent_id]
        case InteractionRecorded():
            found = data.interaction.agent_ids
    return {agent_id for agent_id in found if agent_id}
