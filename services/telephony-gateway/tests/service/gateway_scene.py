"""A gateway in this process, and a PBX of which each word is chosen by the test.

The virtual PBX behaves; this one need not: it contradicts itself, forgets, and comes back with another story.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx2
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, eventually, rows
from cordboard_contracts import Envelope, routing, telephony
from telephony_gateway.domain.call import call_id_of
from telephony_gateway.drivers.interface import (
    CallOffered,
    Command,
    CommandDone,
    CommandRefused,
    Connect,
    ConnectionLost,
    ConnectionUp,
    DeviceState,
    Direction,
    Disconnected,
    Driver,
    Endpoint,
    LegAnswered,
    LiveCall,
    LiveDevice,
    PbxEvent,
    Report,
)

CommandT = TypeVar("CommandT", bound=Command)

PBX: dict[str, Any] = {
    "driver": "scripted",
    "address": "127.0.0.1:5099",
    "workspace": "main",
    "org_path": "/cn/east",
    "trunks": [
        {"trunk_id": "carrier", "region": "CN", "territory": "CN-31", "dids": ["4008100"]},
        {"trunk_id": "overseas", "region": "DE", "dids": ["+49 30 1234"], "org_path": "/cn/east/overseas"},
    ],
    "outbound_prefixes": ["+86"],
}


def now() -> datetime:
    return datetime.now(UTC)


def id_of(name: str) -> UUID:
    return call_id_of("pbx-1", name)


@dataclass
class ScriptedPbx:
    """What the test says happens; what the gateway told it."""

    calls: dict[str, LiveCall] = field(default_factory=dict)
    devices: dict[str, DeviceState] = field(default_factory=dict)
    started_at: datetime | None = None
    ended: tuple[Any, ...] = ()
    commands: list[Command] = field(default_factory=list)
    reachable: bool = True
    refuse_with: str | None = None
    """The reason for which it refuses everything; None: it takes everything."""
    connections: int = 0
    report: Report | None = None

    def make_driver(self, _endpoint: Endpoint) -> Driver:
        return ScriptedDriver(self)

    async def say(self, *events: PbxEvent) -> None:
        report = await eventually(lambda: self.report)
        assert report is not None
        for event in events:
            await report(event)

    async def come_up(self, report: Report) -> None:
        self.report = report
        self.connections += 1
        devices = tuple(LiveDevice(device=device, state=state) for device, state in self.devices.items())
        await report(
            ConnectionUp(
                at=now(),
                calls=tuple(self.calls.values()),
                devices=devices,
                ended=self.ended,
                started_at=self.started_at,
            )
        )

    async def lose(self, at: datetime | None = None) -> None:
        """The connection is gone; `come_back` makes the next one."""
        await self.say(ConnectionLost(at=at or now(), reason="cut"))
        self.reachable = False

    async def come_back(self) -> None:
        self.reachable = True
        report = await eventually(lambda: self.report)
        assert report is not None
        await self.come_up(report)

    def sent(self, kind: type[CommandT], call: str) -> list[CommandT]:
        """The commands of a kind that it got about a call."""
        return [command for command in self.commands if isinstance(command, kind) and command.call == call]

    async def got(self, kind: type[CommandT], call: str, count: int = 1) -> CommandT:
        """The ``count``-th command of a kind about a call."""
        await eventually(lambda: len(self.sent(kind, call)) >= count)
        return self.sent(kind, call)[count - 1]


class ScriptedDriver:
    """A driver whose wire is the test."""

    def __init__(self, pbx: ScriptedPbx) -> None:
        self._pbx = pbx

    async def run(self, report: Report) -> None:
        await eventually(lambda: self._pbx.reachable, timeout_s=60)
        await self._pbx.come_up(report)
        await asyncio.Event().wait()

    async def send(self, commands: Sequence[Command]) -> None:
        pbx = self._pbx
        if not pbx.reachable:
            raise Disconnected("the test cut it")
        pbx.commands += commands
        assert pbx.report is not None
        for command in commands:
            if pbx.refuse_with is None:
                await pbx.report(CommandDone(at=now(), command_id=command.command_id))
            else:
                await pbx.report(CommandRefused(at=now(), command_id=command.command_id, reason=pbx.refuse_with))


@dataclass
class Gateway:
    """A deployed gateway with one scripted PBX, and what a test does with them all the time."""

    deployed: Deployed
    pbx: ScriptedPbx
    bus: TestBus
    tokens: int = 0
    calls: int = 0

    @property
    def admin(self) -> httpx2.AsyncClient:
        return self.deployed.client("administrator")

    def agent(self, agent_id: str = "a1001", org_path: str = "/cn/east") -> httpx2.AsyncClient:
        return self.deployed.client("agent", org_path, agent_id=agent_id)

    async def offer(self, **fields: Any) -> telephony.Call:
        """A call comes in, and the bus tells of it."""
        self.calls += 1
        name = f"call-{self.calls}"
        given = {"direction": Direction.INBOUND, "dialled": "4008100", "from_number": "13800138000", "at": now()}
        await self.pbx.say(CallOffered(call=name, **{**given, **fields}))
        return (await self.heard(telephony.CallOffered, id_of(name))).data.call

    async def heard(self, kind: type[Any], call_id: UUID, count: int = 1) -> Envelope[Any]:
        """The ``count``-th event of a kind about a call."""
        return await self.bus.expect(kind, lambda e: e.subject == str(call_id), count=count)

    def assignment(self, call: telephony.Call, **fields: Any) -> routing.AssignmentOffered:
        """Routing chose an agent for a call."""
        self.tokens += 1
        given: dict[str, Any] = {
            "assignment_id": uuid4(),
            "work_item_id": call.call_id,
            "workspace": call.workspace,
            "org_path": call.org_path,
            "agent_id": "a1001",
            "device_id": "1001",
            "token": self.tokens,
            "state": "offered",
            "offered_at": now(),
            "expires_at": now() + timedelta(seconds=20),
        }
        return routing.AssignmentOffered(
            assignment=routing.Assignment(**{**given, **fields}),
            work_item=routing.WorkItem(
                work_item_id=call.call_id,
                workspace=call.workspace,
                org_path=call.org_path,
                kind=routing.WorkKind.CALL,
                subject_id=call.call_id,
                state=routing.WorkItemState.OFFERED,
                queue="sales",
                priority=0,
                call=routing.CallAddress(call_id=call.call_id, pbx_id=call.pbx_id),
                submitted_at=call.offered_at,
            ),
        )

    async def publish(self, data: Any, **fields: Any) -> Envelope[Any]:
        given = {"subject": data.assignment.assignment_id, "pbx": "pbx-1", "workspace": "main", "orgpath": "/cn/east"}
        return await self.bus.publish(data, **{**given, **fields})

    async def assign(self, call: telephony.Call, **fields: Any) -> routing.Assignment:
        offered = self.assignment(call, **fields)
        await self.publish(offered)
        return offered.assignment

    async def connect(self, call: telephony.Call, **fields: Any) -> str:
        """An agent gets the call and picks up; returns the leg."""
        before = len(self.pbx.sent(Connect, call.pbx_call_id))
        await self.assign(call, **fields)
        leg = (await self.pbx.got(Connect, call.pbx_call_id, count=before + 1)).leg
        await self.pbx.say(LegAnswered(at=now(), call=call.pbx_call_id, leg=leg))
        await self.heard(telephony.CallAnswered, call.call_id, count=before + 1)
        return leg

    async def seat(self, agent_id: str, device_id: str | None, sequence: int = 1, **fields: Any) -> None:
        """Routing says where an agent is; returns once the gateway knows."""
        given = {"workspace": "main", "org_path": "/cn/east", "state": "ready", "since": now()}
        agent = routing.Agent(agent_id=agent_id, device_id=device_id, **{**given, **fields})
        await self.bus.publish(
            routing.AgentChanged(agent=agent), subject=agent_id, sequence=sequence, orgpath=agent.org_path
        )
        await eventually(lambda: self._knows(agent_id, sequence))

    async def _knows(self, agent_id: str, sequence: int) -> bool:
        wanted = "SELECT 1 AS found FROM agents WHERE agent_id = :id AND version >= :version"
        return bool(await self.rows(wanted, id=agent_id, version=sequence))

    async def rows(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        return await rows(self.deployed.database, statement, **parameters)

    async def view(self, call_id: UUID) -> dict[str, Any]:
        response = await self.admin.get(f"/v1/calls/{call_id}")
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found
