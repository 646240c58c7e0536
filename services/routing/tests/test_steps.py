"""Steps of a queue: what waiting items give up, over HTTP, and after a takeover."""

from typing import Any

import pytest
from cordboard_chassis.testing.deployment import Deployment
from routing.app import build
from routing.settings import RoutingSettings
from routing.usecases.route_work import work_item_id

QUEUE = "/v1/workspaces/main/queues/default"


def _step(after_s: int, **more: Any) -> dict[str, Any]:
    nothing = {"levels": {}, "also": {}, "wider": 0, "priority": 0, "queue": None}
    return {"after_s": after_s, **nothing, **more}


async def test_a_call_gives_up_step_by_step_what_it_asked_for(new_centre, deploy: Deployment):
    centre = new_centre
    steps = [_step(1, levels={"sales": 30}), _step(3600, wider=1, priority=5)]
    await centre.queue(steps=steps)
    assert (await centre.ok("GET", QUEUE))["steps"] == steps
    asked = {"requirement": {"sales": 80}, "any_of": [{"english": 10, "german": 10}], "territory": "CN-31-0115"}
    await centre.rules({"name": "sales", "when": {"kind": ["call"]}, "then": {"queue": "default", **asked}})
    call = centre.call()
    await call.tell(call.offer())
    item = await centre.ends(call.call_id, "waiting")
    assert (item["requirement"], item["any_of"]) == ({"sales": 80}, [{"english": 10, "german": 10}])

    # Whoever takes over knows which steps were taken, and takes the others.
    await centre.deployed.stop()
    centre.deployed = await deploy(build, RoutingSettings)
    centre.admin = centre.deployed.client("administrator")
    await centre.owned()
    await centre.queue(steps=steps)
    await centre.agent("a1", skills={"sales": 30, "english": 10}, territories=["CN-31"])
    offer = await centre.offered(call.call_id)
    assert (offer.assignment.agent_id, offer.assignment.reason.step) == ("a1", 1)
    explained = await centre.ok("GET", f"/v1/work-items/{work_item_id('call', call.call_id)}/explain")
    assert explained["work_item"]["step"] == 1
    assert explained["asked"] == {
        "skills": {"sales": 30},
        "any_of": [{"english": 10, "german": 10}],
        "territory": "CN-31-0115",
        "area": None,
    }
    assert explained["next_step"] is None, "it does not wait"
    await centre.mode("a1", "not_ready")
    explained = await centre.ok("GET", f"/v1/work-items/{offer.work_item.work_item_id}/explain")
    assert (explained["next_step"], explained["next_step_at"] is not None) == (steps[1], True)


@pytest.mark.asyncio(loop_scope="session")
async def test_a_call_overflows_and_stays_there_whatever_its_attributes_say(centre):
    await centre.queue("second")
    await centre.queue(steps=[_step(0, queue="second")])
    call = centre.call()
    await call.tell(call.offer())
    item = await centre.ends(call.call_id, "waiting")
    assert (item["queue"], item["queued_at"] is not None) == ("second", True)
    await call.tell(call.press(colour="red"))
    await call.tell(call.clear())
    item = await centre.ends(call.call_id, "cancelled")
    assert (item["queue"], item["attributes"]) == ("second", {"colour": "red"})


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([_step(30, wider=1), _step(20, wider=1)], "steps.1.after_s"),
        ([_step(30, queue="nowhere")], "steps.0.queue"),
        ([_step(30, queue="back"), _step(40, wider=1)], "steps.0.queue"),
        ([_step(30, queue="default")], "steps"),
        ([_step(30, queue="back")], "steps"),
        ([_step(30, levels={"sales": 101})], "steps.0.levels.sales"),
        ([_step(30, wider=-1)], "steps.0.wider"),
        ([_step(30, colour="red")], "steps.0.colour"),
    ],
)
async def test_bad_steps_name_the_field_and_change_nothing(centre, steps, field):
    await centre.queue("back", steps=[_step(60, queue="default")])
    before = await centre.ok("GET", QUEUE)
    response = await centre.admin.put(QUEUE, json={"steps": steps}, headers={"If-Match": "*"})
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["field"].startswith(field)
    assert await centre.ok("GET", QUEUE) == before
    await centre.queue("back")
