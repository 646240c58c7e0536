"""The asyncio part of the ARI driver, against a server of which each answer is chosen by the test."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
import pytest_asyncio
from aiohttp import WSMsgType, web
from cordboard_chassis.testing.deployment import eventually
from telephony_gateway.drivers.asterisk_ari import AsteriskAriDriver
from telephony_gateway.drivers.asterisk_ari_messages import MAX_MESSAGE
from telephony_gateway.drivers.credentials import Credentials
from telephony_gateway.drivers.interface import (
    CallCleared,
    CallOffered,
    Connect,
    ConnectionLost,
    ConnectionUp,
    Disconnected,
    Endpoint,
    HangUp,
    PbxEvent,
)


@dataclass
class FakeAsterisk:
    """Answers every request, writes down what was asked, and says what the test wants."""

    port: int = 0
    password: str = "right"
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    slow: asyncio.Event = field(default_factory=asyncio.Event)
    slow_path: str = "nothing"
    under_way: int = 0
    most_under_way: int = 0

    async def start(self) -> web.AppRunner:
        application = web.Application()
        application.router.add_get("/ari/events", self._events)
        application.router.add_route("*", "/{path:.*}", self._rest)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        return runner

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if not request.headers.get("Authorization", "").startswith("Basic ") or self.password != "right":
            return web.Response(status=401)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
        return socket

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path_qs))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.slow_path in request.path:
                await self.slow.wait()
            status, body = self.answers.get(request.path, (200, "[]"))
            if "/events/user/" in request.path:
                there = any(not socket.closed for socket in self.sockets)
                status, body = (204, "") if there else (404, "")
                await self.say({"type": "ChannelUserevent", "eventname": "cordboard-heartbeat"})
            return web.Response(status=status, text=body, content_type="application/json")
        finally:
            self.under_way -= 1

    async def say(self, event: object) -> None:
        """To who came last."""
        if self.sockets and not self.sockets[-1].closed:
            await self.sockets[-1].send_str(json.dumps(event))

    async def offer(self, channel: str) -> None:
        told = {"id": channel, "name": "PJSIP/carrier-00000001", "state": "Up", "caller": {"number": "138", "name": ""}}
        await self.say({"type": "StasisStart", "args": ["inbound", "4008100"], "channel": told})


@dataclass
class Running:
    """A driver that runs, and what it reported."""

    driver: AsteriskAriDriver
    events: list[PbxEvent] = field(default_factory=list)
    room: asyncio.Event = field(default_factory=asyncio.Event)

    async def report(self, event: PbxEvent) -> None:
        await self.room.wait()
        self.events.append(event)

    def seen(self, kind: type[PbxEvent]) -> list[PbxEvent]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest_asyncio.fixture
async def asterisk() -> AsyncIterator[FakeAsterisk]:
    fake = FakeAsterisk()
    runner = await fake.start()
    try:
        yield fake
    finally:
        fake.slow.set()
        await runner.cleanup()


@pytest_asyncio.fixture
async def running(asterisk: FakeAsterisk) -> AsyncIterator[Running]:
    made = Running(AsteriskAriDriver(Endpoint("pbx-1", "127.0.0.1", asterisk.port), Credentials("gateway", "s3cret")))
    made.room.set()
    task = asyncio.create_task(made.driver.run(made.report))
    try:
        yield made
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_requests_of_one_call_wait_for_each_other_and_others_do_not(
    asterisk: FakeAsterisk, running: Running
) -> None:
    await eventually(lambda: running.seen(ConnectionUp))
    asterisk.slow_path = "/ari/bridges/wait~1.0"
    await asterisk.offer("1.0")
    await eventually(lambda: ("POST", "/ari/bridges/wait~1.0?type=holding&name=wait~1.0") in asterisk.asked)
    await asterisk.offer("2.0")
    await eventually(lambda: ("POST", "/ari/bridges/wait~2.0/moh") in asterisk.asked)
    assert not any("addChannel?channel=1.0" in path for _, path in asterisk.asked)
    asterisk.slow.set()
    await eventually(lambda: ("POST", "/ari/bridges/wait~1.0/moh") in asterisk.asked)
    of_the_first = [path for method, path in asterisk.asked if "1.0" in path and method == "POST"]
    assert of_the_first == [
        "/ari/bridges/wait~1.0?type=holding&name=wait~1.0",
        "/ari/bridges/wait~1.0/addChannel?channel=1.0",
        "/ari/bridges/wait~1.0/moh",
    ]


async def test_many_calls_at_once_are_not_many_requests_at_once(asterisk: FakeAsterisk, running: Running) -> None:
    await eventually(lambda: running.seen(ConnectionUp))
    asterisk.slow_path = "/ari/bridges/wait~"
    for number in range(100):
        await asterisk.offer(f"{number}.0")
    await eventually(lambda: len(running.seen(CallOffered)) == 100)
    await eventually(lambda: asterisk.under_way >= 32)
    asterisk.slow.set()
    await eventually(lambda: sum(path.endswith("/moh") for _, path in asterisk.asked) == 100)
    assert asterisk.most_under_way <= 33


async def test_without_a_connection_nothing_is_sent(asterisk: FakeAsterisk, running: Running) -> None:
    asterisk.password = "another"
    for socket in asterisk.sockets:
        await socket.close()
    with pytest.raises(Disconnected):
        while True:
            await running.driver.send([HangUp(command_id=uuid4(), call="1.0")])
            await asyncio.sleep(0)
    before = len(running.seen(ConnectionUp))
    asterisk.password = "right"
    await eventually(lambda: len(running.seen(ConnectionUp)) > before, timeout_s=15)


async def test_a_message_too_long_costs_the_connection_and_no_memory(asterisk: FakeAsterisk, running: Running) -> None:
    await eventually(lambda: running.seen(ConnectionUp))
    await asterisk.say({"type": "x" * (MAX_MESSAGE + 10)})
    await eventually(lambda: running.seen(ConnectionLost))
    await eventually(lambda: len(running.seen(ConnectionUp)) == 2)


async def test_names_in_gbk_do_not_cost_the_connection(asterisk: FakeAsterisk, running: Running) -> None:
    await eventually(lambda: running.seen(ConnectionUp))
    channel = {
        "id": "1.0",
        "name": "PJSIP/carrier-00000001",
        "state": "Up",
        "caller": {"number": "138", "name": "李雷"},
    }
    told = json.dumps({"type": "StasisStart", "args": ["inbound", "4"], "channel": channel}, ensure_ascii=False)
    writer = asterisk.sockets[-1]._writer
    assert writer is not None
    await writer.send_frame(told.encode("gbk"), WSMsgType.TEXT)
    await eventually(lambda: running.seen(CallOffered))
    assert running.seen(CallOffered)[0].from_name == "李雷"  # type: ignore[attr-defined]
    assert not running.seen(ConnectionLost)


async def test_another_gateway_takes_over(asterisk: FakeAsterisk, running: Running) -> None:
    await eventually(lambda: running.seen(ConnectionUp))
    await asterisk.say({"type": "ApplicationReplaced", "application": "contactcentre"})
    lost = await eventually(lambda: running.seen(ConnectionLost))
    assert lost is not None
    assert lost[0].reason == "another gateway took over"  # type: ignore[attr-defined]


async def test_a_snapshot_that_is_refused_is_asked_for_again(asterisk: FakeAsterisk, running: Running) -> None:
    asterisk.answers["/ari/channels"] = (500, '{"message":"no"}')
    for socket in asterisk.sockets:
        await socket.close()
    await eventually(lambda: sum(path == "/ari/channels" for _, path in asterisk.asked) > 2, timeout_s=15)
    up = len(running.seen(ConnectionUp))
    del asterisk.answers["/ari/channels"]
    await eventually(lambda: len(running.seen(ConnectionUp)) > up, timeout_s=15)


async def test_while_the_gateway_is_busy_nothing_piles_up_and_nothing_is_lost(
    asterisk: FakeAsterisk, running: Running
) -> None:
    await eventually(lambda: running.seen(ConnectionUp))
    running.room.clear()
    for number in range(3_000):
        channel = {"id": "1.0", "name": "PJSIP/carrier-00000001", "state": "Up"}
        kind = "StasisStart" if number == 0 else "ChannelStateChange"
        await asterisk.say({"type": kind, "args": ["inbound", "4"], "channel": channel})
    await asterisk.say({"type": "StasisEnd", "channel": {"id": "1.0", "name": "PJSIP/carrier-00000001"}})
    running.room.set()
    await eventually(lambda: running.seen(CallCleared), timeout_s=15)
    assert not running.seen(ConnectionLost)


async def test_a_refused_command_is_told(asterisk: FakeAsterisk, running: Running) -> None:
    await eventually(lambda: running.seen(ConnectionUp))
    await asterisk.offer("1.0")
    await eventually(lambda: running.seen(CallOffered))
    asterisk.answers["/ari/channels/agent~1.0~leg"] = (500, '{"message":"Allocation failed"}')
    command = Connect(command_id=uuid4(), call="1.0", leg="leg", device="1009", timeout_s=5)
    await running.driver.send([command])

    def refused() -> str | None:
        return next((e.reason for e in running.events if getattr(e, "command_id", None) == command.command_id), None)  # type: ignore[attr-defined]

    assert await eventually(refused) == "no-such-device"


async def test_secrets_are_in_no_log(
    asterisk: FakeAsterisk, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await eventually(lambda: running.seen(ConnectionUp))
    asterisk.password = "another"
    for socket in asterisk.sockets:
        await socket.close()
    await eventually(lambda: any("no connection" in record.message for record in caplog.records))
    assert "s3cret" not in caplog.text
    assert all("s3cret" not in str(record.__dict__) for record in caplog.records)
    assert "s3cret" not in repr(running.driver._credentials)
