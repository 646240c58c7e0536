"""The whole system, declared: its services, and how they are started together."""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cordboard_chassis import migrations
from cordboard_chassis.auth.development import DevelopmentIssuer
from cordboard_chassis.auth.principal import Role

from dev.ledger import Ledger
from dev.places import STATE, state_directory, write_whole
from dev.ports import free_port
from dev.processes import Processes, Program
from dev.provision import Database, make_database, make_vhost
from dev.servers import Servers
from dev.servers.server import Say, kept_secret


@dataclass(frozen=True)
class Service:
    """A service of the system."""

    name: str
    package: str
    port: int
    """Of its first replica, when it is free."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What it is told beside the usual, as ``CORDBOARD_<NAME>``."""


SERVICES = (
    # No caller waits for the first three; on one machine they give way to the other two.
    Service("accounts", "accounts", 8101, {"NICENESS": "5"}),
    Service("leads", "leads", 8102, {"NICENESS": "5"}),
    # Partners of the development system live on this machine.
    Service("notifications", "notifications", 8103, {"NICENESS": "5", "WEBHOOK_ALLOW_PRIVATE": "true"}),
    Service("routing", "routing", 8104),
    Service("telephony", "telephony_gateway", 8105),
)
PBX_PORT, PBX_CONTROL_PORT = 8110, 8111
TOKEN_LIFETIME_S = 30 * 86_400
TOKENS: Mapping[Role, dict[str, str]] = {
    Role.AGENT: {"agent_id": "a1001"},
    Role.SUPERVISOR: {},
    Role.BRANCH_MANAGER: {},
    Role.ADMINISTRATOR: {},
    Role.PARTNER: {"partner_id": "development"},
    Role.SERVICE: {},
}


class System:
    """Servers, databases, services and the virtual PBX, running while the context is open. All calls block.

    ``.dev/<name>/`` keeps its data, logs and keys; an ``announced`` one is described in ``.dev/system.json``.
    """

    pbx_host = "127.0.0.1"
    pbx_port: int
    pbx_control_port: int

    def __init__(
        self,
        name: str,
        *,
        replicas: int = 1,
        fresh: bool = False,
        announced: bool = False,
        environ: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        pbx_speed: float = 1.0,
        say: Say = print,
    ) -> None:
        """``replicas``: of each service at first. ``fresh``: without the data of earlier runs. ``environ``: where to
        look for URLs of servers (`Servers`). ``settings``: for every service, as ``CORDBOARD_<NAME>``. ``pbx_speed``:
        how fast the PBX's clock runs."""
        self.name = name
        self.directory = state_directory(name)
        self.issuer = DevelopmentIssuer(self.directory / "issuer")
        self.databases: dict[str, Database] = {}
        self._fresh = fresh
        self._announced = announced
        self._environ = os.environ if environ is None else environ
        self._settings = settings or {}
        self._pbx_speed = pbx_speed
        self._say = say
        self._wanted = replicas
        self._replicas = {service.name: 0 for service in SERVICES}
        self._stack = ExitStack()

    def __enter__(self) -> "System":
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._say("stopping")
        self._stack.close()

    def urls(self, service: str) -> list[str]:
        """Where the replicas of a service answer."""
        return [self.processes.program(name).url for name in self.replica_names(service)]

    def metrics_urls(self, service: str) -> list[str]:
        """Where each of its processes answers: the same."""
        return self.urls(service)

    def owner_url(self, service: str) -> str:
        """A service's database, as the owner of the tables."""
        return self.databases[service].owner_url

    def replica_names(self, service: str) -> list[str]:
        """The names of a service's processes: ``accounts-1``."""
        return [f"{service}-{number}" for number in range(1, self._replicas[service] + 1)]

    def scale(self, service: str, replicas: int) -> None:
        """Run so many of a service, from now on; does not wait until those that are new are ready."""
        before = self.replica_names(service)
        self._replicas[service] = replicas
        after = self.replica_names(service)
        self.processes.stop(*(name for name in before if name not in after))
        declared = next(each for each in SERVICES if each.name == service)
        for number, name in enumerate(after):
            if name not in before:
                self.processes.start(self._program(declared, name, declared.port if number == 0 else None))

    def token(self, role: Role | str, org_path: str = "/", **claims: Any) -> str:
        """A token of the development issuer."""
        return self.issuer.token(role, org_path, **{"lifetime_s": TOKEN_LIFETIME_S, **claims})

    def _start(self) -> None:
        ledger = self._stack.enter_context(Ledger(self.directory / "processes.json"))
        if self._announced:
            # Two of them would fight about system.json.
            self._stack.enter_context(Ledger(STATE / "announced.json"))
        self.servers = self._stack.enter_context(
            Servers(self.directory, fresh=self._fresh, environ=self._environ, ledger=ledger, say=self._say)
        )
        self.processes = Processes(ledger, self.directory / "logs", self._say)
        self._provision()
        self._migrate()
        self._say(f"starting {self._wanted} of each service and the virtual PBX")
        self.pbx_port, self.pbx_control_port = free_port(PBX_PORT), free_port(PBX_CONTROL_PORT)
        self.processes.start(self._virtual_pbx())
        for service in SERVICES:
            self.scale(service.name, self._wanted)
        self.processes.wait_ready()
        if self._announced:
            self._stack.callback((STATE / "system.json").unlink, missing_ok=True)
            write_whole(STATE / "system.json", json.dumps(self.describe(), indent=2) + "\n", mode=0o600)

    def _provision(self) -> None:
        password = kept_secret(self.directory)
        for service in SERVICES:
            self.databases[service.name] = make_database(
                self.servers.postgres.url, f"cordboard_{self.name}_{service.name}", password, fresh=self._fresh
            )
        self.amqp_url = make_vhost(
            self.servers.rabbitmq.url,
            self.servers.rabbitmq.management_url,
            f"cordboard-{self.name}",
            fresh=self._fresh,
        )

    def _migrate(self) -> None:
        # What `python -m accounts migrate` does, without starting five interpreters for it.
        for service in SERVICES:
            database = self.databases[service.name]
            ran = migrations.migrate(f"{service.package}.migrations", database.owner_url, database.app_role)
            self._say(f"{service.name}: {f'migrated to {ran[-1]}' if ran else 'nothing to migrate'}")

    def _environment(self, service: Service) -> dict[str, str]:
        settings = {
            "DATABASE_URL": self.databases[service.name].app_url,
            "MIGRATION_URL": self.databases[service.name].owner_url,
            "AMQP_URL": self.amqp_url,
            "REDIS_URL": self.servers.redis.url,
            "JWKS": self.issuer.jwks,
            "JWT_ISSUER": self.issuer.issuer,
            "JWT_AUDIENCE": self.issuer.audience,
            **service.settings,
            **self._settings,
        }
        return {f"CORDBOARD_{name}": value for name, value in settings.items()}

    def _program(self, service: Service, name: str, port: int | None) -> Program:
        port = free_port(port)
        own = {"CORDBOARD_HTTP_HOST": "127.0.0.1", "CORDBOARD_HTTP_PORT": str(port), "CORDBOARD_INSTANCE": name}
        return Program(name, ("-m", service.package, "all"), {**self._environment(service), **own}, port)

    def _virtual_pbx(self) -> Program:
        options = {"port": self.pbx_port, "control-port": self.pbx_control_port, "speed": self._pbx_speed}
        arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        command = ("-m", "telephony_gateway", "virtual-pbx", *arguments)
        return Program("virtual-pbx", command, {}, self.pbx_port, readiness=None)

    def describe(self) -> dict[str, Any]:
        """Where everything is, and a token for each role: the content of ``system.json``."""
        return {
            "name": self.name,
            "pid": os.getpid(),
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "services": {
                service.name: {
                    "urls": self.urls(service.name),
                    "openapi": self.urls(service.name)[0] + "/openapi.json",
                    "database_url": self.databases[service.name].app_url,
                    "migration_url": self.databases[service.name].owner_url,
                    "logs": [str(self.processes.log(name)) for name in self.replica_names(service.name)],
                }
                for service in SERVICES
            },
            "virtual_pbx": {
                "host": self.pbx_host,
                "port": self.pbx_port,
                "control_port": self.pbx_control_port,
            },
            "servers": {
                "postgres": {"url": self.servers.postgres.url, "source": self.servers.postgres.source},
                "rabbitmq": {
                    "url": self.amqp_url,
                    "management_url": self.servers.rabbitmq.management_url,
                    "source": self.servers.rabbitmq.source,
                },
                "redis": {"url": self.servers.redis.url, "source": self.servers.redis.source},
            },
            "issuer": {"issuer": self.issuer.issuer, "audience": self.issuer.audience, "jwks": self.issuer.jwks},
            "tokens": {str(role): self.token(role, **claims) for role, claims in TOKENS.items()},
        }
