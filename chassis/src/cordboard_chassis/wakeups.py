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

Listener = Callable[[str], None]


class Wakeups:
    """One connection that listens for everybody in this process."""

    def __init__(self, database_url: str, service: str) -> None:
        self._conninfo = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._service = service
        self._listeners: dict[str, set[Listener]] = defaultdict(set)
        self._connection: psycopg.AsyncConnection | None = None

    @asynccontextmanager
    async def listening(self, channel: str, listener: Listener) -> AsyncIterator[None]:
        """Call ``listener(payload)`` for each notification while the block runs."""
        first = not self._listeners[channel]
        self._listeners[channel].add(listener)
        if first and self._connection is not None:
            # `run` is amid reading notifications; it takes up the new channel when it connects again.
            await self._connection.close()
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
        self._connection = connection
        try:
            async with connection:
                for channel in tuple(self._listeners):
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                # What was notified while nobody listened is not known: let everybody look once.
                for listeners in tuple(self._listeners.values()):
                    for listener in tuple(listeners):
                        listener("")
                async for notice in connection.notifies():
                    for listener in tuple(self._listeners.get(notice.channel, ())):
                        listener(notice.payload)
        finally:
            self._connection = None
