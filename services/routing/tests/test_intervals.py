"""What happened in each queue is listed by interval."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

INTERVALS = "/v1/workspaces/main/intervals"


async def test_service_level_by_interval(centre):
    queue = f"q{datetime.now(UTC).timestamp():.0f}"
    await centre.queue(queue, service_level_s=60)
    await centre.rules({"name": "here", "when": {"kind": ["call"]}, "then": {"queue": queue}})
    await centre.agent("a1001")
    fast = centre.call()
    await fast.tell(fast.offer())
    await fast.tell(fast.answer(await centre.offered(fast.call_id)))
    late = centre.call(offered_at=datetime.now(UTC) - timedelta(seconds=90))
    await late.tell(late.offer())
    gone = centre.call()
    await gone.tell(gone.offer())
    await centre.ends(gone.call_id, "waiting")
    await gone.tell(gone.clear())
    await centre.ends(gone.call_id, "cancelled")
    await fast.tell(fast.clear())
    await late.tell(late.answer(await centre.offered(late.call_id)))
    await centre.ends(late.call_id, "accepted")

    end = quote((datetime.now(UTC) + timedelta(hours=1)).isoformat())
    for minutes in (15, 30, 60):
        found = (await centre.ok("GET", f"{INTERVALS}?queue={queue}&minutes={minutes}&until={end}"))["items"]
        # The test may run across the end of an interval.
        assert sum(interval["submitted"] for interval in found) == 3
        assert sum(interval["answered"] for interval in found) == 2
        assert sum(interval["answered_in_time"] for interval in found) == 1
        assert sum(interval["cancelled"] for interval in found) == 1
        assert all(datetime.fromisoformat(i["begins_at"]).timestamp() % (minutes * 60) == 0 for i in found)
        if len(found) == 1:
            assert found[0]["service_level"] == pytest.approx(1 / 3, abs=1e-4)
            assert found[0]["wait_mean_s"] > 45


async def test_a_window_is_bounded(centre):
    response = await centre.admin.get(f"{INTERVALS}?since=2020-01-01T00:00:00Z")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "until"
