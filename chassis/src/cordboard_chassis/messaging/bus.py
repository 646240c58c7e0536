"""A service's part of the bus: consumers of its queues, and the watch over them."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPException
from cordboard_contracts import names

from cordboard_chassis.database import Database
from cordboard_chassis.messaging import parking, topology
from cordboard_chassis.messaging.broker import Publisher, consuming_connection
from cordboard_chassis.messaging.consumer import consume
from cordboard_chassis.messaging.deliveries import ConsumerLost, Intake, receive, taking_into
from cordboard_chassis.messaging.topology import Queue
from cordboard_chassis.supervision import end_if_cancelled, until_one_ends

log = logging.getLogger(__name__)

WATCH_S = 1.0
MISSED_WATCHES = 3
"""So often in a row a queue may be found without its consumer before everything is built anew."""
PREFETCH_FACTOR = 2
"""While one group commits, the next one arrives."""


@dataclass
class BusHealth:
    """What the readiness probe may say."""

    consuming: bool = False
    """All consumers were there when last looked at."""
    detail: str = "not connected yet"


class Consumers:
    """Every consumer of a service, on one connection of their own."""

    def __init__(
        self,
        url: str,
        service: str,
        database: Database,
        publisher: Publisher,
        queues: Sequence[Queue],
        owner_kinds: Sequence[str] = (),
    ) -> None:
        self._url = url
        self._service = service
        self._database = database
        self._publisher = publisher
        self._queues = queues
        self._owner_kinds = owner_kinds
        self.health = BusHealth()

    async def run(self) -> None:
        """Connect, declare, consume; ends with an exception when anything is lost. Run supervised."""
        try:
            async with consuming_connection(self._url) as connection:
                await self._consume(connection)
        finally:
            self.health.consuming = False
            self.health.detail = "not connected"

    async def _consume(self, connection: AbstractConnection) -> None:
        await topology.declare(connection, self._service, self._queues)
        parts = [parking.collect(connection, self._service, self._owner_kinds, self._database)]
        started = []
        for queue in self._queues:
            intake, begun = Intake(), asyncio.Event()
            started.append(begun)
            take = taking_into(intake, queue.name, self._publisher)
            prefetch = queue.group_limit * PREFETCH_FACTOR
            parts.append(receive(connection, queue.name, prefetch, take, begun.set))
            parts.append(consume(self._database, queue, intake))
        parts.append(self._watch(connection, started))
        await until_one_ends(*parts)

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
        end_if_cancelled()
        log.info("the broker does not answer", extra={"error": str(error)[:200]})
        return list(queues)
