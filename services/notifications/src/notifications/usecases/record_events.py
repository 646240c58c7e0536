"""Write events into the ledger: a place in the stream for each, and a delivery for each endpoint that wants it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_contracts import new_id
from pydantic_core import to_json

from notifications.domain.events import NewsItem
from notifications.domain.subscriptions import Subscription, Subscriptions
from notifications.storage import queries

log = logging.getLogger(__name__)


class KnownSubscriptions:
    """All subscriptions in memory, with the version of the table that they are of."""

    def __init__(self) -> None:
        self.version = 0
        self.all = Subscriptions(())

    async def load(self, uow: UnitOfWork) -> None:
        """Read them all; once at the start and after each change of an endpoint."""
        rows = await uow.all(queries.SUBSCRIPTIONS)
        version = rows[0].version if rows else await uow.scalar(queries.SUBSCRIPTION_VERSION)
        self.all = Subscriptions(Subscription(row.id, row.org_path, tuple(row.event_types)) for row in rows)
        self.version = version


@dataclass(frozen=True)
class Retention:
    """How long to keep an event that somebody gets as a webhook, and one that only the stream needs."""

    ledger_s: float
    stream_s: float


async def record_events(
    uow: UnitOfWork, known: KnownSubscriptions, retention: Retention, items: Sequence[NewsItem]
) -> None:
    """Record events that were not recorded before. One statement, as long as no endpoint has changed."""
    if known.version == 0:
        await known.load(uow)
    matches = _match(known, items)
    wanted = {event_id for _, event_id, _ in matches}
    row = await uow.one(
        queries.RECORD,
        {
            "stream": queries.STREAM_CHANNEL,
            "deliveries": queries.DELIVERIES_CHANNEL,
            "events": to_json(
                [
                    {
                        "id": item.id,
                        "type": item.type,
                        "org_path": item.org_path,
                        "agents": ",".join(item.agents),
                        "occurred_at": item.occurred_at,
                        "keep_s": retention.ledger_s if item.id in wanted else retention.stream_s,
                        "body": item.body,
                    }
                    for item in items
                ]
            ).decode(),
            **queries.arrays(matches, "delivery_ids", "event_ids", "endpoint_ids"),
        },
    )
    assert row is not None
    if row.version != known.version:
        await _match_again(uow, known, retention, items)


async def _match_again(
    uow: UnitOfWork, known: KnownSubscriptions, retention: Retention, items: Sequence[NewsItem]
) -> None:
    """An endpoint has changed since the subscriptions were read; so that every replica decides alike, decide anew."""
    await known.load(uow)
    matches = _match(known, items)
    log.info("subscriptions were read anew", extra={"version": known.version})
    await uow.execute(queries.FORGET_MATCHES, {"event_ids": [item.id for item in items]})
    if matches:
        await uow.execute(queries.ADD_DELIVERIES, queries.arrays(matches, "delivery_ids", "event_ids", "endpoint_ids"))
        keep = {"ids": [event_id for _, event_id, _ in matches], "keep_s": retention.ledger_s}
        await uow.execute(queries.KEEP_EVENTS, keep)
        await uow.execute(queries.WAKE, {"channel": queries.DELIVERIES_CHANNEL})


def _match(known: KnownSubscriptions, items: Sequence[NewsItem]) -> list[tuple[UUID, UUID, UUID]]:
    """(new delivery id, event id, endpoint id) for each webhook that is due."""
    return [
        (new_id(), item.id, endpoint_id)
        for item in items
        for endpoint_id in known.all.matching(item.type, item.org_path)
    ]
