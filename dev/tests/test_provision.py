"""Each service gets a database that only it can enter, and does not own its tables."""

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from cordboard_chassis.testing.servers import Servers

from dev.provision import Database, make_database, make_vhost
from dev.servers.rabbitmq import management


def plain(url: str) -> str:
    """As psycopg reads it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


@pytest.fixture
def name(servers: Servers) -> Iterator[str]:
    """Name of a database, which is dropped with its roles."""
    made = f"cordboard_dev_{secrets.token_hex(4)}"
    yield made
    with psycopg.connect(plain(servers.postgres_url), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {made} WITH (FORCE)")
        for role in ("app", "owner"):
            connection.execute(f"DROP ROLE IF EXISTS {made}_{role}")


def make(servers: Servers, name: str, *, fresh: bool = False) -> Database:
    """With a password that needs quoting."""
    return make_database(servers.postgres_url, name, "p@ss/wörd'", fresh=fresh)


def test_the_application_may_not_make_tables(servers: Servers, name: str) -> None:
    made = make(servers, name)
    with psycopg.connect(plain(made.owner_url)) as owner:
        owner.execute("CREATE TABLE kept (one integer)")
    with psycopg.connect(plain(made.app_url)) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("CREATE TABLE other (one integer)")


def test_making_it_again_keeps_the_data_unless_it_shall_be_fresh(servers: Servers, name: str) -> None:
    with psycopg.connect(plain(make(servers, name).owner_url)) as owner:
        owner.execute("CREATE TABLE kept (one integer)")
    for fresh, tables in ((False, 1), (True, 0)):
        with psycopg.connect(plain(make(servers, name, fresh=fresh).owner_url)) as owner:
            found = owner.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'kept'").fetchone()
            assert found == (tables,)


def test_another_service_cannot_enter(servers: Servers, name: str) -> None:
    made = make(servers, name)
    stranger = f"{name}_stranger"
    other = make_database(servers.postgres_url, stranger, "secret", fresh=False)
    try:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(plain(other.app_url).removesuffix("_stranger"))
        psycopg.connect(plain(made.app_url)).close()
    finally:
        with psycopg.connect(plain(servers.postgres_url), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {stranger} WITH (FORCE)")
            connection.execute(f"DROP ROLE {stranger}_app")
            connection.execute(f"DROP ROLE {stranger}_owner")


def test_a_virtual_host_is_made_once_and_made_anew_on_request(servers: Servers) -> None:
    vhost = f"dev-{secrets.token_hex(4)}"
    admin = servers.rabbitmq_management_url
    url = make_vhost(servers.rabbitmq_url, admin, vhost, fresh=False)
    assert url.endswith(f"/{vhost}")
    queue = f"queues/{vhost}/kept"
    management(admin, "PUT", queue, {"durable": True})
    make_vhost(servers.rabbitmq_url, admin, vhost, fresh=False)
    assert management(admin, "GET", queue)["name"] == "kept"
    make_vhost(servers.rabbitmq_url, admin, vhost, fresh=True)
    assert management(admin, "GET", f"queues/{vhost}") == []
    management(admin, "DELETE", f"vhosts/{vhost}")
