"""The dispatcher under trouble: crashes, replicas, dead partners, lost wake-ups."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from uuid import UUID

from aio_pika import connect
from aiohttp import web
from cordboard_chassis.testing.deployment import eventually, rows
from notifications.usecases.claim_deliveries import claim_deliveries

ALL = {"endpoint_limit": 1000}


async def test_an_attempt_without_end_is_taken_over_when_its_lease_is_over(make):
    notifications = await make("api")
    worker = await notifications.replica("worker", webhook_poll_s=0.1)
    endpoint = await notifications.endpoint()
    await worker.stop()
    ping = (await notifications.admin.post(f"/v1/endpoints/{endpoint['id']}/ping")).json()
    # What a dispatcher has done when it dies between the row before the POST and the row after it.
    async with notifications.database.transaction() as uow:
        (claimed,) = await claim_deliveries(uow, free=9, busy={}, endpoint_limit=9, lease_s=0.5)
    assert str(claimed.id) == ping["id"]
    sending = await notifications.admin.post(f"/v1/deliveries/{ping['id']}/redeliver")
    assert (sending.status_code, sending.json()["code"]) == (409, "being-sent")
    async with notifications.database.transaction() as uow:
        assert await claim_deliveries(uow, free=9, busy={}, endpoint_limit=9, lease_s=0.5) == []
    await notifications.replica("worker", webhook_poll_s=0.1)
    (received,) = await notifications.expect()
    assert received.id == ping["id"]
    await notifications.settled()
    second, first = (await notifications.delivery(ping["id"]))["history"]
    assert first["error"].startswith("unknown")
    assert (second["number"], second["status"]) == (2, 204)


async def test_kill_nine_amid_posting_loses_nothing_and_keeps_ids(make):
    notifications = await make("api")
    settings = notifications.deployed.settings
    environment = {
        **os.environ,
        "CORDBOARD_DATABASE_URL": settings.database_url,
        "CORDBOARD_AMQP_URL": settings.amqp_url,
        "CORDBOARD_REDIS_URL": settings.redis_url,
        "CORDBOARD_JWKS": settings.jwks,
        "CORDBOARD_JWT_ISSUER": settings.jwt_issuer,
        "CORDBOARD_HTTP_PORT": "0",
        "CORDBOARD_WEBHOOK_ALLOW_PRIVATE": "true",
        "CORDBOARD_WEBHOOK_TIMEOUT_S": "1",
    }
    begun = asyncio.Event()
    held = 0

    async def hold(_request):
        nonlocal held
        held += 1
        if held <= 3:
            begun.set()
            await asyncio.sleep(30)
        return web.Response()

    notifications.answer(hold)
    await notifications.endpoint()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "notifications",
        "worker",
        env=environment,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: _bound(notifications), timeout_s=30)
        events = [await notifications.offered() for _ in range(30)]
        async with asyncio.timeout(20):
            await begun.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()
    await notifications.replica("worker", webhook_timeout_s=1.0)
    done = await notifications.settled(30, timeout_s=30)
    assert {d["state"] for d in done} == {"delivered"}
    assert {UUID(d["event_id"]) for d in done} == {event.id for event in events}
    sent = Counter(received.id for received in notifications.received())
    assert set(sent) == {d["id"] for d in done}
    unknown = [d["id"] for d in done if (await notifications.delivery(d["id"]))["history"][-1]["error"] is not None]
    assert unknown
    assert {delivery_id for delivery_id, number in sent.items() if number > 1} <= set(unknown)


async def _bound(notifications):
    """Whether the queue is there; what is published before is nobody's."""
    connection = await connect(notifications.deployed.settings.amqp_url)
    async with connection:
        channel = await connection.channel()
        try:
            queue = await channel.declare_queue("notifications.events", passive=True)
        except Exception as error:
            raise AssertionError("no queue yet") from error
        return queue.declaration_result.consumer_count


async def test_shutdown_finishes_what_is_under_way(make):
    notifications = await make("api")
    worker = await notifications.replica("worker")
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_request):
        begun.set()
        await go_on.wait()
        return web.Response()

    notifications.answer(hold)
    endpoint = await notifications.endpoint()
    await notifications.admin.post(f"/v1/endpoints/{endpoint['id']}/ping")
    async with asyncio.timeout(10):
        await begun.wait()
        stopping = asyncio.create_task(worker.stop())
        await asyncio.sleep(0)
        go_on.set()
        await stopping
    (delivery,) = await notifications.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)


async def test_shutdown_gives_back_what_does_not_finish(make):
    notifications = await make("api")
    worker = await notifications.replica("worker", webhook_timeout_s=30.0, shutdown_s=0.5)
    begun = asyncio.Event()

    async def hold(_request):
        begun.set()
        await asyncio.sleep(60)

    notifications.answer(hold)
    endpoint = await notifications.endpoint()
    await notifications.admin.post(f"/v1/endpoints/{endpoint['id']}/ping")
    async with asyncio.timeout(10):
        await begun.wait()
        await worker.stop()
    (left,) = await rows(
        notifications.database, "SELECT state, lease_until, next_attempt_at <= now() AS due FROM deliveries"
    )
    assert left == {"state": "pending", "lease_until": None, "due": True}
    notifications.statuses(200)
    await notifications.replica("worker")
    (delivery,) = await notifications.settled()
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 2)
    assert (await notifications.delivery(delivery["id"]))["history"][1]["error"].startswith("unknown")
