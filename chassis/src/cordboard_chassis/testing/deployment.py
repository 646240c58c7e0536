"""Services deployed for one test."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar, overload

import httpx2
from sqlalchemy import text

from cordboard_chassis.auth.development import DevelopmentIssuer
from cordboard_chassis.auth.principal import Role
from cordboard_chassis.database import Database
from cordboard_chassis.service import Process, Service
from cordboard_chassis.service import Role as ProcessRole
from cordboard_chassis.settings import ServiceSettings
from cordboard_chassis.testing.servers import APP_ROLE, OWNER_ROLE, Servers

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)
T = TypeVar("T")

POLL_S = 0.02


class Deployed:
    """A running service."""

    def __init__(self, process: Process, issuer: DevelopmentIssuer) -> None:
        self.process = process
        self.service = process.service
        self.settings = process.service.settings
        self.database = process.service.database
        self.url = process.url
        self._issuer = issuer
        self._clients: list[httpx2.AsyncClient] = []

    def client(
        self, role: Role | str | Iterable[Role | str] = Role.ADMINISTRATOR, org_path: str = "/", **claims: Any
    ) -> httpx2.AsyncClient:
        """An HTTP client with a token of this role; ``agent_id`` and ``partner_id`` are claims."""
        token = self._issuer.token(role, org_path, **claims)
        return self.bare_client({"Authorization": f"Bearer {token}"})

    def bare_client(self, headers: dict[str, str] | None = None) -> httpx2.AsyncClient:
        """An HTTP client without a token."""
        client = httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=30)
        self._clients.append(client)
        return client

    async def stop(self) -> None:
        """As on SIGTERM. Stopping twice is fine."""
        for client in self._clients:
            await client.aclose()
        await self.process.stop()


class Deployment:
    """Deploys services into one virtual host; each service has a database, which its replicas share."""

    def __init__(self, servers: Servers, issuer: DevelopmentIssuer, amqp_url: str) -> None:
        self.servers = servers
        self.issuer = issuer
        self.amqp_url = amqp_url
        self.databases: dict[str, str] = {}
        self._running: list[Deployed] = []

    async def __call__(
        self,
        build: Callable[[SettingsT], Service],
        settings_class: type[SettingsT],
        role: ProcessRole = "all",
        *,
        wait_ready: bool = True,
        **overrides: Any,
    ) -> Deployed:
        """Start a service; called again for the same service it starts another replica on the same database."""
        package = build.__module__.split(".", maxsplit=1)[0]
        if package not in self.databases:
            self.databases[package] = await self.servers.make_database(f"{package}.migrations")
        database = self.databases[package]
        given: dict[str, Any] = {
            "database_url": self.servers.as_role(APP_ROLE, database),
            "migration_url": self.servers.as_role(OWNER_ROLE, database),
            "amqp_url": self.amqp_url,
            "redis_url": self.servers.redis_url,
            "http_port": 0,
            "jwks": self.issuer.jwks,
            "jwt_issuer": self.issuer.issuer,
            "shutdown_s": 2.0,
        }
        settings = settings_class(**{**given, **overrides})
        process = Process(build(settings), role)
        await process.start()
        deployed = Deployed(process, self.issuer)
        self._running.append(deployed)
        if wait_ready:
            await eventually(lambda: _ready(process), timeout_s=30)
        return deployed

    async def stop(self) -> None:
        """Stop everything and drop the databases."""
        for deployed in reversed(self._running):
            await deployed.stop()
        for name in self.databases.values():
            await self.servers.drop_database(name)


async def _ready(process: Process) -> bool:
    problems = await process.readiness.problems()
    if problems:
        raise AssertionError(f"{process.service.name} is not ready: {problems}")
    return True


@overload
async def eventually(condition: Callable[[], Awaitable[T]], timeout_s: float = ..., poll_s: float = ...) -> T: ...


@overload
async def eventually(condition: Callable[[], T], timeout_s: float = ..., poll_s: float = ...) -> T: ...


async def eventually(condition: Callable[[], Any], timeout_s: float = 10.0, poll_s: float = POLL_S) -> Any:
    """The first truthy value of ``condition``; an AssertionError in it counts as not yet.

    Raises:
        AssertionError: it did not become true in time; says what it was last.
    """
    last: object = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    outcome = condition()
                    value = await outcome if isinstance(outcome, Awaitable) else outcome
                    if value:
                        return value
                    last = value
                except AssertionError as error:
                    last = error
                await asyncio.sleep(poll_s)
    raise AssertionError(f"not within {timeout_s:g} s; last: {last!r}")


async def rows(database: Database, statement: str, **parameters: Any) -> list[dict[str, Any]]:
    """What a query finds, as dictionaries; with the whole organisation in scope."""
    async with database.transaction() as uow:
        return [dict(row._mapping) for row in await uow.all(text(statement), parameters)]
