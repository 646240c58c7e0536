"""How many requests a caller may make: over all replicas, and never at the price of an answer."""

import asyncio
import math
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from cordboard_chassis.http import rate_limit
from cordboard_chassis.http.rate_limit import WINDOW_S, wait_for_room_s
from cordboard_chassis.settings import ServiceSettings
from cordboard_chassis.testing.deployment import Deployed, Deployment
from hypothesis import assume, given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from sample.app import build

COUNTS = st.integers(0, 1000)


@given(COUNTS, COUNTS, st.integers(1, 1000), st.floats(0, WINDOW_S, exclude_max=True))
def test_whoever_waits_as_told_has_room_and_not_much_sooner(before: int, made: int, limit: int, elapsed: float) -> None:
    assume(made <= limit)  # what is refused is not counted
    wait_s = wait_for_room_s(before, made, limit, elapsed)
    assert 0 <= wait_s <= 2 * WINDOW_S

    def room(at_s: float) -> bool:
        windows, within = divmod(elapsed + at_s, WINDOW_S)
        earlier, present = ((before, made), (made, 0), (0, 0))[int(windows)]
        return wait_for_room_s(earlier, present, limit, within) == 0

    assert room(wait_s + 1e-6)
    assert wait_s == 0 or not room(max(0.0, wait_s - 0.1) if wait_s > 0.2 else 0.0)


def caller(deployed: Deployed, **claims: Any) -> httpx2.AsyncClient:
    return deployed.client("agent", "/cn", **{"subject": uuid4().hex, **claims})


def uncounted() -> float:
    return REGISTRY.get_sample_value("cordboard_http_uncounted_total") or 0


async def test_a_caller_is_limited_over_all_replicas_and_others_are_not(deploy: Deployment) -> None:
    replicas = [await deploy(build, ServiceSettings, "api", requests_per_minute=5) for _ in range(2)]
    subject = uuid4().hex
    clients = [caller(replica, subject=subject) for replica in replicas]
    assert [(await clients[n % 2].get("/v1/me")).status_code for n in range(7)] == [200] * 5 + [429] * 2
    refused = await clients[0].post("/v1/notes", json={"text": "x"})
    assert (refused.status_code, refused.headers["Content-Type"]) == (429, "application/problem+json")
    assert refused.json()["code"] == "too-many-requests"
    assert 1 <= int(refused.headers["Retry-After"]) <= math.ceil(1.2 * WINDOW_S)
    other = caller(replicas[0])
    assert (await other.get("/v1/notes")).json()["items"] == []
    # Nobody is counted who is nobody: a stranger can use up no one's requests.
    assert (await replicas[0].bare_client().get("/v1/me")).status_code == 401
    assert (await replicas[0].bare_client().get("/readyz")).status_code == 200


async def test_losing_all_of_redis_loses_a_count_and_nothing_else(deploy: Deployment) -> None:
    sample = await deploy(build, ServiceSettings, "api", requests_per_minute=3)
    client = caller(sample)
    statuses = [(await client.post("/v1/notes", json={"text": str(n)})).status_code for n in range(4)]
    assert statuses == [201, 201, 201, 429]
    async with Redis.from_url(deploy.servers.redis_url) as redis:
        await redis.flushdb()
    assert [note["text"] for note in (await client.get("/v1/notes")).json()["items"]] == ["0", "1", "2"]


async def test_without_redis_requests_are_answered_uncounted(
    deploy: Deployment, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    gone = f"redis://127.0.0.1:{unused_tcp_port}/0"
    sample = await deploy(build, ServiceSettings, "api", requests_per_minute=1, redis_url=gone)
    client = caller(sample)
    before = uncounted()
    assert [(await client.get("/v1/me")).status_code for _ in range(3)] == [200] * 3
    assert uncounted() == before + 3
    assert "requests are not counted: Redis is away" in caplog.text
    assert "cordboard_http_uncounted_total" in (await sample.bare_client().get("/metrics")).text


async def test_a_redis_that_hangs_is_asked_once_and_then_left_alone(
    deploy: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "AWAY_S", 600.0)
    asked = 0

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.read()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        sample = await deploy(
            build, ServiceSettings, "api", requests_per_minute=1, redis_url=f"redis://127.0.0.1:{port}/0"
        )
        client = caller(sample)
        assert [(await client.get("/v1/me")).status_code for _ in range(3)] == [200] * 3
    assert asked == 1


async def test_no_limit_is_no_limit(deploy: Deployment) -> None:
    sample = await deploy(build, ServiceSettings, "api", requests_per_minute=0)
    client = caller(sample)
    assert {(await client.get("/v1/me")).status_code for _ in range(10)} == {200}
