"""A whole gateway on the virtual PBX, with a simple router at the other end of the bus: nothing is lost on the way."""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from cordboard_chassis.signatures import secret_of
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, Deployment, eventually
from cordboard_contracts import routing, telephony
from telephony_gateway.app import build
from telephony_gateway.settings import GatewaySettings
from telephony_gateway.virtual_pbx.core.scripts import (
    Behaviour,
    CallerScript,
    Exponential,
    Fixed,
    HoldHabit,
    MoveHabit,
    MoveKind,
    Uniform,
)

from dev.ports import free_port

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import http_adapter

StartGateway = Callable[[int], Awaitable[Deployed]]

SECRET = secret_of(b"an adapter's secret, 32 bytes...")
DID = "4008100"
DEVICES = [f"10{n:02}" for n in range(1, 9)]
COLLEAGUES = ["2001", "2002"]
CALLS = 80


class Router:
    """Gives each waiting call to the next free device, and believes what the gateway says about it."""

    def __init__(self, bus: TestBus) -> None:
        self._bus = bus
        self._free = deque(DEVICES)
        self._waiting: deque[telephony.Call] = deque()
        self._assigned: dict[UUID, tuple[UUID, str]] = {}
        """By call: the assignment and its device."""
        self._tokens = 0
        self._versions: dict[UUID, int] = {}
        self.calls: dict[UUID, telephony.Call] = {}

    async def run(self) -> None:
        read = 0
        while True:
            while read < len(self._bus.heard):
                envelope = self._bus.heard[read]
                read += 1
                if isinstance(envelope.data, telephony.CallEvent):
                    self._see(envelope.data.call, envelope.sequence)
            while self._free and self._waiting:
                await self._assign(self._waiting.popleft(), self._free.popleft())
            await asyncio.sleep(0.005)

    def _see(self, call: telephony.Call, version: int) -> None:
        if version <= self._versions.get(call.call_id, 0):
            return
        self._versions[call.call_id] = version
        new = call.call_id not in self.calls
        self.calls[call.call_id] = call
        assignment_id, device = self._assigned.get(call.call_id, (None, ""))
        connection = next((c for c in call.connections if c.assignment_id == assignment_id is not None), None)
        if assignment_id and (call.state == "cleared" or (connection and connection.ended_at)):
            del self._assigned[call.call_id]
            self._free.append(device)
        if call.state == "offered" and (new or (connection and connection.ended_at)):
            self._waiting.append(call)

    async def _assign(self, call: telephony.Call, device: str) -> None:
        if self.calls[call.call_id].state != "offered":
            self._free.append(device)
            return
        self._tokens += 1
        now = datetime.now(UTC)
        assignment = routing.Assignment(
            assignment_id=uuid4(),
            work_item_id=call.call_id,
            workspace=call.workspace,
            org_path=call.org_path,
            agent_id=f"a{device}",
            device_id=device,
            token=self._tokens,
            state="offered",
            offered_at=now,
            expires_at=now + timedelta(seconds=3),
        )
        item = routing.WorkItem(
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
        )
        self._assigned[call.call_id] = (assignment.assignment_id, device)
        await self._bus.publish(
            routing.AssignmentOffered(assignment=assignment, work_item=item),
            subject=assignment.assignment_id,
            sequence=self._tokens,
            orgpath=call.org_path,
            workspace=call.workspace,
            pbx=call.pbx_id,
            partitionkey=str(call.call_id),
        )


@pytest_asyncio.fixture
async def router(bus: TestBus) -> AsyncIterator[Router]:
    router = Router(bus)
    task = asyncio.create_task(router.run())
    yield router
    assert not task.done(), task.exception()
    task.cancel()


@pytest_asyncio.fixture(params=["virtual", "http"])
async def start_gateway(
    request: pytest.FixtureRequest, deploy: Deployment, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StartGateway]:
    """By our own driver for this PBX, or through the example adapter of the open interface."""
    monkeypatch.setenv("CORDBOARD_PBX_PBX_1_SECRET", SECRET)
    http_port = free_port()
    adapters: list[asyncio.Task[None]] = []

    async def start(port: int) -> Deployed:
        deployed = await gateway(deploy, port, request.param, http_port)
        if request.param == "http" and not adapters:
            adapting = http_adapter.run("pbx-1", "127.0.0.1", port, deployed.url, SECRET)
            adapters.append(asyncio.create_task(adapting))
        return deployed

    yield start
    for adapter in adapters:
        assert not adapter.done(), adapter.exception()
        adapter.cancel()


async def gateway(deploy: Deployment, port: int, driver: str, http_port: int) -> Deployed:
    deployed = await deploy(build, GatewaySettings, wait_ready=False, http_port=http_port)
    configuration = {
        "driver": driver,
        "address": f"127.0.0.1:{port}",
        "workspace": "main",
        "org_path": "/cn/east",
        "trunks": [{"trunk_id": "pstn", "region": "CN", "dids": [DID]}],
    }
    response = await deployed.client("administrator").put("/v1/pbxs/pbx-1", json=configuration)
    assert response.status_code in (200, 201), response.text
    return deployed


async def furnish(pbx: Any) -> None:
    """Agents as they are: some slow, some not there; they hold and transfer now and then."""
    move = MoveHabit(0.3, MoveKind.BLIND, Uniform(2, 10), tuple(COLLEAGUES))
    ask = MoveHabit(0.3, MoveKind.ATTENDED, Uniform(2, 10), tuple(COLLEAGUES), consult=Fixed(3.0))
    kinds = [
        Behaviour(answer_after=Uniform(1, 5), hold=HoldHabit(0.3, Uniform(1, 9), Uniform(1, 9)), move=move),
        Behaviour(answer_after=Uniform(1, 5), move=ask),
        Behaviour(answer_after=Uniform(1, 5), decline_chance=0.3),
        Behaviour(answer_after=Uniform(1, 5), ignore_chance=0.2),
    ]
    await pbx.control.set_devices({device: kinds[n % len(kinds)] for n, device in enumerate(DEVICES)})
    await pbx.control.set_devices({device: Behaviour(answer_after=Uniform(1, 5)) for device in COLLEAGUES})
    callers = [
        (
            n * 1.5,
            CallerScript(
                did=DID,
                number=f"138{n:08}",
                patience=Exponential(60.0),
                talk=Exponential(25.0),
                tag=str(n),
            ),
        )
        for n in range(CALLS)
    ]
    await pbx.control.place_calls(callers)


async def connected(pbx: Any) -> bool:
    return bool((await pbx.control.stats())["live"]["gateways"])


async def all_over(pbx: Any) -> bool:
    live = (await pbx.control.stats())["live"]
    return bool(live["arrivals"] == live["inbound"] == 0)


@pytest.mark.parametrize("start_gateway", ["virtual"], indirect=True)
async def test_every_call_is_told_as_it_was_whatever_breaks_meanwhile(
    start_gateway: StartGateway, router: Router, start_pbx: Any
) -> None:
    pbx = await start_pbx(speed=20.0, quirks=True)
    first = await start_gateway(pbx.port)
    await eventually(lambda: connected(pbx))
    await furnish(pbx)

    async def over(number: int) -> bool:
        return (await pbx.control.stats())["counts"]["offered"] >= number

    await eventually(lambda: over(15))
    assert await pbx.control.drop_clients(refuse_s=0.3) == 1
    await eventually(lambda: over(30))
    await pbx.control.stall(for_s=0.2)
    await eventually(lambda: over(40))
    await first.stop()
    await eventually(lambda: over(50))
    await start_gateway(pbx.port)
    await eventually(lambda: all_over(pbx), timeout_s=60)
    records = {record["call"]: record for record in await pbx.control.records()}
    assert len(records) == CALLS

    def told() -> bool:
        cleared = {call.pbx_call_id for call in router.calls.values() if call.state == "cleared"}
        return cleared == set(records)

    await eventually(told)
    for call in router.calls.values():
        record = records[call.pbx_call_id]
        assert call.cleared_by == record["by"]
        assert (call.answered_at is not None) == (record["outcome"] == "answered"), (call, record)
        spoke = {connection.device_id for connection in call.connections if connection.joined_at}
        assert spoke == set(record["devices"]), (call, record)
        assert abs(_us(call.offered_at) - record["offered_us"]) <= 1
        assert abs(_us(call.cleared_at) - record["ended_us"]) <= 1
    stats = await pbx.control.stats()
    assert await pbx.control.offences() == []
    assert stats["counts"]["answered"] > CALLS / 3, "too little happened for this to mean anything"
    assert stats["latency_ms"]["assignment_all"]["n"] > CALLS / 2


@pytest.mark.parametrize("over", [False, True], ids=["still talking", "over"])
async def test_agents_who_came_and_went_while_nobody_listened_are_heard_of(
    start_gateway: StartGateway, bus: TestBus, router: Router, start_pbx: Any, over: bool
) -> None:
    pbx = await start_pbx()
    first = await start_gateway(pbx.port)
    await eventually(lambda: connected(pbx))
    await pbx.control.set_devices(
        {DEVICES[0]: Behaviour(answer_after=None), "2001": Behaviour(answer_after=Fixed(0.0))}
    )
    await pbx.control.place_call(CallerScript(did=DID))
    rings = (telephony.CallAlerting, lambda e: e.data.call.connections[0].device_id == DEVICES[0])
    await bus.expect(*rings)
    await first.stop()
    await pbx.control.agent(DEVICES[0], "answer")
    call_name = await pbx.control.agent(DEVICES[0], "transfer", to="2001")
    await eventually(lambda: _talks(pbx, "2001"))
    if over:
        await pbx.control.customer_hangs_up(call_name)
    await start_gateway(pbx.port)

    def told() -> bool:
        [call] = router.calls.values()
        spoke = [connection.device_id for connection in call.connections if connection.joined_at]
        return sorted(spoke) == [DEVICES[0], "2001"] and (call.state == "cleared") == over

    await eventually(told)


@pytest.mark.parametrize("start_gateway", ["virtual"], indirect=True)
async def test_who_was_asked_and_then_given_the_customer_while_nobody_listened_is_heard_of(
    start_gateway: StartGateway, bus: TestBus, router: Router, start_pbx: Any
) -> None:
    pbx = await start_pbx()
    await start_gateway(pbx.port)
    await eventually(lambda: connected(pbx))
    asks = MoveHabit(1.0, MoveKind.ATTENDED, Fixed(0.0), ("2001",), Fixed(1.0))
    await pbx.control.set_devices(
        {DEVICES[0]: Behaviour(answer_after=Fixed(0.0), move=asks), "2001": Behaviour(answer_after=Fixed(0.0))}
    )
    await pbx.control.place_call(CallerScript(did=DID))
    await bus.expect(telephony.CallAlerting, lambda e: any(c.device_id == "2001" for c in e.data.call.connections))
    assert await pbx.control.drop_clients(refuse_s=2.0) == 1

    async def given() -> bool:
        [call] = await pbx.control.live()
        return [(leg["device"], leg["state"]) for leg in call["legs"].values()] == [("2001", "connected")]

    await eventually(given)
    await pbx.control.agent("2001", "hang_up")

    def told() -> bool:
        [call] = router.calls.values()
        spoke = [connection.device_id for connection in call.connections if connection.joined_at]
        return sorted(spoke) == [DEVICES[0], "2001"] and call.state == "cleared"

    await eventually(told)


async def _talks(pbx: Any, device: str) -> bool:
    legs = [leg for call in await pbx.control.live() for leg in call["legs"].values()]
    return {"device": device, "state": "connected"} in legs


async def test_calls_that_died_with_the_pbx_are_cleared(
    start_gateway: StartGateway, router: Router, start_pbx: Any
) -> None:
    pbx = await start_pbx()
    await start_gateway(pbx.port)
    await eventually(lambda: connected(pbx))
    await pbx.control.set_device(DEVICES[0], behaviour=Behaviour(answer_after=Fixed(0.0)))
    await pbx.control.place_calls([(0.0, CallerScript(did=DID)), (0.0, CallerScript(did=DID))])
    await eventually(lambda: {"established", "offered"} <= {call.state for call in router.calls.values()})
    assert await pbx.control.crash(down_s=0.2) == 2
    await eventually(lambda: [call.state for call in router.calls.values()] == ["cleared", "cleared"])
    await pbx.control.place_call(CallerScript(did=DID))
    await eventually(lambda: len(router.calls) == 3)


def _us(moment: datetime | None) -> int:
    assert moment is not None
    return round(moment.timestamp() * 1_000_000)
