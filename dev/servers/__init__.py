"""Gets PostgreSQL, RabbitMQ and Redis on any machine.

In this order, for each: the URL in the environment; Docker, if an engine answers; installed binaries as private
instances; ``apt-get install`` when root on Debian; else a message that says what to install.
"""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dev.ledger import Ledger
from dev.servers import apt, environment, postgres, rabbitmq, redis
from dev.servers.docker import Containers
from dev.servers.postgres import PrivatePostgres
from dev.servers.rabbitmq import PrivateRabbitMQ
from dev.servers.redis import PrivateRedis
from dev.servers.server import CannotProvide, NotOurs, RabbitMQ, Say, Server

__all__ = ["CannotProvide", "NotOurs", "RabbitMQ", "Server", "Servers"]


class Servers:
    """The three servers of one instance of the system. Leaving the context stops those that we started.

    ``postgres.stop()``, ``rabbitmq.start()`` and so on are there for tests of faults; addresses and data survive.
    All calls block: in asyncio code use ``asyncio.to_thread``.
    """

    postgres: Server
    rabbitmq: RabbitMQ
    redis: Server

    def __init__(
        self,
        directory: Path,
        *,
        fresh: bool = False,
        durable: bool = True,
        environ: Mapping[str, str] | None = None,
        ledger: Ledger | None = None,
        say: Say = print,
    ) -> None:
        """``fresh``: private servers begin without data. ``durable``: PostgreSQL's commits survive a power failure.
        ``environ``: where to look for URLs; ``{}`` for servers that can be stopped. ``ledger``: an entered one that
        other processes are written into, too."""
        self._directory = directory
        self._fresh = fresh
        self._durable = durable
        self._environ = os.environ if environ is None else environ
        self._ledger = ledger or Ledger(directory / "processes.json")
        self._owns_ledger = ledger is None
        self._say = say

    def __enter__(self) -> "Servers":
        if self._owns_ledger:
            self._ledger.__enter__()
        try:
            self._get()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._owns_ledger:
            self._ledger.close()

    @property
    def environment(self) -> dict[str, str]:
        """Where the servers are, in the variables that tests and benchmarks read."""
        return {
            environment.POSTGRES: self.postgres.url,
            environment.RABBITMQ: self.rabbitmq.url,
            environment.RABBITMQ_MANAGEMENT: self.rabbitmq.management_url,
            environment.REDIS: self.redis.url,
        }

    def stop_rabbitmq(self) -> None:
        """Stop the broker."""
        self.rabbitmq.stop()

    def start_rabbitmq(self) -> None:
        """Start the broker again, where it was, with what it had."""
        self.rabbitmq.start()

    def restart_postgres(self) -> None:
        """Stop and start the database server."""
        self.postgres.stop()
        self.postgres.start()

    def _get(self) -> None:
        foreign_postgres = environment.postgres(self._environ)
        foreign_rabbitmq = environment.rabbitmq(self._environ)
        foreign_redis = environment.redis_server(self._environ)
        if foreign_postgres and foreign_rabbitmq and foreign_redis:
            self._start(foreign_postgres, foreign_rabbitmq, foreign_redis)
            return
        try:
            containers = Containers(
                self._directory.name, self._home, self._ledger, durable=self._durable, kept=not self._fresh
            )
            if self._fresh:
                containers.forget()
            self._start(
                foreign_postgres or containers.server("postgres"),
                foreign_rabbitmq or containers.rabbitmq(),
                foreign_redis or containers.server("redis"),
            )
        except CannotProvide as reason:
            self._say(f"{reason}; using installed servers")
            self._ledger.stop("containers")
            self._install(postgres=not foreign_postgres, rabbitmq=not foreign_rabbitmq, redis=not foreign_redis)
            self._start(
                foreign_postgres or self._private_postgres(),
                foreign_rabbitmq or self._private_rabbitmq(),
                foreign_redis or self._private_redis(),
            )

    @property
    def _home(self) -> Path:
        return self._directory / "servers"

    def _start(self, postgres: Server, rabbitmq: RabbitMQ, redis: Server) -> None:
        servers = (postgres, rabbitmq, redis)
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(server.start) for server in servers]:
                started.result()
        self.postgres, self.rabbitmq, self.redis = postgres, rabbitmq, redis
        for server in servers:
            self._say(server.source)

    def _install(self, **wanted: bool) -> None:
        missing: dict[str, str] = {}
        for name, is_wanted in wanted.items():
            package, look = _INSTALLED[name]
            try:
                if is_wanted:
                    look()
            except CannotProvide as reason:
                missing[package] = str(reason)
        if not missing:
            return
        reasons = "; ".join(missing.values())
        try:
            apt.check_possible()
        except CannotProvide as impossible:
            raise CannotProvide(f"{reasons}; {impossible}.\n{_ADVICE}") from impossible
        self._say(reasons)
        apt.install(list(missing), self._say)

    def _private_postgres(self) -> PrivatePostgres:
        server = PrivatePostgres(self._home / "postgres", self._ledger, durable=self._durable)
        if self._fresh:
            server.forget()
        return server

    def _private_rabbitmq(self) -> PrivateRabbitMQ:
        server = PrivateRabbitMQ(self._home / "rabbitmq", self._ledger)
        if self._fresh:
            server.forget()
        return server

    def _private_redis(self) -> PrivateRedis:
        return PrivateRedis(self._home / "redis", self._ledger)


_INSTALLED: dict[str, tuple[str, Callable[[], object]]] = {
    "postgres": ("postgresql", postgres.binaries),
    "rabbitmq": ("rabbitmq-server", rabbitmq.binaries),
    "redis": ("redis-server", redis.binary),
}
_ADVICE = f"""Cordboard needs PostgreSQL 15+, RabbitMQ 3.10+ (with its management plugin) and Redis 7+. Do one of these:
  - start Docker (with Compose), or
  - Debian, Ubuntu:  sudo apt-get install postgresql rabbitmq-server redis-server
    macOS:           brew install postgresql@17 rabbitmq redis
    and try again; they run as private instances, the machine's own are left alone, or
  - point {environment.POSTGRES}, {environment.RABBITMQ}, {environment.RABBITMQ_MANAGEMENT}
    and {environment.REDIS} at servers that run."""
