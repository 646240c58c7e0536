"""A PBX with open ports, in the test's own event loop or as a process of its own, and plain clients for it."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
import pytest_asyncio
from telephony_gateway.virtual_pbx.control import ControlClient
from telephony_gateway.virtual_pbx.server import PbxSettings, VirtualPbx

DID = "4008100"


class PlainClient:
    """Reads and writes lines of the switch link, and nothing else."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.sent = 0

    async def read(self) -> dict[str, Any]:
        """The next line."""
        async with asyncio.timeout(10):
            raw = await self.reader.readuntil(b"\n")
        row: dict[str, Any] = json.loads(raw)
        return row

    async def until(self, **fields: Any) -> dict[str, Any]:
        """The next line that has these fields; those before are passed over."""
        return (await self.through(**fields))[-1]

    async def through(self, **fields: Any) -> list[dict[str, Any]]:
        """All lines up to the next that has these fields."""
        rows = []
        while True:
            rows.append(await self.read())
            if all(rows[-1].get(key) == value for key, value in fields.items()):
                return rows

    def write(self, **row: Any) -> str:
        """Send a command under an id of its own, unless one is given."""
        self.sent += 1
        row.setdefault("id", f"c{self.sent}")
        self.writer.write(json.dumps(row).encode() + b"\n")
        return str(row["id"])

    async def ask(self, **row: Any) -> dict[str, Any]:
        """Send a command and wait for its reply; lines before it are passed over."""
        return await self.until(reply=self.write(**row))

    async def closed(self) -> bytes:
        """What still comes until the PBX closes the connection."""
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read()
        return b""


@dataclass
class RunningPbx:
    """A PBX that listens."""

    port: int
    control_port: int
    control: ControlClient
    clients: list[PlainClient] = field(default_factory=list)
    inside: VirtualPbx | None = None
    """The PBX itself, if it runs in this process."""
    process: subprocess.Popen[bytes] | None = None
    """The process, if it has one of its own."""

    async def connect(self) -> PlainClient:
        """A client that has read the greeting and is not logged in."""
        client = PlainClient(*await asyncio.open_connection("127.0.0.1", self.port, limit=4 * 1024 * 1024))
        self.clients.append(client)
        return client

    async def login(self, name: str = "test", **fields: Any) -> PlainClient:
        """A client that gets events."""
        client = await self.connect()
        await client.read()
        assert (await client.ask(command="login", name=name, protocol=1, **fields))["ok"]
        client.write(command="snapshot")
        await client.until(snapshot="end")
        return client


class StartPbx(Protocol):
    """Starts a PBX in this process."""

    def __call__(self, **settings: Any) -> Awaitable[RunningPbx]: ...


async def _furnish(running: RunningPbx) -> None:
    await running.control.set_trunk("pstn", [DID])


async def _close(running: RunningPbx) -> None:
    await running.control.close()
    for client in running.clients:
        client.writer.transport.abort()


@pytest_asyncio.fixture
async def start_pbx() -> AsyncIterator[StartPbx]:
    """Starts PBXs in this process; by default quiet ones: without quirks."""
    started: list[RunningPbx] = []

    async def start(**settings: Any) -> RunningPbx:
        pbx = VirtualPbx(PbxSettings(**{"port": 0, "control_port": 0, "quirks": False, **settings}))
        await pbx.open()
        control = await ControlClient.connect("127.0.0.1", pbx.control_port)
        running = RunningPbx(pbx.port, pbx.control_port, control, inside=pbx)
        started.append(running)
        await _furnish(running)
        return running

    yield start
    for running in started:
        await _close(running)
        assert running.inside is not None
        running.inside.close()


@pytest_asyncio.fixture
async def pbx(start_pbx: StartPbx) -> RunningPbx:
    """A quiet PBX in this process."""
    return await start_pbx()


class PbxProcess:
    """A PBX that is a process of its own."""

    def __init__(self, heartbeat_s: float = 5.0) -> None:
        self.popen = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from telephony_gateway.virtual_pbx.command import command; command()",
                *("--port", "0", "--control-port", "0", "--heartbeat-s", str(heartbeat_s)),
            ],
            stdout=subprocess.PIPE,
        )
        assert self.popen.stdout is not None
        ports = json.loads(self.popen.stdout.readline())
        self.port, self.control_port = ports["port"], ports["control_port"]

    async def open(self) -> RunningPbx:
        """A client for its control link, and its trunk in place."""
        control = await ControlClient.connect("127.0.0.1", self.control_port)
        running = RunningPbx(self.port, self.control_port, control, process=self.popen)
        await _furnish(running)
        return running

    def stop(self) -> None:
        """Whatever state it is in."""
        self.popen.kill()
        self.popen.wait()
        assert self.popen.stdout is not None
        self.popen.stdout.close()


@pytest.fixture(scope="module")
def shared_process() -> Iterator[PbxProcess]:
    """One process for the tests of a module, which begin by crashing it."""
    process = PbxProcess()
    yield process
    process.stop()


@pytest_asyncio.fixture
async def process(shared_process: PbxProcess) -> AsyncIterator[RunningPbx]:
    """A difficult PBX in a process of its own, without calls, clients or memory of those before."""
    running = await shared_process.open()
    await running.control.crash(down_s=0.0)
    yield running
    await _close(running)


@pytest_asyncio.fixture
async def mortal_process() -> AsyncIterator[RunningPbx]:
    """A PBX process that the test may end, with a quick heartbeat."""
    process = PbxProcess(heartbeat_s=0.3)
    running = await process.open()
    yield running
    await _close(running)
    process.stop()
