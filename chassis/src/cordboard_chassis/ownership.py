"""One writer per workspace and per PBX: whoever's database session holds its advisory lock, and writes through it."""

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aio_pika.exceptions import AMQPException
from cordboard_contracts import Envelope
from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from cordboard_chassis.auth.org_paths import ROOT
from cordboard_chassis.database import Database, create_engine, unit_of_work
from cordboard_chassis.messaging import inbox, topology
from cordboard_chassis.messaging.broker import OWNER_HEARTBEAT_S, Publisher, consuming_connection
from cordboard_chassis.messaging.consumer import record_refusal
from cordboard_chassis.messaging.deliveries import Acknowledgements, Delivery, Intake, receive, taking_into
from cordboard_chassis.messaging.relay import Relay
from cordboard_chassis.messaging.topology import Message
from cordboard_chassis.refusals import Refused
from cordboard_chassis.supervision import cancel, end_if_cancelled, until_one_ends
from cordboard_chassis.unit_of_work import UnitOfWork
from cordboard_chassis.wakeups import Wakeups

log = logging.getLogger(__name__)

OWNED = Gauge("cordboard_owned", "1 for each owner whose lock this process holds.", ("kind", "owner"))

LOOK_S = 1.0
"""How often new owners are looked for."""
TRY_S = 0.4
"""Pause between tries to get a lock; longer for a replica that owns something already, so that they share."""
LONGEST_TRY_S = 2.0
HEARTBEAT_S = 1.0
IDLE_LIMIT_S = 4
"""PostgreSQL ends the session of an owner that is silent for so long, and with it the lock."""
PREFETCH = 400
INPUT_ATTEMPTS = 10
"""How often an owner may end with an input in hand before the input is taken for the cause, and refused. Owners also
end for other reasons, so a few times prove nothing."""

INPUTS_CHANNEL = "owner_inputs"
RESULTS_CHANNEL = "owner_results"

_LOCK = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
_INPUTS = text(
    """
    UPDATE owner_inputs SET attempts = attempts + 1
    WHERE position IN (
        SELECT position FROM owner_inputs
        WHERE kind = :kind AND owner_id = :owner_id AND done_at IS NULL AND NOT (id = ANY(CAST(:in_hand AS uuid[])))
        ORDER BY position LIMIT 100
    )
    RETURNING position, id, name, payload, caller, attempts
    """
)
_ANSWER = text(
    "UPDATE owner_inputs SET result = CAST(:result AS jsonb), done_at = now() WHERE id = :id AND done_at IS NULL"
)
_NOTIFY = text("SELECT pg_notify(:channel, :payload)")


@dataclass
class OwnerInput:
    """Something that was asked of the owner over HTTP."""

    id: UUID
    name: str
    payload: dict[str, Any]
    caller: dict[str, Any]
    """``subject``, ``roles``, ``org_path`` and ``agent_id`` of who asks."""


class Ownership:
    """What the owner works with while it is the owner."""

    def __init__(
        self, kind: "OwnerKind", owner_id: str, database: Database, connection: AsyncConnection, relay: Relay
    ) -> None:
        self.kind = kind
        self.owner_id = owner_id
        self.database = database
        """For what is not the owner's: it does not prove ownership."""
        self.intake = Intake()
        """Deliveries, `OwnerInput`s, and what the owner itself puts in."""
        self.acknowledgements = Acknowledgements()
        self.queue = ""
        self._in_hand: set[UUID] = set()
        self._connection = connection
        self._relay = relay
        self._busy = asyncio.Lock()
        # What the owner before us emitted was committed before now.
        self._not_handed_over_s = time.monotonic()

    @asynccontextmanager
    async def transaction(self, cause: Envelope[Any] | None = None) -> AsyncIterator[UnitOfWork]:
        """A unit of work on the session that holds the lock: it cannot commit once the lock is lost."""
        async with self._busy:
            relaying = self._relay.taking_directly(self._not_handed_over_s)
            try:
                async with unit_of_work(self._connection, self.database.service, ROOT, cause, relaying) as uow:
                    yield uow
            finally:
                if relaying is None:
                    self._not_handed_over_s = time.monotonic()

    async def admit(self, uow: UnitOfWork, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Those not handled before; the first statement of a group."""
        if not deliveries:
            return []
        fresh = await inbox.admit(uow, self.queue, [delivery.envelope.id for delivery in deliveries])
        admitted = []
        for delivery in deliveries:
            if delivery.envelope.id in fresh:
                fresh.discard(delivery.envelope.id)
                admitted.append(delivery)
        return admitted

    async def answer(self, uow: UnitOfWork, given: OwnerInput, result: dict[str, Any]) -> None:
        """Tell who asked, in the transaction of the effect."""
        await self._finish(uow, given, {"result": result})

    async def refuse(self, uow: UnitOfWork, given: OwnerInput, refused: Refused) -> None:
        """Tell who asked that it is refused."""
        problem = {
            "code": refused.code,
            "detail": refused.detail,
            "field": refused.field,
            "status": refused.status,
        }
        await self._finish(uow, given, {"refused": problem})

    async def record_refusal(self, uow: UnitOfWork, delivery: Delivery, refused: Refused) -> None:
        """Keep that and why the domain said no to a message, and count it as handled."""
        await record_refusal(uow, self.queue, delivery.envelope, refused)

    async def _finish(self, uow: UnitOfWork, given: OwnerInput, result: dict[str, Any]) -> None:
        # Transactions on this session take turns, so it is not looked for before this one has committed; if it
        # does not commit, it is found again.
        self._in_hand.discard(given.id)
        await uow.execute(_ANSWER, {"id": given.id, "result": json.dumps(result)})
        await uow.execute(_NOTIFY, {"channel": RESULTS_CHANNEL, "payload": str(given.id)})

    async def keep_alive(self) -> None:
        """Say a word on the session now and then; without it PostgreSQL takes the owner for dead."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            async with self._busy:
                await self._connection.execute(text("SELECT 1"))
                await self._connection.rollback()

    async def feed_inputs(self, wakeups: Wakeups) -> None:
        """Put what is asked over HTTP into the intake."""
        async with wakeups.event(INPUTS_CHANNEL) as woken:
            while True:
                woken.clear()
                for given in await self._new_inputs():
                    self._in_hand.add(given.id)
                    await self.intake.put(given)
                try:
                    async with asyncio.timeout(LOOK_S):
                        await woken.wait()
                except TimeoutError:
                    continue

    async def _new_inputs(self) -> list[OwnerInput]:
        async with self.transaction() as uow:
            rows = await uow.all(
                _INPUTS,
                {"kind": self.kind.kind, "owner_id": self.owner_id, "in_hand": list(self._in_hand)},
            )
            found = []
            for row in sorted(rows, key=lambda row: int(row.position)):
                given = OwnerInput(row.id, row.name, row.payload, row.caller)
                if row.attempts > INPUT_ATTEMPTS:
                    failed = Refused("owner-failed", "this could not be carried out; it has been logged", status=503)
                    await self.refuse(uow, given, failed)
                else:
                    found.append(given)
        return found


@dataclass(frozen=True)
class OwnerKind:
    """A kind of thing that has one writer.

    ``run`` works for one of them until it is cancelled, because the lock is lost or the process ends; when it
    returns or raises, the lock is given up and tried for again.
    """

    consumer: str
    kind: str
    """Also the name of the attribute and header that names the owner in a message."""
    messages: tuple[Message, ...]
    ids: Callable[[Database], Awaitable[Iterable[str]]]
    run: Callable[[Ownership], Coroutine[Any, Any, None]]


class Owners:
    """All owners of one kind, as far as this process gets their locks."""

    def __init__(
        self,
        kind: OwnerKind,
        amqp_url: str,
        database: Database,
        publisher: Publisher,
        wakeups: Wakeups,
        relay: Relay,
    ) -> None:
        self._kind = kind
        self._amqp_url = amqp_url
        self._database = database
        self._publisher = publisher
        self._wakeups = wakeups
        self._relay = relay
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.owned: set[str] = set()
        self.declared = False
        """Whether the owners' exchange, and the queues of those known so far, are there."""
        self._engine = create_engine(
            database.url,
            application=f"cordboard-{database.service}-owner",
            poolclass=NullPool,
            limits={
                "idle_session_timeout": f"{IDLE_LIMIT_S}s",
                "idle_in_transaction_session_timeout": f"{IDLE_LIMIT_S}s",
            },
        )

    async def run(self) -> None:
        """Look for owners and try for their locks; run supervised."""
        try:
            while True:
                try:
                    await self._look()
                except (SQLAlchemyError, AMQPException, OSError) as error:
                    # A server that is away for a moment is no reason to give up what is owned.
                    end_if_cancelled()
                    log.warning("cannot look for owners", extra={"kind": self._kind.kind, "error": str(error)[:200]})
                await asyncio.sleep(LOOK_S)
        finally:
            await cancel(*self._tasks.values())
            self._tasks.clear()

    async def _look(self) -> None:
        wanted = set(await self._kind.ids(self._database))
        # Whoever gets the lock: from now on nothing that names the owner goes astray.
        await self._declare(wanted - self._tasks.keys())
        for owner_id in wanted - self._tasks.keys():
            self._tasks[owner_id] = asyncio.create_task(self._pursue(owner_id), name=owner_id)
        for owner_id in self._tasks.keys() - wanted:
            await cancel(self._tasks.pop(owner_id))

    async def _declare(self, owner_ids: Collection[str]) -> None:
        if self.declared and not owner_ids:
            return
        kind = self._kind
        async with consuming_connection(self._amqp_url) as connection:
            await topology.declare_owners(connection, kind.consumer, kind.kind, kind.messages)
            for owner_id in owner_ids:
                await topology.declare_owner(connection, kind.consumer, kind.kind, owner_id)
        self.declared = True

    async def _pursue(self, owner_id: str) -> None:
        while True:
            try:
                await self._own(owner_id)
            except asyncio.CancelledError:
                end_if_cancelled()
            except Exception as error:
                end_if_cancelled()
                log.warning("ownership ended", exc_info=error, extra={"kind": self._kind.kind, "owner": owner_id})
            pause_s = min(LONGEST_TRY_S, TRY_S * (1 + len(self.owned)))
            await asyncio.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 (spreads tries, guards nothing)

    async def _own(self, owner_id: str) -> None:
        kind = self._kind
        async with self._engine.connect() as connection:
            name = f"cordboard.{kind.consumer}.{kind.kind}.{owner_id}"
            while not await connection.scalar(_LOCK, {"name": name}):
                await connection.rollback()
                await asyncio.sleep(min(LONGEST_TRY_S, TRY_S * (1 + len(self.owned))))
            await connection.commit()
            ownership = Ownership(kind, owner_id, self._database, connection, self._relay)
            self.owned.add(owner_id)
            OWNED.labels(kind.kind, owner_id).set(1)
            log.info("ownership gained", extra={"kind": kind.kind, "owner": owner_id})
            try:
                await self._work(ownership)
            finally:
                self.owned.discard(owner_id)
                OWNED.labels(kind.kind, owner_id).set(0)
                await connection.invalidate()  # closes the session: the lock is free before anybody waits for us

    async def _work(self, ownership: Ownership) -> None:
        """Run until one part ends; then all end."""
        try:
            await until_one_ends(
                self._kind.run(ownership),
                ownership.keep_alive(),
                ownership.feed_inputs(self._wakeups),
                self._receive(ownership),
            )
        finally:
            await ownership.acknowledgements.stop()

    async def _receive(self, ownership: Ownership) -> None:
        """Take the owner's messages; a lost connection is made again without giving the lock up."""
        kind = self._kind
        while True:
            try:
                async with consuming_connection(self._amqp_url, OWNER_HEARTBEAT_S) as connection:
                    await topology.declare_owners(connection, kind.consumer, kind.kind, kind.messages)
                    ownership.queue = await topology.declare_owner(
                        connection, kind.consumer, kind.kind, ownership.owner_id
                    )
                    take = taking_into(ownership.intake, ownership.queue, self._publisher)
                    await receive(connection, ownership.queue, PREFETCH, take)
            except asyncio.CancelledError:
                end_if_cancelled()
            except Exception as error:  # noqa: BLE001 (whatever it is, it is tried again)
                end_if_cancelled()
                log.warning("the owner's queue is lost", extra={"owner": ownership.owner_id, "error": str(error)[:200]})
            await asyncio.sleep(TRY_S)
