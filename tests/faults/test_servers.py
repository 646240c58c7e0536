"""PostgreSQL restarts, Redis forgets everything, the PBX loses its calls: the services wait, and go on."""

import asyncio
from collections.abc import Awaitable, Callable

import redis
from cordboard_chassis.testing.deployment import eventually

from tests.faults import ON_ONE_SYSTEM, seeds
from tests.faults.centre import Centre
from tests.faults.conftest import Flowing

pytestmark = ON_ONE_SYSTEM


@seeds()
async def test_postgres_restarts_and_redis_forgets_everything(centre: Centre, traffic: Flowing, seed: int) -> None:
    servers = centre.system.servers
    async with traffic(seed) as flowing:
        await flowing.moment()
        with centre.fault("PostgreSQL restarted") as fault:
            await asyncio.to_thread(servers.restart_postgres)
            await centre.back(fault)
        await flowing.moment()
        with centre.fault("Redis flushed and restarted") as fault:
            with redis.Redis.from_url(servers.redis.url) as client:
                client.flushall()
            await asyncio.to_thread(servers.redis.stop)
            await flowing.moment()
            await asyncio.to_thread(servers.redis.start)
            await centre.back(fault)
        await flowing.must_balance()


@seeds()
async def test_the_pbx_is_cut_off_crashes_and_freezes(centre: Centre, traffic: Flowing, seed: int) -> None:
    pbx = centre.pbx
    accidents: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("PBX cut off", lambda: pbx.drop_clients(refuse_s=1.0)),
        ("PBX crashed", lambda: pbx.crash(down_s=1.0)),
        ("PBX frozen", lambda: pbx.stall(for_s=1.0)),
    ]
    async with traffic(seed) as flowing:
        for name, hit in accidents:
            await flowing.moment()
            with centre.fault(name) as fault:
                await hit()
                await eventually(centre.pbx_is_heard, timeout_s=20)
                await centre.back(fault)
        await flowing.must_balance()
