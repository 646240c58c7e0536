"""RabbitMQ goes away: what was said meanwhile waits in the outboxes, and every consumer comes back by itself."""

import asyncio

from tests.faults import ON_ONE_SYSTEM, seeds
from tests.faults.centre import Centre
from tests.faults.conftest import Flowing

pytestmark = ON_ONE_SYSTEM


@seeds()
async def test_the_broker_closes_every_connection_and_goes_away(centre: Centre, traffic: Flowing, seed: int) -> None:
    servers = centre.system.servers
    async with traffic(seed) as flowing:
        await flowing.moment()
        with centre.fault("connections closed by the broker") as fault:
            await centre.close_connections()
            await centre.back(fault)
        await flowing.moment()
        with centre.fault("RabbitMQ stopped and started") as fault:
            await asyncio.to_thread(servers.stop_rabbitmq)
            await flowing.moment()
            await asyncio.to_thread(servers.start_rabbitmq)
            await centre.back(fault)
        await flowing.must_balance()
