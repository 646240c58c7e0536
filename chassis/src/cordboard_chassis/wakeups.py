"""PostgreSQL's LISTEN/NOTIFY as what it is: a hint that there may be work, never the work itself.

Whoever waits also looks by itself from time to time: a notification can be lost with its connection.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from cordboard_chassis.supervision import cancel

Listener = Callable[[str], None]


class Wakeups:
    """One connection that listens for everybody in this process."""

    def __init__(self, database_url: str, service: str) -> None:
        self._conninfo = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._service = service
        self._listeners: dict[str, set[Listener]] = defaultdict(set)
        self._new_channel = asyncio.Event()

    @asynccontextmanager
    async def listening(self, channel: str, listener: Listener) -> AsyncIterator[None]:
        """Call ``listener(payload)`` for each notification while the block runs.

        The payload is "" when notifications may have been missed.
        """
        if channel not in self._listeners:
            self._new_channel.set()
        self._listeners[channel].add(listener)
        try:
            yield
        finally:
            self._listeners[channel].discard(listener)

    @asynccontextmanager
    async def event(self, channel: str) -> AsyncIterator[asyncio.Event]:
        """An event that each notification on the channel sets."""
        event = asyncio.Event()
        async with self.listening(channel, lambda _payload: event.set()):
            yield event

    async def run(self) -> None:
        """Listen until the connection is lost; run supervised."""
        connection = await psycopg.AsyncConnection.connect(
            self._conninfo,
            autocommit=True,
            application_name=f"cordboard-{self._service}-listen",
            connect_timeout=5,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
        )
        async with connection:
            listened: set[str] = set()
            while True:
                self._new_channel.clear()
                new = self._listeners.keys() - listened
                for channel in new:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    # What was notified while nobody listened is not known: let everybody look once.
                    self._tell(channel, "")
                listened |= new
                await self._read_until_new_channel(connection)

    async def _read_until_new_channel(self, connection: psycopg.AsyncConnection) -> None:
        reading = asyncio.create_task(self._read(connection))
        waiting = asyncio.create_task(self._new_channel.wait())
        try:
            await asyncio.wait((reading, waiting), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            await cancel(reading, waiting)

    async def _read(self, connection: psycopg.AsyncConnection) -> None:
        async for notice in connection.notifies():
            self._tell(notice.channel, notice.payload)

    def _tell(self, channel: str, payload: str) -> None:
        for listener in tuple(self._listeners.get(channel, ())):
            listener(payload)
