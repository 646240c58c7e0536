"""Messages set aside: stored in the service's database, for an operator to look at, replay or discard."""

import asyncio
import base64
import contextlib
import hashlib
import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPException
from cordboard_contracts import names
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from cordboard_chassis.database import Database
from cordboard_chassis.messaging.broker import ATTEMPTS, ORIGIN, REASON, Publisher
from cordboard_chassis.messaging.deliveries import receive

log = logging.getLogger(__name__)

PREFETCH = 20
STORE_PAUSE_S = 0.5

_STORE = text(
    """
    INSERT INTO parked_messages (queue, message_id, type, reason, attempts, headers, body)
    VALUES (:queue, :message_id, :type, :reason, :attempts, CAST(:headers AS jsonb), :body)
    ON CONFLICT ON CONSTRAINT parked_messages_once DO NOTHING
    """
)
_LIST = text(
    """
    SELECT id, queue, message_id, type, reason, attempts, headers, body, parked_at FROM parked_messages
    WHERE (CAST(:queue AS text) IS NULL OR queue = :queue) AND id > :after ORDER BY id LIMIT :limit
    """
)
_GET = text(
    "SELECT id, queue, message_id, type, reason, attempts, headers, body, parked_at FROM parked_messages WHERE id = :id"
    " FOR UPDATE"
)
_DELETE = text("DELETE FROM parked_messages WHERE id = :id RETURNING id")


@dataclass(frozen=True)
class Parked:
    """A message that was set aside."""

    id: int
    queue: str
    message_id: str
    type: str
    reason: str
    attempts: int
    headers: dict[str, Any]
    body: bytes
    parked_at: datetime

    def as_json(self, *, with_body: bool) -> dict[str, Any]:
        """For the operator; a body that is not text comes in base64."""
        view: dict[str, Any] = {
            "id": self.id,
            "queue": self.queue,
            "message_id": self.message_id,
            "type": self.type,
            "reason": self.reason,
            "attempts": self.attempts,
            "parked_at": self.parked_at.isoformat(),
        }
        if with_body:
            view["headers"] = self.headers
            try:
                view["body"] = self.body.decode()
            except UnicodeDecodeError:
                view["body_base64"] = base64.b64encode(self.body).decode()
        return view


async def collect(
    connection: AbstractConnection, consumer: str, owner_kinds: Collection[str], database: Database
) -> None:
    """Move what arrives in the parked queue into the table, for as long as the connection lasts.

    Messages that name no owner of ``owner_kinds`` pass by here, too: a type is bound to the owners of a kind, but not
    every message of it concerns one (an assignment of a lead has a workspace but no PBX). They end here.
    """

    async def store(message: AbstractIncomingMessage) -> None:
        # Again and again: a message given up here would keep its place among the few that the broker hands out.
        while not _concerns_nobody(message, owner_kinds):
            try:
                async with database.transaction() as uow:
                    await uow.execute(_STORE, _row(message))
                break
            except SQLAlchemyError as error:
                log.warning("cannot store a parked message yet", extra={"error": str(error)[:200]})
                await asyncio.sleep(STORE_PAUSE_S)
        with contextlib.suppress(AMQPException, OSError, RuntimeError):  # it comes again and is stored once
            await message.ack()

    await receive(connection, names.parked_queue(consumer), PREFETCH, store)


def _concerns_nobody(message: AbstractIncomingMessage, owner_kinds: Collection[str]) -> bool:
    set_aside = ORIGIN in message.headers or "x-death" in message.headers
    return not set_aside and all(message.headers.get(kind) is None for kind in owner_kinds)


def _row(message: AbstractIncomingMessage) -> dict[str, Any]:
    queue, reason = message.headers.get(ORIGIN), message.headers.get(REASON)
    if queue is None:
        # Not set aside by us: the broker gave up on it (a process died with it in hand again and again), or it
        # names an owner that nobody has declared.
        deaths: Any = message.headers.get("x-death") or []
        queue = deaths[0].get("queue") if deaths else None
        reason = f"given up by the broker: {deaths[0].get('reason')}" if deaths else "no owner is declared"
    return {
        "queue": str(queue or ""),
        "message_id": message.message_id or hashlib.sha256(message.body).hexdigest(),
        "type": str(message.type or message.routing_key or ""),
        "reason": str(reason),
        "attempts": message.headers.get(ATTEMPTS, 0),
        "headers": json.dumps({name: value for name, value in message.headers.items() if isinstance(value, str | int)}),
        "body": message.body,
    }


async def listed(database: Database, queue: str | None = None, after: int = 0, limit: int = 100) -> Sequence[Parked]:
    """Parked messages, oldest first; ``queue`` limits them to one queue."""
    async with database.transaction() as uow:
        rows = await uow.all(_LIST, {"queue": queue, "after": after, "limit": limit})
    return [_parked(row) for row in rows]


async def shown(database: Database, parked_id: int) -> Parked | None:
    """One parked message, or None."""
    async with database.transaction() as uow:
        row = await uow.one(_GET, {"id": parked_id})
    return _parked(row) if row else None


async def replay(database: Database, publisher: Publisher, parked_id: int, owner_exchanges: Sequence[str]) -> bool:
    """Send it to its queue again, as if it had just come; False when there is no such message.

    A message for an owner goes through the owners' exchange of its kind, since its owner may be declared by now.

    Raises:
        NotPublished: the broker did not take it; it stays parked.
    """
    async with database.transaction() as uow:
        row = await uow.one(_GET, {"id": parked_id})
        if row is None:
            return False
        parked = _parked(row)
        headers = {name: value for name, value in parked.headers.items() if not name.startswith("x-")}
        for exchange in [""] if parked.queue else owner_exchanges:
            await publisher.publish(
                parked.body,
                exchange=exchange,
                routing_key=parked.queue or parked.type,
                message_id=parked.message_id,
                message_type=parked.type,
                headers=headers,
                mandatory=True,
            )
        await uow.execute(_DELETE, {"id": parked_id})
    return True


async def discard(database: Database, parked_id: int) -> bool:
    """Forget it; False when there is no such message."""
    async with database.transaction() as uow:
        return await uow.scalar(_DELETE, {"id": parked_id}) is not None


def _parked(row: Any) -> Parked:
    return Parked(
        row.id,
        row.queue,
        row.message_id,
        row.type,
        row.reason,
        row.attempts,
        row.headers,
        bytes(row.body),
        row.parked_at,
    )
