"""The driver for Asterisk over ARI: a WebSocket with events, and REST requests beside it. The asyncio part; what is
understood and said is `asterisk_ari_interpreter`.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime

import aiohttp
from prometheus_client import Counter
from yarl import URL

from telephony_gateway.domain.pbx_commands import Command
from telephony_gateway.domain.pbx_events import PbxEvent
from telephony_gateway.drivers.asterisk_ari_interpreter import (
    APPLICATION,
    HEARTBEAT,
    REPLACED,
    AsteriskAriInterpreter,
)
from telephony_gateway.drivers.asterisk_ari_messages import MAX_ANSWER, MAX_MESSAGE, PREFIX
from telephony_gateway.drivers.connection import CONNECT_S, READ_BYTES, TICK_S, Broken, Replaced, keep_connected
from telephony_gateway.drivers.credentials import Credentials, credentials_of, setting_of
from telephony_gateway.drivers.interface import Disconnected, Endpoint, Report
from telephony_gateway.drivers.interpreter import Wire

log = logging.getLogger(__name__)

HEARTBEAT_S = 10.0
"""The WebSocket is pinged so often, and given up when nothing comes for half as long."""
ANSWER_S = 10.0
"""An Asterisk that does not answer a request within this time is given up."""
IDLE_S = 5.0
"""A connection that was idle for so long is not used again: Asterisk closes it after 15 s (``session_keep_alive``), and
what is said at that moment is lost."""
AT_ONCE = 32
"""Requests under way. Those of one call are said one after the other."""
PREDECESSOR_S = 1.0
HEARD = 204
"""HTTP: somebody has the application, and got the event."""
UNSENT = 10_000
"""Requests that wait for their turn; with more of them Asterisk is given up."""
UNREAD = 1_000
"""Messages that wait to be understood; then the socket is not read."""

SET_ASIDE = Counter(
    "telephony_pbx_messages_set_aside_total", "Messages of a PBX that made no sense or had no place.", ("pbx", "reason")
)


class AsteriskAriDriver:
    """A connection to one Asterisk; see `interface.Driver`."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials | None = None,
        *,
        application: str | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._application = application or setting_of(endpoint.pbx_id, "APPLICATION", APPLICATION)
        self.interpreter = AsteriskAriInterpreter(self._application)
        self._endpoint = endpoint
        self._credentials = credentials or credentials_of(endpoint.pbx_id)
        self._chance = chance
        self._connection: _Connection | None = None

    async def run(self, report: Report) -> None:
        """See `interface.Driver.run`."""
        await keep_connected(self._endpoint, lambda: self._connect(report), self._chance)

    async def send(self, commands: Sequence[Command]) -> None:
        """See `interface.Driver.send`."""
        connection = self._connection
        if connection is None:
            raise Disconnected(f"no connection to {self._endpoint.pbx_id}")
        connection.order(commands)

    async def _connect(self, report: Report) -> Exception:
        secure = self._credentials.tls
        base = URL.build(scheme="https" if secure else "http", host=self._endpoint.host, port=self._endpoint.port)
        reason: Exception
        opened = False
        try:
            connector = aiohttp.TCPConnector(
                limit=AT_ONCE + 1, keepalive_timeout=IDLE_S, ssl=self._credentials.ssl_context() or True
            )
            async with aiohttp.ClientSession(
                connector=connector,
                headers={"Authorization": aiohttp.encode_basic_auth(self._credentials.user, self._credentials.secret)},
                timeout=aiohttp.ClientTimeout(total=ANSWER_S, connect=CONNECT_S),
            ) as session:
                async with asyncio.timeout(CONNECT_S):
                    await self._let_a_predecessor_go(session, base)
                    socket = await session.ws_connect(
                        (base / PREFIX.strip("/") / "events").with_query(app=self._application),
                        heartbeat=HEARTBEAT_S,
                        max_msg_size=MAX_MESSAGE,
                        decode_text=False,
                    )
                self.interpreter.opened(_now())
                opened = True
                async with socket:
                    self._connection = _Connection(self._endpoint.pbx_id, base, session, socket, self.interpreter)
                    await self._connection.converse(report)
        except aiohttp.WSServerHandshakeError as error:
            reason = Broken("login refused" if error.status in (401, 403) else f"no WebSocket: {error.status}")
        except (Broken, aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = error
        finally:
            self._connection = None
        if opened:
            self.interpreter.lost(_now(), str(reason) or type(reason).__name__)
            for event in self.interpreter.take().events:
                await report(event)
        return reason

    async def _let_a_predecessor_go(self, session: aiohttp.ClientSession, base: URL) -> None:
        """Wait, if only for a moment, until our application is nobody's.

        Asterisk tidies up after a gateway that has gone some time later, and forgets the application even if another
        one has come meanwhile. Who is still there after that moment is alive, and is told that we take over.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + PREDECESSOR_S
        beat = (base / PREFIX.strip("/") / "events" / "user" / HEARTBEAT).with_query(application=self._application)
        while loop.time() < until_s:
            async with session.post(beat) as answer:
                if answer.status != HEARD:
                    return
            await asyncio.sleep(PREDECESSOR_S / 20)  # rule: sleep (a pause between looks)


class _Connection:
    """One connection: what comes is understood by one task, in one order."""

    def __init__(
        self,
        pbx_id: str,
        base: URL,
        session: aiohttp.ClientSession,
        socket: "aiohttp.ClientWebSocketResponse[bool]",
        interpreter: AsteriskAriInterpreter,
    ) -> None:
        self._pbx_id = pbx_id
        self._base = base
        self._session = session
        self._socket = socket
        self._interpreter = interpreter
        self._inbox: asyncio.Queue[Wire | Exception] = asyncio.Queue(UNREAD)
        self._unreported: list[PbxEvent] = []
        self._unsent: dict[str, deque[Wire]] = {}
        """By call; whose first is under way."""
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: str | None = None
        self._listening: asyncio.Timeout | None = None
        self._counted = dict(interpreter.set_aside)

    def order(self, commands: Sequence[Command]) -> None:
        """Say what brings these about."""
        self._interpreter.order(commands, _now())
        self._take()
        if (self._unreported or self._broken) and self._listening is not None:
            self._listening.reschedule(asyncio.get_running_loop().time())

    async def converse(self, report: Report) -> None:
        """Hear, understand, report and say, until the connection breaks.

        Raises:
            Broken: it is of no use any more.
        """
        self._start(self._read())
        try:
            await self._understand(report)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _understand(self, report: Report) -> None:
        loop = asyncio.get_running_loop()
        ticked = loop.time()
        while True:
            self._take()
            while self._unreported:
                events, self._unreported = self._unreported, []
                for event in events:
                    await report(event)
            if self._broken is not None:
                raise Replaced(self._broken) if self._broken == REPLACED else Broken(self._broken)
            try:
                async with asyncio.timeout(TICK_S) as self._listening:
                    heard = await self._inbox.get()
                if isinstance(heard, Exception):
                    raise Broken(str(heard)) from heard
                self._interpreter.heard(heard, _now())
            except TimeoutError:
                pass
            finally:
                self._listening = None
            if loop.time() - ticked >= TICK_S:
                ticked = loop.time()
                self._interpreter.tick(_now())

    async def _read(self) -> None:
        """Into the inbox, and no further while that is full."""
        while True:
            message = await self._socket.receive()
            match message.type:
                case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                    data: bytes = message.data
                    await self._inbox.put(Wire(data, channel="ws"))
                case aiohttp.WSMsgType.ERROR:
                    await self._inbox.put(Broken(f"WebSocket: {message.data}"))
                    return
                case _:
                    await self._inbox.put(Broken(f"closed by the PBX ({self._socket.close_code})"))
                    return

    def _take(self) -> None:
        outbox = self._interpreter.take()
        self._unreported += outbox.events
        self._broken = self._broken or outbox.broken
        for wire in outbox.says:
            self._queue(wire)
        for reason, number in self._interpreter.set_aside.items():
            SET_ASIDE.labels(self._pbx_id, reason).inc(number - self._counted.get(reason, 0))
            self._counted[reason] = number

    def _queue(self, wire: Wire) -> None:
        call = self._interpreter.call_of(wire.exchange) or wire.exchange
        self._waiting += 1
        if self._waiting > UNSENT:
            self._broken = self._broken or "the PBX does not answer"
        elif call in self._unsent:
            self._unsent[call].append(wire)
        else:
            self._unsent[call] = deque([wire])
            self._start(self._say_all(call))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _say_all(self, call: str) -> None:
        """The requests of one call, one after the other."""
        unsent = self._unsent[call]
        while unsent:
            try:
                answer: Wire | Exception = await self._say(unsent[0])
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                answer = Broken(f"{unsent[0].method} not answered: {error or type(error).__name__}")
            self._waiting -= 1
            unsent.popleft()
            await self._inbox.put(answer)
        del self._unsent[call]

    async def _say(self, wire: Wire) -> Wire:
        url = URL(f"{self._base.origin()}{wire.path}", encoded=True)
        headers = {"Content-Type": "application/json"} if wire.data else {}
        async with self._session.request(
            wire.method, url, data=wire.data or None, headers=headers, allow_redirects=False
        ) as answer:
            data = bytearray()
            async for piece in answer.content.iter_chunked(READ_BYTES):
                data += piece
                if len(data) > MAX_ANSWER:
                    raise aiohttp.ClientPayloadError("answer too long")
            return Wire(bytes(data), channel="rest", exchange=wire.exchange, status=answer.status)


def _now() -> datetime:
    return datetime.now(UTC)
