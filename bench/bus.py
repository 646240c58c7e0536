"""How many messages a second the bus carries at most: what everything else is measured against.

Persistent messages of 1 kB through one quorum queue, published with confirms and ``MAX_IN_FLIGHT`` at once, then
consumed and acknowledged one by one, both through the chassis' own connections.
"""

import asyncio
import time
from typing import Any

from aio_pika.abc import AbstractIncomingMessage
from cordboard_chassis.messaging.broker import MAX_IN_FLIGHT, Publisher, consuming_connection
from cordboard_chassis.messaging.deliveries import receive
from cordboard_chassis.messaging.topology import queue_arguments

from bench.machine import quiet
from dev.ledger import Ledger
from dev.places import state_directory
from dev.provision import make_vhost
from dev.servers import Servers

BODY = b"x" * 1000
QUEUE = "bench.bus"
PREFETCH = 200


def run(messages: int) -> dict[str, Any]:
    """Publish so many, then consume them."""
    directory = state_directory("bench")
    with Ledger(directory / "processes.json") as ledger, Servers(directory, ledger=ledger, say=quiet) as servers:
        url = make_vhost(servers.rabbitmq.url, servers.rabbitmq.management_url, "cordboard-bench-bus", fresh=True)
        return asyncio.run(_measure(url, messages))


async def _measure(url: str, messages: int) -> dict[str, Any]:
    async with consuming_connection(url) as connection:
        async with connection.channel() as channel:
            await channel.declare_queue(QUEUE, durable=True, arguments=queue_arguments("bench"))
        publisher = Publisher(url)
        await publisher.connect()
        published_s = await _publish(publisher, messages)
        await publisher.close()
        consumed = _Counted(messages)
        began = time.monotonic()
        receiving = asyncio.create_task(receive(connection, QUEUE, PREFETCH, consumed.take))
        await consumed.all.wait()
        consumed_s = time.monotonic() - began
        receiving.cancel()
    return {
        "messages": messages,
        "bytes": len(BODY),
        "published_per_s": round(messages / published_s),
        "consumed_per_s": round(messages / consumed_s),
    }


async def _publish(publisher: Publisher, messages: int) -> float:
    remaining = iter(range(messages))

    async def one_after_the_other() -> None:
        for number in remaining:
            await publisher.publish(
                BODY,
                exchange="",
                routing_key=QUEUE,
                message_id=str(number),
                message_type="bench",
                headers={},
                mandatory=True,
            )

    began = time.monotonic()
    await asyncio.gather(*(one_after_the_other() for _ in range(MAX_IN_FLIGHT)))
    return time.monotonic() - began


class _Counted:
    def __init__(self, wanted: int) -> None:
        self._missing = wanted
        self.all = asyncio.Event()

    async def take(self, message: AbstractIncomingMessage) -> None:
        await message.ack()
        self._missing -= 1
        if not self._missing:
            self.all.set()
