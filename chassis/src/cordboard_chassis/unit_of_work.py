"""One transaction: the change of state, the inbox rows of what caused it, the outbox rows of what it causes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cordboard_contracts import CommandData, Envelope, EventData
from psycopg import AsyncConnection as DriverConnection
from psycopg import Error as DriverError
from psycopg import sql
from sqlalchemy import CursorResult, Executable, Row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from cordboard_chassis.telemetry import current_traceparent

OUTBOX_CHANNEL = "outbox"
"""The relay is woken by a NOTIFY on this channel."""

# The order of the rows is the order of their ids, and so the order in which one partition key is published. The rows
# travel as one JSON document: PostgreSQL's own array syntax is slow to write for texts full of quotes.
_EMIT = """
    WITH written AS (
        INSERT INTO outbox (event_id, type, partition_key, workspace, pbx, traceparent, body)
        SELECT event_id, type, partition_key, workspace, pbx, traceparent, body
        FROM ROWS FROM (json_to_recordset(CAST(%(rows)s AS json)) AS (
            event_id uuid, type text, partition_key text, workspace text, pbx text, traceparent text, body text
        )) WITH ORDINALITY AS row (event_id, type, partition_key, workspace, pbx, traceparent, body, position)
        ORDER BY position
        RETURNING id
    )
    SELECT id, CASE WHEN %(notify)s THEN pg_notify(%(channel)s, '') END FROM written ORDER BY id
    """


@dataclass(frozen=True)
class OutboxRow:
    """A message that waits to be published."""

    id: int
    """The order in which messages of one partition key are published."""
    event_id: str
    type: str
    partition_key: str
    workspace: str | None
    pbx: str | None
    traceparent: str | None
    body: str


class UnitOfWork:
    """What a use case works with. It never commits: whoever opened the transaction does.

    ``scope`` is the part of the organisation that row-level security lets it see, ``now`` the time at which it
    began (aware UTC), ``cause`` the message that is being handled, if any.
    """

    def __init__(
        self, connection: AsyncConnection, service: str, scope: str, cause: Envelope[Any] | None = None
    ) -> None:
        self.connection = connection
        self.service = service
        self.scope = scope
        self.cause = cause
        self.now = datetime.now(UTC)
        self._emitted: list[Envelope[Any]] = []

    async def enter(self) -> None:
        """Begin, and tell row-level security what may be seen."""
        scope = sql.Literal(self.scope).as_string()
        # Two statements in one round trip, which PostgreSQL takes only without parameters.
        await self.execute_directly(f"BEGIN; SET LOCAL cordboard.org_path = {scope}")

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run a statement."""
        return await self.connection.execute(statement, parameters)

    async def execute_directly(
        self, statement: str, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Run a statement of the driver's own syntax (``%(name)s``) past SQLAlchemy; the rows, if it returns any.

        It takes half the CPU time and is for the few statements that every transaction of the main path makes. It fails
        as the others do.
        """
        connection = self.connection.sync_connection
        assert connection is not None
        driver: DriverConnection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        try:
            cursor = await driver.execute(statement.encode(), parameters)
            return [] if cursor.description is None else await cursor.fetchall()
        except DriverError as error:
            if driver.closed:
                # SQLAlchemy has to find that out itself, to throw away all connections of that age.
                await self.connection.exec_driver_sql("SELECT")
            raise DBAPIError.instance(statement, parameters, error, DriverError, dialect=connection.dialect) from error

    async def one(self, statement: Executable, parameters: Any = None) -> Row[Any] | None:
        """The first row, or None."""
        return (await self.connection.execute(statement, parameters)).first()

    async def all(self, statement: Executable, parameters: Any = None) -> Sequence[Row[Any]]:
        """Every row; the statement has a limit."""
        return (await self.connection.execute(statement, parameters)).all()

    async def scalar(self, statement: Executable, parameters: Any = None) -> Any:
        """The first column of the first row, or None."""
        return (await self.connection.execute(statement, parameters)).scalar()

    def emit(
        self,
        data: EventData | CommandData,
        *,
        subject: str | UUID,
        sequence: int,
        orgpath: str,
        workspace: str | None = None,
        pbx: str | None = None,
        partitionkey: str | None = None,
        time: datetime | None = None,
        correlation: UUID | None = None,
    ) -> Envelope[Any]:
        """Publish an event or command when, and only if, this transaction commits; see `Envelope.of`.

        ``correlation`` is the case, where it is not that of the cause: an agent is offered one call because another
        one ended.
        """
        envelope: Envelope[Any] = Envelope.of(
            data,
            source=f"/{self.service}",
            subject=subject,
            sequence=sequence,
            orgpath=orgpath,
            cause=self.cause,
            correlation=correlation,
            time=time or self.now,
            workspace=workspace,
            pbx=pbx,
            partitionkey=partitionkey,
        )
        traceparent = current_traceparent() or (self.cause.traceparent if self.cause else None)
        if traceparent is not None:
            envelope = envelope.model_copy(update={"traceparent": traceparent})
        self._emitted.append(envelope)
        return envelope

    async def flush(self, *, notify: bool = True) -> list[OutboxRow]:
        """Write what was emitted into the outbox; one statement, however much it is. ``notify``: wake the relay."""
        if not self._emitted:
            return []
        emitted, self._emitted = [_row(envelope) for envelope in self._emitted], []
        ids = await self.execute_directly(
            _EMIT, {"rows": json.dumps(emitted), "channel": OUTBOX_CHANNEL, "notify": notify}
        )
        return [OutboxRow(id=id, **values) for (id, _), values in zip(ids, emitted, strict=True)]


def _row(envelope: Envelope[Any]) -> dict[str, Any]:
    return {
        "event_id": str(envelope.id),
        "type": envelope.type,
        "partition_key": envelope.partitionkey,
        "workspace": envelope.workspace,
        "pbx": envelope.pbx,
        "traceparent": envelope.traceparent,
        "body": envelope.to_json().decode(),
    }
