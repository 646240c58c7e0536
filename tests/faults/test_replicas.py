"""Two of each service side by side: they share the work, and what has one owner gets another when that one fails."""

import asyncio
from collections.abc import Iterator

import pytest
from cordboard_chassis.testing.deployment import eventually

from dev.system import SERVICES
from tests.faults import ON_ONE_SYSTEM, seeds
from tests.faults.centre import BACK_S, OWNED, Centre
from tests.faults.conftest import Flowing

pytestmark = ON_ONE_SYSTEM


@pytest.fixture(scope="module", autouse=True)
def two_of_each(centre: Centre) -> Iterator[None]:
    """A second replica of each service for as long as these tests last."""
    for service in SERVICES:
        centre.system.scale(service.name, 2)
    centre.system.processes.wait_ready(centre.processes())
    yield
    for service in SERVICES:
        centre.system.scale(service.name, 1)
    centre.system.processes.wait_ready(centre.processes())


@seeds()
async def test_they_share_the_work_and_stand_in_for_each_other(centre: Centre, traffic: Flowing, seed: int) -> None:
    processes = centre.system.processes
    async with traffic(seed) as flowing:
        await flowing.more(10)
        for service in OWNED:
            killed = centre.owner(service)
            with centre.fault(f"kill -9 {killed}, the other takes over") as fault:
                await asyncio.to_thread(processes.kill, killed)
                await centre.back(fault)
                await flowing.moment()
                processes.watch()
        await flowing.must_balance()
    for service in ("accounts", "leads", "notifications"):
        for process in centre.system.replica_names(service):
            assert centre.metric(process, "cordboard_messages_handled_total"), f"{process} did nothing"
    for process in centre.system.replica_names("notifications"):
        assert centre.metric(process, "cordboard_webhook_attempts_total"), f"{process} sent nothing"


@pytest.mark.parametrize("service", ["routing", pytest.param("telephony", marks=pytest.mark.nightly)])
@seeds()
async def test_an_owner_that_was_paused_past_its_lock_cannot_commit(
    centre: Centre, traffic: Flowing, seed: int, service: str
) -> None:
    processes = centre.system.processes
    async with traffic(seed) as flowing:
        await flowing.moment()
        paused = centre.owner(service)
        [other] = [name for name in centre.system.replica_names(service) if name != paused]
        with centre.fault(f"{paused} paused") as fault:
            processes.pause(paused)
            try:
                await eventually(lambda: centre.metric(other, "cordboard_owned", kind=OWNED[service]), BACK_S)
                await flowing.moment()
            finally:
                processes.resume(paused)
            await centre.back(fault)
        await flowing.must_balance()
        assert centre.owner(service) == other
