"""Take webhooks that are due, for this process alone and for a limited time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork

from notifications.domain.health import OPEN_AFTER_FAILURES
from notifications.storage import queries


@dataclass(frozen=True)
class Claimed:
    """A webhook that this process sends now. Its attempt is on record as begun."""

    id: UUID
    event_id: UUID
    endpoint_id: UUID
    number: int
    """Of the attempt, from 1, over all rounds."""
    round_number: int
    """Of the attempt, from 1, since the webhook was made or redelivered."""
    url: str
    body: bytes
    sealed_secrets: tuple[str, ...]
    """Of the endpoint, the newest first."""
    received_at: datetime
    fills: bool
    """The endpoint may have more that is due than we may send it at once."""


async def claim_deliveries(
    uow: UnitOfWork, *, free: int, busy: Mapping[UUID, int], endpoint_limit: int, lease_s: float
) -> list[Claimed]:
    """At most ``free`` of what is due; ``busy`` tells how many this process is sending to each endpoint already.

    Endpoints take turns, so that a long backlog of one does not keep the others waiting.
    """
    rows = await uow.all(
        queries.CLAIM,
        {
            "free": free,
            "busy_ids": list(busy),
            "busy_numbers": list(busy.values()),
            "endpoint_limit": endpoint_limit,
            "open_after": OPEN_AFTER_FAILURES,
            "lease_s": lease_s,
        },
    )
    taken: dict[UUID, int] = {}
    for row in rows:
        taken[row.endpoint_id] = taken.get(row.endpoint_id, 0) + 1
    return [
        Claimed(
            id=row.id,
            event_id=row.event_id,
            endpoint_id=row.endpoint_id,
            number=row.attempts,
            round_number=row.attempts - row.round_began,
            url=row.url,
            body=row.body.encode(),
            sealed_secrets=tuple(row.sealed_secrets),
            received_at=row.received_at,
            fills=taken[row.endpoint_id] >= row.room,
        )
        for row in rows
    ]
