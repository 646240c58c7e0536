"""Servers in containers, where a Docker engine answers."""

import contextlib
from collections.abc import Iterator

from cordboard_chassis.testing.servers import Servers


@contextlib.contextmanager
def contained_servers() -> Iterator[Servers | None]:
    """Start them for the time of the block; None without an engine."""
    import docker  # type: ignore[import-untyped] # noqa: PLC0415 (only here is it needed)
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415
    from testcontainers.community.redis import RedisContainer  # noqa: PLC0415
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy  # noqa: PLC0415

    try:
        docker.from_env().ping()
    except Exception:  # noqa: BLE001 (the client has many ways to say that there is no engine)
        yield None
        return
    with contextlib.ExitStack() as stack:
        # As the launcher's: room for the pools of all services, and nothing has to survive a power failure.
        settings = "postgres -c max_connections=400 -c fsync=off"
        postgres = stack.enter_context(PostgresContainer("postgres:17", driver=None).with_command(settings))
        redis = stack.enter_context(RedisContainer("redis:8"))
        rabbitmq = stack.enter_context(
            DockerContainer("rabbitmq:4-management")
            .with_exposed_ports(5672, 15672)
            .waiting_for(LogMessageWaitStrategy("Server startup complete"))
        )
        host = rabbitmq.get_container_host_ip()
        yield Servers(
            postgres_url=postgres.get_connection_url(),
            rabbitmq_url=f"amqp://guest:guest@{host}:{rabbitmq.get_exposed_port(5672)}/",
            rabbitmq_management_url=f"http://guest:guest@{host}:{rabbitmq.get_exposed_port(15672)}",
            redis_url=f"redis://{redis.get_container_host_ip()}:{redis.get_exposed_port(6379)}/0",
        )
