"""Calls through a real Asterisk: what the gateway wants happens, and what happens is what the gateway believes."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from cordboard_chassis.testing.deployment import eventually
from live_lab import HOST, NAMED, PORT, Phones, absent, crash, left_over, start, stop_orderly
from live_scene import WITHIN_S, Scene
from telephony_gateway.domain.words import LegState
from telephony_gateway.drivers.interface import (
    AttendedTransfer,
    BlindTransfer,
    CallOffered,
    ClearLeg,
    CommandDone,
    CommandRefused,
    Conference,
    Connect,
    ConnectionLost,
    ConnectionUp,
    Consult,
    CustomerWaits,
    DeviceState,
    HangUp,
    Hold,
    LegAlerting,
    Originate,
    Retrieve,
    SetAttributes,
)

pytestmark = [
    pytest.mark.skipif(absent() is not None, reason=str(absent())),
    pytest.mark.xdist_group("live-pbx"),
]
only_in_the_lab = pytest.mark.skipif(NAMED is not None, reason="stops the PBX: only in the lab")

CUSTOMER = "+8613082856110"


async def test_customer_hangs_up(scene: Scene, phones: Phones) -> None:
    phones.agent("1001")
    phones.caller(talk_ms=3000, name="李雷")
    call = await scene.offered()
    await scene.connect(call, "1001", caller_name="李雷")
    await scene.joined(call, "1001")
    told = await scene.cleared(call)
    assert (told["customer"], told["customer_name"], told["did"]) == (CUSTOMER, "李雷", "4008100")
    assert (told["outcome"], told["ended_by"]) == ("answered", "customer")
    assert scene.results(call) == [("1001", "answered")]


async def test_agent_hangs_up(scene: Scene, phones: Phones) -> None:
    phones.agent("1001", talk_ms=1500)
    caller = phones.caller()
    call = await scene.offered()
    await scene.connect(call, "1001")
    told = await scene.cleared(call)
    assert (told["outcome"], told["ended_by"]) == ("answered", "agent 1001")
    assert await asyncio.to_thread(caller.wait, WITHIN_S) == 0


async def test_no_answer_then_the_next_agent(scene: Scene, phones: Phones) -> None:
    phones.agent("1001", "agent-never-answers")
    phones.agent("1002")
    phones.caller()
    call = await scene.offered()
    await scene.connect(call, "1001", timeout_s=2.0)
    await eventually(lambda: scene.results(call) == [("1001", "no_answer")], timeout_s=WITHIN_S)
    await scene.connect(call, "1002")
    await scene.joined(call, "1002")
    await scene.order(HangUp(command_id=uuid4(), call=call))
    assert (await scene.cleared(call))["ended_by"] == "gateway"


@pytest.mark.parametrize(
    ("scenario", "device", "result"),
    [
        ("agent-busy", "1001", "busy"),
        ("agent-declines", "1001", "declined"),
        (None, "1009", "unreachable"),
        (None, "1008", "unreachable"),
        (None, "4711", "unreachable"),
    ],
)
async def test_a_phone_that_cannot_be_reached(
    scene: Scene, phones: Phones, scenario: str | None, device: str, result: str
) -> None:
    if scenario is not None:
        phones.agent(device, scenario)
    phones.caller()
    call = await scene.offered()
    await scene.connect(call, device, timeout_s=2.0)
    await eventually(lambda: scene.results(call) in ([(device, result)], []), timeout_s=WITHIN_S)
    phones.agent("1002")
    await scene.connect(call, "1002")
    await scene.joined(call, "1002")


async def test_a_phone_that_forwards(scene: Scene, phones: Phones) -> None:
    phones.agent("1001", "agent-forwards", forward="1003")
    phones.agent("1003")
    phones.caller()
    call = await scene.offered()
    await scene.connect(call, "1001")
    await scene.joined(call, "1003")
    assert scene.results(call)[0] == ("1001", "forwarded to 1003")


async def test_caller_gives_up_while_the_agent_rings(scene: Scene, phones: Phones) -> None:
    phones.agent("1001", "agent-never-answers")
    phones.caller(talk_ms=1500)
    call = await scene.offered()
    await scene.connect(call, "1001")
    told = await scene.cleared(call)
    assert (told["outcome"], told["ended_by"]) == ("abandoned", "customer")
    assert scene.results(call) == [("1001", "cancelled")]


async def test_ringing_is_withdrawn(scene: Scene, phones: Phones) -> None:
    phones.agent("1001", "agent-never-answers")
    phones.caller()
    call = await scene.offered()
    leg = await scene.connect(call, "1001")
    await eventually(lambda: scene.seen(LegAlerting), timeout_s=WITHIN_S)
    await scene.order(ClearLeg(command_id=uuid4(), call=call, leg=leg))
    await eventually(lambda: scene.results(call) == [("1001", "cancelled")], timeout_s=WITHIN_S)
    assert scene.seen(CustomerWaits)


async def test_the_same_command_twice(scene: Scene, phones: Phones) -> None:
    phones.agent("1001")
    phones.caller()
    call = await scene.offered()
    command = Connect(command_id=uuid4(), call=call, leg=str(uuid4()), device="1001", timeout_s=10.0)
    await scene.driver.send([command, command])
    await scene.joined(call, "1001")
    await scene.order(command)
    assert scene.results(call) == [("1001", "talking")]
    assert not scene.seen(CommandRefused)


async def test_hold_by_command_and_by_phone(scene: Scene, phones: Phones) -> None:
    phones.agent("1001", "agent-hold", talk_ms=4000, hold_ms=1000, after_ms=500)
    phones.caller()
    call = await scene.offered()
    leg = await scene.connect(call, "1001")
    await scene.joined(call, "1001")
    await scene.order(Hold(command_id=uuid4(), call=call, leg=leg))
    await eventually(lambda: scene.leg(call, leg).state is LegState.HELD, timeout_s=WITHIN_S)
    await scene.order(Retrieve(command_id=uuid4(), call=call, leg=leg))
    await eventually(lambda: scene.leg(call, leg).state is LegState.CONNECTED, timeout_s=WITHIN_S)
    told = await scene.cleared(call)
    assert [hold["by"] for hold in told["holds"]] == ["gateway", "1001"]
    assert told["ended_by"] == "agent 1001"


async def test_blind_transfer_by_command(scene: Scene, phones: Phones) -> None:
    phones.agent("1001")
    phones.agent("1002", talk_ms=1000)
    phones.caller()
    call = await scene.offered()
    leg = await scene.connect(call, "1001")
    await scene.joined(call, "1001")
    done = await scene.order(
        BlindTransfer(command_id=uuid4(), call=call, leg=leg, new_leg=str(uuid4()), device="1002", timeout_s=10.0)
    )
    assert isinstance(done, CommandDone)
    told = await scene.cleared(call)
    assert [(t["kind"], t["by"], t["to"]) for t in told["transfers"]] == [("blind", "gateway", "1002")]
    assert scene.results(call) == [("1001", "answered"), ("1002", "answered")]
    assert told["ended_by"] == "agent 1002"


async def test_blind_transfer_by_phone(scene: Scene, phones: Phones) -> None:
    phones.agent("1001", "agent-transfer", talk_ms=1000, refer_to="1002")
    phones.agent("1002", talk_ms=1500)
    phones.caller()
    call = await scene.offered()
    await scene.connect(call, "1001")
    told = await scene.cleared(call)
    assert [(t["kind"], t["by"], t["to"]) for t in told["transfers"]] == [("blind", "1001", "1002")]
    assert scene.results(call) == [("1001", "answered"), ("1002", "answered")]
    assert told["ended_by"] == "agent 1002"


async def test_blind_transfer_by_phone_to_nobody(scene: Scene, phones: Phones) -> None:
    phones.agent("1001", "agent-transfer", talk_ms=1000, refer_to="1002")
    phones.agent("1002", "agent-busy")
    phones.agent("1003")
    phones.caller()
    call = await scene.offered()
    await scene.connect(call, "1001")
    await eventually(lambda: scene.seen(CustomerWaits), timeout_s=WITHIN_S)
    await scene.connect(call, "1003")
    await scene.joined(call, "1003")


async def test_attended_transfer_by_command(scene: Scene, phones: Phones) -> None:
    phones.agent("1001")
    phones.agent("1002")
    phones.caller()
    call = await scene.offered()
    leg, asked = await scene.connect(call, "1001"), str(uuid4())
    await scene.joined(call, "1001")
    await scene.order(Consult(command_id=uuid4(), call=call, leg=leg, new_leg=asked, device="1002", timeout_s=10.0))
    await eventually(lambda: scene.leg(call, asked).answered_at, timeout_s=WITHIN_S)
    assert scene.leg(call, asked).is_consultation
    assert scene.leg(call, leg).on_hold
    await scene.order(AttendedTransfer(command_id=uuid4(), call=call, leg=leg, to_leg=asked))
    await scene.joined(call, "1002")
    await scene.order(HangUp(command_id=uuid4(), call=call))
    told = await scene.cleared(call)
    assert [(t["kind"], t["by"], t["to"]) for t in told["transfers"]] == [("attended", "gateway", "1002")]


async def test_a_consultation_is_given_up(scene: Scene, phones: Phones) -> None:
    phones.agent("1001")
    phones.agent("1002")
    phones.caller()
    call = await scene.offered()
    leg, asked = await scene.connect(call, "1001"), str(uuid4())
    await scene.joined(call, "1001")
    await scene.order(Consult(command_id=uuid4(), call=call, leg=leg, new_leg=asked, device="1002", timeout_s=10.0))
    await eventually(lambda: scene.leg(call, asked).answered_at, timeout_s=WITHIN_S)
    await scene.order(Retrieve(command_id=uuid4(), call=call, leg=leg))
    await eventually(lambda: not scene.leg(call, asked).is_live, timeout_s=WITHIN_S)
    await eventually(lambda: scene.leg(call, leg).state is LegState.CONNECTED, timeout_s=WITHIN_S)


async def test_attended_transfer_by_phone(scene: Scene, phones: Phones) -> None:
    phones.agent("1001", "agent-attended-transfer", talk_ms=1000, consult_ms=1500, agent="1001", consult="1002")
    phones.agent("1002", talk_ms=4000)
    phones.caller()
    call = await scene.offered()
    await scene.connect(call, "1001")
    told = await scene.cleared(call)
    assert [(t["kind"], t["by"], t["to"]) for t in told["transfers"]] == [("attended", "1001", "1002")]
    assert told["ended_by"] == "agent 1002"


async def test_conference_by_command(scene: Scene, phones: Phones) -> None:
    first = phones.agent("1001")
    phones.agent("1002")
    phones.caller()
    call = await scene.offered()
    leg = await scene.connect(call, "1001")
    await scene.joined(call, "1001")
    await scene.order(
        Conference(command_id=uuid4(), call=call, leg=leg, new_leg=str(uuid4()), device="1002", timeout_s=10.0)
    )
    await scene.joined(call, "1001", "1002")
    await scene.order(ClearLeg(command_id=uuid4(), call=call, leg=leg))
    await scene.joined(call, "1002")
    assert await asyncio.to_thread(first.wait, WITHIN_S) == 0
    await scene.order(HangUp(command_id=uuid4(), call=call))
    assert (await scene.cleared(call))["ended_by"] == "gateway"


async def test_click_to_dial(scene: Scene, phones: Phones) -> None:
    phones.agent("1001")
    phones.customer(talk_ms=1500)
    call = str(uuid4())
    command = Originate(
        command_id=uuid4(),
        call=call,
        leg=str(uuid4()),
        device="1001",
        number="13800138000",
        timeout_s=10.0,
        trunk="carrier",
    )
    await scene.driver.send([command, command])
    await eventually(lambda: scene.seen(CallOffered), timeout_s=WITHIN_S)
    await scene.joined(call, "1001")
    told = await scene.cleared(call)
    assert (told["direction"], told["customer"], told["outcome"]) == ("outbound", "13800138000", "answered")
    assert told["ended_by"] == "customer"
    assert told["customer_ringing_at"] < told["customer_answered_at"]


@pytest.mark.parametrize("scenario", ["agent-busy", "agent-declines"])
async def test_click_to_dial_and_the_customer_will_not(scene: Scene, phones: Phones, scenario: str) -> None:
    agent = phones.agent("1001")
    phones.start(scenario, 5070)
    call = str(uuid4())
    command = Originate(
        command_id=uuid4(),
        call=call,
        leg=str(uuid4()),
        device="1001",
        number="13800138000",
        timeout_s=10.0,
        trunk="carrier",
    )
    await scene.order(command)
    told = await scene.cleared(call)
    assert told["outcome"] == ("customer_busy" if scenario == "agent-busy" else "customer_no_answer")
    assert told["ended_by"] == "pbx"
    assert await asyncio.to_thread(agent.wait, WITHIN_S) == 0


async def test_click_to_dial_and_the_agent_does_not_answer(scene: Scene, phones: Phones) -> None:
    phones.agent("1001", "agent-never-answers")
    call = str(uuid4())
    command = Originate(
        command_id=uuid4(),
        call=call,
        leg=str(uuid4()),
        device="1001",
        number="13800138000",
        timeout_s=2.0,
        trunk="carrier",
    )
    await scene.order(command)
    told = await scene.cleared(call)
    assert (told["outcome"], told["ended_by"]) == ("agent_no_answer", "gateway time-out")


async def test_names_and_attributes_are_data(scene: Scene, phones: Phones) -> None:
    """What strangers write stays what it is: neither a header, nor a variable, nor a function."""
    phones.agent("1001")
    phones.caller()
    call = await scene.offered()
    name = 'x" <666>&endpoint=PJSIP/1002\r\nX: y'
    await scene.connect(call, "1001", caller_name=name, caller_number="1&app=other")
    await scene.joined(call, "1001")
    for evil in ("SHELL(touch x)", "PJSIP_HEADER(add,X-Y)", "a b", ""):
        refused = await scene.order(SetAttributes(command_id=uuid4(), call=call, attributes={evil: "1"}))
        assert isinstance(refused, CommandRefused)
    value = "${SHELL(id)},a=b&variable=X\r\nAction: Logoff"
    done = await scene.order(SetAttributes(command_id=uuid4(), call=call, attributes={"note": value}))
    assert isinstance(done, CommandDone)
    await eventually(lambda: scene.call(call).attributes.get("note"), timeout_s=WITHIN_S)
    assert scene.call(call).attributes["note"] == "${SHELL(id)},a=b&variable=XAction: Logoff"
    for device in ("13900000000@carrier", "1002&PJSIP", "../1002", "1002/x"):
        command = Connect(command_id=uuid4(), call=call, leg=str(uuid4()), device=device, timeout_s=5.0)
        assert isinstance(await scene.order(command), CommandRefused)


async def test_phones_sign_in_and_out(scene: Scene, phones: Phones) -> None:
    def state() -> DeviceState | None:
        return scene.switchboard.devices.get("1009")

    assert state() is DeviceState.UNREACHABLE
    phones.sign_in("1009", 60)
    await eventually(lambda: state() is DeviceState.IDLE, timeout_s=WITHIN_S)
    phones.sign_in("1009", 0)
    await eventually(lambda: state() is DeviceState.UNREACHABLE, timeout_s=WITHIN_S)


# ---- loss and return


class Cable:
    """A TCP connection in the middle, which can be cut."""

    def __init__(self) -> None:
        self.port = 0
        self.plugged = True
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def lay(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.plugged:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection(HOST, PORT)
        self._writers |= {writer, far_writer}
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer), return_exceptions=True)

    def cut(self) -> None:
        self.plugged = False
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def plug(self) -> None:
        self.plugged = True

    async def close(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.transport.abort()


@pytest_asyncio.fixture
async def cable() -> AsyncIterator[Cable]:
    laid = Cable()
    await laid.lay()
    try:
        yield laid
    finally:
        await laid.close()


async def test_connection_cut_in_mid_call(phones: Phones, cable: Cable) -> None:
    scene = Scene(host="127.0.0.1", port=cable.port)
    await scene.start()
    try:
        phones.agent("1001")
        phones.agent("1002")
        phones.caller()
        leaves = phones.caller(talk_ms=2500, caller="13912345678")
        call, gone = await scene.offered_from(CUSTOMER), await scene.offered_from("13912345678")
        leg = await scene.connect(call, "1001")
        await scene.connect(gone, "1002")
        await scene.joined(call, "1001")
        await scene.joined(gone, "1002")
        cable.cut()
        await eventually(lambda: scene.seen(ConnectionLost), timeout_s=WITHIN_S)
        assert await asyncio.to_thread(leaves.wait, WITHIN_S) == 0
        cable.plug()
        await eventually(lambda: len(scene.seen(ConnectionUp)) == 2, timeout_s=WITHIN_S)
        assert scene.leg(call, leg).state is LegState.CONNECTED
        assert scene.call(gone).is_cleared
        await scene.order(HangUp(command_id=uuid4(), call=call))
        assert (await scene.cleared(call))["ended_by"] == "gateway"
        await eventually(lambda: not left_over(), timeout_s=WITHIN_S)
    finally:
        await scene.stop()


async def test_gateway_restarted_in_mid_call(scene: Scene, phones: Phones) -> None:
    """A new process knows nothing but what Asterisk says, and goes on."""
    phones.agent("1001")
    phones.agent("1002")
    phones.caller()
    phones.caller(caller="13912345678")
    call, waiting = await scene.offered_from(CUSTOMER), await scene.offered_from("13912345678")
    leg = await scene.connect(call, "1001")
    await scene.joined(call, "1001")
    await scene.restart()
    up = scene.seen(ConnectionUp)[-1]
    assert {c.from_number for c in up.calls} == {CUSTOMER, "13912345678"}
    assert scene.leg(call, leg).state is LegState.CONNECTED
    await scene.connect(waiting, "1002")
    await scene.joined(waiting, "1002")
    await scene.order(Hold(command_id=uuid4(), call=call, leg=leg))
    await eventually(lambda: scene.leg(call, leg).on_hold, timeout_s=WITHIN_S)
    await scene.restart()
    assert scene.leg(call, leg).on_hold
    await scene.order(Retrieve(command_id=uuid4(), call=call, leg=leg))
    await eventually(lambda: not scene.leg(call, leg).on_hold, timeout_s=WITHIN_S)
    for name in (call, waiting):
        await scene.order(HangUp(command_id=uuid4(), call=name))
        await scene.cleared(name)


async def test_gateway_restarted_while_an_agent_rings(scene: Scene, phones: Phones) -> None:
    phones.agent("1001", ring_ms=3000)
    phones.caller()
    call = await scene.offered()
    leg = await scene.connect(call, "1001")
    await eventually(lambda: scene.seen(LegAlerting), timeout_s=WITHIN_S)
    await scene.restart()
    assert scene.leg(call, leg).state is LegState.ALERTING
    await scene.joined(call, "1001")


@only_in_the_lab
@pytest.mark.parametrize("how", ["orderly", "crash"])
async def test_asterisk_goes_away_in_mid_call(scene: Scene, phones: Phones, how: str) -> None:
    phones.agent("1001")
    phones.caller()
    call = await scene.offered()
    await scene.connect(call, "1001")
    await scene.joined(call, "1001")
    await asyncio.to_thread(crash if how == "crash" else stop_orderly)
    try:
        await eventually(lambda: scene.seen(ConnectionLost), timeout_s=WITHIN_S)
    finally:
        await asyncio.to_thread(start)
    await eventually(lambda: len(scene.seen(ConnectionUp)) == 2, timeout_s=30)
    told = await scene.cleared(call)
    assert (told["outcome"], told["ended_by"]) == ("answered", "pbx")
    phones.stop()
    phones.agent("1002")
    phones.caller(talk_ms=2000)
    again = await scene.offered(2)
    await scene.connect(again, "1002")
    assert (await scene.cleared(again))["ended_by"] == "customer"
