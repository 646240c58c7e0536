"""What waits is told where it stands and how long it will take."""

from datetime import UTC, datetime, timedelta

import pytest
from cordboard_chassis.testing.deployment import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _wait(centre, item):
    return await centre.ok("GET", f"/v1/work-items/{item['work_item_id']}/wait")


async def test_position_and_expected_wait(centre):
    # A skill that nothing else asks for: how fast a line moves is learned from all that ever stood in it.
    await centre.rules(
        {"name": "calls", "when": {"kind": ["call"]}, "then": {"queue": "default", "requirement": {"patience": 1}}}
    )
    began = datetime.now(UTC) - timedelta(minutes=1)
    calls = [centre.call(offered_at=began + timedelta(seconds=second)) for second in range(4)]
    for call in calls:
        await call.tell(call.offer())
        await centre.ends(call.call_id, "waiting")
    first, second, third, fourth = [await centre.item(call.call_id) for call in calls]
    assert await _wait(centre, third) == {"position": 3, "expected_s": None, "error_s": None}
    await centre.agent("a1001", skills={"patience": 1})
    offer = await centre.offered(calls[0].call_id, "a1001")
    await calls[0].tell(calls[0].answer(offer))
    await centre.ends(calls[0].call_id, "accepted")
    assert await _wait(centre, first) == {"position": None, "expected_s": None, "error_s": None}
    near, far = await _wait(centre, second), await _wait(centre, fourth)
    assert (near["position"], far["position"]) == (1, 3)
    assert near["expected_s"] > 0
    assert far["expected_s"] == pytest.approx(3 * near["expected_s"], abs=0.003)

    # The fifth is the first of which something was expected when it began to wait.
    fifth = centre.call()
    await fifth.tell(fifth.offer())
    await centre.ends(fifth.call_id, "waiting")
    for call in (*calls[1:], fifth):
        await centre.agent(f"a{call.call_id.int % 10_000_000}", skills={"patience": 1})
    await centre.offered(fifth.call_id)
    another = centre.call()
    await another.tell(another.offer())
    await centre.ends(another.call_id, "waiting")
    found = await _wait(centre, await centre.item(another.call_id))
    assert found["position"] == 1
    assert found["error_s"] is not None

    async def measured():
        text = (await centre.deployed.bare_client().get("/metrics")).text
        return 'cordboard_routing_wait_error_seconds_count{workspace="main"}' in text

    await eventually(measured)
