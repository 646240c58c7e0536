"""A contact centre on a running routing service, and what the other services would say to it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest_asyncio
from cordboard_chassis.auth.development import DevelopmentIssuer
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, Deployment, eventually, rows
from cordboard_chassis.testing.servers import Servers
from cordboard_contracts import EventData, telephony
from cordboard_contracts.routing import AssignmentOffered
from cordboard_contracts.telephony import AgentConnection, Call, CallState, ConnectionState, FailureReason, Party
from routing.app import build
from routing.settings import RoutingSettings
from routing.usecases.route_work import work_item_id

WORKSPACE = "main"
PBX = "pbx-1"


class Centre:
    """One workspace, as its administrator and its agents see it."""

    def __init__(self, deployed: Deployed, bus: TestBus) -> None:
        self.deployed = deployed
        self.bus = bus
        self.admin = deployed.client("administrator")

    async def set_up(self, **settings: Any) -> None:
        """Make the workspace and wait until somebody owns it."""
        await self.ok("PUT", f"/v1/workspaces/{WORKSPACE}", {"org_path": "/cn", **settings})
        await self.owned()

    async def clear(self) -> None:
        """As if it were new."""
        for agent in (await self.ok("GET", f"/v1/agents?workspace={WORKSPACE}&limit=200"))["items"]:
            await self.mode(agent["agent_id"], "offline")
        for state in ("waiting", "offered", "accepted"):
            found = await self.ok("GET", f"/v1/work-items?workspace={WORKSPACE}&state={state}&limit=200")
            for item in found["items"]:
                await self.admin.post(f"/v1/work-items/{item['work_item_id']}/cancel", json={})
        for agent in (await self.ok("GET", f"/v1/agents?workspace={WORKSPACE}&limit=200"))["items"]:
            await self.ok("DELETE", f"/v1/agents/{agent['agent_id']}", match="*")
        await self.rules()
        await self.queue()

    async def owned(self) -> None:
        """Wait until the workspace's owner acts."""
        await self.ok("PUT", f"/v1/workspaces/{WORKSPACE}/queues/default", {"name": "ready"}, match="*")

    async def ok(self, method: str, path: str, body: Any = None, *, match: str | None = None) -> Any:
        """Ask as administrator; it must succeed."""
        headers = {"If-Match": match} if match else {}
        response = await self.admin.request(method, path, json=body, headers=headers)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    async def queue(self, queue_id: str = "default", **settings: Any) -> None:
        """Configure a queue."""
        await self.ok("PUT", f"/v1/workspaces/{WORKSPACE}/queues/{queue_id}", settings, match="*")

    async def rules(self, *rules: dict[str, Any], default: str = "default") -> None:
        """Publish rules; the last one is added."""
        everything = {"name": "everything", "then": {"queue": default}}
        await self.ok("PUT", f"/v1/workspaces/{WORKSPACE}/rules", {"rules": [*rules, everything]}, match="*")

    async def agent(self, agent_id: str, *, ready: bool = True, **profile: Any) -> None:
        """Configure an agent, with a device of the same number."""
        body = {"workspace": WORKSPACE, "org_path": "/cn/east", "device_id": agent_id.removeprefix("a"), **profile}
        await self.ok("PUT", f"/v1/agents/{agent_id}", body, match="*")
        if ready:
            await self.mode(agent_id, "ready")

    async def mode(self, agent_id: str, state: str, reason: str | None = None) -> None:
        """What the agent says."""
        await self.ok("PUT", f"/v1/agents/{agent_id}/state", {"state": state, "reason": reason})

    async def state(self, agent_id: str) -> str:
        """What the agent does."""
        return str((await self.ok("GET", f"/v1/agents/{agent_id}"))["state"])

    async def becomes(self, agent_id: str, state: str, timeout_s: float = 10) -> None:
        """Wait until the agent does this."""

        async def there() -> bool:
            now = await self.state(agent_id)
            assert now == state, f"{agent_id} is {now}, not {state}"
            return True

        await eventually(there, timeout_s)

    async def item(self, subject: UUID, kind: str = "call") -> dict[str, Any]:
        """The work item of a call, lead or service request."""
        return dict(await self.ok("GET", f"/v1/work-items/{work_item_id(kind, subject)}"))  # type: ignore[arg-type]

    async def ends(self, subject: UUID, state: str, kind: str = "call", timeout_s: float = 10) -> dict[str, Any]:
        """Wait until the work item is in this state."""

        async def there() -> dict[str, Any]:
            item = await self.item(subject, kind)
            assert item["state"] == state, f"it is {item['state']}, not {state}"
            return item

        return await eventually(there, timeout_s)

    async def offered(self, subject: UUID, agent_id: str | None = None, count: int = 1) -> AssignmentOffered:
        """Wait for the ``count``-th offer of the subject's work item (to this agent)."""
        said = await self.bus.expect(
            AssignmentOffered,
            lambda e: e.data.work_item.subject_id == subject and agent_id in (None, e.data.assignment.agent_id),
            count=count,
        )
        return said.data

    async def assignments(self, subject: UUID, kind: str = "call") -> list[tuple[str, str, str | None]]:
        """(agent, state, outcome) of all assignments of the subject's work item, in order."""
        found = await rows(
            self.deployed.database,
            "SELECT agent_id, state, outcome FROM assignments WHERE work_item_id = :id ORDER BY token",
            id=work_item_id(kind, subject),  # type: ignore[arg-type]
        )
        return [(row["agent_id"], row["state"], row["outcome"]) for row in found]

    async def say(self, event: EventData, subject: UUID | str, sequence: int, **more: Any) -> Any:
        """Publish for the workspace."""
        return await self.bus.publish(
            event, subject=subject, sequence=sequence, orgpath="/cn/east", workspace=WORKSPACE, **more
        )

    def call(self, **fields: Any) -> "Caller":
        """Somebody dials."""
        return Caller(self, **fields)


@dataclass
class Caller:
    """A call, as the gateway would tell of it. Each method changes it and returns the event; ``tell`` also says it."""

    centre: Centre
    number: str | None = "+8613800138000"
    dialled: str = "4008001000"
    org_path: str = "/cn/east"
    attributes: dict[str, str] = field(default_factory=dict)
    call_id: UUID = field(default_factory=uuid4)
    sequence: int = 0
    state: CallState = CallState.OFFERED
    connections: list[AgentConnection] = field(default_factory=list)
    offered_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock: int = 0
    direction: telephony.Direction = telephony.Direction.INBOUND
    answered: bool = False
    """Of an outbound call: the customer picked up."""
    cause: str | None = None

    @property
    def snapshot(self) -> Call:
        """The call as it is."""
        return Call(
            call_id=self.call_id,
            pbx_id=PBX,
            pbx_call_id=f"pbx-{self.call_id}",
            workspace=WORKSPACE,
            org_path=self.org_path,
            direction=self.direction,
            state=self.state,
            from_number=self.number,
            dialled=self.dialled,
            attributes=dict(self.attributes),
            connections=tuple(self.connections),
            offered_at=self.offered_at,
            cleared_at=self._now() if self.state is CallState.CLEARED else None,
            cleared_by=Party.CUSTOMER if self.state is CallState.CLEARED else None,
            answered_at=self.offered_at if self.answered else None,
            cause=self.cause,
        )

    async def tell(self, event: EventData) -> Any:
        """Say it on the bus."""
        return await self.centre.say(event, self.call_id, self.sequence)

    def offer(self) -> telephony.CallOffered:
        self.sequence += 1
        return telephony.CallOffered(call=self.snapshot)

    def answer(self, offer: AssignmentOffered) -> telephony.CallAnswered:
        """The device that was offered the call is picked up."""
        assignment = offer.assignment
        return self._join(assignment.agent_id, assignment.device_id or "", offer)

    def pick_up(self, agent_id: str) -> telephony.CallAnswered:
        """A device is picked up without an offer."""
        return self._join(agent_id, agent_id.removeprefix("a"), None)

    def fail(self, offer: AssignmentOffered, reason: FailureReason) -> telephony.ConnectionFailed:
        """The device that was offered the call is not connected."""
        now = self._now()
        connection = self._connection(offer.assignment.agent_id, offer.assignment.device_id or "", offer)
        connection = connection.model_copy(update={"state": ConnectionState.FAILED, "failure": reason, "ended_at": now})
        self.connections.append(connection)
        self.sequence += 1
        return telephony.ConnectionFailed(call=self.snapshot, connection_id=connection.connection_id)

    def transfer(self, agent_id: str) -> telephony.CallTransferred:
        """Whoever talks passes the call on to another agent."""
        self._leave()
        answered = self._join(agent_id, agent_id.removeprefix("a"), None)
        return telephony.CallTransferred(call=answered.call, connection_id=answered.connection_id)

    def leave(self) -> telephony.ConnectionCleared:
        """Whoever talks goes; the customer stays."""
        gone = self._leave()
        self.state = CallState.OFFERED
        self.sequence += 1
        return telephony.ConnectionCleared(call=self.snapshot, connection_id=gone)

    def press(self, **attributes: str) -> telephony.CallAttributesChanged:
        """The IVR learns something."""
        self.attributes.update(attributes)
        self.sequence += 1
        return telephony.CallAttributesChanged(call=self.snapshot)

    def clear(self) -> telephony.CallCleared:
        """It is over."""
        self.state = CallState.CLEARED
        now = self._now()
        self.connections = [
            connection
            if connection.ended_at is not None
            else connection.model_copy(update={"state": ConnectionState.CLEARED, "ended_at": now})
            for connection in self.connections
        ]
        self.sequence += 1
        return telephony.CallCleared(call=self.snapshot)

    def _now(self) -> datetime:
        self.clock += 1
        return self.offered_at + timedelta(milliseconds=self.clock)

    def _connection(self, agent_id: str, device_id: str, offer: AssignmentOffered | None) -> AgentConnection:
        return AgentConnection(
            connection_id=uuid4(),
            agent_id=agent_id,
            device_id=device_id,
            assignment_id=offer.assignment.assignment_id if offer else None,
            token=offer.assignment.token if offer else None,
            state=ConnectionState.INITIATED,
            initiated_at=self._now(),
        )

    def _join(self, agent_id: str, device_id: str, offer: AssignmentOffered | None) -> telephony.CallAnswered:
        now = self._now()
        connection = self._connection(agent_id, device_id, offer)
        connection = connection.model_copy(
            update={"state": ConnectionState.CONNECTED, "answered_at": now, "joined_at": now}
        )
        self.connections.append(connection)
        self.state = CallState.ESTABLISHED
        self.sequence += 1
        return telephony.CallAnswered(call=self.snapshot, connection_id=connection.connection_id)

    def _leave(self) -> UUID:
        now = self._now()
        index = next(i for i, c in enumerate(self.connections) if c.ended_at is None)
        left = self.connections[index]
        self.connections[index] = left.model_copy(update={"state": ConnectionState.CLEARED, "ended_at": now})
        return left.connection_id


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_centre(servers: Servers, issuer: DevelopmentIssuer) -> AsyncIterator[Centre]:
    """A running routing service, for all tests that need not stop it."""
    amqp_url = await servers.make_vhost()
    bus = TestBus(amqp_url)
    await bus.start()
    deployment = Deployment(servers, issuer, amqp_url)
    made = Centre(await deployment(build, RoutingSettings), bus)
    await made.set_up()
    yield made
    await bus.stop()
    await deployment.stop()
    await servers.drop_vhost(amqp_url)


@pytest_asyncio.fixture(loop_scope="session")
async def centre(shared_centre: Centre) -> Centre:
    """A workspace ``main`` at ``/cn`` in which nothing is: no agents, no open work, no rules but the last."""
    await shared_centre.clear()
    return shared_centre


@pytest_asyncio.fixture
async def new_centre(bus: TestBus, deploy: Deployment) -> Centre:
    """One for tests that do to it what others would not bear."""
    made = Centre(await deploy(build, RoutingSettings), bus)
    await made.set_up()
    return made
