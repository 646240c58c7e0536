"""The switch link: the port that gateways connect to. See PROTOCOL.md."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from telephony_gateway.virtual_pbx.clock import monotonic_us
from telephony_gateway.virtual_pbx.core import commands
from telephony_gateway.virtual_pbx.core.model import Refused
from telephony_gateway.virtual_pbx.exchange import Exchange
from telephony_gateway.virtual_pbx.lines import MAX_LINE, LineSplitter
from telephony_gateway.virtual_pbx.link_commands import (
    PROTOCOL,
    Connect,
    Heartbeat,
    Login,
    Order,
    Snapshot,
    perform,
    read,
)
from telephony_gateway.virtual_pbx.wire import (
    bye_line,
    heartbeat_line,
    hello_line,
    reply_line,
    snapshot_lines,
)

logger = logging.getLogger(__name__)

MAX_CLIENTS = 16
MAX_LOGIN_LINE = 4096
LOGIN_S = 5.0
SILENT_HEARTBEATS = 3
"""A client that says nothing for so many heartbeats is dead."""
MAX_MALFORMED = 100
"""After so many malformed lines in a row the client is something else than a gateway."""


@dataclass(slots=True)
class LinkCounts:
    """What happened on the link since the process began."""

    connections: int = 0
    logins: int = 0
    login_refused: int = 0
    replaced: int = 0
    snapshots: int = 0
    commands: int = 0
    commands_refused: int = 0
    commands_repeated: int = 0
    malformed: int = 0
    slow_clients: int = 0
    silent_clients: int = 0


@dataclass(slots=True)
class LinkSettings:
    """How the link behaves."""

    heartbeat_s: float = 5.0
    buffer_bytes: int = 8 * 1024 * 1024
    """What a client may leave unread; beyond that it is disconnected."""
    counts: LinkCounts = field(default_factory=LinkCounts)


class Link:
    """Listens, and knows its clients."""

    def __init__(self, exchange: Exchange, settings: LinkSettings) -> None:
        self.exchange = exchange
        self.settings = settings
        self.counts = settings.counts
        self.clients: set[LinkClient] = set()
        self.refusing = False
        """New connections are closed at once."""
        self.stalled = False
        """The line is frozen: nothing is read, nothing written, nothing closed."""
        self._server: asyncio.Server | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._beaten = 0.0

    async def open(self, host: str, port: int) -> int:
        """Listen; the port that was taken, which is ``port`` unless that is 0."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: LinkClient(self), host, port)
        self._beat()
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Say goodbye to everybody and stop listening."""
        for timer in self._timers:
            timer.cancel()
        if self._server is not None:
            self._server.close()
        for client in list(self.clients):
            client.say_bye("shutdown")

    def drop_clients(self, refuse_s: float = 0.0) -> int:
        """Cut every connection, without a word; how many there were. Refuse new ones for a while."""
        clients = list(self.clients)
        for client in clients:
            client.abort()
        if refuse_s > 0:
            self.refusing = True
            self._later(refuse_s, self._accept_again)
        return len(clients)

    def crash(self, down_s: float) -> None:
        """The PBX dies with all calls and comes up again ``down_s`` later."""
        self.drop_clients()
        self.refusing = True
        self.exchange.crash()
        self._later(down_s, self._restart)

    def stall(self, for_s: float) -> None:
        """Freeze all connections."""
        self.stalled = True
        for client in self.clients:
            client.freeze()
        self._later(for_s, self._thaw)

    def inject(self, data: bytes) -> None:
        """Write bytes that no PBX would write to every client that gets events."""
        for client in list(self.clients):
            if client.subscribed:
                client.write(data)

    def _accept_again(self) -> None:
        self.refusing = False

    def _restart(self) -> None:
        self.exchange.restart()
        self.refusing = False

    def _thaw(self) -> None:
        self.stalled = False
        for client in list(self.clients):
            client.thaw()

    def _later(self, delay_s: float, act: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(handle)
            act()

        handle = asyncio.get_running_loop().call_later(delay_s, run)
        self._timers.add(handle)

    def _beat(self) -> None:
        heartbeat_s = self.settings.heartbeat_s
        self._later(heartbeat_s, self._beat)
        now = asyncio.get_running_loop().time()
        slept = now - self._beaten > 2 * heartbeat_s  # this process did: what came meanwhile is still to be read
        self._beaten = now
        oldest = now - SILENT_HEARTBEATS * heartbeat_s
        data = heartbeat_line(self.exchange.switch, self.exchange.clock)
        for client in list(self.clients):
            if client.name is None or self.stalled:
                continue
            if client.heard < oldest and not slept:
                self.counts.silent_clients += 1
                logger.warning("client %s is silent", client.name)
                client.abort()
            else:
                client.write(data)


class LinkClient(asyncio.Protocol):
    """One connection of a gateway."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.exchange = link.exchange
        self.name: str | None = None
        """Set by the login."""
        self.subscribed = False
        self.acts = True
        self.heard = 0.0
        self._transport: asyncio.Transport | None = None
        self._splitter = LineSplitter(MAX_LOGIN_LINE)
        self._frozen: list[bytes] | None = None
        self._frozen_bytes = 0
        self._login_timer: asyncio.TimerHandle | None = None
        self._malformed = 0

    # ---- connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        link = self.link
        if link.refusing or len(link.clients) >= MAX_CLIENTS:
            transport.abort()
            return
        link.counts.connections += 1
        link.clients.add(self)
        loop = asyncio.get_running_loop()
        self.heard = loop.time()
        self._login_timer = loop.call_later(LOGIN_S, self.say_bye, "login timeout")
        if link.stalled:
            self.freeze()
        self.write(
            hello_line(self.exchange.switch, self.exchange.clock, self.exchange.pbx_id, link.settings.heartbeat_s)
        )

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It is gone."""
        self._forget()
        self._transport = None

    def say_bye(self, reason: str) -> None:
        """Tell why, and close."""
        if self._transport is None:
            return
        self._forget()
        self.write(bye_line(reason))
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection, whatever was to be written."""
        self._forget()
        if self._transport is not None:
            self._transport.abort()

    def _forget(self) -> None:
        self.link.clients.discard(self)
        if self.subscribed:
            self.subscribed = False
            self.exchange.leave(self)
        if self._login_timer is not None:
            self._login_timer.cancel()

    # ---- writing

    def write(self, data: bytes) -> None:
        """Write lines. Who does not read them is disconnected, and must ask for a snapshot when back."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        limit = self.link.settings.buffer_bytes
        if self._frozen is not None:
            self._frozen.append(data)
            self._frozen_bytes += len(data)
            waiting = self._frozen_bytes
        else:
            if self.exchange.quirks and len(data) > 1 and self.exchange.random.random() < 0.03:
                cut = self.exchange.random.randrange(1, len(data))
                transport.write(data[:cut])
                data = data[cut:]
            transport.write(data)
            waiting = transport.get_write_buffer_size()
        if waiting > limit:
            self.link.counts.slow_clients += 1
            logger.warning("client %s is too slow: %d bytes unread", self.name, waiting)
            self.abort()

    def freeze(self) -> None:
        """Neither read nor write."""
        if self._frozen is None and self._transport is not None:
            self._frozen = []
            self._transport.pause_reading()

    def thaw(self) -> None:
        """Go on where it stood."""
        lines, self._frozen, self._frozen_bytes = self._frozen or [], None, 0
        if self._transport is None or self._transport.is_closing():
            return
        self.heard = asyncio.get_running_loop().time()
        self._transport.resume_reading()
        for data in lines:
            self.write(data)

    # ---- reading

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        at_us = monotonic_us()
        self.heard = asyncio.get_running_loop().time()
        too_long = self._splitter.too_long
        lines = self._splitter.feed(data)
        for _ in range(self._splitter.too_long - too_long):
            self._complain(Refused("malformed", f"line: more than {self._splitter.limit} bytes"))
        if not lines:
            return
        with self.exchange.moment():
            for each in lines:
                if self._transport is None or self._transport.is_closing():
                    return
                self._take(each, at_us)

    def _take(self, raw: bytes, at_us: int) -> None:
        try:
            order = read(raw)
        except Refused as refused:
            self._complain(refused)
            return
        self._malformed = 0
        match order:
            case Heartbeat():
                pass
            case Login():
                self._log_in(order)
            case _ if self.name is None:
                self._reply(order.id, Refused("login-first", "log in before anything else"))
            case Snapshot():
                self._tell_all(order)
            case _ if not self.acts:
                self._reply(order.id, Refused("watch-only", "this client logged in to watch"))
            case _:
                self._perform(order, at_us)

    def _complain(self, refused: Refused) -> None:
        self.link.counts.malformed += 1
        self._malformed += 1
        self._reply(None, refused)
        if self.name is None or self._malformed >= MAX_MALFORMED:
            self.say_bye("malformed")

    def _reply(self, command_id: str | None, refused: Refused | None, repeated: bool = False) -> None:
        self.write(reply_line(self.exchange.clock, command_id, refused, repeated))

    def _log_in(self, login: Login) -> None:
        link = self.link
        refused: Refused | None = None
        if self.name is not None:
            refused = Refused("wrong-state", "logged in already")
        elif login.protocol != PROTOCOL:
            refused = Refused("protocol", f"this PBX speaks protocol {PROTOCOL}")
        self._reply(login.id, refused)
        if refused is not None:
            if self.name is None:
                link.counts.login_refused += 1
                self.say_bye(refused.reason)
            return
        for other in [client for client in link.clients if client.name == login.name]:
            link.counts.replaced += 1
            other.say_bye("replaced")
        if self._login_timer is not None:
            self._login_timer.cancel()
        self.name = login.name
        self.acts = not login.watch
        self._splitter.limit = MAX_LINE
        link.counts.logins += 1

    def _tell_all(self, order: Snapshot) -> None:
        self.exchange.tell()
        self.link.counts.snapshots += 1
        exchange = self.exchange
        since_us = exchange.unheard_since_us()
        if not self.subscribed:
            self.subscribed = True
            exchange.join(self)
        self.write(snapshot_lines(exchange.switch, exchange.clock, order.id, since_us))
        if self.acts and self.subscribed:
            exchange.told_all()

    def _perform(self, order: Order, at_us: int) -> None:
        exchange, counts = self.exchange, self.link.counts
        if isinstance(order, Connect):
            exchange.latencies.connect(order.call, order.device, at_us)
        counts.commands += 1
        refused, repeated = commands.once(
            exchange.switch, order.id, lambda: perform(exchange.switch, order, exchange.clock.speed)
        )
        counts.commands_refused += refused is not None
        counts.commands_repeated += repeated
        if exchange.quirks and exchange.random.random() < 0.3:
            exchange.tell()  # what a command causes may be told before its reply
        self._reply(order.id, refused, repeated)
