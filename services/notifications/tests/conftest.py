"""What the tests of notifications share: a partner's server, and notifications deployed for it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aiohttp import web
from cordboard_chassis.auth.development import DevelopmentIssuer
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, Deployment, eventually
from cordboard_chassis.testing.servers import Servers
from cordboard_contracts import Envelope, new_id
from cordboard_contracts.routing import (
    Assignment,
    AssignmentOffered,
    AssignmentState,
    WorkItem,
    WorkItemState,
    WorkKind,
)
from cordboard_contracts.telephony import Call, CallCleared, CallOffered, CallState, Direction
from notifications.app import build
from notifications.settings import NotificationsSettings
from standardwebhooks import Webhook

FAST = {"webhook_allow_private": True, "webhook_timeout_s": 2.0, "webhook_retry_scale": 1e-6, "webhook_poll_s": 0.2}
"""Loopback allowed, and the whole schedule takes 0.1 s instead of 27.5 hours."""


@dataclass
class Received:
    """One POST that a partner got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    def verify(self, secret: str) -> dict[str, Any]:
        verified: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return verified


Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Partner:
    """A real HTTP server. ``answer[path]`` says how it behaves; 204 otherwise."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answer: dict[str, Answering] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.path, headers, await request.read()))
        answer = self.answer.get(request.path)
        return await answer(request) if answer else web.Response(status=204)

    def at(self, path: str) -> list[Received]:
        return [received for received in self.received if received.path == path]


def answers(*statuses: int, **headers: str) -> Answering:
    """Answer with these statuses in turn, the last one for ever."""
    left = list(statuses)

    async def answer(_request: web.Request) -> web.StreamResponse:
        status = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(status=status, headers=headers, text=f"status {status}")

    return answer


async def _serve(partner: Partner) -> web.AppRunner:
    app = web.Application(client_max_size=10_000_000)
    app.router.add_route("*", "/{path:.*}", partner.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    partner.url = f"http://{host}:{port}"
    return runner


class Notifications:
    """Notifications running, a partner, and a place in the organisation where this test happens."""

    def __init__(
        self, deployment: Deployment, deployed: Deployed, bus: TestBus, partner: Partner, place: str = "/"
    ) -> None:
        self.deployment = deployment
        self.deployed = deployed
        self.database = deployed.database
        self.bus = bus
        self.partner = partner
        self.place = place
        self.admin = deployed.client(org_path=place)

    def at(self, place: str) -> "Notifications":
        return Notifications(self.deployment, self.deployed, self.bus, self.partner, place)

    def path(self, name: str = "hook") -> str:
        return f"{self.place.rstrip('/')}/{name}"

    def url(self, name: str = "hook") -> str:
        return self.partner.url + self.path(name)

    def received(self, name: str = "hook") -> list[Received]:
        return self.partner.at(self.path(name))

    def answer(self, answering: Answering, name: str = "hook") -> None:
        self.partner.answer[self.path(name)] = answering

    def statuses(self, *statuses: int, name: str = "hook", **headers: str) -> None:
        """Answer with these statuses in turn, the last one for ever."""
        self.answer(answers(*statuses, **headers), name)

    async def expect(self, count: int = 1, name: str = "hook", timeout_s: float = 10.0) -> list[Received]:
        """So many POSTs at least."""

        def enough() -> list[Received]:
            found = self.received(name)
            assert len(found) >= count, f"{len(found)} of {count} at {name}"
            return found

        return await eventually(enough, timeout_s=timeout_s)

    async def replica(self, role: Any = "all", **overrides: Any) -> Deployed:
        return await self.deployment(build, NotificationsSettings, role, **{**FAST, **overrides})

    def client(self, role: Any, org_path: str | None = None, **claims: Any) -> Any:
        return self.deployed.client(role, org_path or self.place, **claims)

    async def endpoint(
        self, *event_types: str, name: str = "hook", client: Any = None, url: str | None = None, **fields: Any
    ) -> dict[str, Any]:
        body = {"url": url or self.url(name), "event_types": list(event_types) or ["telephony.call.*"], **fields}
        response = await (client or self.admin).post("/v1/endpoints", json=body)
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        return made

    async def offered(self, orgpath: str | None = None, **fields: Any) -> Envelope[CallOffered]:
        """A call comes in."""
        data = CallOffered(call=a_call(orgpath or self.place))
        return await self.bus.publish(data, subject=data.call.call_id, orgpath=orgpath or self.place, **fields)

    async def cleared(self, orgpath: str | None = None) -> Envelope[CallCleared]:
        """A call is over."""
        data = CallCleared(call=a_call(orgpath or self.place, CallState.CLEARED, cleared_at=datetime.now(UTC)))
        return await self.bus.publish(data, subject=data.call.call_id, orgpath=orgpath or self.place)

    async def assigned(self, agent_id: str) -> Envelope[AssignmentOffered]:
        """An agent is chosen."""
        data = offered_to(agent_id, self.place)
        return await self.bus.publish(data, subject=data.assignment.assignment_id, orgpath=self.place)

    async def deliveries(self, **query: Any) -> list[dict[str, Any]]:
        response = await self.admin.get("/v1/deliveries", params={"limit": 200, **query})
        assert response.status_code == 200, response.text
        items: list[dict[str, Any]] = response.json()["items"]
        return items

    async def delivery(self, delivery_id: str) -> dict[str, Any]:
        response = await self.admin.get(f"/v1/deliveries/{delivery_id}")
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def settled(self, count: int = 1, timeout_s: float = 10.0, **query: Any) -> list[dict[str, Any]]:
        """So many deliveries that are no longer pending."""

        async def enough() -> list[dict[str, Any]]:
            found = await self.deliveries(**query)
            done = [delivery for delivery in found if delivery["state"] != "pending"]
            assert len(done) >= count, f"{len(done)} of {count} settled: {found}"
            return done

        return await eventually(enough, timeout_s=timeout_s)


Make = Callable[..., Awaitable[Notifications]]


@pytest_asyncio.fixture
async def make(bus: TestBus, deploy: Deployment) -> AsyncIterator[Make]:
    """Deploys notifications with settings, for one test."""
    partner = Partner()
    runner = await _serve(partner)

    async def deployed(role: Any = "all", **overrides: Any) -> Notifications:
        service = await deploy(build, NotificationsSettings, role, **{**FAST, **overrides})
        return Notifications(deploy, service, bus, partner)

    yield deployed
    await runner.cleanup()


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """Settings of the module's deployment; a module may have its own."""
    return {}


@pytest.fixture(scope="module")
def replicas() -> int:
    """How many processes the module's deployment has."""
    return 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    servers: Servers, issuer: DevelopmentIssuer, settings: dict[str, Any], replicas: int
) -> AsyncIterator[Notifications]:
    """One deployment for all tests of a module; each is at a place of its own."""
    partner = Partner()
    runner = await _serve(partner)
    amqp_url = await servers.make_vhost()
    bus = TestBus(amqp_url)
    await bus.start()
    deployment = Deployment(servers, issuer, amqp_url)
    started = [
        await deployment(build, NotificationsSettings, **{"role": "all", **FAST, **settings}) for _ in range(replicas)
    ]
    deployed = started[0]
    yield Notifications(deployment, deployed, bus, partner)
    await deployment.stop()
    await bus.stop()
    await servers.drop_vhost(amqp_url)
    await runner.cleanup()


@pytest.fixture
def here(shared: Notifications) -> Notifications:
    """The module's deployment, at a place where nothing else happens."""
    return shared.at(f"/t{uuid4().hex[:12]}")


def a_call(org_path: str = "/", state: CallState = CallState.OFFERED, **fields: Any) -> Call:
    """A call that just came in."""
    return Call(
        call_id=uuid4(),
        pbx_id="pbx-1",
        pbx_call_id="x1",
        workspace="main",
        org_path=org_path,
        direction=Direction.INBOUND,
        state=state,
        from_number="+8613800138000",
        from_name="张伟",
        dialled="4008001234",
        offered_at=datetime.now(UTC),
        **fields,
    )


def offered_to(agent_id: str, org_path: str = "/") -> AssignmentOffered:
    """An assignment for an agent."""
    item_id = new_id()
    now = datetime.now(UTC)
    item = WorkItem(
        work_item_id=item_id,
        workspace="main",
        org_path=org_path,
        kind=WorkKind.CALL,
        subject_id=uuid4(),
        state=WorkItemState.OFFERED,
        queue="sales",
        priority=0,
        submitted_at=now,
    )
    assignment = Assignment(
        assignment_id=new_id(),
        work_item_id=item_id,
        workspace="main",
        org_path=org_path,
        agent_id=agent_id,
        token=1,
        state=AssignmentState.OFFERED,
        offered_at=now,
        expires_at=now,
    )
    return AssignmentOffered(assignment=assignment, work_item=item)
