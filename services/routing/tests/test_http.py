"""Routing over HTTP: who may see and change what, versions, pages, and what bad requests are told."""

import asyncio
from uuid import uuid4

import pytest
from cordboard_chassis.testing.deployment import rows

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORKSPACE = "/v1/workspaces/main"
NOBODY = "01a21100-0000-7000-8000-000000000000"
AGENT = {"workspace": "main", "org_path": "/cn/east"}
ROLES = ("agent", "supervisor", "branch_manager", "administrator", "service", "partner")
LONG = "x" * 100_000


def client(centre, role, org_path="/cn", **claims):
    return centre.deployed.client(role, org_path, **claims)


def refusal(response):
    """(status, code, field) of a problem."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    problem = response.json()
    return response.status_code, problem["code"], problem["errors"][0]["field"] if problem["errors"] else None


async def waiting_call(centre, **fields):
    """A call that nobody can take, and its work item's path."""
    call = centre.call(**fields)
    await call.tell(call.offer())
    item = await centre.ends(call.call_id, "waiting")
    return item, f"/v1/work-items/{item['work_item_id']}"


ALLOWED = [
    ("GET", "/v1/workspaces", None, ROLES[:5]),
    ("GET", WORKSPACE, None, ROLES[:5]),
    ("PUT", WORKSPACE, {"org_path": "/cn"}, ["administrator"]),
    ("GET", f"{WORKSPACE}/queues", None, ROLES[:5]),
    ("PUT", f"{WORKSPACE}/queues/default", {"name": "ready"}, ["administrator"]),
    ("DELETE", f"{WORKSPACE}/queues/none", None, ["administrator"]),
    ("GET", f"{WORKSPACE}/rules", None, ROLES[:5]),
    ("PUT", f"{WORKSPACE}/rules", {"rules": [{"name": "a", "then": {"queue": "default"}}]}, ["administrator"]),
    ("GET", "/v1/agents?workspace=main", None, ROLES[1:5]),
    ("PUT", "/v1/agents/a9", AGENT, ["branch_manager", "administrator"]),
    ("PUT", "/v1/agents/a1001/state", {"state": "not_ready"}, ROLES[:5]),
    ("DELETE", "/v1/agents/none", None, ["branch_manager", "administrator"]),
    ("GET", "/v1/work-items?workspace=main", None, ROLES[1:5]),
    ("GET", f"/v1/work-items/{NOBODY}", None, ROLES[:5]),
    ("GET", f"/v1/work-items/{NOBODY}/explain", None, ROLES[1:5]),
    ("POST", f"/v1/work-items/{NOBODY}/cancel", {}, ROLES[1:5]),
    ("PUT", f"/v1/work-items/{NOBODY}/priority", {"priority": 5}, ROLES[1:5]),
    ("GET", "/v1/assignments?agent_id=a1001", None, ROLES[:5]),
    ("POST", f"/v1/assignments/{NOBODY}/accept", None, ROLES[:5]),
    ("GET", f"{WORKSPACE}/wallboard", None, ROLES[1:5]),
]
"""(method, path, body, roles that may)."""


async def test_roles_open_what_they_are_for(centre):
    await centre.agent("a1001", ready=False)
    clients = {role: client(centre, role, agent_id="a1001") for role in ROLES}
    wrong = []
    for method, path, body, allowed in ALLOWED:
        headers = {"If-Match": "*"} if method in ("PUT", "DELETE") else {}
        for role in ROLES:
            answer = await clients[role].request(method, path, json=body, headers=headers)
            refused = answer.status_code == 403 and answer.json()["code"] == "role-missing"
            if refused == (role in allowed) or answer.status_code >= 500:
                wrong.append((method, path, role, answer.text))
        nobody = await centre.deployed.bare_client().request(method, path, json=body)
        assert refusal(nobody) == (401, "unauthenticated", "Authorization")
    assert not wrong


async def test_leaders_see_their_branch_and_what_is_below(centre):
    await centre.agent("a1001", org_path="/cn/east/shanghai", ready=False)
    await centre.agent("a1002", org_path="/cn/west", ready=False)
    _, east_item = await waiting_call(centre, org_path="/cn/east")
    _, west_item = await waiting_call(centre, org_path="/cn/west")
    for branch, own, other in (("east", "a1001", "a1002"), ("west", "a1002", "a1001")):
        leader = client(centre, "branch_manager", f"/cn/{branch}")
        listed = (await leader.get("/v1/agents?workspace=main")).json()["items"]
        assert [agent["agent_id"] for agent in listed] == [own]
        assert (await leader.get(f"/v1/agents/{own}")).status_code == 200
        items = (await leader.get("/v1/work-items?workspace=main&state=waiting")).json()["items"]
        assert [item["org_path"] for item in items] == [f"/cn/{branch}"]
        shown, hidden = (east_item, west_item) if branch == "east" else (west_item, east_item)
        assert (await leader.get(f"{shown}/explain")).status_code == 200
        for answer in (
            await leader.get(f"/v1/agents/{other}"),
            await leader.put(f"/v1/agents/{other}/state", json={"state": "ready"}),
            await leader.delete(f"/v1/agents/{other}", headers={"If-Match": "*"}),
        ):
            assert refusal(answer) == (404, "not-found", "agent_id")
        for answer in (
            await leader.get(hidden),
            await leader.get(f"{hidden}/explain"),
            await leader.post(f"{hidden}/cancel", json={}),
            await leader.put(f"{hidden}/priority", json={"priority": 9}),
        ):
            assert refusal(answer) == (404, "not-found", "work_item_id")
    east = client(centre, "branch_manager", "/cn/east")
    for place in ("/", "/cn", "/cn/eastern", "/cn/west"):
        answer = await east.put("/v1/agents/a9", json={**AGENT, "org_path": place})
        assert refusal(answer) == (403, "forbidden", "org_path")
    # Nor is a stranger's agent taken over by its id.
    taken = await east.put("/v1/agents/a1002", json=AGENT, headers={"If-Match": "*"})
    assert refusal(taken) == (409, "agent-id-taken", "agent_id")
    assert (await centre.ok("GET", "/v1/agents/a1002"))["org_path"] == "/cn/west"
    stranger = client(centre, "administrator", "/de")
    assert refusal(await stranger.get(WORKSPACE)) == (404, "not-found", "workspace_id")
    assert refusal(await stranger.get("/v1/agents?workspace=main")) == (404, "not-found", "workspace")
    assert refusal(await stranger.put(WORKSPACE, json={"org_path": "/de"})) == (409, "workspace-id-taken", None)
    below = client(centre, "administrator", "/cn/east")
    assert refusal(await below.put(f"{WORKSPACE}/queues/mine", json={}))[0] == 403


async def test_agents_see_themselves_and_what_is_theirs(centre):
    await centre.agent("a1001")
    await centre.agent("a1002", ready=False)
    call = centre.call()
    await call.tell(call.offer())
    offer = await centre.offered(call.call_id, "a1001")
    item, assignment = f"/v1/work-items/{offer.work_item.work_item_id}", offer.assignment.assignment_id
    own, other = (client(centre, "agent", "/cn/east", agent_id=agent_id) for agent_id in ("a1001", "a1002"))
    assert (await own.get("/v1/agents/a1001")).json()["agent_id"] == "a1001"
    assert (await own.get(item)).status_code == 200
    assert (await own.get(f"/v1/assignments/{assignment}")).json()["work_item"]["from_number"] == call.number
    assert refusal(await other.get(item)) == (404, "not-found", "work_item_id")
    for path in ("/v1/agents/a1001", "/v1/assignments?agent_id=a1001"):
        assert refusal(await other.get(path)) == (404, "not-found", "agent_id")
    for answer in (
        await other.get(f"/v1/assignments/{assignment}"),
        await other.post(f"/v1/assignments/{assignment}/decline"),
    ):
        assert refusal(answer) == (404, "not-found", "assignment_id")
    state = {"state": "not_ready", "reason": "lunch"}
    assert refusal(await other.put("/v1/agents/a1001/state", json=state)) == (404, "not-found", "agent_id")
    assert (await own.put("/v1/agents/a1001/state", json=state)).status_code == 200
    unnamed = client(centre, "agent", "/cn/east")
    assert refusal(await unnamed.get("/v1/agents/a1001")) == (403, "agent-missing", None)


@pytest.mark.parametrize(
    ("path", "body", "change"),
    [
        (WORKSPACE, {"org_path": "/cn"}, {"reoffer_after_s": 6}),
        (f"{WORKSPACE}/queues/sales", {"name": "Sales"}, {"wrap_up_s": 7}),
        ("/v1/agents/a1003", AGENT, {"skills": {"sales": 50}}),
    ],
)
async def test_nobody_overwrites_a_configuration_unseen(centre, path, body, change):
    made = await centre.admin.put(path, json=body, headers={"If-Match": "*"})
    assert made.status_code in (200, 201), made.text
    tag = (await centre.admin.get(path)).headers["etag"]
    again = await centre.admin.put(path, json=body)
    assert (again.status_code, (await centre.admin.get(path)).headers["etag"]) == (200, tag), "nothing has changed"
    assert refusal(await centre.admin.put(path, json={**body, **change}))[:2] == (428, "precondition-required")
    changed = await centre.admin.put(path, json={**body, **change}, headers={"If-Match": tag})
    assert changed.status_code == 200, changed.text
    stale = await centre.admin.put(path, json=body, headers={"If-Match": tag})
    assert refusal(stale) == (412, "version-changed", "If-Match")
    assert changed.json() == (await centre.admin.get(path)).json()
    writers = await asyncio.gather(
        *(
            centre.admin.put(path, json={**body, "name": str(n)}, headers={"If-Match": changed.headers["etag"]})
            for n in range(5)
        )
    )
    assert sorted(answer.status_code for answer in writers) == [200, 412, 412, 412, 412]
    await centre.admin.put(path, json=body, headers={"If-Match": "*"})


async def test_lists_come_in_pages(centre):
    names = [f"p{number}" for number in range(5)]
    for name in names:
        await centre.agent(name, ready=False)
    for path, key in (
        ("/v1/agents?workspace=main", "agent_id"),
        ("/v1/agents?workspace=main&state=offline", "agent_id"),
    ):
        seen, cursor = [], ""
        while cursor is not None:
            page = await centre.ok("GET", f"{path}&limit=2{cursor and '&cursor=' + cursor}")
            seen += [item[key] for item in page["items"]]
            cursor = page["next_cursor"]
        assert seen == names
    foreign = (await centre.ok("GET", "/v1/agents?workspace=main&limit=1"))["next_cursor"]
    assert refusal(await centre.admin.get(f"/v1/work-items?workspace=main&cursor={foreign}")) == (
        422,
        "invalid-cursor",
        "cursor",
    )


async def test_why_a_call_waits_is_explained_and_the_wallboard_counts_it(centre):
    await centre.agent("a1001", ready=False)
    await centre.agent("a1002", ready=False)
    await centre.mode("a1002", "not_ready", "lunch")
    before = {queue["queue_id"]: queue for queue in (await centre.ok("GET", f"{WORKSPACE}/wallboard"))["queues"]}
    _, path = await waiting_call(centre)
    why = await centre.ok("GET", f"{path}/explain")
    assert (why["eligible"], why["agents"], why["ahead"], why["assignments"]) == (0, 2, 0, [])
    obstacles = {candidate["agent_id"]: candidate["obstacles"] for candidate in why["candidates"]}
    assert obstacles == {"a1001": ["mode offline"], "a1002": ["mode not_ready lunch"]}
    board = await centre.ok("GET", f"{WORKSPACE}/wallboard")
    queue = next(queue for queue in board["queues"] if queue["queue_id"] == "default")
    assert (queue["waiting"], queue["submitted"]) == (1, before.get("default", {"submitted": 0})["submitted"] + 1)
    assert (board["agents"]["offline"], board["agents"]["not_ready"]) == (1, 1)
    key = {"Idempotency-Key": uuid4().hex}
    cancelled = await centre.admin.post(f"{path}/cancel", json={"reason": "spam"}, headers=key)
    assert (cancelled.json()["state"], cancelled.json()["outcome"]) == ("cancelled", "spam")
    assert (await centre.admin.post(f"{path}/cancel", json={"reason": "spam"}, headers=key)).json() == cancelled.json()
    reused = await centre.admin.post(f"{path}/cancel", json={"reason": "other"}, headers=key)
    assert refusal(reused) == (422, "idempotency-key-reused", "Idempotency-Key")
    assert refusal(await centre.admin.post(f"{path}/cancel", json={})) == (409, "item-not-open", None)
    over = await centre.ok("GET", f"{path}/explain")
    assert (over["eligible"], over["candidates"]) == (None, [])


BAD = [
    ("PUT", "/v1/workspaces/Main!", {"org_path": "/cn"}, 422, "workspace_id"),
    ("PUT", f"/v1/workspaces/{'x' * 64}", {"org_path": "/cn"}, 422, "workspace_id"),
    ("PUT", "/v1/workspaces/other", {}, 422, "org_path"),
    ("PUT", "/v1/workspaces/other", {"org_path": "cn"}, 422, "org_path"),
    ("PUT", WORKSPACE, {"org_path": "/cn/east"}, 409, "org_path"),
    ("PUT", WORKSPACE, {"org_path": "/cn", "agent_order": "random"}, 422, "agent_order"),
    ("PUT", WORKSPACE, {"org_path": "/cn", "weights": {"fax": 1}}, 422, "weights.fax"),
    ("PUT", WORKSPACE, {"org_path": "/cn", "misses_allowed": {"busy": 0}}, 422, "misses_allowed.busy"),
    ("PUT", WORKSPACE, {"org_path": "/cn", "reoffer_after_s": -1}, 422, "reoffer_after_s"),
    ("PUT", WORKSPACE, {"org_path": "/cn", "colour": "red"}, 422, "colour"),
    ("PUT", WORKSPACE, {"org_path": "/cn", "name": LONG}, 422, "name"),
    ("PUT", f"{WORKSPACE}/queues/a b", {}, 422, "queue_id"),
    ("PUT", f"{WORKSPACE}/queues/q", {"priority": 1001}, 422, "priority"),
    ("PUT", f"{WORKSPACE}/queues/q", {"offer_timeout_s": 0}, 422, "offer_timeout_s"),
    ("PUT", f"{WORKSPACE}/queues/q", {"offer_timeout_s": "20"}, 422, "offer_timeout_s"),
    ("PUT", "/v1/workspaces/none/queues/q", {}, 404, "workspace_id"),
    ("GET", f"{WORKSPACE}/queues/none", None, 404, "queue_id"),
    ("DELETE", f"{WORKSPACE}/queues/none", None, 404, "queue_id"),
    ("GET", f"{WORKSPACE}/rules/versions/999999", None, 404, "version"),
    ("GET", f"{WORKSPACE}/rules/versions/{2**63}", None, 422, "version"),
    ("PUT", "/v1/agents/a b", AGENT, 422, "agent_id"),
    ("PUT", "/v1/agents/a1", {**AGENT, "workspace": "none"}, 404, "workspace"),
    ("PUT", "/v1/agents/a1", {**AGENT, "org_path": "/de"}, 422, "org_path"),
    ("PUT", "/v1/agents/a1", {**AGENT, "skills": {"sales": 101}}, 422, "skills.sales"),
    ("PUT", "/v1/agents/a1", {**AGENT, "skills": {"sales": True}}, 422, "skills.sales"),
    ("PUT", "/v1/agents/a1", {**AGENT, "skills": {f"s{n}": 1 for n in range(201)}}, 422, "skills"),
    ("PUT", "/v1/agents/a1", {**AGENT, "territories": ["shanghai"]}, 422, "territories.0"),
    ("PUT", "/v1/agents/a1", {**AGENT, "capacity": {"fax": 1}}, 422, "capacity.fax"),
    ("PUT", "/v1/agents/a1", {**AGENT, "device_id": ""}, 422, "device_id"),
    ("PUT", "/v1/agents/none/state", {"state": "ready"}, 404, "agent_id"),
    ("PUT", "/v1/agents/none/state", {"state": "busy"}, 422, "state"),
    ("GET", "/v1/agents", None, 422, "workspace"),
    ("GET", "/v1/agents?workspace=none", None, 404, "workspace"),
    ("GET", "/v1/agents?workspace=main&state=asleep", None, 422, "state"),
    ("GET", "/v1/agents?workspace=main&stat=ready", None, 422, "stat"),
    ("GET", "/v1/work-items?workspace=main&kind=fax", None, 422, "kind"),
    ("GET", "/v1/work-items/5", None, 422, "work_item_id"),
    ("GET", f"/v1/work-items/{NOBODY}", None, 404, "work_item_id"),
    ("PUT", f"/v1/work-items/{NOBODY}/priority", {"priority": 1.5}, 422, "priority"),
    ("POST", f"/v1/work-items/{NOBODY}/cancel", {"reason": ""}, 422, "reason"),
    ("GET", "/v1/assignments", None, 422, "agent_id"),
    ("GET", "/v1/assignments?agent_id=none", None, 404, "agent_id"),
    ("POST", f"/v1/assignments/{NOBODY}/accept", None, 404, "assignment_id"),
    ("POST", f"/v1/assignments/{NOBODY}/complete", {"outcome": "x" * 101}, 422, "outcome"),
    ("GET", f"{WORKSPACE}/wallboard?window_minutes=5", None, 422, "window_minutes"),
    ("PATCH", WORKSPACE, {}, 405, None),
]
"""(method, path, body, status, field) of what an administrator may not ask."""


async def test_bad_requests_are_explained_and_change_nothing(centre):
    tables = ("workspaces", "queues", "rule_sets", "agents", "work_items", "assignments")

    async def everything():
        return [await rows(centre.deployed.database, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]

    before = await everything()
    wrong = []
    for method, path, body, status, field in BAD:
        headers = {"If-Match": "*"} if method in ("PUT", "DELETE") else {}
        answer = await centre.admin.request(method, path, json=body, headers=headers)
        code, _, named = refusal(answer)
        if (code, named) != (status, field) or not answer.json()["detail"]:
            wrong.append((method, path[:80], f"wanted {status} {field}", answer.text))
    assert not wrong
    assert await everything() == before
