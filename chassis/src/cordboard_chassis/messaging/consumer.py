"""The one kind of consumer: what waits is drained into one transaction, committed, then acknowledged."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from cordboard_contracts import Envelope
from prometheus_client import Counter, Histogram
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cordboard_chassis.database import Database
from cordboard_chassis.messaging import inbox
from cordboard_chassis.messaging.deliveries import Acknowledgements, Delivery, Intake
from cordboard_chassis.messaging.topology import GroupHandler, Queue
from cordboard_chassis.refusals import Refused
from cordboard_chassis.supervision import end_if_cancelled
from cordboard_chassis.telemetry import span
from cordboard_chassis.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)

HANDLED = Counter("cordboard_messages_handled_total", "Messages whose effect is committed.", ("queue", "type"))
DUPLICATES = Counter("cordboard_messages_duplicate_total", "Messages that had been handled before.", ("queue",))
REFUSED = Counter("cordboard_messages_refused_total", "Messages that the domain refused.", ("queue", "code"))
GROUP = Histogram(
    "cordboard_group_size", "Messages in one transaction.", ("queue",), buckets=(1, 2, 5, 10, 20, 50, 100)
)
DATABASE_PAUSE_S = 0.5

_REFUSE = text(
    """
    INSERT INTO refused_messages (queue, event_id, type, subject, code, detail)
    VALUES (:queue, :event_id, :type, :subject, :code, :detail) ON CONFLICT DO NOTHING
    """
)


def database_is_away(error: BaseException) -> bool:
    """Whether it is the database that fails, not the message: then nothing is gained by setting the message back."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        return error.connection_invalidated or state is None or state.startswith(("08", "57P", "53", "25P03"))
    return isinstance(error, PoolTimeout)


async def consume(database: Database, queue: Queue, intake: Intake) -> None:
    """Handle the deliveries of one queue, group after group, until cancelled."""
    acknowledgements = Acknowledgements()
    try:
        while True:
            group: list[Delivery] = await intake.drain(queue.group_limit, linger_s=queue.linger_s)
            GROUP.labels(queue.name).observe(len(group))
            await acknowledgements.begin(await _handle(database, queue, group))
    finally:
        await acknowledgements.stop()


async def _handle(database: Database, queue: Queue, group: Sequence[Delivery]) -> Sequence[Delivery]:
    """Returns those that are to be acknowledged."""
    while True:
        try:
            await _in_one_transaction(database, queue, group)
        except Exception as error:  # noqa: BLE001 (whatever it is, the message is not lost)
            end_if_cancelled()
            if database_is_away(error):
                log.warning("waiting for the database", extra={"queue": queue.name, "error": str(error)[:200]})
                await asyncio.sleep(DATABASE_PAUSE_S)
                continue
            if len(group) == 1:
                return await _give_up(database, queue, group[0], error)
            return [done for delivery in group for done in await _handle(database, queue, [delivery])]
        return group


async def _in_one_transaction(database: Database, queue: Queue, group: Sequence[Delivery]) -> None:
    first = group[0].envelope
    with span(f"{queue.name} group", first.traceparent, messages=len(group)):
        async with database.transaction() as uow:
            fresh = await inbox.admit(uow, queue.name, [delivery.envelope.id for delivery in group])
            todo = []
            for delivery in group:
                if delivery.envelope.id in fresh:
                    fresh.discard(delivery.envelope.id)  # the same message twice in one group
                    todo.append(delivery.envelope)
            await _call(uow, queue, todo)
    for envelope in todo:
        HANDLED.labels(queue.name, envelope.type).inc()
    DUPLICATES.labels(queue.name).inc(len(group) - len(todo))


async def _call(uow: UnitOfWork, queue: Queue, envelopes: Sequence[Envelope[Any]]) -> None:
    together: dict[GroupHandler, list[Envelope[Any]]] = {}
    for envelope in envelopes:
        handler = queue.handlers.get(type(envelope.data))
        group_handler = queue.group_handlers.get(type(envelope.data), queue.every_event)
        if handler is not None:
            uow.cause = envelope
            await handler(uow, envelope)
            uow.cause = None
        elif group_handler is not None:
            together.setdefault(group_handler, []).append(envelope)
        else:
            raise LookupError(f"{queue.name} has no handler for {envelope.type}")
    for group_handler, gathered in together.items():
        await group_handler(uow, gathered)
        uow.cause = None


async def _give_up(database: Database, queue: Queue, delivery: Delivery, error: Exception) -> Sequence[Delivery]:
    envelope = delivery.envelope
    if not isinstance(error, Refused):
        log.warning(
            "message failed",
            exc_info=error,
            extra={"queue": queue.name, "type": envelope.type, "event_id": str(envelope.id)},
        )
        await delivery.fail(error)
        return ()
    log.info(
        "message refused",
        extra={"queue": queue.name, "type": envelope.type, "event_id": str(envelope.id), "why": str(error)},
    )
    REFUSED.labels(queue.name, error.code).inc()
    while True:
        try:
            async with database.transaction() as uow:
                await inbox.admit(uow, queue.name, [envelope.id])
                await record_refusal(uow, queue.name, envelope, error)
            break
        except Exception as failure:
            if not database_is_away(failure):
                raise
            await asyncio.sleep(DATABASE_PAUSE_S)
    return (delivery,)


async def record_refusal(uow: UnitOfWork, queue: str, envelope: Envelope[Any], refused: Refused) -> None:
    """Keep that and why the domain said no to a message."""
    await uow.execute(
        _REFUSE,
        {
            "queue": queue,
            "event_id": envelope.id,
            "type": envelope.type,
            "subject": envelope.subject,
            "code": refused.code,
            "detail": refused.detail[:1000],
        },
    )
