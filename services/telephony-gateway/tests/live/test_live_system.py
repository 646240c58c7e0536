"""A call through the whole system and a real Asterisk: an agent found by routing, talk, transfer, end, history."""

import pytest
from live_centre import CALLER, DRIVERS, Centre
from live_lab import absent

pytestmark = [
    pytest.mark.skipif(absent() is not None, reason=str(absent())),
    pytest.mark.xdist_group("live-pbx"),
]


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_call_from_its_beginning_to_the_history(centre: Centre, driver: str) -> None:
    for device in ("1002", "1003"):
        centre.phones.agent(device)
    await centre.connect_pbx(driver)
    await centre.is_now("1002", "ready")
    call = await centre.call_in()
    await centre.talks(call, "1002")
    await centre.order(call, "1002", "transfer", kind="blind", to_device_id="1003")
    await centre.talks(call, "1003")
    await centre.agent_is_free("1002")
    await centre.order(call, "1003", "hang-up")
    cleared = await centre.is_cleared(call)
    assert [c["device_id"] for c in cleared["connections"]] == ["1002", "1003"]
    interaction = await centre.history(call)
    assert (interaction["from_number"], interaction["outcome"]) == (CALLER, "answered")
    assert interaction["agent_ids"] == ["a1002", "a1003"]
