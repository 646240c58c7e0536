"""A service as a whole: requests, messages, owners, on real servers."""

from dataclasses import replace
from typing import Any

import pytest
from cordboard_chassis import ownership
from cordboard_chassis.database import Database
from cordboard_chassis.messaging.consumer import database_is_away
from cordboard_chassis.service import Service
from cordboard_chassis.settings import ServiceSettings
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployment, eventually, rows
from cordboard_contracts.accounts import RegisterCustomer
from sample.app import build
from sample.words import counters, lead
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout


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


async def test_what_an_owner_fails_at_again_and_again_is_refused_in_the_end(
    deploy: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only after many times: owners also end for other reasons, with something in hand that is not to blame."""
    monkeypatch.setattr(ownership, "TRY_S", 0.01)
    monkeypatch.setattr(ownership, "LOOK_S", 0.1)
    sample = await deploy(build, ServiceSettings)
    body = {"name": "asked", "org_path": "/cn"}
    fatal = await sample.client().post("/v1/workspaces/north/counters", json={**body, "by": 666})
    assert (fatal.status_code, fatal.json()["code"]) == (503, "owner-failed")
    assert (await sample.client().post("/v1/workspaces/north/counters", json=body)).status_code == 200
    [tried] = await rows(sample.database, "SELECT attempts FROM owner_inputs WHERE result ? 'refused'")
    assert tried["attempts"] > ownership.INPUT_ATTEMPTS > 5


async def test_what_is_owned_stays_owned_while_new_owners_cannot_be_looked_for(deploy: Deployment) -> None:
    looks = 0

    async def failing_now_and_then(_database: Database) -> list[str]:
        nonlocal looks
        looks += 1
        if looks > 1:
            raise PoolTimeout("no connection")
        return ["north"]

    def build_with_owners(settings: ServiceSettings) -> Service:
        service = build(settings)
        return replace(service, owners=[replace(service.owners[0], ids=failing_now_and_then)])

    build_with_owners.__module__ = build.__module__
    sample = await deploy(build_with_owners, ServiceSettings)
    body = {"name": "asked", "org_path": "/cn"}
    assert (await sample.client().post("/v1/workspaces/north/counters", json=body)).json()["value"] == 1

    async def session() -> int:
        owners = await rows(
            sample.database,
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'cordboard-sample-owner'",
        )
        assert len(owners) == 1
        return int(owners[0]["pid"])

    before = await eventually(session)
    await eventually(lambda: looks > 3)
    assert await session() == before
    assert (await sample.client().post("/v1/workspaces/north/counters", json=body)).json()["value"] == 2


async def test_what_runs_past_sqlalchemy_fails_like_all_else(deploy: Deployment) -> None:
    database = (await deploy(build, ServiceSettings)).database
    for statement, gone in (
        ("SELECT 1 / %(by)s", False),
        ("SELECT pg_terminate_backend(pg_backend_pid() + %(by)s)", True),
    ):
        with pytest.raises(DBAPIError) as failed:
            async with database.transaction() as uow:
                await uow.execute_directly(statement, {"by": 0})
        assert failed.value.connection_invalidated is gone
        assert database_is_away(failed.value) is gone
        async with database.transaction() as uow:
            assert await uow.execute_directly("SELECT %(one)s::int", {"one": 1}) == [(1,)]
