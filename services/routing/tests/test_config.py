"""A workspace's configuration is one document: exported, compared and applied."""

import asyncio
import json

import pytest
import pytest_asyncio
import yaml
from click.testing import CliRunner
from cordboard_chassis.testing.deployment import eventually, rows
from routing.config_command import config
from sqlalchemy import text

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONFIG = "/v1/workspaces/main/config"


@pytest_asyncio.fixture(loop_scope="session")
async def configured(centre):
    """Two queues of which one overflows to the other, a calendar, a rule, two agents."""
    weekly = {"weekly": {"monday": ["09:00-18:00"]}, "holidays": ["2026-10-01"]}
    await centre.ok("PUT", "/v1/workspaces/main/calendars/office", {"time_zone": "Asia/Shanghai", **weekly}, match="*")
    await centre.queue("overflow", wrap_up_s=5)
    await centre.queue("sales", steps=[{"after_s": 30, "queue": "overflow"}], agent_order="best_skill")
    await centre.rules({"name": "gold", "when": {"tier": ["gold"]}, "then": {"queue": "sales"}})
    await centre.agent("a1", skills={"sales": 40}, territories=["CN-44", "CN-31"], ready=False)
    await centre.agent("a2", skills={"sales": 60}, ready=False)
    yield centre
    await centre.clear()
    await centre.ok("PUT", CONFIG, {"queues": {}, "calendars": {}}, match="*")


async def _refused(centre, document, field, status=422):
    response = await centre.admin.put(CONFIG, json=document, headers={"If-Match": "*"})
    assert response.status_code == status, response.text
    assert [error["field"] for error in response.json()["errors"]] == [field], response.text
    return response.json()["detail"]


async def _counts(found, count):
    return len(await found) == count


def _command(centre, *arguments):
    """As somebody at a shell runs it."""
    token = centre.admin.headers["Authorization"].removeprefix("Bearer ")
    environment = {"CORDBOARD_TOKEN": token, "CORDBOARD_ROUTING_URL": centre.deployed.url}
    words = [str(argument) for argument in arguments]
    return asyncio.to_thread(CliRunner().invoke, config, [*words, "--workspace", "main"], env=environment)


async def test_what_is_exported_is_what_is_there_and_applying_it_changes_nothing(configured):
    document = await configured.ok("GET", CONFIG)
    assert document["queues"]["overflow"] == {"wrap_up_s": 5}
    assert document["queues"]["sales"] == {
        "agent_order": "best_skill",
        "steps": [{"after_s": 30, "queue": "overflow"}],
    }
    assert document["agents"]["a1"]["territories"] == ["CN-31", "CN-44"]
    before = await configured.ok("GET", "/v1/agents/a1")
    assert (await configured.ok("POST", f"{CONFIG}/diff", document))["changes"] == []
    assert (await configured.ok("PUT", CONFIG, document))["changes"] == []
    assert await configured.ok("GET", "/v1/agents/a1") == before


async def test_all_of_it_changes_at_once(configured):
    """The overflow turns round, the two devices change hands: no order of single requests would do that."""
    document = await configured.ok("GET", CONFIG)
    del document["queues"]["sales"]["steps"]
    document["queues"]["overflow"]["steps"] = [{"after_s": 60, "queue": "sales"}]
    # One sends work to the other as a step, the other back after hours: no order of the two would do.
    document["queues"]["sales"] |= {"hours": "office", "after_hours": {"queue": "overflow"}}
    document["calendars"]["office"]["holidays"].append("2026-10-02")
    document["queues"]["vip"] = {"priority": 9, "steps": [{"after_s": 5, "queue": "overflow"}]}
    document["rules"][0]["then"]["queue"] = "vip"
    agents = document["agents"]
    agents["a1"]["device_id"], agents["a2"]["device_id"] = agents["a2"]["device_id"], agents["a1"]["device_id"]
    agents["a3"] = {"org_path": "/cn/east", "device_id": "3"}
    found = await configured.ok("POST", f"{CONFIG}/diff", document)
    assert await configured.ok("PUT", CONFIG, document, match="*") == found
    assert {(c["section"], c["id"], c["change"]) for c in found["changes"]} == {
        ("calendars", "office", "changed"),
        ("queues", "sales", "changed"),
        ("queues", "overflow", "changed"),
        ("queues", "vip", "added"),
        ("rules", "gold", "changed"),
        ("agents", "a1", "changed"),
        ("agents", "a2", "changed"),
        ("agents", "a3", "added"),
    }
    assert await configured.ok("GET", CONFIG) == document
    assert (await configured.ok("GET", "/v1/agents/a1"))["device_id"] == "2"
    await configured.mode("a3", "ready")
    call = configured.call()
    await call.tell(call.offer())
    offer = await configured.offered(call.call_id, "a3")
    assert offer.assignment.device_id == "3"


async def test_nothing_is_half_applied(configured):
    before = await configured.ok("GET", CONFIG)
    queues = {**before["queues"], "new": {"priority": 3}}
    nine = {"org_path": "/cn", "device_id": "9"}
    twice = {**before["agents"], "a3": nine, "a4": nine}
    circle = {**queues, "overflow": {"steps": [{"after_s": 1, "queue": "sales"}]}}
    lost = {**queues, "new": {"steps": [{"after_s": 1, "queue": "nowhere"}]}}
    never = [{"name": "first", "then": {"queue": "new"}}, *before["rules"]]
    outside = {**before["agents"], "a3": {"org_path": "/de"}}
    settings = {**before["settings"], "reoffer_after_s": 9}
    assert "another agent" in await _refused(
        configured, {"settings": settings, "queues": queues, "agents": twice}, "agents.a4.device_id", 409
    )
    await _refused(configured, {"queues": circle}, "queues.overflow.steps")
    await _refused(configured, {"settings": settings, "queues": lost}, "queues.new.steps.0.queue")
    await _refused(configured, {"queues": queues, "rules": never}, "rules.0.when")
    await _refused(configured, {"queues": queues, "agents": outside}, "agents.a3.org_path")
    await _refused(configured, {"queues": {"new": {"prioritty": 3}}}, "queues.new.prioritty")
    await _refused(configured, {"queues": {}}, "queues", 409)  # a rule names sales
    assert await configured.ok("GET", CONFIG) == before


async def test_nobody_overwrites_what_they_have_not_seen(configured):
    response = await configured.admin.get(CONFIG)
    document = {**response.json(), "queues": {**response.json()["queues"], "new": {}}}
    await configured.queue("overflow", wrap_up_s=7)
    for headers, status in (({}, 428), ({"If-Match": response.headers["ETag"]}, 412)):
        refused = await configured.admin.put(CONFIG, json=document, headers=headers)
        assert refused.status_code == status, refused.text


async def test_of_two_at_the_same_time_one_is_refused_as_a_whole(configured):
    """Both were planned before either was carried out; the second is refused at its last change."""
    before = await configured.ok("GET", CONFIG)
    agents = {**before["agents"], "a2": {**before["agents"]["a2"], "name": "first"}}
    other = {
        "queues": {**before["queues"], "overflow": {"wrap_up_s": 9}},
        "agents": {**before["agents"], "a2": {**before["agents"]["a2"], "name": "second"}},
    }
    database = configured.deployed.database

    async def asked(count):
        statement = "SELECT 1 FROM owner_inputs WHERE name = 'apply_config' AND done_at IS NULL"
        await eventually(lambda: _counts(rows(database, statement), count))

    async with asyncio.TaskGroup() as tasks, database.transaction() as uow:
        await uow.execute(text("SELECT 1 FROM agents WHERE agent_id = 'a2' FOR UPDATE"))
        first = tasks.create_task(configured.admin.put(CONFIG, json={"agents": agents}, headers={"If-Match": "*"}))
        await asked(1)
        second = tasks.create_task(configured.admin.put(CONFIG, json=other, headers={"If-Match": "*"}))
        await asked(2)
    assert first.result().status_code == 200
    assert second.result().status_code == 412, second.result().text
    assert second.result().json()["errors"][0]["field"] == "agents.a2"
    assert await configured.ok("GET", CONFIG) == {**before, "agents": agents}


async def test_what_somebody_works_on_is_not_removed(configured):
    before = await configured.ok("GET", CONFIG)
    await configured.mode("a2", "ready")
    call = configured.call()
    await call.tell(call.offer())
    await call.tell(call.answer(await configured.offered(call.call_id, "a2")))
    await configured.ends(call.call_id, "accepted")
    assert "a2" in await _refused(configured, {"agents": {"a1": before["agents"]["a1"]}}, "agents", 409)
    found = await configured.ok("PUT", CONFIG, {"agents": {"a2": before["agents"]["a2"]}}, match="*")
    assert [(change["id"], change["change"]) for change in found["changes"]] == [("a1", "removed")]
    assert (await configured.item(call.call_id))["state"] == "accepted"


async def test_the_command_exports_compares_and_applies_a_file(configured, tmp_path):
    path = tmp_path / "main.yaml"
    assert (await _command(configured, "export", "--output", path)).exit_code == 0
    same = await _command(configured, "diff", path)
    assert (same.exit_code, same.output) == (0, "")
    document = yaml.safe_load(path.read_text())
    document["queues"]["sales"]["wrap_up_s"] = 30
    del document["agents"]["a1"]
    path.write_text(yaml.safe_dump(document))
    told = await _command(configured, "diff", path)
    assert told.exit_code == 1
    assert told.output == "~ queues sales\n    wrap_up_s: 0 -> 30\n- agents a1\n"
    as_json = await _command(configured, "diff", path, "--json")
    applied = await _command(configured, "apply", path, "--json")
    assert applied.exit_code == 0, applied.output
    assert json.loads(applied.output) == json.loads(as_json.output)
    assert (await _command(configured, "apply", path)).output == ""
    assert (await _command(configured, "diff", path)).exit_code == 0


async def test_the_command_says_line_and_reason(configured, tmp_path):
    path = tmp_path / "main.yaml"
    path.write_text("""\
queues:
  overflow: {wrap_up_s: 5}
  eu.sales:
    steps:
      - after_s: 5
        queue: nowhere
""")
    refused = await _command(configured, "apply", path)
    assert (refused.exit_code, refused.output) == (
        2,
        f"Error: {path}:6: queues.eu.sales.steps.0.queue: there is no queue nowhere\n",
    )
    path.write_text("agents:\n  1001:\n    org_path: /cn\n    device_id: 1001\n    skils: {}\n")
    refused = await _command(configured, "diff", path)
    assert refused.exit_code == 2
    assert f"{path}:4: agents.1001.device_id: " in refused.output
    assert f"{path}:5: agents.1001.skils: is not a field of this request" in refused.output
    path.write_text("queues: {a: {}\n")
    assert f"Error: {path}:2: " in (await _command(configured, "diff", path)).output
