"""The test's own end of the bus."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from aio_pika import ExchangeType, connect
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from cordboard_contracts import COMMANDS, CommandData, Envelope, EventData, MalformedMessage, UnknownType, names, parse

from cordboard_chassis.messaging.broker import Publisher, message_headers
from cordboard_chassis.messaging.topology import exchange_of, services

DataT = TypeVar("DataT", bound=EventData | CommandData)


class TestBus:
    """Publishes as any service would, and hears everything that is said."""

    __test__ = False

    def __init__(self, amqp_url: str) -> None:
        self._amqp_url = amqp_url
        self._publisher = Publisher(amqp_url)
        self._connection: AbstractConnection | None = None
        self._changed = asyncio.Event()
        self.heard: list[Envelope[Any]] = []
        """Every message since the test began, in the order of arrival; duplicates too."""

    async def start(self) -> None:
        """Connect and listen."""
        await self._publisher.connect()
        self._connection = await connect(self._amqp_url)
        channel = await self._connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        for service in services():
            events = await channel.declare_exchange(names.events_exchange(service), ExchangeType.TOPIC, durable=True)
            await queue.bind(events, "#")
        for message_type in COMMANDS:
            commands = await channel.declare_exchange(exchange_of(message_type), ExchangeType.DIRECT, durable=True)
            await queue.bind(commands, message_type)
        await queue.consume(self._hear, no_ack=True)

    async def stop(self) -> None:
        """Disconnect."""
        await self._publisher.close()
        if self._connection is not None:
            await self._connection.close()

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        with contextlib.suppress(MalformedMessage, UnknownType):
            self.heard.append(parse(message.type or message.routing_key or "", message.body))
        self._changed.set()

    async def publish(
        self,
        data: EventData | CommandData,
        *,
        subject: str | UUID,
        sequence: int = 1,
        orgpath: str = "/",
        workspace: str | None = None,
        pbx: str | None = None,
        partitionkey: str | None = None,
        id: UUID | None = None,
        time: datetime | None = None,
    ) -> Envelope[Any]:
        """Say something as the service whose word it is."""
        envelope: Envelope[Any] = Envelope.of(
            data,
            source=f"/{names.service_of(data.type)}",
            subject=subject,
            sequence=sequence,
            orgpath=orgpath,
            workspace=workspace,
            pbx=pbx,
            partitionkey=partitionkey,
            id=id,
            time=time,
        )
        await self.send(envelope)
        return envelope

    async def send(self, envelope: Envelope[Any], *, body: bytes | None = None) -> None:
        """Publish an envelope, again if need be; ``body`` replaces what it would be."""
        await self._publisher.publish(
            envelope.to_json() if body is None else body,
            exchange=exchange_of(envelope.type),
            routing_key=envelope.type,
            message_id=str(envelope.id),
            message_type=envelope.type,
            headers=message_headers(workspace=envelope.workspace, pbx=envelope.pbx, traceparent=envelope.traceparent),
            mandatory=False,
        )

    async def put(self, queue: str, body: bytes, *, message_type: str, message_id: str) -> None:
        """Put anything into one queue, sense or nonsense."""
        await self._publisher.publish(
            body,
            exchange="",
            routing_key=queue,
            message_id=message_id,
            message_type=message_type,
            headers={},
            mandatory=True,
        )

    def said(self, data: type[DataT], where: Callable[[Envelope[Any]], bool] = lambda _: True) -> list[Envelope[DataT]]:
        """What was heard of one type so far."""
        return [envelope for envelope in self.heard if isinstance(envelope.data, data) and where(envelope)]

    async def expect(
        self,
        data: type[DataT],
        where: Callable[[Envelope[Any]], bool] = lambda _: True,
        timeout_s: float = 10.0,
        count: int = 1,
    ) -> Envelope[DataT]:
        """The ``count``-th message of a type since the test began; waits for it.

        Raises:
            AssertionError: it was not said in time; lists the types that were.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while len(found := self.said(data, where)) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            heard = ", ".join(sorted({envelope.type for envelope in self.heard})) or "nothing"
            raise AssertionError(f"no {data.type} within {timeout_s:g} s; heard: {heard}") from None
        return found[count - 1]
