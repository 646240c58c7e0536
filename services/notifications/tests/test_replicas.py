"""Two replicas share the work, whatever partners and the database do."""

import asyncio
from uuid import UUID

import pytest
from aiohttp import web
from cordboard_chassis.testing.deployment import eventually, rows

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def settings():
    """Real waits between attempts, and few attempts at once."""
    return {"webhook_retry_scale": 1.0, "webhook_concurrency": 8, "webhook_endpoint_concurrency": 2}


@pytest.fixture(scope="module")
def replicas():
    """Two."""
    return 2


async def test_two_replicas_share_the_work_and_double_nothing(here):
    now = most = 0

    async def count(_request):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.05)
        now -= 1
        return web.Response()

    here.answer(count)
    await here.endpoint()
    await asyncio.gather(*(here.offered() for _ in range(60)))
    done = await here.settled(60, timeout_s=20)
    assert {(d["state"], d["attempts"]) for d in done} == {("delivered", 1)}
    assert len(here.received()) == len({r.id for r in here.received()}) == 60
    assert 2 < most <= 4


async def test_replicas_agree_on_endpoints_at_once(here):
    for number in range(15):
        made = await here.endpoint(name=f"hook{number}")
        await here.offered()
        await here.expect(1, f"hook{number}")
        response = await here.admin.delete(f"/v1/endpoints/{made['id']}", headers={"If-Match": "*"})
        assert response.status_code == 204
        missed = await here.offered()
        await eventually(lambda event=missed: rows(here.database, "SELECT 1 FROM events WHERE id = :id", id=event.id))
    assert {len(here.received(f"hook{number}")) for number in range(15)} == {1}


async def test_a_dead_partner_does_not_keep_the_others_waiting(here):
    now = most = 0

    async def stall(_request):
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            await asyncio.sleep(60)
        finally:
            now -= 1

    here.answer(stall, "dead")
    dead = await here.endpoint(name="dead")
    alive = await here.endpoint(name="alive")
    for _ in range(50):
        await here.offered()
    await here.settled(50, endpoint_id=alive["id"], timeout_s=10)
    assert most == 4
    assert all(d["state"] == "pending" for d in await here.deliveries(endpoint_id=dead["id"]))


async def test_an_endpoint_that_only_fails_gets_probes_until_it_is_well(here):
    endpoint = await here.endpoint()
    path = f"/v1/endpoints/{endpoint['id']}"
    here.statuses(500)
    for _ in range(60):
        await here.offered()

    async def blocked():
        health = (await here.admin.get(path)).json()
        return health if health["blocked_until"] else None

    health = await eventually(blocked)
    assert health["consecutive_failures"] >= 10
    await eventually(lambda: _recorded(here, 60))
    assert 10 <= len(here.received()) <= 10 + 4
    here.statuses(200)
    assert (await here.admin.post(path + "/enable")).json()["blocked_until"] is None
    await here.settled(40)
    health = (await here.admin.get(path)).json()
    assert (health["consecutive_failures"], health["failing_since"]) == (0, None)


async def _recorded(here, number):
    return len(await here.deliveries()) == number


async def test_database_cut_off_while_posting_loses_nothing(here):
    await here.endpoint()

    async def cut():
        async with here.database.transaction() as uow:
            await uow.connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    events = []
    for number in range(40):
        events.append(await here.offered())
        if number in (10, 25):
            await cut()

    async def all_done():
        found = await rows(here.database, "SELECT event_id, state FROM deliveries WHERE org_path = :p", p=here.place)
        assert len(found) == 40, len(found)
        return {row["state"] for row in found} == {"delivered"}

    await eventually(all_done, timeout_s=30)
    sent = {UUID(received.document["id"]) for received in here.received()}
    assert sent == {event.id for event in events}
