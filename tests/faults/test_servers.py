"""PostgreSQL restarts, Redis forgets everything, the PBX loses its calls: the services wait, and go on."""

import asyncio

import redis
from cordboard_chassis.testing.deployment import eventually

from tests.faults import ON_ONE_SYSTEM, seeds
from tests.faults.centre import Centre
from tests.faults.conftest import Flowing

pytestmark = ON_ONE_SYSTEM


@seeds()
async def test_postgres_restarts(centre: Centre, traffic: Flowing, seed: int) -> None:
    async with traffic(seed) as flowing:
        for _ in range(2):
            await flowing.moment()
            with centre.fault("PostgreSQL restarted") as fault:
                await asyncio.to_thread(centre.system.servers.restart_postgres)
                await centre.back(fault)
        await flowing.must_balance()


@seeds()
async def test_redis_forgets_everything_and_restarts(centre: Centre, traffic: Flowing, seed: int) -> None:
    server = centre.system.servers.redis
    async with traffic(seed) as flowing:
        await flowing.moment()
        with centre.fault("Redis flushed") as fault, redis.Redis.from_url(server.url) as client:
            client.flushall()
            await centre.back(fault)
        with centre.fault("Redis restarted") as fault:
            await asyncio.to_thread(server.stop)
            await flowing.moment()
            await asyncio.to_thread(server.start)
            await centre.back(fault)
        await flowing.must_balance()


@seeds()
async def test_the_pbx_is_cut_off_freezes_and_crashes(centre: Centre, traffic: Flowing, seed: int) -> None:
    async with traffic(seed) as flowing:
        for name, hit in (
            ("PBX cut off", lambda: centre.pbx.drop_clients(refuse_s=1.0)),
            ("PBX frozen", lambda: centre.pbx.stall(for_s=1.0)),
            ("PBX crashed", lambda: centre.pbx.crash(down_s=1.0)),
        ):
            await flowing.moment()
            with centre.fault(name) as fault:
                await hit()
                await eventually(centre.pbx_is_heard, timeout_s=20)
                await centre.back(fault)
        await flowing.must_balance()
