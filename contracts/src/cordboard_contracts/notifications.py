"""Notifications: what became of the webhooks."""

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, StringConstraints

from cordboard_contracts.envelope import EventData, OrgPath, Value
from cordboard_contracts.registry import event


class Endpoint(Value):
    """A partner's address for webhooks."""

    endpoint_id: UUID
    org_path: OrgPath
    enabled: bool
    reason: Annotated[str, StringConstraints(max_length=200)] | None = None
    """Why it is disabled."""
    changed_at: AwareDatetime


@event("notifications.endpoint.disabled.v1")
class EndpointDisabled(EventData):
    """Nothing is sent there any more: it said 410, failed for too long, or somebody switched it off."""

    endpoint: Endpoint


class Message(Value):
    """One event on its way to one endpoint."""

    message_id: UUID
    endpoint_id: UUID
    org_path: OrgPath
    event_id: UUID
    event_type: Annotated[str, StringConstraints(max_length=200)]
    attempts: int
    last_status: int | None = None
    ended_at: AwareDatetime


@event("notifications.message.failed.v1")
class MessageFailed(EventData):
    """A webhook was given up after its last attempt."""

    message: Message
