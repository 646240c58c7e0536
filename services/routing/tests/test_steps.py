"""Steps of a queue: what waiting items give up, over HTTP, and after a takeover."""

from datetime import datetime
from typing import Any

import pytest
from cordboard_chassis.testing.deployment import Deployment, eventually
from routing.app import build
from routing.settings import RoutingSettings
from routing.usecases.route_work import work_item_id

QUEUE = "/v1/workspaces/main/queues/default"


def _step(after_s: int, **more: Any) -> dict[str, Any]:
    nothing = {"levels": {}, "also": {}, "wider": 0, "priority": 0, "offer_call_back": False, "queue": None}
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

    async def relaxed() -> bool:
        return (await centre.item(call.call_id))["step"] == 1

    await eventually(relaxed)
    # Whoever takes over knows which steps were taken.
    await centre.deployed.stop()
    centre.deployed = await deploy(build, RoutingSettings)
    centre.admin = centre.deployed.client("administrator")
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
        "wanted": {},
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
async def test_a_queue_says_in_which_order_its_work_goes(centre):
    how = {"priority_class": 1, "acceleration": 5, "due_after_s": 60}
    await centre.queue("urgent", **how)
    found = await centre.ok("GET", "/v1/workspaces/main/queues/urgent")
    assert {name: found[name] for name in how} == how
    urgent = {"name": "urgent", "when": {"dialled": ["2"]}, "then": {"queue": "urgent", "due_after_s": 90}}
    await centre.rules(urgent)
    calls = {}
    for dialled in ("1", "2"):
        calls[dialled] = centre.call(dialled=dialled)
        await calls[dialled].tell(calls[dialled].offer())
        item = await centre.ends(calls[dialled].call_id, "waiting")
    waits = datetime.fromisoformat(item["due_at"]) - datetime.fromisoformat(item["submitted_at"])
    assert round(waits.total_seconds()) == 90
    await centre.agent("a1")
    assert (await centre.offered(calls["2"].call_id)).assignment.agent_id == "a1"


@pytest.mark.asyncio(loop_scope="session")
async def test_a_call_waits_for_a_named_agent_while_the_rule_has_patience(centre):
    wanted = {"queue": "default", "preferred_agent": "a1", "patience_s": 600}
    await centre.rules({"name": "named", "when": {"dialled": ["3"]}, "then": wanted})
    await centre.agent("a1", ready=False)
    await centre.mode("a1", "not_ready", "back soon")
    await centre.agent("a2")
    call = centre.call(dialled="3")
    await call.tell(call.offer())
    item = await centre.ends(call.call_id, "waiting")
    assert (item["preferred_agent"], item["preferred_until"] is not None) == ("a1", True)
    found = await centre.ok("GET", f"/v1/work-items/{item['work_item_id']}/explain")
    assert {c["agent_id"]: c["obstacles"] for c in found["candidates"]}["a2"] == ["reserved a1"]
    await centre.mode("a1", "ready")
    assert (await centre.offered(call.call_id)).assignment.agent_id == "a1"
    await centre.mode("a1", "offline")
    assert (await centre.offered(call.call_id, "a2")).assignment.agent_id == "a2"


@pytest.mark.asyncio(loop_scope="session")
async def test_a_queue_has_its_own_order_of_agents(centre):
    await centre.queue("best", agent_order="best_skill")
    assert (await centre.ok("GET", "/v1/workspaces/main/queues/best"))["agent_order"] == "best_skill"
    asked = {"requirement": {"sales": 1}, "wanted": {"english": 3}}
    await centre.rules({"name": "best", "when": {"dialled": ["1"]}, "then": {"queue": "best", **asked}})
    await centre.agent("a1", skills={"sales": 10})
    await centre.agent("a2", skills={"sales": 50})
    await centre.agent("a3", skills={"sales": 20, "english": 1})
    for agent, key in [("a3", [-3, -20]), ("a2", [0, -50]), ("a1", [0, -10])]:
        call = centre.call(dialled="1")
        await call.tell(call.offer())
        made = (await centre.offered(call.call_id)).assignment
        assert (made.agent_id, list(made.reason.winner_key[:2])) == (agent, key)


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
