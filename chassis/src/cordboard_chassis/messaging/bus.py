"""A service's part of the bus: consumers of its queues, and the watch over them."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPException
from cordboard_contracts import names
from faststream.rabbit import RabbitBroker

from cordboard_chassis.database import Database
from cordboard_chassis.messaging import parking, topology
from cordboard_chassis.messaging.broker import Publisher, consuming_broker
from cordboard_chassis.messaging.consumer import consume
from cordboard_chassis.messaging.deliveries import Intake, receive
from cordboard_chassis.messaging.topology import Queue
from cordboard_chassis.supervision import cancel

log = logging.getLogger(__name__)

WATCH_S = 1.0
MISSED_WATCHES = 3
"""So often in a row a queue may be found without its consumer before everything is built anew."""
PREFETCH_FACTOR = 2
"""While one group commits, the next one arrives."""


class ConsumerLost(Exception):
    """A queue has no consumer any more although the connection looks fine."""


@dataclass
class BusHealth:
    """What the readiness probe may say."""

    consuming: bool = False
    """All consumers were there when last looked at."""
    detail: str = "not connected yet"


class Consumers:
    """Every consumer of a service, on one connection of their own."""

    def __init__(
        self, url: str, service: str, database: Database, publisher: Publisher, queues: Sequence[Queue]
    ) -> None:
        self._url = url
        self._service = service
        self._database = database
        self._publisher = publisher
        self._queues = queues
        self.health = BusHealth()

    async def run(self) -> None:
        """Connect, declare, consume; ends with an exception when anything is lost. Run supervised."""
        broker = consuming_broker(self._url)
        tasks: list[asyncio.Task[None]] = []
        try:
            connection = await broker.connect()
            await topology.declare(connection, self._service, self._queues)
            started: list[asyncio.Event] = []
            tasks.append(asyncio.create_task(parking.collect(broker, self._service, self._database)))
            for queue in self._queues:
                intake, begun = Intake(), asyncio.Event()
                started.append(begun)
                prefetch = queue.group_limit * PREFETCH_FACTOR
                tasks.append(
                    asyncio.create_task(
                        receive(broker, queue.name, self._publisher, prefetch, begun.set, intake),
                        name=queue.name,
                    )
                )
                tasks.append(asyncio.create_task(consume(self._database, queue, intake), name=queue.name))
            watch = asyncio.create_task(self._watch(connection, started), name="watch")
            tasks.append(watch)
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                if not task.cancelled() and (error := task.exception()):
                    raise error
            raise ConsumerLost("a consumer ended")
        finally:
            self.health.consuming = False
            self.health.detail = "not connected"
            await cancel(*tasks)
            await close(broker)

    async def _watch(self, connection: AbstractConnection, started: Sequence[asyncio.Event]) -> None:
        # Another replica's consumer must not make this one look ready.
        for begun in started:
            await begun.wait()
        wanted = [names.parked_queue(self._service), *(queue.name for queue in self._queues)]
        missed = 0
        while True:
            missing = await _without_consumer(connection, wanted)
            missed = missed + 1 if missing else 0
            self.health.consuming = not missing
            self.health.detail = f"no consumer: {', '.join(missing)}" if missing else "consuming"
            if missed >= MISSED_WATCHES:
                raise ConsumerLost(self.health.detail)
            await asyncio.sleep(WATCH_S)


async def _without_consumer(connection: AbstractConnection, queues: Sequence[str]) -> list[str]:
    """Which of the queues have no consumer; all of them when the connection does not answer."""
    try:
        async with asyncio.timeout(WATCH_S * 2), connection.channel() as channel:
            missing = []
            for name in queues:
                queue = await channel.declare_queue(name, passive=True)
                if not queue.declaration_result.consumer_count:
                    missing.append(name)
            return missing
    except (AMQPException, OSError, TimeoutError, RuntimeError) as error:
        log.info("the broker does not answer", extra={"error": str(error)[:200]})
        return list(queues)


async def close(broker: RabbitBroker) -> None:
    """Close a connection that may be broken."""
    try:
        async with asyncio.timeout(WATCH_S * 3):
            await broker.stop()
    except (AMQPException, OSError, TimeoutError, RuntimeError, ExceptionGroup) as error:
        log.info("connection was not closed cleanly", extra={"error": str(error)[:200]})
