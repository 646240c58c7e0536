"""What drivers of real PBXs share: reconnecting for ever, and the asyncio part of those that speak over one TCP stream.

What is heard goes to an `Interpreter`, which is pure; what that says is written, what it understood reported.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from telephony_gateway.domain.pbx_commands import Command
from telephony_gateway.domain.pbx_events import PbxEvent
from telephony_gateway.drivers.credentials import Credentials
from telephony_gateway.drivers.interface import Disconnected, Endpoint, Report
from telephony_gateway.drivers.interpreter import Interpreter, Wire

log = logging.getLogger(__name__)

CONNECT_S = 5.0
TICK_S = 0.25
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
STEADY_S = 5.0
"""A connection that lasted so long was a good one: the next pause is the first again."""
READ_BYTES = 64 * 1024
UNSENT_BYTES = 1024 * 1024
"""A PBX that leaves so much unread is given up."""


Tap = Callable[[str, Wire], None]
"""Sees what passes over the wire, as a trace has it: ``rx``, ``tx``, ``open``, ``close``."""


def no_tap(_direction: str, _wire: Wire) -> None:
    """Nobody looks."""


class Broken(Exception):
    """The connection is of no use any more; the text says why."""


class Replaced(Broken):
    """Another gateway took over: no hurry to come back."""


async def keep_connected(
    endpoint: Endpoint, connect: Callable[[], Awaitable[Exception]], chance: Callable[[], float] = random.random
) -> None:
    """Connect again and again with growing, jittered pauses; never ends. ``connect`` returns why a connection ended."""
    loop = asyncio.get_running_loop()
    pause_s = FIRST_PAUSE_S
    while True:
        began = loop.time()
        reason = await connect()
        pause_s = FIRST_PAUSE_S if loop.time() - began >= STEADY_S else pause_s
        if isinstance(reason, Replaced):
            pause_s = LONGEST_PAUSE_S
        log.warning(
            "no connection to the PBX", extra={"pbx": endpoint.pbx_id, "reason": str(reason), "pause_s": pause_s}
        )
        await asyncio.sleep(pause_s * (0.5 + chance() / 2))  # rule: sleep (a pause between attempts)
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


class StreamDriver:
    """A `interface.Driver` over one TCP (or TLS) stream, made of an interpreter."""

    def __init__(
        self,
        endpoint: Endpoint,
        interpreter: Interpreter,
        credentials: Credentials,
        *,
        chance: Callable[[], float] = random.random,
        tap: Tap = no_tap,
    ) -> None:
        self._tap = tap
        self.interpreter = interpreter
        self._endpoint = endpoint
        self._credentials = credentials
        self._chance = chance
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Timeout | None = None
        self._unreported: list[PbxEvent] = []
        self._broken: str | None = None

    async def run(self, report: Report) -> None:
        """See `interface.Driver.run`."""
        await keep_connected(self._endpoint, lambda: self._connection(report), self._chance)

    async def send(self, commands: Sequence[Command]) -> None:
        """See `interface.Driver.send`."""
        writer = self._writer
        if writer is None or writer.is_closing():
            raise Disconnected(f"no connection to {self._endpoint.pbx_id}")
        self.interpreter.order(commands, _now())
        self._take(writer)
        if (self._unreported or self._broken) and self._listening is not None:
            with contextlib.suppress(RuntimeError):  # it wakes up just now
                self._listening.reschedule(asyncio.get_running_loop().time())
        try:
            await writer.drain()
        except OSError as error:
            raise Disconnected(str(error)) from error

    async def _connection(self, report: Report) -> Exception:
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(
                    self._endpoint.host,
                    self._endpoint.port,
                    limit=READ_BYTES,
                    ssl=self._credentials.ssl_context(),
                )
        except (OSError, TimeoutError) as error:
            return error
        self._broken = None
        self._tap("open", Wire(f"tcp {self._endpoint.host}:{self._endpoint.port}".encode()))
        reason: Exception
        try:
            self.interpreter.opened(_now())
            self._writer = writer
            await self._converse(reader, writer, report)
        except (Broken, OSError) as error:
            reason = error
        finally:
            self._writer = None
            writer.transport.abort()
        self._tap("close", Wire(str(reason).encode()))
        self.interpreter.lost(_now(), str(reason))
        self._take(None)
        await self._report(report)
        return reason

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, report: Report) -> None:
        loop = asyncio.get_running_loop()
        ticked = loop.time()
        while True:
            self._take(writer)
            await self._report(report)
            if self._broken is not None:
                raise Broken(self._broken)
            try:
                async with asyncio.timeout(TICK_S) as self._listening:
                    data = await reader.read(READ_BYTES)
                if not data:
                    raise Broken("closed by the PBX")
                heard = Wire(data)
                self._tap("rx", heard)
                self.interpreter.heard(heard, _now())
            except TimeoutError:
                pass
            finally:
                self._listening = None
            # What waits to be read comes first: this process may have slept, or the gateway been busy.
            if loop.time() - ticked >= TICK_S:
                ticked = loop.time()
                self.interpreter.tick(_now())

    def _take(self, writer: asyncio.StreamWriter | None) -> None:
        """Write what the interpreter wants to say, keep what it has to report."""
        outbox = self.interpreter.take()
        self._unreported += outbox.events
        self._broken = self._broken or outbox.broken
        if writer is None or not outbox.says:
            return
        if writer.transport.get_write_buffer_size() > UNSENT_BYTES:
            self._broken = self._broken or "the PBX does not read what we say"
        else:
            for wire in outbox.says:
                self._tap("tx", wire)
            writer.write(b"".join([wire.data for wire in outbox.says]))

    async def _report(self, report: Report) -> None:
        while self._unreported:
            events, self._unreported = self._unreported, []
            for event in events:
                await report(event)


def _now() -> datetime:
    return datetime.now(UTC)
