"""A service as a whole: requests, messages, owners, on real servers."""

from typing import Any

from cordboard_chassis.settings import ServiceSettings
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployment, eventually
from cordboard_contracts.accounts import RegisterCustomer
from sample.app import build
from sample.words import counters, lead


async def test_a_request_counts_once_per_key_and_what_it_emits_is_published(deploy: Deployment, bus: TestBus) -> None:
    sample = await deploy(build, ServiceSettings)
    client = sample.client()
    body = {"name": "陈", "org_path": "/cn/east"}
    first = await client.post("/v1/counters", json=body, headers={"Idempotency-Key": "a"})
    again = await client.post("/v1/counters", json=body, headers={"Idempotency-Key": "a"})
    assert (first.status_code, first.json()) == (201, {"name": "陈", "value": 1})
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await client.post("/v1/counters", json={**body, "by": 2}, headers={"Idempotency-Key": "a"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    command = await bus.expect(RegisterCustomer)
    assert (command.data.name, command.source, command.orgpath) == ("陈", "/sample", "/cn/east")
    assert await counters(sample) == {"陈": 1}


async def test_a_message_is_handled_once_however_often_it_comes(deploy: Deployment, bus: TestBus) -> None:
    sample = await deploy(build, ServiceSettings)
    envelope = await bus.publish(lead("wang"), subject="x", orgpath="/cn")
    await bus.send(envelope)
    await bus.publish(lead("li"), subject="x", orgpath="/cn")
    await eventually(lambda: _is(sample, {"wang": 1, "li": 1}))
    command = await bus.expect(RegisterCustomer, lambda e: e.data.name == "wang")
    assert (command.causationid, command.correlationid) == (envelope.id, envelope.correlationid)


async def _is(sample: Any, wanted: dict[str, int]) -> bool:
    found = await counters(sample)
    assert found == wanted
    return True


async def test_an_owner_gets_what_names_it_and_answers_requests(deploy: Deployment, bus: TestBus) -> None:
    first = await deploy(build, ServiceSettings)
    second = await deploy(build, ServiceSettings)
    for number in range(20):
        workspace = ("north", "south")[number % 2]
        await bus.publish(lead("call", workspace), subject=str(number), orgpath="/cn", workspace=workspace)
    await eventually(lambda: _is(first, {"call": 20, "north:call": 10, "south:call": 10}))
    for number, deployed in enumerate((first, second) * 3):
        answer = await deployed.client().post(
            f"/v1/workspaces/{('north', 'south')[number % 2]}/counters", json={"name": "asked", "org_path": "/cn"}
        )
        assert (answer.status_code, answer.json()) == (200, {"name": "asked", "value": number + 1})
    refused = await first.client().post(
        "/v1/workspaces/north/counters", json={"name": "asked", "org_path": "/cn", "by": 13}
    )
    assert (refused.status_code, refused.json()["code"], refused.json()["errors"][0]["field"]) == (
        409,
        "conflict",
        "by",
    )
