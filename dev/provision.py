"""What each service gets of the servers: a database with two roles; and the virtual host that all share."""

import urllib.parse
from dataclasses import dataclass

import psycopg
from psycopg import sql

from dev.servers.rabbitmq import management


@dataclass(frozen=True)
class Database:
    """A service's database. Its application does not own the tables, so that row-level security holds for it."""

    app_url: str
    app_role: str
    owner_url: str
    """For migrations."""


def make_database(admin_url: str, name: str, password: str, *, fresh: bool) -> Database:
    """A database with its roles ``<name>_owner`` and ``<name>_app``; those that are there already are kept.

    ``fresh``: without what was in it before.
    """
    admin_url = admin_url.replace("postgresql+psycopg://", "postgresql://", 1)
    owner, app = f"{name}_owner", f"{name}_app"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for role in (owner, app):
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
            statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}" if known else "CREATE ROLE {} LOGIN PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(role), sql.Literal(password)))
        if fresh:
            _run(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            # The administrator of somebody else's server may be no superuser; then it must belong to the owner's role.
            _run(connection, "GRANT {} TO CURRENT_USER", owner)
            _run(connection, "CREATE DATABASE {} OWNER {}", name, owner)
        _run(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", name)
        _run(connection, "GRANT CONNECT ON DATABASE {} TO {}", name, app)
    return Database(_as(admin_url, app, password, name), app, _as(admin_url, owner, password, name))


def _run(connection: "psycopg.Connection[tuple[object, ...]]", statement: str, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))


def _as(url: str, user: str, password: str, database: str) -> str:
    parts = urllib.parse.urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    credentials = f"{user}:{urllib.parse.quote(password, safe='')}"
    return parts._replace(scheme="postgresql+psycopg", netloc=f"{credentials}@{place}", path=f"/{database}").geturl()


def make_vhost(amqp_url: str, management_url: str, name: str, *, fresh: bool) -> str:
    """A virtual host; returns its AMQP URL. ``fresh``: without what was in it before."""
    path = "vhosts/" + urllib.parse.quote(name, safe="")
    if fresh and any(vhost["name"] == name for vhost in management(management_url, "GET", "vhosts")):
        management(management_url, "DELETE", path)
    management(management_url, "PUT", path, {})
    parts = urllib.parse.urlsplit(amqp_url)
    user = urllib.parse.quote(urllib.parse.unquote(parts.username or "guest"), safe="")
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    management(management_url, "PUT", f"permissions/{path.removeprefix('vhosts/')}/{user}", rights)
    return parts._replace(path="/" + urllib.parse.quote(name, safe="")).geturl()
