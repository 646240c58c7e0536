"""Servers that somebody else runs: their URLs are in the environment."""

import urllib.parse
from collections.abc import Mapping

import psycopg
import redis

from dev.servers.postgres import OLDEST as OLDEST_POSTGRES
from dev.servers.rabbitmq import check_version
from dev.servers.redis import OLDEST as OLDEST_REDIS
from dev.servers.server import CannotProvide, NotOurs

POSTGRES = "CORDBOARD_POSTGRES_URL"
RABBITMQ = "CORDBOARD_RABBITMQ_URL"
RABBITMQ_MANAGEMENT = "CORDBOARD_RABBITMQ_MANAGEMENT_URL"
REDIS = "CORDBOARD_REDIS_URL"


class ForeignServer:
    """A server that runs already and goes on running."""

    def __init__(self, url: str, source: str) -> None:
        self.url = url
        self.source = source

    def start(self) -> None:
        """It runs."""

    def stop(self) -> None:
        """Not ours to stop."""
        raise NotOurs(f"{self.source} is not ours to stop")


class ForeignRabbitMQ(ForeignServer):
    """A RabbitMQ that runs already, with its management API."""

    def __init__(self, url: str, management_url: str, source: str) -> None:
        super().__init__(url, source)
        self.management_url = management_url


def postgres(environment: Mapping[str, str]) -> ForeignServer | None:
    """The PostgreSQL that the environment names; None when it names none.

    Raises:
        CannotProvide: it does not answer, or is too old.
    """
    url = environment.get(POSTGRES)
    if not url:
        return None
    try:
        with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://"), connect_timeout=5) as connection:
            version = connection.info.server_version // 10_000
    except psycopg.Error as error:
        raise CannotProvide(f"{POSTGRES} does not work: {str(error).strip()}") from error
    if version < OLDEST_POSTGRES:
        raise CannotProvide(f"{POSTGRES}: PostgreSQL {version} is too old, {OLDEST_POSTGRES} is needed")
    return ForeignServer(url, f"PostgreSQL {version} of {POSTGRES}")


def rabbitmq(environment: Mapping[str, str]) -> ForeignRabbitMQ | None:
    """The RabbitMQ that the environment names; None when it names none.

    Raises:
        CannotProvide: its management API does not answer, or it is too old.
    """
    url = environment.get(RABBITMQ)
    if not url:
        return None
    management_url = environment.get(RABBITMQ_MANAGEMENT) or _usual_management_url(url)
    try:
        version = check_version(management_url)
    except CannotProvide as error:
        raise CannotProvide(f"{error} (set {RABBITMQ_MANAGEMENT})") from error
    return ForeignRabbitMQ(url, management_url, f"RabbitMQ {version} of {RABBITMQ}")


def redis_server(environment: Mapping[str, str]) -> ForeignServer | None:
    """The Redis that the environment names; None when it names none.

    Raises:
        CannotProvide: it does not answer, or is too old.
    """
    url = environment.get(REDIS)
    if not url:
        return None
    try:
        with redis.Redis.from_url(url, socket_timeout=5) as client:
            info: dict[str, str] = client.info("server")
    except (redis.RedisError, ValueError) as error:
        raise CannotProvide(f"{REDIS} does not work: {error}") from error
    version = str(info["redis_version"])
    if int(version.partition(".")[0]) < OLDEST_REDIS:
        raise CannotProvide(f"{REDIS}: Redis {version} is too old, {OLDEST_REDIS} is needed")
    return ForeignServer(url, f"Redis {version} of {REDIS}")


def _usual_management_url(amqp_url: str) -> str:
    parts = urllib.parse.urlsplit(amqp_url)
    credentials = f"{parts.username or 'guest'}:{parts.password or 'guest'}"
    return f"http://{credentials}@{parts.hostname or 'localhost'}:15672"
