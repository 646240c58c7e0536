"""Toll fraud: an agent or branch that has dialled enough is refused with the reason, and nothing else changes."""

import asyncio
import itertools
from typing import Any

import pytest
from cordboard_chassis.testing.deployment import eventually
from gateway_scene import PBX, Gateway, now
from telephony_gateway.drivers.interface import CallCleared, Originate, Party
from test_http import problem

pytestmark = pytest.mark.asyncio(loop_scope="module")

keys = (f"dial-{n}" for n in itertools.count())


async def limit(gateway: Gateway, *limits: dict[str, Any]) -> None:
    """Configure, and wait until the owner has taken it."""
    shown = await gateway.admin.get("/v1/pbxs/pbx-1")
    body = PBX | {"outbound_limits": [{"org_path": "/cn/east", **one} for one in limits]}
    answer = await gateway.admin.put("/v1/pbxs/pbx-1", json=body, headers={"If-Match": shown.headers["etag"]})
    assert answer.status_code == 200, answer.text
    assert [one["per"] for one in answer.json()["outbound_limits"]] == [one["per"] for one in limits]


async def dial(gateway: Gateway, agent_id: str, **fields: Any) -> Any:
    wish = {"pbx_id": "pbx-1", "number": "13800138000", **fields}
    return await gateway.agent(agent_id).post("/v1/calls", json=wish, headers={"Idempotency-Key": next(keys)})


async def refused(gateway: Gateway, agent_id: str, field: str) -> str:
    """Why a call is too many, once the owner knows the limit; calls before that are ended."""

    async def attempt() -> Any:
        answer = await dial(gateway, agent_id)
        if answer.status_code == 202:
            await end(gateway, answer)
            return None
        return answer if problem(answer) == (409, "outbound-limit", [field]) else None

    detail: str = (await eventually(attempt)).json()["detail"]
    return detail


async def end(gateway: Gateway, *answers: Any) -> None:
    for answer in answers:
        view = await gateway.view(answer.json()["call_id"])
        await gateway.pbx.say(CallCleared(at=now(), call=view["pbx_call_id"], by=Party.CUSTOMER))
        await eventually(lambda call_id=view["call_id"]: _over(gateway, call_id))


async def _over(gateway: Gateway, call_id: Any) -> bool:
    return bool((await gateway.view(call_id))["state"] == "cleared")


async def test_simultaneous_calls_of_an_agent_are_limited_also_within_one_moment(gateway: Gateway) -> None:
    await gateway.seat("a1", "1001")
    await gateway.seat("a2", "1002")
    await limit(gateway, {"per": "agent", "simultaneous": 0})
    assert "the agent has 0 outbound calls" in await refused(gateway, "a1", "agent_id")
    dialled = len([command for command in gateway.pbx.commands if isinstance(command, Originate)])
    await limit(gateway, {"per": "agent", "simultaneous": 1})

    async def taken() -> Any:
        answer = await dial(gateway, "a1")
        return answer if answer.status_code == 202 else None

    first = await eventually(taken)
    await end(gateway, first)
    both = await asyncio.gather(*(dial(gateway, "a1") for _ in range(4)))
    assert sorted(answer.status_code for answer in both) == [202, 409, 409, 409]
    other = await dial(gateway, "a2")
    assert other.status_code == 202, "another agent is not meant"
    ordered = [command for command in gateway.pbx.commands if isinstance(command, Originate)]
    assert len(ordered) == dialled + 3
    await end(gateway, *(answer for answer in [*both, other] if answer.status_code == 202))


async def test_calls_of_a_branch_within_an_interval_are_limited(gateway: Gateway) -> None:
    await gateway.seat("a3", "1003")
    await gateway.seat("a4", "1004")
    await limit(gateway, {"per": "branch", "calls": 0})
    assert "/cn/east has begun 0 outbound calls within 3600 s" in await refused(gateway, "a3", "number")
    await limit(gateway, {"per": "branch", "calls": 2, "interval_s": 3}, {"per": "agent", "simultaneous": 5})

    async def again() -> Any:
        answer = await dial(gateway, "a3")
        return answer if answer.status_code == 202 else None

    await end(gateway, await eventually(again), await eventually(again))
    assert "has begun 2" in await refused(gateway, "a4", "number"), "of all its agents together"
    await end(gateway, await eventually(again))


async def test_a_device_without_an_agent_does_not_get_round_the_limits_of_agents(gateway: Gateway) -> None:
    await limit(gateway, {"per": "agent", "calls": 100})
    wish = {"pbx_id": "pbx-1", "number": "13800138000", "device_id": "1008"}

    async def attempt() -> bool:
        answer = await gateway.admin.post("/v1/calls", json=wish)
        return problem(answer) == (409, "no-agent", ["device_id"]) if answer.status_code == 409 else False

    await eventually(attempt)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"per": "planet", "calls": 1}, "outbound_limits.0.per"),
        ({"per": "agent"}, "outbound_limits.0.calls"),
        ({"per": "agent", "calls": -1}, "outbound_limits.0.calls"),
        ({"per": "agent", "calls": 1, "interval_s": 0}, "outbound_limits.0.interval_s"),
        ({"per": "branch", "calls": 1, "org_path": "/de"}, "outbound_limits.0.org_path"),
    ],
)
async def test_a_limit_that_makes_no_sense_is_refused(gateway: Gateway, change: dict[str, Any], field: str) -> None:
    body = PBX | {"outbound_limits": [{"org_path": "/cn/east", **change}]}
    answer = await gateway.admin.put("/v1/pbxs/pbx-8", json=body)
    assert (problem(answer)[0], problem(answer)[2]) == (422, [field])
