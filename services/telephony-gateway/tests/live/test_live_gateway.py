"""The gateway with everything behind it, on a real Asterisk: what routing and people want happens to real phones."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, Deployment, eventually
from cordboard_contracts import routing, telephony
from live_lab import HOST, PORT, SECRET, USER, Phones, absent, left_over
from telephony_gateway import app
from telephony_gateway.settings import GatewaySettings

pytestmark = [
    pytest.mark.skipif(absent() is not None, reason=str(absent())),
    pytest.mark.xdist_group("live-pbx"),
]
Deploy = Callable[..., Awaitable[Deployed]]

PBX: dict[str, Any] = {
    "driver": "asterisk-ari",
    "address": f"{HOST}:{PORT}",
    "workspace": "main",
    "org_path": "/cn/east",
    "trunks": [{"trunk_id": "carrier", "region": "CN", "territory": "CN-31", "dids": ["4008100"]}],
    "outbound_prefixes": ["+86"],
}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORDBOARD_PBX_LAB_USER", USER)
    monkeypatch.setenv("CORDBOARD_PBX_LAB_SECRET", SECRET)


def _of(event: telephony.ConnectionEvent) -> telephony.AgentConnection:
    """The connection that an event is about."""
    return next(c for c in event.call.connections if c.connection_id == event.connection_id)


async def connected(gateway: Deployed) -> None:
    """The gateway has its PBX."""

    async def is_connected() -> bool:
        shown = (await gateway.client("administrator").get("/v1/pbxs/lab")).json()
        return bool(shown["connection"]["state"] == "connected")

    await eventually(is_connected, timeout_s=20)


async def assign(bus: TestBus, call: telephony.Call, device_id: str, token: int) -> routing.Assignment:
    """Routing chose the agent at this device."""
    now = datetime.now(UTC)
    assignment = routing.Assignment(
        assignment_id=uuid4(),
        work_item_id=call.call_id,
        workspace="main",
        org_path="/cn/east",
        agent_id=f"a{device_id}",
        device_id=device_id,
        token=token,
        state="offered",  # type: ignore[arg-type]
        offered_at=now,
        expires_at=now + timedelta(seconds=20),
    )
    work_item = routing.WorkItem(
        work_item_id=call.call_id,
        workspace="main",
        org_path="/cn/east",
        kind=routing.WorkKind.CALL,
        subject_id=call.call_id,
        state=routing.WorkItemState.OFFERED,
        queue="sales",
        priority=0,
        call=routing.CallAddress(call_id=call.call_id, pbx_id="lab"),
        submitted_at=call.offered_at,
    )
    await bus.publish(
        routing.AssignmentOffered(assignment=assignment, work_item=work_item),
        subject=assignment.assignment_id,
        pbx="lab",
        workspace="main",
        orgpath="/cn/east",
    )
    return assignment


async def test_a_call_from_its_beginning_to_its_end(bus: TestBus, deploy: Deployment, phones: Phones) -> None:
    """Offered, rung, refused, rung again, talked, held, transferred, taken over by the next gateway, hung up."""
    gateway = await deploy(app.build, GatewaySettings)
    assert (await gateway.client("administrator").put("/v1/pbxs/lab", json=PBX)).is_success
    await connected(gateway)
    phones.agent("1001", "agent-busy")
    phones.agent("1002")
    phones.agent("1003")
    phones.caller(name="李雷")
    call = (await bus.expect(telephony.CallOffered)).data.call
    assert (call.from_number, call.from_name, call.territory) == ("+8613082856110", "李雷", "CN-31")

    await assign(bus, call, "1001", token=1)
    failed = _of((await bus.expect(telephony.ConnectionFailed)).data)
    assert failed.failure is telephony.FailureReason.BUSY
    assignment = await assign(bus, call, "1002", token=2)
    answered = _of((await bus.expect(telephony.CallAnswered)).data)
    assert (answered.device_id, answered.assignment_id) == ("1002", assignment.assignment_id)

    agent = gateway.client("agent", "/cn/east", agent_id="a1002")
    assert (await agent.post(f"/v1/calls/{call.call_id}/hold", json={})).status_code == 202
    await bus.expect(telephony.CallHeld)
    assert (await agent.post(f"/v1/calls/{call.call_id}/retrieve", json={})).status_code == 202
    await bus.expect(telephony.CallRetrieved)
    to = {"kind": "blind", "to_device_id": "1003"}
    assert (await agent.post(f"/v1/calls/{call.call_id}/transfer", json=to)).status_code == 202
    moved = _of((await bus.expect(telephony.CallTransferred, timeout_s=15)).data)
    assert moved.device_id == "1003"

    await gateway.stop()
    gateway = await deploy(app.build, GatewaySettings)
    await connected(gateway)
    shown = (await gateway.client("administrator").get(f"/v1/calls/{call.call_id}")).json()
    assert shown["state"] == "established"
    stopped = await gateway.client("administrator").post(f"/v1/calls/{call.call_id}/hang-up", json={})
    assert stopped.status_code == 202
    cleared = (await bus.expect(telephony.CallCleared)).data.call
    assert cleared.cleared_by is telephony.Party.GATEWAY
    assert [c.device_id for c in cleared.connections] == ["1001", "1002", "1003"]
    await eventually(lambda: not left_over(), timeout_s=10)
