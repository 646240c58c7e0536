"""Publishes what was emitted. One relay is active per database, whatever the number of replicas."""

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Sequence

import psycopg
from cordboard_contracts import COMMANDS
from prometheus_client import Counter, Gauge
from sqlalchemy.engine import make_url

from cordboard_chassis.database import DirectRelay
from cordboard_chassis.messaging.broker import MAX_IN_FLIGHT, NotPublished, Publisher, message_headers
from cordboard_chassis.messaging.topology import exchange_of
from cordboard_chassis.supervision import cancel
from cordboard_chassis.unit_of_work import OUTBOX_CHANNEL, OutboxRow
from cordboard_chassis.wakeups import Wakeups

log = logging.getLogger(__name__)

PUBLISHED = Counter("cordboard_messages_published_total", "Messages that the broker confirmed.", ("type",))
ACTIVE = Gauge("cordboard_relay_active", "1 in the process whose relay publishes for the service.")
UNCONFIRMED = Gauge("cordboard_outbox_unconfirmed", "Messages taken from the outbox that the broker has not confirmed.")

POLL_S = 0.5
LOCK_PAUSE_S = 0.5
RETRY_PAUSE_S = 0.5
MAX_KNOWN = 1000
"""Rows in memory: in flight, or waiting for the one before them with the same partition key."""

# What is known in memory is left out by id. A watermark ("all above the last id") would skip rows that commit late.
_TAKE = """
    WITH gone AS (DELETE FROM outbox WHERE id = ANY(%(done)s))
    SELECT id, event_id, type, partition_key, workspace, pbx, traceparent, body
    FROM outbox WHERE NOT (id = ANY(%(known)s)) ORDER BY id LIMIT %(limit)s
"""
_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('cordboard.outbox', 0))"


class Relay:
    """Reads the outbox, publishes in order per partition key, deletes what is confirmed."""

    def __init__(self, database_url: str, service: str, publisher: Publisher, wakeups: Wakeups) -> None:
        self._conninfo = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._service = service
        self._publisher = publisher
        self._wakeups = wakeups
        self._relaying: _Relaying | None = None

    def taking_directly(self, since_s: float) -> DirectRelay | None:
        """How to hand rows over without the way through the database; None when they are to be looked for there.

        Only for whoever is the only one to emit for their partition keys. ``since_s`` is when, on the monotonic
        clock, a row of one of those keys was last committed that was not handed over, by whomever: if the relay has
        not looked since then, a row that is handed over might overtake that one.
        """
        relaying = self._relaying
        if relaying is None or relaying.complete_at_s is None or relaying.complete_at_s <= since_s:
            return None
        return relaying.hand_over

    async def run(self) -> None:
        """Wait for the lock, then relay until a connection is lost; run supervised."""
        connection = await psycopg.AsyncConnection.connect(
            self._conninfo,
            autocommit=True,
            application_name=f"cordboard-{self._service}-relay",
            connect_timeout=5,
            # A paused relay loses its lock. A deletion lost in a crash means one message twice, no more.
            options="-c idle_session_timeout=10s -c synchronous_commit=off -c statement_timeout=30s",
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
        )
        async with connection, self._wakeups.event(OUTBOX_CHANNEL) as woken:
            while not await _locked(connection):  # noqa: ASYNC110 (the lock is PostgreSQL's)
                await asyncio.sleep(LOCK_PAUSE_S)
            ACTIVE.set(1)
            self._relaying = _Relaying(connection, self._publisher, woken)
            try:
                await self._relaying.run()
            finally:
                self._relaying = None
                ACTIVE.set(0)
                UNCONFIRMED.set(0)


async def _locked(connection: psycopg.AsyncConnection) -> bool:
    row = await (await connection.execute(_LOCK)).fetchone()
    return bool(row and row[0])


class _Relaying:
    """The relay while it holds the lock."""

    def __init__(self, connection: psycopg.AsyncConnection, publisher: Publisher, woken: asyncio.Event) -> None:
        self._connection = connection
        self._publisher = publisher
        self._woken = woken
        self._known: set[int] = set()
        self._done: list[int] = []
        self._lanes: dict[str, deque[OutboxRow]] = {}
        self._refused_at_s = -math.inf
        self.complete_at_s: float | None = None
        """All that was committed before this moment of the monotonic clock is known here, or was published."""
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            while True:
                self._woken.clear()
                room = MAX_KNOWN - len(self._known)
                found = await self._take(room)
                if found in {0, room}:
                    # Nothing new, or as much as fits: look again when somebody emits or a confirm comes.
                    await self._rest()
        finally:
            self.complete_at_s = None
            await cancel(*self._tasks)
            with contextlib.suppress(psycopg.Error):  # those would be published once more
                await self._take(0)

    def hand_over(self, rows: Sequence[OutboxRow]) -> None:
        """Publish rows that were committed just now."""
        if self.complete_at_s is None or len(self._known) + len(rows) > MAX_KNOWN:
            # They are found in the database, and until then nothing may overtake them.
            self.complete_at_s, self._refused_at_s = None, time.monotonic()
            self._woken.set()
            return
        self._add(rows)

    async def _take(self, room: int) -> int:
        began_s = time.monotonic()
        done, self._done = self._done, []
        cursor = await self._connection.execute(
            _TAKE, {"done": done, "known": list(self._known), "limit": max(room, 0)}
        )
        rows = [OutboxRow(*row) for row in await cursor.fetchall()]
        self._known.difference_update(done)
        # Some may have been handed over meanwhile.
        self._add([row for row in rows if row.id not in self._known])
        if len(rows) < room and began_s > self._refused_at_s:
            self.complete_at_s = began_s
        return len(rows)

    def _add(self, rows: Sequence[OutboxRow]) -> None:
        for row in rows:
            self._known.add(row.id)
            UNCONFIRMED.inc()
            lane = self._lanes.get(row.partition_key)
            if lane is not None:
                lane.append(row)
                continue
            self._lanes[row.partition_key] = deque([row])
            task = asyncio.create_task(self._publish_lane(row.partition_key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _publish_lane(self, key: str) -> None:
        """The messages of one partition key, one after the other."""
        lane = self._lanes[key]
        while lane:
            row = lane[0]
            async with self._slots:
                await self._publish(row)
            lane.popleft()
            self._done.append(row.id)
            PUBLISHED.labels(row.type).inc()
            UNCONFIRMED.dec()
            if len(self._done) >= MAX_IN_FLIGHT or len(self._known) >= MAX_KNOWN:
                self._woken.set()
        del self._lanes[key]

    async def _publish(self, row: OutboxRow) -> None:
        while True:
            try:
                await self._publisher.publish(
                    row.body.encode(),
                    exchange=exchange_of(row.type),
                    routing_key=row.type,
                    message_id=str(row.event_id),
                    message_type=row.type,
                    headers=message_headers(workspace=row.workspace, pbx=row.pbx, traceparent=row.traceparent),
                    # An event that nobody wants is fine, a command that nobody gets is not.
                    mandatory=row.type in COMMANDS,
                )
            except NotPublished as error:
                log.warning("not published yet", extra={"type": row.type, "error": str(error)[:200]})
                await asyncio.sleep(RETRY_PAUSE_S)
            else:
                return
