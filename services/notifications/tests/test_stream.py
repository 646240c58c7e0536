"""The event stream as a desktop sees it."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from cordboard_chassis.auth.principal import Role
from cordboard_chassis.testing.deployment import eventually, rows
from cordboard_contracts import new_id
from notifications.domain.events import NewsItem
from notifications.usecases import follow_stream
from notifications.usecases.purge_ledger import purge_events, raise_floor
from notifications.usecases.record_events import KnownSubscriptions, Retention, record_events

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS, ASSIGNMENTS = "telephony.call.offered.v1", "routing.assignment.offered.v1"


@pytest.fixture(scope="module")
def settings():
    """A quick heart; no Redis, which the stream does not need; not even wake-ups are needed, only slower."""
    return {"stream_heartbeat_s": 0.3, "stream_poll_s": 0.3, "redis_url": "redis://127.0.0.1:1/0"}


@dataclass
class Stream:
    """What came, as a browser's EventSource would tell it."""

    headers: dict[str, str] = field(default_factory=dict)
    messages: list[tuple[str, int, Any]] = field(default_factory=list)
    """(event, id, data)"""
    last_id: int | None = None
    heartbeats: int = 0
    retry: str = ""
    ended: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, block: list[str]) -> None:
        fields = dict(line.split(": ", 1) for line in block if not line.startswith(":"))
        self.heartbeats += any(line.startswith(":") for line in block)
        self.retry = fields.get("retry", self.retry)
        if "id" in fields:
            self.last_id = int(fields["id"])
        if "data" in fields:
            assert self.last_id is not None
            self.messages.append((fields.get("event", "message"), self.last_id, json.loads(fields["data"])))
        self.changed.set()

    @property
    def ids(self) -> list[str]:
        return [data["id"] for event, _, data in self.messages if event == "message"]

    async def until(self, condition, timeout_s=10):
        async with asyncio.timeout(timeout_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def following(client, headers=None, **params):
    """A stream that is read while the block runs; it has begun."""
    stream = Stream()
    began = asyncio.Event()

    async def read():
        try:
            async with client.stream("GET", "/v1/stream", params=params, headers=headers) as response:
                assert response.status_code == 200, (await response.aread()).decode()
                stream.headers = dict(response.headers)
                block: list[str] = []
                async for line in response.aiter_lines():
                    if line:
                        block.append(line)
                        continue
                    stream.take(block)
                    block = []
                    if stream.last_id is not None:
                        began.set()
        finally:
            stream.ended = True
            stream.changed.set()
            began.set()

    reading = asyncio.create_task(read())
    async with asyncio.timeout(15):
        await began.wait()
    if reading.done():
        reading.result()
    try:
        yield stream
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError, httpx2.HTTPError):
            await reading


@pytest.fixture
def desktop(here):
    """A supervisor's client."""
    return here.client(Role.SUPERVISOR)


async def test_events_come_in_order_with_growing_positions(here, desktop):
    async with following(desktop) as stream:
        events = [await here.offered() for _ in range(20)]
        await stream.until(lambda: len(stream.ids) == 20)
    assert stream.ids == [str(event.id) for event in events]
    positions = [position for _, position, _ in stream.messages]
    assert positions == sorted(set(positions))
    assert stream.messages[0][2]["data"]["call"]["from_name"] == "张伟"
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-store"
    assert stream.retry == "1000"


async def test_resume_gives_exactly_what_was_missed(here, desktop):
    """Publish all the time, break off again and again: every event once, in order."""
    events, stop = [], asyncio.Event()

    async def publish():
        while not stop.is_set():
            events.append(str((await here.offered()).id))

    async with following(desktop) as stream:
        position = stream.last_id
    publishing = asyncio.create_task(publish())
    seen: list[str] = []
    for turn in range(6):
        how = {"headers": {"Last-Event-ID": str(position)}, "after": 0} if turn % 2 else {"after": position}
        async with following(desktop, **how) as stream:
            await stream.until(lambda current=stream: len(current.ids) >= 5)
        seen += stream.ids
        position = stream.last_id
    stop.set()
    await publishing
    async with following(desktop, after=position) as stream:
        await stream.until(lambda current=stream: len(seen) + len(current.ids) >= len(events))
        seen += stream.ids
    assert seen == events


async def test_types_filter(here, desktop):
    async with following(desktop, types=["routing.*", "telephony.call.cleared.v1"]) as stream:
        await here.offered()
        await here.assigned("a1")
        await here.cleared()
        await stream.until(lambda: len(stream.ids) == 2)
    assert {data["type"] for _, _, data in stream.messages} == {ASSIGNMENTS, "telephony.call.cleared.v1"}


async def test_mine_is_what_concerns_the_agent_of_the_token(here):
    agent = here.client(Role.AGENT, agent_id="a1")
    async with following(agent, mine="true") as stream:
        await here.assigned("a2")
        await here.offered()
        mine = await here.assigned("a1")
        await stream.until(lambda: stream.ids)
        await here.assigned("a3")
        last = await here.assigned("a1")
        await stream.until(lambda: len(stream.ids) == 2)
    assert stream.ids == [str(mine.id), str(last.id)]
    refused = await here.client(Role.SUPERVISOR).get("/v1/stream", params={"mine": "true"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "mine")


async def test_only_the_own_part_of_the_organisation(here):
    east = here.place + "/east"
    async with following(here.client(Role.BRANCH_MANAGER, east)) as stream:
        await here.offered(here.place)
        await here.offered(here.place + "/eastern")
        inside = [await here.offered(east), await here.offered(east + "/shanghai")]
        await stream.until(lambda: len(stream.ids) == 2)
        async with following(here.client(Role.BRANCH_MANAGER, east), after=0) as whole:
            await whole.until(lambda: len(whole.ids) == 2)
    assert sorted(stream.ids) == sorted(whole.ids) == sorted(str(event.id) for event in inside)


async def test_heartbeats_advance_the_position_silently(here, desktop):
    """So that a quiet desktop, coming back after a day, is not told that it missed something."""
    async with following(desktop) as stream:
        began, beats = stream.last_id, stream.heartbeats
        await here.at("/elsewhere").offered()
        await stream.until(lambda: stream.heartbeats > beats and stream.last_id > began)
        assert stream.messages == []


async def test_a_transaction_that_commits_late_is_not_overlooked(here, desktop):
    """The second event must not become visible at a position behind which the first one may still appear."""
    known, retention = KnownSubscriptions(), Retention(1e6, 1e5)

    def item():
        return NewsItem(new_id(), CALLS, here.place, [], datetime.now(UTC), json.dumps({"id": str(new_id())}))

    async def record(news):
        async with here.database.transaction() as uow:
            await record_events(uow, known, retention, [news])

    first, second = item(), item()
    async with following(desktop) as stream:
        async with here.database.transaction() as uow:
            await record_events(uow, known, retention, [first])
            late = asyncio.create_task(record(second))
            waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            await eventually(lambda: rows(here.database, waiting))
            assert not stream.messages
            assert not late.done()
        await late
        await stream.until(lambda: len(stream.messages) == 2)
    assert stream.ids == [json.loads(news.body)["id"] for news in (first, second)]


async def test_what_nobody_told_is_found_by_polling(here, desktop):
    async with following(desktop) as stream:
        event_id = new_id()
        async with here.database.transaction() as uow:
            await uow.connection.exec_driver_sql(
                "INSERT INTO events (id, position, type, org_path, agents, occurred_at, delete_after, body) VALUES"
                f" ('{event_id}', nextval('events_position'), '{CALLS}', '{here.place}', '{{}}', now(),"
                f""" now() + interval '1 day', '{{"id": "{event_id}"}}')"""
            )
        await stream.until(lambda: stream.ids == [str(event_id)])


async def test_wake_ups_come_back_after_their_connection_was_cut(here, desktop):
    async with following(desktop) as stream:
        async with here.database.transaction() as uow:
            await uow.connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        event = await here.offered()
        await stream.until(lambda: stream.ids == [str(event.id)])


async def test_a_desktop_that_is_far_behind_reads_from_the_table(here, desktop, monkeypatch):
    monkeypatch.setattr(follow_stream, "MAX_RECENT", 5)
    monkeypatch.setattr(follow_stream, "FIRST_LOOK_BACK", 5)
    monkeypatch.setattr(follow_stream, "PAGE", 7)
    async with following(desktop) as stream:
        position = stream.last_id
        events = [str((await here.offered()).id) for _ in range(40)]
        await stream.until(lambda: len(stream.ids) == 40)
    async with following(desktop, after=position) as again:
        await again.until(lambda: len(again.ids) == 40)
    assert stream.ids == again.ids == events


async def test_a_desktop_that_does_not_read_costs_no_memory_and_misses_nothing(here, desktop, monkeypatch):
    monkeypatch.setattr(follow_stream, "MAX_RECENT", 20)
    sent = []
    async with desktop.stream("GET", "/v1/stream") as response:
        lines = response.aiter_lines()
        assert await anext(lines) == "retry: 1000"
        async with following(desktop) as quick:
            known, retention = KnownSubscriptions(), Retention(1e6, 1e5)
            padding = "x" * 50_000
            for _ in range(20):
                items = [
                    NewsItem(new_id(), CALLS, here.place, [], datetime.now(UTC), json.dumps({"id": n, "p": padding}))
                    for n in range(len(sent), len(sent) + 10)
                ]
                async with here.database.transaction() as uow:
                    await record_events(uow, known, retention, items)
                sent += range(len(sent), len(sent) + 10)
            await quick.until(lambda: len(quick.ids) == 200, timeout_s=20)
        got = []
        async with asyncio.timeout(20):
            async for line in lines:
                if line.startswith("data: "):
                    got.append(json.loads(line.removeprefix("data: "))["id"])
                    if len(got) == 200:
                        break
    assert got == sent


async def test_reset_when_the_position_is_no_longer_kept(here, desktop):
    async with following(desktop) as stream:
        position = stream.last_id
        await here.offered()
        gone = await here.offered()
        await stream.until(lambda: len(stream.ids) == 2)
    async with here.database.transaction() as uow:
        await uow.connection.exec_driver_sql(
            "UPDATE events SET received_at = now() - interval '2 days', delete_after = now() - interval '1 hour'"
        )
        await raise_floor(uow, 86_400)
        assert await purge_events(uow) >= 2
    assert await rows(here.database, "SELECT 1 FROM events WHERE id = :id", id=gone.id) == []
    async with following(desktop, after=position) as stream:
        await stream.until(lambda: stream.messages)
        event = await here.offered()
        await stream.until(lambda: len(stream.messages) == 2)
    kind, at, data = stream.messages[0]
    assert (kind, data) == ("reset", {"position": at, "reason": "expired"})
    assert stream.ids == [str(event.id)]
    async with following(desktop, after=at) as stream:
        await stream.until(lambda: stream.ids)
    assert [kind for kind, _, _ in stream.messages] == ["message"]


async def test_reset_when_the_position_was_never_reached(here, desktop):
    async with following(desktop, after=10**15) as stream:
        await stream.until(lambda: stream.messages)
        event = await here.offered()
        await stream.until(lambda: stream.ids == [str(event.id)])
    kind, at, data = stream.messages[0]
    assert (kind, data) == ("reset", {"position": at, "reason": "unknown"})


async def test_the_token_may_stand_in_the_query(here):
    token = here.client(Role.AGENT).headers["Authorization"].removeprefix("Bearer ")
    async with following(here.deployed.bare_client(), access_token=token) as stream:
        event = await here.offered()
        await stream.until(lambda: stream.ids == [str(event.id)])


@pytest.mark.parametrize(
    ("params", "status", "field_name"),
    [
        ({"after": "-1"}, 422, "after"),
        ({"after": "x"}, 422, "after"),
        ({"after": str(2**63)}, 422, "after"),
        ({"types": "telephony"}, 422, "types.0"),
        ({"types": ["a.*"] * 51}, 422, "types"),
        ({"mine": "perhaps"}, 422, "mine"),
        ({"typo": "1"}, 422, "typo"),
    ],
)
async def test_bad_input(here, desktop, params, status, field_name):
    response = await desktop.get("/v1/stream", params=params)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (status, field_name)


async def test_who_may_not_listen(here):
    response = await here.deployed.bare_client().get("/v1/stream")
    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    response = await here.deployed.bare_client().get("/v1/stream", params={"access_token": "forged"})
    assert (response.status_code, response.json()["code"]) == (401, "invalid-token")
    response = await here.client(Role.PARTNER, partner_id="p1").get("/v1/stream")
    assert (response.status_code, response.json()["code"]) == (403, "role-missing")


async def test_limits_end_and_shutdown(here):
    """A process has so many streams and no more; each ends in time; all end when the process does, cleanly."""
    replica = await here.replica("api", stream_limit=2, stream_max_s=1.0)
    client = replica.client(Role.SUPERVISOR)
    async with following(client) as first, following(client) as second:
        refused = await client.get("/v1/stream")
        assert (refused.status_code, refused.json()["code"]) == (503, "too-many-streams")
        await first.until(lambda: first.ended)
        await second.until(lambda: second.ended)
    lasting = await here.replica("api")
    async with following(lasting.client(Role.SUPERVISOR)) as stream:
        async with asyncio.timeout(3):
            await lasting.process.stop()
        await stream.until(lambda: stream.ended)
    await replica.stop()
