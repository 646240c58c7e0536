"""What becomes of messages: handled, refused, retried, parked; whatever happens to connections."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import aio_pika
import pytest
from cordboard_chassis.messaging import deliveries, parking, relay, topology
from cordboard_chassis.messaging.broker import NotPublished, Publisher
from cordboard_chassis.settings import ServiceSettings
from cordboard_chassis.testing.bus import TestBus
from cordboard_chassis.testing.deployment import Deployed, Deployment, eventually, rows
from cordboard_chassis.testing.servers import Servers
from cordboard_chassis.unit_of_work import OutboxRow
from cordboard_contracts import Envelope, names, new_id
from cordboard_contracts.accounts import RegisterCustomer
from sample.app import build
from sample.words import counters, lead
from sqlalchemy.ext.asyncio import create_async_engine


async def parked(deployed: Deployed) -> list[dict[str, Any]]:
    return await rows(deployed.database, "SELECT * FROM parked_messages ORDER BY id")


async def counted(deployed: Deployed, wanted: dict[str, int]) -> bool:
    found = await counters(deployed)
    assert found == wanted
    return True


async def test_a_published_message_is_persistent_and_carries_the_events_id_and_type(
    deploy: Deployment, bus: TestBus, amqp_url: str
) -> None:
    sample = await deploy(build, ServiceSettings)
    connection = await aio_pika.connect(amqp_url)
    async with connection, connection.channel() as channel:
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(names.commands_exchange("accounts"), RegisterCustomer.type)
        await sample.client().post("/v1/counters", json={"name": "chen", "org_path": "/cn"})
        command = await bus.expect(RegisterCustomer)
        message = await eventually(lambda: queue.get(fail=False, no_ack=True))
    assert message.delivery_mode is aio_pika.DeliveryMode.PERSISTENT
    assert (message.message_id, message.type) == (str(command.id), RegisterCustomer.type)
    assert message.content_type == "application/json"


async def test_publishing_what_no_queue_takes_is_an_error(amqp_url: str) -> None:
    publisher = Publisher(amqp_url)
    await publisher.connect()
    send = {"message_id": str(new_id()), "message_type": "x", "headers": {}}
    with pytest.raises(NotPublished, match=r"(?i)no_route|NOT_FOUND|DeliveryError"):
        await publisher.publish(b"{}", exchange="", routing_key="nobody", mandatory=True, **send)
    await publisher.close()
    with pytest.raises(NotPublished, match="not connected"):
        await publisher.publish(b"{}", exchange="", routing_key="nobody", mandatory=True, **send)


async def test_a_stalled_broker_is_an_error_in_time_and_not_a_hang(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library would wait for ever, or cancel the publishing task."""
    monkeypatch.setattr("cordboard_chassis.messaging.broker.PUBLISH_TIMEOUT_S", 0.5)
    async with Proxy(amqp_url) as proxy:
        publisher = Publisher(proxy.url)
        await publisher.connect()
        send = {"exchange": "", "mandatory": False, "message_type": "x", "headers": {}, "message_id": str(new_id())}
        await publisher.publish(b"{}", routing_key="nobody", **send)
        proxy.stall()
        with pytest.raises(NotPublished):
            await publisher.publish(b"{}", routing_key="nobody", **send)
        proxy.cut()
        with pytest.raises(NotPublished):
            await publisher.publish(b"{}", routing_key="nobody", **send)
        proxy.heal()

        async def published() -> bool:
            try:
                await publisher.publish(b"{}", routing_key="nobody", **send)
            except NotPublished as error:
                raise AssertionError(str(error)) from error
            return True

        await eventually(published, timeout_s=15)
        await publisher.close()


class Proxy:
    """Stands between a client and the broker, and can be told to misbehave."""

    def __init__(self, amqp_url: str) -> None:
        self._target = aio_pika.connection.URL(amqp_url)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = str(self._target.with_host("127.0.0.1").with_port(port))
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stall(self) -> None:
        self._flowing.clear()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def heal(self) -> None:
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up = await asyncio.open_connection(self._target.host, self._target.port)
        self._writers |= {writer, up[1]}
        for source, sink in ((reader, up[1]), (up[0], writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while chunk := await source.read(65536):
                await self._flowing.wait()
                sink.write(chunk)
        finally:
            sink.close()


async def test_what_a_handler_emits_is_in_order_per_partition_key(deploy: Deployment, bus: TestBus) -> None:
    sample = await deploy(build, ServiceSettings)
    await deploy(build, ServiceSettings)

    async def write(key: str) -> None:
        for sequence in range(1, 61):
            async with sample.database.transaction() as uow:
                command = RegisterCustomer(source_ref=key, org_path="/", kind="person", name=key)
                uow.emit(command, subject=key, sequence=sequence, orgpath="/")

    await asyncio.gather(*(write(key) for key in "abc"))
    await bus.expect(RegisterCustomer, count=180)
    for key in "abc":
        assert [e.sequence for e in bus.said(RegisterCustomer, lambda e, key=key: e.subject == key)] == list(
            range(1, 61)
        )
    await eventually(lambda: _empty(sample))


async def test_what_an_owner_emits_is_in_order_though_it_is_handed_over(
    deploy: Deployment, bus: TestBus, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner's relay is told directly what was committed. Sometimes it is full, and once it loses its session."""
    monkeypatch.setattr(relay, "MAX_KNOWN", 12)
    monkeypatch.setattr(relay, "POLL_S", 0.05)
    sample = await deploy(build, ServiceSettings)
    directly = 0
    hand_over = relay._Relaying.hand_over

    def counting(relaying: relay._Relaying, rows: Sequence[OutboxRow]) -> None:
        nonlocal directly
        directly += len(rows)
        hand_over(relaying, rows)

    monkeypatch.setattr(relay._Relaying, "hand_over", counting)
    for number in range(400):
        await bus.publish(lead("call"), subject=str(number), orgpath="/cn", workspace="north")
        if number == 200:
            await kill_sessions(servers, sample, "cordboard-sample-relay")
    await bus.expect(RegisterCustomer, lambda e: e.subject == "north:call" and e.sequence == 400)
    said = [e.sequence for e in bus.said(RegisterCustomer, lambda e: e.subject == "north:call")]
    assert list(dict.fromkeys(said)) == list(range(1, 401))
    assert directly > 0
    await eventually(lambda: _empty(sample))


async def _empty(sample: Deployed) -> bool:
    return not await rows(sample.database, "SELECT 1 FROM outbox")


async def test_a_transaction_that_commits_late_is_published_all_the_same(deploy: Deployment, bus: TestBus) -> None:
    sample = await deploy(build, ServiceSettings)

    def emit(uow: Any, name: str) -> None:
        uow.emit(
            RegisterCustomer(source_ref=name, org_path="/", kind="person", name=name),
            subject=name,
            sequence=1,
            orgpath="/",
        )

    async with sample.database.transaction() as late:
        emit(late, "late")
        await late.flush()  # has its id now, before the other one
        async with sample.database.transaction() as early:
            emit(early, "early")
        await bus.expect(RegisterCustomer, lambda e: e.subject == "early")
    await bus.expect(RegisterCustomer, lambda e: e.subject == "late")


async def test_a_rolled_back_transaction_says_nothing(deploy: Deployment, bus: TestBus) -> None:
    sample = await deploy(build, ServiceSettings)
    refused = await sample.client().post("/v1/counters", json={"name": "x", "org_path": "/cn", "by": 13})
    assert (refused.status_code, refused.json()["errors"]) == (
        409,
        [{"field": "by", "reason": "13 brings bad luck"}],
    )
    await sample.client().post("/v1/counters", json={"name": "y", "org_path": "/cn"})
    await bus.expect(RegisterCustomer, lambda e: e.subject == "y")
    assert not bus.said(RegisterCustomer, lambda e: e.subject == "x")


async def test_a_refused_message_is_recorded_and_its_group_goes_on(deploy: Deployment, bus: TestBus) -> None:
    for name in ("wang", "refuse", "li"):
        await bus.publish(lead(name), subject=name, orgpath="/cn")
    sample = await deploy(build, ServiceSettings)
    for name in ("wang", "refuse", "li"):
        await bus.publish(lead(name), subject=name, orgpath="/cn")
    await eventually(lambda: counted(sample, {"wang": 1, "li": 1}))
    found = await eventually(lambda: rows(sample.database, "SELECT * FROM refused_messages"))
    assert [(row["queue"], row["code"], row["detail"]) for row in found] == [("sample.leads", "invalid", "is refused")]
    assert await parked(sample) == []


async def test_a_failing_message_climbs_the_ladder_and_is_parked_while_others_pass(
    deploy: Deployment, bus: TestBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "RETRY_DELAYS_S", (1, 2))
    monkeypatch.setattr(deliveries, "RETRY_DELAYS_S", (1, 2))
    sample = await deploy(build, ServiceSettings)
    bad = await bus.publish(lead("break"), subject="break", orgpath="/cn", workspace="north")
    await bus.publish(lead("li"), subject="li", orgpath="/cn")
    await eventually(lambda: counted(sample, {"li": 1, "north:break": 1}))
    found = await eventually(lambda: parked(sample), timeout_s=15)
    assert [(row["queue"], row["message_id"], row["attempts"]) for row in found] == [("sample.leads", str(bad.id), 2)]
    assert found[0]["reason"] == "RuntimeError: broken"
    assert found[0]["headers"]["workspace"] == "north"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\xfe not JSON", "body"),
        (b"{}", "leads.lead.submitted.v1: "),
        (b'{"type": 5}', "leads.lead.submitted.v1: "),
    ],
)
async def test_a_malformed_message_is_parked_at_once_whole(
    deploy: Deployment, bus: TestBus, body: bytes, reason: str
) -> None:
    sample = await deploy(build, ServiceSettings)
    envelope: Envelope[Any] = Envelope.of(lead("x"), source="/leads", subject="x", sequence=1, orgpath="/cn")
    await bus.send(envelope, body=body)
    found = await eventually(lambda: parked(sample))
    assert (bytes(found[0]["body"]), found[0]["queue"], found[0]["attempts"]) == (body, "sample.leads", 0)
    assert reason in found[0]["reason"]
    [message] = await parking.listed(sample.database, "sample.leads")
    assert json.dumps(message.as_json(with_body=True))


async def test_a_type_of_the_future_is_parked_and_replayed_by_an_operator(
    deploy: Deployment, bus: TestBus, amqp_url: str
) -> None:
    sample = await deploy(build, ServiceSettings)
    publisher = Publisher(amqp_url)
    await publisher.connect()
    good: Envelope[Any] = Envelope.of(lead("wang"), source="/leads", subject="x", sequence=1, orgpath="/cn")
    await publisher.publish(
        good.to_json(),
        exchange="",
        routing_key="sample.leads",
        message_id=str(good.id),
        message_type="leads.lead.submitted.v9",
        headers={},
        mandatory=True,
    )
    [message] = await eventually(lambda: parking.listed(sample.database))
    assert "no contract" in message.reason
    async with sample.database.transaction() as uow:
        await uow.execute(_RETYPE)
    assert await parking.replay(sample.database, publisher, message.id, [])
    await eventually(lambda: counted(sample, {"wang": 1}))
    assert await parking.listed(sample.database) == []
    assert not await parking.replay(sample.database, publisher, message.id, [])
    await publisher.close()


_RETYPE = parking.text("UPDATE parked_messages SET type = 'leads.lead.submitted.v1'")


async def test_a_message_that_kills_its_reader_again_and_again_is_parked(
    deploy: Deployment, bus: TestBus, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "DELIVERY_LIMIT", 2)
    sample = await deploy(build, ServiceSettings)
    await sample.stop()
    deadly = await bus.publish(lead("deadly"), subject="x", orgpath="/cn")
    for _ in range(4):
        connection = await aio_pika.connect(amqp_url)
        channel = await connection.channel()
        queue = await channel.get_queue("sample.leads")
        taken = await queue.get(fail=False)
        await connection.close()
        if taken is None:
            break
    again = await deploy(build, ServiceSettings)
    [message] = await eventually(lambda: parking.listed(again.database))
    assert (message.message_id, message.queue) == (str(deadly.id), "sample.leads")
    assert "given up by the broker" in message.reason
    assert await counters(again) == {}


async def test_a_message_for_an_owner_nobody_declared_is_kept_for_the_operator(
    deploy: Deployment, bus: TestBus
) -> None:
    sample = await deploy(build, ServiceSettings)
    await bus.publish(lead("x", "nowhere"), subject="x", orgpath="/cn", workspace="nowhere")
    [message] = await eventually(lambda: parking.listed(sample.database))
    assert (message.queue, message.headers["workspace"], message.reason) == ("", "nowhere", "no owner is declared")


async def test_a_message_that_concerns_owners_of_another_kind_is_none_of_our_business(
    deploy: Deployment, bus: TestBus
) -> None:
    """Of the types that owners get, not every message concerns one: an assignment of a lead has no PBX."""
    sample = await deploy(build, ServiceSettings)
    await bus.publish(lead("of a pbx"), subject="x", orgpath="/cn", pbx="pbx-1")
    await bus.publish(lead("nowhere"), subject="x", orgpath="/cn", workspace="nowhere")
    [message] = await eventually(lambda: parking.listed(sample.database))
    assert message.headers["workspace"] == "nowhere"


async def test_consumers_are_back_after_the_broker_closed_every_connection(
    deploy: Deployment, bus: TestBus, servers: Servers, amqp_url: str
) -> None:
    sample = await deploy(build, ServiceSettings)
    await bus.publish(lead("before"), subject="x", orgpath="/cn", workspace="north")
    await eventually(lambda: counted(sample, {"before": 1, "north:before": 1}))
    await eventually(lambda: servers.close_connections(amqp_url, at_least=4), timeout_s=15)
    after = TestBus(amqp_url)
    await after.start()
    await after.publish(lead("after"), subject="x", orgpath="/cn", workspace="north")
    wanted = {"before": 1, "north:before": 1, "after": 1, "north:after": 1}
    await eventually(lambda: counted(sample, wanted), timeout_s=10)
    await after.expect(RegisterCustomer, lambda e: e.data.name == "after")
    await after.stop()


async def test_a_deleted_queue_is_noticed_and_made_again(deploy: Deployment, bus: TestBus, amqp_url: str) -> None:
    sample = await deploy(build, ServiceSettings)
    connection = await aio_pika.connect(amqp_url)
    async with connection, connection.channel() as channel:
        await channel.queue_delete("sample.leads")

    async def handled() -> bool:
        await bus.publish(lead("after"), subject="x", orgpath="/cn")
        return "after" in await counters(sample)

    await eventually(handled, timeout_s=15, poll_s=0.3)


async def test_not_ready_without_its_tables(deploy: Deployment, amqp_url: str) -> None:
    sample = await deploy(build, ServiceSettings)
    client = sample.bare_client()
    assert (await client.get("/readyz")).json() == {"status": "ready"}
    async with sample.database.transaction() as uow:
        await uow.execute(parking.text("UPDATE alembic_version SET version_num = '0000'"))
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["detail"]) == (503, "database: is at version 0000, not 0001")
    assert (await client.get("/livez")).status_code == 200


async def test_the_relay_goes_on_after_its_session_is_killed(
    deploy: Deployment, bus: TestBus, servers: Servers
) -> None:
    sample = await deploy(build, ServiceSettings)
    await kill_sessions(servers, sample, "cordboard-sample-relay")
    await kill_sessions(servers, sample, "cordboard-sample-listen")
    await sample.client().post("/v1/counters", json={"name": "y", "org_path": "/cn"})
    await bus.expect(RegisterCustomer, lambda e: e.subject == "y")


async def kill_sessions(servers: Servers, sample: Deployed, application: str) -> int:
    database = sample.database.engine.url.database
    async with await servers._connect() as connection:
        found = await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name = %s",
            (database, application),
        )
        return len(await found.fetchall())


async def test_a_parked_message_waits_until_it_can_be_stored(deploy: Deployment, bus: TestBus) -> None:
    """More of them than the broker hands out at once: if each gave up, nothing would be collected any more."""
    sample = await deploy(build, ServiceSettings)
    migration_url = sample.settings.migration_url
    assert migration_url is not None
    owner = create_async_engine(migration_url)
    async with owner.begin() as connection:
        await connection.execute(parking.text("ALTER TABLE parked_messages RENAME TO hidden"))
    envelope: Envelope[Any] = Envelope.of(lead("x"), source="/leads", subject="x", sequence=1, orgpath="/cn")
    for number in range(parking.PREFETCH + 5):
        await bus.send(envelope.model_copy(update={"id": new_id()}), body=f"not JSON {number}".encode())
    await sample.client().post("/v1/counters", json={"name": "meanwhile", "org_path": "/cn"})
    await bus.expect(RegisterCustomer, lambda e: e.subject == "meanwhile")
    async with owner.begin() as connection:
        await connection.execute(parking.text("ALTER TABLE hidden RENAME TO parked_messages"))
    await owner.dispose()

    async def all_stored() -> bool:
        assert len(await parked(sample)) == parking.PREFETCH + 5
        return True

    await eventually(all_stored)
