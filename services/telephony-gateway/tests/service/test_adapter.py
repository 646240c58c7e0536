"""The open interface: what an adapter says counts once it is signed, in order and committed; commands reach it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import pytest_asyncio
from aiohttp import web
from cordboard_chassis.auth.development import DevelopmentIssuer
from cordboard_chassis.signatures import headers, require_signed, secret_of
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, Deployment, eventually
from cordboard_chassis.testing.openapi import answers_as_documented
from cordboard_chassis.testing.servers import Servers
from cordboard_contracts import telephony
from gateway_scene import PBX
from telephony_gateway import app
from telephony_gateway.domain import adapter_session
from telephony_gateway.settings import GatewaySettings

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = secret_of(b"the secret of a test's adapter..")
OTHER = secret_of(b"the secret of somebody else.....")


def now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass
class Adapter:
    """One that says what the test wants."""

    client: httpx2.AsyncClient
    pbx_id: str = "pbx-1"
    secret: str = SECRET
    session: str = ""
    sequence: int = 0
    """Of the last event that was taken."""
    names: int = 0

    async def ask(self, method: str, path: str, content: Any = None, **change: str) -> httpx2.Response:
        body = b"" if content is None else json.dumps(content).encode()
        signed = headers(f"msg_{uuid4()}", int(time.time()), body, [self.secret])
        return await self.client.request(
            method,
            f"/adapter/v1/pbxs/{self.pbx_id}{path}",
            content=body,
            headers={"content-type": "application/json", **signed, **change},
        )

    async def begin(self, **fields: Any) -> httpx2.Response:
        """Send a snapshot of nothing but idle phones, unless fields say otherwise."""
        self.session, self.sequence = f"session-{uuid4()}", 0
        devices = [{"device": f"100{n}", "state": "idle"} for n in range(1, 4)]
        snapshot = {"at": now(), "calls": [], "devices": devices, **fields.pop("snapshot", {})}
        return await self.ask("PUT", "/snapshot", {"session": self.session, "snapshot": snapshot, **fields})

    async def say(self, *events: dict[str, Any], **change: Any) -> httpx2.Response:
        content = {
            "session": self.session,
            "first": self.sequence + 1,
            "events": [{"at": now(), **event} for event in events],
            **change,
        }
        answer = await self.ask("POST", "/events", content)
        if answer.status_code == 200:
            self.sequence = answer.json()["sequence"]
        return answer

    def offered(self, **fields: Any) -> dict[str, Any]:
        self.names += 1
        call = {"event": "call-offered", "call": f"{self.session}-{self.names}", "direction": "inbound"}
        return {**call, "dialled": "4008100", "from_number": "13800138000", **fields}

    async def commands(self, after: int = 0, wait_s: float = 5) -> dict[str, Any]:
        answer = await self.ask("GET", f"/commands?after={after}&wait_s={wait_s}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@dataclass
class Scene:
    """A gateway, and what it says on the bus."""

    deploy: Deployment
    deployed: Deployed
    bus: TestBus
    adapter: Adapter
    configured: dict[str, Any] = field(default_factory=dict)

    async def view(self, call: str) -> dict[str, Any]:
        heard = await self.bus.expect(telephony.CallOffered, lambda e: e.data.call.pbx_call_id == call)
        answer = await self.deployed.client().get(f"/v1/calls/{heard.subject}")
        found: dict[str, Any] = answer.json()
        return found

    async def hang_up(self, call: str, **change: str) -> httpx2.Response:
        """Ask for a command."""
        call_id = (await self.view(call))["call_id"]
        return await self.deployed.client().post(f"/v1/calls/{call_id}/hang-up", json={}, headers=change)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(servers: Servers, issuer: DevelopmentIssuer) -> AsyncIterator[Scene]:
    amqp_url = await servers.make_vhost()
    bus = TestBus(amqp_url)
    deployment = Deployment(servers, issuer, amqp_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORDBOARD_PBX_PBX_1_SECRET", f"{OTHER} {SECRET}")
        patch.setenv("CORDBOARD_PBX_SECRET", secret_of(b"of all PBXs: it must open none.."))
        try:
            await bus.start()
            deployed = await deployment(app.build, GatewaySettings, wait_ready=False)
            answer = await deployed.client().put("/v1/pbxs/pbx-1", json=PBX | {"driver": "http"})
            assert answer.status_code == 201, answer.text
            yield Scene(deployment, deployed, bus, Adapter(deployed.bare_client()))
        finally:
            await deployment.stop()
            await bus.stop()
            await servers.drop_vhost(amqp_url)


async def connected(scene: Scene) -> str:
    found: str = (await scene.deployed.client().get("/v1/pbxs/pbx-1")).json()["connection"]["state"]
    return found


def code(answer: httpx2.Response) -> tuple[int, str, list[str]]:
    body = answer.json()
    return answer.status_code, body["code"], [error["field"] for error in body.get("errors", [])]


async def test_a_call_in_a_command_out_and_its_answer(scene: Scene) -> None:
    adapter = scene.adapter
    standing = await adapter.begin()
    assert (standing.status_code, standing.json()["sequence"]) == (200, 0), standing.text
    assert await connected(scene) == "connected"
    offer = adapter.offered(from_name='王 "芳"\\r\\nAction: Originate', attributes={"language": "zh\r\nHangup"})
    answer = await adapter.say(offer, {"event": "digit-pressed", "call": offer["call"], "digit": "7"})
    assert (answer.status_code, answer.json()["sequence"]) == (200, 2), answer.text
    assert (await scene.view(offer["call"]))["state"] == "offered", "what was answered with 200 is committed"
    waiting = asyncio.create_task(adapter.commands())
    assert (await scene.hang_up(offer["call"])).status_code == 202
    [command] = (found := await waiting)["commands"]
    assert (command["command"], command["call"]) == ("hang-up", offer["call"])
    assert (await adapter.commands(found["position"], 0))["commands"] == [], "delivered once"
    assert (await adapter.commands(0, 0))["commands"] == [command], "and again to one who forgot"
    done = {"event": "command-done", "command_id": command["command_id"]}
    assert (
        await adapter.say(done, {"event": "call-cleared", "call": offer["call"], "by": "gateway"})
    ).status_code == 200
    view = await scene.view(offer["call"])
    assert (view["state"], view["orders"][0]["state"]) == ("cleared", "done")
    assert (await adapter.commands(0, 0))["commands"] == [], "answered: it waits no longer"


async def test_what_comes_twice_does_nothing_and_what_is_missing_is_noticed(scene: Scene) -> None:
    adapter = scene.adapter
    await adapter.begin()
    first, second, third = adapter.offered(), adapter.offered(), adapter.offered()
    assert (await adapter.say(first, second)).json()["sequence"] == 2
    again = await adapter.say(first, second, third, first=1)
    assert (again.status_code, again.json()["sequence"]) == (200, 3)
    assert (await adapter.say(third, first=2)).json()["sequence"] == 3
    assert code(await adapter.say(first=5)) == (409, "sequence-gap", ["first"])
    assert code(await adapter.say(session="session-unheard-of")) == (409, "session-replaced", ["session"])
    assert (await adapter.say()).json()["sequence"] == 3
    stale = {"at": now(), "calls": [], "devices": []}
    refused = await adapter.ask("PUT", "/snapshot", {"session": adapter.session, "sequence": 2, "snapshot": stale})
    assert code(refused) == (409, "stale-snapshot", ["sequence"])


async def test_a_request_that_is_replayed_is_carried_out_once(scene: Scene) -> None:
    adapter = scene.adapter
    await adapter.begin()
    content = {"session": adapter.session, "first": 1, "events": [{"at": now(), **adapter.offered()}]}
    body = json.dumps(content).encode()
    signed = {**headers(f"msg_{uuid4()}", int(time.time()), body, [SECRET]), "content-type": "application/json"}
    url = "/adapter/v1/pbxs/pbx-1/events"
    answers = await asyncio.gather(*(adapter.client.post(url, content=body, headers=signed) for _ in range(3)))
    assert [answer.json()["sequence"] for answer in answers] == [1, 1, 1]
    other = body.replace(b"13800138000", b"13800138001")
    signed = {**headers(signed["webhook-id"], int(time.time()), other, [SECRET]), "content-type": "application/json"}
    reused = await adapter.client.post(url, content=other, headers=signed)
    assert code(reused)[:2] == (422, "idempotency-key-reused"), reused.text


@pytest.mark.parametrize(
    ("change", "secret", "header"),
    [
        ({"webhook-signature": "v1,AAAA"}, SECRET, "webhook-signature"),
        ({"webhook-timestamp": str(int(time.time()) - 301)}, SECRET, "webhook-timestamp"),
        ({"webhook-id": "another"}, SECRET, "webhook-signature"),
        ({"webhook-id": ""}, SECRET, "webhook-id"),
        ({}, secret_of(b"of all PBXs: it must open none.."), "webhook-signature"),
    ],
)
async def test_what_is_not_signed_is_not_looked_at(
    scene: Scene, change: dict[str, str], secret: str, header: str
) -> None:
    forger = Adapter(scene.adapter.client, secret=secret)
    for method, path in (("GET", "/commands"), ("POST", "/events"), ("PUT", "/snapshot")):
        answer = await forger.ask(method, path, None if method == "GET" else {}, **change)
        assert code(answer)[0] == 401 and header in str(code(answer)[2]), answer.text
        assert answer.headers["www-authenticate"].startswith("Signature")
    stranger = Adapter(scene.adapter.client, pbx_id="pbx-9")
    assert (await stranger.ask("GET", "/commands")).status_code == 401, "nor whether there is such a PBX"
    token = scene.deployed.client().headers["authorization"]
    assert (await forger.ask("GET", "/commands", **change, authorization=token)).status_code == 401


@pytest.mark.parametrize(
    ("event", "where"),
    [
        ({"event": "call-exploded", "call": "c"}, "events.0"),
        ({"event": "call-cleared", "call": "c"}, "events.0.call-cleared.by"),
        ({"event": "call-cleared", "call": "c\r\nOriginate", "by": "pbx"}, "events.0.call-cleared.call"),
        ({"event": "digit-pressed", "call": "c", "digit": "77"}, "events.0.digit-pressed.digit"),
        ({"event": "customer-waits", "call": "c", "colour": "red"}, "events.0.customer-waits.colour"),
        ({"event": "customer-waits", "call": "c", "at": "2001-01-01T00:00:00Z"}, "events.0.at"),
        (
            {"event": "customer-waits", "call": "c", "at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()},
            "events.0.at",
        ),
    ],
)
async def test_what_makes_no_sense_is_named_and_changes_nothing(
    scene: Scene, event: dict[str, Any], where: str
) -> None:
    adapter = scene.adapter
    await adapter.begin()
    good = adapter.offered()
    answer = await adapter.say(event, good)
    assert (answer.status_code, code(answer)[2]) == (422, [where]), answer.text
    assert (await adapter.say(good)).json()["sequence"] == 1, "none of it was taken"


async def test_a_lost_session_and_another_owner_are_made_good_by_a_snapshot(scene: Scene) -> None:
    adapter = scene.adapter
    await adapter.begin()
    lives, dies = adapter.offered(), adapter.offered()
    await adapter.say(lives, dies)
    assert (await scene.hang_up(lives["call"])).status_code == 202
    [before] = (await adapter.commands())["commands"]
    assert (await adapter.say({"event": "connection-lost", "reason": "unplugged"})).status_code == 200
    assert await connected(scene) == "disconnected"
    assert code(await adapter.say()) == (409, "snapshot-needed", ["session"])
    live = {"call": lives["call"], "direction": "inbound", "dialled": "4008100", "offered_at": now(), "legs": []}
    new = {**live, "call": f"new-{uuid4()}"}
    assert (await adapter.begin(snapshot={"calls": [live, new]})).status_code == 200
    assert await connected(scene) == "connected"
    assert (await scene.view(dies["call"]))["state"] == "cleared"
    assert (await scene.view(new["call"]))["state"] == "offered", "adopted"
    [again] = (await adapter.commands())["commands"]
    assert again == before, "what may be lost is given again, under its id"


async def test_an_adapter_that_is_silent_is_not_heard_any_more(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter_session, "SILENCE_S", 0.2)
    await scene.adapter.begin()

    async def lost() -> bool:
        return await connected(scene) == "disconnected"

    await eventually(lost)
    assert code(await scene.adapter.say()) == (409, "snapshot-needed", ["session"])


async def test_any_replica_takes_what_the_owner_commits(scene: Scene) -> None:
    replica = await scene.deploy(app.build, GatewaySettings, "api", wait_ready=False)
    elsewhere = Adapter(replica.bare_client())
    await elsewhere.begin()
    offer = elsewhere.offered()
    assert (await elsewhere.say(offer)).status_code == 200
    waiting = asyncio.create_task(elsewhere.commands())
    assert (await scene.hang_up(offer["call"])).status_code == 202
    assert [command["call"] for command in (await waiting)["commands"]] == [offer["call"]]
    await replica.stop()


async def test_commands_as_webhooks_are_signed_and_repeated_until_they_are_taken(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[tuple[str, dict[str, Any]]] = []
    statuses = [500, 302, 200]

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        got.append((require_signed(request.headers, body, [OTHER], time.time()), json.loads(body)))
        return web.Response(status=statuses[len(got) - 1], headers={"location": "http://127.0.0.1:9/"})

    receiver = web.Application()
    receiver.router.add_post("/commands", take)
    runner = web.AppRunner(receiver)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    admin = scene.deployed.client()
    etag = (await admin.get("/v1/pbxs/pbx-1")).headers["etag"]
    moved = PBX | {"driver": "http", "address": f"127.0.0.1:{port}"}
    assert (await admin.put("/v1/pbxs/pbx-1", json=moved, headers={"If-Match": etag})).status_code == 200
    adapter = scene.adapter
    await adapter.begin()

    async def anew() -> bool:
        # The owner, which is somewhere else now, begins without a session.
        return code(answer)[1] == "snapshot-needed" if (answer := await adapter.say()).status_code == 409 else False

    await eventually(anew)
    await adapter.begin(commands="webhook")
    offer = adapter.offered()
    await adapter.say(offer)
    assert (await scene.hang_up(offer["call"])).status_code == 202
    await eventually(lambda: len(got) == 3)
    assert len({webhook_id for webhook_id, _ in got}) == 1, "the same message each time"
    [command] = got[-1][1]["commands"]
    assert (got[-1][1]["pbx_id"], command["call"]) == ("pbx-1", offer["call"])
    await runner.cleanup()
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "commands not delivered" in logged
    assert SECRET not in logged and OTHER not in logged


async def test_the_interface_answers_as_its_document_says(scene: Scene) -> None:
    await scene.adapter.begin()
    known = {"pbx_id": "pbx-1", "session": scene.adapter.session}
    tried = await answers_as_documented(
        scene.deployed, known, leave_out=["get_commands"], interface="adapter", sign=sign
    )
    assert len(tried) == 2
    for query, field_ in (("after=-1", "after"), ("wait_s=21", "wait_s"), ("wait=1", "wait")):
        assert code(await scene.adapter.ask("GET", f"/commands?{query}")) == (422, "invalid-request", [field_])


def sign(body: bytes) -> dict[str, str]:
    return headers(f"msg_{uuid4()}", int(time.time()), body, [SECRET])
