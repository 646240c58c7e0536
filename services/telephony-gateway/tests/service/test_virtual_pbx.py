"""The gateway with the built-in PBX on a real socket, and a routing that gives each call to whoever is free."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest_asyncio
from cordboard_chassis.supervision import cancel
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, Deployment, eventually
from cordboard_contracts import routing, telephony
from gateway_scene import PBX, Gateway, ScriptedPbx, now
from telephony_gateway import app
from telephony_gateway.settings import GatewaySettings
from telephony_gateway.virtual_pbx.control import ControlClient
from telephony_gateway.virtual_pbx.core.scripts import Behaviour, CallerScript, Fixed, Keys, MoveHabit, MoveKind
from telephony_gateway.virtual_pbx.server import PbxSettings, VirtualPbx

SPEED = 20.0
AGENTS = {f"a{number}": str(number) for number in range(1001, 1007)}


@dataclass
class Router:
    """Reads the bus as routing does, by whole pictures of calls, and assigns in the order of arrival."""

    gateway: Gateway
    free: deque[str] = field(default_factory=lambda: deque(AGENTS))
    waiting: deque[UUID] = field(default_factory=deque)
    calls: dict[UUID, tuple[int, telephony.Call]] = field(default_factory=dict)
    assigned: dict[UUID, tuple[str, routing.AssignmentOffered]] = field(default_factory=dict)
    holder: dict[UUID, str] = field(default_factory=dict)
    read: int = 0

    async def run(self) -> None:
        heard = self.gateway.bus.heard
        while True:
            await eventually(lambda: len(heard) > self.read, timeout_s=3600, poll_s=0.005)
            envelope = heard[self.read]
            self.read += 1
            if isinstance(envelope.data, telephony.CallEvent):
                call = envelope.data.call
                if self.calls.get(call.call_id, (0, None))[0] < envelope.sequence:
                    self._see(envelope.sequence, call)
            await self._match()

    def _see(self, sequence: int, call: telephony.Call) -> None:
        new = call.call_id not in self.calls
        self.calls[call.call_id] = (sequence, call)
        if new and call.state is not telephony.CallState.CLEARED:
            self.waiting.append(call.call_id)
        over = {telephony.ConnectionState.FAILED, telephony.ConnectionState.CLEARED}
        for connection in call.connections:
            if connection.assignment_id in self.assigned and connection.state in over:
                agent, _ = self.assigned.pop(connection.assignment_id)
                self.free.append(agent)
        if call.state is telephony.CallState.CLEARED:
            with contextlib.suppress(ValueError):
                self.waiting.remove(call.call_id)
        elif all(c.state in over for c in call.connections) and call.connections and call.call_id not in self.waiting:
            self.waiting.appendleft(call.call_id)

    async def _match(self) -> None:
        while self.waiting and self.free:
            call_id, agent = self.waiting.popleft(), self.free.popleft()
            expires_at = now() + timedelta(seconds=2)
            call = self.calls[call_id][1]
            offered = self.gateway.assignment(
                call, agent_id=agent, device_id=AGENTS[agent], assignment_id=uuid4(), expires_at=expires_at
            )
            self.assigned[offered.assignment.assignment_id] = (agent, offered)
            await self.gateway.publish(offered)


@dataclass
class Centre:
    """A virtual PBX, its control link, a gateway, a router."""

    pbx: VirtualPbx
    control: ControlClient
    gateway: Gateway
    router: Router
    restart: Callable[[], Awaitable[Deployed]]

    async def ended(self, number: int, timeout_s: float = 30) -> list[dict[str, Any]]:
        """The PBX's own books of the calls that are over, once there are so many and the gateway has caught up."""

        async def records() -> list[dict[str, Any]]:
            found = await self.control.records()
            assert len(found) >= number
            return found

        found = await eventually(records, timeout_s=timeout_s, poll_s=0.1)
        names = {record["call"] for record in found}
        await eventually(lambda: names <= {c.pbx_call_id for c in self.cleared()}, timeout_s=timeout_s, poll_s=0.1)
        return found

    def cleared(self) -> list[telephony.Call]:
        return [envelope.data.call for envelope in self.gateway.bus.said(telephony.CallCleared)]

    def last(self, name: str) -> telephony.Call:
        """The last picture of a call."""
        pictures = [e for e in self.gateway.bus.heard if isinstance(e.data, telephony.CallEvent)]
        own = [e for e in pictures if e.data.call.pbx_call_id == name]
        return max(own, key=lambda e: e.sequence).data.call  # type: ignore[no-any-return]


@pytest_asyncio.fixture
async def centre(deploy: Deployment, bus: TestBus) -> AsyncIterator[Centre]:
    pbx = VirtualPbx(PbxSettings(port=0, control_port=0, speed=SPEED, heartbeat_s=0.5))
    await pbx.open()

    async def start() -> Deployed:
        return await deploy(app.build, GatewaySettings)

    async with await ControlClient.connect("127.0.0.1", pbx.control_port) as control:
        await control.set_trunk("carrier", ["4008100"])
        answers = Behaviour(answer_after=Fixed(2), talk=Fixed(20))
        await control.set_devices(dict.fromkeys(AGENTS.values(), answers))
        gateway = Gateway(await start(), ScriptedPbx(), bus)
        body = PBX | {"driver": "virtual", "address": f"127.0.0.1:{pbx.port}"}
        await gateway.admin.put("/v1/pbxs/pbx-1", json=body)
        for agent, device in AGENTS.items():
            await gateway.seat(agent, device)
        await bus.expect(telephony.DeviceChanged)
        router = Router(gateway)
        routing_task = asyncio.create_task(router.run())
        try:
            yield Centre(pbx, control, gateway, router, start)
        finally:
            await cancel(routing_task)
            pbx.close()


def agree(centre: Centre, records: list[dict[str, Any]]) -> None:
    """What the gateway told of each call is what the PBX remembers."""
    cleared = [call.pbx_call_id for call in centre.cleared()]
    assert sorted(cleared) == sorted(record["call"] for record in records), "each call ended once"
    for record in records:
        call = centre.last(record["call"])
        answered = record["answered_us"] is not None
        assert (call.answered_at is not None) == answered, record
        assert call.cleared_at is not None
        assert abs(call.cleared_at.timestamp() * 1e6 - record["ended_us"]) < 1000
        if call.answered_at is not None:
            assert abs(call.answered_at.timestamp() * 1e6 - record["answered_us"]) < 1000
        assert call.cleared_by == record["by"]


async def test_calls_find_their_agents_and_end(centre: Centre) -> None:
    await centre.control.set_device("1001", behaviour=Behaviour(answer_after=None))
    await centre.control.set_device("1002", behaviour=Behaviour(decline_chance=1.0))
    await centre.control.set_device("1003", registered=False)
    script = CallerScript(did="4008100", number="13800138000", name="陈大文", keys=(Keys(0.5, "12#"),), talk=Fixed(10))
    impatient = CallerScript(did="4008100", number=None, patience=Fixed(0.1))
    await centre.control.place_calls([(n * 0.7, script) for n in range(25)] + [(3, impatient)] * 2)
    records = await centre.ended(27)
    agree(centre, records)
    assert await centre.control.offences() == []
    calls = centre.cleared()
    assert sum(call.answered_at is not None for call in calls) >= 25
    reasons = {connection.failure for call in calls for connection in call.connections if connection.failure}
    assert {"no_answer", "declined"} <= {str(reason) for reason in reasons}
    named = next(call for call in calls if call.from_name)
    assert (named.from_number, named.from_name) == ("+8613800138000", "陈大文")


async def test_transfers_move_the_agent_with_the_call(centre: Centre) -> None:
    for device, kind in (("1001", MoveKind.BLIND), ("1002", MoveKind.ATTENDED), ("1003", MoveKind.CONFERENCE)):
        move = MoveHabit(chance=1.0, kind=kind, after=Fixed(3), to=("1006",), consult=Fixed(2))
        await centre.control.set_device(device, behaviour=Behaviour(answer_after=Fixed(1), move=move))
    centre.router.free = deque(["a1001", "a1002", "a1003"])
    for _ in range(3):
        await centre.control.place_call(CallerScript(did="4008100", number="13800138000", talk=Fixed(15)))
        await centre.ended(len(centre.cleared()) + 1)
    records = await centre.ended(3)
    agree(centre, records)
    by_agent = {call.connections[0].agent_id: call for call in centre.cleared()}
    for agent, told in (
        ("a1001", telephony.CallTransferred),
        ("a1002", telephony.CallTransferred),
        ("a1003", telephony.CallConferenced),
    ):
        call = by_agent[agent]
        assert call.connections[-1].agent_id == "a1006"
        event = await centre.gateway.bus.expect(told, lambda e, of=call: e.subject == str(of.call_id))
        assert event.data.connection_id == call.connections[-1].connection_id
        waits = [
            e
            for e in centre.gateway.bus.heard
            if e.subject == str(call.call_id)
            and isinstance(e.data, telephony.ConnectionCleared)
            and e.data.call.state is telephony.CallState.OFFERED
        ]
        assert not waits, "nobody takes a customer who is being transferred for one who waits"


async def test_connections_drop_and_the_gateway_dies_while_calls_go_on(centre: Centre) -> None:
    talk = CallerScript(did="4008100", number="13800138000", talk=Fixed(30))
    await centre.control.place_calls([(n * 1.5, talk) for n in range(16)])
    await centre.gateway.bus.expect(telephony.CallAnswered, count=2)
    await centre.control.drop_clients(refuse_s=0.3)
    await centre.gateway.bus.expect(telephony.CallAnswered, count=5)
    await centre.gateway.deployed.stop()
    centre.gateway.deployed = await centre.restart()
    await centre.gateway.bus.expect(telephony.CallAnswered, count=8, timeout_s=20)
    await centre.control.stall(2.0)
    records = await centre.ended(16, timeout_s=60)
    agree(centre, records)
    assert await centre.control.offences() == []
    assert await centre.control.live() == []
    # The answer to an assignment that crossed with the end of its call may still be on its way; no agent is stuck.
    await eventually(lambda: len(centre.router.free) == len(AGENTS))


async def test_calls_that_die_with_the_pbx_end(centre: Centre) -> None:
    talk = CallerScript(did="4008100", number="13800138000", talk=Fixed(3000))
    await centre.control.place_calls([(0, talk)] * 8)
    await centre.gateway.bus.expect(telephony.CallAnswered, count=6)
    crashed_at = now()
    assert await centre.control.crash(down_s=0.3) == 8
    await centre.gateway.bus.expect(telephony.CallCleared, count=8)
    for call in centre.cleared():
        assert (call.cleared_by, call.cause) == ("pbx", "pbx-restarted")
        assert call.cleared_at is not None
        assert abs((call.cleared_at - crashed_at).total_seconds()) < 1.0
    await eventually(lambda: len(centre.router.free) == len(AGENTS))
    await centre.control.place_call(CallerScript(did="4008100", number="13800138000", talk=Fixed(5)))
    await centre.gateway.bus.expect(telephony.CallAnswered, count=7)
