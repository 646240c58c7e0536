"""Follow the events as they happen, from now or from a position that was seen before.

One reader per process follows the table and keeps the newest events in memory, where all clients find them; a client
that is further behind reads the table itself. So a slow client costs nobody anything, and nothing is kept for it.
"""

import asyncio
import logging
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

from cordboard_chassis.auth.org_paths import is_within
from cordboard_chassis.database import Database
from cordboard_chassis.refusals import Refused
from cordboard_chassis.supervision import Background, Supervised
from cordboard_chassis.wakeups import Wakeups
from prometheus_client import Gauge

from notifications.domain.patterns import matches_any
from notifications.settings import NotificationsSettings
from notifications.storage import queries

log = logging.getLogger(__name__)

CLIENTS = Gauge("cordboard_stream_clients", "Event streams that are open.")

PAGE = 500
MAX_RECENT = 5_000
"""Events in memory, at most,"""
MAX_RECENT_BYTES = 32 * 1024 * 1024
"""and so many bytes of them."""
FIRST_LOOK_BACK = 1_000
"""Positions to read when the first client comes, so that those who come back find what they missed in memory."""
READERS = 4
"""Clients that read the table at once; after a restart all of them come back in the same second."""


class ResetReason(StrEnum):
    """Why a client cannot go on where it was."""

    EXPIRED = "expired"
    """What came after its position is no longer kept."""
    UNKNOWN = "unknown"
    """There is no such position yet: it is of another database, or of one that was restored."""


@dataclass(frozen=True)
class Event:
    """An event in the stream."""

    position: int
    type: str
    org_path: str
    agents: frozenset[str]
    body: str


@dataclass(frozen=True)
class Reset:
    """What happened before ``position`` cannot be had as events: load the present state, then go on from there."""

    position: int
    reason: ResetReason


@dataclass(frozen=True)
class Heartbeat:
    """Nothing that was wanted has happened up to ``position``."""

    position: int


@dataclass(frozen=True)
class Wanted:
    """What a client asked for."""

    org_path: str
    patterns: tuple[str, ...] = ("*",)
    agent_id: str | None = None
    """Only what concerns this agent."""
    _types: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)

    def wants(self, event: Event) -> bool:
        """Whether the client gets this event."""
        if self.agent_id is not None and self.agent_id not in event.agents:
            return False
        known = self._types.get(event.type)
        if known is None:
            known = self._types[event.type] = matches_any(self.patterns, event.type)
        return known and is_within(event.org_path, self.org_path)


class _Recent:
    """The newest events, in order and without gaps: all that have a position after ``began``."""

    def __init__(self, began: int) -> None:
        self.began = began
        self.ended = began
        self._events: list[Event] = []
        self._bytes = 0

    def add(self, events: Sequence[Event]) -> None:
        self._events.extend(events)
        self._bytes += sum(len(event.body) for event in events)
        self.ended = events[-1].position
        drop = 0
        while self._bytes > MAX_RECENT_BYTES or len(self._events) - drop > MAX_RECENT:
            self._bytes -= len(self._events[drop].body)
            self.began = self._events[drop].position
            drop += 1
        del self._events[:drop]

    def after(self, position: int) -> list[Event] | None:
        """Up to a page of what comes after ``position``; None when that reaches further back than we remember."""
        if position < self.began:
            return None
        start = bisect_right(self._events, position, key=lambda event: event.position)
        return self._events[start : start + PAGE]


class EventStreams:
    """All streams of this process."""

    def __init__(self, database: Database, settings: NotificationsSettings) -> None:
        self._database = database
        self._settings = settings
        self._clients: dict[str | None, set[asyncio.Event]] = defaultdict(set)
        """By the agent that they are limited to."""
        self._number = 0
        self._tail: Supervised | None = None
        self._recent: _Recent | None = None
        self._began = asyncio.Event()
        self._readers = asyncio.Semaphore(READERS)
        self._told = 0

    def require_room(self) -> None:
        """Raises Refused when there are too many streams in this process already."""
        if self._number >= self._settings.stream_limit:
            raise Refused("too-many-streams", "this process has as many streams as it can serve", status=503)

    async def bounds(self) -> tuple[int, int]:
        """(up to where events may be gone, the newest position)."""
        async with self._database.transaction() as uow:
            row = await uow.one(queries.STREAM_BOUNDS)
        assert row is not None
        return row.floor, row.latest

    async def follow(self, wanted: Wanted, after: int | None) -> AsyncIterator[Event | Reset | Heartbeat]:
        """Events that are ``wanted``, after a position or from now on, for ever.

        Positions grow. The first item is a heartbeat or a reset, which tells where the stream begins; a heartbeat
        comes whenever there was nothing else for a while.
        """
        time = asyncio.get_running_loop().time
        async with self._joined(wanted) as woken:
            floor, latest = await self.bounds()
            first = Heartbeat(latest) if after is None else _resume(after, floor, latest)
            position = first.position
            yield first
            spoke_at = time()
            while True:
                woken.clear()
                events = self._recent.after(position) if self._recent is not None else []
                if events is None:
                    events, floor = await self._read(position)
                    if position < floor:
                        reset = _resume(position, floor, (await self.bounds())[1])
                        position = reset.position
                        yield reset
                        continue
                for event in events:
                    if wanted.wants(event):
                        yield event
                        spoke_at = time()
                if events:
                    position = events[-1].position
                    await asyncio.sleep(0)  # others want to go on, too
                else:
                    await self._wait(woken, spoke_at + self._settings.stream_heartbeat_s - time())
                if time() - spoke_at >= self._settings.stream_heartbeat_s:
                    yield Heartbeat(position)
                    spoke_at = time()

    async def _wait(self, woken: asyncio.Event, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await woken.wait()

    async def _read(self, after: int) -> tuple[list[Event], int]:
        """A page of events from the table, and the floor as it was after they were read."""
        async with self._readers, self._database.transaction() as uow:
            rows = await uow.all(queries.stream_page(after, PAGE))
            bounds = await uow.one(queries.STREAM_BOUNDS)
        assert bounds is not None
        events = [Event(row.position, row.type, row.org_path, frozenset(row.agents), row.body) for row in rows]
        return events, bounds.floor

    @asynccontextmanager
    async def _joined(self, wanted: Wanted) -> AsyncIterator[asyncio.Event]:
        """While there are clients somebody reads the table for all of them."""
        woken = asyncio.Event()
        self._number += 1
        CLIENTS.inc()
        self._clients[wanted.agent_id].add(woken)
        if self._tail is None:
            self._began.clear()
            self._tail = Supervised(Background("event stream", self._follow_table))
            self._tail.start()
        try:
            await self._began.wait()
            yield woken
        finally:
            self._clients[wanted.agent_id].discard(woken)
            if not self._clients[wanted.agent_id]:
                del self._clients[wanted.agent_id]
            self._number -= 1
            CLIENTS.dec()
            if self._number == 0 and self._tail is not None:
                tail, self._tail, self._recent = self._tail, None, None
                await tail.stop()

    async def _follow_table(self) -> None:
        # A connection of its own, which lives only while somebody listens.
        wakeups = Wakeups(self._database.url, self._database.service)
        listening = Supervised(Background("event stream's wake-ups", wakeups.run))
        async with wakeups.event(queries.STREAM_CHANNEL) as woken:
            listening.start()
            try:
                await self._read_on(woken)
            finally:
                await listening.stop()

    async def _read_on(self, woken: asyncio.Event) -> None:
        floor, latest = await self.bounds()
        recent = _Recent(max(floor, latest - FIRST_LOOK_BACK))
        while True:
            woken.clear()
            events, _floor = await self._read(recent.ended)
            if events:
                recent.add(events)
                self._tell(events)
            if len(events) == PAGE:
                continue
            if self._recent is not recent:
                self._recent = recent
                self._began.set()
                self._wake(None)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.stream_poll_s):
                    await woken.wait()

    def _tell(self, events: Sequence[Event]) -> None:
        """Wake those who may want one of the events. A client that is limited to an agent sleeps through what is for
        others, but not for so long that it would have to read the table to catch up."""
        self._told += len(events)
        everybody = self._told >= FIRST_LOOK_BACK
        if everybody:
            self._told = 0
        self._wake(None if everybody else frozenset[str]().union(*(event.agents for event in events)))

    def _wake(self, agents: frozenset[str] | None) -> None:
        """Those limited to one of ``agents`` and those not limited to any; everybody for None."""
        for agent_id, clients in self._clients.items():
            if agents is None or agent_id is None or agent_id in agents:
                for client in clients:
                    client.set()


def _resume(after: int, floor: int, latest: int) -> Heartbeat | Reset:
    if after < floor:
        return Reset(latest, ResetReason.EXPIRED)
    return Reset(latest, ResetReason.UNKNOWN) if after > latest else Heartbeat(after)
