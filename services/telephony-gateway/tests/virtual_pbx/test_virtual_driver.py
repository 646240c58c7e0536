"""The gateway's driver against a PBX that is a process of its own, and against listeners that are no PBX at all."""

import asyncio
import contextlib
import json
import random
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar
from uuid import uuid4

import pytest
import pytest_asyncio
from cordboard_chassis.testing.deployment import eventually
from telephony_gateway.drivers import connection, virtual
from telephony_gateway.drivers.interface import (
    AnswerLeg,
    AttendedTransfer,
    AttributesSet,
    BlindTransfer,
    CallCleared,
    CallConferenced,
    CallOffered,
    CallTransferred,
    ClearLeg,
    Command,
    CommandDone,
    CommandRefused,
    Conference,
    Connect,
    ConnectionLost,
    ConnectionUp,
    Consult,
    CustomerAlerting,
    CustomerAnswered,
    DeviceChanged,
    DeviceState,
    DigitPressed,
    Direction,
    Disconnected,
    Endpoint,
    FailureReason,
    HangUp,
    Hold,
    LegAlerting,
    LegAnswered,
    LegCleared,
    LegFailed,
    LegHeld,
    LegInitiated,
    LegRetrieved,
    LegState,
    Mute,
    Originate,
    Party,
    PbxEvent,
    Retrieve,
    SetAttributes,
)
from telephony_gateway.drivers.virtual import VirtualDriver
from telephony_gateway.virtual_pbx.core.scripts import Behaviour, CallerScript, Fixed, Keys, NameEncoding, PartyScript

DID = "4008100"
EventT = TypeVar("EventT", bound=PbxEvent)


class Gateway:
    """Whoever runs a driver and hears what it reports."""

    def __init__(self, port: int) -> None:
        self.driver = VirtualDriver(Endpoint("pbx-1", "127.0.0.1", port))
        self.events: list[PbxEvent] = []
        self.busy = asyncio.Event()
        self.busy.set()
        self._new = asyncio.Condition()
        self._read = 0
        self.task = asyncio.create_task(self.driver.run(self._report))

    async def _report(self, event: PbxEvent) -> None:
        await self.busy.wait()
        async with self._new:
            self.events.append(event)
            self._new.notify_all()

    async def until(self, kind: type[EventT], **fields: Any) -> EventT:
        """The next event of a kind with these fields; those before are passed over."""
        async with asyncio.timeout(10), self._new:
            while True:
                while self._read < len(self.events):
                    event = self.events[self._read]
                    self._read += 1
                    if isinstance(event, kind) and all(getattr(event, key) == fields[key] for key in fields):
                        return event
                await self._new.wait()

    async def stop(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def tell(self, kind: type[Command], call: str, **fields: Any) -> Command:
        """Send one command."""
        command = kind(command_id=uuid4(), call=call, **fields)
        await self.driver.send([command])
        return command

    async def ask(self, kind: type[Command], call: str, **fields: Any) -> CommandDone | CommandRefused:
        """Send one command; its answer, wherever it stands among the events."""
        command = await self.tell(kind, call, **fields)

        def answer() -> PbxEvent | None:
            answers = (event for event in self.events if isinstance(event, CommandDone | CommandRefused))
            return next((event for event in answers if event.command_id == command.command_id), None)

        return await eventually(answer, poll_s=0.002)


@pytest_asyncio.fixture
async def start_gateway() -> AsyncIterator[Callable[[int], Gateway]]:
    started: list[Gateway] = []

    def start(port: int) -> Gateway:
        gateway = Gateway(port)
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        await gateway.stop()


@pytest_asyncio.fixture
async def site(process: Any, start_gateway: Any) -> tuple[Any, Gateway]:
    """A real PBX process, difficult as PBXs are, with a gateway connected to it."""
    return process, await _connected(process, start_gateway)


@pytest_asyncio.fixture
async def mortal_site(mortal_process: Any, start_gateway: Any) -> tuple[Any, Gateway]:
    """A site whose PBX the test may end."""
    return mortal_process, await _connected(mortal_process, start_gateway)


async def _connected(pbx: Any, start_gateway: Any) -> Gateway:
    await pbx.control.set_devices(
        {name: Behaviour(answer_after=Fixed(0.02), ring_after_s=0.01) for name in ("1001", "1002", "1003")}
    )
    gateway = start_gateway(pbx.port)
    await gateway.until(ConnectionUp)
    return gateway


def connect(leg: str, device: str = "1001", timeout_s: float = 5.0) -> dict[str, Any]:
    return {"leg": leg, "device": device, "timeout_s": timeout_s}


async def offered(pbx: Any, gateway: Gateway, **script: Any) -> CallOffered:
    await pbx.control.place_call(CallerScript(**{"did": DID, "number": "+8613800138000", **script}))
    return await gateway.until(CallOffered)


async def test_a_call_from_offer_to_end(site: tuple[Any, Gateway]) -> None:
    pbx, gateway = site
    await pbx.control.place_call(
        CallerScript(
            did=DID,
            number="anonymous",
            name="陈晓明",
            name_encoding=NameEncoding.GBK,
            diverted_from="4008999",
            attributes={"area": "上海"},
            keys=(Keys(0.0, "5"),),
            talk=Fixed(0.1),
        )
    )
    call = await gateway.until(CallOffered)
    assert (call.direction, call.dialled, call.from_number) == (Direction.INBOUND, DID, "anonymous")
    assert (call.from_name, call.diverted_from, call.trunk) == ("陈晓明", "4008999", "pstn")
    assert call.attributes == {"area": "上海"}
    assert (await gateway.until(DigitPressed)).digit == "5"
    command = await gateway.tell(Connect, call.call, **connect("L1"))
    ringing = await gateway.until(LegAlerting)
    assert (ringing.call, ringing.leg, ringing.device) == (call.call, "L1", "1001")
    answered = await gateway.until(LegAnswered)
    cleared = await gateway.until(CallCleared)
    assert (cleared.by, cleared.call) == (Party.CUSTOMER, call.call)
    assert call.at <= ringing.at < answered.at < cleared.at
    told = [event for event in gateway.events if isinstance(event, CommandDone)]
    assert [done.command_id for done in told] == [command.command_id]
    states = [event.state for event in gateway.events if isinstance(event, DeviceChanged)]
    assert states == [DeviceState.IN_USE, DeviceState.IDLE]


async def test_every_command(site: tuple[Any, Gateway]) -> None:
    pbx, gateway = site
    await pbx.control.set_device("1002", behaviour=Behaviour(answer_after=None, ring_after_s=0.01))
    call = (await offered(pbx, gateway)).call
    await gateway.tell(SetAttributes, call, attributes={"tier": "gold"})
    assert (await gateway.until(AttributesSet)).attributes == {"tier": "gold"}
    await gateway.tell(Connect, call, **connect("L1"), caller_number="1", caller_name="x")
    await gateway.until(LegAnswered, leg="L1")
    await gateway.tell(Hold, call, leg="L1")
    await gateway.until(LegHeld)
    await gateway.tell(Retrieve, call, leg="L1")
    await gateway.until(LegRetrieved)
    for on in (True, False):
        assert isinstance(await gateway.ask(Mute, call, leg="L1", on=on), CommandDone)
        [live] = await pbx.control.live()
        assert live["legs"]["L1"].get("muted", False) is on
    await gateway.tell(Consult, call, leg="L1", new_leg="L2", device="1002", timeout_s=5.0)
    assert (await gateway.until(LegInitiated, leg="L2")).consults == "L1"
    await gateway.until(LegAlerting, leg="L2")
    await gateway.tell(AnswerLeg, call, leg="L2")
    await gateway.until(LegAnswered, leg="L2")
    await gateway.tell(AttendedTransfer, call, leg="L1", to_leg="L2")
    moved = await eventually(lambda: [event for event in gateway.events if isinstance(event, CallTransferred)])
    assert (moved[0].leg, moved[0].from_leg) == ("L2", "L1")
    await eventually(lambda: [event for event in gateway.events if isinstance(event, LegCleared)])
    await gateway.tell(Conference, call, leg="L2", new_leg="L3", device="1003", timeout_s=5.0)
    assert (await gateway.until(CallConferenced)).leg == "L3"
    await gateway.tell(ClearLeg, call, leg="L3")
    await gateway.until(LegCleared, leg="L3")
    await gateway.tell(BlindTransfer, call, leg="L2", new_leg="L4", device="1001", timeout_s=5.0)
    await gateway.until(LegAnswered, leg="L4")
    refused = await gateway.ask(AnswerLeg, call, leg="L99")
    assert isinstance(refused, CommandRefused) and refused.reason == "no-such-leg"
    await gateway.tell(HangUp, call)
    assert (await gateway.until(CallCleared)).by is Party.GATEWAY
    await pbx.control.set_party("*", PartyScript(ring_after_s=0.01, answer_after=Fixed(0.02)))
    await gateway.tell(Originate, "C9", leg="L9", device="1003", number="+85221234567", timeout_s=5.0)
    out = await gateway.until(CallOffered)
    assert (out.call, out.direction, out.dialled) == ("C9", Direction.OUTBOUND, "+85221234567")
    await gateway.until(CustomerAlerting)
    await gateway.until(CustomerAnswered)


async def test_dropped_connections_are_resynchronised_and_calls_go_on(site: tuple[Any, Gateway]) -> None:
    pbx, gateway = site
    call = (await offered(pbx, gateway, talk=Fixed(60.0))).call
    await gateway.tell(Connect, call, **connect("L1"))
    answered = await gateway.until(LegAnswered)
    await pbx.control.drop_clients(refuse_s=0.3)
    await gateway.until(ConnectionLost)
    with pytest.raises(Disconnected):
        await gateway.tell(Hold, call, leg="L1")
    await pbx.control.place_call(CallerScript(did=DID, number="02161234567"))
    await pbx.control.place_call(CallerScript(did=DID, number="1", patience=Fixed(0.0)))
    up = await gateway.until(ConnectionUp)
    live = {seen.from_number: seen for seen in up.calls}
    [leg] = live["+8613800138000"].legs
    assert (leg.leg, leg.device, leg.state) == ("L1", "1001", LegState.CONNECTED)
    assert leg.answered_at == answered.at
    assert live["02161234567"].legs == ()
    gone = await gateway.until(CallCleared)
    assert gone.call == live["1"].call and gone.by is Party.CUSTOMER and gone.at < up.at
    assert {device.device for device in up.devices} == {"1001", "1002", "1003"}
    await gateway.tell(HangUp, call)
    assert (await gateway.until(CallCleared)).call == call


async def test_a_call_that_came_was_answered_and_went_unheard(site: tuple[Any, Gateway]) -> None:
    pbx, gateway = site
    call = (await offered(pbx, gateway, talk=Fixed(0.05))).call
    await pbx.control.set_device("1001", behaviour=Behaviour(answer_after=Fixed(0.1), ring_after_s=0.01))
    await gateway.tell(Connect, call, **connect("L1"))
    await gateway.until(LegAlerting)
    await pbx.control.drop_clients(refuse_s=0.5)
    up = await gateway.until(ConnectionUp)
    [seen] = [live for live in up.calls if live.call == call]
    [leg] = seen.legs
    assert leg.state is LegState.CONNECTED and leg.answered_at is not None
    cleared = await gateway.until(CallCleared, call=call)
    assert leg.answered_at < cleared.at < up.at


async def test_a_leg_that_failed_unheard_is_told_with_its_reason(site: tuple[Any, Gateway]) -> None:
    pbx, gateway = site
    await pbx.control.set_device("1001", behaviour=Behaviour(answer_after=None, ring_after_s=0.01))
    call = (await offered(pbx, gateway)).call
    await gateway.tell(Connect, call, **connect("L1", timeout_s=0.2))
    await gateway.until(LegAlerting)
    await pbx.control.drop_clients(refuse_s=0.4)
    up = await gateway.until(ConnectionUp)
    failed = [event for event in up.ended if isinstance(event, LegFailed)]
    assert failed and failed[0].reason is FailureReason.NO_ANSWER and failed[0].leg == "L1"
    assert [live.legs for live in up.calls] == [()]


async def test_a_crash_of_the_pbx_leaves_an_empty_snapshot(site: tuple[Any, Gateway]) -> None:
    pbx, gateway = site
    call = (await offered(pbx, gateway)).call
    assert await pbx.control.crash(down_s=0.1) == 1
    lost = await gateway.until(ConnectionLost)
    up = await gateway.until(ConnectionUp)
    assert up.calls == () and up.ended == () and up.started_at is not None and up.started_at > lost.at
    again = (await offered(pbx, gateway)).call
    assert again != call
    assert not [event for event in gateway.events if isinstance(event, CallCleared)]


async def test_a_line_that_falls_silent_is_given_up(start_pbx: Any, start_gateway: Any) -> None:
    pbx = await start_pbx(heartbeat_s=0.1)
    gateway = start_gateway(pbx.port)
    await gateway.until(ConnectionUp)
    await pbx.control.stall(for_s=1.0)
    assert "silent" in (await gateway.until(ConnectionLost)).reason
    await gateway.until(ConnectionUp)


async def test_nonsense_is_set_aside_and_a_lost_event_resynchronises(site: tuple[Any, Gateway]) -> None:
    pbx, gateway = site
    await pbx.control.inject(
        b"{\n\xff\xfe\xff\n[]\n\n"
        + b'{"event":"leg_ringing","seq":1}\n{"event":"weather","seq":1,"sun":true}\n{"of":"no kind"}\n'
        + b"x" * 600_000
        + b"\n"
    )
    call = (await offered(pbx, gateway)).call
    assert gateway.driver.malformed == 5
    assert [aside.line for aside in gateway.driver.set_aside][:2] == [b"{", b"\xff\xfe\xff"]
    assert not [event for event in gateway.events if isinstance(event, ConnectionLost)]
    await pbx.control.inject(b'{"event":"waiting","seq":999999,"at_us":1,"call":"x","cause":""}\n')
    assert "missing" in (await gateway.until(ConnectionLost)).reason
    assert [live.call for live in (await gateway.until(ConnectionUp)).calls] == [call]


async def test_an_event_heard_twice_is_reported_once(site: tuple[Any, Gateway]) -> None:
    pbx, gateway = site
    watcher = await pbx.login("watcher", watch=True)
    await pbx.control.place_call(CallerScript(did=DID))
    await pbx.control.inject(json.dumps(await watcher.until(event="offered")).encode() + b"\n")
    await gateway.until(CallOffered)
    await offered(pbx, gateway)
    assert len([event for event in gateway.events if isinstance(event, CallOffered)]) == 2


async def test_a_gateway_that_is_busy_reads_no_further_and_loses_nothing(start_pbx: Any, start_gateway: Any) -> None:
    pbx = await start_pbx(heartbeat_s=0.1)
    gateway = start_gateway(pbx.port)
    await gateway.until(ConnectionUp)
    gateway.busy.clear()
    await pbx.control.place_calls([(0.0, CallerScript(did=DID, tag=str(n))) for n in range(500)])
    await eventually(_later(0.5))  # more than three heartbeats: it must not be taken for dead meanwhile
    gateway.busy.set()
    await eventually(lambda: sum(isinstance(event, CallOffered) for event in gateway.events) == 500)
    assert not [event for event in gateway.events if isinstance(event, ConnectionLost)]


def _later(seconds: float) -> Callable[[], bool]:
    """A condition that takes its time: for what must not happen while it does."""
    until = asyncio.get_running_loop().time() + seconds
    return lambda: asyncio.get_running_loop().time() > until


async def test_a_new_owner_takes_the_connection_over(site: tuple[Any, Gateway], start_gateway: Any) -> None:
    pbx, old = site
    call = (await offered(pbx, old)).call
    new = start_gateway(pbx.port)
    assert [live.call for live in (await new.until(ConnectionUp)).calls] == [call]
    assert "another gateway" in (await old.until(ConnectionLost)).reason
    await old.stop()
    await new.tell(Connect, call, **connect("L1"))
    await new.until(LegAnswered)


async def test_a_paused_process_catches_up(mortal_site: tuple[Any, Gateway]) -> None:
    pbx, gateway = mortal_site
    pbx.process.send_signal(signal.SIGSTOP)
    await gateway.until(ConnectionLost)
    pbx.process.send_signal(signal.SIGCONT)
    await gateway.until(ConnectionUp)


async def test_the_driver_outlives_the_pbx(mortal_site: tuple[Any, Gateway]) -> None:
    pbx, gateway = mortal_site
    pbx.process.terminate()
    await gateway.until(ConnectionLost, reason="the PBX said shutdown")
    assert await eventually(lambda: pbx.process.poll() is not None) and pbx.process.returncode == 0
    with pytest.raises(Disconnected):
        await gateway.tell(HangUp, "x")
    assert not gateway.task.done()


async def test_a_killed_pbx_is_a_lost_connection(mortal_site: tuple[Any, Gateway]) -> None:
    pbx, gateway = mortal_site
    pbx.process.kill()
    await gateway.until(ConnectionLost)
    assert not gateway.task.done()


async def test_cancelling_the_driver_closes_the_connection_and_reports_nothing(site: tuple[Any, Gateway]) -> None:
    pbx, gateway = site
    reported = len(gateway.events)
    await gateway.stop()

    async def gone() -> bool:
        return bool((await pbx.control.stats())["live"]["clients"] == 0)

    await eventually(gone)
    assert len(gateway.events) == reported


async def test_the_driver_knows_every_command() -> None:
    kinds = {kind for kind in Command.__subclasses__() if kind.__module__ == Command.__module__}
    driver = VirtualDriver(Endpoint("pbx-1", "127.0.0.1", 1))
    with pytest.raises(Disconnected):
        await driver.send([HangUp(command_id=uuid4(), call="x")])
    fields = {
        "leg": "a",
        "on": True,
        "to_leg": "b",
        "new_leg": "b",
        "device": "d",
        "timeout_s": -5.0,
        "attributes": {},
        "number": "1",
    }
    for kind in kinds:
        accepted = {name: value for name, value in fields.items() if name in kind.__dataclass_fields__}
        row = virtual._to_row(kind(command_id=uuid4(), call="c", **accepted))
        assert row.get("timeout_s", 0.1) == 0.1


# ---- listeners that are no PBX


@pytest_asyncio.fixture
async def listen() -> AsyncIterator[Callable[..., Awaitable[int]]]:
    servers = []

    async def start(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> int:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                await serve(reader, writer)
            writer.transport.abort()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(connection, "LONGEST_PAUSE_S", 0.002)
    monkeypatch.setattr(virtual, "GREETING_S", 0.2)


HELLO = {
    "hello": "cordboard-virtual-pbx",
    "protocol": 1,
    "pbx": "p",
    "boot": "b",
    "started_us": 1,
    "heartbeat_s": 5.0,
    "max_line": 1,
}


@pytest.mark.usefixtures("hasty")
async def test_whoever_answers_the_driver_keeps_trying(listen: Any, start_gateway: Any) -> None:
    """Each connection is treated to another kind of nonsense; the driver outlives them all."""
    chance = random.Random(3)
    good = json.dumps(HELLO).encode() + b"\n" + b'{"reply":"login","ok":true,"at_us":1}\n'
    begin = b'{"snapshot":"begin","id":"snapshot","seq":0,"at_us":1,"started_us":1}\n'
    end = b'{"snapshot":"end","id":"snapshot"}\n'
    greetings = [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00" * 100,
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        json.dumps({**HELLO, "protocol": 99}).encode() + b"\n",
        json.dumps({**HELLO, "heartbeat_s": -1}).encode() + b"\n",
        json.dumps(HELLO).encode() + b'\n{"reply":"login","ok":false,"reason":"no","at_us":1}\n',
        good + begin,
        good + end + b"{}\n",
        good + begin + b'{"snapshot":"call","call":1}\n' + end + b'{"event":"offered","seq":7,"at_us":1}\n',
        good + begin + end + b'{"event":"waiting","seq":5,"at_us":1,"call":"c"}\n',
        good + begin + end + b'{"bye":"replaced"}\n',
        good + begin + end + bytes(chance.randrange(256) for _ in range(5000)),
        good + begin + end + b"z" * 2_000_000,
    ]
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        greeting = greetings[served % len(greetings)]
        served += 1
        while greeting:
            size = chance.choice([1, 7, 1000, 100_000])
            writer.write(greeting[:size])
            await writer.drain()
            greeting = greeting[size:]

    gateway = start_gateway(await listen(serve))
    await eventually(lambda: served > 2 * len(greetings), timeout_s=20)
    assert not gateway.task.done()
    kinds = [type(event) for event in gateway.events]
    assert kinds[::2] == [ConnectionUp] * len(kinds[::2]) and kinds[1::2] == [ConnectionLost] * len(kinds[1::2])


@pytest.mark.usefixtures("hasty")
async def test_a_listener_that_says_nothing_is_given_up(listen: Any, start_gateway: Any) -> None:
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await reader.read()

    start_gateway(await listen(serve))
    await eventually(lambda: served > 2)


async def test_pauses_grow_to_five_seconds_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 12:
            raise asyncio.CancelledError

    monkeypatch.setattr(virtual.asyncio, "sleep", sleep)
    with contextlib.suppress(asyncio.CancelledError):
        await VirtualDriver(Endpoint("pbx-1", "127.0.0.1", _closed_port())).run(_unexpected)
    assert len(slept) == 12 and len(set(slept)) == 12
    for number, pause in enumerate(slept):
        longest = min(5.0, 0.1 * 2**number)
        assert longest / 2 <= pause <= longest


def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def _unexpected(event: PbxEvent) -> None:
    raise AssertionError(event)
