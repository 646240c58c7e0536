"""Publishes what was emitted. One relay is active per database, whatever the number of replicas."""

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass

import psycopg
from cordboard_contracts import COMMANDS
from prometheus_client import Counter, Gauge
from sqlalchemy.engine import make_url

from cordboard_chassis.messaging.broker import MAX_IN_FLIGHT, NotPublished, Publisher, message_headers
from cordboard_chassis.messaging.topology import exchange_of
from cordboard_chassis.supervision import cancel
from cordboard_chassis.unit_of_work import OUTBOX_CHANNEL
from cordboard_chassis.wakeups import Wakeups

log = logging.getLogger(__name__)

PUBLISHED = Counter("cordboard_messages_published_total", "Messages that the broker confirmed.", ("type",))
ACTIVE = Gauge("cordboard_relay_active", "1 in the process whose relay publishes for the service.")

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


@dataclass(frozen=True)
class _Row:
    id: int
    event_id: str
    type: str
    partition_key: str
    workspace: str | None
    pbx: str | None
    traceparent: str | None
    body: str


class Relay:
    """Reads the outbox, publishes in order per partition key, deletes what is confirmed."""

    def __init__(self, database_url: str, service: str, publisher: Publisher, wakeups: Wakeups) -> None:
        self._conninfo = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._service = service
        self._publisher = publisher
        self._wakeups = wakeups

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
            try:
                await _Relaying(connection, self._publisher, woken).run()
            finally:
                ACTIVE.set(0)


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
        self._lanes: dict[str, deque[_Row]] = {}
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
            await cancel(*self._tasks)
            with contextlib.suppress(psycopg.Error):  # those would be published once more
                await self._take(0)

    async def _take(self, room: int) -> int:
        done, self._done = self._done, []
        cursor = await self._connection.execute(
            _TAKE, {"done": done, "known": list(self._known), "limit": max(room, 0)}
        )
        rows = [_Row(*row) for row in await cursor.fetchall()]
        self._known.difference_update(done)
        for row in rows:
            self._known.add(row.id)
            lane = self._lanes.get(row.partition_key)
            if lane is not None:
                lane.append(row)
                continue
            self._lanes[row.partition_key] = deque([row])
            task = asyncio.create_task(self._publish_lane(row.partition_key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(rows)

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
            if len(self._done) >= MAX_IN_FLIGHT or len(self._known) >= MAX_KNOWN:
                self._woken.set()
        del self._lanes[key]

    async def _publish(self, row: _Row) -> None:
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
