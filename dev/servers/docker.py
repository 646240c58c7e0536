"""The servers of ``docker-compose.yml`` in containers of our own."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import psycopg
import redis

from dev.ledger import Ledger
from dev.places import ROOT
from dev.ports import free_port
from dev.servers.rabbitmq import check_version
from dev.servers.server import CannotProvide, kept_secret

ANSWER_TIMEOUT_S = 10.0
UP_TIMEOUT_S = 900.0
"""The first time, images are fetched."""


def check_engine() -> str:
    """The engine's version.

    Raises:
        CannotProvide: no client, no Compose, or no engine that answers.
    """
    if shutil.which("docker") is None:
        raise CannotProvide("Docker is not installed")
    for command, missing in (
        (["docker", "version", "--format", "{{.Server.Version}}"], "no Docker engine answers"),
        (["docker", "compose", "version", "--short"], "Docker has no Compose"),
    ):
        try:
            asked = subprocess.run(
                command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=ANSWER_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotProvide(missing) from error
        if asked.returncode:
            raise CannotProvide(missing)
        if command[1] == "version":
            version = asked.stdout.strip()
    return version


class Containers:
    """PostgreSQL, RabbitMQ and Redis as a Compose project of our own, on free loopback ports; data in its volumes."""

    def __init__(self, name: str, home: Path, ledger: Ledger, *, durable: bool, kept: bool = True) -> None:
        """``kept``: the data are, when the containers go."""
        self._engine = check_engine()
        checkout = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
        self._project = f"cordboard-{name}-{checkout}"
        self._ledger = ledger
        self._forgetting = [] if kept else ["--volumes"]
        home.mkdir(parents=True, exist_ok=True)
        password = kept_secret(home)
        ports = {name: free_port() for name in ("postgres", "rabbitmq", "management", "redis")}
        self._environment = {
            **os.environ,
            "CORDBOARD_POSTGRES_PASSWORD": password,
            "CORDBOARD_POSTGRES_PORT": str(ports["postgres"]),
            "CORDBOARD_POSTGRES_FSYNC": "on" if durable else "off",
            "CORDBOARD_RABBITMQ_PASSWORD": password,
            "CORDBOARD_RABBITMQ_PORT": str(ports["rabbitmq"]),
            "CORDBOARD_RABBITMQ_MANAGEMENT_PORT": str(ports["management"]),
            "CORDBOARD_REDIS_PASSWORD": password,
            "CORDBOARD_REDIS_PORT": str(ports["redis"]),
        }
        self.urls = {
            "postgres": f"postgresql://postgres:{password}@127.0.0.1:{ports['postgres']}/postgres",
            "rabbitmq": f"amqp://cordboard:{password}@127.0.0.1:{ports['rabbitmq']}/",
            "redis": f"redis://:{password}@127.0.0.1:{ports['redis']}/0",
        }
        self.management_url = f"http://cordboard:{password}@127.0.0.1:{ports['management']}"

    def server(self, service: str) -> "ContainerServer":
        """One of the three."""
        return ContainerServer(self, service)

    def rabbitmq(self) -> "ContainerRabbitMQ":
        """The broker, which has a management API as well."""
        return ContainerRabbitMQ(self)

    def forget(self) -> None:
        """Delete all data."""
        self._compose("down", "--volumes", "--timeout", "20")

    def up(self, service: str) -> None:
        """Start a container and wait until it is healthy."""
        self._ledger.note_command("containers", self._command("down", "--timeout", "20", *self._forgetting))
        self._compose("up", "--detach", "--wait", "--quiet-pull", "--no-build", "--no-deps", service)

    def down(self, service: str) -> None:
        """Stop a container."""
        self._compose("stop", "--timeout", "20", service)

    def describe(self, version: str) -> str:
        """Where a server comes from, for the user."""
        return f"{version} in a container of {self._project} (Docker {self._engine})"

    def _command(self, *arguments: str) -> list[str]:
        file = str(ROOT / "docker-compose.yml")
        return ["docker", "compose", "--project-name", self._project, "--file", file, *arguments]

    def _compose(self, *arguments: str) -> None:
        try:
            done = subprocess.run(
                self._command(*arguments),
                env=self._environment,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=UP_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CannotProvide(f"docker compose {arguments[0]} takes longer than {UP_TIMEOUT_S:.0f} s") from error
        if done.returncode:
            raise CannotProvide(f"docker compose {arguments[0]} failed: {done.stderr.strip()[-800:]}")


class ContainerServer:
    """One server in its container."""

    def __init__(self, containers: Containers, service: str) -> None:
        self._containers = containers
        self._service = service
        self.url = containers.urls[service]
        self.source = containers.describe(service)

    def start(self) -> None:
        """See `Server.start`."""
        self._containers.up(self._service)
        self.source = self._containers.describe(self._version())

    def stop(self) -> None:
        """See `Server.stop`."""
        self._containers.down(self._service)

    def _version(self) -> str:
        if self._service == "postgres":
            with psycopg.connect(self.url, connect_timeout=5) as connection:
                return f"PostgreSQL {connection.info.server_version // 10_000}"
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            return f"Redis {client.info('server')['redis_version']}"


class ContainerRabbitMQ(ContainerServer):
    """RabbitMQ in its container."""

    def __init__(self, containers: Containers) -> None:
        super().__init__(containers, "rabbitmq")
        self.management_url = containers.management_url

    def _version(self) -> str:
        return f"RabbitMQ {check_version(self.management_url)}"
