"""Webhooks as a partner sees them: a real server, checked with the reference library."""

import asyncio
from datetime import datetime
from uuid import UUID

import pytest
from aiohttp import web
from cordboard_chassis.testing.deployment import eventually, rows
from cordboard_contracts import new_id
from cordboard_contracts.notifications import EndpointDisabled, MessageFailed
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_event_arrives_signed(here):
    endpoint = await here.endpoint("telephony.call.*")
    event = await here.offered()
    (received,) = await here.expect()
    document = received.verify(endpoint["secret"])
    assert document["id"] == str(event.id)
    assert document["type"] == "telephony.call.offered.v1"
    assert document["timestamp"] == document["time"]
    assert document["data"]["call"]["from_name"] == "张伟"
    assert received.headers["content-type"] == "application/json"
    assert not {"causationid", "traceparent", "partitionkey"} & set(document)
    (delivery,) = await here.settled()
    assert received.id == delivery["id"]
    assert delivery["state"] == "delivered"
    found = await here.delivery(delivery["id"])
    assert found["payload"] == document
    assert [(attempt["number"], attempt["status"]) for attempt in found["history"]] == [(1, 204)]
    assert UUID(delivery["event_id"]) == event.id


async def test_only_what_was_subscribed_to_and_only_below_the_org_path(here):
    inside = here.place + "/east"
    await here.endpoint("telephony.call.cleared.v1", name="cleared", org_path=inside)
    await here.endpoint("*", name="all", org_path=inside + "/shanghai")
    for path in (here.place, inside, inside + "/shanghai", here.place + "/eastern"):
        await here.offered(path)
        await here.cleared(path)
    await here.expect(2, "cleared")
    await here.expect(2, "all")
    await here.settled(4)
    got = sorted((r.document["type"], r.document["orgpath"]) for r in here.received("cleared"))
    assert got == [
        ("telephony.call.cleared.v1", inside),
        ("telephony.call.cleared.v1", inside + "/shanghai"),
    ]
    assert {r.document["orgpath"] for r in here.received("all")} == {inside + "/shanghai"}
    assert len(await here.deliveries()) == 4


async def test_an_event_published_twice_is_sent_once(here):
    await here.endpoint()
    event = await here.offered()
    await here.bus.send(event)
    await here.offered()
    await here.settled(2)
    assert len(here.received()) == 2


async def test_retried_with_the_same_id_and_signed_anew(here):
    endpoint = await here.endpoint()
    here.statuses(500, 404, 200)
    await here.offered()
    received = await here.expect(3)
    (delivery,) = await here.settled()
    assert {r.id for r in received} == {delivery["id"]}
    for attempt in received:
        attempt.verify(endpoint["secret"])
    assert len({r.body for r in received}) == 1
    found = await here.delivery(delivery["id"])
    assert [attempt["status"] for attempt in found["history"]] == [200, 404, 500]
    assert found["history"][2]["excerpt"] == "status 500"
    assert found["state"] == "delivered"


async def test_given_up_after_the_whole_schedule_and_told(here):
    endpoint = await here.endpoint()
    here.statuses(500)
    await here.offered()
    (delivery,) = await here.settled(timeout_s=20)
    assert (delivery["state"], delivery["attempts"], delivery["last_status"]) == ("failed", 8, 500)
    assert len(here.received()) == 8
    told = await here.bus.expect(MessageFailed, lambda e: e.orgpath == here.place)
    assert str(told.data.message.message_id) == delivery["id"]
    assert str(told.data.message.endpoint_id) == endpoint["id"]
    assert told.data.message.attempts == 8


async def test_gone_disables_and_tells(here):
    endpoint = await here.endpoint()
    here.statuses(410)
    await here.offered()
    told = await here.bus.expect(EndpointDisabled, lambda e: str(e.data.endpoint.endpoint_id) == endpoint["id"])
    assert told.data.endpoint.reason == "answered 410 Gone"
    assert told.orgpath == here.place
    now = (await here.admin.get(f"/v1/endpoints/{endpoint['id']}")).json()
    assert (now["enabled"], now["disabled_reason"]) == (False, "answered 410 Gone")
    (delivery,) = await here.settled()
    assert (delivery["state"], delivery["attempts"], delivery["last_status"]) == ("failed", 1, 410)
    await here.offered()
    marker = await here.endpoint(name="other")
    await here.offered()
    await here.expect(1, "other")
    assert marker["enabled"]
    assert len(here.received()) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_retry_after_is_respected(here, status):
    await here.endpoint()
    here.statuses(status, 200, **{"Retry-After": "1"})
    await here.offered()
    await here.expect(2)
    (delivery,) = await here.settled()
    (second, first) = (await here.delivery(delivery["id"]))["history"]
    waited = _at(second["started_at"]) - _at(first["ended_at"])
    assert waited >= 1.0


async def test_a_busy_endpoint_is_left_alone_as_a_whole(here):
    endpoint = await here.endpoint()
    here.statuses(429, 200, **{"Retry-After": "1"})
    await here.offered()
    await here.expect(1)

    async def blocked():
        return (await here.admin.get(f"/v1/endpoints/{endpoint['id']}")).json()["blocked_until"]

    until = await eventually(blocked)
    await here.offered()
    await here.settled(2)
    started = [
        attempt["started_at"]
        for delivery in await here.deliveries()
        for attempt in (await here.delivery(delivery["id"]))["history"]
    ]
    assert len(started) == 3
    assert all(_at(time) >= _at(until) for time in sorted(started)[1:])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(here, status):
    await here.endpoint()
    here.statuses(status, 200, Location=here.url("elsewhere"))
    await here.offered()
    await here.expect(2)
    (delivery,) = await here.settled()
    assert [a["status"] for a in (await here.delivery(delivery["id"]))["history"]] == [200, status]
    assert not here.received("elsewhere")


async def test_a_huge_answer_is_cut_off(here):
    sent = 0

    async def flood(request):
        nonlocal sent
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        try:
            while sent < 200_000_000:
                await response.write(b"x" * 65536)
                sent += 65536
        except ConnectionError:
            pass
        return response

    here.answer(flood)
    await here.endpoint()
    await here.offered()
    (delivery,) = await here.settled()
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)
    assert len((await here.delivery(delivery["id"]))["history"][0]["excerpt"]) == 500
    assert sent < 50_000_000


async def test_an_answer_that_drips_counts_by_its_status(here):
    async def drip(request):
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        try:
            for _ in range(1000):
                await response.write(b".")
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        return response

    here.answer(drip)
    await here.endpoint()
    await here.offered()
    (delivery,) = await here.settled()
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)


async def test_no_answer_in_time_is_a_failure(here):
    stalled = asyncio.Event()

    async def stall(_request):
        if not stalled.is_set():
            stalled.set()
            await asyncio.sleep(30)
        return web.Response()

    here.answer(stall)
    await here.endpoint()
    await here.offered()
    await here.expect(2)
    (delivery,) = await here.settled()
    (second, first) = (await here.delivery(delivery["id"]))["history"]
    assert second["status"] == 200
    assert (first["status"], first["error"]) == (None, "no answer within 2 s")
    assert 1_900 <= first["duration_ms"] < 4_000


async def test_a_refused_connection_is_a_failure(here, unused_tcp_port):
    await here.endpoint(url=f"http://127.0.0.1:{unused_tcp_port}/")
    await here.offered()
    (delivery,) = await here.settled()
    assert (delivery["state"], delivery["attempts"], delivery["last_status"]) == ("failed", 8, None)
    assert "Cannot connect" in delivery["last_error"]


async def test_both_secrets_sign_during_a_rotation(here):
    endpoint = await here.endpoint()
    rotated = await here.admin.post(f"/v1/endpoints/{endpoint['id']}/rotate-secret", json={"overlap_s": 60})
    assert rotated.status_code == 200, rotated.text
    new = rotated.json()["secret"]
    await here.offered()
    (received,) = await here.expect()
    for secret in (endpoint["secret"], new):
        received.verify(secret)
    assert len(received.headers["webhook-signature"].split(" ")) == 2

    newest = (await here.admin.post(f"/v1/endpoints/{endpoint['id']}/rotate-secret", json={"overlap_s": 0})).json()
    await here.offered()
    last = (await here.expect(2))[1]
    last.verify(newest["secret"])
    for secret in (endpoint["secret"], new):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(last.body, last.headers)


async def test_ping_takes_the_same_way(here):
    endpoint = await here.endpoint("leads.lead.*")
    response = await here.admin.post(f"/v1/endpoints/{endpoint['id']}/ping", headers={"Idempotency-Key": "p1"})
    assert response.status_code == 202, response.text
    (received,) = await here.expect()
    document = received.verify(endpoint["secret"])
    assert document["type"] == "notifications.endpoint.pinged.v1"
    assert document["data"] == {"endpoint_id": endpoint["id"]}
    assert document["timestamp"] == document["time"]
    again = await here.admin.post(f"/v1/endpoints/{endpoint['id']}/ping", headers={"Idempotency-Key": "p1"})
    assert again.json()["id"] == response.json()["id"] == received.id
    (delivery,) = await here.settled()
    assert delivery["state"] == "delivered"
    assert len(here.received()) == 1


async def test_redelivery_keeps_the_id_and_begins_a_new_round(here):
    await here.endpoint()
    await here.offered()
    (delivery,) = await here.settled()
    response = await here.admin.post(f"/v1/deliveries/{delivery['id']}/redeliver")
    assert response.status_code == 202, response.text
    assert response.json()["state"] == "pending"
    first, second = await here.expect(2)
    assert first.id == second.id
    assert first.body == second.body
    (again,) = await here.settled()
    assert (again["state"], again["attempts"]) == ("delivered", 2)


async def test_disabled_holds_what_waits_and_records_nothing_new(here):
    endpoint = await here.endpoint()
    path = f"/v1/endpoints/{endpoint['id']}"
    here.statuses(503, 200, **{"Retry-After": "600"})
    await here.offered()

    async def blocked():
        return (await here.admin.get(path)).json()["blocked_until"]

    await eventually(blocked)
    waiting = await here.offered()
    await eventually(lambda: _number_of_deliveries(here, 2))
    disabled = await here.admin.post(path + "/disable", json={"reason": "holidays"})
    assert (disabled.json()["enabled"], disabled.json()["disabled_reason"]) == (False, "holidays")
    await here.bus.expect(EndpointDisabled, lambda e: str(e.data.endpoint.endpoint_id) == endpoint["id"])
    assert (await here.admin.post(path + "/ping")).json()["code"] == "endpoint-disabled"
    missed = await here.offered()
    await eventually(lambda: rows(here.database, "SELECT 1 FROM events WHERE id = :id", id=missed.id))
    assert (await here.admin.post(path + "/enable")).json()["enabled"]
    (sent,) = await here.settled(1)
    assert sent["event_id"] == str(waiting.id)
    assert len(await here.deliveries()) == 2


async def test_an_endpoint_that_failed_for_days_is_disabled(here):
    endpoint = await here.endpoint()
    here.statuses(500)
    async with here.database.transaction() as uow:
        await uow.connection.exec_driver_sql(
            "UPDATE endpoint_health SET consecutive_failures = 50, failing_since = now() - interval '4 days'"
            f" WHERE endpoint_id = '{endpoint['id']}'"
        )
    await here.offered()
    told = await here.bus.expect(EndpointDisabled, lambda e: e.orgpath == here.place)
    assert str(told.data.endpoint.endpoint_id) == endpoint["id"]
    assert told.data.endpoint.reason == "failed for too long"


async def test_polling_finds_what_nobody_told(here):
    await here.endpoint()
    await here.offered()
    (delivery,) = await here.settled()
    async with here.database.transaction() as uow:
        await uow.connection.exec_driver_sql(
            "UPDATE deliveries SET state = 'pending', next_attempt_at = now(), ended_at = NULL"
            f" WHERE id = '{delivery['id']}'"
        )
    assert {r.id for r in await here.expect(2)} == {delivery["id"]}


async def _number_of_deliveries(here, number):
    return len(await here.deliveries()) == number


async def test_a_late_failure_report_never_reports_a_failure_report(here):
    """Two endpoints that fail would tell each other about it for ever."""
    endpoint = await here.endpoint("notifications.*")
    here.statuses(410)
    message = {
        "message_id": new_id(),
        "endpoint_id": endpoint["id"],
        "org_path": here.place,
        "event_id": new_id(),
        "event_type": "telephony.call.offered.v1",
        "attempts": 8,
        "ended_at": "2026-01-01T00:00:00Z",
    }
    data = MessageFailed.model_validate({"message": message})
    await here.bus.publish(data, subject=message["message_id"], orgpath=here.place)
    (delivery,) = await here.settled()
    assert delivery["state"] == "failed"
    await here.bus.expect(EndpointDisabled, lambda e: str(e.data.endpoint.endpoint_id) == endpoint["id"])
    told = here.bus.said(MessageFailed, lambda e: str(e.data.message.message_id) == delivery["id"])
    assert told == []


def _at(text):
    return datetime.fromisoformat(text).timestamp()
