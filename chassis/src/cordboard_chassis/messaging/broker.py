"""Connections to RabbitMQ. This is the only place that makes them: each default of the libraries that would lose
a message is set here."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPException
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange
from yarl import URL

from cordboard_chassis.supervision import end_if_cancelled

HEARTBEAT_S = 10
OWNER_HEARTBEAT_S = 4
"""The broker gives up on a paused owner after about twice this, and hands its messages to the next one."""
CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 3.0
PUBLISH_TIMEOUT_S = 10.0
MAX_IN_FLIGHT = 100
"""Publishes that wait for their confirm at once."""

log = logging.getLogger(__name__)


class NotPublished(Exception):
    """The broker did not take a message: it is away, refused it, or no queue wants it."""


def _with_heartbeat(url: str, heartbeat_s: int) -> str:
    return str(URL(url).update_query(heartbeat=str(heartbeat_s)))


@asynccontextmanager
async def consuming_connection(url: str, heartbeat_s: int = HEARTBEAT_S) -> AsyncIterator[AbstractConnection]:
    """A connection to consume from.

    Never publish on it: a broker that is short of memory blocks a connection that publishes, and with it the
    acknowledgements that would free the memory. It does not mend itself: whoever uses it makes a new one, with all
    its consumers, so that none can be missing.
    """
    connection = await aio_pika.connect(_with_heartbeat(url, heartbeat_s), timeout=CONNECT_TIMEOUT_S)
    try:
        yield connection
    finally:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await connection.close()
        except (AMQPException, OSError, TimeoutError, RuntimeError) as error:
            log.info("connection was not closed cleanly", extra={"error": str(error)[:200]})


class Publisher:
    """A connection to publish on."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._broker: RabbitBroker | None = None
        self._exchanges: dict[str, RabbitExchange] = {"": RabbitExchange()}

    async def connect(self) -> None:
        """Raises OSError or AMQPException when the broker is away."""
        broker = RabbitBroker(
            _with_heartbeat(self._url, HEARTBEAT_S),
            default_channel=Channel(publisher_confirms=True, on_return_raises=True),
            timeout=CONNECT_TIMEOUT_S,
            reconnect_interval=1.0,
            fail_fast=True,
            apply_types=False,
            logger=None,
        )
        await broker.connect()
        self._broker = broker

    async def close(self) -> None:
        """Close the connection."""
        if self._broker is not None:
            broker, self._broker = self._broker, None
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await broker.stop()
            except (AMQPException, OSError, TimeoutError, RuntimeError) as error:
                log.info("connection was not closed cleanly", extra={"error": str(error)[:200]})

    async def publish(
        self,
        body: bytes,
        *,
        exchange: str,
        routing_key: str,
        message_id: str,
        message_type: str,
        headers: Mapping[str, Any],
        mandatory: bool,
    ) -> None:
        """Returns when the broker has the message on disk.

        Raises:
            NotPublished: it has not, or nobody knows; with ``mandatory`` also when no queue took it.
        """
        if self._broker is None:
            raise NotPublished("not connected")
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):  # the library ignores its own timeout
                await self._broker.publish(
                    body,
                    exchange=self._exchange(exchange),
                    routing_key=routing_key,
                    persist=True,
                    mandatory=mandatory,
                    message_id=message_id,
                    message_type=message_type,
                    correlation_id=message_id,
                    content_type="application/json",
                    headers=dict(headers),
                )
        except asyncio.CancelledError as error:
            end_if_cancelled()
            # A stalled connection cancels the future of the confirm.
            raise NotPublished("the connection was lost before the confirm") from error
        except (AMQPException, OSError, TimeoutError, RuntimeError) as error:
            end_if_cancelled()
            raise NotPublished(f"{type(error).__name__}: {error}") from error

    def _exchange(self, name: str) -> RabbitExchange:
        found = self._exchanges.get(name)
        if found is None:
            # Only looked at, never declared: the topology is declared elsewhere, with all its arguments.
            found = self._exchanges[name] = RabbitExchange(name, type=ExchangeType.TOPIC, declare=False)
        return found


def message_headers(
    *, workspace: str | None, pbx: str | None, traceparent: str | None, attempts: int = 0
) -> dict[str, Any]:
    """The AMQP headers of a message; owners' exchanges route by the first two."""
    headers: dict[str, Any] = {}
    if workspace is not None:
        headers["workspace"] = workspace
    if pbx is not None:
        headers["pbx"] = pbx
    if traceparent is not None:
        headers["traceparent"] = traceparent
    if attempts:
        headers[ATTEMPTS] = attempts
    return headers


ATTEMPTS = "x-cordboard-attempts"
"""How often a message was tried and put on the retry ladder."""
ORIGIN = "x-cordboard-queue"
"""The queue that a parked message belongs to."""
REASON = "x-cordboard-reason"
