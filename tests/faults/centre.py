"""The whole system as tests of faults see it: what runs, what can be broken, and when it is back."""

import asyncio
import contextlib
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import uuid4

import psycopg
from aio_pika import connect
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPException
from cordboard_chassis.messaging.topology import RETRY_DELAYS_S
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import eventually
from cordboard_contracts import names
from psycopg.rows import dict_row
from telephony_gateway.virtual_pbx.control import ControlClient

from dev.demo.api import Api, Failed
from dev.demo.centre import seed
from dev.demo.desks import Desks
from dev.demo.partner import Partner
from dev.demo.traffic import Caller, Day, Seat
from dev.ports import answers
from dev.servers.rabbitmq import management
from dev.system import SERVICES, System

BACK_S = 10.0
"""So long consumers may take to be back."""
STARTED_S = 60.0
"""So long a process may take to start on a busy machine."""
PATIENT_S = 60.0
SEATS = 14
CUSTOMERS = 40
SPEED = 10.0
"""Of the PBX's clock: people talk for seconds, not minutes."""
OWNED = {"routing": "workspace", "telephony": "pbx"}
"""Services whose work has owners, and of what kind."""

_LOCKS = """
    SELECT count(*) AS number FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND datname = current_database() AND application_name = %s
"""


class PatientApi(Api):
    """A client as clients should be: asks again, with the same Idempotency-Key, until somebody answers."""

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self.tries: dict[str, int] = {}
        """By Idempotency-Key: how often something was asked."""

    async def ask(
        self,
        method: str,
        service: str,
        path: str,
        body: Any = None,
        *,
        agent_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """See `Api.ask`."""
        headers = {"Idempotency-Key": str(uuid4()), **(headers or {})} if method == "POST" else headers or {}
        deadline = time.monotonic() + PATIENT_S
        while True:
            key = headers.get("Idempotency-Key", "")
            self.tries[key] = self.tries.get(key, 0) + 1
            try:
                return await super().ask(method, service, path, body, agent_id=agent_id, headers=headers)
            except Failed as failed:
                if (failed.status is not None and failed.status < 500) or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.2)


@dataclass
class Fault:
    """Something that broke, from ``began`` until everything was back at ``ended`` (seconds since the epoch)."""

    name: str
    began: float
    ended: float = 0.0
    back_s: float = 0.0
    """How long the consumers took from when they could be back."""


@dataclass
class Centre:
    """The running system with a seeded contact centre: agents at their desks, a partner, a PBX."""

    system: System
    api: PatientApi
    pbx: ControlClient
    partner: Partner
    day: Day
    faults: list[Fault] = field(default_factory=list)
    used: int = 0
    """Numbers of callers, leads and requests so far: each is used once."""

    @classmethod
    async def open(cls, system: System) -> Self:
        """Seed it; everybody logs in."""
        partner, api = Partner(), PatientApi(system)
        url = await partner.start()
        known = tuple(Caller(0.0, "PS", f"c{number:05d}", 0.0, 0.0) for number in range(CUSTOMERS))
        day = Day("faults", known, tuple(_seat(number) for number in range(SEATS)), "tests of faults")
        partner.secret = await seed(system, api, day, SPEED, url)
        await Desks(api, day, SPEED).log_in_early()
        pbx = await ControlClient.connect("127.0.0.1", system.pbx_control_port)
        return cls(system, api, pbx, partner, day)

    async def close(self) -> None:
        """Everybody goes home; the system goes on."""
        await self.pbx.close()
        await self.api.__aexit__(None, None, None)
        await self.partner.stop()

    # ---- what breaks

    @contextmanager
    def fault(self, name: str) -> Iterator[Fault]:
        """Everything under way between begin and end of this was hit."""
        fault = Fault(name, time.time())
        self.faults.append(fault)
        yield fault
        fault.ended = time.time()

    async def kill(self, process: str) -> None:
        """kill -9; the launcher restarts it; the clock for its consumers runs from when it answers again."""
        processes = self.system.processes
        port = processes.program(process).port
        with self.fault(f"kill -9 {process}") as fault:
            await asyncio.to_thread(processes.kill, process)
            await eventually(processes.watch, timeout_s=5)
            await eventually(lambda: asyncio.to_thread(answers, "127.0.0.1", port), timeout_s=STARTED_S, poll_s=0.1)
            await self.back(fault)

    async def close_connections(self) -> None:
        """Have the broker close all that there are to the system's virtual host, and wait until they are closed."""
        url, path = self.system.servers.rabbitmq.management_url, f"vhosts/{self._vhost}/connections?columns=name"

        def names_of_connections() -> set[str]:
            return {row["name"] for row in management(url, "GET", path)}

        old = await eventually(lambda: asyncio.to_thread(names_of_connections))
        for name in old:
            await asyncio.to_thread(_close, url, name)
        await eventually(lambda: old.isdisjoint(names_of_connections()), timeout_s=20, poll_s=0.1)

    async def back(self, fault: Fault) -> None:
        """Every consumer is back within 10 s from now."""
        began = time.monotonic()
        await eventually(self._all_consume, timeout_s=BACK_S, poll_s=0.1)
        fault.back_s = time.monotonic() - began

    async def _all_consume(self) -> bool:
        missing = [name for name, number in (await self.queues()).items() if not number.consumers]
        assert not missing, f"without a consumer: {missing}"
        for service, kind in OWNED.items():
            owners = self.rows(service, _LOCKS, (f"cordboard-{service}-owner",))
            assert owners[0]["number"], f"no process owns the {kind}"
        return True

    async def not_ready(self) -> dict[str, str]:
        """Processes that say that they cannot do their work, and why; those that do not run, too."""
        problems = await asyncio.gather(*(asyncio.to_thread(self._problem, name) for name in self.processes()))
        return {name: problem for name, problem in zip(self.processes(), problems, strict=True) if problem}

    def _problem(self, name: str) -> str | None:
        processes = self.system.processes
        return processes.problem(name) if processes.alive(name) else "it does not run"

    # ---- what is there

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[TestBus]:
        """An end of the bus: hears everything, says anything."""
        bus = TestBus(self.system.amqp_url)
        await bus.start()
        try:
            yield bus
        finally:
            await bus.stop()

    def owner(self, service: str) -> str:
        """The process that owns the workspace, or the PBX.

        Raises:
            AssertionError: not exactly one says so.
        """
        names = self.system.replica_names(service)
        owners = [name for name in names if self.metric(name, "cordboard_owned", kind=OWNED[service])]
        assert len(owners) == 1, owners
        return owners[0]

    async def pbx_is_heard(self) -> bool:
        """Whether a gateway listens to the PBX."""
        return bool((await self.pbx.stats())["live"]["gateways"])

    def processes(self) -> list[str]:
        """The services' processes that should run."""
        return [name for service in SERVICES for name in self.system.replica_names(service.name)]

    async def queues(self) -> dict[str, "Waiting"]:
        """Messages and consumers of every queue that is consumed, told by the broker itself."""
        try:
            connection = await connect(self.system.amqp_url, timeout=5)
        except (AMQPException, OSError, TimeoutError) as error:
            raise AssertionError(f"the broker does not answer: {error}") from error
        async with connection:
            return await _looked_at(connection, await self._consumed())

    @property
    def _vhost(self) -> str:
        return urllib.parse.quote(urllib.parse.urlsplit(self.system.amqp_url).path.lstrip("/"), safe="")

    async def _consumed(self) -> list[str]:
        url = self.system.servers.rabbitmq.management_url
        found = await asyncio.to_thread(management, url, "GET", f"queues/{self._vhost}?columns=name")
        retries = {names.retry_queue(service.name, delay_s) for service in SERVICES for delay_s in RETRY_DELAYS_S}
        ours = {row["name"] for row in found if names.service_of(row["name"]) in {service.name for service in SERVICES}}
        return sorted(ours - retries)

    def rows(self, service: str, statement: str, parameters: Any = None) -> list[dict[str, Any]]:
        """From a service's database, seeing the whole organisation."""
        url = self.system.databases[service].owner_url.replace("+psycopg", "")
        with psycopg.connect(url, row_factory=dict_row, connect_timeout=5) as connection:
            connection.execute("SELECT set_config('cordboard.org_path', '/', true)")
            return connection.execute(statement, parameters).fetchall()

    def metric(self, process: str, name: str, **labels: str) -> float:
        """The sum of a process's samples of this name that have these labels."""
        with urllib.request.urlopen(self.system.processes.program(process).url + "/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.partition("{")[0].partition(" ")[0] == name and all(label in line for label in wanted)
        )


@dataclass(frozen=True)
class Waiting:
    """What a queue has."""

    messages: int
    consumers: int


async def _looked_at(connection: AbstractConnection, queues: Collection[str]) -> dict[str, Waiting]:
    channel = await connection.channel()
    found = {}
    for name in queues:
        declared = (await channel.declare_queue(name, passive=True)).declaration_result
        found[name] = Waiting(declared.message_count or 0, declared.consumer_count or 0)
    return found


def _close(management_url: str, connection: str) -> None:
    with contextlib.suppress(urllib.error.HTTPError):  # it was closed meanwhile
        management(management_url, "DELETE", f"connections/{urllib.parse.quote(connection, safe='')}")


def _seat(number: int) -> Seat:
    skills = {"PS", "NW"} | ({"NE"} if number % 3 == 0 else set()) | ({"IN", "TT"} if number % 4 == 0 else set())
    return Seat(f"agent {number + 1}", frozenset(skills))
