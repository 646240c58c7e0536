"""The servers that tests run on, and what each test gets of them."""

import asyncio
import os
import secrets
import urllib.parse
from dataclasses import dataclass, replace

import httpx2
import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from cordboard_chassis import migrations

VARIABLES = {
    "postgres_url": "CORDBOARD_POSTGRES_URL",
    "rabbitmq_url": "CORDBOARD_RABBITMQ_URL",
    "rabbitmq_management_url": "CORDBOARD_RABBITMQ_MANAGEMENT_URL",
    "redis_url": "CORDBOARD_REDIS_URL",
}
APP_ROLE, OWNER_ROLE = "cordboard_test_app", "cordboard_test_owner"
_PASSWORD = "test"  # noqa: S105 (servers of a test run listen on loopback only)


@dataclass(frozen=True)
class Servers:
    """URLs with the rights of an administrator."""

    postgres_url: str
    rabbitmq_url: str
    rabbitmq_management_url: str
    redis_url: str

    @classmethod
    def from_environment(cls) -> "Servers | None":
        """The servers of the environment; None when one is missing."""
        given = {field: os.environ.get(variable, "") for field, variable in VARIABLES.items()}
        return cls(**given) if all(given.values()) else None

    async def make_vhost(self) -> str:
        """A virtual host of one's own; returns its AMQP URL."""
        name = f"test-{secrets.token_hex(6)}"
        await self._manage("PUT", f"/api/vhosts/{name}", {})
        user = urllib.parse.urlsplit(self.rabbitmq_url).username or "guest"
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        await self._manage("PUT", f"/api/permissions/{name}/{user}", rights)
        return urllib.parse.urlsplit(self.rabbitmq_url)._replace(path=f"/{name}").geturl()

    async def drop_vhost(self, amqp_url: str) -> None:
        """And everything in it."""
        await self._manage("DELETE", f"/api/vhosts/{urllib.parse.urlsplit(amqp_url).path.lstrip('/')}")

    async def close_connections(self, amqp_url: str, *, at_least: int) -> int:
        """Let the broker close every connection to a virtual host, once it lists so many; returns how many there were.

        Its list is seconds behind; 0: not so many yet, and none was closed.
        """
        vhost = urllib.parse.urlsplit(amqp_url).path.lstrip("/")
        connections = await self._manage("GET", f"/api/vhosts/{vhost}/connections")
        if len(connections) < at_least:
            return 0
        for connection in connections:
            await self._manage("DELETE", f"/api/connections/{urllib.parse.quote(connection['name'], safe='')}")
        return len(connections)

    async def _manage(self, method: str, path: str, body: dict[str, str] | None = None) -> list[dict[str, str]]:
        async with httpx2.AsyncClient(timeout=20) as client:
            response = await client.request(method, self.rabbitmq_management_url.rstrip("/") + path, json=body)
            if response.status_code not in {200, 201, 204, 404}:
                raise RuntimeError(f"{method} {path}: {response.status_code} {response.text}")
            found = response.json() if method == "GET" and response.status_code == 200 else []
            return list(found)

    def as_role(self, role: str, database: str) -> str:
        """URL of a database for one of the two roles."""
        url = make_url(self.postgres_url).set(
            drivername="postgresql+psycopg", username=role, password=_PASSWORD, database=database
        )
        return url.render_as_string(hide_password=False)

    async def make_database(self, package: str) -> str:
        """A database of one's own with the tables of a service's migrations; returns its name.

        It is a copy of a template, which is made when it is not there in the newest version.
        """
        template = f"cordboard_template_{package.split('.', maxsplit=1)[0]}_{_version(package)}"
        name = f"cordboard_test_{secrets.token_hex(6)}"
        async with await self._connect() as connection:
            await connection.execute("SELECT pg_advisory_lock(hashtextextended('cordboard.templates', 0))")
            await _make_roles(connection)
            known = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (template,))
            if await known.fetchone() is None:
                draft = f"{template}_draft"
                await _run(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", draft)
                await _run(connection, "CREATE DATABASE {} OWNER {}", draft, OWNER_ROLE)
                await asyncio.to_thread(migrations.migrate, package, self.as_role(OWNER_ROLE, draft), APP_ROLE)
                await _run(connection, "ALTER DATABASE {} RENAME TO {}", draft, template)
            await _run(connection, "CREATE DATABASE {} TEMPLATE {} OWNER {}", name, template, OWNER_ROLE)
        return name

    async def drop_database(self, name: str) -> None:
        """Whoever is connected."""
        async with await self._connect() as connection:
            await _run(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    async def _connect(self) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(self.postgres_url, autocommit=True)

    def with_redis_database(self, number: int) -> "Servers":
        """The same servers, another of Redis's numbered databases."""
        url = urllib.parse.urlsplit(self.redis_url)._replace(path=f"/{number}").geturl()
        return replace(self, redis_url=url)


async def _make_roles(connection: psycopg.AsyncConnection) -> None:
    for role in (OWNER_ROLE, APP_ROLE):
        known = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
        if await known.fetchone() is None:
            statement = sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER PASSWORD {}")
            await connection.execute(statement.format(sql.Identifier(role), sql.Literal(_PASSWORD)))


async def _run(connection: psycopg.AsyncConnection, statement: str, *names: str) -> None:
    identifiers = [sql.Identifier(name) for name in names]
    await connection.execute(sql.SQL(statement).format(*identifiers))


def _version(package: str) -> str:
    """Changes when any migration of the package or the chassis' tables change."""
    return migrations.digest(package)[:12]
