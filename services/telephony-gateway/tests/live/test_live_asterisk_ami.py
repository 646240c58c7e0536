"""Calls through a real Asterisk over its Manager Interface: the gateway's wishes happen, and it believes what happens.

The lab's, or the one that ``CORDBOARD_LIVE_ASTERISK_AMI`` (host:port) names, with the lab's phones and dialplan.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from cordboard_chassis.testing.deployment import eventually
from live_lab import Phones, absent
from live_scene import WITHIN_S, Scene
from telephony_gateway.domain.words import LegState
from telephony_gateway.drivers.asterisk_ami import AsteriskAmiDriver
from telephony_gateway.drivers.asterisk_ami_probe import probe
from telephony_gateway.drivers.findings import Verdict
from telephony_gateway.drivers.interface import (
    AttendedTransfer,
    BlindTransfer,
    ClearLeg,
    CommandDone,
    CommandRefused,
    Conference,
    ConnectionLost,
    ConnectionUp,
    Consult,
    CustomerWaits,
    Driver,
    Endpoint,
    HangUp,
    Hold,
    LegAlerting,
    Originate,
    Retrieve,
    SetAttributes,
)

HOST, _, PORT = os.environ.get("CORDBOARD_LIVE_ASTERISK_AMI", "127.0.0.1:5038").rpartition(":")
WAITING, RINGING, ASYNC_AGI = "4008200", "4008201", "4008202"


def no_ami() -> str | None:
    """Why there is nothing to test with; None if there is."""
    if (reason := absent()) is not None:
        return reason
    try:
        socket.create_connection((HOST, int(PORT)), 2).close()
    except OSError as error:
        return f"NO LIVE PBX at {HOST}:{PORT} ({error})"
    return None


pytestmark = [
    pytest.mark.skipif(no_ami() is not None, reason=str(no_ami())),
    pytest.mark.xdist_group("live-pbx"),
]


class AmiScene(Scene):
    """The same over the Manager Interface."""

    def make_driver(self) -> Driver:
        return AsteriskAmiDriver(Endpoint("lab", self.host, self.port))

    async def waiting(self) -> str:
        """A call that waits, newer than those before."""
        seen = len(self.seen(CustomerWaits))
        await eventually(lambda: len(self.seen(CustomerWaits)) > seen, timeout_s=WITHIN_S)
        return self.seen(CustomerWaits)[-1].call


@pytest_asyncio.fixture(params=["gateway", "gateway-narrow"])
async def scene(
    request: pytest.FixtureRequest, phones: Phones, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AmiScene]:
    """A driver, connected, with all rights and with few."""
    monkeypatch.setenv("CORDBOARD_PBX_LAB_USER", request.param)
    monkeypatch.setenv("CORDBOARD_PBX_LAB_SECRET", "lab-ami")
    made = AmiScene(port=int(PORT), host=HOST)
    await made.start()
    try:
        yield made
        await made.hang_up_all()
        phones.stop()
    finally:
        await made.stop()


async def talking(
    scene: AmiScene, phones: Phones, device: str = "1001", agent_ms: int = 60_000, **caller: str | int
) -> tuple[str, str]:
    """A customer and an agent in conversation: call and leg."""
    phones.agent(device, talk_ms=agent_ms)
    phones.caller(did=WAITING, **caller)
    call = await scene.waiting()
    leg = await scene.connect(call, device)
    await scene.joined(call, device)
    return call, leg


async def test_customer_hangs_up(scene: AmiScene, phones: Phones) -> None:
    call, leg = await talking(scene, phones, talk_ms=2000, name="李雷")
    told = await scene.cleared(call)
    assert (told["customer_name"], told["did"]) == ("李雷", WAITING)
    assert (told["outcome"], told["ended_by"]) == ("answered", "customer")
    assert scene.leg(call, leg).device_id == "1001", "the leg has the name that the gateway gave it"


@pytest.mark.parametrize("did", [RINGING, ASYNC_AGI])
async def test_other_ways_to_wait(scene: AmiScene, phones: Phones, did: str) -> None:
    phones.agent("1001", talk_ms=1000)
    phones.caller(did=did)
    call = await scene.offered() if did == ASYNC_AGI else await scene.waiting()
    await scene.connect(call, "1001")
    assert (await scene.cleared(call))["ended_by"] == "agent 1001"


async def test_no_answer_then_the_next_agent_then_the_gateway_hangs_up(scene: AmiScene, phones: Phones) -> None:
    phones.agent("1001", "agent-never-answers")
    phones.agent("1002")
    phones.caller(did=WAITING)
    call = await scene.waiting()
    await scene.connect(call, "1001", timeout_s=2.0)
    await eventually(lambda: scene.results(call) == [("1001", "no_answer")], timeout_s=WITHIN_S)
    await scene.connect(call, "1002")
    await scene.joined(call, "1002")
    assert isinstance(await scene.order(HangUp(command_id=uuid4(), call=call)), CommandDone)
    assert (await scene.cleared(call))["ended_by"] == "gateway"


@pytest.mark.parametrize(
    ("scenario", "device", "result"),
    [
        ("agent-busy", "1001", "busy"),
        ("agent-declines", "1001", "declined"),
        (None, "1009", "unreachable"),
    ],
)
async def test_refusals(scene: AmiScene, phones: Phones, scenario: str | None, device: str, result: str) -> None:
    if scenario is not None:
        phones.agent(device, scenario)
    phones.caller(did=WAITING)
    call = await scene.waiting()
    await scene.connect(call, device)
    await eventually(lambda: scene.results(call) == [(device, result)], timeout_s=WITHIN_S)


async def test_an_assignment_is_withdrawn_while_it_rings(scene: AmiScene, phones: Phones) -> None:
    phones.agent("1001", "agent-never-answers")
    phones.caller(did=WAITING)
    call = await scene.waiting()
    leg = await scene.connect(call, "1001")
    await eventually(lambda: scene.seen(LegAlerting), timeout_s=WITHIN_S)
    await scene.order(ClearLeg(command_id=uuid4(), call=call, leg=leg))
    await eventually(lambda: scene.results(call) == [("1001", "cancelled")], timeout_s=WITHIN_S)
    assert not scene.call(call).is_cleared


async def test_hold_and_retrieve(scene: AmiScene, phones: Phones) -> None:
    call, leg = await talking(scene, phones)
    await scene.order(Hold(command_id=uuid4(), call=call, leg=leg))
    await eventually(lambda: scene.leg(call, leg).state is LegState.HELD, timeout_s=WITHIN_S)
    await scene.order(Retrieve(command_id=uuid4(), call=call, leg=leg))
    await eventually(lambda: scene.leg(call, leg).state is LegState.CONNECTED, timeout_s=WITHIN_S)


async def test_blind_transfer(scene: AmiScene, phones: Phones) -> None:
    call, leg = await talking(scene, phones)
    phones.agent("1002")
    new = str(uuid4())
    await scene.order(BlindTransfer(command_id=uuid4(), call=call, leg=leg, new_leg=new, device="1002", timeout_s=10.0))
    await scene.joined(call, "1002")
    assert scene.leg(call, new).moved_from == leg


async def test_attended_transfer(scene: AmiScene, phones: Phones) -> None:
    call, leg = await talking(scene, phones)
    phones.agent("1002")
    asked = str(uuid4())
    await scene.order(Consult(command_id=uuid4(), call=call, leg=leg, new_leg=asked, device="1002", timeout_s=10.0))
    await eventually(lambda: scene.leg(call, asked).state is LegState.CONNECTED, timeout_s=WITHIN_S)
    await scene.order(AttendedTransfer(command_id=uuid4(), call=call, leg=leg, to_leg=asked))
    await scene.joined(call, "1002")
    assert scene.leg(call, asked).moved_from == leg


async def test_conference(scene: AmiScene, phones: Phones) -> None:
    call, leg = await talking(scene, phones, agent_ms=4000, talk_ms=7000)
    phones.agent("1002")
    new = str(uuid4())
    await scene.order(Conference(command_id=uuid4(), call=call, leg=leg, new_leg=new, device="1002", timeout_s=10.0))
    await scene.joined(call, "1001", "1002")
    told = await scene.cleared(call)
    assert told["ended_by"] == "customer", "who is left over in the conference is hung up"


async def test_click_to_dial(scene: AmiScene, phones: Phones) -> None:
    phones.agent("1001")
    phones.customer(talk_ms=1500)
    call, leg = str(uuid4()), str(uuid4())
    await scene.order(
        Originate(command_id=uuid4(), call=call, leg=leg, device="1001", number="13800138000", timeout_s=10.0)
    )
    told = await scene.cleared(call)
    assert (told["direction"], told["customer"], told["outcome"]) == ("outbound", "13800138000", "answered")
    assert told["ended_by"] == "customer"


async def test_attributes_and_refusals(scene: AmiScene, phones: Phones) -> None:
    phones.caller(did=WAITING)
    call = await scene.waiting()
    told = {"tier": "gold", "note": 'he said: "${SHELL(id)}"'}
    assert isinstance(await scene.order(SetAttributes(command_id=uuid4(), call=call, attributes=told)), CommandDone)
    broken = {"note": "x\r\nAction: Originate\r\nChannel: PJSIP/1001"}
    refused = await scene.order(SetAttributes(command_id=uuid4(), call=call, attributes=broken))
    assert isinstance(refused, CommandRefused) and refused.reason == "malformed"
    nowhere = await scene.order(HangUp(command_id=uuid4(), call="no-such-call"))
    assert isinstance(nowhere, CommandRefused) and nowhere.reason == "no-such-call"


async def test_a_probe_finds_nothing_missing(scene: AmiScene) -> None:
    found = await probe(Endpoint("lab", scene.host, scene.port))
    assert [finding for finding in found if finding.verdict is Verdict.MISSING] == []
    assert any("says which call waits" in finding.what for finding in found)


async def test_another_gateway_takes_over_in_mid_call(scene: AmiScene, phones: Phones) -> None:
    call, leg = await talking(scene, phones)
    await scene.restart()
    (live,) = (c for c in scene.seen(ConnectionUp)[-1].calls if c.call == call)
    assert [(found.leg, found.device, found.state) for found in live.legs] == [(leg, "1001", LegState.CONNECTED)]
    phones.caller(did=WAITING, caller="13912345678")
    other = await scene.waiting()
    await scene.order(HangUp(command_id=uuid4(), call=other))
    await scene.order(HangUp(command_id=uuid4(), call=call))
    assert (await scene.cleared(call))["outcome"] == "answered"
    assert not scene.seen(ConnectionLost)
    await asyncio.sleep(0)
