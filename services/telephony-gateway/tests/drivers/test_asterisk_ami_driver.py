"""The driver on a socket: login, heartbeats, silence, refusals, a PBX that goes; Asterisk is played by a script."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from cordboard_chassis.testing.deployment import eventually
from telephony_gateway.drivers import connection, conversation
from telephony_gateway.drivers.asterisk_ami import AsteriskAmi, AsteriskAmiDriver
from telephony_gateway.drivers.asterisk_ami_messages import said
from telephony_gateway.drivers.asterisk_ami_probe import probe
from telephony_gateway.drivers.findings import Verdict
from telephony_gateway.drivers.interface import (
    CallOffered,
    ConnectionLost,
    ConnectionUp,
    Disconnected,
    Endpoint,
    HangUp,
    PbxEvent,
)
from telephony_gateway.replay.player import play
from telephony_gateway.replay.recorder import Recorder
from telephony_gateway.replay.trace import read

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
LISTS = ("CoreShowChannels", "Status", "BridgeList", "DeviceStateList")


class ScriptedAsterisk:
    """Says what it is told to say; a list that is asked for is empty."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.login = "Success"
        self.denied: tuple[str, ...] = ()
        self.pongs = True
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        writer.write(GREETING)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                data = await reader.readuntil(b"\r\n\r\n")
                for action in said(data):
                    self.heard.append(action["Action"])
                    writer.write(self.answer(action["Action"], action["ActionID"]))

    def answer(self, action: str, action_id: str) -> bytes:
        named = f"ActionID: {action_id}\r\n"
        if action == "Login":
            return f"Response: {self.login}\r\n{named}Message: Authentication\r\n\r\n".encode()
        if action == "Ping" and not self.pongs:
            return b""
        if action in self.denied:
            return f"Response: Error\r\n{named}Message: Permission denied\r\n\r\n".encode()
        listed = f"Event: {action}Complete\r\n{named}\r\n" if action in LISTS else ""
        return f"Response: Success\r\n{named}\r\n{listed}".encode()

    def say(self, text: str) -> None:
        self.writers[-1].write(text.encode())


@pytest_asyncio.fixture
async def pbx() -> AsyncIterator[ScriptedAsterisk]:
    scripted = ScriptedAsterisk()
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        for writer in scripted.writers:
            writer.transport.abort()
        server.close()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(connection, "LONGEST_PAUSE_S", 0.002)
    monkeypatch.setattr(connection, "TICK_S", 0.01)
    monkeypatch.setenv("CORDBOARD_PBX_PBX_1_USER", "gateway")
    monkeypatch.setenv("CORDBOARD_PBX_PBX_1_SECRET", "open sesame")


Run = Callable[[], Awaitable[tuple[AsteriskAmiDriver, list[PbxEvent]]]]


@pytest_asyncio.fixture
async def run(pbx: ScriptedAsterisk) -> AsyncIterator[Run]:
    tasks: list[asyncio.Task[None]] = []

    async def start() -> tuple[AsteriskAmiDriver, list[PbxEvent]]:
        driver = AsteriskAmiDriver(Endpoint("pbx-1", "127.0.0.1", pbx.port))
        events: list[PbxEvent] = []

        async def report(event: PbxEvent) -> None:
            events.append(event)

        tasks.append(asyncio.create_task(driver.run(report)))
        return driver, events

    yield start
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def kinds(events: list[PbxEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_up_a_call_lost_and_up_again(pbx: ScriptedAsterisk, run: Run) -> None:
    driver, events = await run()
    await eventually(lambda: kinds(events) == ["ConnectionUp"])
    pbx.say(
        "Event: Newchannel\r\nChannel: PJSIP/carrier-0\r\nChannelState: 4\r\nExten: 4008200\r\nUniqueid: 1.0\r\n\r\n"
    )
    await eventually(lambda: kinds(events)[1:] == ["CallOffered"])
    assert isinstance(events[1], CallOffered) and events[1].call == "1.0"
    pbx.writers[-1].transport.abort()
    await eventually(lambda: kinds(events)[2:] == ["ConnectionLost", "ConnectionUp"])
    assert isinstance(events[3], ConnectionUp) and events[3].calls == (), "it is not up any more"
    assert driver.interpreter.take().broken is None


async def test_a_user_who_may_not_ask_everything_is_connected_all_the_same(pbx: ScriptedAsterisk, run: Run) -> None:
    pbx.denied = ("BridgeList", "DeviceStateList")
    _, events = await run()
    await eventually(lambda: kinds(events) == ["ConnectionUp"])


async def test_a_refused_login_is_tried_again_and_never_up(pbx: ScriptedAsterisk, run: Run) -> None:
    pbx.login = "Error"
    driver, events = await run()
    await eventually(lambda: pbx.heard.count("Login") >= 3)
    assert events == [] and "CoreShowChannels" not in pbx.heard
    with pytest.raises(Disconnected):
        await driver.send([])
    pbx.login = "Success"
    await eventually(lambda: kinds(events) == ["ConnectionUp"])


async def test_who_is_silent_is_pinged_and_given_up(
    pbx: ScriptedAsterisk, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "PING_AFTER", timedelta(seconds=0.05))
    monkeypatch.setattr(conversation, "SILENT", timedelta(seconds=0.05))
    _, events = await run()
    await eventually(lambda: pbx.heard.count("Ping") > 2)
    assert kinds(events) == ["ConnectionUp"], "whoever answers pings is alive"
    pbx.pongs = False
    await eventually(lambda: "ConnectionLost" in kinds(events))
    lost = next(event for event in events if isinstance(event, ConnectionLost))
    assert lost.reason == "silent for too long"


async def test_what_is_recorded_can_be_replayed_and_has_no_secret(pbx: ScriptedAsterisk, tmp_path: Path) -> None:
    file = tmp_path / "ami.jsonl"
    with file.open("w", encoding="utf-8") as lines:
        recorder = Recorder(lines, ("open sesame",))
        driver = AsteriskAmiDriver(Endpoint("pbx-1", "127.0.0.1", pbx.port), tap=recorder)
        events: list[PbxEvent] = []

        async def report(event: PbxEvent) -> None:
            events.append(event)

        running = asyncio.create_task(driver.run(report))
        await eventually(lambda: kinds(events) == ["ConnectionUp"])
        pbx.say("Event: Newchannel\r\nChannel: PJSIP/carrier-0\r\nChannelState: 4\r\nUniqueid: 1.0\r\n\r\n")
        await eventually(lambda: "CallOffered" in kinds(events))
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert "open sesame" not in file.read_text(encoding="utf-8")
    assert "[removed]" in file.read_text(encoding="utf-8")
    replayed = play(read(file), AsteriskAmi())
    assert list(replayed.calls) == ["1.0"]


async def test_a_probe_says_in_words_what_is_missing(pbx: ScriptedAsterisk, monkeypatch: pytest.MonkeyPatch) -> None:
    pbx.login = "Error"
    (refused,) = await probe(Endpoint("pbx-1", "127.0.0.1", pbx.port))
    assert (refused.verdict, "login refused" in refused.what) == (Verdict.MISSING, True)
    monkeypatch.delenv("CORDBOARD_PBX_PBX_1_SECRET")
    (nothing,) = await probe(Endpoint("pbx-1", "127.0.0.1", pbx.port))
    assert "CORDBOARD_PBX_PBX_1_SECRET" in nothing.remedy


async def test_a_command_for_a_call_that_is_not_there(pbx: ScriptedAsterisk, run: Run) -> None:
    driver, events = await run()
    await eventually(lambda: kinds(events) == ["ConnectionUp"])
    await driver.send([HangUp(command_id=uuid4(), call="none")])
    await eventually(lambda: kinds(events)[1:] == ["CommandRefused"])
