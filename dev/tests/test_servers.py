"""Where servers come from, and that private ones keep their data and leave nothing behind."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from cordboard_chassis.testing.servers import Servers as GivenServers

from dev.ledger import Ledger, birth
from dev.servers import CannotProvide, NotOurs, Servers, environment
from dev.servers import postgres as installed_postgres
from dev.servers import rabbitmq as installed_rabbitmq
from dev.servers import redis as installed_redis
from dev.servers.postgres import PrivatePostgres
from dev.servers.rabbitmq import PrivateRabbitMQ, management
from dev.servers.redis import PrivateRedis


def installed(look: object) -> bool:
    """Whether a server's programs are on this machine (elsewhere the tests run on containers)."""
    try:
        look()  # type: ignore[operator]
    except CannotProvide:
        return False
    return True


needs_postgres = pytest.mark.skipif(not installed(installed_postgres.binaries), reason="PostgreSQL is not installed")
needs_rabbitmq = pytest.mark.skipif(not installed(installed_rabbitmq.binaries), reason="RabbitMQ is not installed")
needs_redis = pytest.mark.skipif(not installed(installed_redis.binary), reason="Redis is not installed")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Stops what a test starts."""
    with Ledger(tmp_path / "processes.json") as entered:
        yield entered


def named(servers: GivenServers) -> dict[str, str]:
    """An environment that names all servers."""
    return {
        environment.POSTGRES: servers.postgres_url,
        environment.RABBITMQ: servers.rabbitmq_url,
        environment.RABBITMQ_MANAGEMENT: servers.rabbitmq_management_url,
        environment.REDIS: servers.redis_url,
    }


def test_servers_of_the_environment_are_used_and_not_stopped(servers: GivenServers, tmp_path: Path) -> None:
    said: list[str] = []
    with Servers(tmp_path, environ=named(servers), say=said.append) as found:
        assert found.environment == named(servers)
        with pytest.raises(NotOurs, match="RabbitMQ"):
            found.stop_rabbitmq()
        with pytest.raises(NotOurs, match="PostgreSQL"):
            found.restart_postgres()
    assert len(said) == 3


@pytest.mark.parametrize("variable", [environment.POSTGRES, environment.RABBITMQ_MANAGEMENT, environment.REDIS])
def test_a_url_that_leads_nowhere_is_named(servers: GivenServers, tmp_path: Path, variable: str) -> None:
    nowhere = {
        environment.POSTGRES: "postgresql://postgres@127.0.0.1:1/postgres",
        environment.RABBITMQ_MANAGEMENT: "http://guest:guest@127.0.0.1:1",
        environment.REDIS: "redis://127.0.0.1:1/0",
    }
    environ = {**named(servers), variable: nowhere[variable]}
    with pytest.raises(CannotProvide, match=variable), Servers(tmp_path, environ=environ):
        pass


@needs_postgres
def test_a_private_postgres_keeps_its_data_over_a_restart(ledger: Ledger, tmp_path: Path) -> None:
    server = PrivatePostgres(tmp_path / "postgres", ledger, durable=False)
    server.start()
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        collation = connection.execute("SHOW server_encoding").fetchone()
        assert collation == ("UTF8",)
    server.stop()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url)
    server.start()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    server.stop()
    server.forget()
    if (elsewhere := tmp_path / "postgres" / "data-is-elsewhere").exists():
        shutil.rmtree(elsewhere.read_text().strip())


@needs_postgres
@pytest.mark.skipif(os.geteuid() != 0, reason="only root's PostgreSQL runs as another user")
def test_a_checkout_that_its_user_cannot_enter_does_not_keep_postgres_from_starting(
    ledger: Ledger, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = PrivatePostgres(closed / "postgres", ledger, durable=False)
    elsewhere = Path((closed / "postgres" / "data-is-elsewhere").read_text().strip())
    server.start()
    assert list(elsewhere.glob("postgres-*/PG_VERSION"))
    server.stop()
    again = PrivatePostgres(closed / "postgres", ledger, durable=False)
    assert str(elsewhere) in again.source
    shutil.rmtree(elsewhere)


@needs_redis
def test_a_private_redis_wants_a_password(ledger: Ledger, tmp_path: Path) -> None:
    server = PrivateRedis(tmp_path / "redis", ledger)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.ping()
    with (
        redis.Redis.from_url(server.url.replace(server.url.split("@", maxsplit=1)[0], "redis://x:y")) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    server.stop()


@pytest.mark.nightly  # half a minute; the tests of faults stop and start a broker, too
@needs_rabbitmq
def test_a_private_rabbitmq_keeps_its_data_and_leaves_no_port_mapper(ledger: Ledger, tmp_path: Path) -> None:
    server = PrivateRabbitMQ(tmp_path / "rabbitmq", ledger)
    server.start()
    management(server.management_url, "PUT", "vhosts/kept", {})
    children = [ledger.child("epmd"), ledger.child("rabbitmq")]
    server.stop()
    assert not any(birth(child.pid) for child in children if child)
    server.start()
    assert {"name": "kept"}.items() <= management(server.management_url, "GET", "vhosts/kept").items()
