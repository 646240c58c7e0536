"""A service as a process: its roles, its start, its shutdown."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
import uvicorn
import uvloop
from aio_pika.exceptions import AMQPException
from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.engine import make_url

from cordboard_chassis import janitor, migrations
from cordboard_chassis.auth.principal import Authenticator
from cordboard_chassis.auth.tokens import TokenVerifier
from cordboard_chassis.database import Database
from cordboard_chassis.http.app import BODY_LIMIT, Api, create_api
from cordboard_chassis.http.rate_limit import RateLimit
from cordboard_chassis.keyring import Keyring
from cordboard_chassis.messaging import parking
from cordboard_chassis.messaging.broker import Publisher
from cordboard_chassis.messaging.bus import Consumers
from cordboard_chassis.messaging.relay import Relay
from cordboard_chassis.messaging.topology import Queue, owners_exchanges
from cordboard_chassis.ownership import OwnerKind, Owners
from cordboard_chassis.probes import Check, Readiness
from cordboard_chassis.settings import ServiceSettings
from cordboard_chassis.supervision import Background, Supervised
from cordboard_chassis.telemetry import start_logging, start_tracing
from cordboard_chassis.wakeups import Wakeups

log = logging.getLogger(__name__)

Role = Literal["api", "worker", "all"]
SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

CONNECT_PAUSE_S = 0.5
UNHEALTHY_AFTER_FAILURES = 3
GC_THRESHOLD = 20_000
"""Objects between two looks of the garbage collector at the youngest; Python's own 700 is less than one message's."""


@dataclass(frozen=True)
class Interface:
    """A part of a service's HTTP that is for others than its users, and has a document of its own."""

    name: str
    """It is served below ``/<name>``, its document at ``/<name>/openapi.json``."""
    description: str
    routers: Sequence[APIRouter]
    webhooks: APIRouter
    """What the service sends itself."""


@dataclass(frozen=True)
class Service:
    """What a service consists of; made by its ``app.build(settings)``."""

    name: str
    """As in the names of its exchanges and queues."""
    settings: ServiceSettings
    database: Database
    migrations: str
    """Package with the migrations: ``accounts.migrations``."""
    description: str = ""
    routers: Sequence[APIRouter] = ()
    interfaces: Sequence[Interface] = ()
    queues: Sequence[Queue] = ()
    owners: Sequence[OwnerKind] = ()
    background: Sequence[Background] = ()
    """Work of the role ``worker``."""
    authenticator: Authenticator | None = None
    """The token verifier of the settings, when not given."""
    keyring: Keyring | None = None
    """What confidential answers are encrypted with; a service that gives none needs none."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """What routes find as ``request.app.state.<name>``."""
    checks: Mapping[str, Check] = field(default_factory=dict)
    """What must be well, beside the usual, for the role ``worker`` to be ready."""
    body_limit: int = BODY_LIMIT
    wakeups: Wakeups | None = None
    """Give it when the service itself listens for notifications."""

    def api(self, *, routers: bool = True, readiness: Readiness | None = None) -> Api:
        """The HTTP application; without ``routers`` only the probes."""
        settings = self.settings
        app = create_api(
            self.name,
            self.routers if routers else (),
            database=self.database,
            authenticator=self.authenticator
            or TokenVerifier(settings.jwks, settings.jwt_issuer, settings.jwt_audience),
            plumbing=readiness.routes() if readiness else (),
            description=self.description,
            body_limit=self.body_limit,
            access_log=settings.access_log,
        )
        app.state.keyring = self.keyring
        app.state.rate_limit = RateLimit(settings.redis_url, self.name, settings.requests_per_minute)
        for name, value in self.state.items():
            setattr(app.state, name, value)
        for interface in self.interfaces if routers else ():
            mounted = self.interface_api(interface)
            mounted.state = app.state
            app.mount(f"/{interface.name}", mounted)
        return app

    def interface_api(self, interface: Interface) -> Api:
        """The HTTP application of an interface; it finds what it needs in the state of the service's own."""
        return create_api(
            f"{self.name} {interface.name}",
            interface.routers,
            webhooks=interface.webhooks,
            description=interface.description,
            body_limit=self.body_limit,
        )


class Process:
    """A service running in this process, in one of its roles."""

    def __init__(self, service: Service, role: Role) -> None:
        self.service = service
        self.role = role
        self.readiness = Readiness()
        self.wakeups = service.wakeups or Wakeups(service.database.url, service.name)
        self.publisher = Publisher(service.settings.amqp_url)
        self._tasks: list[Supervised] = []
        self._api = service.api(routers=role != "worker", readiness=self.readiness)
        self._api.state.wakeups = self.wakeups
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self) -> None:
        """Serve and, in the roles that work, consume. Does not wait for other servers: it is not ready until then.

        Raises:
            OSError: the port is taken.
        """
        settings = self.service.settings
        listener = socket.create_server((settings.http_host, settings.http_port), backlog=512)
        port = listener.getsockname()[1]
        self.url = f"http://{settings.http_host}:{port}"
        self.readiness.add("database", self._database_problem)
        self._supervise(Background("wakeups", self.wakeups.run))
        if self.role != "api":
            self._start_working()
        config = uvicorn.Config(
            self._api,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=int(settings.shutdown_s) or 1,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name="http")
        log.info("listening", extra={"url": self.url, "role": self.role})

    def _start_working(self) -> None:
        service, settings = self.service, self.service.settings
        kinds = [kind.kind for kind in service.owners]
        consumers = Consumers(settings.amqp_url, service.name, service.database, self.publisher, service.queues, kinds)
        self._supervise(Background("publisher", self._keep_publisher))
        self._supervise(Background("consumers", consumers.run))
        relay = Relay(service.database.url, service.name, self.publisher, self.wakeups)
        self._supervise(Background("relay", relay.run))
        self._supervise(Background("janitor", lambda: janitor.clean(service.database)))
        for kind in service.owners:
            owners = Owners(kind, settings.amqp_url, service.database, self.publisher, self.wakeups, relay)
            self._supervise(Background(f"owners of a {kind.kind}", owners.run))
            self.readiness.add(f"queues of each {kind.kind}", _declared(owners))
        for background in service.background:
            self._supervise(background)

        async def bus_problem() -> str | None:
            return None if consumers.health.consuming else consumers.health.detail

        self.readiness.add("bus", bus_problem)
        for name, check in service.checks.items():
            self.readiness.add(name, check)

    def _supervise(self, background: Background) -> None:
        supervised = Supervised(background)
        self._tasks.append(supervised)

        async def problem() -> str | None:
            failing = supervised.failures >= UNHEALTHY_AFTER_FAILURES and not supervised.settled
            return f"keeps failing: {supervised.last_error[:200]}" if failing else None

        self.readiness.add(background.name, problem)
        supervised.start()

    async def _keep_publisher(self) -> None:
        while True:
            try:
                await self.publisher.connect()
                break
            except (OSError, AMQPException) as error:
                log.warning("waiting for the broker", extra={"error": str(error)[:200]})
                await asyncio.sleep(CONNECT_PAUSE_S)
        try:
            await asyncio.Event().wait()  # the library reconnects by itself
        finally:
            await self.publisher.close()

    async def _database_problem(self) -> str | None:
        async with self.service.database.transaction() as uow:
            version = await uow.scalar(text("SELECT version_num FROM alembic_version"))
        wanted = migrations.head(self.service.migrations)
        # A database that is ahead is fine: a migration works with the previous release.
        return None if version is not None and version >= (wanted or "") else f"is at version {version}, not {wanted}"

    async def stop(self) -> None:
        """Finish what is in flight, then close."""
        self.readiness.draining = True
        self._api.drain()
        for supervised in reversed(self._tasks):
            await supervised.stop()
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await asyncio.gather(self._serving, return_exceptions=True)
        await self.publisher.close()
        await self._api.state.rate_limit.close()
        await self.service.database.close()

    async def run(self) -> None:
        """Start, wait for SIGTERM or SIGINT, stop."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, stopping.set)
        await self.start()
        await stopping.wait()
        log.info("stopping")
        await self.stop()
        log.info("stopped")


def _give_way(niceness: int) -> None:
    """Linux weighs sessions against each other before processes within a session, see sched(7), autogroup."""
    os.nice(niceness)
    if niceness:
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(niceness), encoding="ascii")


def _declared(owners: Owners) -> Check:
    async def problem() -> str | None:
        return None if owners.declared else "not declared yet"

    return problem


class _Server(uvicorn.Server):
    """Signals are the process's business, not the HTTP server's."""

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()


def run(
    build: Callable[[SettingsT], Service],
    settings_class: type[SettingsT],
    extra: Sequence[click.Command] = (),
) -> None:
    """The command line of a service."""

    @click.group(context_settings={"help_option_names": ["-h", "--help"]})
    def command() -> None:
        """Run this service, or look after it. Settings are environment variables, CORDBOARD_*."""

    def settings() -> SettingsT:
        try:
            return settings_class.from_environment()
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                name = "CORDBOARD_" + "_".join(str(part) for part in problem["loc"]).upper()
                click.echo(f"{name}: {problem['msg']}", err=True)
            sys.exit(2)

    def add_role(role: Role, what: str) -> None:
        @command.command(role, help=what)
        def serve() -> None:
            given = settings()
            _give_way(given.niceness)
            service = build(given)
            start_logging(service.name, given)
            start_tracing(service.name, given)
            # What is there by now stays; the collector need not look at it for each few hundred objects of a message.
            gc.freeze()
            gc.set_threshold(GC_THRESHOLD)
            # A fifth less CPU per message than the standard loop: what is written in one turn is sent at once.
            uvloop.run(Process(service, role).run())

    add_role("api", "Answer HTTP requests.")
    add_role("worker", "Consume and publish messages; HTTP serves only probes and metrics.")
    add_role("all", "Both.")

    @command.command()
    def migrate() -> None:
        """Bring the database to the newest version of its tables."""
        given = settings()
        service = build(given)
        role = make_url(given.database_url).username
        ran = migrations.migrate(service.migrations, given.migration_url or given.database_url, role)
        click.echo(f"{service.name}: {', '.join(ran) if ran else 'nothing to do'}")

    @command.command()
    def openapi() -> None:
        """Print the OpenAPI document."""
        document = build(settings_class.detached()).api().openapi()
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))

    command.add_command(_parked(build, settings))
    for other in extra:
        command.add_command(other)
    command()


def _parked(build: Callable[[SettingsT], Service], settings: Callable[[], SettingsT]) -> click.Group:
    @click.group()
    def parked() -> None:
        """Messages that could not be handled and were set aside."""

    def with_service(work: Callable[[Service], Awaitable[int]]) -> None:
        async def running() -> int:
            service = build(settings())
            try:
                return await work(service)
            finally:
                await service.database.close()

        sys.exit(asyncio.run(running()))

    @parked.command("list")
    @click.option("--queue", help="Only those of this queue.")
    @click.option("--after", default=0, help="Only those with a higher id.")
    @click.option("--limit", default=100, type=click.IntRange(1, 1000), show_default=True)
    @click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
    def list_(queue: str | None, after: int, limit: int, as_json: bool) -> None:
        """List them, oldest first."""

        async def work(service: Service) -> int:
            for message in await parking.listed(service.database, queue, after, limit):
                if as_json:
                    click.echo(json.dumps(message.as_json(with_body=False), ensure_ascii=False))
                else:
                    click.echo(
                        f"{message.id:>6}  {message.parked_at:%Y-%m-%d %H:%M:%S}  {message.queue}"
                        f"  {message.type}  {message.reason}"
                    )
            return 0

        with_service(work)

    @parked.command()
    @click.argument("parked_id", type=int)
    def show(parked_id: int) -> None:
        """Print one whole, as JSON."""

        async def work(service: Service) -> int:
            message = await parking.shown(service.database, parked_id)
            if message is None:
                click.echo(f"no parked message {parked_id}", err=True)
                return 1
            click.echo(json.dumps(message.as_json(with_body=True), indent=2, ensure_ascii=False))
            return 0

        with_service(work)

    @parked.command()
    @click.argument("parked_ids", type=int, nargs=-1, required=True)
    def replay(parked_ids: tuple[int, ...]) -> None:
        """Send messages to their queues again."""

        async def work(service: Service) -> int:
            publisher = Publisher(service.settings.amqp_url)
            await publisher.connect()
            exchanges = owners_exchanges((kind.consumer, kind.kind) for kind in service.owners)
            missing = 0
            try:
                for parked_id in parked_ids:
                    found = await parking.replay(service.database, publisher, parked_id, exchanges)
                    click.echo(f"{parked_id}: {'replayed' if found else 'no such message'}", err=not found)
                    missing += not found
            finally:
                await publisher.close()
            return 1 if missing else 0

        with_service(work)

    @parked.command()
    @click.argument("parked_ids", type=int, nargs=-1, required=True)
    def discard(parked_ids: tuple[int, ...]) -> None:
        """Forget messages for good."""

        async def work(service: Service) -> int:
            missing = 0
            for parked_id in parked_ids:
                found = await parking.discard(service.database, parked_id)
                click.echo(f"{parked_id}: {'discarded' if found else 'no such message'}", err=not found)
                missing += not found
            return 1 if missing else 0

        with_service(work)

    return parked
