"""The service's own PostgreSQL database."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from cordboard_contracts import Envelope
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from cordboard_chassis.auth.org_paths import ROOT
from cordboard_chassis.unit_of_work import OutboxRow, UnitOfWork

CONNECT_TIMEOUT_S = 5
POOL_TIMEOUT_S = 5.0
_LIMITS = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}
"""So that one stuck client cannot hold up everybody for ever."""


def create_engine(url: str, *, application: str, limits: dict[str, str] | None = None, **options: Any) -> AsyncEngine:
    """An engine whose sessions have time limits and a name that an operator recognises."""
    settings = " ".join(f"-c {name}={value}" for name, value in (_LIMITS | (limits or {})).items())
    return create_async_engine(
        url,
        # The driver would send a BEGIN of its own; a unit of work begins and enters with one statement.
        isolation_level="AUTOCOMMIT",
        connect_args={
            "application_name": application,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": settings,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
        },
        **options,
    )


DirectRelay = Callable[[Sequence[OutboxRow]], None]
"""Takes what a transaction emitted, right after its commit."""


class Database:
    """A pool of connections; one per process."""

    def __init__(self, url: str, *, service: str, pool_size: int = 10) -> None:
        self.url = url
        self.service = service
        self.engine = create_engine(
            url,
            application=f"cordboard-{service}",
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=POOL_TIMEOUT_S,
        )

    @asynccontextmanager
    async def transaction(self, scope: str = ROOT, cause: Envelope[Any] | None = None) -> AsyncIterator[UnitOfWork]:
        """A unit of work that may see what lies within ``scope``: commits on a clean exit, else rolls back."""
        async with AsyncExitStack() as stack:
            for last_try in (False, True):
                connection = await stack.enter_async_context(self.engine.connect())
                try:
                    uow = await stack.enter_async_context(unit_of_work(connection, self.service, scope, cause))
                    break
                except DBAPIError as error:
                    # The first statement is also the test whether the server has forgotten a pooled connection; all
                    # others that are as old are thrown away with it.
                    if last_try or not error.connection_invalidated:
                        raise
            yield uow

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


@asynccontextmanager
async def unit_of_work(
    connection: AsyncConnection,
    service: str,
    scope: str,
    cause: Envelope[Any] | None = None,
    relaying: DirectRelay | None = None,
) -> AsyncIterator[UnitOfWork]:
    """One transaction on this connection. ``relaying`` is told what it emitted; without it, whoever relays finds it."""
    async with connection.begin() as transaction:
        uow = UnitOfWork(connection, service, scope, cause)
        await uow.enter()
        yield uow
        emitted = await uow.flush(notify=relaying is None)
        await transaction.commit()
        if relaying is not None and emitted:
            relaying(emitted)
