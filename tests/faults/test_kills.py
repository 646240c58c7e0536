"""kill -9 of any process at any moment: what it had in hand is done by its successor, once."""

from tests.faults import ON_ONE_SYSTEM, seeds
from tests.faults.centre import Centre
from tests.faults.conftest import Flowing

pytestmark = ON_ONE_SYSTEM


@seeds()
async def test_each_service_is_killed(centre: Centre, traffic: Flowing, seed: int) -> None:
    async with traffic(seed) as flowing:
        for process in flowing.chance.sample(centre.processes(), k=5):
            await flowing.moment()
            await centre.kill(process)
        await flowing.must_balance()
