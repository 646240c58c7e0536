"""What the measurements share that take a service's place on the bus: this program says and hears what it would."""

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, ClassVar, Self
from uuid import UUID

from aio_pika.abc import AbstractIncomingMessage
from cordboard_chassis.messaging.broker import Publisher, consuming_connection, message_headers
from cordboard_chassis.messaging.deliveries import receive
from cordboard_chassis.messaging.topology import exchange_of
from cordboard_contracts import Envelope, EventData, names, parse

PREFETCH = 500


class Partner(ABC):
    """In the place of the service whose word the messages are that it says."""

    hears: ClassVar[tuple[type[EventData], ...]]

    def __init__(self, amqp_url: str) -> None:
        self._url = amqp_url
        self._publisher = Publisher(amqp_url)

    async def __aenter__(self) -> Self:
        queue_name = f"bench.{type(self).__name__.strip('_').lower()}"
        await self._publisher.connect()
        self._connection = consuming_connection(self._url)
        connection = await self._connection.__aenter__()
        async with connection.channel() as channel:
            queue = await channel.declare_queue(queue_name, durable=True, arguments={"x-queue-type": "quorum"})
            for message in self.hears:
                await queue.bind(names.events_exchange(names.service_of(message.type)), message.type)
        self._receiving = asyncio.create_task(receive(connection, queue_name, PREFETCH, self._receive))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._receiving.cancel()
        await self._connection.__aexit__(None, None, None)
        await self._publisher.close()

    @abstractmethod
    async def hear(self, data: EventData) -> None:
        """An event has come."""

    async def say(
        self,
        data: EventData,
        *,
        subject: UUID,
        sequence: int,
        org_path: str,
        workspace: str,
        pbx: str | None = None,
    ) -> None:
        """Publish an event, and wait until the broker has it."""
        envelope: Envelope[Any] = Envelope.of(
            data,
            source=f"/{names.service_of(data.type)}",
            subject=subject,
            sequence=sequence,
            orgpath=org_path,
            workspace=workspace,
            pbx=pbx,
        )
        await self._publisher.publish(
            envelope.to_json(),
            exchange=exchange_of(envelope.type),
            routing_key=envelope.type,
            message_id=str(envelope.id),
            message_type=envelope.type,
            headers=message_headers(workspace=workspace, pbx=pbx, traceparent=None),
            mandatory=False,
        )

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        data = parse(message.type or "", message.body).data
        if isinstance(data, EventData):
            await self.hear(data)
        await message.ack()
